package fixes

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// Effect is what the switch does to one service or dev container.
type Effect string

// The effects.
const (
	Follows     Effect = "follows"      // gets the value of the switch's file
	NotRead     Effect = "not-read"     // would follow, but the file is not read for it
	HardCoded   Effect = "hard-coded"   // has a value of its own
	KeepsGPU    Effect = "keeps-gpu"    // asks in a way that no variable switches off
	CannotStart Effect = "cannot-start" // asks in a way that this engine cannot serve
)

// ServiceEffect is the effect on one service, where that is written, and what to write instead.
type ServiceEffect struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`         // service, devcontainer
	In     string   `json:"in,omitempty"` // how its files are read: docker compose, devcontainer.json, docker compose -f FILE
	Effect Effect   `json:"effect"`
	Value  *string  `json:"value,omitempty"` // NVIDIA_VISIBLE_DEVICES that it gets now; null: none
	File   string   `json:"file,omitempty"`
	Line   int      `json:"line,omitempty"`
	Why    string   `json:"why"`
	Write  string   `json:"write,omitempty"` // the line to write there, or the command to use, for it to follow
	Asks   []string `json:"asks"`            // runtime: nvidia; gpus: all
}

// fallback is what a service gets where the switch's file says nothing.
const fallback = "${NVIDIA_VISIBLE_DEVICES:-void}"

// Effects says for each service and dev container that uses a GPU what the switch does to it. It is a
// pure function of the Snapshot.
func Effects(s *inspect.Snapshot) []ServiceEffect {
	if s.Project == nil {
		return nil
	}
	effects := []ServiceEffect{}
	for _, service := range s.Project.Services {
		effects = append(effects, effectOn(s, service))
	}
	return effects
}

func effectOn(s *inspect.Snapshot, service inspect.GPUService) ServiceEffect {
	e := ServiceEffect{Name: service.Name, Kind: service.Kind, File: service.File, Line: service.Line, Asks: []string{}, In: "devcontainer.json"}
	use := useOf(s.Project, service)
	if use != nil {
		e.In = howRead(use)
	}
	for _, r := range service.Requests {
		e.Asks = append(e.Asks, r.Text)
	}
	if service.VisibleDevices != nil {
		e.Value = &service.VisibleDevices.Value
	}
	for _, r := range service.Requests {
		if why := cannotServe(s, service, r); why != "" {
			e.Effect, e.File, e.Line = CannotStart, orElse(r.File, e.File), orElse(r.Line, e.Line)
			e.Why = fmt.Sprintf("%s: %s", r.Text, why)
			if use != nil {
				e.Write = "docker gpu compose up -d"
			}
			return e
		}
	}
	for _, r := range service.Requests {
		if r.By != inspect.ByRuntime {
			e.Effect, e.File, e.Line = KeepsGPU, orElse(r.File, e.File), orElse(r.Line, e.Line)
			e.Why = fmt.Sprintf("asks by `%s`, which the variable does not switch off", r.Text)
			e.Write = fmt.Sprintf("remove `%s`", r.Text)
			if use != nil {
				e.Write = "runtime: nvidia, and in environment: " + VisibleDevices + ": " + fallback
			}
			return e
		}
	}
	if v := service.VisibleDevices; v != nil {
		e.File, e.Line = orElse(v.File, e.File), orElse(v.Line, e.Line)
	}
	switch {
	case service.Follows && (use == nil || use.Overridden == nil || !use.ReadsSwitch || service.Written == ""):
		e.Effect, e.Why = Follows, "reads the variable from "+s.Project.EnvFile.Path
		if len(service.By) == 0 && (s.Engine == nil || s.Engine.DefaultRuntime != "nvidia") {
			e.Why += "; without `runtime: nvidia` nothing in it asks for the GPU"
		}
	case service.WouldFollow && use != nil && use.Overridden != nil:
		e.Effect = NotRead
		if o := use.Overridden; o.File == "" {
			e.Why = fmt.Sprintf("%s=%s of the shell wins over every file", VisibleDevices, o.Value)
			e.Write = "unset " + VisibleDevices
		} else {
			e.Why = fmt.Sprintf("%s=%s in %s wins over %s", VisibleDevices, o.Value, at(o.File, o.Line), s.Project.EnvFile.Path)
			e.Write = fmt.Sprintf("remove %s from %s", VisibleDevices, at(o.File, o.Line))
		}
	case service.WouldFollow && use != nil:
		e.Effect = NotRead
		e.Why = fmt.Sprintf("%s is not among the files that compose reads for it (%s)", s.Project.EnvFile.Path, reads(use))
		e.Write = readIt(s.Project, use)
	case service.VisibleDevices != nil:
		e.Effect = HardCoded
		e.Why = fmt.Sprintf("has the value %q of its own", service.VisibleDevices.Value)
		switch {
		case service.Kind == inspect.KindDevcontainer && service.Use < 0:
			e.Why = fmt.Sprintf("has %q of its own in %s", service.Written, path.Base(e.File))
			e.Write = `"runArgs": ["--env-file", "` + s.Project.EnvFile.Path + `"] instead`
		case service.Kind == inspect.KindDevcontainer && strings.HasSuffix(e.File, ".json"):
			e.Why = fmt.Sprintf("containerEnv sets %q over the compose file", service.Written)
			e.Write = "remove it from containerEnv; in the compose file: " + VisibleDevices + ": " + fallback
		case !isYAML(e.File):
			e.Why = fmt.Sprintf("gets %q from another env file", service.VisibleDevices.Value)
			e.Write = fmt.Sprintf("remove it from %s; in environment: %s: %s", e.File, VisibleDevices, fallback)
		default:
			e.Write = VisibleDevices + ": " + fallback
		}
	default:
		e.Effect, e.Why = NotRead, "does not mention "+VisibleDevices
		e.Write = "environment: " + VisibleDevices + ": " + fallback
		if service.Use < 0 {
			e.Write = `"runArgs": ["--env-file", "` + s.Project.EnvFile.Path + `"]`
		}
	}
	return e
}

func useOf(p *inspect.Project, service inspect.GPUService) *inspect.ComposeUse {
	if service.Use < 0 || service.Use >= len(p.Uses) {
		return nil
	}
	return &p.Uses[service.Use]
}

func howRead(use *inspect.ComposeUse) string {
	switch use.By {
	case inspect.UseDevcontainer:
		return "devcontainer.json"
	case inspect.UseFile:
		return "docker compose -f " + strings.Join(use.Files, " -f ")
	}
	return "docker compose"
}

func reads(use *inspect.ComposeUse) string {
	if len(use.EnvFiles) == 0 {
		return "none"
	}
	return strings.Join(use.EnvFiles, ", ")
}

// readIt is the command that makes compose read the switch's file too.
func readIt(p *inspect.Project, use *inspect.ComposeUse) string {
	files := slices.Clone(use.EnvFiles)
	files = append(files, p.EnvFile.Path)
	if use.By == inspect.UseDevcontainer {
		return "export COMPOSE_ENV_FILES=" + strings.Join(files, ",")
	}
	command := "docker compose"
	if use.By == inspect.UseFile {
		command += " -f " + strings.Join(use.Files, " -f ")
	}
	return command + " --env-file " + strings.Join(files, " --env-file ") + " up -d"
}

func isYAML(file string) bool {
	return strings.HasSuffix(file, ".yml") || strings.HasSuffix(file, ".yaml")
}

// cannotServe says why this engine refuses to start a container with the request, or "". What could not
// be seen refuses nothing.
func cannotServe(s *inspect.Snapshot, service inspect.GPUService, r inspect.GPURequest) string {
	e := s.Engine
	if e == nil || e.Version == "" {
		return ""
	}
	ways := Passthrough(s)
	switch r.By {
	case inspect.ByRuntime:
		if runtime, known := e.Runtimes[service.Runtime]; e.Runtimes != nil && (!known || !runtimeThere(s, runtime)) {
			return "this engine has no runtime " + service.Runtime
		}
	case inspect.ByGPUs:
		if ways.GPUsFlag == WayClosed {
			return "this engine cannot serve it"
		}
		if gpuPresence(s) == absent {
			return "there is no GPU here"
		}
	case inspect.ByCDI:
		if ways.CDI == WayClosed {
			return "this engine has no CDI device of NVIDIA"
		}
	case inspect.ByDevice, inspect.ByDXG:
		if s.Host == nil || s.Host.DeviceNodes == nil || e.Location != "local" {
			return ""
		}
		for _, device := range service.Devices {
			node, _, _ := strings.Cut(device, ":")
			if strings.HasPrefix(node, "/dev/") && strings.HasSuffix(r.Text, device) && !slices.ContainsFunc(s.Host.DeviceNodes, func(n inspect.DeviceNode) bool { return n.Path == node }) {
				return node + " is not there"
			}
		}
	}
	return ""
}

func orElse[T comparable](value, other T) T {
	var zero T
	if value == zero {
		return other
	}
	return value
}

func at(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}
