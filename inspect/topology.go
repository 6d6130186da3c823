package inspect

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Topology is how the GPUs are wired: to the processors and to one another.
type Topology struct {
	GPUs  []GPUPlace `json:"gpus"`
	Pairs []GPUPair  `json:"pairs"` // each pair once, A before B
}

// GPUPlace is where a GPU is attached.
type GPUPlace struct {
	Index        int    `json:"index"`
	CPUAffinity  string `json:"cpuAffinity,omitempty"`  // the processors nearest to it: 0-55,112-167
	NUMAAffinity string `json:"numaAffinity,omitempty"` // the memory nodes nearest to it: 0
	GPUNUMANode  *int   `json:"gpuNumaNode,omitempty"`  // the node that the GPU's own memory is, on Grace and the like
}

// GPUPair is the way from one GPU to another. Level is what the way over PCIe passes, in the words of
// nvidia-smi: PIX at most one switch, PXB several, PHB the host bridge, NODE host bridges of one NUMA
// node, SYS the link between NUMA nodes. NVLinks is the number of links that join the two, directly or
// through switches.
type GPUPair struct {
	A       int    `json:"a"`
	B       int    `json:"b"`
	Level   string `json:"level,omitempty"`
	NVLinks int    `json:"nvlinks,omitempty"`
}

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

// NVLinksBetween is the number of active links that join two GPUs. Behind switches every link of one GPU
// reaches every link of the other, so the smaller number counts.
func NVLinksBetween(a, b GPU) int {
	direct, switchesA, switchesB := 0, 0, 0
	for _, l := range a.NVLinks {
		switch {
		case l.Active == nil || !*l.Active:
		case l.RemoteType == "switch":
			switchesA++
		case l.Remote != "" && l.Remote == b.PCIBusID:
			direct++
		}
	}
	for _, l := range b.NVLinks {
		if l.Active != nil && *l.Active && l.RemoteType == "switch" {
			switchesB++
		}
	}
	return direct + min(switchesA, switchesB)
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

// ranges writes ascending numbers as the kernel writes lists: 0-3,8.
func ranges(numbers []int) string {
	var b strings.Builder
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(numbers[i]))
		if end > i {
			fmt.Fprintf(&b, "-%d", numbers[end])
		}
		i = end + 1
	}
	return b.String()
}
