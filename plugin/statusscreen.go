package plugin

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

func writeStatus(out io.Writer, width int, a statusAnswer) error {
	var b strings.Builder
	for _, line := range [][2]string{
		{"Host", hostLine(a.Host)}, {"Driver", driverLine(a.Snapshot)}, {"Engine", engineLine(a.Engine)},
		{"Passthrough", passthroughLine(a.Snapshot)}, {"Project", projectLine(a.Project)},
	} {
		if line[1] != "" {
			text := fmt.Sprintf("%-12s %s", line[0], line[1])
			b.WriteString(shorten(text, width) + "\n")
		}
	}
	if len(a.GPUs) > 0 {
		b.WriteString("\n")
		if err := writeTable(&b, width, gpuColumns(), gpuRows(a.Snapshot)); err != nil {
			return err
		}
	}
	if with := granted(a.Containers); len(with) > 0 {
		b.WriteString("\n")
		if err := writeTable(&b, width, containerColumns(), containerRows(with)); err != nil {
			return err
		}
	}
	if err := writeSwarmView(&b, width, a.Swarm); err != nil {
		return err
	}
	if lines := sourceLines(a.Snapshot); len(lines) > 0 {
		b.WriteString("\n")
		for _, line := range lines {
			writeText(&b, width, "! ", line)
		}
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	writeText(&b, width, mark(a.Verdict.Code)+" ", harmlessName(a.Verdict.Text))
	if a.Verdict.Next != "" {
		writeText(&b, width, "  ", "Next: "+harmlessName(a.Verdict.Next))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func mark(code fixes.Code) string {
	switch code {
	case fixes.OK:
		return "✓"
	case fixes.NoGPU, fixes.Disabled, fixes.UnsupportedPlatform:
		return "–"
	case fixes.CannotTell:
		return "?"
	}
	return "✗"
}

// parts joins what is known with the middle dot of the status screen.
func parts(known ...string) string {
	var all []string
	for _, part := range known {
		if part != "" {
			all = append(all, harmlessName(part))
		}
	}
	return strings.Join(all, " · ")
}

// labelled is label and value, or nothing where the value is not known.
func labelled(label, value string) string {
	if value == "" {
		return ""
	}
	return label + value
}

func hostLine(h *inspect.Host) string {
	if h == nil {
		return ""
	}
	wsl, container := "", ""
	if h.WSL != nil {
		wsl = fmt.Sprintf("WSL%d", h.WSL.Version)
	}
	if h.Container != "" {
		container = "seen from inside a container"
	}
	return parts(h.Name, h.OS, labelled("Linux ", h.Kernel), wsl, container)
}

func driverLine(s *inspect.Snapshot) string {
	d := s.Driver
	if d == nil || d.Version == "" && d.ModuleVersion == "" && d.NVMLError == "" {
		if s.Host != nil && len(s.Host.PCI) > 0 {
			return "none for " + fixes.Counted(len(s.Host.PCI), "NVIDIA GPU") + " on the PCI bus"
		}
		return ""
	}
	version := d.Version
	if version == "" {
		version = d.ModuleVersion
	}
	return parts(version, labelled("CUDA up to ", d.CUDAVersion), labelled("", flavor(d.ModuleFlavor)), d.NVMLError)
}

func flavor(f string) string {
	if f == "" {
		return ""
	}
	return f + " kernel module"
}

func engineLine(e *inspect.Engine) string {
	if e == nil {
		return ""
	}
	if e.Version == "" {
		return parts("no answer", labelled("context ", e.Context), e.Endpoint)
	}
	cgroup := ""
	if e.CgroupVersion != "" {
		cgroup = "cgroup v" + e.CgroupVersion
		if e.CgroupDriver != "" {
			cgroup += " (" + e.CgroupDriver + ")"
		}
	}
	rootless, where := "", ""
	if e.Rootless != nil && *e.Rootless {
		rootless = "rootless"
	}
	switch e.Location {
	case "remote":
		where = "on another machine: " + e.Endpoint
	case "vm":
		where = "in a virtual machine"
	}
	product := "Docker "
	if e.Desktop != nil && *e.Desktop {
		product = "Docker Desktop, engine "
	}
	return parts(product+e.Version, labelled("context ", e.Context), cgroup, rootless, where)
}

func passthroughLine(s *inspect.Snapshot) string {
	if s.Engine == nil || s.Engine.Version == "" {
		return ""
	}
	ways := fixes.Passthrough(s)
	cdi := "CDI " + sign(ways.CDI)
	if ways.CDI == fixes.WayOpen && ways.Devices > 0 {
		cdi += " " + fixes.Counted(ways.Devices, "device")
	}
	toolkit := ""
	if s.Toolkit != nil {
		toolkit = "no toolkit"
		if s.Toolkit.Installed {
			toolkit = "toolkit " + s.Toolkit.Version
		}
	}
	return parts("--gpus "+sign(ways.GPUsFlag), "runtime nvidia "+sign(ways.Runtime), cdi, toolkit)
}

func sign(w fixes.Way) string {
	switch w {
	case fixes.WayOpen:
		return "✓"
	case fixes.WayClosed:
		return "✗"
	}
	return "?"
}

func projectLine(p *inspect.Project) string {
	if p == nil {
		return ""
	}
	value := ""
	if v := p.VisibleDevices; v != nil {
		value = "NVIDIA_VISIBLE_DEVICES=" + v.Value
		if v.File != "" {
			value += fmt.Sprintf(" (%s:%d)", v.File, v.Line)
		}
	}
	capabilities, problem := "", ""
	if c := p.DriverCapabilities; c != nil {
		capabilities = c.Value
	}
	if len(p.Problems) > 0 {
		problem = fmt.Sprintf("%s:%d: %s", p.Problems[0].Path, p.Problems[0].Line, p.Problems[0].Message)
	}
	return parts(p.Name, value, capabilities, problem)
}

func gpuColumns() []column {
	return []column{
		{title: "GPU", keep: keepAlways},
		{title: "NAME", keep: 90, least: 12},
		{title: "MEMORY", keep: keepAlways},
		{title: "UTIL", keep: 80, right: true},
		{title: "TEMP", keep: 40, right: true},
		{title: "POWER", keep: 30, right: true},
		{title: "MIG", keep: 60},
		{title: "CONTAINERS", keep: keepAlways, least: 14},
	}
}

func gpuRows(s *inspect.Snapshot) [][]string {
	var rows [][]string
	for _, g := range s.GPUs {
		row := []string{strconv.Itoa(g.Index), harmlessName(g.Name), memory(g.MemoryUsedBytes, g.MemoryTotalBytes), "", "", "", "", users(s.Containers, g)}
		if g.GPUUtilPercent != nil {
			row[3] = fmt.Sprintf("%d%%", *g.GPUUtilPercent)
		}
		if g.TemperatureCelsius != nil {
			row[4] = fmt.Sprintf("%d °C", *g.TemperatureCelsius)
		}
		switch {
		case g.PowerWatts != nil && g.PowerLimitWatts != nil:
			row[5] = fmt.Sprintf("%.0f/%.0f W", *g.PowerWatts, *g.PowerLimitWatts)
		case g.PowerWatts != nil:
			row[5] = fmt.Sprintf("%.0f W", *g.PowerWatts)
		}
		if g.MIG != nil && g.MIG.Enabled {
			row[6] = fixes.Counted(len(g.MIG.Devices), "device")
		}
		if g.Error != "" {
			row[2] = harmlessName(g.Error)
		}
		rows = append(rows, row)
	}
	return rows
}

// memory is "41.2 / 79.6 GiB 52%".
func memory(used, total *uint64) string {
	const gib = 1 << 30
	switch {
	case used == nil && total == nil:
		return ""
	case used == nil:
		return fmt.Sprintf("? / %.1f GiB", float64(*total)/gib)
	case total == nil || *total == 0:
		return fmt.Sprintf("%.1f GiB", float64(*used)/gib)
	}
	return fmt.Sprintf("%4.1f / %.1f GiB %2.0f%%", float64(*used)/gib, float64(*total)/gib, float64(*used)/float64(*total)*100)
}

// users names the containers that were given the GPU.
func users(containers []inspect.Container, g inspect.GPU) string {
	var names []string
	for _, c := range containers {
		for _, granted := range c.Grant.GPUs {
			index, _, _ := strings.Cut(granted, ":")
			if index == strconv.Itoa(g.Index) || granted == "all" {
				names = append(names, harmlessName(c.Name))
				break
			}
		}
	}
	return strings.Join(names, ", ")
}

// granted are the containers that were given a GPU or hold one.
func granted(containers []inspect.Container) []*inspect.Container {
	var with []*inspect.Container
	for i := range containers {
		c := &containers[i]
		if len(c.Grant.By) > 0 || c.Usage != nil && len(c.Usage.Processes) > 0 {
			with = append(with, c)
		}
	}
	return with
}

func containerColumns() []column {
	return []column{
		{title: "CONTAINER", keep: keepAlways, least: 12},
		{title: "GRANTED BY", keep: 90, least: 12},
		{title: "GPUS", keep: keepAlways, least: 6},
		{title: "MEMORY", keep: 80, right: true},
		{title: "STATE", keep: 70},
	}
}

func containerRows(containers []*inspect.Container) [][]string {
	var rows [][]string
	for _, c := range containers {
		memory := ""
		if c.Usage != nil {
			memory = memoryText(c.Usage.MemoryUsedBytes)
		}
		state := c.State
		if c.Health != "" && c.Health != "none" {
			state += " (" + c.Health + ")"
		}
		gpus := strings.Join(c.Grant.GPUs, ",")
		if c.Grant.GPUs == nil && len(c.Grant.By) > 0 {
			gpus = "?"
		}
		rows = append(rows, []string{harmlessName(c.Name), harmlessName(grantText(c.Grant)), harmlessName(gpus), memory, harmlessName(state)})
	}
	return rows
}

// grantText is how the container got its GPUs, as its user would say it.
func grantText(g inspect.Grant) string {
	var texts []string
	for _, by := range g.By {
		text := by
		switch by {
		case inspect.ByGPUs:
			text = "--gpus"
			for _, detail := range g.Detail {
				if strings.HasPrefix(detail, "--gpus") {
					text = detail
					break
				}
			}
		case inspect.ByCDI:
			text = "CDI"
		case inspect.ByRuntime:
			text = "runtime + env"
		case inspect.ByDefaultRuntime:
			text = "default runtime + env"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

// sourceLines name what could not be read; what simply is not there needs no line.
func sourceLines(s *inspect.Snapshot) []string {
	var lines []string
	engineAway := s.Engine == nil || s.Engine.Version == ""
	for _, r := range s.Sources {
		if r.Error == "" || r.Absent || engineAway && (r.Name == "engine" || r.Name == "containers") {
			continue
		}
		lines = append(lines, harmlessName(r.Name+": "+r.Error))
	}
	for _, p := range fileProblems(s) {
		lines = append(lines, harmlessName(at(p)+": "+p.Message))
	}
	return lines
}

// fileProblems are the files that could not be understood, and of which nothing was believed.
func fileProblems(s *inspect.Snapshot) []*inspect.FileProblem {
	var problems []*inspect.FileProblem
	if s.Engine != nil && s.Engine.ConfigFile != nil {
		problems = append(problems, s.Engine.ConfigFile.Problem)
	}
	if s.Toolkit != nil && s.Toolkit.Config != nil {
		problems = append(problems, s.Toolkit.Config.Problem)
	}
	if s.CDI != nil {
		for i := range s.CDI.Specs {
			problems = append(problems, s.CDI.Specs[i].Problem)
		}
	}
	return slices.DeleteFunc(problems, func(p *inspect.FileProblem) bool { return p == nil })
}

// at is PATH:LINE:COLUMN as far as it is known.
func at(p *inspect.FileProblem) string {
	place := p.Path
	for _, number := range []int{p.Line, p.Column} {
		if number == 0 {
			break
		}
		place += fmt.Sprintf(":%d", number)
	}
	return place
}
