package fakenvml

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/docker-gpu/docker-gpu/inspect"
	"github.com/docker-gpu/docker-gpu/inspect/gpu"
	"github.com/docker-gpu/docker-gpu/plugin/nvmlchild"
)

var update = flag.Bool("update", false, "write the golden files anew")

// child is the command by which the test binary stands in for docker-gpu's NVML child: it really loads the
// library, by the loader's path of its environment.
const child = nvmlchild.Command

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "fakenvml"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// machine is one whose driver is the library in folder with the scenario in file.
func machine(t *testing.T, folder, file string) inspect.Machine {
	t.Helper()
	for _, variable := range Env(folder, file) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return inspect.Machine{
		Root:         inspect.Root(t.TempDir()),
		Host:         "unix:///var/run/docker.sock",
		NVML:         inspect.NVMLFromChild(self, child),
		NVMLBrief:    inspect.NVMLFromChild(self, child, "--brief"),
		NVMLTopology: inspect.NVMLFromChild(self, child, "--topology"),
		Now:          time.Now,
	}
}

// scenario is a machine's, or that of this folder in which each figure has a value of its own.
func scenario(name string) string {
	if name == "figures" {
		return filepath.Join("testdata", "figures.scenario")
	}
	return Scenario(name)
}

// collect reads the GPUs; a deadline is for the one case that is to meet it.
func collect(t *testing.T, m inspect.Machine, each time.Duration, source inspect.Source) *inspect.Snapshot {
	t.Helper()
	s := inspect.Collect(t.Context(), m, each, source)
	s.TakenAt = time.Time{}
	for i := range s.Sources {
		s.Sources[i].TookSeconds = 0
	}
	return s
}

func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// Each figure of figures.scenario has a value of its own, so that none can stand in another's place. A
// library of driver 535 gives the same, but for what came later.
func TestFigures(t *testing.T) {
	lib := built(t)
	for _, name := range []string{"figures", "mig", "rtx-laptop", "tesla-t4-535"} {
		t.Run(name, func(t *testing.T) {
			file := scenario(name)
			s := collect(t, machine(t, lib.Folder, file), time.Minute, inspect.NVMLSource)
			golden(t, name, s)
			old := collect(t, machine(t, lib.Driver535, file), time.Minute, inspect.NVMLSource)
			if diff := cmp.Diff(s, old); diff != "" {
				t.Errorf("with the functions of driver 535 (-all +535):\n%s", diff)
			}
		})
	}
}

// Checks judge what is read briefly; it lacks what is named here, and nothing else.
func TestBrief(t *testing.T) {
	lib := built(t)
	for _, name := range []string{"figures", "mig", "eight-h100", "lost-gpu"} {
		t.Run(name, func(t *testing.T) {
			file := scenario(name)
			m := machine(t, lib.Folder, file)
			want, got := collect(t, m, time.Minute, inspect.NVMLSource), collect(t, m, time.Minute, inspect.NVMLBriefSource)
			for i := range want.GPUs {
				g := &want.GPUs[i]
				g.EnergyJoules, g.GraphicsClockMHz, g.VideoClockMHz = nil, nil, nil
				g.MaxGraphicsClockMHz, g.MaxSMClockMHz, g.MaxMemoryClockMHz, g.MaxVideoClockMHz = nil, nil, nil, nil
				g.PowerViolationSeconds, g.ThermalViolationSeconds, g.SyncBoostViolationSeconds = nil, nil, nil
				g.BoardLimitViolationSeconds, g.LowUtilizationViolationSeconds, g.ReliabilityViolationSeconds = nil, nil, nil
				if g.PCIe != nil {
					g.PCIe.TxBytesPerSecond, g.PCIe.RxBytesPerSecond = nil, nil
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("read briefly (-whole +brief):\n%s", diff)
			}
		})
	}
}

// On a real driver clients of MPS have no utilisation of their own: it is their server's. A process that is idle has 0.
func TestUtilizationOfMPS(t *testing.T) {
	lib := built(t)
	file := filepath.Join(t.TempDir(), "s")
	if err := Write(file, "driver 580.159.04\ngpu 0\nname NVIDIA H100 80GB HBM3\nprocess 4194001 compute,mps 1216MiB\nprocess 4194002 compute 66MiB sm=99 mem=100\nprocess 4194003 compute 1MiB\n"); err != nil {
		t.Fatal(err)
	}
	got := map[int]*uint32{}
	for _, p := range collect(t, machine(t, lib.Folder, file), time.Minute, inspect.NVMLSource).GPUs[0].Processes {
		got[p.PID] = p.GPUUtilPercent
	}
	of := func(v uint32) *uint32 { return &v }
	if diff := cmp.Diff(map[int]*uint32{4194001: nil, 4194002: of(99), 4194003: of(0)}, got); diff != "" {
		t.Errorf("utilisation (-want +got):\n%s", diff)
	}
}

// These are what the tests of `docker gpu topo` read, as another machine's.
func TestTopology(t *testing.T) {
	lib := built(t)
	for _, name := range []string{"four-pcie", "eight-h100", "nvlink-bridge", "lost-gpu"} {
		t.Run(name, func(t *testing.T) {
			s := collect(t, machine(t, lib.Folder, Scenario(name)), time.Minute, inspect.TopologySource)
			golden(t, name, s)
			if s := collect(t, machine(t, lib.Folder, Scenario(name)), time.Minute, inspect.NVMLSource); s.Topology != nil {
				t.Error("the wiring was read though nobody asked")
			}
		})
	}
}

// Whatever the driver does, the answer is a Snapshot with one sentence, in time.
func TestFaults(t *testing.T) {
	lib := built(t)
	for _, c := range []struct {
		name, scenario string // text, or the name of a scenario
		nvml           string // NVML's words, or
		source         string // what the source says
		gpus           []string
	}{
		{"mismatch", "mismatch", "Driver/library version mismatch", "Driver/library version mismatch", nil},
		{"module not loaded", "driver-not-loaded", "Driver Not Loaded", "Driver Not Loaded", nil},
		{"devices taken away", "unknown-error", "Unknown Error", "Unknown Error", nil},
		{"not permitted", "fail nvmlInit NO_PERMISSION", "Insufficient Permissions", "Insufficient Permissions", nil},
		{"an error of no name here", "fail nvmlInit IRQ_ISSUE", "Interrupt Request Issue", "Interrupt Request Issue", nil},
		{"count fails", "fail nvmlDeviceGetCount UNKNOWN\ngpu 0", "Unknown Error", "Unknown Error", nil},
		{"no GPUs", "no-gpus", "", "", []string{}},
		{"lost", "lost-gpu", "", "", []string{"", "", "", "GPU is lost", "", "GPU is lost", "", ""}},
		{"reset", "reset-required", "", "", []string{"GPU requires reset"}},
		{"crash", "crash", "", "NVML child ended with exit status 2: SIGSEGV: segmentation violation", nil},
		{"abort", "gpu 0\nabort nvmlDeviceGetName", "", "NVML child ended with exit status 2: SIGABRT: abort", nil},
		{"every figure refused", "gpu 0\nfail * NO_PERMISSION", "", "", []string{""}},
		{"every figure unknown", "gpu 0\nfail * UNKNOWN", "", "", []string{""}},
		{"every figure unsupported", "gpu 0\nfail * NOT_SUPPORTED", "", "", []string{""}},
		{"hang", "hang", "", "answer", nil},
		{"hang at the start", "hang-init", "", "answer", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := Scenario(c.scenario)
			if _, err := os.Stat(file); err != nil {
				file = filepath.Join(t.TempDir(), "scenario")
				if err := Write(file, c.scenario+"\n"); err != nil {
					t.Fatal(err)
				}
			}
			each := time.Minute
			if strings.HasPrefix(c.name, "hang") {
				each = time.Second
			}
			s := collect(t, machine(t, lib.Folder, file), each, inspect.NVMLSource)
			source := s.Sources[0]
			if !strings.Contains(source.Error, c.source) || c.source == "" && source.Error != "" {
				t.Errorf("source: %+v, want %q", source, c.source)
			}
			if source.TimedOut != strings.HasPrefix(c.name, "hang") {
				t.Errorf("timed out: %+v", source)
			}
			if got := s.Driver; c.nvml != "" && (got == nil || got.NVMLError != c.nvml) || c.nvml == "" && got != nil && got.NVMLError != "" {
				t.Errorf("driver: %+v, want %q", got, c.nvml)
			}
			if (s.GPUs == nil) != (c.gpus == nil) || len(s.GPUs) != len(c.gpus) {
				t.Fatalf("%d GPUs, want %d (nil: %t)", len(s.GPUs), len(c.gpus), s.GPUs == nil)
			}
			for i, g := range s.GPUs {
				if g.Error != c.gpus[i] {
					t.Errorf("GPU %d: %q, want %q", i, g.Error, c.gpus[i])
				}
				if g.Error != "" && g.MemoryUsedBytes != nil {
					t.Errorf("GPU %d: a figure of a GPU that does not answer", i)
				}
			}
		})
	}
}

// A GPU that cannot even be found has its name from /proc/driver/nvidia.
func TestLostGPUHasItsName(t *testing.T) {
	lib := built(t)
	m := machine(t, lib.Folder, Scenario("lost-gpu"))
	for _, bus := range []string{"1b", "43", "52", "61", "9d", "c3", "d1", "df"} {
		folder := filepath.Join(string(m.Root), "proc/driver/nvidia/gpus/0000:"+bus+":00.0")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "information"), []byte("Model: \t\t NVIDIA H100 80GB HBM3\nGPU UUID: \t GPU-????????-????-????-????-????????????\nDevice Minor: \t 3\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(string(m.Root), "proc/driver/nvidia/version"), []byte("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := inspect.Collect(t.Context(), m, time.Minute, inspect.DriverSource, inspect.NVMLSource)
	if g := s.GPUs[3]; g.PCIBusID != "0000:61:00.0" || g.Name != "NVIDIA H100 80GB HBM3" || g.UUID != "" {
		t.Errorf("the lost GPU: %+v", g)
	}
}

// streamOf reads NVML again and again, by this test binary as its child.
func streamOf(t *testing.T) *inspect.NVMLStream {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stream := inspect.NewNVMLStream(self, child, "--stream")
	t.Cleanup(stream.Close)
	return stream
}

// A process that reads on sees what changes, and survives that the driver crashes under it.
func TestStream(t *testing.T) {
	lib := built(t)
	file := filepath.Join(t.TempDir(), "scenario")
	write := func(text string) {
		t.Helper()
		if err := Write(file, "driver 570.86.15\ngpu 0\n"+text+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	write("temp 40\nprocess 17 compute 1GiB sm=30")
	machine(t, lib.Folder, file)
	stream := streamOf(t)
	read := func() *inspect.NVMLAnswer {
		t.Helper()
		answer, err := stream.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if g := read().GPUs[0]; *g.TemperatureCelsius != 40 || *g.Processes[0].GPUUtilPercent != 30 {
		t.Errorf("first: %+v", g)
	}
	write("temp 50\nprocess 17 compute 2GiB\nprocess 18 graphics 64MiB sm=5")
	g := read().GPUs[0]
	if *g.TemperatureCelsius != 50 || len(g.Processes) != 2 || *g.Processes[0].GPUUtilPercent != 0 || *g.Processes[1].GPUUtilPercent != 5 {
		t.Errorf("changed: %+v", g)
	}
	write("crash nvmlDeviceGetTemperature")
	if _, err := stream.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "SIGSEGV: segmentation violation") {
		t.Errorf("crash: %v", err)
	}
	write("temp 60")
	if g := read().GPUs[0]; *g.TemperatureCelsius != 60 {
		t.Errorf("after the crash: %+v", g)
	}
	write("hang nvmlDeviceGetTemperature")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := stream.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hang: %v", err)
	}
	write("temp 70")
	if g := read().GPUs[0]; *g.TemperatureCelsius != 70 {
		t.Errorf("after the hang: %+v", g)
	}
}

// What MIG devices do is known from the second reading on, of those that NVML can tell it of, and no sample is left behind.
func TestStreamOfMIG(t *testing.T) {
	lib := built(t)
	for name, folder := range map[string]string{"newest": lib.Folder, "535": lib.Driver535} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "scenario")
			text, err := os.ReadFile(Scenario("mig"))
			if err != nil {
				t.Fatal(err)
			}
			write := func(change ...string) {
				t.Helper()
				if err := Write(file, strings.NewReplacer(change...).Replace(string(text))); err != nil {
					t.Fatal(err)
				}
			}
			write()
			machine(t, folder, file)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			cmd := exec.Command(self, child, "--stream")
			cmd.Stderr = &stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			answers := json.NewDecoder(out)
			read := func() string { // far enough from the reading before
				t.Helper()
				time.Sleep(150 * time.Millisecond)
				if _, err := io.WriteString(in, gpu.MovingRequest+"\n"); err != nil {
					t.Fatal(err)
				}
				var answer inspect.NVMLAnswer
				if err := answers.Decode(&answer); err != nil {
					t.Fatal(err)
				}
				var all []string
				for _, g := range answer.GPUs {
					for _, d := range g.MIG.Devices {
						figure := "?"
						if d.GPUUtilPercent != nil && d.MemoryUtilPercent != nil {
							figure = fmt.Sprintf("%d/%d", *d.GPUUtilPercent, *d.MemoryUtilPercent)
						}
						all = append(all, figure)
					}
				}
				return strings.Join(all, " ")
			}
			const nothing, known = "? ? ? ? ? ? ? ? ? ? ? ?", "0/0 97/41 12/3 0/0 0/0 100/88 0/0 74/38 8/1 0/0 ? ?"
			for i, want := range []string{nothing, known, known} {
				if got := read(); got != want {
					t.Errorf("reading %d: %s, want %s", i, got, want)
				}
			}
			for _, fault := range []string{"nvmlGpmMigSampleGet NO_PERMISSION", "nvmlGpmMetricsGet UNKNOWN"} {
				write("topology NODE", "topology NODE\nfail "+fault)
				if got := read(); got != nothing {
					t.Errorf("%s: %s", fault, got)
				}
			}
			write("architecture 9", "architecture 8")
			if got := read(); got != nothing {
				t.Errorf("Ampere: %s", got)
			}
			write("mig-device 6 uuid=MIG-a1b20006", "mig-device 6 uuid=MIG-a1b2000f")
			read()
			if got := read(); got != known {
				t.Errorf("afterwards: %s, want %s", got, known)
			}
			_ = in.Close()
			if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
				t.Errorf("%v: %s", err, stderr.String())
			}
		})
	}
}

// A call that crashes costs the child alone, as any other.
func TestCrashOfGPM(t *testing.T) {
	lib := built(t)
	file := filepath.Join(t.TempDir(), "scenario")
	text, err := os.ReadFile(Scenario("mig"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(file, "crash nvmlGpmMigSampleGet\n"+string(text)); err != nil {
		t.Fatal(err)
	}
	machine(t, lib.Folder, file)
	stream := streamOf(t)
	if _, err := stream.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "SIGSEGV: segmentation violation") {
		t.Errorf("got %v", err)
	}
}

// Another library than the loader's can be named.
func TestNamedLibrary(t *testing.T) {
	lib := built(t)
	m := machine(t, t.TempDir(), Scenario("rtx-laptop"))
	t.Setenv("DOCKER_GPU_NVML_LIBRARY", filepath.Join(lib.Folder, "libnvidia-ml.so.1"))
	if s := collect(t, m, time.Minute, inspect.NVMLSource); len(s.GPUs) != 1 {
		t.Errorf("%+v", s.Sources)
	}
	t.Setenv("DOCKER_GPU_NVML_LIBRARY", "/nowhere/libnvidia-ml.so.1")
	if s := collect(t, m, time.Minute, inspect.NVMLSource); !s.Sources[0].Absent || s.Sources[0].Note != "/nowhere/libnvidia-ml.so.1 is not installed: not there" {
		t.Errorf("%+v", s.Sources)
	}
}

// An answer stays one line, whatever names the driver gives.
func TestHostileNames(t *testing.T) {
	lib := built(t)
	file := filepath.Join(t.TempDir(), "scenario")
	name := "NVIDIA \x1b[31m\u202eH100\xff"
	if err := Write(file, "gpu 0\nname "+name+"\nuuid GPU-\x07\n"); err != nil {
		t.Fatal(err)
	}
	s := collect(t, machine(t, lib.Folder, file), time.Minute, inspect.NVMLSource)
	if len(s.GPUs) != 1 || !strings.HasPrefix(s.GPUs[0].Name, "NVIDIA \x1b[31m") {
		t.Fatalf("%+v", s)
	}
	data, err := json.Marshal(s)
	if err != nil || bytes.ContainsAny(data, "\x1b\x07\n") {
		t.Errorf("%q, %v", data, err)
	}
}
