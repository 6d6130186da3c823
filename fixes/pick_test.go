package fixes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

func pickGPU(index int, util uint32, freeGiB, totalGiB uint64, change ...func(*inspect.GPU)) inspect.GPU {
	g := inspect.GPU{Index: index, UUID: fmt.Sprintf("GPU-%d", index), GPUUtilPercent: &util, MemoryFreeBytes: ptrTo(freeGiB << 30), MemoryTotalBytes: ptrTo(totalGiB << 30), Processes: []inspect.GPUProcess{}, ComputeMode: "default"}
	for _, c := range change {
		c(&g)
	}
	return g
}

func linkedTo(bus ...string) func(*inspect.GPU) {
	return func(g *inspect.GPU) {
		g.PCIBusID = fmt.Sprintf("0000:0%d:00.0", g.Index)
		for i, b := range bus {
			g.NVLinks = append(g.NVLinks, inspect.NVLink{Link: i, Active: ptrTo(true), RemoteType: "gpu", Remote: b})
		}
	}
}

// Each case is a machine, a wish, and what is picked.
func TestChoose(t *testing.T) {
	four := []inspect.GPU{pickGPU(0, 90, 10, 80), pickGPU(1, 0, 80, 80), pickGPU(2, 0, 40, 80), pickGPU(3, 3, 79, 80)}
	exclusive := func(g *inspect.GPU) {
		g.ComputeMode, g.Processes = "exclusive-process", []inspect.GPUProcess{{PID: 1, Kinds: []string{"compute"}}}
	}
	pairs := []inspect.GPU{pickGPU(0, 0, 80, 80, linkedTo("0000:02:00.0")), pickGPU(1, 0, 80, 80, linkedTo("0000:03:00.0")), pickGPU(2, 0, 80, 80, linkedTo("0000:00:00.0")), pickGPU(3, 0, 80, 80, linkedTo("0000:01:00.0"))}
	for _, c := range []struct {
		name  string
		gpus  []inspect.GPU
		wish  Wish
		taken string
		want  string
	}{
		{"the idle one", four, Wish{Count: 1, Prefer: PreferIdle}, "", "1"},
		{"the next where it is taken", four, Wish{Count: 1, Prefer: PreferIdle}, "GPU-1", "3"},
		{"two", four, Wish{Count: 2, Prefer: PreferIdle}, "", "1 3"},
		{"all, the busy one last", four, Wish{Count: 4, Prefer: PreferIdle}, "", "1 3 2 0"},
		{"more than there are", four, Wish{Count: 5, Prefer: PreferIdle}, "", ""},
		{"room on each", four, Wish{Count: 3, FreeMemory: 40 << 30, Prefer: PreferIdle}, "", "1 3 2"},
		{"no room", four, Wish{Count: 1, FreeMemory: 81 << 30, Prefer: PreferIdle}, "", ""},
		{"at most so busy", four, Wish{Count: 4, MaxUtil: ptrTo(uint32(10)), Prefer: PreferIdle}, "", ""},
		{"packed: the fullest with room", four, Wish{Count: 1, FreeMemory: 20 << 30, Prefer: PreferPacked}, "", "2"},
		{"a lost GPU is none", []inspect.GPU{{Index: 0, UUID: "GPU-0", Error: "GPU is lost"}, pickGPU(1, 99, 1, 80)}, Wish{Count: 1, Prefer: PreferIdle}, "", "1"},
		{"an exclusive one in use is none", []inspect.GPU{pickGPU(0, 0, 80, 80, exclusive), pickGPU(1, 50, 40, 80)}, Wish{Count: 1, Prefer: PreferIdle}, "", "1"},
		{"memory unknown, none wanted", []inspect.GPU{{Index: 0, UUID: "GPU-0"}}, Wish{Count: 1, Prefer: PreferIdle}, "", "0"},
		{"memory unknown, some wanted", []inspect.GPU{{Index: 0, UUID: "GPU-0"}}, Wish{Count: 1, FreeMemory: 1, Prefer: PreferIdle}, "", ""},
		{"MIG devices stand for their GPU", []inspect.GPU{pickGPU(0, 0, 80, 80, func(g *inspect.GPU) {
			g.GPUUtilPercent = nil
			g.MIG = &inspect.MIG{Enabled: true, Devices: []inspect.MIGDevice{{Index: 0, UUID: "MIG-a", MemoryFreeBytes: ptrTo(uint64(1 << 30)), MemoryTotalBytes: ptrTo(uint64(10 << 30))}, {Index: 1, UUID: "MIG-b", MemoryFreeBytes: ptrTo(uint64(9 << 30)), MemoryTotalBytes: ptrTo(uint64(10 << 30))}}}
		})}, Wish{Count: 1, Prefer: PreferIdle}, "", "0:1"},
		{"joined by NVLink", pairs, Wish{Count: 2, Prefer: PreferNVLink}, "", "0 2"},
		{"joined by NVLink, the first pair is taken", pairs, Wish{Count: 2, Prefer: PreferNVLink}, "GPU-0", "2 1"},
		{"no GPU", nil, Wish{Count: 1, Prefer: PreferIdle}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &inspect.Snapshot{GPUs: c.gpus}
			picked, considered := Choose(s, Candidates(s), c.wish, func(g Candidate) string {
				if g.UUID == c.taken {
					return "taken"
				}
				return ""
			})
			var got []string
			for _, p := range picked {
				got = append(got, p.GPU)
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("%q, want %q", text, c.want)
			}
			for _, g := range considered {
				if g.Why == "" {
					t.Errorf("GPU %s: no reason is given", g.GPU)
				}
			}
		})
	}
}

// A GPU that rests between two batches is as busy as it was at its busiest.
func TestCandidatesOverTime(t *testing.T) {
	at := func(util uint32, free uint64) *inspect.Snapshot {
		return &inspect.Snapshot{GPUs: []inspect.GPU{pickGPU(0, util, free, 80)}}
	}
	c := Candidates(at(0, 60), at(95, 20), at(10, 70))[0]
	if *c.UtilPercent != 95 || *c.FreeBytes != 20<<30 {
		t.Errorf("%d %% busy, %d free", *c.UtilPercent, *c.FreeBytes)
	}
}
