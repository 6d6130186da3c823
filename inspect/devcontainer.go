package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// devcontainer is what a devcontainer.json says that concerns GPUs.
type devcontainer struct {
	Name              string            `json:"name"`
	DockerComposeFile stringList        `json:"dockerComposeFile"`
	Service           string            `json:"service"`
	RunArgs           []string          `json:"runArgs"`
	ContainerEnv      map[string]string `json:"containerEnv"`
	RemoteEnv         map[string]any    `json:"remoteEnv"` // of the tool's own processes, not of the container
	Privileged        bool              `json:"privileged"`
	HostRequirements  struct {
		GPU json.RawMessage `json:"gpu"` // true, "optional", or an object
	} `json:"hostRequirements"`

	path string // absolute
	tree hujson.Value
}

// stringList is a string or a list of strings.
type stringList []string

func (l *stringList) UnmarshalJSON(data []byte) error {
	var one string
	if err := json.Unmarshal(data, &one); err == nil {
		*l = stringList{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// parseDevcontainer reads JSON with comments and trailing commas.
func parseDevcontainer(path string, data []byte) (*devcontainer, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	tree, err := hujson.Parse(data)
	if err != nil {
		return nil, err
	}
	plain := tree.Clone()
	plain.Standardize()
	d := &devcontainer{path: path, tree: tree}
	if err := json.Unmarshal(plain.Pack(), d); err != nil {
		return nil, err
	}
	return d, nil
}

// line is where a member of devcontainer.json stands, by its JSON pointer; 0 is not known.
func (d *devcontainer) line(pointer string) int {
	if v := d.tree.Find(pointer); v != nil {
		return 1 + bytes.Count(d.tree.Pack()[:v.StartOffset], []byte("\n"))
	}
	return 0
}

// expand puts in what devcontainer.json's variables stand for. localEnv is the shell's.
func (d *devcontainer) expand(text, folder string, shell map[string]string) string {
	for {
		start := strings.Index(text, "${")
		if start < 0 {
			return text
		}
		end := strings.IndexByte(text[start:], '}')
		if end < 0 {
			return text
		}
		name, argument, _ := strings.Cut(text[start+2:start+end], ":")
		value := ""
		switch name {
		case "localWorkspaceFolder":
			value = folder
		case "localWorkspaceFolderBasename":
			value = filepath.Base(folder)
		case "localEnv", "env":
			key, fallback, _ := strings.Cut(argument, ":")
			var set bool
			if value, set = shell[key]; !set {
				value = fallback
			}
		}
		text = text[:start] + strings.ReplaceAll(value, "${", "$\x00{") + text[start+end+1:]
		if !strings.Contains(text, "${") {
			return strings.ReplaceAll(text, "$\x00{", "${")
		}
	}
}

// composeFiles are the files of dockerComposeFile, absolute.
func (d *devcontainer) composeFiles(folder string, shell map[string]string) []string {
	var files []string
	for _, name := range d.DockerComposeFile {
		files = append(files, absolute(filepath.Dir(d.path), d.expand(name, folder, shell)))
	}
	return files
}

// container is the dev container itself where no compose file makes it.
func (d *devcontainer) container(folder, switchFile string, shell map[string]string) *GPUService {
	s := &GPUService{Name: d.Name, Kind: KindDevcontainer, Use: -1, By: []string{}, File: d.path, Line: 1}
	if s.Name == "" {
		s.Name = "dev container"
	}
	args := make([]string, len(d.RunArgs))
	for i, arg := range d.RunArgs {
		args[i] = d.expand(arg, folder, shell)
	}
	variable := d.environment(s, folder, shell)
	for i := 0; i < len(args); i++ {
		at := i
		flag, value, joined := strings.Cut(args[i], "=")
		next := func() string {
			if !joined && i+1 < len(args) {
				i++
				return args[i]
			}
			return value
		}
		request := func(by, text string) {
			d.request(s, by, text, fmt.Sprintf("/runArgs/%d", at))
		}
		switch flag {
		case "--gpus":
			request(ByGPUs, "--gpus "+next())
		case "--runtime":
			if s.Runtime = next(); s.Runtime == "nvidia" || strings.HasPrefix(s.Runtime, "nvidia-") {
				request(ByRuntime, "--runtime "+s.Runtime)
			}
		case "--device":
			device := next()
			if by := byDeviceName(device); by != "" {
				s.Devices = append(s.Devices, device)
				request(by, "--device "+device)
			}
		case "--device-cgroup-rule":
			if rule := next(); strings.Contains(rule, " 195:") {
				request(ByCgroupRule, "--device-cgroup-rule "+rule)
			}
		case "--privileged":
			s.Privileged = true
			request(ByPrivileged, "--privileged")
		case "-e", "--env":
			key, written, valued := strings.Cut(next(), "=")
			if key != visibleDevices && key != driverCapabilities {
				continue
			}
			if !valued { // a name alone: docker run takes it from the shell
				written = shell[key]
			}
			setting := &Setting{Value: written, File: d.path, Line: d.line(fmt.Sprintf("/runArgs/%d", i))}
			if key == visibleDevices {
				s.VisibleDevices, s.Written, s.Follows = setting, d.RunArgs[i], false
				variable = true
			} else {
				s.DriverCapabilities = setting
			}
		case "--env-file":
			file := absolute(folder, next())
			if sameFile(file, switchFile) && !variable { // -e wins over --env-file
				s.Follows, s.WouldFollow, s.CapabilitiesFollow = true, true, true
			}
			data, err := readProjectFile(file)
			if err != nil {
				continue
			}
			if value, line, ok := kvValue(data, visibleDevices, shell); ok && !variable {
				s.VisibleDevices = &Setting{Value: value, File: file, Line: line}
				s.Follows = sameFile(file, switchFile)
			}
			if value, line, ok := kvValue(data, driverCapabilities, shell); ok && s.DriverCapabilities == nil {
				s.DriverCapabilities = &Setting{Value: value, File: file, Line: line}
			}
		}
	}
	d.rest(s)
	if len(s.By) == 0 && s.VisibleDevices == nil && !s.Follows {
		return nil
	}
	return s
}

// environment reads containerEnv, which the CLI sets by -e or in a compose override of its own.
func (d *devcontainer) environment(s *GPUService, folder string, shell map[string]string) bool {
	found := false
	for _, key := range []string{visibleDevices, driverCapabilities} {
		written, set := d.ContainerEnv[key]
		if !set {
			continue
		}
		setting := &Setting{Value: d.expand(written, folder, shell), File: d.path, Line: d.line("/containerEnv/" + key)}
		if key == visibleDevices {
			s.VisibleDevices, s.Written, s.Follows, s.WouldFollow = setting, written, false, false
			found = true
		} else {
			s.DriverCapabilities, s.CapabilitiesFollow = setting, false
		}
	}
	return found
}

// rest adds what holds for dev containers of any kind.
func (d *devcontainer) rest(s *GPUService) {
	if d.Privileged {
		s.Privileged = true
		d.request(s, ByPrivileged, "privileged: true", "/privileged")
	}
	if gpu := strings.TrimSpace(string(d.HostRequirements.GPU)); gpu != "" && gpu != "false" && gpu != "null" {
		d.request(s, ByHostRequirements, "hostRequirements.gpu: "+strings.Trim(gpu, `"`), "/hostRequirements/gpu")
	}
}

func (d *devcontainer) request(s *GPUService, by, text, pointer string) {
	if !slices.Contains(s.By, by) {
		s.By = append(s.By, by)
	}
	s.Requests = append(s.Requests, GPURequest{By: by, Text: text, File: d.path, Line: d.line(pointer)})
}

// kvValue is a variable of an env file as docker run --env-file reads it: no quotes, no comments behind
// values, the last one counts, a name alone is the shell's.
func kvValue(data []byte, key string, shell map[string]string) (value string, line int, found bool) {
	number := 0
	for text := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		number++
		text = strings.TrimLeft(strings.TrimRight(text, "\r\n"), " \t")
		name, v, valued := strings.Cut(text, "=")
		if name != key {
			continue
		}
		if !valued {
			if v, found = shell[key]; !found {
				continue
			}
		}
		value, line, found = v, number, true
	}
	return value, line, found
}
