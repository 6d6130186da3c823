package fixes

import (
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

func healthy() *inspect.Snapshot {
	zero := uint32(0)
	return &inspect.Snapshot{
		Tool:    &inspect.Tool{Platform: "linux/amd64"},
		Host:    &inspect.Host{PCI: []inspect.PCIDevice{{BusID: "0000:17:00.0", Driver: "nvidia"}}, Modules: []inspect.Module{}, Libraries: []inspect.Library{}},
		Driver:  &inspect.Driver{Version: "570.86.15", ModuleVersion: "570.86.15", LibraryVersion: "570.86.15"},
		Engine:  &inspect.Engine{Version: "29.7.2", OSType: "linux", Location: "local", Runtimes: map[string]inspect.Runtime{"nvidia": {Path: "nvidia-container-runtime"}}},
		Toolkit: &inspect.Toolkit{Installed: true, Version: "1.20.1", Binaries: []inspect.Binary{{Name: "nvidia-container-runtime-hook"}, {Name: "nvidia-container-cli"}}},
		CDI:     &inspect.CDI{},
		GPUs:    []inspect.GPU{{Index: 0, GPUUtilPercent: &zero, Processes: []inspect.GPUProcess{}}},
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*inspect.Snapshot)
		code   Code
		text   string
	}{
		{"healthy", func(*inspect.Snapshot) {}, OK, "GPU passthrough works. The GPU is idle."},
		{"no GPU", func(s *inspect.Snapshot) {
			s.GPUs, s.Driver, s.Host.PCI = []inspect.GPU{}, nil, []inspect.PCIDevice{}
		}, NoGPU, "No NVIDIA GPU here: containers run on the CPU."},
		{"switched off", func(s *inspect.Snapshot) {
			s.Project = &inspect.Project{VisibleDevices: &inspect.Setting{Value: "void", File: ".devcontainer/.env", Line: 2}}
		}, Disabled, "GPU passthrough is switched off for this project: NVIDIA_VISIBLE_DEVICES=void (.devcontainer/.env:2)."},
		{"engine denied", func(s *inspect.Snapshot) {
			s.Engine = &inspect.Engine{Endpoint: "unix:///var/run/docker.sock", Unreachable: "denied"}
		}, EngineUnreachable, "You may not talk to the Docker engine at unix:///var/run/docker.sock: permission denied."},
		{"version mismatch", func(s *inspect.Snapshot) {
			s.GPUs, s.Driver = nil, &inspect.Driver{NVMLError: "Driver/library version mismatch", ModuleVersion: "570.86.15"}
		}, GPUUnusable, "The NVIDIA driver was updated under its running kernel module: no program can use the GPU until a reboot."},
		{"hanging NVML", func(s *inspect.Snapshot) {
			s.GPUs, s.Sources = nil, []inspect.Reading{{Name: "nvml", TimedOut: true, Error: "no answer"}}
		}, GPUUnusable, "The NVIDIA driver does not answer: NVML hung until the deadline."},
		{"one lost GPU", func(s *inspect.Snapshot) {
			s.GPUs = append(s.GPUs, inspect.GPU{Index: 1, Error: "GPU is lost"})
		}, GPUUnusable, "GPU 1 (GPU is lost): containers cannot use it; the other one can be used."},
		{"nouveau", func(s *inspect.Snapshot) {
			s.GPUs, s.Driver, s.Host.PCI[0].Driver = nil, nil, "nouveau"
		}, GPUUnusable, "There is an NVIDIA GPU, but the nouveau driver holds it: containers cannot use it."},
		{"no driver", func(s *inspect.Snapshot) {
			s.GPUs, s.Driver, s.Host.PCI[0].Driver = nil, nil, ""
		}, GPUUnusable, "There is an NVIDIA GPU, but no NVIDIA driver: containers cannot use it."},
		{"no toolkit", func(s *inspect.Snapshot) {
			s.Toolkit, s.Engine.Runtimes = &inspect.Toolkit{}, nil
		}, GPUUnusable, "There is a GPU and a driver, but no NVIDIA Container Toolkit: containers cannot use the GPU."},
		{"macOS", func(s *inspect.Snapshot) {
			s.Tool.Platform, s.Engine.Location = "darwin/arm64", "vm"
		}, UnsupportedPlatform, "No NVIDIA GPU can be passed to containers on macOS: they run on the CPU."},
		{"Windows containers", func(s *inspect.Snapshot) { s.Engine.OSType = "windows" }, UnsupportedPlatform,
			"The engine runs windows containers: NVIDIA GPUs reach Linux containers only."},
		{"a remote engine that shows nothing", func(s *inspect.Snapshot) {
			*s = inspect.Snapshot{Host: &inspect.Host{Name: "ada"}, Engine: &inspect.Engine{Version: "29.7.2", OSType: "linux", Location: "remote"}}
		}, CannotTell, "Cannot tell from here: the engine's machine shows no GPU to docker, neither an nvidia runtime nor a CDI device."},
	} {
		s := healthy()
		c.change(s)
		if got := Judge(s); got.Code != c.code || got.Text != c.text {
			t.Errorf("%s: %s %q, want %s %q", c.name, got.Code, got.Text, c.code, c.text)
		}
	}
}

func TestCompareDotted(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"535.104.05", "535", 1}, {"535", "535.0", 0}, {"470.199.02", "535", -1}, {"20.10.24+dfsg1", "25.0", -1}, {"29.10.0", "29.2", 1}} {
		if got := compareDotted(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
