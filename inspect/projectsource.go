package inspect

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// ProjectSource finds the project that the working directory lies in, and what its switch,
// NVIDIA_VISIBLE_DEVICES in .devcontainer/.env, says. It is read where the user is, wherever the engine runs.
var ProjectSource = Source{Name: "project", Read: readProject}

func readProject(_ context.Context, m Machine) (Patch, error) {
	folder := projectFolder(m.WorkDir)
	if folder == "" {
		return nil, fmt.Errorf("no compose file or dev container: %w", ErrAbsent)
	}
	p := &Project{Name: filepath.Base(folder), Folder: folder}
	for _, pattern := range []string{"compose*.y*ml", "docker-compose*.y*ml"} {
		names, _ := filepath.Glob(filepath.Join(folder, pattern))
		for _, name := range names {
			p.ComposeFiles = append(p.ComposeFiles, filepath.Base(name))
		}
	}
	for _, name := range []string{".devcontainer/devcontainer.json", ".devcontainer.json"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			p.Devcontainer = name
			break
		}
	}
	p.EnvFile = &EnvFile{Path: ".devcontainer/.env"}
	data, err := Root("/").ReadFile(filepath.Join(folder, p.EnvFile.Path))
	if err != nil {
		if os.IsNotExist(err) {
			err = nil
		}
		return func(s *Snapshot) { s.Project = p }, err
	}
	p.EnvFile.Exists = true
	values, err := dotenv.UnmarshalBytesWithLookup(data, func(key string) (string, bool) {
		value := m.Getenv(key)
		return value, value != ""
	})
	if err != nil {
		p.Problems = append(p.Problems, FileProblem{Path: p.EnvFile.Path, Message: err.Error()})
		return func(s *Snapshot) { s.Project = p }, nil
	}
	p.VisibleDevices = setting(values, data, "NVIDIA_VISIBLE_DEVICES", p.EnvFile.Path)
	p.DriverCapabilities = setting(values, data, "NVIDIA_DRIVER_CAPABILITIES", p.EnvFile.Path)
	return func(s *Snapshot) { s.Project = p }, nil
}

func setting(values map[string]string, data []byte, key, file string) *Setting {
	value, set := values[key]
	if !set {
		return nil
	}
	return &Setting{Value: value, File: file, Line: envLine(data, key)}
}

// envLine is the line on which an env file sets key last: the one that counts. 0 is not found.
func envLine(data []byte, key string) int {
	at, number := 0, 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if rest, ok := strings.CutPrefix(line, "export"); ok && strings.TrimLeft(rest, " \t") != rest {
			line = strings.TrimLeft(rest, " \t")
		}
		if rest, ok := strings.CutPrefix(line, key); ok {
			if rest = strings.TrimLeft(rest, " \t"); strings.HasPrefix(rest, "=") || strings.HasPrefix(rest, ":") {
				at = number
			}
		}
	}
	return at
}

// projectFolder goes upwards from a folder to the first one with a compose file or a dev container. The
// home folder and a repository's top are the last ones looked at.
func projectFolder(folder string) string {
	home, _ := os.UserHomeDir()
	for folder != "" {
		for _, pattern := range []string{".devcontainer", ".devcontainer.json", "compose*.y*ml", "docker-compose*.y*ml"} {
			if names, _ := filepath.Glob(filepath.Join(folder, pattern)); len(names) > 0 {
				return folder
			}
		}
		_, err := os.Stat(filepath.Join(folder, ".git"))
		parent := filepath.Dir(folder)
		if err == nil || folder == home || parent == folder {
			return ""
		}
		folder = parent
	}
	return ""
}
