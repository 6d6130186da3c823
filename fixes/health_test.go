package fixes

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// node is a device node as NVIDIA's driver makes it.
func node(name string, minor uint32) inspect.DeviceNode {
	return inspect.DeviceNode{Path: name, Mode: "crw-rw-rw-", Major: nvidiaMajor, Minor: minor, Device: true}
}

var (
	gpu0, gpu1   = node("/dev/nvidia0", 0), node("/dev/nvidia1", 1)
	ctl, uvm     = node("/dev/nvidiactl", 255), inspect.DeviceNode{Path: "/dev/nvidia-uvm", Major: 511, Device: true}
	driverThere  = []string{"/usr/bin/nvidia-smi", "/usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15"}
	allNodes     = []inspect.DeviceNode{gpu0, ctl, uvm}
	nothingThere = inspect.Inside{DeviceNodes: []inspect.DeviceNode{}, DriverMounts: []string{}}
)

func opens(errorOf map[string]string, nodes ...inspect.DeviceNode) (all []inspect.DeviceOpen) {
	for _, n := range nodes {
		all = append(all, inspect.DeviceOpen{Path: n.Path, Error: errorOf[n.Path]})
	}
	return all
}

// The matrix from inside: variable × grant × state of the device.
func TestHealthInside(t *testing.T) {
	variable := func(v string) *inspect.Asks { return &inspect.Asks{VisibleDevices: &v} }
	with := func(in inspect.Inside, asks *inspect.Asks) inspect.Inside { in.Asks = asks; return in }
	given := inspect.Inside{DeviceNodes: allNodes, DriverMounts: driverThere, LibraryVersion: "570.86.15", Opened: opens(nil, allNodes...)}
	lost := given
	lost.Opened = opens(map[string]string{"/dev/nvidia0": "EPERM", "/dev/nvidiactl": "EPERM", "/dev/nvidia-uvm": "EPERM"}, allNodes...)
	noNodes := inspect.Inside{DeviceNodes: []inspect.DeviceNode{}, DriverMounts: driverThere}
	raw := inspect.Inside{DeviceNodes: []inspect.DeviceNode{{Path: "/dev/nvidia0", Major: 1, Minor: 3, Device: true}}, DriverMounts: []string{},
		Opened: []inspect.DeviceOpen{{Path: "/dev/nvidia0"}}}
	failing := func(name string) inspect.Inside {
		in := given
		in.Opened = opens(map[string]string{"/dev/nvidia0": name}, allNodes...)
		return in
	}
	for _, c := range []struct {
		name   string
		in     inspect.Inside
		more   func(*inspect.Snapshot)
		status HealthStatus
		id     ID
	}{
		{"unset, nothing there", with(nothingThere, &inspect.Asks{}), nil, Skipped, ""},
		{"unset in a legacy image, nothing there", with(nothingThere, &inspect.Asks{LegacyImage: true, CUDAVersion: "9.0"}), nil, Skipped, ""},
		{"void, nothing there", with(nothingThere, variable("void")), nil, Skipped, ""},
		{"void in a list, nothing there", with(nothingThere, variable("0,void")), nil, Skipped, ""},
		{"empty, nothing there", with(nothingThere, variable("")), nil, Skipped, ""},
		{"none, nothing there", with(nothingThere, variable("none")), nil, Skipped, ""},
		{"none with the libraries that it asks for", with(noNodes, variable("none")), nil, Skipped, ""},
		{"all, nothing there", with(nothingThere, variable("all")), nil, Unhealthy, "gpu-not-requested"},
		{"a UUID, nothing there", with(nothingThere, variable("GPU-aa")), nil, Unhealthy, "gpu-not-requested"},
		{"all, given", with(given, variable("all")), nil, Healthy, ""},
		{"unset, given by --gpus", with(given, &inspect.Asks{}), nil, Healthy, ""},
		{"void, given by CDI", with(given, variable("void")), nil, Healthy, ""},
		{"void in a CDI container that lost its GPU", with(lost, variable("void")), nil, Unhealthy, "cgroup-device-lost"},
		{"unset, given by --gpus and lost", with(lost, &inspect.Asks{}), nil, Unhealthy, "cgroup-device-lost"},
		{"void, the driver's mounts and no node", with(noNodes, variable("void")), nil, Unhealthy, "device-node-missing"},
		{"all, the driver's mounts and no node", with(noNodes, variable("all")), nil, Unhealthy, "device-node-missing"},
		{"two asked for, one there", with(given, variable("0,1")), nil, Unhealthy, "device-node-missing"},
		{"the same one asked for twice", with(given, variable("0,0")), nil, Healthy, ""},
		{"a MIG device on the GPU's node", with(given, variable("0:0,0:1")), nil, Healthy, ""},
		{"CDI names", with(given, variable("nvidia.com/gpu=0")), nil, Healthy, ""},
		{"a raw device of another driver", raw, nil, Healthy, ""},
		{"not the user's", failing("EACCES"), nil, Unhealthy, "device-permission-denied"},
		{"no module", failing("ENXIO"), nil, Unhealthy, "driver-module-not-loaded"},
		{"GPU does not start", failing("EIO"), nil, Unhealthy, "gpu-init-failed"},
		{"driver hangs", failing("timeout"), nil, Unhealthy, "driver-not-answering"},
		{"NVML hangs", given, func(s *inspect.Snapshot) {
			s.Sources = []inspect.Reading{{Name: "nvml", TimedOut: true, Error: "no answer within 10s"}}
		}, Unhealthy, "driver-not-answering"},
		{"NVML hangs, and no GPU is expected", inspect.Inside{}, func(s *inspect.Snapshot) {
			s.Sources = []inspect.Reading{{Name: "nvml", TimedOut: true, Error: "no answer within 10s"}}
		}, Skipped, ""},
		{"node without the control node", inspect.Inside{DeviceNodes: []inspect.DeviceNode{gpu0}, DriverMounts: driverThere, Opened: opens(nil, gpu0)}, nil, Unhealthy, "device-node-missing"},
		{"utility alone needs no uvm", inspect.Inside{DeviceNodes: []inspect.DeviceNode{gpu0, ctl}, DriverMounts: driverThere, Opened: opens(nil, gpu0, ctl),
			Asks: &inspect.Asks{DriverCapabilities: new("utility")}}, nil, Healthy, ""},
		{"a file where the node should be", inspect.Inside{DeviceNodes: []inspect.DeviceNode{{Path: "/dev/nvidia0"}}, DriverMounts: driverThere}, nil, Unhealthy, "device-node-missing"},
		{"libraries of another version", given, func(s *inspect.Snapshot) { s.Driver = &inspect.Driver{ModuleVersion: "535.104.05"} }, Unhealthy, "driver-library-version-mismatch"},
		{"NVML says lost", given, func(s *inspect.Snapshot) { s.GPUs = []inspect.GPU{{Error: "GPU is lost"}} }, Unhealthy, "gpu-lost-xid"},
		{"NVML says reset", given, func(s *inspect.Snapshot) { s.GPUs = []inspect.GPU{{Error: "GPU requires reset"}} }, Unhealthy, "gpu-reset-required"},
		{"NVML finds none", given, func(s *inspect.Snapshot) { s.GPUs = []inspect.GPU{} }, Unhealthy, "gpu-init-failed"},
		{"NVML does not start", given, func(s *inspect.Snapshot) { s.Driver = &inspect.Driver{NVMLError: "Unknown Error"} }, Unhealthy, "cgroup-device-lost"},
		{"NVML of the image, nothing there", with(nothingThere, variable("all")), func(s *inspect.Snapshot) { s.Driver = &inspect.Driver{NVMLError: "Driver Not Loaded"} }, Unhealthy, "gpu-not-requested"},
		{"WSL2", inspect.Inside{DeviceNodes: []inspect.DeviceNode{{Path: "/dev/dxg", Major: 10, Device: true}}, DriverMounts: []string{"/usr/lib/wsl/lib"}, Opened: []inspect.DeviceOpen{{Path: "/dev/dxg"}}}, nil, Healthy, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &inspect.Snapshot{Inside: &c.in}
			if c.more != nil {
				c.more(s)
			}
			holdHealth(t, HealthInside(s), c.status, c.id)
		})
	}
}

func holdHealth(t *testing.T, h Health, status HealthStatus, id ID) {
	t.Helper()
	var ids []string
	for _, f := range h.Findings {
		ids = append(ids, string(f.ID))
		if len(f.Evidence) == 0 || f.Evidence[0].Text == "" {
			t.Errorf("%s has no evidence", f.ID)
		}
	}
	if h.Status != status || strings.Join(ids, " ") != string(id) {
		t.Errorf("%s %q, want %s %q: %+v", h.Status, ids, status, id, h)
	}
	if h.Expected != (len(h.Because) > 0) || h.Expected == (status == Skipped) {
		t.Errorf("expected %t because of %q, and %s", h.Expected, h.Because, status)
	}
}

// The matrix from outside: what the engine keeps says how the GPU was granted.
func TestHealthOutside(t *testing.T) {
	granted := func(by string, gpus ...string) inspect.Grant { return inspect.Grant{By: []string{by}, GPUs: gpus} }
	seen := &inspect.Inside{DeviceNodes: allNodes, DriverMounts: driverThere, LibraryVersion: "570.86.15", DeviceRules: []string{"c 195:* rw", "c 511:* rw"}}
	lost := &inspect.Inside{DeviceNodes: allNodes, DriverMounts: driverThere, DeviceRules: []string{"c 1:3 rwm", "c *:* m", "b *:* m"}}
	denied := &inspect.Inside{Denied: "to see into a container needs root"}
	variable := func(v string, fromImage bool) inspect.Asks {
		return inspect.Asks{VisibleDevices: &v, VisibleFromImage: fromImage}
	}
	engine := &inspect.Engine{Version: "28.5.2", DefaultRuntime: "runc"}
	for _, c := range []struct {
		name   string
		c      inspect.Container
		more   func(*inspect.Snapshot)
		status HealthStatus
		id     ID
	}{
		{"no request", inspect.Container{Inside: &nothingThere}, nil, Skipped, ""},
		{"the image's own all, which runc does not read", inspect.Container{Asks: variable("all", true), Inside: &nothingThere}, nil, Skipped, ""},
		{"the user's all, which runc does not read", inspect.Container{Asks: variable("all", false), Inside: &nothingThere}, nil, Unhealthy, "gpu-not-requested"},
		{"the same, not to be looked into", inspect.Container{Asks: variable("all", false), Inside: denied}, nil, Unhealthy, "gpu-not-requested"},
		{"all, refused by the toolkit", inspect.Container{Runtime: "nvidia", Asks: variable("all", false), Inside: &nothingThere}, nil, Unhealthy, "visible-devices-ignored"},
		{"--gpus all, no variable", inspect.Container{Grant: granted(inspect.ByGPUs, "0"), Inside: seen}, nil, Healthy, ""},
		{"--gpus all, devices lost", inspect.Container{Grant: granted(inspect.ByGPUs, "0"), Inside: lost}, nil, Unhealthy, "cgroup-device-lost"},
		{"CDI with void, devices lost", inspect.Container{Grant: granted(inspect.ByCDI, "0"), Asks: variable("void", false), Inside: lost}, nil, Unhealthy, "cgroup-device-lost"},
		{"CDI with void", inspect.Container{Grant: granted(inspect.ByCDI, "0"), Asks: variable("void", false), Inside: seen}, nil, Healthy, ""},
		{"granted, nothing there", inspect.Container{Grant: granted(inspect.ByGPUs, "0"), Inside: &nothingThere}, nil, Unhealthy, "device-node-missing"},
		{"two granted, one there", inspect.Container{Grant: granted(inspect.ByGPUs, "0", "1"), Inside: seen}, nil, Unhealthy, "device-node-missing"},
		{"granted, not to be looked into", inspect.Container{Grant: granted(inspect.ByGPUs, "0"), Inside: denied}, nil, Healthy, ""},
		{"privileged, all of the host's", inspect.Container{Grant: granted(inspect.ByPrivileged, "all"), Inside: &inspect.Inside{DeviceNodes: []inspect.DeviceNode{gpu0, gpu1, ctl, uvm}, DriverMounts: []string{}, DeviceRules: []string{"a *:* rwm"}}}, nil, Healthy, ""},
		{"traces without a request that is known", inspect.Container{Inside: lost}, nil, Unhealthy, "cgroup-device-lost"},
		{"its GPU is lost", inspect.Container{Grant: granted(inspect.ByGPUs, "1"), Inside: denied}, func(s *inspect.Snapshot) {
			s.GPUs = []inspect.GPU{{Index: 0}, {Index: 1, Error: "GPU is lost"}}
		}, Unhealthy, "gpu-lost-xid"},
		{"another's GPU is lost", inspect.Container{Grant: granted(inspect.ByGPUs, "0"), Inside: seen}, func(s *inspect.Snapshot) {
			s.GPUs = []inspect.GPU{{Index: 0}, {Index: 1, Error: "GPU is lost"}}
		}, Healthy, ""},
		{"the host's driver and libraries differ", inspect.Container{Grant: granted(inspect.ByGPUs, "0"), Inside: seen}, func(s *inspect.Snapshot) {
			s.Driver = &inspect.Driver{NVMLError: "Driver/library version mismatch"}
		}, Unhealthy, "driver-library-version-mismatch"},
		{"libraries of an update ago", inspect.Container{Grant: granted(inspect.ByCDI, "0"), Inside: seen}, func(s *inspect.Snapshot) {
			s.Driver = &inspect.Driver{ModuleVersion: "580.10"}
		}, Unhealthy, "driver-library-version-mismatch"},
		{"no engine facts, nothing asked", inspect.Container{}, func(s *inspect.Snapshot) { s.Engine = nil }, Skipped, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &inspect.Snapshot{Engine: engine, Containers: []inspect.Container{c.c}}
			if c.more != nil {
				c.more(s)
			}
			h := HealthOutside(s, &s.Containers[0])
			holdHealth(t, h, c.status, c.id)
			if c.c.Inside != nil && c.c.Inside.Denied != "" && !slices.Contains(h.NotSeen, c.c.Inside.Denied) {
				t.Errorf("it does not say what could not be seen: %q", h.NotSeen)
			}
		})
	}
}

func TestRuled(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []string
		want  bool
	}{
		{"none", nil, false},
		{"everything", []string{"a *:* rwm"}, true},
		{"the major", []string{"b 8:* rw", "c 195:* rw"}, true},
		{"the device", []string{"c 195:0 rwm"}, true},
		{"another device", []string{"c 195:1 rwm"}, false},
		{"mknod is not use", []string{"c *:* m"}, false},
		{"reading is not enough", []string{"c 195:0 r"}, false},
		{"block devices", []string{"b *:* rwm"}, false},
		{"nonsense", []string{"", "c", "c 195 rw x y"}, false},
	} {
		if got := ruled(c.rules, nvidiaMajor, 0); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
