package gpu

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The form of the output of drivers 535 to 580, with and without network cards.
func TestParseMatrix(t *testing.T) {
	for _, c := range []struct {
		name, text string
		types      map[[2]string]string
		cpus       map[string]string
	}{
		{
			"two GPUs and a network card",
			"\t\x1b[4mGPU0\tGPU1\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m\n" +
				"GPU0\t X \tNV18\tPIX\t0-55,112-167\t0\t\tN/A\n" +
				"GPU1\tNV18\t X \tSYS\t56-111,168-223\t1\t\tN/A\n" +
				"NIC0\tPIX\tSYS\t X \t\t\t\t\n\nLegend:\n\n  X    = Self\n  SYS  = Connection traversing PCIe\n\nNIC Legend:\n\n  NIC0: mlx5_0\n",
			map[[2]string]string{{"GPU0", "GPU1"}: "NV18", {"GPU1", "GPU0"}: "NV18"},
			map[string]string{"GPU0": "0-55,112-167", "GPU1": "56-111,168-223"},
		},
		{
			"one GPU",
			"\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t0-15\tN/A\n",
			map[[2]string]string{},
			map[string]string{"GPU0": "0-15"},
		},
		{"no devices", "No devices were found\n", map[[2]string]string{}, map[string]string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := parseMatrix(c.text)
			if diff := cmp.Diff(c.types, m.types); diff != "" {
				t.Errorf("types (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.cpus, m.cpus); diff != "" {
				t.Errorf("CPUs (-want +got):\n%s", diff)
			}
		})
	}
}
