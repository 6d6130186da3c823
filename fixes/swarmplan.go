package fixes

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/system"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// A swarm places GPUs as generic resources: the engine offers them by name (node-generic-resources of daemon.json),
// the swarm gives a task as many as it reserves and tells its container which by a variable, and the toolkit, told so
// by its swarm-resource, gives the container those GPUs.
const (
	// SwarmKind is the kind of resource that GPUs are offered as: docker service create --generic-resource NVIDIA-GPU=1
	SwarmKind = "NVIDIA-GPU"
	// SwarmVariable is the variable in which a container finds the GPUs of its task.
	SwarmVariable = "DOCKER_RESOURCE_" + SwarmKind

	resourcesKey = "node-generic-resources"
	swarmKey     = "swarm-resource"
)

// SwarmOptions say what of a swarm's settings is wanted.
type SwarmOptions struct {
	Enable         bool
	DefaultRuntime bool // with Enable: nvidia becomes the default runtime, which services have
}

// SwarmPlan is a plan with what is worth knowing beside it. Names are the GPUs that are offered.
type SwarmPlan struct {
	Plan
	Names    []string
	Warnings []string
}

// PlanSwarm lays out how the engine offers its GPUs to a swarm, or offers them no longer. The error is why it cannot.
func PlanSwarm(s *inspect.Snapshot, opts SwarmOptions, target Target) (SwarmPlan, error) {
	p := &planner{s: s, target: target}
	plan := SwarmPlan{Plan: Plan{Name: "swarm disable"}}
	if opts.Enable {
		plan.Name = "swarm enable"
	}
	if !p.engineHere() {
		return plan, errors.New(p.why)
	}
	e := s.Engine
	path := e.ConfigFile.Path
	var resources *EngineConfigStep
	var toolkit *FileStep
	if opts.Enable {
		var err error
		if plan.Names, plan.Warnings, err = swarmNames(s); err != nil {
			return plan, err
		}
		entries := make([]string, len(plan.Names))
		for i, name := range plan.Names {
			entries[i] = SwarmKind + "=" + name
		}
		text, changes := fmt.Sprintf("Offer %s to the swarm as %s: %s", Counted(len(entries), "GPU"), SwarmKind, resourcesKey), []JSONChange(nil)
		if opts.DefaultRuntime {
			if _, registered := e.Runtimes["nvidia"]; !registered {
				return plan, errors.New("the runtime nvidia is not registered with the engine: docker gpu fix runtime-not-registered")
			}
			text += ", and nvidia as the default runtime,"
			changes = append(changes, JSONChange{[]string{"default-runtime"}, "nvidia"})
		}
		resources = p.engineSetting(text, true, func(info system.Info) bool {
			return slices.Equal(namesOffered(info), plan.Names) && (!opts.DefaultRuntime || info.DefaultRuntime == "nvidia")
		}, changes...)
		resources.Keys = append(resources.Keys, resourcesKey)
		resources.Edit = func(old []byte) ([]byte, error) {
			if err := checkSwarmList(path, old); err != nil {
				return nil, err
			}
			edited, err := EditJSONList(path, old, []string{resourcesKey}, func(entry string) bool { return !namesGPU(entry) || slices.Contains(entries, entry) }, entries)
			if err != nil {
				return nil, err
			}
			return EditJSON(path, edited, changes...)
		}
		toolkit = p.swarmVariable(fmt.Sprintf("Let the toolkit read a task's GPUs: %s = %q", swarmKey, SwarmVariable), func(names []string) []string {
			if slices.Contains(names, SwarmVariable) {
				return names
			}
			return append(names, SwarmVariable)
		})
		plan.warn(s, opts)
	} else {
		resources = p.engineSetting("Offer no GPU to the swarm: "+resourcesKey, true, func(info system.Info) bool { return len(namesOffered(info)) == 0 })
		resources.Edit = func(old []byte) ([]byte, error) {
			return EditJSONList(path, old, []string{resourcesKey}, func(entry string) bool { return !namesGPU(entry) }, nil)
		}
		toolkit = p.swarmVariable(fmt.Sprintf("Take %s out of the toolkit's %s", SwarmVariable, swarmKey), func(names []string) []string {
			return slices.DeleteFunc(names, func(n string) bool { return n == SwarmVariable })
		})
		if e.DefaultRuntime == "nvidia" {
			plan.Warnings = append(plan.Warnings, "nvidia stays the engine's default runtime: docker gpu swarm disable does not touch that.")
		}
	}
	// The one that stops the engine comes last: what it starts finds everything else in its place.
	p.add(toolkit, resources)
	plan.Steps = p.steps
	return plan, nil
}

// warn says what else a service needs to get a GPU.
func (plan *SwarmPlan) warn(s *inspect.Snapshot, opts SwarmOptions) {
	e := s.Engine
	if s.Toolkit != nil && !s.Toolkit.Installed {
		plan.Warnings = append(plan.Warnings, "The NVIDIA Container Toolkit is not installed: a service gets the name of its GPU, and no GPU. docker gpu fix toolkit-not-installed")
	}
	if runtime, known := e.Runtimes[e.DefaultRuntime]; !opts.DefaultRuntime && e.DefaultRuntime != "" && !(known && isNVIDIARuntime(e.DefaultRuntime, runtime)) {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("Services run with the engine's default runtime, which is %s: they get the name of their GPU (%s), and no GPU. To make nvidia the default: docker gpu swarm enable --default-runtime", e.DefaultRuntime, SwarmVariable))
	}
	if e.Swarm == nil {
		plan.Warnings = append(plan.Warnings, "This engine is in no swarm yet: docker swarm init, or docker swarm join.")
	}
}

func isNVIDIARuntime(name string, r inspect.Runtime) bool {
	return name == "nvidia" || strings.Contains(r.Path, "nvidia-container-runtime")
}

// swarmNames are the UUIDs that are offered: of each GPU, or of the MIG devices that it is cut into.
func swarmNames(s *inspect.Snapshot) (names, warnings []string, err error) {
	switch {
	case s.GPUs == nil:
		why := ""
		if r := source(s, "nvml"); r.Error != "" {
			why = " (" + r.Error + ")"
		}
		return nil, nil, fmt.Errorf("the GPUs of this machine could not be read%s: docker gpu diagnose", why)
	case len(s.GPUs) == 0:
		return nil, nil, errors.New("there is no NVIDIA GPU here that could be offered: docker gpu diagnose")
	}
	for _, g := range s.GPUs {
		switch {
		case g.Error != "":
			warnings = append(warnings, fmt.Sprintf("GPU %d is left out: %s", g.Index, g.Error))
		case g.MIG != nil && g.MIG.Enabled:
			if len(g.MIG.Devices) == 0 {
				warnings = append(warnings, fmt.Sprintf("GPU %d is left out: it is in MIG mode and has no MIG device", g.Index))
			}
			for _, d := range g.MIG.Devices {
				if d.UUID == "" {
					return nil, nil, fmt.Errorf("the UUID of MIG device %d:%d could not be read: docker gpu diagnose", g.Index, d.Index)
				}
				names = append(names, d.UUID)
			}
		case g.UUID == "":
			return nil, nil, fmt.Errorf("the UUID of GPU %d could not be read: docker gpu diagnose", g.Index)
		default:
			names = append(names, g.UUID)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return nil, warnings, errors.New("no GPU of this machine can be offered: " + strings.Join(warnings, "; "))
	}
	return names, warnings, nil
}

// namesOffered are the GPUs that the running engine offers by name, sorted.
func namesOffered(info system.Info) []string {
	names := []string{}
	for _, r := range info.GenericResources {
		if named := r.NamedResourceSpec; named != nil && namesGPU(named.Kind+"="+named.Value) {
			names = append(names, named.Value)
		}
	}
	slices.Sort(names)
	return names
}

// splitResource cuts an entry of node-generic-resources as the engine does.
func splitResource(entry string) (kind, value string, ok bool) {
	kind, value, ok = strings.Cut(entry, "=")
	return strings.TrimSpace(kind), strings.TrimSpace(value), ok && !strings.Contains(value, "=")
}

// namesGPU tells if an entry is one that swarm enable writes: a GPU or MIG device by its UUID.
func namesGPU(entry string) bool {
	kind, value, ok := splitResource(entry)
	return ok && kind == SwarmKind && (strings.HasPrefix(value, "GPU-") || strings.HasPrefix(value, "MIG-"))
}

// mixedResources are the entries of each kind that has counts beside names, or two counts: with these the engine does
// not start (swarmkit, api/genericresource/parse.go).
func mixedResources(entries []string) map[string][]string {
	byKind, counts := map[string][]string{}, map[string]int{}
	for _, entry := range entries {
		kind, value, ok := splitResource(entry)
		if !ok {
			continue
		}
		byKind[kind] = append(byKind[kind], entry)
		if _, err := strconv.ParseInt(value, 10, 64); err == nil {
			counts[kind]++
		}
	}
	maps.DeleteFunc(byKind, func(kind string, all []string) bool { return counts[kind] == 0 || len(all) == 1 })
	return byKind
}

// checkSwarmList refuses a daemon.json whose resources names of GPUs cannot stand beside.
func checkSwarmList(path string, data []byte) error {
	list, ok := readJSON(data, resourcesKey).([]any)
	if !ok {
		return nil // the edit itself tells what is wrong with another kind of value
	}
	var entries []string
	for _, v := range list {
		if entry, ok := v.(string); ok && !namesGPU(entry) {
			entries = append(entries, entry)
		}
	}
	for _, entry := range entries {
		if kind, value, ok := splitResource(entry); ok && kind == SwarmKind {
			if _, err := strconv.ParseInt(value, 10, 64); err == nil {
				return fmt.Errorf("%s counts its GPUs (%q in %s): with names beside a count the engine does not start (\"mixed discrete and named resources\"). Take that entry out, then run this again", path, entry, resourcesKey)
			}
		}
	}
	mixed := mixedResources(entries)
	for _, kind := range slices.Sorted(maps.Keys(mixed)) {
		return fmt.Errorf("%s mixes counts and names of %s (%s in %s): with these the engine does not start. Correct that first", path, kind, strings.Join(mixed[kind], ", "), resourcesKey)
	}
	return nil
}

// swarmVariable changes the list of variables in which the toolkit looks for the GPUs of a task.
func (p *planner) swarmVariable(text string, change func([]string) []string) *FileStep {
	path := p.toolkitConfig()
	step := p.toolkitSetting(text, "", swarmKey, "")
	step.Edit = func(old []byte) ([]byte, error) {
		config, err := parseTOML(path, old)
		if err != nil {
			return nil, err
		}
		var names []string
		now, _ := config[swarmKey].(string)
		for name := range strings.SplitSeq(now, ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
		want := change(slices.Clone(names))
		switch {
		case slices.Equal(names, want):
			return old, nil
		case len(want) > 0:
			return EditTOML(path, old, "", swarmKey, strings.Join(want, ","))
		}
		edited, err := EditTOML(path, old, "", swarmKey, nil)
		if err == nil && len(strings.TrimSpace(string(edited))) == 0 {
			return nil, nil // there was nothing else in it
		}
		return edited, err
	}
	return step
}
