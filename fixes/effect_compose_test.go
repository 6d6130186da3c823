package fixes

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// composeProgram is docker compose v5, which the end-to-end run names.
func composeProgram(t *testing.T) string {
	path := os.Getenv("DOCKER_GPU_COMPOSE")
	if path == "" {
		t.Skip("needs docker compose v5, named in DOCKER_GPU_COMPOSE: make e2e does that with the bench's")
	}
	return path
}

// What docker compose itself says of the projects, with the switch at void and at all, and with the
// variable in the shell, is what our effects say.
func TestEffectsAgainstCompose(t *testing.T) {
	program := composeProgram(t)
	compared := 0
	for _, p := range projects(t) {
		s := p.snapshot()
		for _, e := range Effects(s) {
			i := slices.IndexFunc(s.Project.Services, func(g inspect.GPUService) bool { return g.Name == e.Name })
			service := s.Project.Services[i]
			if service.Use < 0 || e.Kind == inspect.KindDevcontainer && strings.HasSuffix(e.File, ".json") {
				continue // the devcontainer CLI's own doing
			}
			use := s.Project.Uses[service.Use]
			said := func(value string, env ...string) (string, bool) {
				write(t, filepath.Join(p.folder, ".devcontainer", ".env"), switched(t, filepath.Join(p.folder, ".devcontainer", ".env"), value), 0o644)
				return composeSays(t, program, p, use, e.Name, env)
			}
			off, asks := said("void")
			on, _ := said("all")
			shell, _ := said("void", VisibleDevices+"=7")
			real := HardCoded
			switch {
			case asks:
				real = KeepsGPU
			case off == "void" && on == "all":
				real = Follows
			case shell == "7" || off == "(not set)":
				real = NotRead
			}
			compared++
			t.Logf("| %s | %s | %s | %s | void: %s, all: %s, shell 7: %s |", p.name, e.Name, e.Effect, real, off, on, shell)
			if e.Effect != real {
				t.Errorf("%s: %s: we say %s, compose %s (void: %s, all: %s, shell 7: %s)", p.name, e.Name, e.Effect, real, off, on, shell)
			}
		}
	}
	if compared < 25 {
		t.Errorf("only %d services were compared", compared)
	}
}

// switched is the switch's file with a value, all else kept.
func switched(t *testing.T, file, value string) string {
	old, err := os.ReadFile(file)
	if err != nil {
		old = nil
	}
	edited, err := SetEnv(old, Assignment{VisibleDevices, value})
	if err != nil {
		t.Fatal(err)
	}
	return string(edited)
}

// composeSays is the service's variable in `docker compose config`, and whether it asks for a GPU in a
// way that the variable does not switch.
func composeSays(t *testing.T, program string, p project, use inspect.ComposeUse, service string, env []string) (value string, asks bool) {
	args := []string{}
	folder := p.cwd
	if use.By != inspect.UseCompose {
		folder = p.folder
		for _, file := range use.Files {
			args = append(args, "-f", file)
		}
	}
	cmd := exec.Command(program, append(args, "--profile", "*", "config", "--format", "json")...)
	cmd.Dir = folder
	cmd.Env = append(append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PWD=" + folder}, p.env...), env...)
	out, err := cmd.Output()
	if err != nil {
		complaint := ""
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			complaint = string(exit.Stderr)
		}
		t.Fatalf("%s: docker compose config: %v %s", p.name, err, complaint)
	}
	var config struct {
		Services map[string]struct {
			Environment map[string]*string
			Gpus        []any
			Devices     []struct{ Source string }
			Deploy      struct {
				Resources struct {
					Reservations struct {
						Devices []struct{ Capabilities []string }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(out, &config); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	s := config.Services[service]
	asks = len(s.Gpus) > 0
	for _, d := range s.Devices {
		asks = asks || strings.Contains(d.Source, "nvidia")
	}
	for _, d := range s.Deploy.Resources.Reservations.Devices {
		asks = asks || slices.Contains(d.Capabilities, "gpu")
	}
	if v, set := s.Environment[VisibleDevices]; set && v != nil {
		return *v, asks
	}
	return "(not set)", asks
}
