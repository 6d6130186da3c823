package inspect

import (
	"context"
	"path"
	"slices"
	"strings"
)

// TopologySource reads the GPUs, as [NVMLSource] does, and how they are wired.
var TopologySource = Source{Name: "topology", Local: true, Read: readTopology}

func readTopology(ctx context.Context, m Machine) (Patch, error) {
	patch, err := readNVMLBy(ctx, m, m.NVMLTopology)
	if patch == nil {
		return nil, err
	}
	return func(s *Snapshot) {
		patch(s)
		if s.Topology == nil && len(s.GPUs) > 0 {
			s.Topology = sysTopology(m.Root, s.GPUs)
		}
	}, err
}

// sysTopology is what /sys tells of the wiring, where NVML tells nothing.
func sysTopology(root Root, gpus []GPU) *Topology {
	t := &Topology{GPUs: []GPUPlace{}, Pairs: []GPUPair{}}
	paths := make([][]string, len(gpus))
	nodes := make([]string, len(gpus))
	for i, g := range gpus {
		place := GPUPlace{Index: g.Index}
		if g.PCIBusID != "" {
			device := "/sys/bus/pci/devices/" + g.PCIBusID
			place.CPUAffinity = root.ReadLine(device + "/local_cpulist")
			if nodes[i] = root.ReadLine(device + "/numa_node"); nodes[i] != "" && nodes[i] != "-1" {
				place.NUMAAffinity = nodes[i]
			}
			if target, err := root.Readlink(device); err == nil {
				paths[i] = pciPath(target)
			}
		}
		t.GPUs = append(t.GPUs, place)
	}
	for a := range gpus {
		for b := a + 1; b < len(gpus); b++ {
			t.Pairs = append(t.Pairs, GPUPair{A: gpus[a].Index, B: gpus[b].Index,
				Level: pciLevel(paths[a], paths[b], nodes[a] == nodes[b]), NVLinks: NVLinksBetween(gpus[a], gpus[b])})
		}
	}
	return t
}

// pciPath is the way from the host bridge to a device, out of the target of its link in /sys:
// ../../../devices/pci0000:16/0000:16:01.0/0000:17:00.0.
func pciPath(target string) []string {
	parts := strings.Split(path.Clean(target), "/")
	at := slices.IndexFunc(parts, func(p string) bool { return strings.HasPrefix(p, "pci") })
	if at < 0 {
		return nil
	}
	return parts[at:]
}

func pciLevel(a, b []string, sameNode bool) string {
	if len(a) == 0 || len(b) == 0 {
		return ""
	}
	common := 0
	for common < min(len(a), len(b)) && a[common] == b[common] {
		common++
	}
	switch {
	case common == 0 && sameNode:
		return "NODE"
	case common == 0:
		return "SYS"
	case common == 1:
		return "PHB"
	case len(a)-common <= 2 && len(b)-common <= 2: // a port of the switch and the device
		return "PIX"
	}
	return "PXB"
}
