//go:build cgo && linux

package gpu

import (
	"math/bits"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

var topologyLevels = map[nvml.GpuTopologyLevel]string{
	nvml.TOPOLOGY_INTERNAL: "PIX", nvml.TOPOLOGY_SINGLE: "PIX", nvml.TOPOLOGY_MULTIPLE: "PXB",
	nvml.TOPOLOGY_HOSTBRIDGE: "PHB", nvml.TOPOLOGY_NODE: "NODE", nvml.TOPOLOGY_SYSTEM: "SYS",
}

// Sets are asked for with room for so many members.
const (
	mostCPUs  = 4096
	mostNodes = 1024
)

// topology reads where the GPUs are attached and how each reaches the others; nil where NVML tells
// nothing of it, as on WSL2. A device that is nil did not answer.
func (s *nvmlSession) topology(devices []nvml.Device, gpus []GPU) *Topology {
	t := &Topology{GPUs: []GPUPlace{}, Pairs: []GPUPair{}}
	told := false
	for i, d := range devices {
		place := GPUPlace{Index: i}
		if d != nil && s.known("nvmlDeviceGetCpuAffinity") {
			if set, ret := d.GetCpuAffinity(mostCPUs); ret == nvml.SUCCESS {
				place.CPUAffinity, told = listed(set), true
			}
		}
		if d != nil && s.known("nvmlDeviceGetMemoryAffinity") {
			if set, ret := d.GetMemoryAffinity(mostNodes, nvml.AFFINITY_SCOPE_NODE); ret == nvml.SUCCESS {
				place.NUMAAffinity, told = listed(set), true
			}
		}
		if d != nil && s.known("nvmlDeviceGetNumaNodeId") {
			if node, ret := d.GetNumaNodeId(); ret == nvml.SUCCESS {
				place.GPUNUMANode = ptr(node)
			}
		}
		t.GPUs = append(t.GPUs, place)
	}
	if !s.known("nvmlDeviceGetTopologyCommonAncestor") {
		return t
	}
	for a, d := range devices {
		for b := a + 1; b < len(devices); b++ {
			pair := GPUPair{A: a, B: b, NVLinks: NVLinksBetween(gpus[a], gpus[b])}
			if d != nil && devices[b] != nil {
				if level, ret := d.GetTopologyCommonAncestor(devices[b]); ret == nvml.SUCCESS {
					pair.Level, told = topologyLevels[level], true
				}
			}
			t.Pairs = append(t.Pairs, pair)
		}
	}
	if !told && len(devices) > 0 {
		return nil
	}
	return t
}

// listed writes a set of bits as the kernel writes lists: 0-55,112-167.
func listed(set []uint) string {
	var members []int
	for w, word := range set {
		for ; word != 0; word &= word - 1 {
			members = append(members, w*bits.UintSize+bits.TrailingZeros(word))
		}
	}
	return ranges(members)
}
