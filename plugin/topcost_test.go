package plugin

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/cli/cli/streams"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// busyMachine has 8 GPUs, 64 processes of which four are the host's, and 50 containers that were given all GPUs.
func busyMachine(t testing.TB) (m inspect.Machine, earlier *inspect.Snapshot, ask func(context.Context) (*inspect.NVMLAnswer, error)) {
	t.Helper()
	root := t.TempDir()
	earlier = &inspect.Snapshot{SchemaVersion: 1, Engine: &inspect.Engine{Version: "28.5.2", Location: "local"}, Host: &inspect.Host{Name: "ada"}}
	for i := range 50 {
		earlier.Containers = append(earlier.Containers, inspect.Container{ID: simID(i), Name: fmt.Sprintf("job-%d", i), Image: "registry.example.org/team/training:2026-11", State: "running",
			Asks: inspect.Asks{DeviceRequests: []inspect.DeviceRequest{{Count: -1, Capabilities: [][]string{{"gpu"}}}}}})
	}
	var processes []inspect.GPUProcess
	for i := range 64 {
		folder := filepath.Join(root, "proc", fmt.Sprint(1000+i))
		cgroup := "0::/docker/" + simID(i%50) + "\n"
		if i >= 60 {
			cgroup = "0::/user.slice\n"
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"stat": fmt.Sprintf("%d (python) S 1 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 500 0 0\n", 1000+i), "cgroup": cgroup} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		processes = append(processes, inspect.GPUProcess{PID: 1000 + i, Kinds: []string{"compute"}, MemoryUsedBytes: new(uint64(512 << 20)), GPUUtilPercent: new(uint32(11))})
	}
	frame := 0
	ask = func(context.Context) (*inspect.NVMLAnswer, error) {
		frame++
		a := &inspect.NVMLAnswer{Driver: &inspect.Driver{Version: "570.86.15", CUDAVersion: "12.8"}}
		for i := range 8 {
			util, power := uint32((frame*13+i*29)%101), 300+float64((frame*7+i)%400)
			a.GPUs = append(a.GPUs, inspect.GPU{Index: i, UUID: fmt.Sprintf("GPU-%d", i), Name: "NVIDIA H100 80GB HBM3", GPUUtilPercent: &util, PowerWatts: &power, PowerLimitWatts: new(700.0),
				MemoryTotalBytes: new(uint64(80 << 30)), MemoryUsedBytes: new(uint64(5 << 30)), TemperatureCelsius: new(61), Processes: append([]inspect.GPUProcess{}, processes[i*8:i*8+8]...)})
		}
		return a, nil
	}
	return inspect.Machine{Root: inspect.Root(root), Host: "unix:///sim", Now: time.Now, Seen: &inspect.ProcessesSeen{}}, earlier, ask
}

// A frame of a busy machine, from the figures to the terminal's.
func BenchmarkTopFrame(b *testing.B) {
	m, earlier, ask := busyMachine(b)
	frames := inspect.NewFrames(m, time.Minute)
	screen := newTopScreen(time.Second, defaultTopColumns)
	term := &terminal{out: streams.NewOut(io.Discard)}
	b.ReportAllocs()
	for b.Loop() {
		if err := screen.show(frames.Next(b.Context(), earlier, ask)); err != nil {
			b.Fatal(err)
		}
		screen.keepSelection()
		if err := term.paint(screen.draw(160, 50), 160); err != nil {
			b.Fatal(err)
		}
	}
}
