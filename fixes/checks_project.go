package fixes

import (
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

var projectChecks = []Check{
	{ID: "compose-syntax", Needs: []string{"project"}, Decides: true, Find: composeProblems},
	{ID: "compose-too-old", Needs: []string{"project"}, Find: nothing},
	{ID: "request-overrides-variable", Needs: []string{"project"}, HiddenBy: []ID{"runtime-required-on-cpu-host"}, Decides: true, Find: requestOverrides},
	{ID: "env-has-no-effect", Needs: []string{"project"}, HiddenBy: []ID{"runtime-required-on-cpu-host"}, Decides: true, Find: envWithoutEffect},
}

// asks tells if a service asks for a GPU so that it cannot start where there is none: by the runtime, a
// request or a device. The runtime with void starts wherever it is registered.
func asks(service inspect.GPUService) bool {
	return service.Runtime == "nvidia" || slices.ContainsFunc(service.By, func(by string) bool {
		return by == inspect.ByRuntime || by == inspect.ByGPUs || by == inspect.ByCDI || by == inspect.ByDevice
	})
}

func serviceEvidence(service inspect.GPUService) Evidence {
	how := strings.Join(service.By, ", ")
	if service.Runtime != "" {
		how = "runtime: " + service.Runtime
	}
	file := service.File
	if file == "" {
		file = "project"
	}
	return Evidence{Source: file, Text: "service " + service.Name + ": " + how, Line: service.Line}
}

// servicesAsking are the services that cannot start on a machine without GPU.
func servicesAsking(s *inspect.Snapshot) []Evidence {
	if s.Project == nil {
		return nil
	}
	registered := false
	if s.Engine != nil {
		_, registered = nvidiaOf(s.Engine.Runtimes)
	}
	var evidence []Evidence
	for _, service := range s.Project.Services {
		if !asks(service) {
			continue
		}
		byRuntimeAlone := !slices.ContainsFunc(service.By, func(by string) bool { return by == inspect.ByGPUs || by == inspect.ByCDI || by == inspect.ByDevice })
		if byRuntimeAlone && registered && saysNoGPU(service.VisibleDevices) {
			continue
		}
		evidence = append(evidence, serviceEvidence(service))
	}
	return evidence
}

// saysNoGPU tells if a value of the variable asks for no GPU; unset asks for none either.
func saysNoGPU(v *inspect.Setting) bool {
	return v == nil || switchedOff(&inspect.Project{VisibleDevices: v}) != nil
}

// composeProblems: a file of the project does not parse, and what is wrong is the GPU's part of it.
func composeProblems(s *inspect.Snapshot) []Finding {
	if s.Project == nil {
		return nil
	}
	var evidence []Evidence
	for _, p := range s.Project.Problems {
		text := strings.ToLower(p.Message)
		for _, word := range []string{"gpus", "devices", "device_ids", "capabilities", "runtime", "reservations", "nvidia"} {
			if strings.Contains(text, word) {
				evidence = append(evidence, Evidence{Source: p.Path, Text: p.Message, Line: p.Line})
				break
			}
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("compose-syntax", evidence...)}
}

// requestOverrides: the switch, or the service's own variable, says no GPU, and the service asks for one
// in a way that no variable switches off.
func requestOverrides(s *inspect.Snapshot) []Finding {
	if s.Project == nil {
		return nil
	}
	off := switchedOff(s.Project)
	var evidence []Evidence
	for _, service := range s.Project.Services {
		own := service.VisibleDevices != nil && saysNoGPU(service.VisibleDevices)
		var by []string
		for _, way := range service.By {
			switch way {
			case inspect.ByGPUs, inspect.ByDevice, inspect.ByPrivileged, inspect.ByCgroupRule:
				by = append(by, way)
			case inspect.ByCDI: // beside CDI, void is how one keeps the runtime from giving the GPU twice
				if off != nil {
					by = append(by, way)
				}
			}
		}
		if len(by) == 0 || off == nil && !own {
			continue
		}
		e := serviceEvidence(service)
		e.Text = "service " + service.Name + ": " + strings.Join(by, ", ")
		evidence = append(evidence, e)
	}
	if evidence == nil {
		return nil
	}
	if off != nil {
		evidence = append(evidence, Evidence{Source: off.File, Text: "NVIDIA_VISIBLE_DEVICES=" + off.Value, Line: off.Line})
	}
	return []Finding{NewFinding("request-overrides-variable", evidence...)}
}

// envWithoutEffect: the switch says one thing, a service that the variable governs gets another.
func envWithoutEffect(s *inspect.Snapshot) []Finding {
	if s.Project == nil || s.Project.VisibleDevices == nil {
		return nil
	}
	set := s.Project.VisibleDevices
	var evidence []Evidence
	for _, service := range s.Project.Services {
		v := service.VisibleDevices
		byVariable := service.Runtime == "nvidia" || slices.Contains(service.By, inspect.ByRuntime) || slices.Contains(service.By, inspect.ByDefaultRuntime)
		if v == nil || v.Value == set.Value || !byVariable || saysNoGPU(v) && saysNoGPU(set) {
			continue
		}
		evidence = append(evidence, Evidence{Source: v.File, Text: "service " + service.Name + ": NVIDIA_VISIBLE_DEVICES=" + v.Value, Line: v.Line})
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("env-has-no-effect", append(evidence, Evidence{Source: set.File, Text: "NVIDIA_VISIBLE_DEVICES=" + set.Value, Line: set.Line})...)}
}
