package inspect

import (
	"context"
	"errors"
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
