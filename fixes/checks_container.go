package fixes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// noWay are the causes that keep an engine from giving GPUs to containers at all.
var noWay = slices.Concat(noDriver, noEngine, []ID{"toolkit-not-installed", "runtime-not-registered", "runtime-binary-missing", "docker-not-restarted",
	"docker-desktop-own-config", "snap-docker", "runtime-required-on-cpu-host"})

var containerChecks = []Check{
	{ID: "gpu-not-requested", Needs: []string{"engine", "containers"}, HiddenBy: noDriver, Find: variableUnread},
	{ID: "visible-devices-void", Needs: []string{"engine", "containers"}, HiddenBy: noWay, Find: visibleVoid},
	{ID: "visible-devices-bad-index", Needs: []string{"containers", "nvml"}, HiddenBy: slices.Concat(noWay, []ID{"gpu-lost-xid"}), Find: badIndex},
	{ID: "visible-devices-ignored", Needs: []string{"engine", "containers", "toolkit"}, HiddenBy: noWay, Decides: true, Find: variableIgnored},
	{ID: "driver-capabilities-missing", Needs: []string{"containers", "toolkit"}, HiddenBy: noWay, Find: capabilitiesMissing},
	{ID: "cgroup-device-lost", Needs: []string{"containers", "host"}, HiddenBy: slices.Concat(noWay, []ID{"rootful-no-cgroups", "gpu-lost-xid"}), Find: insideOf("cgroup-device-lost")},
	{ID: "shm-too-small", Needs: []string{"containers"}, Find: shmTooSmall},
	{ID: "host-out-of-memory", Needs: []string{"containers"}, Find: outOfHostMemory},
	{ID: "orphaned-gpu-memory", Needs: []string{"nvml", "containers", "host"}, Find: orphans},
	{ID: "compute-mode-exclusive", Needs: []string{"nvml", "containers"}, Find: exclusive},
	{ID: "cuda-driver-too-old", Needs: []string{"containers", "driver"}, HiddenBy: slices.Concat(noWay, []ID{"driver-too-old"}), Find: requirementsUnmet},
}

// live tells if a container's state concerns the present: it runs, or it could not be started.
func live(c *inspect.Container) bool {
	return c.State == "running" || c.State == "restarting" || c.State == "paused" || c.Error != "" && c.State != "removing"
}

func inContainer(id ID, c *inspect.Container, evidence ...Evidence) Finding {
	f := NewFinding(id, evidence...)
	f.Container = c.Name
	return f
}

func ofContainer(c *inspect.Container, format string, args ...any) Evidence {
	return saw("container "+c.Name, format, args...)
}

// usesNVIDIARuntime tells if the variable is read when this container is created.
func usesNVIDIARuntime(s *inspect.Snapshot, c *inspect.Container) bool {
	e := s.Engine
	if e == nil {
		return false
	}
	name := c.Runtime
	if name == "" {
		name = e.DefaultRuntime
	}
	return name == "nvidia" || strings.HasPrefix(name, "nvidia-") || strings.Contains(e.Runtimes[name].Path, "nvidia-container-runtime")
}

// variableUnread: somebody set NVIDIA_VISIBLE_DEVICES, and nothing that reads it starts the container. The
// value of an image (CUDA images set all) is no request.
func variableUnread(s *inspect.Snapshot) []Finding {
	var found []Finding
	for i := range s.Containers {
		c := &s.Containers[i]
		v := c.Asks.VisibleDevices
		if v == nil || c.Asks.VisibleFromImage || *v == "all" && c.Asks.CUDAVersion != "" || len(c.Grant.By) > 0 || !live(c) || usesNVIDIARuntime(s, c) || gpuPresence(s) == absent {
			continue
		}
		if kind := inspect.ParseVisibleDevices(v, false).Kind; kind == inspect.VisibleAll || kind == inspect.VisibleList {
			found = append(found, inContainer("gpu-not-requested", c, ofContainer(c, "NVIDIA_VISIBLE_DEVICES=%s, which the runtime %s does not read", *v, runtimeOf(s, c))))
		}
	}
	return found
}

func runtimeOf(s *inspect.Snapshot, c *inspect.Container) string {
	switch {
	case c.Runtime != "":
		return c.Runtime
	case s.Engine != nil && s.Engine.DefaultRuntime != "":
		return s.Engine.DefaultRuntime
	}
	return "runc"
}

// notRequested: asked about a container by name, the answer to why it has no GPU may be that nobody asked
// for one. Unasked that would be a false alarm in front of every CPU container.
func notRequested(s *inspect.Snapshot, scope Scope) []Finding {
	var found []Finding
	for i := range s.Containers {
		c := &s.Containers[i]
		if !scope.Has(c) || len(c.Grant.By) > 0 || usesNVIDIARuntime(s, c) || len(cdiNames(c)) > 0 || gpuPresence(s) == absent {
			continue
		}
		found = append(found, inContainer("gpu-not-requested", c, ofContainer(c, "neither --gpus nor a CDI device nor the runtime nvidia (runtime %s)", runtimeOf(s, c))))
	}
	return found
}

// visibleVoid: the container was given the runtime nvidia by name, which asks for a GPU, and the variable
// takes it back. With nvidia as the default runtime void is how one says no. Where the project's switch
// is off, this is what was wanted.
func visibleVoid(s *inspect.Snapshot) []Finding {
	var found []Finding
	for i := range s.Containers {
		c := &s.Containers[i]
		if !live(c) || len(c.Grant.By) > 0 || c.Runtime == "" || s.Engine.DefaultRuntime == c.Runtime || !usesNVIDIARuntime(s, c) || c.Asks.VisibleDevices == nil {
			continue
		}
		switch inspect.ParseVisibleDevices(c.Asks.VisibleDevices, false).Kind {
		case inspect.VisibleVoid, inspect.VisibleNone:
		default:
			continue
		}
		f := inContainer("visible-devices-void", c, ofContainer(c, "--runtime %s with NVIDIA_VISIBLE_DEVICES=%s", c.Runtime, *c.Asks.VisibleDevices))
		if off := switchedOff(s.Project); off != nil {
			f.Severity = Info
			f.Evidence = append(f.Evidence, saw(strings.TrimSpace(strings.Trim(place(off), " ()")), "NVIDIA_VISIBLE_DEVICES=%s", off.Value))
		}
		found = append(found, f)
	}
	return found
}

// variableIgnored: the toolkit's configuration refuses the variable from containers without privileges.
func variableIgnored(s *inspect.Snapshot) []Finding {
	if s.Toolkit == nil || s.Toolkit.Config == nil || s.Toolkit.Config.AcceptEnvUnprivileged == nil || *s.Toolkit.Config.AcceptEnvUnprivileged {
		return nil
	}
	var evidence []Evidence
	for i := range s.Containers {
		c := &s.Containers[i]
		if !live(c) || c.Privileged || len(c.Grant.By) > 0 || !usesNVIDIARuntime(s, c) || c.Asks.VisibleDevices == nil || c.Asks.VisibleFromImage && c.Runtime == "" {
			continue
		}
		if kind := inspect.ParseVisibleDevices(c.Asks.VisibleDevices, c.Asks.LegacyImage).Kind; kind == inspect.VisibleAll || kind == inspect.VisibleList {
			evidence = append(evidence, ofContainer(c, "NVIDIA_VISIBLE_DEVICES=%s, and no GPU", *c.Asks.VisibleDevices))
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("visible-devices-ignored", append([]Evidence{saw(s.Toolkit.Config.Path, "accept-nvidia-visible-devices-envvar-when-unprivileged = false")}, evidence[:min(len(evidence), mostEvidence)]...)...)}
}

// badIndex: a GPU by index or UUID that is not there. CDI names are the specification's, MIG names MIG's.
func badIndex(s *inspect.Snapshot) []Finding {
	if len(s.GPUs) == 0 {
		return nil
	}
	var found []Finding
	for i := range s.Containers {
		c := &s.Containers[i]
		if c.Error == "" { // what was started has got what it asked for
			continue
		}
		if bad := unknownGPUs(s, asksByName(s, c)); len(bad) > 0 {
			found = append(found, inContainer("visible-devices-bad-index", c, ofContainer(c, "asks for %s", strings.Join(bad, ", ")), saw("nvml", "%s", gpusThere(s))))
		}
	}
	if p := s.Project; p != nil {
		var evidence []Evidence
		settings := []*inspect.Setting{p.VisibleDevices}
		for _, service := range p.Services {
			settings = append(settings, service.VisibleDevices)
		}
		for _, setting := range settings {
			if setting == nil {
				continue
			}
			visible := inspect.ParseVisibleDevices(&setting.Value, false)
			if bad := unknownGPUs(s, visible.Devices); len(bad) > 0 {
				e := Evidence{Source: setting.File, Text: "NVIDIA_VISIBLE_DEVICES=" + setting.Value, Line: setting.Line}
				if !slices.Contains(evidence, e) {
					evidence = append(evidence, e)
				}
			}
		}
		if evidence != nil {
			found = append(found, NewFinding("visible-devices-bad-index", append(evidence, saw("nvml", "%s", gpusThere(s)))...))
		}
	}
	return found
}

// asksByName are the GPUs that a container names, by the variable where the runtime reads it or by --gpus.
func asksByName(s *inspect.Snapshot, c *inspect.Container) []string {
	var names []string
	if usesNVIDIARuntime(s, c) {
		names = inspect.ParseVisibleDevices(c.Asks.VisibleDevices, c.Asks.LegacyImage).Devices
	}
	for _, r := range c.Asks.DeviceRequests {
		if r.Driver != "" && r.Driver != "nvidia" {
			continue
		}
		names = append(names, r.DeviceIDs...)
		if r.Count > len(s.GPUs) {
			names = append(names, strconv.Itoa(r.Count-1))
		}
	}
	return names
}

// unknownGPUs are those names, an index or a whole UUID of a GPU, that no GPU of the machine has.
func unknownGPUs(s *inspect.Snapshot, names []string) []string {
	var unknown []string
	for _, name := range names {
		index, err := strconv.Atoi(name)
		known := slices.ContainsFunc(s.GPUs, func(g inspect.GPU) bool {
			return err == nil && g.Index == index || err != nil && (g.UUID == name || g.UUID == "")
		})
		if !known && (err == nil || strings.HasPrefix(name, "GPU-")) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

func gpusThere(s *inspect.Snapshot) string {
	if len(s.GPUs) == 1 {
		return "there is one GPU, index 0"
	}
	return fmt.Sprintf("there are %d GPUs, index 0 to %d", len(s.GPUs), len(s.GPUs)-1)
}

// capabilitiesMissing: without utility neither nvidia-smi nor NVML is mounted. Only the legacy mode of the
// runtime reads the variable.
func capabilitiesMissing(s *inspect.Snapshot) []Finding {
	if !legacyMode(s.Toolkit) {
		return nil
	}
	var found []Finding
	for i := range s.Containers {
		c := &s.Containers[i]
		byRuntime := slices.Contains(c.Grant.By, inspect.ByRuntime) || slices.Contains(c.Grant.By, inspect.ByDefaultRuntime)
		if !live(c) || !byRuntime || len(c.Grant.By) > 1 || c.Asks.DriverCapabilities == nil || *c.Asks.DriverCapabilities == "" {
			continue
		}
		has := strings.Split(strings.ReplaceAll(*c.Asks.DriverCapabilities, " ", ""), ",")
		if slices.Contains(has, "all") || slices.Contains(has, "utility") {
			continue
		}
		found = append(found, inContainer("driver-capabilities-missing", c, ofContainer(c, "NVIDIA_DRIVER_CAPABILITIES=%s", *c.Asks.DriverCapabilities)))
	}
	return found
}

// insideOf are the findings of the health check about running containers that lie in them: what they were
// given and no longer have. A cgroup rule alone gives no node, and a privileged container what the host has.
func insideOf(id ID) func(*inspect.Snapshot) []Finding {
	return func(s *inspect.Snapshot) []Finding {
		var found []Finding
		for i := range s.Containers {
			c := &s.Containers[i]
			if c.State != "running" || c.Inside == nil || c.Inside.Denied != "" || !slices.ContainsFunc(c.Grant.By, func(by string) bool { return by != inspect.ByCgroupRule && by != inspect.ByPrivileged }) {
				continue
			}
			for _, f := range HealthOutside(s, c).Findings {
				if f.ID == id && len(f.Evidence) > 0 {
					f.Evidence = append(f.Evidence, ofContainer(c, "%s", strings.Join(c.Grant.Detail, ", ")))
					found = append(found, f)
				}
			}
		}
		return found
	}
}

// unseenInside tells if a running container was given GPUs and could not be looked into: whether it still may
// use them is not known. With cgroup v2 that shows only to a program in it.
func unseenInside(s *inspect.Snapshot) bool {
	return slices.ContainsFunc(s.Containers, func(c inspect.Container) bool {
		given := slices.ContainsFunc(c.Grant.By, func(by string) bool {
			return by != inspect.ByCgroupRule && by != inspect.ByPrivileged && by != inspect.ByDXG
		})
		return c.State == "running" && given && (c.Inside == nil || c.Inside.Denied != "" || c.Inside.DeviceRules == nil)
	})
}

// both joins what two looks at the same cause find.
func both(a, b func(*inspect.Snapshot) []Finding) func(*inspect.Snapshot) []Finding {
	return func(s *inspect.Snapshot) []Finding { return append(a(s), b(s)...) }
}

// shmTooSmall: ended by SIGBUS (exit 135) with docker's default of 64 MiB in /dev/shm.
func shmTooSmall(s *inspect.Snapshot) []Finding {
	var found []Finding
	for i := range s.Containers {
		c := &s.Containers[i]
		if c.ExitCode == nil || *c.ExitCode != 135 || !ConcernsGPU(c) || !smallShm(c) || !recent(s, c) {
			continue
		}
		found = append(found, inContainer("shm-too-small", c, ofContainer(c, "ended by SIGBUS (exit code 135)"), ofContainer(c, "/dev/shm is %d MiB", *c.Asks.ShmSizeBytes>>20)))
	}
	return found
}

func smallShm(c *inspect.Container) bool {
	return c.Asks.ShmSizeBytes != nil && *c.Asks.ShmSizeBytes <= 64<<20 && c.Asks.IpcMode != "host" && !strings.HasPrefix(c.Asks.IpcMode, "container:")
}

// ConcernsGPU tells if a container has to do with a GPU in any way.
func ConcernsGPU(c *inspect.Container) bool {
	return slices.ContainsFunc(c.Grant.By, func(by string) bool { return by != inspect.ByPrivileged }) || len(cdiNames(c)) > 0 || c.Runtime == "nvidia" ||
		c.Asks.VisibleDevices != nil && !c.Asks.VisibleFromImage && switchedOff(&inspect.Project{VisibleDevices: &inspect.Setting{Value: *c.Asks.VisibleDevices}}) == nil
}

func outOfHostMemory(s *inspect.Snapshot) []Finding {
	var found []Finding
	for i := range s.Containers {
		c := &s.Containers[i]
		if !ConcernsGPU(c) {
			continue
		}
		var evidence []Evidence
		if c.OOMKilled != nil && *c.OOMKilled && recent(s, c) {
			evidence = append(evidence, ofContainer(c, "was ended by the kernel for want of memory (OOMKilled)"))
			if c.Asks.MemoryLimitBytes != nil {
				evidence = append(evidence, ofContainer(c, "memory limit %d MiB", *c.Asks.MemoryLimitBytes>>20))
			}
		}
		for _, line := range s.KernelLog {
			if line.Kind == "oom" && strings.Contains(line.Text, c.ID) && len(c.ID) >= 12 && fresh(s, line) {
				evidence = append(evidence, Evidence{Source: "kernel log", Text: line.Text})
			}
		}
		if evidence != nil {
			found = append(found, inContainer("host-out-of-memory", c, evidence[:min(len(evidence), mostEvidence)]...))
		}
	}
	return found
}

// orphans: GPU memory that no process accounts for, or that a process of a container holds which the
// engine no longer has.
func orphans(s *inspect.Snapshot) []Finding {
	if s.Host == nil || s.Host.Container != "" || s.Host.WSL != nil || s.Driver != nil && s.Driver.NVMLError != "" {
		return nil // processes of other namespaces, and those of Windows, are not seen
	}
	var evidence []Evidence
	for _, g := range s.GPUs {
		if g.Error != "" {
			continue
		}
		for _, p := range g.Processes {
			if id := engineContainer(p.Cgroup); id != "" && !p.Gone && p.ContainerID == "" && !slices.ContainsFunc(s.Containers, func(c inspect.Container) bool { return c.ID == id }) && s.Containers != nil {
				evidence = append(evidence, saw("nvml", "GPU %d: process %d (%s) of container %.12s, which the engine does not have", g.Index, p.PID, p.Name, id))
			}
		}
		if g.Processes == nil || g.MemoryUsedBytes == nil || g.MemoryTotalBytes == nil || g.MemoryReservedBytes == nil || g.MIG != nil && g.MIG.Enabled || g.DisplayActive != nil && *g.DisplayActive {
			continue
		}
		sum, known := uint64(0), true
		for _, p := range g.Processes {
			if p.MemoryUsedBytes == nil {
				known = false
				break
			}
			sum += *p.MemoryUsedBytes
		}
		if used := *g.MemoryUsedBytes; known && used > sum && used-sum > max(2<<30, *g.MemoryTotalBytes/20) {
			evidence = append(evidence, saw("nvml", "GPU %d: %.1f GiB are used, its %d processes hold %.1f GiB of them", g.Index, gib(used), len(g.Processes), gib(sum)))
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("orphaned-gpu-memory", evidence[:min(len(evidence), mostEvidence)]...)}
}

func gib(bytes uint64) float64 { return float64(bytes) / (1 << 30) }

// engineContainer is the id of the container of a docker engine that a cgroup belongs to, or "": podman,
// Kubernetes and nested engines name theirs in other ways.
func engineContainer(cgroup string) string {
	id, ok := strings.CutPrefix(cgroup, "/system.slice/docker-")
	if !ok {
		if id, ok = strings.CutPrefix(cgroup, "/docker/"); !ok {
			return ""
		}
	}
	if len(id) < 64 || strings.Trim(id[:64], "0123456789abcdef") != "" {
		return ""
	}
	return id[:64]
}

// exclusive: one process at a time may use the GPU, one does, and another container was given it too.
func exclusive(s *inspect.Snapshot) []Finding {
	if s.Host != nil && slices.ContainsFunc(s.Host.Daemons, func(d inspect.Daemon) bool {
		return d.Name == "nvidia-cuda-mps-control" && (d.Running == nil || *d.Running)
	}) {
		return nil // MPS shares it
	}
	var evidence []Evidence
	for _, g := range s.GPUs {
		if g.ComputeMode != "exclusive-process" && g.ComputeMode != "prohibited" {
			continue
		}
		holder := slices.IndexFunc(g.Processes, func(p inspect.GPUProcess) bool { return slices.Contains(p.Kinds, "compute") })
		if g.ComputeMode == "exclusive-process" && holder < 0 {
			continue
		}
		for i := range s.Containers {
			c := &s.Containers[i]
			granted := slices.Contains(c.Grant.GPUs, strconv.Itoa(g.Index)) || slices.Contains(c.Grant.GPUs, "all")
			if !granted || c.State != "running" || holder >= 0 && g.Processes[holder].ContainerID == c.ID {
				continue
			}
			who := "no process may use it"
			if holder >= 0 {
				who = fmt.Sprintf("process %d (%s) holds it", g.Processes[holder].PID, g.Processes[holder].Name)
			}
			evidence = append(evidence, saw("nvml", "GPU %d: compute mode %s, %s", g.Index, g.ComputeMode, who), ofContainer(c, "was given it too"))
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("compute-mode-exclusive", evidence[:min(len(evidence), mostEvidence)]...)}
}

// requirementsUnmet: the image's NVIDIA_REQUIRE_CUDA, by NVIDIA's own rules, against the driver. The CDI
// modes never check it, and a program then fails later.
func requirementsUnmet(s *inspect.Snapshot) []Finding {
	if s.Driver == nil || s.Driver.CUDAVersion == "" || s.Toolkit != nil && s.Toolkit.Config != nil && s.Toolkit.Config.DisableRequire != nil && *s.Toolkit.Config.DisableRequire {
		return nil
	}
	var found []Finding
	for i := range s.Containers {
		c := &s.Containers[i]
		granted := slices.ContainsFunc(c.Grant.By, func(by string) bool { return by != inspect.ByPrivileged })
		if !live(c) || !granted || c.State != "created" && c.Error == "" && MinorCompatible(inspect.MajorMinor(c.Asks.CUDAVersion), driverVersion(s)) {
			continue
		}
		image := &inspect.Image{Require: c.Asks.Require, CUDAVersion: c.Asks.CUDAVersion, Legacy: c.Asks.LegacyImage}
		for _, gpu := range visibleTo(s, c) {
			unmet := slices.IndexFunc(Requirements(image, factsOf(s, gpu)), func(r Requirement) bool { return r.Satisfied == MetNo })
			if unmet < 0 {
				continue
			}
			r := Requirements(image, factsOf(s, gpu))[unmet]
			f := inContainer("cuda-driver-too-old", c, ofContainer(c, "%s=%s", r.Variable, shortValue(r.Value)), saw("driver", "%s, CUDA up to %s", driverVersion(s), s.Driver.CUDAVersion))
			if c.State == "running" {
				f.Severity = Warning // nobody checked it: it may do without
			}
			found = append(found, f)
			break
		}
	}
	return found
}

// visibleTo are the GPUs that a container was given; one without values where that is not known.
func visibleTo(s *inspect.Snapshot, c *inspect.Container) []*inspect.GPU {
	var gpus []*inspect.GPU
	for i := range s.GPUs {
		g := &s.GPUs[i]
		if slices.Contains(c.Grant.GPUs, "all") || slices.Contains(c.Grant.GPUs, strconv.Itoa(g.Index)) {
			gpus = append(gpus, g)
		}
	}
	if gpus == nil {
		gpus = []*inspect.GPU{nil}
	}
	return gpus
}
