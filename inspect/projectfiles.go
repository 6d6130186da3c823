package inspect

import (
	"os"
	"path/filepath"
	"strings"
)

// composeFileVariable are the files of COMPOSE_FILE.
func composeFileVariable(env map[string]string, workDir string) []string {
	separator := env["COMPOSE_PATH_SEPARATOR"]
	if separator == "" {
		separator = string(os.PathListSeparator)
	}
	var files []string
	for name := range strings.SplitSeq(env["COMPOSE_FILE"], separator) {
		if name != "" && name != "-" && !strings.Contains(name, "://") {
			files = append(files, absolute(workDir, name))
		}
	}
	return files
}

// defaultFiles are those that `docker compose` without -f reads here.
func (r *projectReader) defaultFiles() ([]string, *composeEnv, error) {
	env := newComposeEnv(r.shell, r.switchFile)
	explicit := explicitEnvFiles(r.shell, r.m.WorkDir)
	if err := env.readDefault(r.m.WorkDir, explicit); err != nil {
		return nil, nil, err
	}
	files := composeFileVariable(env.env, r.m.WorkDir)
	if len(files) == 0 {
		files = defaultComposeFiles(r.m.WorkDir, r.p.Folder)
	}
	if len(files) == 0 {
		return nil, nil, nil
	}
	if err := env.readDefault(filepath.Dir(files[0]), explicit); err != nil {
		return nil, nil, err
	}
	return files, env, nil
}

// defaultNames are the names that compose looks for, in its order.
var defaultNames = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}

// defaultComposeFiles are compose's default names in a folder or the nearest above it, up to the
// project's, with their override.
func defaultComposeFiles(from, top string) []string {
	first := func(folder string, names ...string) string {
		for _, name := range names {
			if path := filepath.Join(folder, name); regular(path) {
				return path
			}
		}
		return ""
	}
	for folder := from; ; folder = filepath.Dir(folder) {
		if file := first(folder, defaultNames...); file != "" {
			files := []string{file}
			if over := first(folder, "compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"); over != "" {
				files = append(files, over)
			}
			return files
		}
		if folder == top || folder == filepath.Dir(folder) {
			return nil
		}
	}
}

// there tells if something of that name is, which may be no file and not readable: whoever reads it says so.
func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func regular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// composePatterns are the names that compose files go by.
var composePatterns = []string{"compose*.y*ml", "docker-compose*.y*ml"}

// composeNames are all files of the project's folder, and of .devcontainer, that are named as compose
// files are. Overrides are read with what they override, not alone.
func composeNames(folder string) []string {
	var files []string
	for _, in := range []string{folder, filepath.Join(folder, ".devcontainer")} {
		for _, pattern := range composePatterns {
			names, _ := filepath.Glob(filepath.Join(escapeGlob(in), pattern))
			for _, name := range names {
				if !strings.Contains(filepath.Base(name), ".override.") && regular(name) {
					files = append(files, name)
				}
			}
		}
	}
	return files
}

// devcontainerFiles are the places where a project may define dev containers.
func devcontainerFiles(folder string) []string {
	var files []string
	for _, name := range []string{".devcontainer/devcontainer.json", ".devcontainer.json"} {
		if path := filepath.Join(folder, name); there(path) {
			files = append(files, path)
		}
	}
	more, _ := filepath.Glob(filepath.Join(escapeGlob(folder), ".devcontainer", "*", "devcontainer.json"))
	return append(files, more...)
}

// projectFolder goes upwards from a folder to the first one with a compose file or a dev container. The
// home folder and a repository's top are the last ones looked at.
func projectFolder(folder string) string {
	if filepath.Base(folder) == ".devcontainer" {
		folder = filepath.Dir(folder)
	}
	home, _ := os.UserHomeDir()
	for folder != "" {
		for _, pattern := range append([]string{".devcontainer", ".devcontainer.json"}, composePatterns...) {
			if names, _ := filepath.Glob(filepath.Join(escapeGlob(folder), pattern)); len(names) > 0 {
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

// escapeGlob takes the meaning off the pattern characters of a folder's name.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// repositoryTop is the folder above that has .git, or "".
func repositoryTop(folder string) string {
	home, _ := os.UserHomeDir()
	for {
		if _, err := os.Stat(filepath.Join(folder, ".git")); err == nil {
			return folder
		}
		parent := filepath.Dir(folder)
		if folder == home || parent == folder {
			return ""
		}
		folder = parent
	}
}
