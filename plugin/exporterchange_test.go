//go:build linux

package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// changingGPUs is an NVML whose answer a test replaces.
type changingGPUs struct {
	mu   sync.Mutex
	gpus []inspect.GPU
	err  error
}

func (c *changingGPUs) set(gpus []inspect.GPU, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gpus, c.err = gpus, err
}

func (c *changingGPUs) read(context.Context) (*inspect.NVMLAnswer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	gpus := slices.Clone(c.gpus)
	for i := range gpus { // what was answered once belongs to who asked
		gpus[i].Processes = slices.Clone(gpus[i].Processes)
	}
	return &inspect.NVMLAnswer{Driver: &inspect.Driver{Version: "570.86.15"}, GPUs: gpus}, nil
}

// exporterOfGPUs is an exporter of nothing but NVML's GPUs.
func exporterOfGPUs(t *testing.T) (*exporter, *changingGPUs, *httptest.Server) {
	t.Helper()
	e, server := exporterOn(t, nil)
	nvml := &changingGPUs{}
	e.machine.NVML = nvml.read
	e.sources = []inspect.Source{inspect.NVMLSource}
	return e, nvml, server
}

// stale lets the next scrape look anew.
func (e *exporter) stale() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lastAt = time.Time{}
}

func seriesOf(families map[string]*dto.MetricFamily, name, by string) map[string]float64 {
	values := map[string]float64{}
	for _, m := range families[name].GetMetric() {
		values[labelOf(m, by)] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return values
}

// GPUs fall off the bus, are cut into MIG devices and cut anew while the exporter runs: what a scrape shows is what
// is there, and nothing of before.
func TestExporterGPUsChange(t *testing.T) {
	e, nvml, server := exporterOfGPUs(t)
	whole := func(index int) inspect.GPU {
		return inspect.GPU{Index: index, UUID: fmt.Sprint("GPU-", index), PCIBusID: fmt.Sprintf("0000:0%d:00.0", index), TemperatureCelsius: ptrTo(40 + index), MemoryUsedBytes: ptrTo(uint64(1 << 30)), MemoryFreeBytes: ptrTo(uint64(1 << 30)), Processes: []inspect.GPUProcess{}}
	}
	cut := func(index int, instances ...int) inspect.GPU {
		g := whole(index)
		g.MIG = &inspect.MIG{Enabled: true}
		for i, gi := range instances {
			g.MIG.Devices = append(g.MIG.Devices, inspect.MIGDevice{Index: i, Profile: "1g.10gb", GPUInstanceID: ptrTo(gi), MemoryUsedBytes: ptrTo(uint64(gi) << 30), MemoryFreeBytes: ptrTo(uint64(1 << 30)), Processes: []inspect.GPUProcess{}})
		}
		return g
	}
	lost := inspect.GPU{Index: 1, UUID: "GPU-1", PCIBusID: "0000:01:00.0", Error: "GPU is lost"}
	for _, step := range []struct {
		name     string
		gpus     []inspect.GPU
		err      error
		up, temp string // by GPU
		mig      string // memory by instance
		nvmlUp   float64
	}{
		{"two GPUs", []inspect.GPU{whole(0), whole(1)}, nil, "map[0:1 1:1]", "map[0:40 1:41]", "map[:1024]", 1},
		{"one falls off the bus", []inspect.GPU{whole(0), lost}, nil, "map[0:1 1:0]", "map[0:40]", "map[:1024]", 1},
		{"it is back", []inspect.GPU{whole(0), whole(1)}, nil, "map[0:1 1:1]", "map[0:40 1:41]", "map[:1024]", 1},
		{"one is taken out", []inspect.GPU{whole(0)}, nil, "map[0:1]", "map[0:40]", "map[:1024]", 1},
		{"cut into MIG devices", []inspect.GPU{cut(0, 7, 8, 9)}, nil, "map[0:1]", "map[0:40]", "map[:1024 7:7168 8:8192 9:9216]", 1},
		{"cut anew", []inspect.GPU{cut(0, 3, 9)}, nil, "map[0:1]", "map[0:40]", "map[:1024 3:3072 9:9216]", 1},
		{"two compute instances of one GPU instance", []inspect.GPU{cut(0, 3, 3)}, nil, "map[0:1]", "map[0:40]", "map[:1024 3:3072]", 1},
		{"whole again", []inspect.GPU{whole(0)}, nil, "map[0:1]", "map[0:40]", "map[:1024]", 1},
		{"NVML does not answer", nil, context.DeadlineExceeded, "map[]", "map[]", "map[]", 0},
		{"and does again", []inspect.GPU{whole(0)}, nil, "map[0:1]", "map[0:40]", "map[:1024]", 1},
		{"no GPU is left", []inspect.GPU{}, nil, "map[]", "map[]", "map[]", 1},
	} {
		nvml.set(step.gpus, step.err)
		e.stale()
		text, families := scrape(t, server)
		for _, c := range []struct{ what, want, got string }{
			{"docker_gpu_up", step.up, fmt.Sprint(seriesOf(families, "docker_gpu_up", "gpu"))},
			{"temperature", step.temp, fmt.Sprint(seriesOf(families, "DCGM_FI_DEV_GPU_TEMP", "gpu"))},
			{"memory by MIG instance", step.mig, fmt.Sprint(seriesOf(families, "DCGM_FI_DEV_FB_USED", "GPU_I_ID"))},
			{"docker_gpu_source_up", fmt.Sprint(map[string]float64{"nvml": step.nvmlUp}), fmt.Sprint(seriesOf(families, "docker_gpu_source_up", "source"))},
		} {
			if c.got != c.want {
				t.Errorf("%s: %s is %s, want %s", step.name, c.what, c.got, c.want)
			}
		}
		once(t, text)
	}
	if n := len(e.page.labels); n > 5 {
		t.Errorf("labels of %d things are kept for a machine without GPU", n)
	}
}

// once holds that no series is there twice, which a scraper refuses.
func once(t *testing.T, text string) {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasPrefix(line, "#") && seen[name] {
			t.Errorf("twice: %s", name)
		}
		seen[name] = true
	}
}

func ptrTo[T any](v T) *T { return &v }

// A child that hangs in the driver costs its deadline once: then the exporter says that the source is down, and up
// again when another child answers. How the distance between two of them grows is tested where it is made.
func TestExporterReplacesHungChild(t *testing.T) {
	ill := filepath.Join(t.TempDir(), "ill")
	if err := os.WriteFile(ill, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e, _, server := exporterOfGPUs(t)
	e.stream = inspect.NewNVMLStream("/bin/sh", "-c", `[ ! -e `+ill+` ] || exec sleep 600
while read -r line; do echo '{"driver": {"version": "570.86.15"}, "gpus": [{"index": 0, "uuid": "GPU-a", "temperatureCelsius": 41}]}'; done`)
	defer e.close()
	e.machine.NVML = e.stream.Read
	e.timeout = 500 * time.Millisecond // only this one is to meet its deadline, however slow the machine
	_, families := scrape(t, server)
	if up := seriesOf(families, "docker_gpu_source_up", "source"); up["nvml"] != 0 || len(up) != 1 || families["DCGM_FI_DEV_GPU_TEMP"] != nil {
		t.Errorf("while it hangs: %v", up)
	}
	e.timeout = time.Minute
	e.stale()
	if err := os.Remove(ill); err != nil {
		t.Fatal(err)
	}
	_, families = scrape(t, server)
	if up := seriesOf(families, "docker_gpu_source_up", "source"); up["nvml"] != 1 || seriesOf(families, "DCGM_FI_DEV_GPU_TEMP", "gpu")["0"] != 41 {
		t.Errorf("the next one answers: %v", up)
	}
	e.stream.Close()
	e.machine.NVML = func(context.Context) (*inspect.NVMLAnswer, error) {
		return nil, errors.New("exit status 3; next attempt in 16s")
	}
	e.stale()
	if _, families = scrape(t, server); seriesOf(families, "docker_gpu_source_up", "source")["nvml"] != 0 {
		t.Error("while it waits for the next attempt, the source is said to be up")
	}
}

// A thousand containers come and go: at any time the series are those of the containers that run, and nothing of
// those that went is kept.
func TestExporterContainersComeAndGo(t *testing.T) {
	const all, together = 1000, 8
	sim := startEngine(t)
	a := appFor(t, "unix://"+sim.socket, os.Stdout, os.Stderr)
	e := newExporter(a, a.machine("default"), time.Minute)
	root := t.TempDir()
	nvml := &changingGPUs{}
	e.machine.Root, e.machine.NVML, e.machine.Booted = inspect.Root(root), nvml.read, nil
	e.sources = []inspect.Source{inspect.EngineSource, e.watch.Source(), inspect.NVMLSource, e.watch.Swarm()}
	server := httptest.NewServer(e.handler())
	t.Cleanup(server.Close)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { e.watch.Run(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	if _, families := scrape(t, server); seriesOf(families, "docker_gpu_source_up", "source")["containers"] != 1 {
		t.Fatalf("the engine is not read: %v", seriesOf(families, "docker_gpu_source_up", "source"))
	}
	gpu := func(running []int) []inspect.GPU {
		g := inspect.GPU{Index: 0, UUID: "GPU-a", EnergyJoules: ptrTo(1000.0), Processes: []inspect.GPUProcess{}}
		for _, n := range running {
			g.Processes = append(g.Processes, inspect.GPUProcess{PID: 5000 + n, MemoryUsedBytes: ptrTo(uint64(n + 1)), GPUUtilPercent: ptrTo(uint32(5))})
		}
		return []inspect.GPU{g}
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var running []int
	var heapBefore uint64
	goroutines := 0
	for n := range all {
		folder := filepath.Join(root, "proc", fmt.Sprint(5000+n))
		if err := errors.Join(os.MkdirAll(folder, 0o755),
			os.WriteFile(filepath.Join(folder, "stat"), fmt.Appendf(nil, "%d (python) S 1 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 %d 0 0\n", 5000+n, n+1), 0o644),
			os.WriteFile(filepath.Join(folder, "cgroup"), []byte("0::/system.slice/docker-"+simID(n)+".scope\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
		running = append(running, n)
		sim.run(simContainer{id: simID(n), name: fmt.Sprint("job-", n), image: "busybox", state: "running", pid: 5000 + n, labels: map[string]string{"com.docker.compose.service": fmt.Sprint("job-", n)},
			host: map[string]any{"DeviceRequests": []map[string]any{{"Driver": "", "Count": -1, "Capabilities": [][]string{{"gpu"}}}}}})
		if len(running) > together {
			sim.end(simID(running[0]))
			_ = os.RemoveAll(filepath.Join(root, "proc", fmt.Sprint(5000+running[0])))
			running = running[1:]
		}
		nvml.set(gpu(running), nil)
		if n%20 != 19 {
			continue
		}
		want := map[string]float64{}
		for _, n := range running {
			want[fmt.Sprint("job-", n)] = float64(n + 1)
		}
		var text string
		for range 3000 { // the events are on their way
			e.stale()
			var families map[string]*dto.MetricFamily
			text, families = scrape(t, server)
			if fmt.Sprint(seriesOf(families, "docker_gpu_container_memory_used_bytes", "container")) == fmt.Sprint(want) && len(families["docker_gpu_container_info"].GetMetric()) == together {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
		shown := map[string]bool{}
		for line := range strings.Lines(text) {
			if _, after, ok := strings.Cut(line, `container="`); ok {
				name, _, _ := strings.Cut(after, `"`)
				shown[name] = true
			}
		}
		if len(shown) != together || !shown[fmt.Sprint("job-", n)] {
			t.Fatalf("after %d containers, series are there of %v", n+1, shown)
		}
		once(t, text)
		if n+1 == 200 {
			heapBefore, goroutines = heap(), runtime.NumGoroutine()
		}
	}
	if kept := len(e.page.labels); kept > 40 {
		t.Errorf("labels of %d things are kept for %d containers on one GPU", kept, together)
	}
	if n := len(e.energy.joules); n != together {
		t.Errorf("the energy of %d containers is kept, %d run", n, together)
	}
	if after := heap(); after > heapBefore+2<<20 {
		t.Errorf("800 containers more left %d KiB on the heap", (after-heapBefore)>>10)
	}
	if n := runtime.NumGoroutine(); n > goroutines+10 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
}
