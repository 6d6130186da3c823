package plugin

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// exporterOn serves what sources put into a Snapshot.
func exporterOn(t *testing.T, change func(*inspect.Snapshot)) (*exporter, *httptest.Server) {
	t.Helper()
	e := &exporter{app: &app{version: "test"}, timeout: time.Minute, machine: inspect.Machine{Root: inspect.Root(t.TempDir()), Now: time.Now}}
	e.sources = []inspect.Source{{Name: "test", Read: func(context.Context, inspect.Machine) (inspect.Patch, error) { return change, nil }}}
	server := httptest.NewServer(e.handler())
	t.Cleanup(server.Close)
	return e, server
}

func scrape(t *testing.T, server *httptest.Server) (string, map[string]*dto.MetricFamily) {
	t.Helper()
	response, err := http.Get(server.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v\n%s", response.Status, err, data)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(data)))
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return string(data), families
}

// What is exported of the recorded machine with eight GPUs, whole.
func TestExporterMetrics(t *testing.T) {
	recorded, err := readSnapshot("../examples/snapshots/eight-gpus.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, server := exporterOn(t, func(s *inspect.Snapshot) {
		s.Host, s.Engine, s.GPUs, s.Containers, s.Driver, s.Toolkit, s.CDI = recorded.Host, recorded.Engine, recorded.GPUs, recorded.Containers, recorded.Driver, recorded.Toolkit, recorded.CDI
	})
	text, _ := scrape(t, server)
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "docker_gpu_collect_seconds ") {
			kept = append(kept, line)
		}
	}
	golden, got := "testdata/exporter.golden", strings.Join(kept, "")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// A figure that the GPU does not have is absent, never zero; a lost GPU is said to be down; MIG devices
// have their own series.
func TestExporterAbsence(t *testing.T) {
	used, total := uint64(3<<30), uint64(10<<30)
	gi := 7
	_, server := exporterOn(t, func(s *inspect.Snapshot) {
		s.GPUs = []inspect.GPU{{Index: 0, UUID: "GPU-a", MIG: &inspect.MIG{Enabled: true, Devices: []inspect.MIGDevice{{Profile: "1g.10gb", GPUInstanceID: &gi, MemoryUsedBytes: &used, MemoryFreeBytes: &total}}}},
			{Index: 1, UUID: "GPU-b", Error: "GPU is lost"}}
	})
	_, families := scrape(t, server)
	for _, absent := range []string{"DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_DRAM_ACTIVE", "docker_gpu_container_info", "docker_gpu_container_memory_used_bytes"} {
		if families[absent] != nil {
			t.Errorf("%s is there", absent)
		}
	}
	up := map[string]float64{}
	for _, m := range families["docker_gpu_up"].GetMetric() {
		up[labelOf(m, "gpu")] = m.GetGauge().GetValue()
	}
	if up["0"] != 1 || up["1"] != 0 {
		t.Errorf("up: %v", up)
	}
	mig := families["DCGM_FI_DEV_FB_USED"].GetMetric()
	if len(mig) != 1 || labelOf(mig[0], "GPU_I_PROFILE") != "1g.10gb" || labelOf(mig[0], "GPU_I_ID") != "7" || mig[0].GetGauge().GetValue() != 3072 {
		t.Errorf("MIG: %v", mig)
	}
}

// What MIG devices do has DCGM's name for it, and is nobody's utilisation of the GPU.
func TestExporterMIGUtilization(t *testing.T) {
	percent, first, second := func(v uint32) *uint32 { return &v }, 7, 8
	_, server := exporterOn(t, func(s *inspect.Snapshot) {
		on := inspect.GPUProcess{PID: 1, ContainerID: "c"}
		s.GPUs = []inspect.GPU{{Index: 0, UUID: "GPU-a", Processes: []inspect.GPUProcess{on}, MIG: &inspect.MIG{Enabled: true, Devices: []inspect.MIGDevice{
			{Index: 0, Profile: "1g.10gb", GPUInstanceID: &first, GPUUtilPercent: percent(74), MemoryUtilPercent: percent(0), Processes: []inspect.GPUProcess{on}},
			{Index: 1, Profile: "1g.10gb", GPUInstanceID: &second}}}}}
		s.Containers = []inspect.Container{{ID: "c", Name: "train"}}
	})
	_, families := scrape(t, server)
	for name, want := range map[string]float64{"DCGM_FI_PROF_GR_ENGINE_ACTIVE": 0.74, "DCGM_FI_PROF_DRAM_ACTIVE": 0} {
		m := families[name].GetMetric()
		if len(m) != 1 || labelOf(m[0], "GPU_I_ID") != "7" || labelOf(m[0], "GPU_I_PROFILE") != "1g.10gb" || labelOf(m[0], "UUID") != "GPU-a" || m[0].GetGauge() == nil || m[0].GetGauge().GetValue() != want {
			t.Errorf("%s: %v", name, m)
		}
	}
	if m := families["docker_gpu_container_utilization_ratio"]; m != nil {
		t.Errorf("of the GPU: %v", m)
	}
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// Names from outside break neither the format nor a terminal that shows it.
func TestExporterHostileLabels(t *testing.T) {
	memory := uint64(1)
	for _, name := range []string{"a\nb", `quote " and \ backslash`, "\xff\xfe", "\x1b[2J", "\u202eright to left", strings.Repeat("é", 10_000), "} 1\nevil_metric 2"} {
		_, server := exporterOn(t, func(s *inspect.Snapshot) {
			s.GPUs = []inspect.GPU{{Index: 0, UUID: name, Name: name, Processes: []inspect.GPUProcess{{PID: 1, ContainerID: name, MemoryUsedBytes: &memory}}}}
			s.Containers = []inspect.Container{{ID: name, Name: name, Image: name, ComposeProject: name, ComposeService: name}}
		})
		text, families := scrape(t, server)
		if families["docker_gpu_container_memory_used_bytes"] == nil || families["evil_metric"] != nil {
			t.Errorf("%q: its series are not there, or others are", name)
		}
		for _, r := range text {
			if r != '\n' && r != '\ufffd' && harmful(r) {
				t.Errorf("%q: %q is in the output", name, r)
			}
		}
	}
}

// However many ask at once, the machine is looked at once.
func TestExporterCollectsOnce(t *testing.T) {
	var looks atomic.Int32
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	e, server := exporterOn(t, nil)
	e.sources = []inspect.Source{{Name: "slow", Read: func(context.Context, inspect.Machine) (inspect.Patch, error) {
		looks.Add(1)
		entered <- struct{}{}
		<-leave
		return func(*inspect.Snapshot) {}, nil
	}}}
	var scrapers sync.WaitGroup
	for range 20 {
		scrapers.Go(func() { scrape(t, server) })
	}
	<-entered
	close(leave)
	scrapers.Wait()
	if n := looks.Load(); n > 2 { // late scrapers may find the first look already old
		t.Errorf("20 scrapers made %d looks", n)
	}
}

// Each container's share of the energy follows its utilisation; nobody's energy is nobody's; a container
// that is gone leaves nothing behind.
func TestEnergyShares(t *testing.T) {
	joules := func(v float64) *float64 { return &v }
	percent := func(v uint32) *uint32 { return &v }
	look := func(energy float64, a, b *uint32) *inspect.Snapshot {
		s := &inspect.Snapshot{GPUs: []inspect.GPU{{Index: 0, UUID: "GPU-a", EnergyJoules: joules(energy), Processes: []inspect.GPUProcess{}}}}
		for i, util := range []*uint32{a, b} {
			if util == nil {
				continue
			}
			p := inspect.GPUProcess{PID: i + 1, GPUUtilPercent: util}
			s.GPUs[0].Processes = append(s.GPUs[0].Processes, p)
			s.Containers = append(s.Containers, inspect.Container{ID: fmt.Sprint("c", i), Usage: &inspect.Usage{Processes: []inspect.UsageProcess{{GPU: 0, GPUProcess: p}}}})
		}
		return s
	}
	var e energyShares
	for _, step := range []struct {
		name   string
		s      *inspect.Snapshot
		c0, c1 float64
	}{
		{"the first reading is only a start", look(1000, percent(60), percent(20)), 0, 0},
		{"three quarters and one", look(1100, percent(60), percent(20)), 75, 25},
		{"idle energy is nobody's", look(1200, percent(0), percent(0)), 75, 25},
		{"the driver was loaded anew", look(50, percent(50), percent(50)), 75, 25},
		{"and it goes on", look(150, percent(50), percent(50)), 125, 75},
	} {
		got := e.add(step.s)
		if got[holder{"c0", 0}] != step.c0 || got[holder{"c1", 0}] != step.c1 {
			t.Errorf("%s: %v", step.name, got)
		}
	}
	if got := e.add(look(250, percent(10), nil)); len(got) != 1 || len(e.joules) != 1 {
		t.Errorf("a container that is gone is still there: %v", got)
	}
}

// Every metric of ours that is DCGM's has the type and the help of dcgm-exporter's own list.
func TestDCGMCounters(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "dcgm-counters.txt"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string][2]string{}
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSpace(line), "|", 3)
		if len(parts) == 3 {
			listed[parts[0]] = [2]string{parts[1], parts[2]}
		}
	}
	for _, m := range append([]gpuMetric{{name: migActive.name, kind: migActive.kind, help: migActive.help}, {name: migMemoryActive.name, kind: migMemoryActive.kind, help: migMemoryActive.help}}, gpuMetrics...) {
		if got := [2]string{strings.ToLower(m.kind.String()), m.help}; listed[m.name] != got {
			t.Errorf("%s: %v, dcgm-exporter has %v", m.name, got, listed[m.name])
		}
	}
}

// What a manager tells of its swarm; GPUs of a node that takes no tasks are free for nobody.
func TestExporterSwarm(t *testing.T) {
	_, server := exporterOn(t, func(s *inspect.Snapshot) {
		s.Swarm = &inspect.SwarmView{
			Nodes: []inspect.SwarmNode{
				{ID: "n1", Name: "ada", State: "ready", Availability: "active", GPUs: map[string]inspect.SwarmGPUs{"NVIDIA-GPU": {Total: 4, Placed: 3}, "gpu": {Total: 1}}},
				{ID: "n2", Name: "bert", State: "ready", Availability: "drain", GPUs: map[string]inspect.SwarmGPUs{"NVIDIA-GPU": {Total: 2}}},
				{ID: "n3", Name: "ada", State: "down", Availability: "active", GPUs: map[string]inspect.SwarmGPUs{}},
			},
			Waiting: []inspect.SwarmTask{
				{ID: "t1", Service: "train", Slot: 1, GPUs: map[string]int64{"NVIDIA-GPU": 2}},
				{ID: "t2", Service: "train", Slot: 2, GPUs: map[string]int64{"NVIDIA-GPU": 2}},
				{ID: "t3", Service: "a\nb", GPUs: map[string]int64{"gpu": 1}},
			},
		}
	})
	text, _ := scrape(t, server)
	var got []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "docker_gpu_swarm") {
			got = append(got, line)
		}
	}
	want := `docker_gpu_swarm_gpus_wanted{resource="gpu",service="a\\x0ab"} 1
docker_gpu_swarm_gpus_wanted{resource="NVIDIA-GPU",service="train"} 4
docker_gpu_swarm_node_gpus{node="ada",node_id="n1",resource="NVIDIA-GPU"} 4
docker_gpu_swarm_node_gpus{node="ada",node_id="n1",resource="gpu"} 1
docker_gpu_swarm_node_gpus{node="bert",node_id="n2",resource="NVIDIA-GPU"} 2
docker_gpu_swarm_node_gpus_free{node="ada",node_id="n1",resource="NVIDIA-GPU"} 1
docker_gpu_swarm_node_gpus_free{node="ada",node_id="n1",resource="gpu"} 1
docker_gpu_swarm_node_gpus_free{node="bert",node_id="n2",resource="NVIDIA-GPU"} 0
docker_gpu_swarm_node_gpus_placed{node="ada",node_id="n1",resource="NVIDIA-GPU"} 3
docker_gpu_swarm_node_gpus_placed{node="ada",node_id="n1",resource="gpu"} 0
docker_gpu_swarm_node_gpus_placed{node="bert",node_id="n2",resource="NVIDIA-GPU"} 0
docker_gpu_swarm_node_up{node="ada",node_id="n1"} 1
docker_gpu_swarm_node_up{node="bert",node_id="n2"} 0
docker_gpu_swarm_node_up{node="ada",node_id="n3"} 0
docker_gpu_swarm_tasks_waiting{service="a\\x0ab"} 1
docker_gpu_swarm_tasks_waiting{service="train"} 2
`
	if diff := cmp.Diff(want, strings.Join(got, "")); diff != "" {
		t.Error(diff)
	}
}

// Scrapers that never end their question, never read the answer, or hang up, keep nobody from being answered, and
// leave nothing behind.
func TestExporterSlowScrapers(t *testing.T) {
	entered, leave := make(chan struct{}, 1000), make(chan struct{})
	e := &exporter{app: &app{version: "test"}, timeout: time.Minute, machine: inspect.Machine{Root: inspect.Root(t.TempDir()), Now: time.Now}}
	e.sources = []inspect.Source{{Name: "slow", Read: func(context.Context, inspect.Machine) (inspect.Patch, error) {
		entered <- struct{}{}
		<-leave
		return func(*inspect.Snapshot) {}, nil
	}}}
	scrapers := scrapeServer(e.handler())
	if scrapers.ReadHeaderTimeout == 0 || scrapers.ReadTimeout == 0 || scrapers.WriteTimeout == 0 || scrapers.IdleTimeout == 0 {
		t.Errorf("a time without end: %+v", scrapers)
	}
	scrapers.ReadHeaderTimeout = 2 * time.Second // long enough for a scraper on a busy machine
	server := httptest.NewUnstartedServer(nil)
	server.Config = scrapers
	server.Start()
	defer server.Close()
	dial := func(say string) net.Conn {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, say); err != nil {
			t.Fatal(err)
		}
		return c
	}
	const question = "GET /metrics HTTP/1.1\r\nHost: a\r\n"
	for range 50 { // while the machine is looked at, which takes its time
		dial(question + "\r\n").Close()
	}
	<-entered
	close(leave)
	var never []net.Conn
	for range 100 {
		never = append(never, dial(question+"X-Slow: "))
		dial(question + "\r\n") // and does not read
	}
	if _, families := scrape(t, server); families["docker_gpu_collect_seconds"] == nil {
		t.Error("no answer beside them")
	}
	for _, c := range never {
		if n, err := c.Read(make([]byte, 1)); err == nil && n > 0 { // "408 Request Timeout" would do too
			continue
		} else if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("not ended by the server: %v", err)
		}
	}
}

// The answer is packed for those who can unpack it, and for nobody else.
func TestExporterEncoding(t *testing.T) {
	_, server := exporterOn(t, func(s *inspect.Snapshot) {
		for i := range 50 {
			s.GPUs = append(s.GPUs, inspect.GPU{Index: i, UUID: fmt.Sprint("GPU-", i)})
		}
	})
	for _, c := range []struct{ accept, want string }{{"gzip", "gzip"}, {"gzip;q=1.0, identity;q=0.5", "gzip"}, {"identity", ""}, {"", ""}, {"br", ""}, {"gzip;q=0", ""}, {"zstd", ""}} {
		request, err := http.NewRequest(http.MethodGet, server.URL+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept-Encoding", c.accept)
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		body := io.Reader(response.Body)
		if got := response.Header.Get("Content-Encoding"); got != c.want {
			t.Errorf("Accept-Encoding %q: answered in %q", c.accept, got)
		} else if got == "gzip" {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		data, err := io.ReadAll(body)
		response.Body.Close()
		if err != nil || !strings.Contains(string(data), `docker_gpu_up{UUID="GPU-49",gpu="49"} 1`) {
			t.Errorf("Accept-Encoding %q: %v, %d bytes", c.accept, err, len(data))
		}
	}
}

// What is wrong with an address or a file is said before anything listens.
func TestExporterBadInput(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	garbage := file("garbage.pem", "garbage")
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"--listen", "nowhere"}, 125, `ADDRESS:PORT, not "nowhere"`},
		{[]string{"--listen", "127.0.0.1:99999"}, 125, `"99999" is no port`},
		{[]string{"--listen", "127.0.0.1:-1"}, 125, `"-1" is no port`},
		{[]string{"--timeout=-1s"}, 125, "longer than 0"},
		{[]string{"--listen", taken.Addr().String()}, 1, "cannot listen on " + taken.Addr().String()},
		{[]string{"--listen", "203.0.113.1:9400"}, 1, "cannot listen on 203.0.113.1:9400"},
		{[]string{"--web.config.file", filepath.Join(folder, "nowhere.yml")}, 1, "nowhere.yml: no such file"},
		{[]string{"--web.config.file", file("cut.yml", "tls_server_config: {cert_file: a.pem")}, 1, "cut.yml: yaml: line 1"},
		{[]string{"--web.config.file", file("unknown.yml", "tls: {}")}, 1, "field tls not found"},
		{[]string{"--web.config.file", file("absent.yml", "tls_server_config: {cert_file: no.pem, key_file: no.pem}")}, 1, "no.pem: no such file"},
		{[]string{"--web.config.file", file("garbage.yml", "tls_server_config: {cert_file: "+garbage+", key_file: "+garbage+"}")}, 1, "garbage.yml: failed to load X509KeyPair"},
	} {
		args := append([]string{"exporter"}, c.args...)
		if !slices.Contains(args, "--listen") {
			args = append(args, "--listen", "127.0.0.1:0")
		}
		out, said, code := runGPU(t, "unix:///nowhere", args...)
		if out != "" || code != c.code || !strings.Contains(said, c.text) {
			t.Errorf("%q: exit status %d, %s%s; want %d, %q", c.args, code, out, said, c.code, c.text)
		}
	}
}
