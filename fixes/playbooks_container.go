package fixes

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// Playbooks for containers and projects: what was asked for, and how.
var containerPlaybooks = map[ID]func(*planner, Finding){
	"shm-too-small":               (*planner).growShm,
	"gpu-not-requested":           (*planner).requestGPU,
	"visible-devices-ignored":     (*planner).requestGPU,
	"visible-devices-void":        (*planner).requestGPU,
	"driver-capabilities-missing": (*planner).addCapabilities,
	"cgroup-device-lost":          (*planner).giveDevicesBack,
	"env-has-no-effect":           (*planner).followVariable,
	"docker-desktop-linux-vm":     func(p *planner, _ Finding) { p.why = "which engine is used is the docker context's matter" },
}

// found is the container of a finding, where it may be made anew by docker gpu.
func (p *planner) found(f Finding) *inspect.Container {
	at := slices.IndexFunc(p.s.Containers, func(c inspect.Container) bool { return f.Container != "" && c.Name == f.Container })
	switch {
	case at < 0:
		p.why = "it does not say which container"
		return nil
	case p.target.Control == nil && !p.target.Reading || p.s.Engine == nil || p.s.Engine.Location == "remote":
		p.why = "the engine's containers are not this machine's"
		return nil
	case p.s.Containers[at].ComposeProject != "":
		p.why = "the container is compose's: change its service, then docker compose up -d"
		return nil
	}
	return &p.s.Containers[at]
}

func (p *planner) recreate(c *inspect.Container, text, differs string, change func(*container.Config, *container.HostConfig) bool) {
	d := p.describe(HarmRestart, text)
	d.Root = false
	p.add(&RecreateStep{Description: d, Control: p.target.Control, Endpoint: p.s.Engine.Endpoint, Container: c.Name, Change: change, Differs: differs})
}

// wantedShm is the /dev/shm that PyTorch's and NCCL's own pages ask for, where the machine has four times as much.
const wantedShm = 8 << 30

func (p *planner) growShm(f Finding) {
	c := p.found(f)
	if c == nil {
		return
	}
	size := int64(wantedShm)
	if h := p.s.Host; h != nil && h.MemoryTotalBytes != nil {
		for size > 256<<20 && uint64(size) > *h.MemoryTotalBytes/4 {
			size /= 2
		}
	}
	if l := c.Asks.MemoryLimitBytes; l != nil && *l > 0 { // what lies in /dev/shm counts for the container's limit
		size = min(size, int64(*l/2))
	}
	was := "64MiB"
	if c.Asks.ShmSizeBytes != nil {
		was = units.BytesSize(float64(*c.Asks.ShmSizeBytes))
	}
	p.recreate(c, fmt.Sprintf("Make container %s anew with --shm-size %s", c.Name, units.BytesSize(float64(size))), fmt.Sprintf("ShmSize: %s → %s\n", was, units.BytesSize(float64(size))),
		func(_ *container.Config, h *container.HostConfig) bool {
			if h.ShmSize >= size || string(h.IpcMode) == "host" {
				return false
			}
			h.ShmSize = size
			return true
		})
}

// requestGPU asks for every GPU in the way that needs no variable and that every engine grants.
func (p *planner) requestGPU(f Finding) {
	c := p.found(f)
	if c == nil {
		return
	}
	ways := Passthrough(p.s)
	if ways.GPUsFlag == WayClosed && ways.Runtime == WayOpen {
		p.byRuntime(c)
		return
	}
	if ways.GPUsFlag == WayClosed {
		p.why = "this engine cannot grant --gpus: mend that first"
		return
	}
	p.recreate(c, fmt.Sprintf("Make container %s anew with --gpus all", c.Name), "DeviceRequests: none → all GPUs\n", func(_ *container.Config, h *container.HostConfig) bool {
		for _, r := range h.DeviceRequests {
			if slices.ContainsFunc(r.Capabilities, func(some []string) bool { return slices.Contains(some, "gpu") }) || r.Driver == "cdi" {
				return false
			}
		}
		h.DeviceRequests = append(h.DeviceRequests, container.DeviceRequest{Count: -1, Capabilities: [][]string{{"gpu"}}})
		return true
	})
}

// byRuntime asks for every GPU by the nvidia runtime, where that is the way that is open.
func (p *planner) byRuntime(c *inspect.Container) {
	const runtime, all = "nvidia", "all"
	p.recreate(c, fmt.Sprintf("Make container %s anew with --runtime nvidia and %s=%s", c.Name, VisibleDevices, all), fmt.Sprintf("Runtime: %s, %s=%s\n", runtime, VisibleDevices, all),
		func(config *container.Config, h *container.HostConfig) bool {
			changed := setVariable(config, VisibleDevices, all)
			changed = changed || h.Runtime != runtime
			h.Runtime = runtime
			return changed
		})
}

// setVariable sets a variable of a container's environment, and tells if it was another.
func setVariable(config *container.Config, name, value string) bool {
	for i, entry := range config.Env {
		if was, ok := strings.CutPrefix(entry, name+"="); ok {
			config.Env[i] = name + "=" + value
			return was != value
		}
	}
	config.Env = append(config.Env, name+"="+value)
	return true
}

// addCapabilities asks for all of the driver's parts, which a variable of the container does.
func (p *planner) addCapabilities(f Finding) {
	c := p.found(f)
	if c == nil {
		return
	}
	const name, all = "NVIDIA_DRIVER_CAPABILITIES", "all"
	was := "unset"
	if c.Asks.DriverCapabilities != nil {
		was = *c.Asks.DriverCapabilities
	}
	p.recreate(c, fmt.Sprintf("Make container %s anew with %s=%s", c.Name, name, all), fmt.Sprintf("%s: %s → %s\n", name, was, all),
		func(config *container.Config, _ *container.HostConfig) bool { return setVariable(config, name, all) })
}

// giveDevicesBack restarts a container that lost its devices, and links its nodes so that systemd does
// not take them away again.
func (p *planner) giveDevicesBack(f Finding) {
	if p.systemd() && p.target.Root.Exists("/usr/bin/nvidia-ctk") {
		p.add(p.file("Link the GPUs' device numbers whenever the driver is loaded", "/etc/udev/rules.d/71-nvidia-dev-char.rules",
			"ACTION==\"add\", DEVPATH==\"/bus/pci/drivers/nvidia\", RUN+=\"/usr/bin/nvidia-ctk system create-dev-char-symlinks --create-all\"\n"))
		link := p.command(HarmEdit, "Link the GPUs' device numbers now", "nvidia-ctk", "system", "create-dev-char-symlinks", "--create-all")
		if root := string(p.target.Root); root != "" && root != "/" {
			link.Command = append(link.Command, "--driver-root="+root, "--dev-char-path="+p.at("/dev/char"))
		}
		remove := []string{"rm", "-f"}
		for _, n := range p.s.Host.DeviceNodes {
			name := fmt.Sprintf("/dev/char/%d:%d", n.Major, n.Minor)
			linked := slices.ContainsFunc(p.s.Host.CharLinks, func(l inspect.CharLink) bool { return l.Path == name })
			if n.Device && strings.HasPrefix(n.Path, "/dev/nvidia") && !linked {
				remove = append(remove, p.at(name))
			}
		}
		if len(remove) > 2 {
			link.Undo = [][]string{remove}
		}
		p.add(link)
	}
	at := slices.IndexFunc(p.s.Containers, func(c inspect.Container) bool { return f.Container != "" && c.Name == f.Container })
	if at < 0 || p.s.Engine == nil {
		return
	}
	step := p.command(HarmRestart, "Restart container "+f.Container+", which gives it its devices back", "docker", "--host", p.s.Engine.Endpoint, "restart", f.Container)
	step.Description.Root = false
	p.add(step)
}

// followVariable lets services whose compose file hard-codes the variable read it from the project's file.
func (p *planner) followVariable(Finding) {
	project := p.s.Project
	if project == nil {
		return
	}
	for _, service := range project.Services {
		set := service.VisibleDevices
		if set == nil || set.File == "" || set.Line == 0 || strings.Contains(set.Value, "${") || !isComposeFile(set.File) {
			continue
		}
		file := set.File
		if !filepath.IsAbs(file) {
			file = filepath.Join(project.Folder, file)
		}
		step := &FileStep{
			Description: p.describe(HarmEdit, fmt.Sprintf("Let service %s read NVIDIA_VISIBLE_DEVICES, in %s line %d", service.Name, set.File, set.Line)),
			Path:        file,
			Edit:        func(old []byte) ([]byte, error) { return followLine(file, old, set.Line) },
		}
		step.Description.Root = false
		p.add(step)
	}
}

func isComposeFile(name string) bool {
	return strings.HasSuffix(name, ".yml") || strings.HasSuffix(name, ".yaml")
}

var hardCoded = lazy(`^(.*\bNVIDIA_VISIBLE_DEVICES\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s"'#}\]]+)(.*)$`)

// followLine puts the variable in place of the value that line number holds.
func followLine(name string, data []byte, number int) ([]byte, error) {
	lines := bytes.SplitAfter(data, []byte("\n"))
	if number > len(lines) {
		return nil, fmt.Errorf("%s has no line %d: it was changed meanwhile", name, number)
	}
	text := string(lines[number-1])
	bare := strings.TrimRight(text, "\r\n")
	if strings.Contains(bare, "${NVIDIA_VISIBLE_DEVICES") {
		return data, nil
	}
	m := hardCoded().FindStringSubmatch(bare)
	if m == nil {
		return nil, fmt.Errorf("%s line %d holds no value of NVIDIA_VISIBLE_DEVICES: it was changed meanwhile", name, number)
	}
	const variable = "${NVIDIA_VISIBLE_DEVICES:-void}"
	value := variable
	if quote := m[2][0]; quote == '"' || quote == '\'' {
		value = string(quote) + variable + string(quote)
	} else if strings.Contains(m[1], "{") || strings.Contains(m[1], "[") { // YAML's short form ends a bare value at a brace
		value = `"` + variable + `"`
		if strings.HasSuffix(m[1], "=") {
			return nil, fmt.Errorf("%s line %d is a list in one line: write NVIDIA_VISIBLE_DEVICES=%s there", name, number, variable)
		}
	}
	lines[number-1] = []byte(m[1] + value + m[3] + text[len(bare):])
	return bytes.Join(lines, nil), nil
}
