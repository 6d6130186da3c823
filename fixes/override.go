package fixes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// ComposeMode says whether services of a run of docker compose are to have a GPU.
type ComposeMode string

// The modes: what the project's switch and the engine say, insisted on, or without.
const (
	ComposeAuto ComposeMode = "auto"
	ComposeOn   ComposeMode = "on"
	ComposeOff  ComposeMode = "off"
)

// Override is a further compose file that gives services their GPU in a way that the engine serves, or
// takes all requests for one away.
type Override struct {
	GPU     bool   // services get a GPU
	Why     string // in a sentence
	Content []byte // nil: the files need no change
	Changed []string
	Notes   []string // what it cannot change
}

// ComposeOverride works out the override for the first use of the Snapshot's project.
func ComposeOverride(s *inspect.Snapshot, mode ComposeMode) (Override, error) {
	o, ways := Override{}, Passthrough(s)
	switch {
	case mode == ComposeOff:
		o.Why = "asked for with --gpu off"
	case mode == ComposeOn && !ways.Any():
		return o, fmt.Errorf("this engine cannot give containers a GPU: %s", Judge(&inspect.Snapshot{Host: s.Host, Driver: s.Driver, Engine: s.Engine, Toolkit: s.Toolkit, CDI: s.CDI, GPUs: s.GPUs, Sources: s.Sources, Tool: s.Tool}).Text)
	case mode == ComposeOn:
		o.GPU, o.Why = true, "asked for with --gpu on"
	case switchValue(s) == "":
		o.Why = fmt.Sprintf("the project's switch is off (%s)", s.Project.EnvFile.Path)
	case gpuPresence(s) == absent:
		o.Why = "there is no NVIDIA GPU here"
	case !ways.Any():
		o.Why = "this engine has no way to give containers a GPU"
	default:
		o.GPU, o.Why = true, "by "+ways.Names()
	}
	if len(s.Project.Uses) == 0 {
		return o, nil
	}
	services := &yaml.Node{Kind: yaml.MappingNode}
	for _, service := range s.Project.Services {
		if service.Use != 0 {
			continue
		}
		change := &yaml.Node{Kind: yaml.MappingNode}
		if o.GPU {
			give(s, ways, service, change)
		} else {
			take(service, change)
		}
		if service.Privileged {
			o.Notes = append(o.Notes, fmt.Sprintf("%s is privileged: it sees every device of the host", service.Name))
		}
		if len(change.Content) > 0 {
			set(services, service.Name, change)
			o.Changed = append(o.Changed, service.Name)
		}
	}
	if !o.GPU && s.Engine != nil && nvidiaByDefault(s.Engine) { // then the image's own variable asks for all
		for _, name := range s.Project.Uses[0].Services {
			if !slices.Contains(o.Changed, name) {
				change := &yaml.Node{Kind: yaml.MappingNode}
				set(change, "environment", mapping(VisibleDevices, "void"))
				set(services, name, change)
				o.Changed = append(o.Changed, name)
			}
		}
	}
	if len(o.Changed) == 0 {
		return o, nil
	}
	document := &yaml.Node{Kind: yaml.MappingNode, HeadComment: "Written by docker gpu compose, on each run anew: " + o.Why + "."}
	set(document, "services", services)
	content, err := yaml.Marshal(document)
	o.Content = content
	return o, err
}

// switchValue is what the switch asks for: the shell's value, the file's, or all where nobody said
// anything; "" is off.
func switchValue(s *inspect.Snapshot) string {
	value := "all"
	switch {
	case s.Project.ShellVisibleDevices != nil:
		value = *s.Project.ShellVisibleDevices
	case s.Project.VisibleDevices != nil:
		value = s.Project.VisibleDevices.Value
	}
	if off(value) {
		return ""
	}
	return value
}

func off(value string) bool {
	kind := inspect.ParseVisibleDevices(&value, false).Kind
	return kind == inspect.VisibleVoid || kind == inspect.VisibleNone
}

func nvidiaByDefault(e *inspect.Engine) bool {
	r := e.Runtimes[e.DefaultRuntime]
	return e.DefaultRuntime == "nvidia" || strings.Contains(r.Path, "nvidia-container-runtime")
}

// take resets every request for a GPU. Compose resets keys that a service does not have without complaint,
// but only those that are there are named, to keep the override readable.
func take(service inspect.GPUService, change *yaml.Node) {
	reset(service, change, func(string) bool { return true })
	set(change, "environment", mapping(VisibleDevices, "void"))
}

// reset takes the ways away for which drop says so.
func reset(service inspect.GPUService, change *yaml.Node, drop func(by string) bool) {
	has := map[string]bool{}
	for _, r := range service.Requests {
		if drop(r.By) {
			key, _, _ := strings.Cut(r.Text, ":")
			has[key] = true
		}
	}
	if has["runtime"] {
		set(change, "runtime", resetNode())
	}
	if has["gpus"] {
		set(change, "gpus", resetNode())
	}
	if has["deploy.resources.reservations.devices"] {
		devices := &yaml.Node{Kind: yaml.MappingNode}
		set(devices, "devices", resetNode())
		set(change, "deploy", wrap("resources", wrap("reservations", devices)))
	}
	if has["devices"] {
		set(change, "devices", overrideList(service.OtherDevices))
	}
	if has["device_cgroup_rules"] {
		set(change, "device_cgroup_rules", resetNode())
	}
}

// give lets the service ask in ways that the engine serves: those it has, or else the first that is open.
func give(s *inspect.Snapshot, ways Ways, service inspect.GPUService, change *yaml.Node) {
	open := map[string]bool{inspect.ByRuntime: ways.Runtime == WayOpen, inspect.ByGPUs: ways.GPUsFlag == WayOpen, inspect.ByCDI: ways.CDI == WayOpen}
	asks, served := false, ""
	for _, r := range service.Requests {
		if by := r.By; by == inspect.ByRuntime || by == inspect.ByGPUs || by == inspect.ByCDI || by == inspect.ByDevice || by == inspect.ByDXG || by == inspect.ByCgroupRule {
			asks = true
			if cannotServe(s, service, r) == "" && (open[by] || by != inspect.ByRuntime && by != inspect.ByGPUs && by != inspect.ByCDI) {
				served = by
			} else {
				open[by+" refused"] = true
			}
		}
	}
	if v := service.VisibleDevices; !asks && (v == nil || off(v.Value) && !service.Follows && !service.WouldFollow) {
		return // it does not ask
	}
	reset(service, change, func(by string) bool { return open[by+" refused"] })
	selection := selected(s, service)
	if served == "" && nvidiaByDefault(s.Engine) && !asks {
		served = inspect.ByRuntime
	}
	if served == "" {
		switch names := cdiSelection(s, selection); {
		case open[inspect.ByCDI] && names != nil:
			set(change, "devices", overrideList(append(slices.Clone(service.OtherDevices), names...)))
		case open[inspect.ByGPUs]:
			set(change, "gpus", gpusNode(selection))
		default:
			served = inspect.ByRuntime
			set(change, "runtime", scalar("nvidia"))
		}
	}
	if v := service.VisibleDevices; served == inspect.ByRuntime && (v == nil || v.Value != selection && (off(v.Value) || service.Follows || service.WouldFollow)) {
		set(change, "environment", mapping(VisibleDevices, selection))
	}
}

// selected are the GPUs that a service is to get: those it names itself, else those of the switch.
func selected(s *inspect.Snapshot, service inspect.GPUService) string {
	for _, r := range service.Requests {
		switch {
		case len(r.IDs) > 0:
			var names []string
			for _, id := range r.IDs {
				names = append(names, strings.TrimPrefix(id, "nvidia.com/gpu="))
			}
			return strings.Join(names, ",")
		case r.Count > 0:
			var names []string
			for i := range min(r.Count, 128) {
				names = append(names, strconv.Itoa(i))
			}
			return strings.Join(names, ",")
		}
	}
	if device := service.Devices; len(device) > 0 && strings.HasPrefix(device[0], "nvidia.com/gpu=") {
		var names []string
		for _, d := range device {
			names = append(names, strings.TrimPrefix(d, "nvidia.com/gpu="))
		}
		return strings.Join(names, ",")
	}
	if v := service.VisibleDevices; v != nil && !off(v.Value) && !service.Follows && !service.WouldFollow {
		return v.Value
	}
	if value := switchValue(s); value != "" {
		return value
	}
	return "all"
}

// cdiSelection names a selection as the engine's CDI devices; nil where one of them has no such name.
func cdiSelection(s *inspect.Snapshot, selection string) []string {
	if s.Engine == nil {
		return nil
	}
	there := cdiGPUs(s)
	var names []string
	for name := range strings.SplitSeq(selection, ",") {
		full := "nvidia.com/gpu=" + strings.TrimPrefix(strings.TrimSpace(name), "nvidia.com/gpu=")
		if slices.Contains(there, full) {
			names = append(names, full)
			continue
		}
		if full == "nvidia.com/gpu=all" {
			return there
		}
		index := indexOf(s, name)
		if index == "" || !slices.Contains(there, "nvidia.com/gpu="+index) {
			return nil
		}
		names = append(names, "nvidia.com/gpu="+index)
	}
	return names
}

// indexOf is the index of a GPU or MIG device by its UUID; "" is not known.
func indexOf(s *inspect.Snapshot, uuid string) string {
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
	return ""
}

func gpusNode(selection string) *yaml.Node {
	request := &yaml.Node{Kind: yaml.MappingNode}
	if selection == "all" {
		set(request, "count", scalar("all"))
	} else {
		ids := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for name := range strings.SplitSeq(selection, ",") {
			ids.Content = append(ids.Content, quoted(strings.TrimPrefix(strings.TrimSpace(name), "nvidia.com/gpu=")))
		}
		set(request, "device_ids", ids)
	}
	set(request, "capabilities", &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: []*yaml.Node{scalar("gpu")}})
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!override", Content: []*yaml.Node{request}}
}

func resetNode() *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!reset", Value: "null"} }

func overrideList(values []string) *yaml.Node {
	if len(values) == 0 {
		return resetNode()
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!override"}
	for _, v := range values {
		list.Content = append(list.Content, quoted(v))
	}
	return list
}

func scalar(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: value} }

func quoted(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: value, Style: yaml.DoubleQuotedStyle}
}

func mapping(key, value string) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	// Compose interpolates the override too: a dollar is doubled.
	set(m, key, quoted(strings.ReplaceAll(value, "$", "$$")))
	return m
}

func wrap(key string, value *yaml.Node) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	set(m, key, value)
	return m
}

// set puts a value into a mapping, in place of one that is there.
func set(m *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = value
			return
		}
	}
	m.Content = append(m.Content, scalar(key), value)
}
