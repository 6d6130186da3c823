package plugin

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// fakeMachine is the Snapshot of a scenario of the fake driver, as its own tests left it.
func fakeMachine(t *testing.T, name string) *inspect.Snapshot {
	t.Helper()
	s, err := readSnapshot("../e2e/fakenvml/testdata/"+name+".json", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
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

func TestTopo(t *testing.T) {
	for _, c := range []struct {
		name, machine string
		width         int
		change        func(*inspect.Snapshot)
	}{
		{"eight-h100", "eight-h100", 0, nil},
		{"eight-h100-80", "eight-h100", 80, nil},
		{"eight-h100-40", "eight-h100", 40, nil},
		{"four-pcie", "four-pcie", 120, nil},
		{"nvlink-bridge", "nvlink-bridge", 120, nil},
		{"lost-gpu", "lost-gpu", 120, nil},
		{"laptop", "rtx-laptop", 100, nil},
		{"bridge-half-active", "nvlink-bridge", 120, func(s *inspect.Snapshot) {
			off := false
			for g := range s.GPUs {
				s.GPUs[g].NVLinks[0].Active, s.GPUs[g].NVLinks[1].Active = &off, &off
			}
		}},
		{"without-wiring", "eight-h100", 120, func(s *inspect.Snapshot) { s.Topology = nil }},
		{"without-anything", "four-pcie", 120, func(s *inspect.Snapshot) {
			s.Topology = nil
			for g := range s.GPUs {
				s.GPUs[g].PCIe = nil
			}
		}},
		{"hostile", "four-pcie", 0, func(s *inspect.Snapshot) {
			s.GPUs[0].Name, s.GPUs[0].PCIBusID, s.GPUs[0].Error = "\x1b[31mred", "\u202e", "a\nb"
			s.Topology.GPUs[0].CPUAffinity, s.Topology.Pairs[0].Level = "0\x07", "\x1b]0;x\x07"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fakeMachine(t, c.machine)
			if c.change != nil {
				c.change(s)
			}
			var out bytes.Buffer
			if err := writeTopo(&out, c.width, s, topology(s)); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				if c.width >= 80 && cells(strings.TrimRight(line, "\n")) > c.width {
					t.Errorf("wider than %d: %q", c.width, line)
				}
			}
			compareGolden(t, "topo/"+c.name+".golden", out.Bytes())
		})
	}
}

// The matrix says what nvidia-smi topo -m says: the same from both sides, and NVLinks before PCIe.
func TestTopoJSON(t *testing.T) {
	a := topology(fakeMachine(t, "eight-h100"))
	if len(a.GPUs) != 8 || len(a.Links) != 28 {
		t.Fatalf("%d GPUs, %d links", len(a.GPUs), len(a.Links))
	}
	for _, l := range a.Links {
		level := "NODE"
		if l.A < 4 && l.B >= 4 {
			level = "SYS"
		}
		if l.Type != "NV18" || l.NVLinks != 18 || l.Level != level || l.Version == nil || *l.Version != 4 {
			t.Errorf("%+v, want NV18 over %s", l, level)
		}
	}
	data, err := json.Marshal(topology(&inspect.Snapshot{GPUs: []inspect.GPU{}}))
	if err != nil || string(data) != `{"schemaVersion":1,"gpus":[],"links":[]}` {
		t.Errorf("%s, %v", data, err)
	}
}

func TestNoGPUs(t *testing.T) {
	card := &inspect.Host{PCI: []inspect.PCIDevice{{BusID: "0000:01:00.0"}}}
	for _, c := range []struct {
		name  string
		s     inspect.Snapshot
		says  string
		fails string
	}{
		{"there are some", inspect.Snapshot{GPUs: []inspect.GPU{{}}}, "", ""},
		{"no card", inspect.Snapshot{GPUs: []inspect.GPU{}, Host: &inspect.Host{}, Sources: []inspect.Reading{{Name: "topology", Absent: true, Note: "x"}}}, "No NVIDIA GPU here.", ""},
		{"no library and no bus to look at", inspect.Snapshot{Sources: []inspect.Reading{{Name: "nvml", Absent: true, Note: "x"}}}, "No NVIDIA GPU here.", ""},
		{"a card without driver", inspect.Snapshot{Host: card, Sources: []inspect.Reading{{Name: "nvml", Absent: true, Note: "libnvidia-ml.so.1 is not installed: not there"}}}, "",
			"docker gpu: there is an NVIDIA GPU here (0000:01:00.0), but its driver cannot be asked: libnvidia-ml.so.1 is not installed: not there\nNext: docker gpu diagnose"},
		{"a driver without GPU", inspect.Snapshot{GPUs: []inspect.GPU{}, Sources: []inspect.Reading{{Name: "nvml"}}}, "The NVIDIA driver has no GPU here.", ""},
		{"mismatch", inspect.Snapshot{GPUs: []inspect.GPU{}, Sources: []inspect.Reading{{Name: "nvml", Error: "Driver/library version mismatch"}}}, "",
			"docker gpu: the GPUs could not be read: Driver/library version mismatch\nNext: docker gpu diagnose"},
		{"elsewhere", inspect.Snapshot{Sources: []inspect.Reading{{Name: "nvml", Note: "not read: the engine runs on another machine"}}}, "",
			"docker gpu: the GPUs could not be read: not read: the engine runs on another machine"},
		{"never asked", inspect.Snapshot{}, "", "docker gpu: the snapshot does not tell of GPUs: it was taken without asking for them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			says, err := missingGPUs(&c.s)
			if says != c.says || (err == nil) != (c.fails == "") || err != nil && err.Error() != c.fails {
				t.Errorf("%q, %v", says, err)
			}
		})
	}
}

func TestMIGList(t *testing.T) {
	off := func(s *inspect.Snapshot) {
		for g := range s.GPUs {
			s.GPUs[g].MIG.Enabled, s.GPUs[g].MIG.PendingEnabled, s.GPUs[g].MIG.Devices = false, false, []inspect.MIGDevice{}
		}
	}
	for _, c := range []struct {
		name, machine string
		width         int
		change        func(*inspect.Snapshot)
	}{
		{"three-layouts", "mig", 0, nil},
		{"three-layouts-80", "mig", 80, nil},
		{"listed-in-cdi", "mig", 160, func(s *inspect.Snapshot) {
			s.GPUs = s.GPUs[1:2]
			s.CDI = &inspect.CDI{Devices: []string{"nvidia.com/gpu=1:0", "nvidia.com/gpu=" + s.GPUs[0].MIG.Devices[1].UUID}}
		}},
		{"not-listed-in-cdi", "mig", 160, func(s *inspect.Snapshot) { s.GPUs, s.CDI = s.GPUs[1:2], &inspect.CDI{Devices: []string{}} }},
		{"no-instances", "mig", 160, func(s *inspect.Snapshot) { s.GPUs = s.GPUs[3:] }},
		{"off", "mig", 160, off},
		{"off-and-pending", "mig", 160, func(s *inspect.Snapshot) {
			off(s)
			s.GPUs[1].MIG.PendingEnabled = true
		}},
		{"laptop", "rtx-laptop", 160, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fakeMachine(t, c.machine)
			if c.change != nil {
				c.change(s)
			}
			var out bytes.Buffer
			if err := writeMIG(&out, c.width, s, migLines(s)); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				if c.width > 0 && cells(strings.TrimRight(line, "\n")) > c.width {
					t.Errorf("wider than %d: %q", c.width, line)
				}
			}
			compareGolden(t, "mig/"+c.name+".golden", out.Bytes())
		})
	}
}

func TestMIGFormats(t *testing.T) {
	s := fakeMachine(t, "mig")
	s.GPUs = s.GPUs[1:2]
	var out bytes.Buffer
	for _, line := range migLines(s) {
		if err := writeJSON(&out, line, ""); err != nil {
			t.Fatal(err)
		}
	}
	compareGolden(t, "mig/lines.json", out.Bytes())
	for format, want := range map[string]string{
		"{{.Device}} {{.UUID}}":           "1:0 MIG-a1b20010-2000-5c7d-9e8f-123456789bbc",
		"{{.names.gpus}}":                 `"device=1:0"`,
		"table {{.Device}}\t{{.Profile}}": "DEVICE    PROFILE",
		"{{json .}}":                      `"profile":"3g.40gb"`,
	} {
		out.Reset()
		if err := writeMIGTemplate(&out, format, migLines(s)); err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(out.String(), "\n")
		if !strings.Contains(first, want) {
			t.Errorf("%s: %q, want %q", format, first, want)
		}
	}
}

func TestMIGCommand(t *testing.T) {
	cmd := newMIGCmd(&app{})
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs([]string{})
	if err := cmd.Execute(); err != nil || !strings.Contains(out.String(), "ls") {
		t.Errorf("%v: %s", err, out.String())
	}
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	if !slices.Contains(names, "ls") {
		t.Errorf("%q", names)
	}
	cmd.SetArgs([]string{"remove"})
	if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), `unknown command "remove"`) {
		t.Errorf("%v", err)
	}
}
