//go:build gpu && linux && cgo

package gpu

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docker-gpu/docker-gpu/inspect"
	"github.com/docker-gpu/docker-gpu/plugin/nvmlchild"
)

const child = nvmlchild.Command // by importing its package this binary is the child, too

func TestMain(m *testing.M) {
	if why := noGPU(); why != "" {
		fmt.Println("test-gpu: there is no NVIDIA GPU to compare with here: " + why)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func noGPU() string {
	if _, err := exec.LookPath("nvidia-smi"); err != nil {
		return "no nvidia-smi"
	}
	out, err := exec.Command("nvidia-smi", "-L").CombinedOutput()
	if line, _, _ := strings.Cut(string(out), "\n"); err != nil || !strings.HasPrefix(line, "GPU ") {
		return line
	}
	return ""
}

func run(ctx context.Context, argv ...string) ([]byte, error) {
	return exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
}

func machine(t *testing.T) inspect.Machine {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return inspect.Machine{Root: "/", Host: "unix:///var/run/docker.sock", Now: time.Now, Run: run,
		NVML: inspect.NVMLFromChild(self, child), NVMLBrief: inspect.NVMLFromChild(self, child, "--brief"),
		NVMLTopology: inspect.NVMLFromChild(self, child, "--topology")}
}

func read(t *testing.T, m inspect.Machine, sources ...inspect.Source) *inspect.Snapshot {
	t.Helper()
	s := inspect.Collect(t.Context(), m, time.Minute, sources...)
	for _, r := range s.Sources {
		if r.Error != "" {
			t.Fatalf("%s: %s", r.Name, r.Error)
		}
	}
	return s
}

// startLoad starts a process that takes memory of GPU 0 and keeps it busy.
func startLoad(t *testing.T, mebibytes string) int {
	t.Helper()
	program := filepath.Join(t.TempDir(), "load")
	if out, err := exec.Command("cc", "-O1", "-o", program, "load/load.c", "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(program, mebibytes)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the load does not run: %q, %v", line, err)
	}
	return cmd.Process.Pid
}

// Every figure that nvidia-smi -q -x has, with a load of our own on the first GPU.
func TestAgainstNVIDIASMI(t *testing.T) {
	pid := startLoad(t, "512")
	time.Sleep(3 * time.Second) // samples of utilisation are up to a second old
	m := machine(t)
	through := m
	through.NVML = nil // leaves nvidia-smi
	before := read(t, m, inspect.NVMLSource)
	theirs := read(t, through, inspect.NVMLSource)
	after := read(t, m, inspect.NVMLSource)
	for _, line := range compare(before.GPUs, theirs.GPUs, after.GPUs) {
		t.Error(line)
	}
	t.Logf("%d figures compared", len(figures(theirs.GPUs)))
	if before.Driver.Version != theirs.Driver.Version || before.Driver.CUDAVersion != theirs.Driver.CUDAVersion {
		t.Errorf("driver %+v, nvidia-smi %+v", before.Driver, theirs.Driver)
	}
	found := false
	for i := range before.GPUs {
		for _, line := range compareProcesses(before.GPUs[i].Processes, theirs.GPUs[i].Processes, after.GPUs[i].Processes) {
			t.Errorf("GPU %d: %s", i, line)
		}
		for _, p := range after.GPUs[i].Processes {
			if p.PID != pid {
				continue
			}
			found = true
			if p.MemoryUsedBytes == nil || *p.MemoryUsedBytes < 512<<20 || p.Name != "load" {
				t.Errorf("our load: %+v", p)
			}
			if p.GPUUtilPercent == nil {
				t.Logf("no utilisation of single processes on this GPU")
			} else if *p.GPUUtilPercent == 0 && len(after.GPUs[i].Processes) == 1 { // another's longer kernels can leave it next to nothing
				t.Error("our load does nothing")
			}
		}
	}
	if !found {
		t.Errorf("our load, process %d, is on no GPU", pid)
	}
}

func TestAgainstTopo(t *testing.T) {
	out, err := run(t.Context(), "nvidia-smi", "topo", "-m")
	if err != nil {
		t.Fatal(err)
	}
	want := parseMatrix(string(out))
	s := read(t, machine(t), inspect.TopologySource)
	if s.Topology == nil {
		t.Fatal("no wiring")
	}
	for _, p := range s.Topology.Pairs {
		kind := p.Level
		if p.NVLinks > 0 {
			kind = fmt.Sprintf("NV%d", p.NVLinks)
		}
		if theirs := want.types[[2]string{fmt.Sprintf("GPU%d", p.A), fmt.Sprintf("GPU%d", p.B)}]; theirs != kind {
			t.Errorf("GPU %d and %d: %s, nvidia-smi %s", p.A, p.B, kind, theirs)
		}
	}
	for _, g := range s.Topology.GPUs {
		if theirs := want.cpus[fmt.Sprintf("GPU%d", g.Index)]; theirs != g.CPUAffinity {
			t.Errorf("GPU %d: processors %s, nvidia-smi %s", g.Index, g.CPUAffinity, theirs)
		}
	}
}

// The Snapshot is kept, so that checks and the fake driver can be held against it where there is no GPU.
// What identifies the GPU is replaced.
func TestWriteFixture(t *testing.T) {
	s := read(t, machine(t), inspect.DriverSource, inspect.TopologySource)
	s.Host, s.Tool, s.TakenAt = nil, nil, time.Time{}
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	stand, seen := 0, map[string]string{}
	data = regexp.MustCompile(`(GPU|MIG)-[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}`).ReplaceAllFunc(data, func(id []byte) []byte {
		if seen[string(id)] == "" {
			seen[string(id)] = fmt.Sprintf("%s-%08x-0000-4000-8000-000000000000", id[:3], stand)
			stand++
		}
		return []byte(seen[string(id)])
	})
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(s.GPUs[0].Name), "-")
	file := filepath.Join("testdata", fmt.Sprintf("%dx-%s-%s.json", len(s.GPUs), name, s.Driver.Version))
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Println("wrote e2e/gpu/" + file)
}
