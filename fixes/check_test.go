package fixes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// machineWith is a machine with GPUs of an architecture and a brand.
func machineWith(driver, cuda string, gpus ...inspect.GPU) *inspect.Snapshot {
	s := &inspect.Snapshot{SchemaVersion: 1, Host: &inspect.Host{Architecture: "x86_64", PCI: []inspect.PCIDevice{}}}
	if driver != "" {
		s.Driver = &inspect.Driver{Version: driver, CUDAVersion: cuda}
		s.Host.PCI = []inspect.PCIDevice{{BusID: "0000:01:00.0", Driver: "nvidia"}}
	}
	for i := range gpus {
		gpus[i].Index = i
	}
	s.GPUs = gpus
	return s
}

// Each case is an image on a machine, and the ids that `check` finds.
func TestCheckImage(t *testing.T) {
	all := "all"
	cuda := func(version string) *inspect.Image {
		return &inspect.Image{Platform: "linux/amd64", CUDAVersion: version + ".1", VisibleDevices: &all,
			Require: map[string]string{"NVIDIA_REQUIRE_CUDA": "cuda>=" + version + " brand=tesla,driver>=535,driver<536 brand=nvidia,driver>=535,driver<536"}}
	}
	rtx3090, rtx5090, h100, p100 := inspect.GPU{Name: "RTX 3090", Brand: "GeForceRTX", ComputeCapability: "8.6"}, inspect.GPU{Name: "RTX 5090", Brand: "GeForceRTX", ComputeCapability: "12.0"},
		inspect.GPU{Name: "H100", Brand: "Nvidia", ComputeCapability: "9.0"}, inspect.GPU{Name: "P100", Brand: "Tesla", ComputeCapability: "6.0"}
	cdiMode := machineWith("535.104.05", "12.2", rtx3090)
	cdiMode.Toolkit = &inspect.Toolkit{Installed: true, Version: "1.18.2"}
	arm := machineWith("570.86.15", "12.8", h100)
	arm.Host.Architecture = "aarch64"
	for _, c := range []struct {
		name  string
		s     *inspect.Snapshot
		image *inspect.Image
		want  string
	}{
		{"older CUDA than the driver's", machineWith("570.86.15", "12.8", rtx3090), cuda("12.4"), ""},
		{"newer CUDA than the driver's", machineWith("535.104.05", "12.2", rtx3090), cuda("12.8"), "cuda-driver-too-old error"},
		{"newer CUDA, nothing checks it, minor-version compatible", cdiMode, cuda("12.8"), "cuda-driver-too-old warning"},
		{"newer CUDA, data center GPU of a branch that may", machineWith("535.104.05", "12.2", h100), cuda("12.8"), ""},
		{"one of two GPUs may not", machineWith("535.104.05", "12.2", h100, rtx3090), cuda("12.8"), "cuda-driver-too-old error"},
		{"GPU newer than the image's CUDA", machineWith("580.65.06", "13.0", rtx5090), cuda("12.4"), "gpu-arch-unsupported warning"},
		{"GPU older than the image's CUDA", machineWith("580.65.06", "13.0", p100), cuda("13.0"), "gpu-arch-unsupported error"},
		{"image for another processor", arm, cuda("12.4"), "arch-mismatch error"},
		{"no GPU", machineWith("", ""), cuda("12.4"), "no-nvidia-gpu error"},
		{"no GPU, and none is asked for", machineWith("", ""), &inspect.Image{Platform: "linux/amd64"}, ""},
		{"void is no wish", machineWith("", ""), &inspect.Image{Platform: "linux/amd64", VisibleDevices: ptrTo("void")}, ""},
		{"asks without CUDA, as Ollama does", machineWith("535.104.05", "12.2", rtx3090), &inspect.Image{Platform: "linux/amd64", VisibleDevices: &all}, ""},
		{"legacy image", machineWith("535.104.05", "12.2", rtx3090), &inspect.Image{Platform: "linux/amd64", CUDAVersion: "12.4.0", Legacy: true}, "cuda-driver-too-old error"},
		{"malformed requirement", machineWith("535.104.05", "12.2", rtx3090), &inspect.Image{Platform: "linux/amd64", Require: map[string]string{"NVIDIA_REQUIRE_X": "cuda=>12"}}, "cuda-driver-too-old error"},
		{"nothing known of the driver", &inspect.Snapshot{}, cuda("12.8"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range CheckImage(c.s, c.image).Findings {
				got = append(got, fmt.Sprintf("%s %s", f.ID, f.Severity))
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("%q, want %q", text, c.want)
			}
		})
	}
}

func ptrTo[T any](v T) *T { return &v }

func TestCheckSoftware(t *testing.T) {
	rtx3090, rtx5090 := inspect.GPU{Name: "RTX 3090", ComputeCapability: "8.6"}, inspect.GPU{Name: "RTX 5090", ComputeCapability: "12.0"}
	torch := func(cuda string) inspect.Software {
		return inspect.Software{Name: "pytorch", Version: "2.3.0", CUDA: cuda, CPUOnly: ptrTo(cuda == ""), Path: "torch/version.py"}
	}
	for _, c := range []struct {
		name     string
		s        *inspect.Snapshot
		software inspect.Software
		runs     Met
		want     string
	}{
		{"older CUDA", machineWith("570.86.15", "12.8", rtx3090), torch("12.1"), MetYes, ""},
		{"newer minor version", machineWith("535.104.05", "12.2", rtx3090), torch("12.8"), MetYes, ""},
		{"newer major version", machineWith("535.104.05", "12.2", rtx3090), torch("13.0"), MetNo, "cuda-driver-too-old"},
		{"built for the CPU", machineWith("570.86.15", "12.8", rtx3090), torch(""), MetNo, "framework-cpu-only-build"},
		{"no code for this GPU", machineWith("570.86.15", "12.8", rtx5090), torch("12.1"), MetNo, "gpu-arch-unsupported"},
		{"says nothing", machineWith("570.86.15", "12.8", rtx3090), inspect.Software{Name: "trtexec"}, MetUnknown, ""},
		{"no GPU here", machineWith("", ""), torch("12.1"), MetNo, ""},
		{"driver not known", &inspect.Snapshot{}, torch("12.1"), MetUnknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			verdicts, findings := CheckSoftware(c.s, &inspect.ContainerSoftware{Container: "c", Software: []inspect.Software{c.software}})
			got := ""
			for _, f := range findings {
				got += string(f.ID)
			}
			if verdicts[0].Runs != c.runs || got != c.want {
				t.Errorf("runs %v (%s), findings %q", verdicts[0].Runs, verdicts[0].Why, got)
			}
		})
	}
	_, findings := CheckSoftware(machineWith("570.86.15", "12.8", rtx3090), &inspect.ContainerSoftware{DriverLibrary: &inspect.Library{Path: "/usr/lib/libcuda.so.470.57.02", Version: "470.57.02"}})
	if len(findings) != 1 || findings[0].ID != "driver-libs-baked-into-image" {
		t.Errorf("a driver library in the image: %+v", findings)
	}
}
