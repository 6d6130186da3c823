package inspect

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// ToolkitSource looks for the NVIDIA Container Toolkit: its binaries, their versions and its config.toml.
var ToolkitSource = Source{Name: "toolkit", Local: true, Read: readToolkit}

const toolkitConfig = "/etc/nvidia-container-runtime/config.toml"

func readToolkit(_ context.Context, m Machine) (Patch, error) {
	t := &Toolkit{}
	folders := []string{"/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/usr/local/nvidia/toolkit"}
	if m.Getenv != nil && (m.Root == "/" || m.Root == "") { // our PATH says nothing of another root
		for folder := range strings.SplitSeq(m.Getenv("PATH"), ":") {
			if path.IsAbs(folder) && !slices.Contains(folders, folder) && folder != "/bin" && folder != "/sbin" {
				folders = append(folders, folder)
			}
		}
	}
	packages, _ := m.Root.ReadFile("/var/lib/dpkg/status")
	packaged := dpkgVersion(string(packages), "nvidia-container-toolkit-base", "nvidia-container-toolkit")
	for _, name := range []string{"nvidia-ctk", "nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-container-toolkit", "nvidia-cdi-hook", "nvidia-container-cli"} {
		for _, folder := range folders {
			file := path.Join(folder, name)
			info, err := m.Root.Stat(file)
			if err != nil || info.IsDir() {
				continue
			}
			b := Binary{Name: name, Path: file}
			if version := buildVersion(m.Root, file); version != "" {
				b.Version, b.VersionFrom = version, "file"
			} else if packaged != "" && folder == "/usr/bin" && name != "nvidia-container-cli" {
				b.Version, b.VersionFrom = packaged, "package"
			}
			if t.Version == "" && name != "nvidia-container-cli" {
				t.Version = b.Version
			}
			t.Binaries = append(t.Binaries, b)
			break
		}
	}
	t.Installed = len(t.Binaries) > 0
	data, err := m.Root.ReadFile(toolkitConfig)
	switch {
	case err == nil:
		t.Config = parseToolkitConfig(data)
		t.Config.seeLdconfig(m.Root)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
		if !t.Installed {
			err = fmt.Errorf("NVIDIA Container Toolkit: %w", ErrAbsent)
		}
	}
	return func(s *Snapshot) { s.Toolkit = t }, err
}

// ToolkitConfigSource reads no more of the toolkit than its config.toml, which decides what the variable
// NVIDIA_VISIBLE_DEVICES grants; for commands that show grants and nothing else of the toolkit.
var ToolkitConfigSource = Source{Name: "toolkit-config", Local: true, Read: func(_ context.Context, m Machine) (Patch, error) {
	data, err := m.Root.ReadFile(toolkitConfig)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", toolkitConfig, ErrAbsent)
	case err != nil:
		return nil, err
	}
	config := parseToolkitConfig(data)
	return func(s *Snapshot) {
		if s.Toolkit == nil {
			s.Toolkit = &Toolkit{Installed: true, Config: config}
		}
	}, nil
}}

// buildVersion is the module version that Go left in a binary built by `go install …@v1.20.1`.
func buildVersion(root Root, name string) string {
	file, err := root.Path(name)
	if err != nil {
		return ""
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil || !strings.HasPrefix(info.Main.Version, "v") || strings.Count(info.Main.Version, "-") > 1 {
		return ""
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}

// dpkgVersion is the version of the first of the packages that is installed, without Debian's revision.
func dpkgVersion(status string, names ...string) string {
	for _, name := range names {
		_, rest, ok := strings.Cut("\n"+status, "\nPackage: "+name+"\n")
		if !ok {
			continue
		}
		paragraph, _, _ := strings.Cut(rest, "\n\n")
		if !strings.Contains(paragraph, "Status: install ok installed") {
			continue
		}
		for line := range strings.Lines(paragraph) {
			if version, ok := strings.CutPrefix(line, "Version: "); ok {
				version, _, _ = strings.Cut(strings.TrimSpace(version), "-")
				return version
			}
		}
	}
	return ""
}

// parseToolkitConfig reads config.toml; a key that is absent stays nil, because its default depends on
// the toolkit's version.
func parseToolkitConfig(data []byte) *ToolkitConfig {
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
	c := &ToolkitConfig{Path: toolkitConfig, Exists: true}
	if err := toml.Unmarshal(data, &config); err != nil {
		c.Problem = &FileProblem{Path: toolkitConfig, Message: err.Error()}
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
