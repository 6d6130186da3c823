package gpu

import (
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

func gpuOf(memory uint64, watts float64, width int, name string) []inspect.GPU {
	return []inspect.GPU{{Name: name, MemoryTotalBytes: &memory, PowerWatts: &watts, PCIe: &inspect.PCIe{WidthMax: &width}}}
}

// A comparison that cannot fail would prove nothing.
func TestCompare(t *testing.T) {
	ours := gpuOf(85899345920, 70, 16, "H100")
	for _, c := range []struct {
		name   string
		theirs []inspect.GPU
		want   string
	}{
		{"the same", gpuOf(85899345920, 70, 16, "H100"), ""},
		{"rounded", gpuOf(85899345920-1<<20, 75, 16, "H100"), ""},
		{"other memory", gpuOf(85899345920-3<<20, 70, 16, "H100"), "0.memoryTotalBytes: nvidia-smi has"},
		{"other power", gpuOf(85899345920, 700, 16, "H100"), "0.powerWatts: nvidia-smi has 700"},
		{"other width", gpuOf(85899345920, 70, 8, "H100"), "0.pcie.widthMax: nvidia-smi has 8, docker gpu 16 before and 16 after"},
		{"other name", gpuOf(85899345920, 70, 16, "A100"), "0.name: nvidia-smi has A100"},
		{"a figure less", []inspect.GPU{{Name: "H100"}}, "0.memoryTotalBytes: docker gpu has 8.589934592e+10, nvidia-smi nothing"},
		{"a GPU more", append(gpuOf(85899345920, 70, 16, "H100"), inspect.GPU{Index: 1}), "1.index: nvidia-smi has 1, docker gpu has nothing"},
	} {
		got := strings.Join(compare(ours, c.theirs, ours), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCompareProcesses(t *testing.T) {
	process := func(pid int, mib uint64) inspect.GPUProcess {
		bytes := mib << 20
		return inspect.GPUProcess{PID: pid, MemoryUsedBytes: &bytes}
	}
	ours := []inspect.GPUProcess{process(1, 500), process(2, 100)}
	for _, c := range []struct {
		name   string
		theirs []inspect.GPUProcess
		want   string
	}{
		{"the same", ours, ""},
		{"one less", ours[:1], "process 2: nvidia-smi does not have it"},
		{"one more", append([]inspect.GPUProcess{process(3, 1)}, ours...), "process 3: docker gpu does not have it"},
		{"other memory", []inspect.GPUProcess{process(1, 900), process(2, 100)}, "process 1: nvidia-smi has 943718400 bytes"},
	} {
		got := strings.Join(compareProcesses(ours, c.theirs, ours), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
