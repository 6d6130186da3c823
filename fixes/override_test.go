package fixes

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/docker-gpu/docker-gpu/inspect"
)

const composeOfAllForms = `services:
  follows:
    image: busybox
    runtime: nvidia
    environment: ["NVIDIA_VISIBLE_DEVICES=${NVIDIA_VISIBLE_DEVICES:-void}"]
  fixed:
    image: busybox
    runtime: nvidia
    environment: {NVIDIA_VISIBLE_DEVICES: "1"}
  gpus:
    image: busybox
    gpus: all
  reserved:
    image: busybox
    deploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: ["0", "1"], capabilities: [gpu]}]}}}
  cdi:
    image: busybox
    devices: ["nvidia.com/gpu=0", "/dev/null:/dev/zero"]
  raw:
    image: busybox
    devices: [/dev/nvidia0]
  plain:
    image: busybox
`

func TestComposeOverride(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), composeOfAllForms, 0o644)
	snapshot := func(change func(*inspect.Snapshot)) *inspect.Snapshot {
		s := twoGPUs()
		s.Host.DeviceNodes = []inspect.DeviceNode{{Path: "/dev/nvidia0"}}
		read := inspect.Collect(context.Background(), inspect.Machine{WorkDir: dir, Getenv: func(string) string { return "" }, Now: time.Now}, time.Minute,
			inspect.ProjectSourceFor(inspect.ProjectOptions{Always: true, Compose: &inspect.ComposeArgs{}}))
		s.Project = read.Project
		s.Engine.DiscoveredDevices = nil
		change(s)
		return s
	}
	only := func(way string) func(*inspect.Snapshot) {
		return func(s *inspect.Snapshot) {
			if way != "runtime" {
				s.Engine.Runtimes = map[string]inspect.Runtime{"runc": {}}
			}
			switch way {
			case "gpus":
			case "runtime":
				s.Toolkit = &inspect.Toolkit{Installed: true, Binaries: []inspect.Binary{{Name: "nvidia-container-runtime", Path: "/usr/bin/nvidia-container-runtime"}}}
			default:
				s.Toolkit = &inspect.Toolkit{}
			}
			s.Engine.Version = "28.5.0" // --gpus wants the hook
			if way != "cdi" {
				s.CDI = &inspect.CDI{}
			}
		}
	}
	const off = `services:
    cdi:
        devices: !override
            - "/dev/null:/dev/zero"
        environment:
            NVIDIA_VISIBLE_DEVICES: "void"
    fixed:
        runtime: !reset null
        environment:
            NVIDIA_VISIBLE_DEVICES: "void"
    follows:
        runtime: !reset null
        environment:
            NVIDIA_VISIBLE_DEVICES: "void"
    gpus:
        gpus: !reset null
        environment:
            NVIDIA_VISIBLE_DEVICES: "void"
    raw:
        devices: !reset null
        environment:
            NVIDIA_VISIBLE_DEVICES: "void"
    reserved:
        deploy:
            resources:
                reservations:
                    devices: !reset null
        environment:
            NVIDIA_VISIBLE_DEVICES: "void"
`
	for _, c := range []struct {
		name   string
		mode   ComposeMode
		change func(*inspect.Snapshot)
		gpu    bool
		want   string
	}{
		{"everything works", ComposeAuto, func(*inspect.Snapshot) {}, true, "services:\n    follows:\n        environment:\n            NVIDIA_VISIBLE_DEVICES: \"all\"\n"},
		{"no GPU", ComposeAuto, func(s *inspect.Snapshot) { s.GPUs, s.Driver, s.Host.PCI = []inspect.GPU{}, nil, []inspect.PCIDevice{} }, false, off},
		{"--gpu off", ComposeOff, func(*inspect.Snapshot) {}, false, off},
		{"switched off", ComposeAuto, func(s *inspect.Snapshot) { s.Project.VisibleDevices = &inspect.Setting{Value: "void"} }, false, off},
		{"no way", ComposeAuto, only("none"), false, off},
		{"engine away", ComposeAuto, func(s *inspect.Snapshot) { s.Engine = nil }, false, off},
		{"CDI only", ComposeAuto, only("cdi"), true, `services:
    fixed:
        runtime: !reset null
        devices: !override
            - "nvidia.com/gpu=1"
    follows:
        runtime: !reset null
        devices: !override
            - "nvidia.com/gpu=all"
    gpus:
        gpus: !reset null
        devices: !override
            - "nvidia.com/gpu=all"
    reserved:
        deploy:
            resources:
                reservations:
                    devices: !reset null
        devices: !override
            - "nvidia.com/gpu=0"
            - "nvidia.com/gpu=1"
`},
		{"--gpus only, one GPU chosen", ComposeAuto, func(s *inspect.Snapshot) {
			only("gpus")(s)
			s.Project.VisibleDevices = &inspect.Setting{Value: "1"}
		}, true, `services:
    cdi:
        devices: !override
            - "/dev/null:/dev/zero"
        gpus: !override
            - device_ids: ["0"]
              capabilities: [gpu]
    fixed:
        runtime: !reset null
        gpus: !override
            - device_ids: ["1"]
              capabilities: [gpu]
    follows:
        runtime: !reset null
        gpus: !override
            - device_ids: ["1"]
              capabilities: [gpu]
`},
		{"runtime only", ComposeAuto, only("runtime"), true, `services:
    cdi:
        devices: !override
            - "/dev/null:/dev/zero"
        runtime: nvidia
        environment:
            NVIDIA_VISIBLE_DEVICES: "0"
    follows:
        environment:
            NVIDIA_VISIBLE_DEVICES: "all"
    gpus:
        gpus: !reset null
        runtime: nvidia
        environment:
            NVIDIA_VISIBLE_DEVICES: "all"
    reserved:
        deploy:
            resources:
                reservations:
                    devices: !reset null
        runtime: nvidia
        environment:
            NVIDIA_VISIBLE_DEVICES: "0,1"
`},
	} {
		got, err := ComposeOverride(snapshot(c.change), c.mode)
		_, text, _ := strings.Cut(string(got.Content), "\n")
		if diff := cmp.Diff(c.want, strings.TrimPrefix(text, "\n")); err != nil || got.GPU != c.gpu || diff != "" {
			t.Errorf("%s: GPU %v (%s), %v (-want +got):\n%s", c.name, got.GPU, got.Why, err, diff)
		}
	}
	if _, err := ComposeOverride(snapshot(only("none")), ComposeOn); err == nil || !strings.Contains(err.Error(), "cannot give containers a GPU") {
		t.Errorf("--gpu on where there is none: %v", err)
	}
}
