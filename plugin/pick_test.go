//go:build unix

package plugin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

func eightGPUs() []inspect.GPU {
	var gpus []inspect.GPU
	for i := range 8 {
		gpus = append(gpus, inspect.GPU{Index: i, UUID: fmt.Sprint("GPU-", i), Processes: []inspect.GPUProcess{}})
	}
	return gpus
}

// Sixty-four who wait for a GPU get it in the order in which they came, each a GPU of its own.
func TestPickersTakeTurns(t *testing.T) {
	const pickers = 64
	folder := filepath.Join(t.TempDir(), "leases")
	leases, err := fixes.OpenLeases(folder)
	if err != nil {
		t.Fatal(err)
	}
	var held []*fixes.Lease
	for _, g := range eightGPUs() {
		lease, _, err := leases.Try(g.UUID)
		if err != nil || lease == nil {
			t.Fatalf("%s is not to be had: %v", g.UUID, err)
		}
		held = append(held, lease)
	}
	var mu sync.Mutex
	var turns []int
	free := make(chan struct{})
	holders := map[string]int{}
	var all sync.WaitGroup
	for i := range pickers {
		flags := &pickFlags{count: 1, maxUtil: -1, prefer: fixes.PreferIdle, wait: waitFlag{on: true}, timeout: 8 * time.Minute, pace: pickPace{time.Millisecond, 2 * time.Millisecond}}
		m := inspect.Machine{Root: inspect.Root(t.TempDir()), Now: time.Now, Dial: func(context.Context) (inspect.EngineAPI, error) { return nil, os.ErrNotExist }}
		m.NVML = func(context.Context) (*inspect.NVMLAnswer, error) { // is asked by those whose turn it is
			select {
			case <-free:
				mu.Lock()
				defer mu.Unlock()
				if len(turns) == 0 || turns[len(turns)-1] != i {
					turns = append(turns, i)
				}
			default:
			}
			return &inspect.NVMLAnswer{GPUs: eightGPUs()}, nil
		}
		all.Go(func() {
			picked, err := flags.pickOrWait(t.Context(), appFor(t, "unix:///nowhere", os.Stdout, os.Stderr), m, leases)
			if err != nil {
				t.Errorf("picker %d: %v", i, err)
				return
			}
			gpu := picked.uuids()
			mu.Lock()
			holders[gpu]++
			if holders[gpu] > 1 {
				t.Errorf("%s was given twice", gpu)
			}
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			holders[gpu]--
			mu.Unlock()
			picked.release()
		})
		for { // the next one comes when this one stands in the queue
			if tickets, _ := filepath.Glob(filepath.Join(folder, "*.ticket")); len(tickets) > i || t.Failed() { // who gave up has no ticket any more
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	close(free)
	for _, lease := range held {
		lease.Forget()
	}
	all.Wait()
	if len(turns) > 0 && turns[0] == 1 { // the first in the queue had asked just before there was a free GPU to see
		turns = append([]int{0}, turns...)
	}
	for at, who := range turns {
		if at != who {
			t.Fatalf("order: %v", turns)
		}
	}
	if len(turns) != pickers {
		t.Errorf("%d turns of %d: %v", len(turns), pickers, turns)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*.ticket")); len(left) != 0 {
		t.Errorf("%d places in the queue are left behind", len(left))
	}
}

// Wrong use is told from a wish that cannot be had: 125 and 1, with a sentence, and without a lease left behind.
func TestPickBadInput(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "leases")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	busy := filepath.Join(t.TempDir(), "busy.json")
	if err := os.WriteFile(busy, []byte(`{"schemaVersion": 1, "gpus": [{"index": 0, "uuid": "GPU-a"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string
		leases string
		code   int
		text   string
	}{
		{"pick -n 0", folder, 125, "at least 1"},
		{"pick -n -3", folder, 125, "at least 1"},
		{"pick -n 99999999999999999999", folder, 125, "out of range"},
		{"pick --free-memory=-1g", folder, 125, "invalid size"},
		{"pick --free-memory=-5", folder, 125, "invalid size"},
		{"pick --free-memory=20x", folder, 125, "invalid suffix"},
		{"pick --max-util=101", folder, 125, "0 to 100"},
		{"pick --max-util=-1", folder, 125, "0 to 100"},
		{"pick --wait=-5s", folder, 125, "no duration"},
		{"pick --lease=-1s", folder, 125, "at most 1h"},
		{"pick --prefer=fastest", folder, 125, "idle, packed or nvlink"},
		{"pick GPU-a", folder, 125, "no arguments"},
		{"pick -n 9 --from " + busy, folder, 1, "9 GPUs are wanted, and there is 1"},
		{"pick", file, 1, "no folder for leases: " + file},
		{"run", folder, 125, "needs an IMAGE"},
		{"run -n 2", folder, 125, "needs an IMAGE"},
		{"run --rm -it", folder, 125, "needs an IMAGE"},
		{"run --", folder, 125, "needs an IMAGE"},
		{"run -n -1 busybox", folder, 125, "at least 1"},
		{"run --free-memory=-1g busybox", folder, 125, "invalid size"},
		{"run --gpus all busybox", folder, 125, "picks the GPUs itself"},
	} {
		t.Setenv("DOCKER_GPU_LEASES", c.leases)
		out, said, code := runGPU(t, "unix:///nowhere", strings.Fields(c.args)...)
		if out != "" || code != c.code || !strings.Contains(said, c.text) {
			t.Errorf("%s: exit status %d, %s%s; want %d, %q", c.args, code, out, said, c.code, c.text)
		}
		if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) != 0 {
			t.Errorf("%s: left behind: %q", c.args, left)
		}
	}
}
