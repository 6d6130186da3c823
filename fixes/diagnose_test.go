package fixes

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

func readTestSnapshot(t *testing.T, file string) *inspect.Snapshot {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &inspect.Snapshot{}
	if err := json.Unmarshal(data, s); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return s
}

func idsOf(found []Finding) []ID {
	ids := []ID{}
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	return ids
}

// Each check has a snapshot that yields exactly its cause, and a neighbour that yields nothing.
func TestChecks(t *testing.T) {
	for _, check := range Checks() {
		t.Run(string(check.ID), func(t *testing.T) {
			if _, known := Knowledge().Entry(check.ID); !known {
				t.Fatal("is not in the knowledge table")
			}
			file := filepath.Join("testdata", "snapshots", string(check.ID))
			if _, err := os.Stat(file + ".json"); err != nil {
				if slices.Contains(saidOnly, check.ID) {
					return
				}
				t.Fatal(err)
			}
			s := readTestSnapshot(t, file+".json")
			d := Diagnose(s, Scope{})
			if got := idsOf(d.Findings); !slices.Equal(got, []ID{check.ID}) {
				t.Errorf("found %v, want it alone\n%+v", got, d.Findings)
			}
			for _, f := range d.Findings {
				if len(f.Evidence) == 0 {
					t.Error("no evidence")
				}
			}
			if d := Diagnose(readTestSnapshot(t, file+".neighbour.json"), Scope{}); len(d.Findings) > 0 {
				t.Errorf("the neighbour: %v\n%+v", idsOf(d.Findings), d.Findings)
			}
		})
	}
}

// saidOnly are the causes that a check only places among the others: facts do not show them, messages do.
var saidOnly = []ID{"cdi-generation-failed", "compose-too-old"}

// A machine that is in order gives nothing at all.
func TestHealthyMachines(t *testing.T) {
	files, _ := filepath.Glob("testdata/snapshots/healthy.*.json")
	if len(files) < 8 {
		t.Errorf("only %d healthy machines", len(files))
	}
	for _, file := range append(files, "../examples/snapshots/eight-gpus.json") {
		if d := Diagnose(readTestSnapshot(t, file), Scope{}); len(d.Findings)+len(d.Related) > 0 {
			t.Errorf("%s: %v\n%+v", file, idsOf(d.Findings), d.Findings)
		}
	}
}

// Every cause of the taxonomy that facts can show has a check; the others are shown by messages only.
func TestEveryCauseHasACheckOrMessages(t *testing.T) {
	messagesOnly := []ID{"driver-libs-baked-into-image", "library-mount-in-image", "gpus-flag-quoting", "image-tag-removed", "cuda-repo-key-rotated",
		"framework-cpu-only-build", "cuda-library-missing", "nvenc-session-limit", "codec-unsupported", "gpu-arch-unsupported", "cuda-out-of-memory",
		"cuda-compat-lib-conflict", "uvm-broken", "nccl-problem", "arch-mismatch", "not-gpu-related", "healthy"}
	playbooks := []string{"gpu-not-detected", "permission-denied", "out-of-memory", "driver-mismatch", "lost-in-container", "cdi", "compose", "hardware", "platform", "none"}
	for _, e := range Knowledge().Entries {
		has := slices.ContainsFunc(Checks(), func(c Check) bool { return c.ID == e.ID })
		if slices.Contains(playbooks, e.Playbook) && has == slices.Contains(messagesOnly, e.ID) {
			t.Errorf("%s: has a check: %t, is listed as shown by messages only: %t", e.ID, has, !has)
		}
	}
	seen := map[ID]bool{}
	for _, c := range Checks() {
		if seen[c.ID] {
			t.Errorf("%s has two checks", c.ID)
		}
		seen[c.ID] = true
	}
}

// A source that failed leaves its checks unexamined: neither a finding nor a clean bill.
func TestUnexamined(t *testing.T) {
	fail := func(s *inspect.Snapshot, name string) {
		for i := range s.Sources {
			if s.Sources[i].Name == name {
				s.Sources[i].Error = "broken"
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*inspect.Snapshot)
		want   []ID
	}{
		{"toolkit", func(s *inspect.Snapshot) { s.Toolkit = nil }, []ID{"toolkit-not-installed", "ldconfig-missing"}},
		{"host", func(s *inspect.Snapshot) { s.Host = nil }, []ID{"driver-not-installed", "no-nvidia-gpu", "mps-problem"}},
		{"nvml", func(s *inspect.Snapshot) { s.GPUs = nil }, []ID{"gpu-lost-xid", "thermal-throttled", "visible-devices-bad-index"}},
		{"containers", func(s *inspect.Snapshot) { s.Containers = nil }, []ID{"shm-too-small", "cdi-spec-missing"}},
		{"cdi", func(s *inspect.Snapshot) { s.CDI = nil }, []ID{"cdi-spec-stale", "cdi-spec-invalid"}},
		{"kernel-log", func(s *inspect.Snapshot) { s.KernelLog = nil }, []ID{"xid-error", "selinux-denied"}},
	} {
		s := readTestSnapshot(t, "testdata/snapshots/healthy.one-gpu.json")
		c.change(s)
		fail(s, c.name)
		d := Diagnose(s, Scope{})
		if len(d.Findings) > 0 {
			t.Errorf("%s: %v", c.name, idsOf(d.Findings))
		}
		for _, id := range c.want {
			if !slices.Contains(d.Unexamined, id) {
				t.Errorf("%s: %s is not named as unexamined: %v", c.name, id, d.Unexamined)
			}
		}
	}
	if d := Diagnose(readTestSnapshot(t, "testdata/snapshots/healthy.one-gpu.json"), Scope{}); len(d.Unexamined) > 0 {
		t.Errorf("all was read: %v", d.Unexamined)
	}
}

// A driver that hangs is a finding of its own, on a machine that is well otherwise and on any other. Where the kernel log
// tells why it hangs, that is the cause.
func TestHangingDriver(t *testing.T) {
	xid := func(number int, text string) inspect.LogLine {
		return inspect.LogLine{Kind: "xid", Xid: &number, BusID: "0000:17:00", Text: "NVRM: Xid (PCI:0000:17:00): " + text}
	}
	for _, c := range []struct {
		name string
		log  []inspect.LogLine
		want []ID
	}{
		{"nothing in the log", []inspect.LogLine{}, []ID{"driver-not-answering"}},
		{"log not read", nil, []ID{"driver-not-answering"}},
		{"off the bus", []inspect.LogLine{xid(79, "79, pid=4242, name=python, GPU has fallen off the bus.")}, []ID{"gpu-lost-xid"}},
		{"firmware", []inspect.LogLine{xid(119, "119, pid=1511, name=nvidia-smi, Timeout after 6s of waiting for RPC response from GPU0 GSP!")}, []ID{"xid-error"}},
		{"memory", []inspect.LogLine{xid(48, "48, pid=1511, name=python, DBE (double bit error)")}, []ID{"ecc-error"}},
		{"waits for a reset", []inspect.LogLine{xid(154, "154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)")}, []ID{"gpu-reset-required"}},
		{"does not start", []inspect.LogLine{{Kind: "nvrm", Text: "NVRM: GPU 0000:17:00.0: RmInitAdapter failed! (0x26:0x56:1463)"}}, []ID{"gpu-init-failed"}},
		{"a program's own fault", []inspect.LogLine{xid(31, "31, pid=4242, name=python, MMU Fault: ENGINE GRAPHICS")}, []ID{"driver-not-answering", "xid-error"}},
	} {
		s := readTestSnapshot(t, "testdata/snapshots/driver-not-answering.json")
		s.KernelLog = c.log
		if d := Diagnose(s, Scope{}); !slices.Equal(idsOf(d.Findings), c.want) || !slices.Contains(d.Unexamined, "thermal-throttled") {
			t.Errorf("%s: %v, want %v; unexamined: %v", c.name, idsOf(d.Findings), c.want, d.Unexamined)
		}
	}
	files, _ := filepath.Glob("testdata/snapshots/healthy.*.json")
	for _, file := range files {
		s := readTestSnapshot(t, file)
		s.GPUs = nil
		for i := range s.Sources {
			if s.Sources[i].Name == "nvml" {
				s.Sources[i] = inspect.Reading{Name: "nvml", TookSeconds: 10, TimedOut: true, Error: "no answer within 10s"}
			}
		}
		if got := idsOf(Diagnose(s, Scope{}).Findings); !slices.Equal(got, []ID{"driver-not-answering"}) && source(s, "nvml").TimedOut {
			t.Errorf("%s: %v", file, got)
		}
	}
}

// The verdict of status and the findings of diagnose are of one mind.
func TestVerdictAgreesWithDiagnosis(t *testing.T) {
	files, _ := filepath.Glob("testdata/snapshots/*.json")
	stops := func(f Finding) bool {
		return f.Severity == Error && f.Container == "" && slices.Contains([]string{"gpu-not-detected", "driver-mismatch", "platform", "hardware", "permission-denied", "lost-in-container", "cdi"}, f.Playbook)
	}
	for _, file := range files {
		s := readTestSnapshot(t, file)
		v, d := Judge(s), Diagnose(s, Scope{})
		switch v.Code {
		case GPUUnusable, EngineUnreachable:
			if !slices.ContainsFunc(d.Findings, stops) {
				t.Errorf("%s: the verdict is %s (%s), diagnose found %v", file, v.Code, v.Text, idsOf(d.Findings))
			}
		}
	}
}

func TestFold(t *testing.T) {
	s := readTestSnapshot(t, "testdata/snapshots/driver-not-installed.json")
	s.Toolkit = &inspect.Toolkit{}
	s.Engine.Runtimes = map[string]inspect.Runtime{"runc": {Path: "runc"}}
	s.Engine.ConfigFile = nil
	d := Diagnose(s, Scope{})
	if len(d.Findings) != 1 || d.Findings[0].ID != "driver-not-installed" || !slices.Contains(d.Findings[0].Folded, "toolkit-not-installed") {
		t.Errorf("%+v", d.Findings)
	}
}

// An old fault of a GPU explains nothing about a container that never asked for one.
func TestFoldGoesOneStep(t *testing.T) {
	s := readTestSnapshot(t, "testdata/snapshots/gpu-not-requested.json")
	xid := readTestSnapshot(t, "testdata/snapshots/xid-error.json")
	s.KernelLog = xid.KernelLog
	if got := idsOf(Diagnose(s, Scope{}).Findings); len(got) != 2 || !slices.Contains(got, "gpu-not-requested") || !slices.Contains(got, "xid-error") {
		t.Errorf("%v", got)
	}
}

func TestScope(t *testing.T) {
	s := readTestSnapshot(t, "testdata/snapshots/driver-capabilities-missing.json")
	cpu := s.Containers[0]
	cpu.ID, cpu.Name, cpu.Runtime, cpu.Grant, cpu.Asks = strings.Repeat("f", 64), "web", "runc", inspect.Grant{}, inspect.Asks{}
	s.Containers = append(s.Containers, cpu)
	for _, c := range []struct {
		scope Scope
		want  []ID
	}{
		{Scope{}, []ID{"driver-capabilities-missing"}},
		{Scope{Containers: []string{"web"}}, []ID{"gpu-not-requested"}},
		{Scope{Containers: []string{"encoder"}}, []ID{"driver-capabilities-missing"}},
		{Scope{Only: []ID{"xid-error"}}, []ID{}},
		{Scope{Containers: []string{"ffffffff"}}, []ID{"gpu-not-requested"}},
	} {
		if got := idsOf(Diagnose(s, c.scope).Findings); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.scope, got, c.want)
		}
	}
}

// Checks are functions of the Snapshot: they can read nothing else.
func TestChecksReadNothing(t *testing.T) {
	for _, pattern := range []string{"checks_*.go", "diagnose.go", "said.go", "driverfault.go", "audit.go"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range parsed.Imports {
				if path := strings.Trim(i.Path.Value, `"`); path == "os" || strings.HasPrefix(path, "os/") || path == "net" || strings.HasPrefix(path, "net/") || path == "io/fs" {
					t.Errorf("%s imports %s", file, path)
				}
			}
		}
	}
}

// Seen on an H100: a container that was given the GPU said that libcuda.so.1 is not there. That nobody asked for
// a GPU was a lie, and to start it anew with one no remedy.
func TestSaidAgainstGrant(t *testing.T) {
	const missing = "libcuda.so.1: cannot open shared object file: No such file or directory"
	for _, c := range []struct {
		name    string
		grant   inspect.Grant
		log     string
		found   []ID
		related []ID
	}{
		{"given with its libraries", inspect.Grant{By: []string{inspect.ByGPUs}, GPUs: []string{"0"}, Capabilities: []string{"utility", "compute"}}, missing, []ID{"ldconfig-missing"}, []ID{}},
		{"given by CDI", inspect.Grant{By: []string{inspect.ByCDI}, GPUs: []string{"0"}}, missing, []ID{"ldconfig-missing"}, []ID{}},
		{"nodes without libraries", inspect.Grant{By: []string{inspect.ByPrivileged}, GPUs: []string{"0"}}, missing, []ID{"gpu-not-requested"}, []ID{}},
		{"another message", inspect.Grant{By: []string{inspect.ByGPUs}, GPUs: []string{"0"}}, "CUDA error: no CUDA-capable device is detected", []ID{}, []ID{"gpu-not-requested"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := readTestSnapshot(t, filepath.Join("testdata", "snapshots", "shm-too-small.neighbour.json"))
			s.Containers = []inspect.Container{{ID: "ec1999188916", Name: "trainer", State: "running", Grant: c.grant,
				Output: &inspect.Output{Log: []string{c.log}}}}
			d := Diagnose(s, Scope{Containers: []string{"trainer"}})
			if got := idsOf(d.Findings); !slices.Equal(got, c.found) {
				t.Errorf("found %v, want %v", got, c.found)
			}
			if got := idsOf(d.Related); !slices.Equal(got, c.related) {
				t.Errorf("related %v, want %v", got, c.related)
			}
		})
	}
}
