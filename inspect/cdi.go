package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"tags.cncf.io/container-device-interface/pkg/cdi"
	"tags.cncf.io/container-device-interface/specs-go"
)

// CDISource reads the Container Device Interface's specifications from the folders that the engine was told, else
// from /etc/cdi and /var/run/cdi, and from those that the nvidia runtime was told.
var CDISource = Source{Name: "cdi", Local: true, Read: readCDI}

func readCDI(_ context.Context, m Machine) (Patch, error) {
	process, root := findEngine(m)
	m.Root = root
	dirs := cdiDirs(m, process)
	file := toolkitConfigPath(process, root)
	if data, err := root.ReadFile(file); err == nil {
		for _, dir := range parseToolkitConfig(file, data).SpecDirs {
			if !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	c := &CDI{Dirs: dirs, Specs: []CDISpec{}, Devices: []string{}}
	var unseen []error
	for _, dir := range c.Dirs {
		entries, err := m.Root.ReadDir(dir)
		if err != nil {
			unseen = append(unseen, unread(err)) // most machines have one of the two, or none
			continue
		}
		seen := map[string]int{} // device name to spec of the same folder: there two of them conflict
		for _, entry := range entries {
			name := path.Join(dir, entry.Name())
			if ext := path.Ext(name); ext != ".yaml" && ext != ".json" {
				continue
			}
			data, err := m.Root.ReadFile(name)
			spec := CDISpec{Path: name}
			if info, err := m.Root.Stat(name); err == nil {
				spec.ModifiedAt = ptr(info.ModTime().UTC())
			}
			if err != nil {
				spec.Problem = &FileProblem{Path: name, Message: err.Error()}
			} else {
				spec.parse(m.Root, data)
			}
			for _, device := range spec.Devices {
				qualified := spec.Kind + "=" + device.Name
				if other, twice := seen[qualified]; twice {
					spec.Conflicts = append(spec.Conflicts, qualified)
					c.Specs[other].Conflicts = append(c.Specs[other].Conflicts, qualified)
				}
				seen[qualified] = len(c.Specs)
				if !slices.Contains(c.Devices, qualified) {
					c.Devices = append(c.Devices, qualified)
				}
			}
			c.Specs = append(c.Specs, spec)
		}
	}
	slices.Sort(c.Devices)
	if err := errors.Join(unseen...); err != nil {
		if len(c.Specs) == 0 {
			c.Specs, c.Devices = nil, nil // not known to be none
		}
		return func(s *Snapshot) { s.CDI = c }, err
	}
	return func(s *Snapshot) { s.CDI = c }, nil
}

// cdiDirs are the engine's folders of specifications, by its command line, its daemon.json, or its default.
func cdiDirs(m Machine, process *EngineProcess) []string {
	if process != nil {
		if dirs := process.Flag("cdi-spec-dir"); len(dirs) > 0 {
			return dirs
		}
	}
	var config struct {
		Dirs []string `json:"cdi-spec-dirs"`
	}
	if data, err := m.Root.ReadFile(daemonConfigPath(m, process, m.Root)); err == nil && json.Unmarshal(data, &config) == nil && len(config.Dirs) > 0 {
		return config.Dirs
	}
	return []string{"/etc/cdi", "/var/run/cdi"}
}

var yamlLine = lazily(`\bline (\d+)`)

// lineOf is the line that a YAML parser's message names, or 0.
func lineOf(message string) int {
	if found := yamlLine.FindStringSubmatch(message); found != nil {
		line, _ := strconv.Atoi(found[1])
		return line
	}
	return 0
}

// parse reads one specification and looks which of the host paths that it names are there.
func (s *CDISpec) parse(root Root, data []byte) {
	raw, err := cdi.ParseSpec(data)
	if err != nil || raw == nil {
		message := "is empty"
		if err != nil {
			message = err.Error()
		}
		s.Problem = &FileProblem{Path: s.Path, Line: lineOf(message), Message: message}
		return
	}
	s.Kind, s.Version = raw.Kind, raw.Version
	see := func(name string) {
		if path.IsAbs(name) && !root.Exists(name) && !slices.Contains(s.MissingPaths, name) {
			s.MissingPaths = append(s.MissingPaths, name)
		}
	}
	edits := func(e *specs.ContainerEdits) (nodes []string) {
		for _, node := range e.DeviceNodes {
			host := node.HostPath
			if host == "" {
				host = node.Path
			}
			nodes = append(nodes, host)
			see(host)
		}
		for _, mount := range e.Mounts {
			see(mount.HostPath)
			if _, version, ok := strings.Cut(path.Base(mount.HostPath), "libcuda.so."); ok && strings.Contains(version, ".") {
				s.DriverVersion = version
			}
		}
		for _, hook := range e.Hooks {
			see(hook.Path)
		}
		s.Mounts += len(e.Mounts)
		s.Hooks += len(e.Hooks)
		return nodes
	}
	s.Nodes, s.Env = edits(&raw.ContainerEdits), raw.ContainerEdits.Env
	for i := range raw.Devices {
		d := CDIDevice{Name: raw.Devices[i].Name, Nodes: edits(&raw.Devices[i].ContainerEdits)}
		if strings.HasPrefix(d.Name, "GPU-") || strings.HasPrefix(d.Name, "MIG-") {
			d.UUID = d.Name
		}
		s.Devices = append(s.Devices, d)
	}
}
