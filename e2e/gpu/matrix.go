// Package gpu compares what docker gpu says with what nvidia-smi says, on a machine with a real GPU:
// `make test-gpu`. Its tests are behind the build tag gpu.
package gpu

import (
	"regexp"
	"strings"
)

// escapes are what nvidia-smi underlines its headings with, whatever its output is.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// A matrix is what `nvidia-smi topo -m` prints: for each GPU its row of types, and its CPU affinity.
type matrix struct {
	types map[[2]string]string // GPU0, GPU1: NV18
	cpus  map[string]string    // GPU0: 0-55,112-167
}

// parseMatrix reads the GPUs of the matrix; network cards and the legend below are left out. Columns are
// parted by tabs, and a name can have a blank in it (CPU Affinity).
func parseMatrix(text string) matrix {
	m := matrix{types: map[[2]string]string{}, cpus: map[string]string{}}
	var columns []string
	for line := range strings.Lines(escapes.ReplaceAllString(text, "")) {
		fields := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		switch {
		case columns == nil && len(fields) > 1 && fields[0] == "" && strings.HasPrefix(fields[1], "GPU"):
			columns = fields
		case columns == nil || !strings.HasPrefix(fields[0], "GPU"):
			continue
		default:
			for i := 1; i < min(len(fields), len(columns)); i++ {
				switch {
				case strings.HasPrefix(columns[i], "GPU") && !strings.Contains(columns[i], " "):
					if columns[i] != fields[0] {
						m.types[[2]string{fields[0], columns[i]}] = fields[i]
					}
				case columns[i] == "CPU Affinity":
					m.cpus[fields[0]] = fields[i]
				}
			}
		}
	}
	return m
}
