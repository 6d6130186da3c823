package fixes

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// Names of the switch's variables.
const (
	VisibleDevices     = "NVIDIA_VISIBLE_DEVICES"
	DriverCapabilities = "NVIDIA_DRIVER_CAPABILITIES"
)

// SwitchPlan sets variables of an env file: enable and disable. shown is the file's name for people.
func SwitchPlan(name, path, shown string, assignments ...Assignment) Plan {
	var texts []string
	for _, a := range assignments {
		texts = append(texts, a.Key+"="+a.Value)
	}
	return Plan{Name: name, Steps: []Step{&FileStep{
		Description: Description{Text: fmt.Sprintf("Set %s in %s", strings.Join(texts, " and "), path), Harm: HarmEdit},
		Path:        path,
		Name:        shown,
		Edit: func(old []byte) ([]byte, error) {
			edited, err := SetEnv(old, assignments...)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", shown, err)
			}
			return edited, nil
		},
	}}}
}

// EnvLine is the line on which an env file sets a variable for good; 0 is not found.
func EnvLine(data []byte, key string) int {
	statements, err := inspect.ScanEnv(data)
	if err != nil {
		return 0
	}
	if last := inspect.LastEnv(statements, key); last != nil {
		return last.Line
	}
	return 0
}

// A Refusal says why a value is not written. Syntax: the value is wrong on any machine, --force or not.
type Refusal struct {
	Text    string
	Nearest string // the value that was probably meant; empty: none
	Syntax  bool
}

func (r *Refusal) Error() string {
	if r.Nearest == "" {
		return r.Text
	}
	return fmt.Sprintf("%s; did you mean %s?", r.Text, r.Nearest)
}

// CheckDevices holds a value of NVIDIA_VISIBLE_DEVICES against its syntax and against what is there. The
// value comes back as it is to be written; unchecked is why it could not be held against the machine, or "".
func CheckDevices(s *inspect.Snapshot, value string) (written, unchecked string, refusal *Refusal) {
	wrong := func(nearest, format string, args ...any) (string, string, *Refusal) {
		return "", "", &Refusal{Text: fmt.Sprintf(format, args...), Nearest: nearest, Syntax: true}
	}
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name == "" {
			return wrong("", "%q has an empty entry", value)
		}
		names = append(names, name)
	}
	for i, name := range names {
		if len(names) > 1 && (name == "all" || name == "none" || name == "void") {
			return wrong("", "%q stands alone, not in the list %q", name, value)
		}
		if slices.Contains(names[:i], name) { // toolkit 1.20 makes `none,0` of `0,0`
			var once []string
			for _, n := range names {
				if !slices.Contains(once, n) {
					once = append(once, n)
				}
			}
			return wrong(strings.Join(once, ","), "%s is twice in the list %q", name, value)
		}
	}
	written = strings.Join(names, ",")
	if len(names) == 1 && slices.Contains([]string{"all", "none", "void"}, names[0]) {
		return written, "", nil
	}
	kinds := map[string]string{}
	for _, name := range names {
		kind := kindOfDevice(name)
		if kind == "" {
			return wrong(nearest(name, append(known(s), "all")), "%q names no GPU: an index (0), a MIG device (0:1), a whole UUID (GPU-…, MIG-…) or a CDI name (nvidia.com/gpu=0)", name)
		}
		kinds[kind] = name
	}
	if cdi, ok := kinds["cdi"]; ok && len(kinds) > 1 { // toolkit 1.20 refuses the list
		return wrong("", "%q mixes the CDI name %s with other names: use one kind", value, cdi)
	}
	for _, name := range names {
		there, why := known(s), ""
		switch {
		case kindOfDevice(name) == "cdi":
			there, why = servedCDI(s)
		case s == nil || s.GPUs == nil:
			why = "the GPUs of the engine's machine could not be read"
		}
		if why != "" {
			return written, why, nil
		}
		if !slices.Contains(there, name) {
			return "", "", &Refusal{Text: fmt.Sprintf("there is no %s here: %s", name, thereIs(s, kindOfDevice(name), there)), Nearest: nearest(name, sameKind(there, kindOfDevice(name)))}
		}
	}
	return written, "", nil
}

// kindOfDevice sorts the names that NVIDIA_VISIBLE_DEVICES takes; "" is none of them.
func kindOfDevice(name string) string {
	digits := func(s string) bool { return s != "" && len(s) < 4 && strings.Trim(s, "0123456789") == "" }
	gpu, mig, isMIG := strings.Cut(name, ":")
	switch {
	case digits(name):
		return "index"
	case isMIG && digits(gpu) && digits(mig):
		return "mig-index"
	case strings.HasPrefix(name, "GPU-") && len(name) > len("GPU-") && plainValue().MatchString(name):
		return "uuid"
	case strings.HasPrefix(name, "MIG-") && len(name) > len("MIG-") && plainValue().MatchString(name):
		return "mig-uuid"
	case strings.HasPrefix(name, "nvidia.com/gpu=") && len(name) > len("nvidia.com/gpu=") && plainValue().MatchString(name):
		return "cdi"
	}
	return ""
}

// known are all names of the GPUs and MIG devices that are there.
func known(s *inspect.Snapshot) []string {
	if s == nil {
		return nil
	}
	var names []string
	for _, g := range s.GPUs {
		names = append(names, strconv.Itoa(g.Index))
		if g.UUID != "" {
			names = append(names, g.UUID)
		}
		if g.MIG == nil {
			continue
		}
		for _, d := range g.MIG.Devices {
			names = append(names, fmt.Sprintf("%d:%d", g.Index, d.Index))
			if d.UUID != "" {
				names = append(names, d.UUID)
			}
		}
	}
	return names
}

func servedCDI(s *inspect.Snapshot) (names []string, why string) {
	if s == nil || s.Engine == nil || s.Engine.Version == "" || s.CDI == nil && len(s.Engine.DiscoveredDevices) == 0 {
		return nil, "the engine's CDI devices could not be read"
	}
	return cdiGPUs(s), ""
}

func sameKind(names []string, kind string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return kindOfDevice(n) != kind })
}

func thereIs(s *inspect.Snapshot, kind string, there []string) string {
	same := sameKind(there, kind)
	switch {
	case len(same) == 0 && (kind == "index" || kind == "uuid"):
		return "this machine has no NVIDIA GPU"
	case len(same) == 0 && kind == "cdi":
		return "the engine has no CDI device of NVIDIA"
	case len(same) == 0:
		return "no MIG device is set up"
	case kind == "index" && len(same) > 1:
		return fmt.Sprintf("this machine has the GPUs %s to %s", same[0], same[len(same)-1])
	case kind == "index":
		return "this machine has the GPU " + same[0]
	}
	return "there are " + strings.Join(same[:min(len(same), 8)], ", ")
}

// Capabilities are what NVIDIA_DRIVER_CAPABILITIES may list.
var Capabilities = []string{"compute", "utility", "graphics", "video", "display", "ngx", "compat32", "all"}

// CheckCapabilities holds a value of NVIDIA_DRIVER_CAPABILITIES against the names there are: the nvidia
// runtime refuses to start a container with another one.
func CheckCapabilities(value string) (written string, refusal *Refusal) {
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == "":
			return "", &Refusal{Text: fmt.Sprintf("%q has an empty entry", value), Syntax: true}
		case !slices.Contains(Capabilities, name):
			return "", &Refusal{Text: fmt.Sprintf("%q is no driver capability: there are %s", name, strings.Join(Capabilities, ", ")), Nearest: nearest(name, Capabilities), Syntax: true}
		case slices.Contains(names, name):
			return "", &Refusal{Text: fmt.Sprintf("%s is twice in the list %q", name, value), Syntax: true}
		}
		names = append(names, name)
	}
	return strings.Join(names, ","), nil
}

// nearest is the known name that takes the fewest changes, or that the given one begins; "" where all
// are far.
func nearest(name string, names []string) string {
	best, least := "", 0
	for _, candidate := range names {
		distance := editDistance(strings.ToLower(name), strings.ToLower(candidate))
		if strings.HasPrefix(candidate, name) && len(name) > 1 {
			distance = 0
		}
		if best == "" || distance < least {
			best, least = candidate, distance
		}
	}
	if kind := kindOfDevice(name); kind == "index" || kind == "mig-index" { // the last one there is
		if i, err := strconv.Atoi(name); err == nil && len(names) > 0 && i > 0 {
			return names[len(names)-1]
		}
		return best
	}
	if least > max(2, len(name)/3) {
		return ""
	}
	return best
}

// editDistance counts the insertions, deletions and replacements between two names.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := before
			if a[i] != b[j] {
				replace++
			}
			before = row[j+1]
			row[j+1] = min(replace, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// AutoValue is what `enable --auto` writes: all where containers can use the GPU, void where they cannot,
// and why.
func AutoValue(s *inspect.Snapshot) (value, why string) {
	machine := *s
	machine.Project = nil // what the project says now is what is to be set
	v := Judge(&machine)
	if v.Code == OK {
		return "all", v.Text
	}
	return "void", v.Text
}

// Stale are the running containers of the project that were created with another value of
// NVIDIA_VISIBLE_DEVICES than the switch's file says now, and whose service or dev container follows that
// file. Those without a compose service are dev containers, which their own tool has to rebuild.
func Stale(s *inspect.Snapshot, value string) []inspect.Container {
	if s.Project == nil {
		return nil
	}
	var stale []inspect.Container
	for _, c := range s.Containers {
		if c.State != "running" && c.State != "paused" || c.Asks.VisibleDevices != nil && *c.Asks.VisibleDevices == value {
			continue
		}
		for _, service := range s.Project.Services {
			if service.Use < 0 && service.Follows && c.ComposeService == "" && c.Labels["devcontainer.local_folder"] == s.Project.Folder {
				stale = append(stale, c)
				break
			}
			if use := useOf(s.Project, service); service.Name != c.ComposeService || !service.Follows || use == nil || !madeBy(s.Project, *use, c) {
				continue
			}
			stale = append(stale, c)
			break
		}
	}
	slices.SortFunc(stale, func(a, b inspect.Container) int { return cmp.Compare(a.Name, b.Name) })
	return stale
}

// madeBy tells if a container was made from the files of a use: by the files that compose noted on it,
// whatever -p the project was given, or, where it noted none, by the project's name.
func madeBy(p *inspect.Project, use inspect.ComposeUse, c inspect.Container) bool {
	noted := c.Labels["com.docker.compose.project.config_files"]
	if noted == "" {
		return c.ComposeProject == use.Name
	}
	for file := range strings.SplitSeq(noted, ",") {
		for _, ours := range use.Files {
			if !filepath.IsAbs(ours) {
				ours = filepath.Join(p.Folder, ours)
			}
			if file == ours {
				return true
			}
		}
	}
	return false
}

// SwitchWarnings are what of this machine's toolkit makes the switch do less, or more, than it says.
func SwitchWarnings(s *inspect.Snapshot, value, capabilities string) []string {
	var warnings []string
	t := s.Toolkit
	if t == nil || !t.Installed {
		return nil
	}
	mode := ""
	if t.Config != nil {
		mode = t.Config.Mode
		if accept := t.Config.AcceptEnvUnprivileged; accept != nil && !*accept && !off(value) {
			warnings = append(warnings, fmt.Sprintf("the toolkit ignores %s of unprivileged containers: accept-nvidia-visible-devices-envvar-when-unprivileged = false in %s", VisibleDevices, t.Config.Path))
		}
	}
	cdi := mode == "cdi" || mode == "jit-cdi" || (mode == "" || mode == "auto") && t.Version != "" && compareDotted(t.Version, "1.18") >= 0
	if capabilities != "" && cdi {
		warnings = append(warnings, fmt.Sprintf("the toolkit works in CDI mode here, where it ignores %s and gives all capabilities", DriverCapabilities))
	}
	if value == "none" && (t.Version == "1.18.0" || t.Version == "1.18.1") {
		warnings = append(warnings, fmt.Sprintf("toolkit %s takes none for all: update it, or use void", t.Version))
	}
	return warnings
}
