package fixes

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// HealthStatus is the answer of the health check for one container.
type HealthStatus string

// A container is skipped where no GPU is expected in it.
const (
	Healthy   HealthStatus = "healthy"
	Unhealthy HealthStatus = "unhealthy"
	Skipped   HealthStatus = "skipped"
)

// Health is what the health check found of one container: whether a GPU is expected, why, and what is
// wrong with it. NotSeen says what could not be looked at, which counts neither for nor against.
type Health struct {
	Status   HealthStatus `json:"status"`
	Expected bool         `json:"expected"`
	Because  []string     `json:"because"` // by what a GPU is expected, or none
	Devices  []string     `json:"devices"` // GPU device nodes that are there and open; nil: not known
	Findings []Finding    `json:"findings"`
	NotSeen  []string     `json:"notSeen,omitempty"`
}

// HealthInside judges the container that docker gpu runs in. What it was given shows in device nodes and
// driver mounts; what it asks for in its environment, which is all there is to go by.
func HealthInside(s *inspect.Snapshot) Health {
	in := s.Inside
	if in == nil {
		return Health{Status: Skipped, Because: []string{}, Findings: []Finding{}, NotSeen: []string{"this is no container"}}
	}
	h := &healthCheck{s: s, in: in}
	if in.Asks != nil {
		h.asks = *in.Asks
	}
	h.traces()
	switch visible := inspect.ParseVisibleDevices(h.asks.VisibleDevices, false); visible.Kind {
	case inspect.VisibleAll, inspect.VisibleList:
		h.because("NVIDIA_VISIBLE_DEVICES=" + *h.asks.VisibleDevices)
		if visible.Kind == inspect.VisibleList {
			h.wanted = wholeGPUs(visible.Devices)
		}
	case inspect.VisibleNone: // libraries without a GPU are what was asked for
		if len(h.nodes) == 0 && !h.gpuMounted {
			h.health.Because = nil
		}
	}
	return h.judge()
}

// HealthOutside judges a container of the engine: by how it was granted a GPU, by what it asks for, and
// by what is in it, where that could be seen.
func HealthOutside(s *inspect.Snapshot, c *inspect.Container) Health {
	h := &healthCheck{s: s, c: c, asks: c.Asks, in: c.Inside}
	if h.in != nil && h.in.Denied != "" {
		h.health.NotSeen = append(h.health.NotSeen, h.in.Denied)
	}
	for i, by := range c.Grant.By {
		because := by
		if len(c.Grant.Detail) == len(c.Grant.By) {
			because = c.Grant.Detail[i]
		}
		h.because(because)
	}
	if len(c.Grant.By) == 1 && c.Grant.By[0] != inspect.ByPrivileged {
		h.wanted = wholeGPUs(c.Grant.GPUs)
	}
	h.traces()
	switch visible := inspect.ParseVisibleDevices(h.asks.VisibleDevices, false); visible.Kind {
	case inspect.VisibleAll, inspect.VisibleList:
		if len(c.Grant.By) == 0 && !c.Asks.VisibleFromImage { // an image's own value that nothing reads is no request
			h.because("NVIDIA_VISIBLE_DEVICES=" + *h.asks.VisibleDevices)
		}
	}
	return h.judge()
}

// healthCheck is one container under examination.
type healthCheck struct {
	s          *inspect.Snapshot
	c          *inspect.Container // nil: from inside
	in         *inspect.Inside    // nil: not looked at
	asks       inspect.Asks
	nodes      []inspect.DeviceNode // of GPUs
	wanted     int                  // whole GPUs that it should have; 0: not known
	gpuMounted bool
	health     Health
}

func (h *healthCheck) because(why string) {
	if !slices.Contains(h.health.Because, why) {
		h.health.Because = append(h.health.Because, why)
	}
}

// traces are what a grant leaves in a container: device nodes and mounts of the driver.
func (h *healthCheck) traces() {
	if h.in == nil || h.in.Denied != "" {
		return
	}
	for _, n := range h.in.DeviceNodes {
		if isGPUDevice(n.Path) {
			h.nodes = append(h.nodes, n)
		}
	}
	switch {
	case len(h.nodes) > 0:
		h.because("device nodes")
	case slices.ContainsFunc(h.in.DeviceNodes, func(n inspect.DeviceNode) bool { return strings.HasPrefix(n.Path, "/dev/nvidia") }):
		h.because("device nodes of the driver")
	}
	h.gpuMounted = slices.ContainsFunc(h.in.DriverMounts, isGPUDevice)
	if len(h.in.DriverMounts) > 0 {
		h.because("driver mounts")
	}
}

// isGPUDevice tells /dev/nvidia0 and /dev/dxg from the driver's own nodes.
func isGPUDevice(name string) bool {
	minor, ok := strings.CutPrefix(name, "/dev/nvidia")
	return name == "/dev/dxg" || ok && minor != "" && strings.Trim(minor, "0123456789") == ""
}

// wholeGPUs counts the GPUs of a list; 0 where it names something else than whole GPUs.
func wholeGPUs(names []string) int {
	seen := map[string]bool{}
	for _, name := range names {
		name = strings.TrimPrefix(name, "nvidia.com/gpu=")
		if name == "all" || strings.HasPrefix(name, "MIG-") || strings.Contains(name, ":") {
			return 0
		}
		seen[name] = true
	}
	return len(seen)
}

func (h *healthCheck) found(id ID, evidence ...Evidence) {
	f := NewFinding(id, evidence...)
	if h.c != nil {
		f.Container = h.c.Name
	}
	h.health.Findings = append(h.health.Findings, f)
}

func (h *healthCheck) judge() Health {
	if len(h.health.Because) > 0 {
		h.health.Expected = true
		h.machine()
		if len(h.health.Findings) == 0 {
			h.inside()
		}
		if len(h.health.Findings) == 0 {
			h.answers()
		}
	}
	r := &h.health
	switch {
	case !r.Expected:
		r.Status = Skipped
	case len(r.Findings) > 0:
		r.Status = Unhealthy
	default:
		r.Status = Healthy
	}
	if r.Because == nil {
		r.Because = []string{}
	}
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	return *r
}

// machine looks for what takes the GPU from every container.
func (h *healthCheck) machine() {
	if d := h.s.Driver; d != nil && d.NVMLError != "" {
		if h.c == nil && h.noTrace() { // a library that the image brought: the GPU is not even there
			return
		}
		text := Evidence{Source: "nvml", Text: d.NVMLError}
		if id, ok := causeOfNVML(d.NVMLError); ok && (h.c == nil || id != "cgroup-device-lost") {
			if id == "cgroup-device-lost" && h.opened("EPERM") == "" && len(h.nodes) == 0 {
				return // the nodes that are missing say more
			}
			h.found(id, text)
		} else if h.c == nil {
			h.found("gpu-lost-xid", text)
		}
	}
	if d := h.s.Driver; d != nil && h.in != nil && h.in.LibraryVersion != "" && d.ModuleVersion != "" && h.in.LibraryVersion != d.ModuleVersion && len(h.health.Findings) == 0 {
		h.found("driver-library-version-mismatch", Evidence{Source: "driver mounts", Text: "libraries of " + h.in.LibraryVersion},
			Evidence{Source: "/proc/driver/nvidia/version", Text: "kernel module " + d.ModuleVersion})
	}
}

// causeOfNVML is the root cause behind NVML's words.
func causeOfNVML(words string) (ID, bool) {
	id, ok := map[string]ID{
		"Driver Not Loaded":               "driver-module-not-loaded",
		"Driver/library version mismatch": "driver-library-version-mismatch",
		"Insufficient Permissions":        "device-permission-denied",
		"GPU is lost":                     "gpu-lost-xid",
		"GPU requires reset":              "gpu-reset-required",
		"Unknown Error":                   "cgroup-device-lost",
	}[words]
	return id, ok
}

func (h *healthCheck) noTrace() bool {
	return h.in != nil && len(h.nodes) == 0 && len(h.in.DriverMounts) == 0
}

// inside looks at what is in the container: is there a node for each GPU, and does it open.
func (h *healthCheck) inside() {
	if h.in == nil || h.in.Denied != "" {
		h.ungranted()
		return
	}
	if len(h.nodes) == 0 {
		switch {
		case len(h.in.DriverMounts) == 0 && !h.hasDriverNode():
			h.nothingThere()
		default:
			h.found("device-node-missing", Evidence{Source: "container", Text: "the driver is mounted, and there is no /dev/nvidia0 or other GPU"})
		}
		return
	}
	h.cgroup()
	for _, n := range h.nodes {
		if !n.Device {
			h.found("device-node-missing", Evidence{Source: "container", Text: n.Path + " is no device"})
		}
	}
	if h.wanted > len(h.nodes) && len(h.health.Findings) == 0 && !slices.ContainsFunc(h.nodes, func(n inspect.DeviceNode) bool { return n.Path == "/dev/dxg" }) {
		h.found("device-node-missing", Evidence{Source: "container", Text: fmt.Sprintf("%d GPUs were asked for, %s here", h.wanted, countNodes(len(h.nodes)))})
	}
	h.control()
}

func countNodes(n int) string {
	if n == 1 {
		return "1 is"
	}
	return strconv.Itoa(n) + " are"
}

func (h *healthCheck) hasDriverNode() bool {
	return slices.ContainsFunc(h.in.DeviceNodes, func(n inspect.DeviceNode) bool { return strings.HasPrefix(n.Path, "/dev/nvidia") })
}

// cgroup takes the device cgroup's word, by opening the node or by its rules: the node is there, and may
// not be used any more.
func (h *healthCheck) cgroup() {
	byError := map[string][]string{}
	var order []string
	for _, o := range h.in.Opened {
		if !isGPUDevice(o.Path) && o.Path != "/dev/nvidiactl" && o.Path != "/dev/nvidia-uvm" {
			continue
		}
		if o.Error == "" {
			if isGPUDevice(o.Path) {
				h.health.Devices = append(h.health.Devices, o.Path)
			}
			continue
		}
		if byError[o.Error] == nil {
			order = append(order, o.Error)
		}
		byError[o.Error] = append(byError[o.Error], o.Path)
	}
	for _, name := range order {
		h.found(causeOfOpen(name), Evidence{Source: "open", Text: strings.Join(byError[name], ", ") + ": " + name})
	}
	if len(h.in.Opened) > 0 || h.in.DeviceRules == nil {
		if len(h.in.Opened) == 0 {
			for _, n := range h.nodes {
				h.health.Devices = append(h.health.Devices, n.Path)
			}
			if h.c != nil {
				h.health.NotSeen = append(h.health.NotSeen, "the device cgroup (v2) shows only inside")
			}
		}
		return
	}
	var denied []string
	for _, n := range h.nodes {
		if n.Device && !ruled(h.in.DeviceRules, n.Major, n.Minor) {
			denied = append(denied, fmt.Sprintf("%s (c %d:%d)", n.Path, n.Major, n.Minor))
			continue
		}
		h.health.Devices = append(h.health.Devices, n.Path)
	}
	if len(denied) > 0 {
		h.found("cgroup-device-lost", Evidence{Source: "devices.list", Text: "no rule for " + strings.Join(denied, ", ")})
	}
}

// causeOfOpen is the root cause behind the error that opening a GPU's node gave.
func causeOfOpen(name string) ID {
	switch name {
	case "EPERM": // the device cgroup says it; a file mode says EACCES
		return "cgroup-device-lost"
	case "EACCES":
		return "device-permission-denied"
	case "ENXIO", "ENODEV":
		return "driver-module-not-loaded"
	case "ENOENT":
		return "device-node-missing"
	case "EIO":
		return "gpu-init-failed"
	case "timeout": // not an error's name: the child that opened it stood there until the deadline
		return "driver-not-answering"
	}
	return "gpu-lost-xid"
}

func (h *healthCheck) opened(name string) string {
	for _, o := range h.in.Opened {
		if o.Error == name {
			return o.Path
		}
	}
	return ""
}

// ruled tells if the rules of a device cgroup v1 let a character device be read and written.
func ruled(rules []string, major, minor uint32) bool {
	for _, rule := range rules {
		fields := strings.Fields(rule)
		if len(fields) != 3 || fields[0] != "c" && fields[0] != "a" || !strings.Contains(fields[2], "r") || !strings.Contains(fields[2], "w") {
			continue
		}
		ma, mi, _ := strings.Cut(fields[1], ":")
		if (ma == "*" || ma == strconv.Itoa(int(major))) && (mi == "*" || mi == strconv.Itoa(int(minor))) {
			return true
		}
	}
	return false
}

// nvidiaMajor is NVIDIA's (https://docs.kernel.org/admin-guide/devices.html).
const nvidiaMajor = 195

// control looks for the nodes beside the GPU's, without which neither NVML nor CUDA starts.
func (h *healthCheck) control() {
	if len(h.health.Findings) > 0 || !slices.ContainsFunc(h.nodes, func(n inspect.DeviceNode) bool { return n.Major == nvidiaMajor }) {
		return
	}
	needed := []string{"/dev/nvidiactl"}
	capabilities := "utility,compute"
	if v := h.asks.DriverCapabilities; v != nil && *v != "" {
		capabilities = *v
	}
	if strings.Contains(capabilities, "compute") || strings.Contains(capabilities, "all") {
		needed = append(needed, "/dev/nvidia-uvm")
	}
	var missing []string
	for _, name := range needed {
		if !slices.ContainsFunc(h.in.DeviceNodes, func(n inspect.DeviceNode) bool { return n.Path == name }) {
			missing = append(missing, path.Base(name))
		}
	}
	if len(missing) > 0 {
		h.found("device-node-missing", Evidence{Source: "container", Text: strings.Join(missing, " and ") + " missing in /dev"})
	}
}

// nothingThere: a GPU was asked for, and there is no trace of one.
func (h *healthCheck) nothingThere() {
	asked := Evidence{Source: "environment", Text: strings.Join(h.health.Because, ", ")}
	if h.c == nil {
		h.found("gpu-not-requested", asked, Evidence{Source: "container", Text: "no device node and no driver mount: no nvidia runtime read the variable"})
		return
	}
	h.ungranted()
	if len(h.health.Findings) == 0 {
		asked.Source = "engine"
		h.found("device-node-missing", asked, Evidence{Source: "container", Text: "no device node and no driver mount"})
	}
}

// ungranted: the variable asks, and the engine's record shows no way by which it could have been heard.
func (h *healthCheck) ungranted() {
	if h.c == nil || len(h.c.Grant.By) > 0 || h.asks.VisibleDevices == nil || len(h.nodes) > 0 {
		return
	}
	asked := Evidence{Source: "environment", Text: "NVIDIA_VISIBLE_DEVICES=" + *h.asks.VisibleDevices}
	runtime := h.c.Runtime
	if runtime == "" && h.s.Engine != nil {
		runtime = h.s.Engine.DefaultRuntime
	}
	if strings.Contains(runtime, "nvidia") {
		h.found("visible-devices-ignored", asked, Evidence{Source: "engine", Text: "runtime " + runtime})
		return
	}
	h.found("gpu-not-requested", asked, Evidence{Source: "engine", Text: "runtime " + runtime + ", which does not read the variable"})
}

// answers asks NVML of the GPUs that the container was given, or that are in it.
func (h *healthCheck) answers() {
	if h.s.GPUs == nil {
		if nvml := source(h.s, "nvml"); nvml.TimedOut {
			h.found("driver-not-answering", Evidence{Source: "nvml", Text: nvml.Error})
		}
		return
	}
	if len(h.s.GPUs) == 0 && h.c == nil && len(h.nodes) > 0 && !slices.ContainsFunc(h.nodes, func(n inspect.DeviceNode) bool { return n.Path == "/dev/dxg" }) {
		h.found("gpu-init-failed", Evidence{Source: "nvml", Text: "No devices were found"})
		return
	}
	for _, g := range h.s.GPUs {
		if h.c != nil && !slices.ContainsFunc(h.c.Grant.GPUs, func(given string) bool {
			index, _, _ := strings.Cut(given, ":")
			return given == "all" || index == strconv.Itoa(g.Index)
		}) {
			continue
		}
		if g.Error == "" {
			continue
		}
		id, ok := causeOfNVML(g.Error)
		if !ok || id == "cgroup-device-lost" {
			id = "gpu-lost-xid"
		}
		h.found(id, Evidence{Source: "nvml", Text: fmt.Sprintf("GPU %d: %s", g.Index, g.Error)})
	}
	if h.c == nil {
		return
	}
	for _, given := range h.c.Grant.GPUs { // "7" of four GPUs
		index, err := strconv.Atoi(given)
		if err == nil && !slices.ContainsFunc(h.s.GPUs, func(g inspect.GPU) bool { return g.Index == index }) && len(h.nodes) == 0 {
			h.found("visible-devices-bad-index", Evidence{Source: "nvml", Text: fmt.Sprintf("there is no GPU %d", index)})
		}
	}
}
