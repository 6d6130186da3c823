package inspect

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// grant recognises every way by which a container got a GPU. The variable NVIDIA_VISIBLE_DEVICES counts
// only where an nvidia runtime reads it: what is asked for is not what is granted.
func grant(s *Snapshot, c *Container) Grant {
	g := Grant{By: []string{}, GPUs: []string{}, Capabilities: []string{}}
	add := func(by, detail string, gpus []string) {
		if !slices.Contains(g.By, by) {
			g.By = append(g.By, by)
		}
		if detail != "" && len(g.Detail) < mostListed {
			g.Detail = append(g.Detail, bounded(detail))
		}
		for _, gpu := range resolveGPUs(s, gpus) {
			if len(g.GPUs) < mostListed && !slices.Contains(g.GPUs, gpu) {
				g.GPUs = append(g.GPUs, gpu)
			}
		}
	}
	a := &c.Asks
	for _, r := range a.DeviceRequests {
		switch {
		case r.Driver == "cdi":
			for _, name := range r.DeviceIDs {
				if device, ok := strings.CutPrefix(name, "nvidia.com/gpu="); ok {
					add(ByCDI, "--device "+name, []string{device})
				}
			}
		case wantsGPU(r):
			gpus, detail := requested(r)
			add(ByGPUs, detail, gpus)
			for _, all := range r.Capabilities {
				for _, capability := range all {
					if capability != "gpu" && capability != "nvidia" && !slices.Contains(g.Capabilities, capability) {
						g.Capabilities = append(g.Capabilities, capability)
					}
				}
			}
		}
	}
	for _, device := range a.Devices {
		if name, ok := strings.CutPrefix(device, "nvidia.com/gpu="); ok {
			add(ByCDI, "--device "+device, []string{name})
			continue
		}
		node := nvidiaNode(device)
		switch {
		case node == "":
		case node == "/dev/dxg":
			add(ByDXG, "--device "+device, []string{"all"})
		default:
			var gpus []string
			if minor := strings.TrimPrefix(path.Base(node), "nvidia"); isDigits(minor) {
				gpus = []string{byMinor(s, minor)}
			}
			add(ByDevice, "--device "+device, gpus)
		}
	}
	for _, rule := range a.DeviceCgroupRules {
		fields := strings.Fields(rule)
		if len(fields) == 3 && fields[0] != "b" { // 195 is NVIDIA's major (https://docs.kernel.org/admin-guide/devices.html)
			major, minor, _ := strings.Cut(fields[1], ":")
			if major == "195" || major == "*" || fields[0] == "a" {
				gpus := []string{"all"}
				if isDigits(minor) {
					gpus = []string{byMinor(s, minor)}
				}
				add(ByCgroupRule, "--device-cgroup-rule "+rule, gpus)
			}
		}
	}
	if by := nvidiaRuntime(s.Engine, c.Runtime); by != "" {
		byVariable(s, c, by, add)
	}
	if c.Privileged && seesNVIDIA(s) {
		add(ByPrivileged, "--privileged", []string{"all"})
	}
	if slices.Contains(g.By, ByRuntime) || slices.Contains(g.By, ByDefaultRuntime) {
		for capability := range strings.SplitSeq(capabilities(s, a), ",") {
			if capability = strings.TrimSpace(capability); capability != "" && !slices.Contains(g.Capabilities, capability) {
				g.Capabilities = append(g.Capabilities, capability)
			}
		}
	} else if slices.Contains(g.By, ByGPUs) && len(g.Capabilities) == 0 {
		g.Capabilities = []string{"utility", "compute"} // docker's default for --gpus
	}
	if slices.Contains(g.GPUs, "all") {
		g.GPUs = []string{"all"}
	}
	g.UUIDs = uuids(s, g.GPUs)
	return g
}

// nvidiaNode is the GPU's device node that a --device names, on the host or else in the container: an installation
// of the driver may keep its nodes elsewhere than in /dev (below /run/nvidia/driver, for one). Or "".
func nvidiaNode(device string) string {
	host, inside, _ := strings.Cut(device, ":")
	for _, node := range []string{host, inside} {
		if node == "/dev/dxg" || strings.HasPrefix(node, "/dev/nvidia") {
			return node
		}
	}
	return ""
}

// wantsGPU: a request with the capability gpu is NVIDIA's by name, or by default; from engine 28.3 on a
// request without a driver may have gone to AMD's, but that engine's own record does not tell.
func wantsGPU(r DeviceRequest) bool {
	if r.Driver != "" && r.Driver != "nvidia" {
		return false
	}
	return slices.ContainsFunc(r.Capabilities, func(all []string) bool {
		return slices.Contains(all, "gpu") || slices.Contains(all, "nvidia")
	})
}

// requested are the GPUs of a --gpus request: a count of 2 is the indexes 0 and 1.
func requested(r DeviceRequest) (gpus []string, detail string) {
	switch {
	case len(r.DeviceIDs) > 0:
		return r.DeviceIDs, "--gpus device=" + strings.Join(r.DeviceIDs, ",")
	case r.Count < 0:
		return []string{"all"}, "--gpus all"
	}
	for i := range min(r.Count, 128) {
		gpus = append(gpus, strconv.Itoa(i))
	}
	return gpus, fmt.Sprintf("--gpus %d", r.Count)
}

// nvidiaRuntime tells if a runtime, by its name at this engine, is NVIDIA's: by the request or as the default.
func nvidiaRuntime(e *Engine, name string) string {
	by := ByRuntime
	if e != nil && (name == "" || name == e.DefaultRuntime) {
		name, by = e.DefaultRuntime, ByDefaultRuntime
	}
	if name == "" {
		return ""
	}
	binary := ""
	if e != nil {
		binary = path.Base(e.Runtimes[name].Path)
	}
	if name == "nvidia" || strings.HasPrefix(name, "nvidia-") || strings.HasPrefix(binary, "nvidia-container-runtime") {
		return by
	}
	return ""
}

// byVariable adds what the nvidia runtime was asked for: by mounts and a Swarm resource, where the
// toolkit's configuration accepts them, else by the variable.
func byVariable(s *Snapshot, c *Container, by string, add func(by, detail string, gpus []string)) {
	a := &c.Asks
	var config ToolkitConfig
	if s.Toolkit != nil && s.Toolkit.Config != nil {
		config = *s.Toolkit.Config
	}
	if config.AcceptVolumeMounts != nil && *config.AcceptVolumeMounts && len(a.VolumeMountDevices) > 0 {
		add(ByVolumeMounts, "mounts below "+containerDevices, a.VolumeMountDevices)
		return
	}
	if config.AcceptEnvUnprivileged != nil && !*config.AcceptEnvUnprivileged && !c.Privileged {
		return
	}
	for name := range strings.SplitSeq(config.SwarmResource, ",") {
		if value, set := a.GenericResources[strings.TrimSpace(name)]; set && name != "" {
			add(BySwarm, name+"="+value, ParseVisibleDevices(&value, false).Devices)
			return
		}
	}
	visible := ParseVisibleDevices(a.VisibleDevices, a.LegacyImage)
	detail := "NVIDIA_VISIBLE_DEVICES unset, legacy CUDA image"
	if a.VisibleDevices != nil {
		detail = "NVIDIA_VISIBLE_DEVICES=" + *a.VisibleDevices
	}
	switch visible.Kind {
	case VisibleAll:
		add(by, detail, []string{"all"})
	case VisibleList:
		var gpus []string
		for _, device := range visible.Devices {
			gpus = append(gpus, strings.TrimPrefix(device, "nvidia.com/gpu="))
		}
		add(by, detail, gpus)
	}
}

// capabilities are those that the nvidia runtime mounts: the variable's, else its default, which was
// utility alone up to toolkit 1.3. CDI ignores the variable and mounts everything.
func capabilities(s *Snapshot, a *Asks) string {
	if a.DriverCapabilities != nil && *a.DriverCapabilities != "" {
		return *a.DriverCapabilities
	}
	if s.Toolkit != nil {
		if v := s.Toolkit.Version; strings.HasPrefix(v, "1.0.") || strings.HasPrefix(v, "1.1.") || strings.HasPrefix(v, "1.2.") || strings.HasPrefix(v, "1.3.") {
			return "utility"
		}
	}
	return "utility,compute"
}

// seesNVIDIA tells if the engine's machine has NVIDIA devices that a privileged container would see;
// where that is not known it counts as yes.
func seesNVIDIA(s *Snapshot) bool {
	if len(s.GPUs) > 0 || s.Host == nil || s.Host.DeviceNodes == nil {
		return s.GPUs == nil || len(s.GPUs) > 0
	}
	return slices.ContainsFunc(s.Host.DeviceNodes, func(n DeviceNode) bool {
		return strings.HasPrefix(n.Path, "/dev/nvidia") || n.Path == "/dev/dxg"
	})
}

// resolveGPUs turns names into indexes where the GPUs are known: all, UUIDs, MIG UUIDs.
func resolveGPUs(s *Snapshot, names []string) []string {
	var gpus []string
	for _, name := range names {
		switch {
		case name == "all" && len(s.GPUs) > 0:
			for _, g := range s.GPUs {
				gpus = append(gpus, strconv.Itoa(g.Index))
			}
		case strings.HasPrefix(name, "GPU-") || strings.HasPrefix(name, "MIG-"):
			gpus = append(gpus, byUUID(s, name))
		default:
			gpus = append(gpus, name)
		}
	}
	return gpus
}

func byUUID(s *Snapshot, uuid string) string {
	for _, g := range s.GPUs {
		if g.UUID == uuid {
			return strconv.Itoa(g.Index)
		}
		if g.MIG != nil {
			for _, d := range g.MIG.Devices {
				if d.UUID == uuid {
					return fmt.Sprintf("%d:%d", g.Index, d.Index)
				}
			}
		}
	}
	return uuid
}

// byMinor: /dev/nvidiaN counts in the driver's order, NVML's index in that of the bus.
func byMinor(s *Snapshot, minor string) string {
	for _, g := range s.GPUs {
		if g.Minor != nil && strconv.Itoa(*g.Minor) == minor {
			return strconv.Itoa(g.Index)
		}
	}
	return minor
}

func uuids(s *Snapshot, gpus []string) []string {
	var found []string
	for _, g := range s.GPUs {
		if g.UUID != "" && slices.Contains(gpus, strconv.Itoa(g.Index)) {
			found = append(found, g.UUID)
		}
		if g.MIG == nil {
			continue
		}
		for _, d := range g.MIG.Devices {
			if d.UUID != "" && slices.Contains(gpus, fmt.Sprintf("%d:%d", g.Index, d.Index)) {
				found = append(found, d.UUID)
			}
		}
	}
	return found
}
