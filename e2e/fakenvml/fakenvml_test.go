package fakenvml

import (
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// once is the library, built once for all tests into a folder that TestMain removes.
var once = sync.OnceValues(func() (Library, error) { return Build(folder) })

var folder string

func built(t *testing.T) Library {
	t.Helper()
	lib, err := once()
	if errors.Is(err, ErrNoCompiler) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func functions(t *testing.T, file string) []string {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			names = append(names, s.Name)
		}
	}
	return names
}

// The library of driver 535 has no function that the real one of driver 535 lacks, and neither exports
// anything that is not NVML's.
func TestExportedFunctions(t *testing.T) {
	lib := built(t)
	list, err := os.ReadFile(filepath.Join(source(), "symbols-535.txt"))
	if err != nil {
		t.Fatal(err)
	}
	of535 := strings.Fields(string(list))
	all := functions(t, filepath.Join(lib.Folder, "libnvidia-ml.so.1"))
	old := functions(t, filepath.Join(lib.Driver535, "libnvidia-ml.so.1"))
	if len(all) <= len(old) || len(old) < 100 {
		t.Errorf("%d functions, %d of them of driver 535", len(all), len(old))
	}
	for _, name := range all {
		if !strings.HasPrefix(name, "nvml") {
			t.Errorf("exports %s", name)
		}
		if slices.Contains(of535, name) != slices.Contains(old, name) {
			t.Errorf("%s: driver 535 has it: %t, the library of 535: %t", name, slices.Contains(of535, name), slices.Contains(old, name))
		}
	}
	for _, newer := range []string{"nvmlDeviceGetTemperatureV", "nvmlDeviceGetGpuFabricInfoV"} {
		if slices.Contains(old, newer) || !slices.Contains(all, newer) {
			t.Errorf("%s is not what tells the two apart", newer)
		}
	}
}

// Every scenario of the folder is understood, and lines that are not are named.
func TestScenarioFiles(t *testing.T) {
	lib := built(t)
	probe := filepath.Join(t.TempDir(), "probe")
	cc := exec.Command("cc", "-o", probe, filepath.Join(source(), "testdata", "probe.c"), filepath.Join(lib.Folder, "libnvidia-ml.so.1"))
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ask := func(t *testing.T, scenario string) string {
		t.Helper()
		cmd := exec.Command(probe)
		cmd.Env = append(os.Environ(), Env(lib.Folder, scenario)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	files, _ := filepath.Glob(filepath.Join(source(), "scenarios", "*.scenario"))
	if len(files) < 10 {
		t.Fatalf("only %d scenarios", len(files))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".scenario")
		if name == "hang-init" {
			continue
		}
		want := map[string]string{"driver-not-loaded": "init 9", "mismatch": "init 18", "unknown-error": "init 999", "no-gpus": "0 GPUs", "eight-h100": "8 GPUs", "mig": "4 GPUs"}[name]
		if got := ask(t, file); strings.Contains(got, "fakenvml:") || want != "" && got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for name, text := range map[string]string{
		"unknown word":            "colour blue",
		"number out of range":     "gpu 32",
		"negative index":          "gpu -1",
		"not a number":            "gpu 0\ntemp warm",
		"overflow":                "gpu 0\nminor 99999999999999999999",
		"unit":                    "gpu 0\nmemory-total 3 parsecs",
		"huge":                    "gpu 0\nmemory-total 1e300 GiB",
		"text too long":           "gpu 0\nname " + strings.Repeat("x", 500),
		"address too long":        "gpu 0\npci " + strings.Repeat("0", 40),
		"process before any GPU":  "process 1 compute 1GiB",
		"process without memory":  "gpu 0\nprocess 1 compute",
		"process of unknown kind": "gpu 0\nprocess 1 quantum 1GiB",
		"links beyond the last":   "gpu 0\nnvlink 0-36",
		"MIG device beyond":       "gpu 0\nmig-device 8",
		"error of no name":        "fail nvmlInit SOMEHOW",
		"topology beyond":         "topology 0-40 1 SYS",
		"CPUs beyond":             "gpu 0\ncpus 0-5000",
		"no value":                "gpu 0\ntemp",
		"control bytes":           "gpu 0\n\x01\x02\xff",
		"too many faults":         strings.Repeat("fail nvmlInit 9\n", 200),
	} {
		file := filepath.Join(t.TempDir(), "bad.scenario")
		if err := Write(file, text+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, file); !strings.Contains(got, "bad.scenario:") || !strings.Contains(got, "not understood") || !strings.HasSuffix(got, "init 9") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
