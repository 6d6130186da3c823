package inspect

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGrant(t *testing.T) {
	snapshot := func() *Snapshot {
		return &Snapshot{
			Engine: &Engine{DefaultRuntime: "runc", Runtimes: map[string]Runtime{"nvidia": {Path: "nvidia-container-runtime"}, "runc": {Path: "runc"}}},
			GPUs:   []GPU{{Index: 0, UUID: "GPU-a", Minor: ptr(1)}, {Index: 1, UUID: "GPU-b", Minor: ptr(0)}},
		}
	}
	gpu := [][]string{{"gpu"}}
	for _, c := range []struct {
		name   string
		c      Container
		change func(*Snapshot)
		by     []string
		gpus   []string
	}{
		{"nothing", Container{}, nil, []string{}, []string{}},
		{"--gpus all", Container{Asks: Asks{DeviceRequests: []DeviceRequest{{Count: -1, Capabilities: gpu}}}}, nil, []string{ByGPUs}, []string{"0", "1"}},
		{"--gpus 1 is index 0", Container{Asks: Asks{DeviceRequests: []DeviceRequest{{Count: 1, Capabilities: gpu}}}}, nil, []string{ByGPUs}, []string{"0"}},
		{"--gpus by UUID", Container{Asks: Asks{DeviceRequests: []DeviceRequest{{DeviceIDs: []string{"GPU-b"}, Capabilities: gpu}}}}, nil, []string{ByGPUs}, []string{"1"}},
		{"CDI, and void in the environment", Container{Asks: Asks{VisibleDevices: ptr("void"), DeviceRequests: []DeviceRequest{{Driver: "cdi", DeviceIDs: []string{"nvidia.com/gpu=0"}}}}}, nil, []string{ByCDI}, []string{"0"}},
		{"CDI of another vendor", Container{Asks: Asks{DeviceRequests: []DeviceRequest{{Driver: "cdi", DeviceIDs: []string{"amd.com/gpu=0"}}}}}, nil, []string{}, []string{}},
		{"an AMD request", Container{Asks: Asks{DeviceRequests: []DeviceRequest{{Driver: "amd", Count: -1, Capabilities: gpu}}}}, nil, []string{}, []string{}},
		{"runtime and variable", Container{Runtime: "nvidia", Asks: Asks{VisibleDevices: ptr("1")}}, nil, []string{ByRuntime}, []string{"1"}},
		{"runtime and void", Container{Runtime: "nvidia", Asks: Asks{VisibleDevices: ptr("void")}}, nil, []string{}, []string{}},
		{"variable under runc", Container{Runtime: "runc", Asks: Asks{VisibleDevices: ptr("all")}}, nil, []string{}, []string{}},
		{"default runtime", Container{Runtime: "nvidia", Asks: Asks{VisibleDevices: ptr("all")}}, func(s *Snapshot) { s.Engine.DefaultRuntime = "nvidia" }, []string{ByDefaultRuntime}, []string{"0", "1"}},
		{"variable turned off", Container{Runtime: "nvidia", Asks: Asks{VisibleDevices: ptr("all")}}, func(s *Snapshot) { s.Toolkit = &Toolkit{Config: &ToolkitConfig{AcceptEnvUnprivileged: ptr(false)}} }, []string{}, []string{}},
		{"volume mounts not accepted", Container{Runtime: "nvidia", Asks: Asks{VolumeMountDevices: []string{"0"}}}, nil, []string{}, []string{}},
		{"volume mounts accepted", Container{Runtime: "nvidia", Asks: Asks{VolumeMountDevices: []string{"0"}}}, func(s *Snapshot) { s.Toolkit = &Toolkit{Config: &ToolkitConfig{AcceptVolumeMounts: ptr(true)}} }, []string{ByVolumeMounts}, []string{"0"}},
		{"swarm", Container{Runtime: "nvidia", Asks: Asks{VisibleDevices: ptr("all"), GenericResources: map[string]string{"DOCKER_RESOURCE_GPU": "GPU-b"}}}, func(s *Snapshot) { s.Toolkit = &Toolkit{Config: &ToolkitConfig{SwarmResource: "DOCKER_RESOURCE_GPU"}} }, []string{BySwarm}, []string{"1"}},
		{"raw device by minor", Container{Asks: Asks{Devices: []string{"/dev/nvidia0", "/dev/nvidiactl"}}}, nil, []string{ByDevice}, []string{"1"}},
		{"WSL2's device", Container{Asks: Asks{Devices: []string{"/dev/dxg"}}}, nil, []string{ByDXG}, []string{"0", "1"}},
		{"cgroup rule", Container{Asks: Asks{DeviceCgroupRules: []string{"c 195:* rmw"}}}, nil, []string{ByCgroupRule}, []string{"0", "1"}},
		{"privileged", Container{Privileged: true}, nil, []string{ByPrivileged}, []string{"0", "1"}},
		{"privileged without GPU", Container{Privileged: true}, func(s *Snapshot) { s.GPUs = []GPU{} }, []string{}, []string{}},
	} {
		s := snapshot()
		if c.change != nil {
			c.change(s)
		}
		got := grant(s, &c.c)
		if diff := cmp.Diff(c.by, got.By); diff != "" {
			t.Errorf("%s: by (-want +got):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(c.gpus, got.GPUs); diff != "" {
			t.Errorf("%s: GPUs (-want +got):\n%s", c.name, diff)
		}
	}
}
