package fixes

import "strings"

// What CUDA versions, drivers and GPUs have to do with one another: NVIDIA's own tables.

// driverCUDA is the newest CUDA version of each driver branch
// (https://docs.nvidia.com/cuda/cuda-toolkit-release-notes, table "CUDA Toolkit and Corresponding Driver
// Versions").
var driverCUDA = []struct {
	branch int
	cuda   string
}{
	{590, "13.1"}, {580, "13.0"}, {575, "12.9"}, {570, "12.8"}, {565, "12.7"}, {560, "12.6"}, {555, "12.5"}, {550, "12.4"}, {545, "12.3"}, {535, "12.2"},
	{530, "12.1"}, {525, "12.0"}, {520, "11.8"}, {515, "11.7"}, {510, "11.6"}, {495, "11.5"}, {470, "11.4"}, {465, "11.3"},
	{460, "11.2"}, {455, "11.1"}, {450, "11.0"}, {440, "10.2"}, {418, "10.1"}, {410, "10.0"}, {396, "9.2"}, {390, "9.1"}, {384, "9.0"},
}

// CUDAOfDriver is the newest CUDA version that a driver serves, or "" for one that is older than the table.
func CUDAOfDriver(driver string) string {
	for _, row := range driverCUDA {
		if major(driver) >= row.branch {
			return row.cuda
		}
	}
	return ""
}

// driverOfCUDA is the oldest driver branch that serves a CUDA version in full, or 0 where that is not known.
func driverOfCUDA(cuda string) int {
	found := 0
	for _, row := range driverCUDA {
		if compareDotted(row.cuda, cuda) >= 0 {
			found = row.branch
		}
	}
	return found
}

// minorCompatible is the oldest driver on which a program built with any CUDA of this major version runs,
// as long as it needs no PTX compiled
// (https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html).
var minorCompatible = map[int]string{11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}

// MinorCompatible tells if a program built with cuda runs on driver by minor-version compatibility.
func MinorCompatible(cuda, driver string) bool {
	oldest, known := minorCompatible[major(cuda)]
	return known && driver != "" && compareDotted(driver, oldest) >= 0
}

// archSince is the CUDA version that first has code for a GPU generation, by the compute capability that
// begins it; archUntil the last major version that still has it
// (https://docs.nvidia.com/cuda/cuda-toolkit-release-notes, "Deprecated Architectures"). Within a
// generation newer GPUs run the code of older ones: 8.9 runs that for 8.0.
var archSince = []struct{ arch, cuda string }{
	{"12.0", "12.8"}, {"10.0", "12.8"}, {"9.0", "11.8"}, {"8.0", "11.0"}, {"7.0", "9.0"}, {"6.0", "8.0"}, {"5.0", "6.5"}, {"3.0", "5.0"},
}

var archUntil = []struct {
	below string
	last  int
}{{"3.5", 10}, {"5.0", 11}, {"7.5", 12}}

// archOutside says why a CUDA version has no code for a compute capability: "too-new" GPU, "too-old" GPU, or "".
func archOutside(cuda, arch string) string {
	if cuda == "" || arch == "" {
		return ""
	}
	for _, row := range archUntil {
		if compareDotted(arch, row.below) < 0 {
			if major(cuda) > row.last {
				return "too-old"
			}
			break
		}
	}
	for _, row := range archSince {
		if compareDotted(arch, row.arch) >= 0 {
			if compareDotted(cuda, row.cuda) < 0 {
				return "too-new"
			}
			return ""
		}
	}
	return ""
}

func major(version string) int { return part(strings.Split(version, "."), 0) }
