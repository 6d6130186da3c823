package inspect

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each frame is what a whole collection would have told at that moment, whatever the one before knew.
func TestFramesAsCollected(t *testing.T) {
	root := t.TempDir()
	writeProcess(t, root, 4001, "python", "0::/docker/"+idA+"\n", 10)
	writeProcess(t, root, 4002, "python", "0::/docker/"+idB+"\n", 10)
	writeProcess(t, root, 4003, "Xorg", "0::/user.slice\n", 10)
	engine := &listEngine{running: []Container{{ID: idA, Name: "trainer", PID: 4001}, {ID: idB, Name: "other", PID: 4002}}}
	m := processMachine(Root(root), engine)
	gpu := func(uuid string, pids ...int) GPU {
		g := GPU{UUID: uuid, Processes: []GPUProcess{}}
		for _, pid := range pids {
			g.Processes = append(g.Processes, GPUProcess{PID: pid, Kinds: []string{"compute"}, MemoryUsedBytes: ptr(uint64(pid))})
		}
		return g
	}
	mig := gpu("GPU-c", 4001)
	mig.MIG = &MIG{Enabled: true, Devices: []MIGDevice{{UUID: "MIG-1", Processes: []GPUProcess{{PID: 4002, Kinds: []string{"compute"}}}}}}
	still := []Source{EngineSource, ContainersSource(false)}
	earlier := Collect(t.Context(), m, time.Minute, still...)
	for i := range earlier.Containers {
		earlier.Containers[i].Asks.DeviceRequests = []DeviceRequest{{DeviceIDs: []string{"GPU-a"}, Capabilities: [][]string{{"gpu"}}}}
	}
	later := *earlier
	later.Containers = slices.Clone(earlier.Containers[:1])
	frames := NewFrames(m, time.Minute)
	for i, c := range []struct {
		earlier *Snapshot
		gpus    []GPU
		err     error
	}{
		{earlier, []GPU{gpu("GPU-a", 4001, 4003)}, nil},
		{earlier, []GPU{gpu("GPU-a", 4001, 4002)}, nil},
		{earlier, []GPU{gpu("GPU-b", 4002)}, nil}, // another card in its place: the grants name it no more
		{earlier, nil, errors.New("NVML does not answer")},
		{earlier, []GPU{mig}, nil},
		{&later, []GPU{gpu("GPU-a", 4001)}, nil},
		{&later, []GPU{gpu("GPU-a", 4001, 4003)}, nil},
	} {
		ask := func(context.Context) (*NVMLAnswer, error) { return &NVMLAnswer{GPUs: slices.Clone(c.gpus)}, c.err }
		got := frames.Next(t.Context(), c.earlier, ask)
		want := &Snapshot{GPUs: slices.Clone(c.gpus), Engine: c.earlier.Engine, Containers: slices.Clone(c.earlier.Containers)}
		seeProcesses(m, want.GPUs)
		resolve(want, false)
		if diff := cmp.Diff(want.Containers, got.Containers); diff != "" {
			t.Errorf("frame %d, containers (-want +got):\n%s", i, diff)
		}
		if diff := cmp.Diff(want.GPUs, got.GPUs); diff != "" {
			t.Errorf("frame %d, GPUs (-want +got):\n%s", i, diff)
		}
		last := got.Sources[len(got.Sources)-2]
		if last.Name != "nvml" || (last.Error != "") != (c.err != nil) {
			t.Errorf("frame %d: %+v", i, got.Sources)
		}
	}
}

// A local GPU is never shown as a remote engine's, in frames as little as elsewhere.
func TestFramesOfARemoteEngine(t *testing.T) {
	m := processMachine(Root(t.TempDir()), &listEngine{})
	m.Host = "tcp://ada:2376"
	earlier := Collect(t.Context(), m, time.Minute, EngineSource, ContainersSource(false))
	s := NewFrames(m, time.Minute).Next(t.Context(), earlier, m.NVML)
	if s.GPUs != nil || s.Sources[len(s.Sources)-2].Note == "" {
		t.Errorf("%+v %+v", s.GPUs, s.Sources)
	}
}

// A frame in which nothing moved shares all with the one before, but the time; one in which a process ended does not.
func TestFramesThatStandStill(t *testing.T) {
	if !(&ProcessesSeen{}).hold(os.Getpid()).held() {
		t.Skip("this system has no pidfd_open")
	}
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	clock := time.Unix(1000, 0)
	m := processMachine("/", &listEngine{running: []Container{}})
	m.Now, m.Seen = func() time.Time { return clock }, &ProcessesSeen{NamesFor: time.Minute}
	earlier := Collect(t.Context(), m, time.Minute, EngineSource, ContainersSource(false))
	frames := NewFrames(m, time.Minute)
	pid := cmd.Process.Pid
	next := func(unchanged bool, util uint32) *Snapshot {
		clock = clock.Add(100 * time.Millisecond)
		return frames.Next(t.Context(), earlier, func(context.Context) (*NVMLAnswer, error) {
			return &NVMLAnswer{Unchanged: unchanged, GPUs: []GPU{{UUID: "GPU-a", GPUUtilPercent: &util, Processes: []GPUProcess{{PID: pid}}}}}, nil
		})
	}
	shares := func(a, b *Snapshot) bool { return &a.GPUs[0] == &b.GPUs[0] }
	first := next(false, 1)
	second := next(true, 1)
	if !shares(first, second) || !second.TakenAt.After(first.TakenAt) || len(second.Sources) != len(first.Sources) {
		t.Errorf("nothing moved: %+v, before %+v", second, first)
	}
	if third := next(false, 2); shares(second, third) || *third.GPUs[0].GPUUtilPercent != 2 {
		t.Errorf("a figure moved: %+v", third)
	}
	if s := next(true, 2); s.GPUs[0].Processes[0].Name != "sleep" {
		t.Errorf("the process has lost its name: %+v", s.GPUs[0].Processes)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if s := next(true, 2); s.GPUs[0].Processes[0].Name != "" {
		t.Errorf("a process that has ended is told again: %+v", s.GPUs[0].Processes)
	}
	earlier = Collect(t.Context(), m, time.Minute, EngineSource, ContainersSource(false))
	last := next(true, 2)
	if again := next(true, 2); shares(again, last) { // of the process nothing is known: it is looked for each time
		t.Errorf("told again: %+v", again.GPUs[0].Processes)
	}
}
