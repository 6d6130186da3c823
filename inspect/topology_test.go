package inspect

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPCILevel(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		sameNode   bool
		want       string
	}{
		{"below one switch", "../../../devices/pci0000:16/0000:16:01.0/0000:17:00.0/0000:18:00.0/0000:19:00.0", "../../../devices/pci0000:16/0000:16:01.0/0000:17:00.0/0000:18:01.0/0000:1a:00.0", true, "PIX"},
		{"below two switches of one port", "../../../devices/pci0000:16/0000:16:01.0/0000:17:00.0/0000:18:00.0/0000:19:00.0/0000:1a:00.0/0000:1b:00.0",
			"../../../devices/pci0000:16/0000:16:01.0/0000:17:00.0/0000:18:01.0/0000:2a:00.0/0000:2b:00.0/0000:2c:00.0", true, "PXB"},
		{"two ports of one bridge", "../../../devices/pci0000:16/0000:16:01.0/0000:17:00.0", "../../../devices/pci0000:16/0000:16:02.0/0000:18:00.0", true, "PHB"},
		{"two bridges of one node", "../../../devices/pci0000:16/0000:16:01.0/0000:17:00.0", "../../../devices/pci0000:40/0000:40:01.0/0000:41:00.0", true, "NODE"},
		{"two nodes", "../../../devices/pci0000:16/0000:16:01.0/0000:17:00.0", "../../../devices/pci0000:80/0000:80:01.0/0000:81:00.0", false, "SYS"},
		{"not known", "", "../../../devices/pci0000:80/0000:80:01.0/0000:81:00.0", false, ""},
		{"no PCI device", "../../../devices/platform/x", "../../../devices/pci0000:80/0000:80:01.0", false, ""},
	} {
		if got := pciLevel(pciPath(c.a), pciPath(c.b), c.sameNode); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Without NVML the wiring comes from /sys.
func TestSysTopology(t *testing.T) {
	root := t.TempDir()
	devices := filepath.Join(root, "sys/bus/pci/devices")
	if err := os.MkdirAll(devices, 0o755); err != nil {
		t.Fatal(err)
	}
	for address, d := range map[string]struct{ way, node, cpus string }{
		"0000:17:00.0": {"pci0000:16/0000:16:01.0/0000:17:00.0", "0", "0-31,64-95"},
		"0000:b1:00.0": {"pci0000:b0/0000:b0:01.0/0000:b1:00.0", "1", "32-63,96-127"},
		"0000:ca:00.0": {"pci0000:c9/0000:c9:01.0/0000:ca:00.0", "-1", ""},
	} {
		folder := filepath.Join(root, "sys/devices", d.way)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../../../devices/"+d.way, filepath.Join(devices, address)); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"numa_node": d.node, "local_cpulist": d.cpus} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	on := true
	link := func(remote string) []NVLink { return []NVLink{{Active: &on, RemoteType: "gpu", Remote: remote}} }
	got := sysTopology(Root(root), []GPU{
		{Index: 0, PCIBusID: "0000:17:00.0", NVLinks: link("0000:b1:00.0")}, {Index: 1, PCIBusID: "0000:b1:00.0", NVLinks: link("0000:17:00.0")},
		{Index: 2, PCIBusID: "0000:ca:00.0"}, {Index: 3, Error: "GPU is lost"},
	})
	want := &Topology{
		GPUs:  []GPUPlace{{Index: 0, CPUAffinity: "0-31,64-95", NUMAAffinity: "0"}, {Index: 1, CPUAffinity: "32-63,96-127", NUMAAffinity: "1"}, {Index: 2}, {Index: 3}},
		Pairs: []GPUPair{{A: 0, B: 1, Level: "SYS", NVLinks: 1}, {A: 0, B: 2, Level: "SYS"}, {A: 0, B: 3}, {A: 1, B: 2, Level: "SYS"}, {A: 1, B: 3}, {A: 2, B: 3}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
