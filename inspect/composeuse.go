package inspect

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

// markOf is put behind a value that depends on the switch, through the loader, and taken off after it:
// so one load tells both what compose makes of the files and what the switch would make of them.
const markOf = "\x01gpu"

var markPattern = lazily("\x01gpu([0-9]+)\x01")

// marked is a template whose result depends on NVIDIA_VISIBLE_DEVICES.
type marked struct {
	written string
	natural string // with the switch's file saying sentinel, where compose reads it
	forced  string // with the variable being sentinel
}

type composeLoad struct {
	use     ComposeUse
	env     *composeEnv
	files   composeFiles
	marks   []marked
	project *types.Project
}

// loadCompose reads compose files as docker compose would: files in order, in their project folder, with
// all profiles. Nothing is fetched; includes from elsewhere are an error, as they would be without network.
func loadCompose(ctx context.Context, name, folder string, files []string, env *composeEnv) (*composeLoad, error) {
	l := &composeLoad{env: env, files: composeFiles{map[string]*yaml.Node{}}}
	l.use = ComposeUse{Folder: folder, Files: files, EnvFiles: env.files, ReadsSwitch: env.reads}
	if env.reads {
		l.use.Overridden = env.wonBy
	}
	project, err := l.load(ctx, name, l.interpolate)
	if err != nil {
		// Once more without marks: the message is to be compose's own, and a mark may have been in the way.
		l.marks = nil
		if project, err = l.load(ctx, name, substitute); err != nil {
			return l, err
		}
	}
	l.project, l.use.Name = project, project.Name
	for name := range project.Services {
		l.use.Services = append(l.use.Services, name)
	}
	slices.Sort(l.use.Services)
	return l, nil
}

func (l *composeLoad) load(ctx context.Context, name string, interpolate func(string, template.Mapping) (string, error)) (*types.Project, error) {
	details := types.ConfigDetails{WorkingDir: l.use.Folder, Environment: types.Mapping(l.env.env)}
	for _, file := range l.use.Files {
		data, err := readProjectFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: file, Content: data})
	}
	return loader.LoadWithContext(ctx, details, func(o *loader.Options) {
		o.SkipResolveEnvironment, o.SkipResolveLabels = true, true // files of other services are no business of ours
		o.SkipNormalization, o.SkipConsistencyCheck = true, true
		o.Profiles = []string{"*"}
		given := name
		if given == "" {
			given = loader.NormalizeProjectName(filepath.Base(l.use.Folder))
		}
		o.SetProjectName(given, name != "")
		o.Interpolate = &interpolation.Options{Substitute: interpolate, LookupValue: details.LookupEnv, TypeCastMapping: o.Interpolate.TypeCastMapping}
	})
}

// substitute is compose's interpolation without its warnings of unset variables: they are for docker
// compose to say.
func substitute(text string, mapping template.Mapping) (string, error) {
	return template.SubstituteWithOptions(text, mapping, template.WithoutLogging)
}

// interpolate interpolates a value and marks it where the switch would change it.
func (l *composeLoad) interpolate(text string, mapping template.Mapping) (string, error) {
	value, err := substitute(text, mapping)
	if err != nil || !strings.Contains(text, "$") {
		return value, err
	}
	natural := func(key string) (string, bool) {
		if v, set := l.env.asIf[key]; set && v != l.env.env[key] {
			return v, true
		}
		return mapping(key)
	}
	forced := func(key string) (string, bool) {
		if key == visibleDevices {
			return sentinel, true
		}
		return natural(key)
	}
	m := marked{written: text}
	if m.forced, err = substitute(text, forced); err != nil || !strings.Contains(m.forced, sentinel) {
		return value, nil
	}
	if m.natural, err = substitute(text, natural); err != nil {
		m.natural = value
	}
	l.marks = append(l.marks, m)
	return value + markOf + strconv.Itoa(len(l.marks)-1) + "\x01", nil
}

// unmark takes the mark off a value.
func (l *composeLoad) unmark(value string) (string, *marked) {
	found := markPattern.FindStringSubmatch(value)
	if found == nil {
		return value, nil
	}
	i, err := strconv.Atoi(found[1])
	if err != nil || i >= len(l.marks) {
		return value, nil
	}
	return markPattern.ReplaceAllString(value, ""), &l.marks[i]
}

// services are those that use a GPU in any way, sorted by name.
func (l *composeLoad) services(at int) []GPUService {
	var found []GPUService
	names := make([]string, 0, len(l.project.Services))
	for name := range l.project.Services {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if s := l.service(l.project.Services[name]); s != nil {
			s.Use = at
			found = append(found, *s)
		}
	}
	return found
}

func (l *composeLoad) service(config types.ServiceConfig) *GPUService {
	s := &GPUService{Name: config.Name, Kind: KindService, By: []string{}, Profiles: config.Profiles}
	layers := l.files.layers(l.use.Files, l.use.Folder, config.Name)
	if len(layers) > 0 {
		last := layers[len(layers)-1]
		s.File, s.Line = last.file, last.node.Line
	}
	l.environment(s, config, layers)
	l.requests(s, config, layers)
	if len(s.By) == 0 && s.VisibleDevices == nil && !s.WouldFollow && !s.Follows {
		return nil
	}
	return s
}

// environment finds NVIDIA_VISIBLE_DEVICES and NVIDIA_DRIVER_CAPABILITIES as compose would set them.
func (l *composeLoad) environment(s *GPUService, config types.ServiceConfig, layers []layer) {
	for _, key := range []string{visibleDevices, driverCapabilities} {
		if setting, follows, would, written := l.variable(key, config, layers); setting != nil || would {
			if key == visibleDevices {
				s.VisibleDevices, s.Follows, s.WouldFollow, s.Written = setting, follows, would, written
			} else {
				s.DriverCapabilities = setting
				s.CapabilitiesFollow = strings.Contains(written, key) && l.env.reads
			}
		}
	}
}

func (l *composeLoad) variable(key string, config types.ServiceConfig, layers []layer) (setting *Setting, follows, would bool, written string) {
	if value, set := config.Environment[key]; set {
		var place envEntry
		var file string
		var env []string
		for _, layer := range layers {
			if entry, ok := environmentEntry(layer.node, key); ok {
				place, file, env = entry, layer.file, layer.env
			}
		}
		setting = &Setting{File: file, Line: place.line}
		written = place.value
		if value == nil { // a name alone takes the value of the project's environment, or is left out
			written = key
			actual, isSet := l.env.env[key]
			setting.Value = actual
			follows = key == visibleDevices && l.env.reads && l.env.asIf[key] == sentinel
			if !isSet {
				return nil, follows, key == visibleDevices, written
			}
			return setting, follows, key == visibleDevices, written
		}
		text, mark := l.unmark(*value)
		setting.Value = text
		if mark != nil {
			written, would = mark.written, true
			follows = mark.natural == mark.forced
			if !follows && env != nil { // an include has env files of its own, behind the project's
				_, set := l.env.env[key]
				follows = !set && slices.ContainsFunc(env, func(f string) bool { return sameFile(f, l.env.switchFile) })
			}
		}
		return setting, follows, would, written
	}
	for _, file := range slices.Backward(config.EnvFiles) { // the last file that has it counts
		data, err := readProjectFile(file.Path)
		if sameFile(file.Path, l.env.switchFile) && key == visibleDevices {
			value, line := "", 0
			if err == nil {
				values := map[string]string{}
				if merge(values, data, l.env.env) == nil {
					value, line = values[key], envLine(data, key)
				}
			}
			return &Setting{Value: value, File: file.Path, Line: line}, true, true, ""
		}
		if err != nil {
			continue
		}
		values := map[string]string{}
		if merge(values, data, l.env.env) != nil {
			continue
		}
		if value, set := values[key]; set {
			return &Setting{Value: value, File: file.Path, Line: envLine(data, key)}, false, false, value
		}
	}
	return nil, false, false, ""
}

// requests finds all other ways by which a service asks for a GPU.
func (l *composeLoad) requests(s *GPUService, config types.ServiceConfig, layers []layer) {
	add := func(by, text string, path ...string) {
		if !slices.Contains(s.By, by) {
			s.By = append(s.By, by)
		}
		r := GPURequest{By: by, Text: text}
		for _, layer := range layers {
			n := layer.node
			for _, key := range path {
				n = member(n, key)
			}
			if n != nil {
				r.File, r.Line = layer.file, n.Line
			}
		}
		s.Requests = append(s.Requests, r)
	}
	runtime, _ := l.unmark(config.Runtime)
	if s.Runtime = runtime; runtime == "nvidia" || strings.HasPrefix(runtime, "nvidia-") {
		add(ByRuntime, "runtime: "+runtime, "runtime")
	}
	for _, r := range config.Gpus {
		if by := byRequest(r); by != "" {
			add(by, "gpus: "+requestText(r), "gpus")
			s.amount(r)
		}
	}
	if d := config.Deploy; d != nil && d.Resources.Reservations != nil {
		for _, r := range d.Resources.Reservations.Devices {
			if by := byRequest(r); by != "" {
				add(by, "deploy.resources.reservations.devices: "+requestText(r), "deploy", "resources", "reservations", "devices")
				s.amount(r)
			}
		}
		for _, r := range d.Resources.Reservations.GenericResources {
			if spec := r.DiscreteResourceSpec; spec != nil && strings.Contains(strings.ToLower(spec.Kind), "gpu") {
				add(BySwarm, "generic resource "+spec.Kind, "deploy", "resources", "reservations", "generic_resources")
			}
		}
	}
	for _, d := range config.Devices {
		source, _ := l.unmark(d.Source)
		by := byDeviceName(source)
		if by == "" {
			mapping := source
			if d.Target != "" && d.Target != source || d.Permissions != "" && d.Permissions != "rwm" {
				mapping += ":" + d.Target
				if d.Permissions != "" && d.Permissions != "rwm" {
					mapping += ":" + d.Permissions
				}
			}
			s.OtherDevices = append(s.OtherDevices, mapping)
			continue
		}
		s.Devices = append(s.Devices, source)
		add(by, "devices: "+source, "devices")
	}
	for _, rule := range config.DeviceCgroupRules {
		if fields := strings.Fields(rule); len(fields) == 3 && strings.HasPrefix(fields[1], "195:") {
			add(ByCgroupRule, "device_cgroup_rules: "+rule, "device_cgroup_rules")
		}
	}
	for _, v := range config.Volumes {
		if strings.HasPrefix(v.Target, containerDevices) {
			add(ByVolumeMounts, "volume at "+v.Target, "volumes")
		}
	}
	if s.Privileged = config.Privileged; s.Privileged {
		add(ByPrivileged, "privileged: true", "privileged")
	}
}

// byRequest says if a device request is for an NVIDIA GPU: by its capabilities, or by a CDI name.
func byRequest(r types.DeviceRequest) string {
	if r.Driver == "cdi" || slices.ContainsFunc(r.IDs, func(id string) bool { return strings.HasPrefix(id, "nvidia.com/") }) {
		return ByCDI
	}
	if r.Driver != "" && r.Driver != "nvidia" {
		return ""
	}
	if len(r.Capabilities) == 0 || slices.Contains(r.Capabilities, "gpu") || slices.Contains(r.Capabilities, "nvidia") {
		return ByGPUs
	}
	return ""
}

// amount notes in the latest request how much it asks for.
func (s *GPUService) amount(r types.DeviceRequest) {
	last := &s.Requests[len(s.Requests)-1]
	last.IDs, last.Count = r.IDs, int(r.Count)
	if len(r.IDs) == 0 && r.Count <= 0 {
		last.Count = -1
	}
}

func requestText(r types.DeviceRequest) string {
	switch {
	case len(r.IDs) > 0:
		return strings.Join(r.IDs, ",")
	case r.Count > 0:
		return fmt.Sprint(int64(r.Count))
	}
	return "all"
}

// byDeviceName is the way by which a device of `devices` or --device gives a GPU, or "".
func byDeviceName(source string) string {
	source, _, _ = strings.Cut(source, ":")
	switch {
	case strings.HasPrefix(source, "nvidia.com/"):
		return ByCDI
	case source == "/dev/dxg":
		return ByDXG
	case strings.HasPrefix(source, "/dev/nvidia"):
		return ByDevice
	}
	return ""
}

// problemOf is an error of compose-go with the file and line that it names, where it names one.
func problemOf(err error, files []string) FileProblem {
	p := FileProblem{Message: strings.TrimSpace(err.Error())}
	if len(files) > 0 {
		p.Path = files[0]
	}
	for _, file := range files {
		if strings.Contains(p.Message, file) {
			p.Path = file
		}
	}
	p.Message = strings.TrimPrefix(p.Message, p.Path+": ")
	if m := linePattern.FindStringSubmatch(p.Message); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
	}
	return p
}

var linePattern = lazily(`\bline:? ([0-9]+)`)
