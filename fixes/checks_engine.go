package fixes

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// noEngine are the causes without whose cure nothing of the engine can be said.
var noEngine = []ID{"docker-daemon-not-running", "docker-socket-permission", "daemon-json-invalid"}

func byEngineFault(id ID, hiddenBy ...ID) Check {
	return Check{ID: id, Needs: []string{"engine", "toolkit", "cdi"}, HiddenBy: slices.Concat(noDriver, noEngine, hiddenBy), Decides: true,
		Find: func(s *inspect.Snapshot) []Finding { return engineFault(s).is(id) }}
}

var engineChecks = []Check{
	{ID: "docker-socket-permission", Decides: true, Find: unreachable("docker-socket-permission", "denied")},
	{ID: "docker-daemon-not-running", Decides: true, HiddenBy: []ID{"daemon-json-invalid"}, Find: unreachable("docker-daemon-not-running", "not-running", "no-socket", "timeout")},
	{ID: "daemon-json-invalid", Needs: []string{"daemon.json"}, Decides: true, Find: daemonJSON},
	{ID: "engine-too-old", Needs: []string{"engine"}, Decides: true, Find: engineTooOld},
	byEngineFault("toolkit-not-installed", "snap-docker"),
	byEngineFault("runtime-not-registered", "toolkit-not-installed", "docker-not-restarted", "docker-desktop-own-config", "snap-docker"),
	byEngineFault("runtime-binary-missing", "toolkit-not-installed", "snap-docker"),
	byEngineFault("docker-not-restarted"),
	byEngineFault("snap-docker"),
	{ID: "docker-desktop-own-config", Needs: []string{"engine"}, Decides: true, Find: desktopConfig},
	{ID: "ldconfig-missing", Needs: []string{"toolkit"}, HiddenBy: noDriver, Decides: true, Find: ldconfigMissing},
	{ID: "rootless-no-cgroups", Needs: []string{"engine", "toolkit", "cdi"}, HiddenBy: slices.Concat(noDriver, []ID{"toolkit-not-installed"}), Decides: true, Find: rootlessCgroups},
	{ID: "rootful-no-cgroups", Needs: []string{"engine", "toolkit"}, HiddenBy: slices.Concat(noDriver, []ID{"toolkit-not-installed"}), Decides: true, Find: rootfulNoCgroups},
	{ID: "cgroup-v2-unsupported-toolkit", Needs: []string{"engine", "toolkit"}, HiddenBy: noDriver, Decides: true, Find: toolkitBeforeCgroupV2},
	{ID: "cdi-spec-missing", Needs: []string{"engine", "cdi", "containers"}, HiddenBy: slices.Concat(noDriver, noEngine, []ID{"toolkit-not-installed", "cdi-not-enabled", "cdi-spec-invalid", "runtime-required-on-cpu-host"}), Decides: true, Find: specMissing},
	{ID: "cdi-generation-failed", HiddenBy: slices.Concat(noDriver, []ID{"device-node-missing", "driver-tools-missing", "device-permission-denied"}), Find: nothing},
	{ID: "cdi-spec-stale", Needs: []string{"cdi"}, HiddenBy: slices.Concat(noDriver, []ID{"device-node-missing", "persistenced-socket-missing"}), Decides: true, Find: specStale},
	{ID: "cdi-spec-invalid", Needs: []string{"cdi"}, Decides: true, Find: specInvalid},
	{ID: "cdi-not-enabled", Needs: []string{"engine"}, HiddenBy: slices.Concat(noDriver, []ID{"engine-too-old", "docker-not-restarted"}), Decides: true, Find: cdiOff},
}

// nothing is the check of a cause that only its message shows; it holds what hides it.
func nothing(*inspect.Snapshot) []Finding { return nil }

func unreachable(id ID, why ...string) func(*inspect.Snapshot) []Finding {
	return func(s *inspect.Snapshot) []Finding {
		e := s.Engine
		if e == nil || e.Version != "" || !slices.Contains(why, e.Unreachable) {
			return nil
		}
		where := e.Endpoint
		if where == "" {
			where = "context " + e.Context
		}
		return []Finding{NewFinding(id, saw(where, "%s", e.Error))}
	}
}

func daemonJSON(s *inspect.Snapshot) []Finding {
	if s.Engine == nil || s.Engine.ConfigFile == nil || s.Engine.ConfigFile.Problem == nil || s.Engine.Desktop != nil && *s.Engine.Desktop {
		return nil // Docker Desktop does not read it
	}
	p := s.Engine.ConfigFile.Problem
	return []Finding{NewFinding("daemon-json-invalid", Evidence{Source: s.Engine.ConfigFile.Path, Text: p.Message, Line: p.Line})}
}

func engineTooOld(s *inspect.Snapshot) []Finding {
	v := s.Engine.Version
	if v == "" || v[0] < '0' || v[0] > '9' || compareDotted(v, "20.10") >= 0 || compareDotted(v, "1") < 0 {
		return nil // a build from source says "dev" or "library-import", or counts from 0
	}
	return []Finding{NewFinding("engine-too-old", saw("engine", "%s, the oldest supported is 20.10", v))}
}

// engineFault: the GPU is there and the engine answers. Where one of the ways to a GPU is open and nobody
// asks for another one, nothing is at fault.
func engineFault(s *inspect.Snapshot) fault {
	e := s.Engine
	if e == nil || e.Version == "" || gpuPresence(s) != present || e.Desktop != nil && *e.Desktop {
		return fault{}
	}
	ways := Passthrough(s)
	asked := runtimeAsked(s)
	runtime, registered := nvidiaOf(e.Runtimes)
	if registered && !runtimeThere(s, runtime) {
		return because("runtime-binary-missing", saw("engine", "runtime nvidia: %s", runtime.Path), saw(runtime.Path, "is not there"))
	}
	if ways.CDI == WayOpen && len(asked) == 0 {
		return fault{}
	}
	if cdiAwaitsRestart(e) && (!ways.Any() || len(cdiAsked(s)) > 0) {
		return because("docker-not-restarted", saw(e.ConfigFile.Path, `has the feature "cdi"`), saw("engine", "does not do CDI"))
	}
	if f := e.ConfigFile; f != nil && f.Problem == nil && !registered {
		if wanted, ok := nvidiaOf(f.Runtimes); ok && changedSinceStart(e) {
			found := because("docker-not-restarted", append([]Evidence{saw(f.Path, "has the runtime nvidia (%s)", wanted.Path), saw("engine", "runs with %s", runtimeNames(e))}, asked...)...)
			if !ways.Any() || len(asked) > 0 {
				found.severity = Error
			}
			return found
		}
	}
	if s.Toolkit == nil {
		return fault{}
	}
	snap := e.Snap != nil && *e.Snap || strings.HasPrefix(e.RootDir, "/var/snap/docker")
	switch {
	case snap && !registered && ways.CDI != WayOpen:
		return because("snap-docker", saw("engine", "root folder %s", e.RootDir))
	case !s.Toolkit.Installed && !registered && ways.CDI != WayOpen:
		return because("toolkit-not-installed", append([]Evidence{saw("toolkit", "none of its programs is installed"), saw("engine", "runs with %s", runtimeNames(e))}, asked...)...)
	case s.Toolkit.Installed && !registered:
		found := because("runtime-not-registered", append([]Evidence{saw("toolkit", "%s", toolkitNamed(s.Toolkit)), saw("engine", "runs with %s", runtimeNames(e))}, asked...)...)
		if ways.Any() && len(asked) == 0 {
			found.severity = Warning // --gpus works, --runtime nvidia does not
		}
		return found
	case registered && ways.CDI != WayOpen && legacyMode(s.Toolkit) && len(s.Toolkit.Binaries) > 0 && !hasBinary(s.Toolkit, "nvidia-container-cli"):
		return because("runtime-binary-missing", saw("toolkit", "%s in mode legacy, which calls nvidia-container-cli", toolkitNamed(s.Toolkit)), saw("nvidia-container-cli", "is not installed"))
	}
	return fault{}
}

func nvidiaOf(runtimes map[string]inspect.Runtime) (inspect.Runtime, bool) {
	if r, ok := runtimes["nvidia"]; ok {
		return r, true
	}
	for _, r := range runtimes {
		if strings.HasPrefix(path.Base(r.Path), "nvidia-container-runtime") {
			return r, true
		}
	}
	return inspect.Runtime{}, false
}

func runtimeNames(e *inspect.Engine) string {
	var names []string
	for name := range e.Runtimes {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "no runtime that it names"
	}
	return "the runtimes " + strings.Join(names, ", ")
}

// changedSinceStart: the file was written after the engine was started. Where one of the times is not
// known, a file that says otherwise than the engine is taken for newer.
func changedSinceStart(e *inspect.Engine) bool {
	return e.StartedAt == nil || e.ConfigFile.ModifiedAt == nil || e.ConfigFile.ModifiedAt.After(*e.StartedAt)
}

func toolkitNamed(t *inspect.Toolkit) string {
	if t.Version == "" {
		return "the NVIDIA Container Toolkit is installed"
	}
	return "the NVIDIA Container Toolkit " + t.Version
}

func hasBinary(t *inspect.Toolkit, name string) bool {
	return slices.ContainsFunc(t.Binaries, func(b inspect.Binary) bool { return b.Name == name })
}

// legacyMode tells if the nvidia runtime works by nvidia-container-cli: set so, or up to 1.17 by default.
// What is not known is not legacy.
func legacyMode(t *inspect.Toolkit) bool {
	if t == nil {
		return false
	}
	mode := ""
	if t.Config != nil {
		mode = t.Config.Mode
	}
	return mode == "legacy" || (mode == "" || mode == "auto") && t.Version != "" && compareDotted(t.Version, "1.18") < 0
}

// cdiAwaitsRestart: daemon.json has the feature, and the engine was not started since.
func cdiAwaitsRestart(e *inspect.Engine) bool {
	f := e.ConfigFile
	return f != nil && f.Problem == nil && f.Features["cdi"] && !engineDoesCDI(e) && compareDotted(e.Version, "25") >= 0 && changedSinceStart(e)
}

// runtimeAsked lists who asks for the runtime nvidia by name.
func runtimeAsked(s *inspect.Snapshot) []Evidence {
	var who []Evidence
	if s.Project != nil {
		for _, service := range s.Project.Services {
			if service.Runtime == "nvidia" || slices.Contains(service.By, inspect.ByRuntime) {
				who = append(who, serviceEvidence(service))
			}
		}
	}
	for _, c := range s.Containers {
		if c.Runtime == "nvidia" {
			who = append(who, saw("container "+c.Name, "--runtime nvidia"))
		}
	}
	return who
}

// desktopConfig: Docker Desktop's engine does not read the distribution's daemon.json.
func desktopConfig(s *inspect.Snapshot) []Finding {
	e := s.Engine
	if e.Desktop == nil || !*e.Desktop || e.ConfigFile == nil {
		return nil
	}
	wanted, inFile := nvidiaOf(e.ConfigFile.Runtimes)
	if _, registered := nvidiaOf(e.Runtimes); !inFile || registered {
		return nil
	}
	return []Finding{NewFinding("docker-desktop-own-config", saw(e.ConfigFile.Path, "has the runtime nvidia (%s)", wanted.Path), saw("engine", "%s runs with %s", e.OperatingSystem, runtimeNames(e)))}
}

// ldconfigMissing: config.toml names a program, of the host where it starts with @, that is not there.
func ldconfigMissing(s *inspect.Snapshot) []Finding {
	if s.Toolkit == nil || s.Toolkit.Config == nil || s.Toolkit.Config.LdconfigExists == nil || *s.Toolkit.Config.LdconfigExists {
		return nil
	}
	c := s.Toolkit.Config
	return []Finding{NewFinding("ldconfig-missing", saw(c.Path, "ldconfig = %q", c.Ldconfig), saw(strings.TrimPrefix(c.Ldconfig, "@"), "is not there"))}
}

// rootlessCgroups: nvidia-container-cli sets device cgroups unless it is told not to, which a rootless
// engine may not. CDI does not need it.
func rootlessCgroups(s *inspect.Snapshot) []Finding {
	e, t := s.Engine, s.Toolkit
	if e.Rootless == nil || !*e.Rootless || t == nil || !t.Installed || t.Config == nil || t.Config.Problem != nil || t.Config.NoCgroups != nil && *t.Config.NoCgroups {
		return nil
	}
	ways := Passthrough(s)
	if ways.CDI == WayOpen || gpuPresence(s) == absent || ways.GPUsFlag != WayOpen && !(ways.Runtime == WayOpen && legacyMode(t)) {
		return nil
	}
	return []Finding{NewFinding("rootless-no-cgroups", saw("engine", "rootless"), saw(t.Config.Path, "no-cgroups is not true"))}
}

func rootfulNoCgroups(s *inspect.Snapshot) []Finding {
	e, t := s.Engine, s.Toolkit
	if e.Rootless == nil || *e.Rootless || t == nil || !t.Installed || t.Config == nil || t.Config.NoCgroups == nil || !*t.Config.NoCgroups || gpuPresence(s) == absent {
		return nil
	}
	return []Finding{NewFinding("rootful-no-cgroups", saw(t.Config.Path, "no-cgroups = true"), saw("engine", "runs as root"))}
}

func toolkitBeforeCgroupV2(s *inspect.Snapshot) []Finding {
	v2 := s.Engine.CgroupVersion == "2" || s.Engine.CgroupVersion == "" && s.Host != nil && s.Host.CgroupVersion == 2
	if !v2 || s.Toolkit == nil || !s.Toolkit.Installed || s.Toolkit.Version == "" || compareDotted(s.Toolkit.Version, "1.8") >= 0 {
		return nil
	}
	return []Finding{NewFinding("cgroup-v2-unsupported-toolkit", saw("toolkit", "%s, cgroup v2 needs 1.8.0 or newer", s.Toolkit.Version), saw("engine", "cgroup v2"))}
}

// cdiAsked lists the CDI names nvidia.com/gpu=… that the project or a container asks for, with who asks.
// A container that runs has got them.
func cdiAsked(s *inspect.Snapshot) map[string]Evidence {
	asked := map[string]Evidence{}
	if s.Project != nil {
		for _, service := range s.Project.Services {
			for _, device := range service.Devices {
				if strings.HasPrefix(device, "nvidia.com/gpu=") {
					asked[device] = serviceEvidence(service)
				}
			}
		}
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		if c.State == "running" || c.State == "paused" || c.Error == "" {
			continue
		}
		for _, device := range cdiNames(c) {
			asked[device] = saw("container "+c.Name, "--device %s", device)
		}
	}
	return asked
}

// cdiNames are the CDI names of NVIDIA's that a container was created with.
func cdiNames(c *inspect.Container) []string {
	var names []string
	for _, device := range c.Asks.Devices {
		if strings.HasPrefix(device, "nvidia.com/gpu=") {
			names = append(names, device)
		}
	}
	for _, r := range c.Asks.DeviceRequests {
		if r.Driver == "cdi" {
			for _, device := range r.DeviceIDs {
				if strings.HasPrefix(device, "nvidia.com/gpu=") {
					names = append(names, device)
				}
			}
		}
	}
	return names
}

func specMissing(s *inspect.Snapshot) []Finding {
	if !engineDoesCDI(s.Engine) {
		return nil
	}
	known := cdiGPUs(s)
	var evidence []Evidence
	for device, who := range cdiAsked(s) {
		if !slices.Contains(known, device) {
			evidence = append(evidence, who)
		}
	}
	if evidence == nil {
		return nil
	}
	slices.SortFunc(evidence, func(a, b Evidence) int { return strings.Compare(a.Source+a.Text, b.Source+b.Text) })
	there := "no specification has a device nvidia.com/gpu"
	if len(known) > 0 {
		there = "the specifications have " + strings.Join(known, ", ")
	}
	dirs := "CDI"
	if s.CDI != nil {
		dirs = strings.Join(s.CDI.Dirs, ", ")
	}
	return []Finding{NewFinding("cdi-spec-missing", append(evidence, saw(dirs, "%s", there))...)}
}

// specStale: a specification of the GPUs that names another driver than the one loaded, or files that are
// gone. Device nodes that are gone are a cause of their own.
func specStale(s *inspect.Snapshot) []Finding {
	if s.CDI == nil || gpuPresence(s) == absent {
		return nil
	}
	var evidence []Evidence
	for _, spec := range s.CDI.Specs {
		if spec.Kind != "nvidia.com/gpu" || spec.Problem != nil {
			continue
		}
		if driver := driverVersion(s); spec.DriverVersion != "" && driver != "" && spec.DriverVersion != driver && (s.Driver.ModuleVersion == "" || spec.DriverVersion != s.Driver.ModuleVersion) {
			evidence = append(evidence, saw(spec.Path, "was made for driver %s, the one loaded is %s", spec.DriverVersion, driver))
		}
		var gone []string
		for _, p := range spec.MissingPaths {
			if !strings.HasSuffix(p, "/nvidia-persistenced/socket") && !(strings.HasPrefix(p, "/dev/nvidia") && nodesMissingMay(s)) {
				gone = append(gone, p)
			}
		}
		if len(gone) > 0 {
			more := ""
			if len(gone) > 1 {
				more = fmt.Sprintf(" and %d more", len(gone)-1)
			}
			evidence = append(evidence, saw(spec.Path, "names %s%s, which is not there", gone[0], more))
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("cdi-spec-stale", evidence...)}
}

// nodesMissingMay tells if a device node that a specification names in vain is the machine's fault rather
// than the specification's.
func nodesMissingMay(s *inspect.Snapshot) bool { return len(nodesMissing(s)) > 0 }

func specInvalid(s *inspect.Snapshot) []Finding {
	if s.CDI == nil {
		return nil
	}
	var evidence []Evidence
	for _, spec := range s.CDI.Specs {
		if spec.Problem != nil {
			evidence = append(evidence, Evidence{Source: spec.Path, Text: spec.Problem.Message, Line: spec.Problem.Line})
		}
		for _, device := range spec.Conflicts {
			if strings.HasPrefix(device, "nvidia.com/") {
				evidence = append(evidence, saw(spec.Path, "conflicting device %s: another file has it too", device))
			}
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("cdi-spec-invalid", evidence[:min(len(evidence), mostEvidence)]...)}
}

// cdiOff: CDI is asked for by name, or is the only way that this machine was prepared for, and the engine
// does not do it.
func cdiOff(s *inspect.Snapshot) []Finding {
	e := s.Engine
	if e.Version == "" || engineDoesCDI(e) || cdiAwaitsRestart(e) {
		return nil
	}
	var evidence []Evidence
	for _, who := range cdiAsked(s) {
		evidence = append(evidence, who)
	}
	if evidence == nil {
		ways := Passthrough(s)
		if s.CDI == nil || ways.Any() || gpuPresence(s) != present || !slices.ContainsFunc(s.CDI.Devices, func(d string) bool { return strings.HasPrefix(d, "nvidia.com/gpu=") }) {
			return nil
		}
		evidence = append(evidence, saw(strings.Join(s.CDI.Dirs, ", "), "has %s", strings.Join(s.CDI.Devices, ", ")))
	}
	slices.SortFunc(evidence, func(a, b Evidence) int { return strings.Compare(a.Source+a.Text, b.Source+b.Text) })
	state := "does CDI from 25.0 on"
	switch on, set := e.Features["cdi"]; {
	case set && !on:
		state = `has the feature "cdi" set to false`
	case engineAtLeast(e, "28.2"):
		state = "has CDI switched off"
	case compareDotted(e.Version, "25") >= 0:
		state = `does CDI only with the feature "cdi"`
	}
	return []Finding{NewFinding("cdi-not-enabled", append([]Evidence{saw("engine", "%s %s", e.Version, state)}, evidence...)...)}
}
