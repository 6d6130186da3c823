package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/cli/cli/config"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// errNoCompose says that there is no docker compose to run.
var errNoCompose = errors.New("docker compose is not installed: https://docs.docker.com/compose/install/")

// composePlugin is the docker compose plugin's program, looked for where docker itself looks.
func (a *app) composePlugin() (string, error) {
	name := "docker-compose"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	folders := []string{filepath.Join(config.Dir(), "cli-plugins")}
	folders = append(folders, a.cli.ConfigFile().CLIPluginsExtraDirs...)
	folders = append(folders, "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins")
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && (runtime.GOOS == "windows" || info.Mode()&0o111 != 0) {
			return path, nil
		}
	}
	return "", errNoCompose
}

// composeCommand is the command line that runs docker compose with docker's own flags as they were given
// to us, as docker itself would start the plugin.
func (a *app) composeCommand(args []string) (path string, argv []string, err error) {
	path, err = a.composePlugin()
	if err != nil {
		return "", nil, err
	}
	argv = append([]string{path}, a.globalFlags()...)
	return path, append(append(argv, "compose"), args...), nil
}

// becomeCompose puts docker compose in the place of this process. It comes back only where that fails.
func (a *app) becomeCompose(args, environ []string) error {
	path, argv, err := a.composeCommand(args)
	if err != nil {
		return fmt.Errorf("docker gpu: compose: %w", err)
	}
	return become(path, argv, composeEnviron(environ...))
}

// globalFlags are docker's own flags in front of the plugin's name.
func (a *app) globalFlags() []string {
	at := slices.Index(os.Args, name)
	if at < 1 {
		return nil
	}
	return os.Args[1:at]
}

// composeEnviron is the environment in which a compose plugin takes itself for one.
func composeEnviron(extra ...string) []string {
	env := os.Environ()
	if os.Getenv(metadata.ReexecEnvvar) == "" {
		if docker, err := exec.LookPath("docker"); err == nil {
			env = append(env, metadata.ReexecEnvvar+"="+docker)
		} else {
			env = append(env, metadata.ReexecEnvvar+"="+os.Args[0])
		}
	}
	return append(env, extra...)
}

// apply recreates the running containers that have the old value, by the files and options that docker
// compose itself noted on them.
func (a *switchAnswer) apply(ctx context.Context, app *app, s *inspect.Snapshot) error {
	type project struct{ name, folder, files, envFiles string }
	var order []project
	services := map[project][]string{}
	for _, c := range fixes.Stale(s, a.VisibleDevices) {
		if c.ComposeService == "" {
			a.Rebuild = append(a.Rebuild, c.Name)
			continue
		}
		label := func(name string) string { return c.Labels["com.docker.compose.project."+name] }
		p := project{c.ComposeProject, label("working_dir"), label("config_files"), label("environment_file")}
		if _, seen := services[p]; !seen {
			order = append(order, p)
		}
		if !slices.Contains(services[p], c.ComposeService) {
			services[p] = append(services[p], c.ComposeService)
		}
	}
	for _, p := range order {
		args := []string{"-p", p.name}
		if p.folder != "" {
			args = append(args, "--project-directory", p.folder)
		}
		for _, flag := range [][2]string{{"-f", p.files}, {"--env-file", p.envFiles}} {
			for value := range strings.SplitSeq(flag[1], ",") {
				if value != "" {
					args = append(args, flag[0], value)
				}
			}
		}
		args = append(append(args, "up", "-d", "--no-deps", "--no-build"), services[p]...)
		path, argv, err := app.composeCommand(args)
		if err != nil {
			return fmt.Errorf("docker gpu: the file is written, the containers were not recreated: %w", err)
		}
		cmd := exec.CommandContext(ctx, path, argv[1:]...)
		cmd.Env = composeEnviron()
		cmd.Stdout, cmd.Stderr = app.cli.Err(), app.cli.Err() // our answer alone goes to standard output
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("docker gpu: the file is written, but recreating %s failed: docker compose: %w", strings.Join(services[p], ", "), err)
		}
		a.Applied = append(a.Applied, services[p]...)
	}
	return nil
}
