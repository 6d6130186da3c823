package fixes

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/system"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// Playbooks for the way from the engine to the GPU: toolkit, runtime, CDI.
var enginePlaybooks = map[ID]func(*planner, Finding){
	"toolkit-not-installed":  func(p *planner, _ Finding) { p.installToolkit(true) },
	"legacy-nvidia-docker2":  (*planner).leaveLegacy,
	"runtime-not-registered": func(p *planner, _ Finding) { p.registerRuntime(false) },
	"runtime-binary-missing": (*planner).mendRuntime,
	"docker-not-restarted":   (*planner).takeOver,
	"cdi-not-enabled":        (*planner).enableCDI,
	"cdi-spec-missing":       func(p *planner, _ Finding) { p.generateCDI("") },
	"cdi-spec-stale":         (*planner).refreshCDI,
	"cdi-spec-invalid":       (*planner).setAsideCDI,
	"ldconfig-missing":       (*planner).mendLdconfig,
	"rootless-no-cgroups": func(p *planner, _ Finding) {
		p.add(p.toolkitSetting("Let the toolkit leave cgroups alone, no-cgroups = true,", "nvidia-container-cli", "no-cgroups", true))
	},
	"rootful-no-cgroups": func(p *planner, _ Finding) {
		p.add(p.toolkitSetting("Let the toolkit set device cgroups, no-cgroups = false,", "nvidia-container-cli", "no-cgroups", false))
	},
	"docker-daemon-not-running": (*planner).startEngine,
	"docker-socket-permission":  (*planner).joinDockerGroup,
	"cgroup-v2-unsupported-toolkit": func(p *planner, _ Finding) {
		p.installToolkit(false)
	},
	"docker-desktop-own-config": func(p *planner, _ Finding) {
		p.why = "Docker Desktop keeps the engine's settings itself: Settings > Docker Engine"
	},
	"snap-docker":         func(p *planner, _ Finding) { p.why = "moving the engine moves its containers, images and volumes" },
	"daemon-json-invalid": func(p *planner, _ Finding) { p.why = "a file that does not parse is left alone" },
}

// NVIDIA's package repository, as its page says
// (https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html).
const (
	toolkitRepository = "https://nvidia.github.io/libnvidia-container/"
	toolkitKeyFile    = "/usr/share/keyrings/nvidia-container-toolkit-keyring.asc"
	toolkitList       = "deb [signed-by=" + toolkitKeyFile + "] " + toolkitRepository + "stable/deb/$(ARCH) /\n"
	toolkitRepo       = "[nvidia-container-toolkit]\nname=nvidia-container-toolkit\nbaseurl=" + toolkitRepository + "stable/rpm/$basearch\n" +
		"repo_gpgcheck=1\ngpgcheck=0\nenabled=1\ngpgkey=" + toolkitRepository + "gpgkey\nsslverify=1\n"
)

// installToolkit adds the repository (key, list) and installs the package; then the runtime is registered.
func (p *planner) installToolkit(register bool) {
	switch p.family() {
	case "apt":
		keyFile := p.at(toolkitKeyFile)
		key := p.command(HarmInstall, "Fetch the key of NVIDIA's package repository", "curl", "--fail", "--silent", "--show-error", "--location", "--max-time", "60", "--create-dirs", "--output", keyFile, toolkitRepository+"gpgkey")
		whole := func(h Host) (bool, error) { // a download that was broken off is none
			data, err := readOrNil(h, keyFile)
			text := strings.TrimSpace(string(data))
			return strings.HasPrefix(text, "-----BEGIN PGP PUBLIC KEY BLOCK-----") && strings.HasSuffix(text, "-----END PGP PUBLIC KEY BLOCK-----"), err
		}
		key.Needed = func(_ context.Context, h Host) (bool, error) {
			is, err := whole(h)
			return !is, err
		}
		key.Check = func(_ context.Context, h Host) error {
			is, err := whole(h)
			if err == nil && !is {
				err = fmt.Errorf("%s is no key", keyFile)
			}
			return err
		}
		key.Undo = [][]string{{"rm", "-f", keyFile}}
		p.add(key, p.file("Add NVIDIA's package repository", "/etc/apt/sources.list.d/nvidia-container-toolkit.list", toolkitList),
			p.command(HarmInstall, "Read the package lists", "apt-get", "update"),
			p.install("nvidia-container-toolkit", "apt-get", "install", "--yes", "nvidia-container-toolkit"))
	case "dnf":
		p.add(p.file("Add NVIDIA's package repository", "/etc/yum.repos.d/nvidia-container-toolkit.repo", toolkitRepo),
			p.install("nvidia-container-toolkit", "dnf", "install", "--assumeyes", "nvidia-container-toolkit"))
	case "zypper":
		p.add(p.file("Add NVIDIA's package repository", "/etc/zypp/repos.d/nvidia-container-toolkit.repo", toolkitRepo),
			p.install("nvidia-container-toolkit", "zypper", "--non-interactive", "--gpg-auto-import-keys", "install", "nvidia-container-toolkit"))
	default:
		p.why = "how packages are installed on this system is not known here"
		return
	}
	if register && p.engineHere() {
		p.registerRuntime(true) // the engine looks for the toolkit's hook when it starts
	}
}

// install is a step for a package, needed where it is not there in the version that the repository has.
func (p *planner) install(name string, argv ...string) *CommandStep {
	step := p.command(HarmInstall, "Install "+name, argv...)
	switch argv[0] {
	case "apt-get":
		step.Undo = [][]string{{"apt-get", "remove", "--yes", name}}
	case "dnf":
		step.Undo = [][]string{{"dnf", "remove", "--assumeyes", name}}
	case "zypper":
		step.Undo = [][]string{{"zypper", "--non-interactive", "remove", name}}
	}
	return step
}

// leaveLegacy removes the packages and repositories of before 2023 and installs the toolkit.
func (p *planner) leaveLegacy(Finding) {
	var old []string
	if p.s.Host != nil {
		for _, pkg := range p.s.Host.Packages {
			if pkg.Name == "nvidia-docker2" || pkg.Name == "nvidia-docker" {
				old = append(old, pkg.Name)
			}
		}
	}
	gone := func(file string) *FileStep {
		return &FileStep{Description: p.describe(HarmEdit, "Remove the old repository "+file), Path: p.at(file), Edit: func([]byte) ([]byte, error) { return nil, nil }}
	}
	switch p.family() {
	case "apt":
		if len(old) > 0 {
			p.add(p.command(HarmInstall, "Remove "+strings.Join(old, ", "), append([]string{"apt-get", "remove", "--yes"}, old...)...))
		}
		p.add(gone("/etc/apt/sources.list.d/nvidia-docker.list"), gone("/etc/apt/sources.list.d/nvidia-container-runtime.list"))
	case "dnf":
		if len(old) > 0 {
			p.add(p.command(HarmInstall, "Remove "+strings.Join(old, ", "), append([]string{"dnf", "remove", "--assumeyes"}, old...)...))
		}
		p.add(gone("/etc/yum.repos.d/nvidia-docker.repo"), gone("/etc/yum.repos.d/nvidia-container-runtime.repo"))
	case "zypper":
		if len(old) > 0 {
			p.add(p.command(HarmInstall, "Remove "+strings.Join(old, ", "), append([]string{"zypper", "--non-interactive", "remove"}, old...)...))
		}
		p.add(gone("/etc/zypp/repos.d/nvidia-docker.repo"))
	}
	p.installToolkit(true)
}

// runtimePath is how daemon.json names the runtime: by its name where the engine finds it on its PATH,
// as the toolkit writes it, else by its place.
func (p *planner) runtimePath() string {
	const name = "nvidia-container-runtime"
	e := p.s.Engine
	if e.Process != nil && e.Process.PATH != "" && onPath("", e.Process.PATH, name) {
		return name
	}
	if p.s.Toolkit != nil {
		for _, b := range p.s.Toolkit.Binaries {
			if b.Name == name && !slices.Contains([]string{"/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin"}, path.Dir(b.Path)) {
				return b.Path
			}
		}
	}
	return name
}

// registerRuntime writes the runtime into daemon.json. The engine takes runtimes over by a reload.
func (p *planner) registerRuntime(restart bool) {
	if !p.engineHere() {
		return
	}
	p.add(p.engineSetting(`Register the runtime "nvidia"`, restart, hasRuntime,
		JSONChange{[]string{"runtimes", "nvidia", "args"}, []string{}}, JSONChange{[]string{"runtimes", "nvidia", "path"}, p.runtimePath()}))
}

func hasRuntime(info system.Info) bool { _, ok := info.Runtimes["nvidia"]; return ok }

// mendRuntime names the runtime that is there, or installs the toolkit where none is.
func (p *planner) mendRuntime(Finding) {
	if p.s.Toolkit != nil && p.engineHere() {
		for _, b := range p.s.Toolkit.Binaries {
			if b.Name != "nvidia-container-runtime" {
				continue
			}
			want := p.runtimePath()
			p.add(p.engineSetting(fmt.Sprintf("Name the runtime that is there, %s,", want), false,
				func(info system.Info) bool { return info.Runtimes["nvidia"].Path == want },
				JSONChange{[]string{"runtimes", "nvidia", "path"}, want}))
			return
		}
	}
	p.installToolkit(true)
}

// takeOver has the engine read what daemon.json says already: by a reload where that does.
func (p *planner) takeOver(Finding) {
	if !p.engineHere() {
		return
	}
	file, e := p.s.Engine.ConfigFile, p.s.Engine
	restart := file.Features["cdi"] && !engineDoesCDI(e)
	want := func(info system.Info) bool {
		for name := range file.Runtimes {
			if _, ok := info.Runtimes[name]; !ok {
				return false
			}
		}
		return file.DefaultRuntime == "" || info.DefaultRuntime == file.DefaultRuntime
	}
	if restart {
		want = func(info system.Info) bool { return len(info.CDISpecDirs) > 0 }
	}
	p.add(p.engineSetting("Have the engine read what stands", restart, want))
}

// enableCDI switches the feature on, which the engine looks at when it starts.
func (p *planner) enableCDI(Finding) {
	if !p.engineHere() {
		return
	}
	if engineDoesCDI(p.s.Engine) {
		p.why = "this engine does CDI"
		return
	}
	if !engineAtLeast(p.s.Engine, "25.0") {
		p.why = "this engine is older than 25.0, which brought CDI: update it"
		return
	}
	p.add(p.engineSetting("Enable CDI", true, func(info system.Info) bool { return len(info.CDISpecDirs) > 0 },
		JSONChange{[]string{"features", "cdi"}, true}))
}

// cdiFile is where a specification belongs: in the first folder that the engine reads and that lasts.
func (p *planner) cdiFile() string {
	dirs := p.s.Engine.CDIDirs
	if len(dirs) == 0 && p.s.CDI != nil {
		dirs = p.s.CDI.Dirs
	}
	for _, dir := range dirs {
		if !strings.HasPrefix(dir, "/var/run/") && !strings.HasPrefix(dir, "/run/") {
			return path.Join(dir, "nvidia.yaml")
		}
	}
	return "/etc/cdi/nvidia.yaml"
}

// generateCDI has nvidia-ctk describe the GPUs of now.
func (p *planner) generateCDI(file string) {
	if !p.engineHere() {
		return
	}
	if file == "" {
		file = p.cdiFile()
	}
	ctk := "nvidia-ctk"
	if p.s.Toolkit != nil {
		at := slices.IndexFunc(p.s.Toolkit.Binaries, func(b inspect.Binary) bool { return b.Name == "nvidia-ctk" })
		if at >= 0 && !slices.Contains([]string{"/usr/bin", "/usr/local/bin", "/bin"}, path.Dir(p.s.Toolkit.Binaries[at].Path)) {
			ctk = p.s.Toolkit.Binaries[at].Path
		}
	}
	format := "yaml"
	if strings.HasSuffix(file, ".json") {
		format = "json"
	}
	p.add(&GeneratedStep{FileStep: FileStep{Description: p.describe(HarmEdit, "Describe the GPUs in "+file, ctk, "cdi", "generate", "--format="+format), Path: file}, Holds: []string{"cdiVersion", "devices"}})
}

// refreshCDI generates the specification again that names another driver.
func (p *planner) refreshCDI(Finding) {
	if p.s.CDI != nil {
		for _, spec := range p.s.CDI.Specs {
			if spec.Kind == "nvidia.com/gpu" && len(spec.MissingPaths) > 0 {
				p.generateCDI(spec.Path)
				return
			}
		}
	}
	p.generateCDI("")
}

// setAsideCDI takes a specification that does not parse, or that says what another says already, out of
// the engine's sight: its text moves to a file beside that nobody reads.
func (p *planner) setAsideCDI(Finding) {
	if p.s.CDI == nil {
		return
	}
	aside := func(spec inspect.CDISpec) {
		saved := &copyStep{FileStep{Description: p.describe(HarmEdit, fmt.Sprintf("Keep the text of %s as %s.aside", spec.Path, spec.Path)), Path: p.engineAt(spec.Path) + ".aside"}, p.engineAt(spec.Path)}
		p.add(saved, &FileStep{Description: p.describe(HarmEdit, "Take "+spec.Path+" away"), Path: p.engineAt(spec.Path), Edit: func([]byte) ([]byte, error) { return nil, nil }})
	}
	broken := false
	for _, spec := range p.s.CDI.Specs {
		if spec.Problem != nil {
			aside(spec)
			broken = true
		}
	}
	conflicting := slices.DeleteFunc(slices.Clone(p.s.CDI.Specs), func(s inspect.CDISpec) bool { return len(s.Conflicts) == 0 })
	if broken || len(conflicting) < 2 {
		return
	}
	slices.SortStableFunc(conflicting, func(a, b inspect.CDISpec) int { // the newest stays
		if a.ModifiedAt == nil || b.ModifiedAt == nil {
			return 0
		}
		return b.ModifiedAt.Compare(*a.ModifiedAt)
	})
	for _, spec := range conflicting[1:] {
		aside(spec)
	}
}

// mendLdconfig names the ldconfig that the host has.
func (p *planner) mendLdconfig(f Finding) {
	if f.Container != "" {
		p.why = "where the loader looks is for the container's image, or its LD_LIBRARY_PATH, to say"
		return
	}
	name := "@/sbin/ldconfig"
	if p.family() == "apt" && p.target.Root.Exists("/sbin/ldconfig.real") {
		name = "@/sbin/ldconfig.real"
	}
	p.add(p.toolkitSetting("Name the ldconfig that is there, "+name+",", "nvidia-container-cli", "ldconfig", name))
}

// startEngine starts a local engine by what manages services.
func (p *planner) startEngine(Finding) {
	e := p.s.Engine
	if e == nil || e.Endpoint != "unix:///var/run/docker.sock" {
		p.why = "how this engine is started is not known here"
		return
	}
	switch {
	case p.systemd():
		p.add(p.command(HarmRestart, "Start the engine", "systemctl", "start", "docker"))
	case p.s.Host != nil && p.target.Root.Exists("/etc/init.d/docker"):
		p.add(p.command(HarmRestart, "Start the engine", "service", "docker", "start"))
	default:
		p.why = "what manages services here is not known"
	}
}

// joinDockerGroup lets the user talk to the engine, which is as much as root may.
func (p *planner) joinDockerGroup(Finding) {
	if p.target.User == "" || p.target.User == "root" {
		p.why = "it is not known which user is to get into the group"
		return
	}
	p.join("docker", "may do what root may")
}

// copyStep keeps the text of one file in another.
type copyStep struct {
	FileStep
	from string
}

// Preview reads what is to be kept; where it is gone there is nothing to do.
func (c *copyStep) Preview(ctx context.Context, h Host) (Preview, error) {
	text, err := readOrNil(h, c.from)
	if err != nil {
		return Preview{}, err
	}
	c.Edit = func(old []byte) ([]byte, error) {
		if text == nil {
			return old, nil
		}
		return text, nil
	}
	return c.FileStep.Preview(ctx, h)
}

// Verify compares the two.
func (c *copyStep) Verify(ctx context.Context, h Host) error {
	p, err := c.Preview(ctx, h)
	if err == nil && p.Needed {
		err = fmt.Errorf("%s does not hold what was written: %w", c.Path, ErrChanged)
	}
	return err
}

// GeneratedStep writes what a program prints into a file, so that the change is seen before it is made
// and can be undone byte for byte.
type GeneratedStep struct {
	FileStep
	Holds []string // words that the program's answer must have
	made  []byte
}

// Preview runs the program, which prints and changes nothing.
func (g *GeneratedStep) Preview(ctx context.Context, h Host) (Preview, error) {
	out, err := h.Run(ctx, g.Command...)
	if err != nil {
		if said := lastError(err.Error()); said != "" {
			return Preview{}, fmt.Errorf("%s: %s", strings.Join(g.Command, " "), said)
		}
		return Preview{}, err
	}
	for _, word := range g.Holds {
		if !strings.Contains(string(out), word) {
			return Preview{}, fmt.Errorf("%s answered without %q", strings.Join(g.Command, " "), word)
		}
	}
	if strings.HasSuffix(g.Path, ".json") && !json.Valid(out) {
		return Preview{}, fmt.Errorf("%s answered no JSON", strings.Join(g.Command, " "))
	}
	g.made = out
	g.Edit = func([]byte) ([]byte, error) { return out, nil }
	return g.FileStep.Preview(ctx, h)
}

// lastError is the last message of level error in a log as the toolkit writes it; "" where there is none.
func lastError(log string) string {
	at := strings.LastIndex(log, `level=error msg="`)
	if at < 0 {
		return ""
	}
	message, _, _ := strings.Cut(log[at+len(`level=error msg="`):], "\n")
	message = strings.NewReplacer(`\n`, "; ", `\"`, `"`).Replace(strings.TrimSuffix(message, `"`))
	return message
}

// Verify reads the file again; the program is not asked twice, as its answers may differ in order.
func (g *GeneratedStep) Verify(_ context.Context, h Host) error {
	now, err := h.ReadFile(g.Path)
	if err == nil && string(now) != string(g.made) {
		err = fmt.Errorf("%s does not hold what was written: %w", g.Path, ErrChanged)
	}
	return err
}
