package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// golden compares v as JSON with a file of testdata.
func golden(t *testing.T, file string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file = filepath.Join("testdata", file)
	if *updateGolden {
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

// The logs of testdata/nvidia-smi have the form of real ones (drivers 470, 535, 570, 580); what
// identifies a GPU is made up.
func TestNVIDIASMI(t *testing.T) {
	for _, name := range []string{"a100-mig-535", "h100-570", "rtx-580", "t4-470", "lost-570"} {
		t.Run(name, func(t *testing.T) {
			run := func(_ context.Context, argv ...string) ([]byte, error) {
				switch strings.Join(argv, " ") {
				case "nvidia-smi -q -x":
					return os.ReadFile("testdata/nvidia-smi/" + name + ".xml")
				case "nvidia-smi -L":
					return os.ReadFile("testdata/nvidia-smi/" + name + ".list")
				}
				t.Errorf("ran %q", argv)
				return nil, exec.ErrNotFound
			}
			answer, err := readNVIDIASMI(t.Context(), run)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "nvidia-smi/"+name+".json", answer)
		})
	}
}

func TestNVIDIASMIFailures(t *testing.T) {
	ended := errors.New("nvidia-smi: exit status 9")
	for _, c := range []struct {
		name, out string
		err       error
		want      string // NVML's words, or the error
	}{
		{"module not loaded", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n\n", ended, "Driver Not Loaded"},
		{"mismatch", "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.86\n", ended, "Driver/library version mismatch"},
		{"devices taken away", "Failed to initialize NVML: Unknown Error\n", ended, "Unknown Error"},
		{"lost", "Unable to determine the device handle for GPU0000:1B:00.0: GPU is lost.  Reboot the system to recover this GPU\n", ended, "GPU is lost"},
		{"no GPU", "No devices were found\n", ended, "0 GPUs"},
		{"no library", "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA Display Driver is properly installed\n", ended, "libnvidia-ml.so.1 is not installed: not there"},
		{"not installed", "", exec.ErrNotFound, "nvidia-smi: not there"},
		{"some other program", "usage: nvidia-smi\n", nil, "nvidia-smi: usage: nvidia-smi"},
		{"silence", "", nil, "nvidia-smi printed nothing"},
		{"silence and an error", "", ended, "nvidia-smi: exit status 9"},
		{"cut off", "<?xml version=\"1.0\" ?>\n<nvidia_smi_log>\n<gpu id=\"0\">", nil, "nvidia-smi: XML syntax error on line 3: unexpected EOF"},
		{"foreign entity", "<?xml version=\"1.0\" ?><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><nvidia_smi_log><gpu><uuid>&e;</uuid></gpu></nvidia_smi_log>", nil, "invalid character entity &e;"},
		{"nested without end", "<nvidia_smi_log>" + strings.Repeat("<a>", 100), nil, "more elements than any machine has"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, err := readNVIDIASMI(t.Context(), func(context.Context, ...string) ([]byte, error) { return []byte(c.out), c.err })
			got := ""
			switch {
			case err != nil:
				got = err.Error()
			case answer.Driver.NVMLError != "":
				got = answer.Driver.NVMLError
			case answer.GPUs != nil && len(answer.GPUs) == 0:
				got = "0 GPUs"
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if strings.HasSuffix(c.want, "not there") != errors.Is(err, ErrAbsent) {
				t.Errorf("absent: %v", err)
			}
		})
	}
}

// A machine whose library cannot be loaded, but whose nvidia-smi runs, shows its GPUs and says whence.
func TestNVMLFallsBackToNVIDIASMI(t *testing.T) {
	m := Machine{
		Root: Root(t.TempDir()),
		NVML: func(context.Context) (*NVMLAnswer, error) {
			return &NVMLAnswer{Absent: "this build of docker gpu has no NVML"}, nil
		},
		Run: func(context.Context, ...string) ([]byte, error) {
			return os.ReadFile("testdata/nvidia-smi/rtx-580.xml")
		},
	}
	patch, err := NVMLSource.Read(t.Context(), m)
	var r Reading
	r.describe(err)
	if patch == nil || r.Note != "this build of docker gpu has no NVML: read from nvidia-smi" || r.Error != "" || r.Absent {
		t.Fatalf("%+v, %v", r, err)
	}
	s := &Snapshot{}
	patch(s)
	if len(s.GPUs) != 1 || s.Driver.Version != "580.65.06" {
		t.Errorf("%+v", s)
	}
	m.Run = func(context.Context, ...string) ([]byte, error) { return nil, exec.ErrNotFound }
	if patch, err := NVMLSource.Read(t.Context(), m); patch != nil || !errors.Is(err, ErrAbsent) {
		t.Errorf("without nvidia-smi: %v", err)
	}
	for bus, excluded := range map[string]string{"0000:43:00.0": "No", "0000:1b:00.0": "No", "0000:05:00.0": "Yes"} {
		folder := filepath.Join(string(m.Root), "proc/driver/nvidia/gpus", bus)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		text := "Model: \t NVIDIA L4\nGPU UUID: \t GPU-" + bus + "\nDevice Minor: \t 3\nGPU Excluded:\t " + excluded + "\n"
		if err := os.WriteFile(filepath.Join(folder, "information"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	patch, err = NVMLSource.Read(t.Context(), m)
	if patch == nil || !errors.Is(err, ErrAbsent) {
		t.Fatalf("with a loaded driver and no tools: %v", err)
	}
	s = &Snapshot{}
	patch(s)
	if len(s.GPUs) != 2 || s.GPUs[0].PCIBusID != "0000:1b:00.0" || s.GPUs[1].Index != 1 || s.GPUs[1].UUID != "GPU-0000:43:00.0" || s.GPUs[1].Name != "NVIDIA L4" || s.GPUs[1].MemoryTotalBytes != nil {
		t.Errorf("%+v", s.GPUs)
	}
}

func FuzzNVIDIASMI(f *testing.F) {
	files, _ := filepath.Glob("testdata/nvidia-smi/*.xml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "GPU 0: X (UUID: GPU-1)\n  MIG 1g.10gb     Device  0: (UUID: MIG-2)\n")
	}
	f.Fuzz(func(t *testing.T, data []byte, list string) {
		answer, err := parseSMI(data)
		if err != nil {
			return
		}
		nameMIGDevices(answer.GPUs, list)
		if _, err := json.Marshal(answer); err != nil {
			t.Errorf("an answer that cannot be written: %v", err)
		}
		for _, g := range answer.GPUs {
			if g.PowerWatts != nil && (*g.PowerWatts != *g.PowerWatts || *g.PowerWatts > 1e18) {
				t.Errorf("power of %v W", *g.PowerWatts)
			}
		}
	})
}
