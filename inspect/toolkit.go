package inspect

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/pelletier/go-toml/v2"
)

// ToolkitSource looks for the NVIDIA Container Toolkit: its binaries, their versions and its config.toml.
var ToolkitSource = Source{Name: "toolkit", Local: true, Read: readToolkit}

const toolkitConfig = "/etc/nvidia-container-runtime/config.toml"

func readToolkit(ctx context.Context, m Machine) (Patch, error) {
	t := &Toolkit{}
	process, root := findEngine(m)
	m.Root = root
	packaged := sync.OnceValue(func() string { return packagedToolkit(readPackages(ctx, m)) })
	folders := toolkitFolders(m, process)
	var unseen []error
	for _, name := range []string{"nvidia-ctk", "nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-container-toolkit", "nvidia-cdi-hook", "nvidia-container-cli"} {
		for _, folder := range folders {
			file := path.Join(folder, name)
			info, err := m.Root.Stat(file)
			if err != nil || !info.Mode().IsRegular() {
				if err = unread(err); err != nil && !errors.Is(err, syscall.ENOTDIR) {
					unseen = append(unseen, err)
				}
				continue
			}
			b := Binary{Name: name, Path: file}
			if version := buildVersion(m.Root, file); version != "" {
				b.Version, b.VersionFrom = version, "file"
			} else if isPackaged(file) && name != "nvidia-container-cli" && packaged() != "" {
				b.Version, b.VersionFrom = packaged(), "package"
			}
			if t.Version == "" && name != "nvidia-container-cli" {
				t.Version = b.Version
			}
			t.Binaries = append(t.Binaries, b)
			break
		}
	}
	t.Installed = len(t.Binaries) > 0
	if t.Installed {
		unseen = nil // where it is not, does not matter
	}
	file := toolkitConfigPath(process, m.Root)
	data, err := m.Root.ReadFile(file)
	switch {
	case err == nil:
		t.Config = parseToolkitConfig(file, data)
		t.Config.seeLdconfig(m.Root)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
		if !t.Installed {
			err = fmt.Errorf("NVIDIA Container Toolkit: %w", ErrAbsent)
		}
	}
	if len(unseen) > 0 {
		if err == nil || errors.Is(err, ErrAbsent) {
			err = unseen[0]
		}
		if !t.Installed && t.Config == nil {
			return nil, err // not seen, which is not the same as not installed
		}
	}
	return func(s *Snapshot) { s.Toolkit = t }, err
}

// ToolkitConfigSource reads no more of the toolkit than its config.toml, which decides what the variable
// NVIDIA_VISIBLE_DEVICES grants; for commands that show grants and nothing else of the toolkit.
var ToolkitConfigSource = Source{Name: "toolkit-config", Local: true, Read: func(_ context.Context, m Machine) (Patch, error) {
	process, root := findEngine(m)
	file := toolkitConfigPath(process, root)
	data, err := root.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", file, ErrAbsent)
	case err != nil:
		return nil, err
	}
	config := parseToolkitConfig(file, data)
	return func(s *Snapshot) {
		if s.Toolkit == nil {
			s.Toolkit = &Toolkit{Installed: true, Config: config}
		}
	}, nil
}}

// toolkitFolders are those in which the toolkit may lie: where the engine's own nvidia runtime is, the usual ones,
// the engine's PATH and, where the root is this machine's, the user's.
func toolkitFolders(m Machine, process *EngineProcess) []string {
	var folders []string
	add := func(folder string) {
		if path.IsAbs(folder) && !slices.Contains(folders, folder) && folder != "/bin" && folder != "/sbin" { // links to /usr
			folders = append(folders, folder)
		}
	}
	f := ConfigFile{}
	if data, err := m.Root.ReadFile(daemonConfigPath(m, process, m.Root)); err == nil {
		f.parse(data)
	}
	for _, r := range f.Runtimes {
		if path.IsAbs(r.Path) && strings.HasPrefix(path.Base(r.Path), "nvidia-container-runtime") {
			add(path.Dir(r.Path))
		}
	}
	for _, folder := range []string{"/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/usr/local/nvidia/toolkit"} {
		add(folder)
	}
	if process != nil {
		for folder := range strings.SplitSeq(process.PATH, ":") {
			add(folder)
		}
	}
	if m.Getenv != nil && (m.Root == "/" || m.Root == "") { // our PATH says nothing of another root
		for folder := range strings.SplitSeq(m.Getenv("PATH"), ":") {
			add(folder)
		}
	}
	return folders
}

// toolkitConfigPath is where the toolkit that this engine calls has its config.toml: its environment may say
// (api/config/v1/config.go of the toolkit).
func toolkitConfigPath(process *EngineProcess, root Root) string {
	if process == nil {
		return toolkitConfig
	}
	data, _ := root.ReadFile("/proc/" + strconv.Itoa(process.PID) + "/environ") // only root may
	env := strings.Split(string(data), "\x00")
	if file, _ := variable(env, "NVIDIA_CTK_CONFIG_FILE_PATH"); path.IsAbs(file) {
		return file
	}
	if folder, _ := variable(env, "XDG_CONFIG_HOME"); path.IsAbs(folder) {
		return path.Join(folder, "nvidia-container-runtime/config.toml")
	}
	return toolkitConfig
}

// buildVersion is the version that Go left in a binary: that of its module, when it was built by `go install
// …@v1.20.1`, else the one that the toolkit's own build sets by a linker flag.
func buildVersion(root Root, name string) string {
	file, err := root.Path(name)
	if err != nil {
		return ""
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return ""
	}
	if strings.HasPrefix(info.Main.Version, "v") && strings.Count(info.Main.Version, "-") <= 1 {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	for _, setting := range info.Settings {
		if setting.Key == "-ldflags" {
			_, rest, _ := strings.Cut(setting.Value, "internal/info.version=")
			version, _, _ := strings.Cut(rest, " ")
			return strings.Trim(strings.TrimPrefix(version, "v"), `"'`)
		}
	}
	return ""
}

// parseToolkitConfig reads config.toml; a key that is absent stays nil, because its default depends on
// the toolkit's version.
func parseToolkitConfig(file string, data []byte) *ToolkitConfig {
	var config struct {
		DisableRequire *bool  `toml:"disable-require"`
		Supported      string `toml:"supported-driver-capabilities"`
		Swarm          string `toml:"swarm-resource"`
		AcceptEnv      *bool  `toml:"accept-nvidia-visible-devices-envvar-when-unprivileged"`
		AcceptMounts   *bool  `toml:"accept-nvidia-visible-devices-as-volume-mounts"`
		CLI            struct {
			Root      string `toml:"root"`
			Path      string `toml:"path"`
			NoCgroups *bool  `toml:"no-cgroups"`
			Ldconfig  string `toml:"ldconfig"`
		} `toml:"nvidia-container-cli"`
		Runtime struct {
			Mode     string   `toml:"mode"`
			Debug    string   `toml:"debug"`
			Runtimes []string `toml:"runtimes"`
			Modes    struct {
				CDI struct {
					DefaultKind string   `toml:"default-kind"`
					SpecDirs    []string `toml:"spec-dirs"`
					Prefixes    []string `toml:"annotation-prefixes"`
				} `toml:"cdi"`
			} `toml:"modes"`
		} `toml:"nvidia-container-runtime"`
		Hook struct {
			Path string `toml:"path"`
			Skip *bool  `toml:"skip-mode-detection"`
		} `toml:"nvidia-container-runtime-hook"`
	}
	c := &ToolkitConfig{Path: file, Exists: true}
	if err := toml.Unmarshal(data, &config); err != nil {
		c.Problem = &FileProblem{Path: file, Message: err.Error()}
		var at *toml.DecodeError
		if errors.As(err, &at) {
			c.Problem.Line, c.Problem.Column = at.Position()
		}
		return c
	}
	c.DisableRequire, c.SupportedCapabilities, c.SwarmResource = config.DisableRequire, config.Supported, config.Swarm
	c.AcceptEnvUnprivileged, c.AcceptVolumeMounts = config.AcceptEnv, config.AcceptMounts
	c.CLIRoot, c.CLIPath, c.NoCgroups, c.Ldconfig = config.CLI.Root, config.CLI.Path, config.CLI.NoCgroups, config.CLI.Ldconfig
	c.Mode, c.Debug, c.Runtimes = config.Runtime.Mode, config.Runtime.Debug, config.Runtime.Runtimes
	c.DefaultKind, c.SpecDirs, c.AnnotationPrefixes = config.Runtime.Modes.CDI.DefaultKind, config.Runtime.Modes.CDI.SpecDirs, config.Runtime.Modes.CDI.Prefixes
	c.HookPath, c.SkipModeDetection = config.Hook.Path, config.Hook.Skip
	return c
}

// seeLdconfig looks for the program of the key ldconfig, which is one of the host where it starts with @.
func (c *ToolkitConfig) seeLdconfig(root Root) {
	if name, onHost := strings.CutPrefix(c.Ldconfig, "@"); onHost && path.IsAbs(name) {
		c.LdconfigExists = ptr(root.Exists(name))
	}
}
