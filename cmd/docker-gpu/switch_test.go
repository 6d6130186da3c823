//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What cannot be written is said in a sentence with exit code 1, what cannot be meant with 125, and
// nothing is changed.
func TestSwitchRefuses(t *testing.T) {
	project, state := t.TempDir(), t.TempDir()
	path := func(name string) string { return filepath.Join(project, name) }
	put(t, path("open-quote"), "A=\"x\n")
	put(t, path("read-only"), "A=1\n")
	put(t, path("file/below"), "A=1\n")
	if err := os.Chmod(path("read-only"), 0o444); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"dangling": "nowhere", "loop": "loop2", "loop2": "loop"} {
		if err := os.Symlink(target, path(link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"enable --env-file file", "is a folder, not a file", 1},
		{"enable --env-file /dev/null", "is no regular file", 1},
		{"enable --env-file read-only", "is read-only (mode 0444)", 1},
		{"enable --env-file dangling", "is a link to nowhere, which is not there", 1},
		{"enable --env-file loop", "leads nowhere", 1},
		{"enable --env-file open-quote", "open-quote: line 1: the quote at the value of A does not end", 1},
		{"enable --env-file file/below/env", "a folder of this path is a file", 1},
		{"enable --gpus 0,0", "is twice in the list", 125},
		{"enable --gpus 0,nvidia.com/gpu=1", "mixes the CDI name", 125},
		{"enable --gpus one", "names no GPU", 125},
		{"enable --capabilities computer", "did you mean compute?", 125},
		{"enable --auto --gpus 0", "exclude each other", 125},
		{"enable --dry-run --apply", "exclude each other", 125},
		{"enable all", "takes no arguments", 125},
		{"disable --gpus 0", "unknown flag", 125},
		{"disable --format {{", "--format", 125},
		{"disable --timeout 0s", "--timeout must be longer than 0", 125},
		{"compose --gpu maybe up", "is on, off or auto", 125},
	} {
		out, err := dockerGPU(t, project, state, strings.Fields(c.args)...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v, %s, want %d and %q", c.args, err, out, c.code, c.want)
		}
	}
	if read(t, path("open-quote")) != "A=\"x\n" || read(t, path("read-only")) != "A=1\n" {
		t.Error("a refused write wrote")
	}
	if _, err := os.Stat(path(".devcontainer")); err == nil {
		t.Error("a refused write made a folder")
	}
}

// Where compose files cannot be read the switch still works, and says that the effect is not known.
func TestSwitchWithoutUsableProject(t *testing.T) {
	for _, c := range []struct{ name, file, text, want string }{
		{"no compose file", "", "", "no service or dev container of this project uses a GPU"},
		{"no YAML", "compose.yaml", "services:\n  a:\n    image: [\n", "Warning: compose.yaml:3: "},
		{"no compose file by its schema", "compose.yaml", "services:\n  a:\n    imag: x\n", "the effect on its services is not known"},
		{"no devcontainer.json", ".devcontainer/devcontainer.json", "{\"image\": \"x\",,}", "Warning: .devcontainer/devcontainer.json:1: "},
	} {
		project, state := t.TempDir(), t.TempDir()
		put(t, filepath.Join(project, ".git", "HEAD"), "")
		if c.file != "" {
			put(t, filepath.Join(project, c.file), c.text)
		}
		out, err := dockerGPU(t, project, state, "disable").CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) || read(t, filepath.Join(project, ".devcontainer", ".env")) != "NVIDIA_VISIBLE_DEVICES=void\n" {
			t.Errorf("%s: %v: %s, want %q", c.name, err, out, c.want)
		}
	}
}
