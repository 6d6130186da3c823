package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/context/docker"
	"github.com/moby/moby/client"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// app is what all commands share: docker's command line interface and the machine to look at.
type app struct {
	cli     command.Cli
	version string
}

func newApp(cli command.Cli, version string) *app { return &app{cli: cli, version: version} }

func (a *app) out() io.Writer { return a.cli.Out() }

// machine is this machine with the engine of the docker context named. Nothing is read or dialled yet.
func (a *app) machine(contextName string) inspect.Machine {
	root := os.Getenv("DOCKER_GPU_ROOT") // the host's root folder, where docker gpu itself runs in a container
	if root == "" {
		root = "/"
	}
	workDir, _ := os.Getwd()
	m := inspect.Machine{
		Root:    inspect.Root(root),
		Context: contextName,
		Run:     run,
		Getenv:  os.Getenv,
		Environ: os.Environ,
		Now:     time.Now,
		Booted:  inspect.SinceBoot,
		WorkDir: workDir,
	}
	endpoint, err := a.endpoint(contextName)
	m.Host, m.Headers = endpoint.Host, a.cli.ConfigFile().HTTPHeaders
	m.Dial = func(context.Context) (inspect.EngineAPI, error) {
		if err != nil {
			return nil, err
		}
		opts, err := endpoint.ClientOpts()
		if err != nil {
			return nil, fmt.Errorf("docker context %q: %w", contextName, err)
		}
		if headers := a.cli.ConfigFile().HTTPHeaders; len(headers) > 0 {
			opts = append(opts, client.WithHTTPHeaders(headers))
		}
		return inspect.EngineClient(endpoint.Host, append(opts, client.WithUserAgent(command.UserAgent()))...)
	}
	if self, err := os.Executable(); err == nil && runtime.GOOS == "linux" {
		m.Open = inspect.OpenFromChild(self, openCommand)
		m.NVML = inspect.NVMLFromChild(self, nvmlCommand)
		m.NVMLBrief = inspect.NVMLFromChild(self, nvmlCommand, "--brief")
		m.NVMLTopology = inspect.NVMLFromChild(self, nvmlCommand, "--topology")
	}
	return m
}

// endpoint is where a docker context leads to, by docker's own rules: flags, DOCKER_HOST, the store.
func (a *app) endpoint(contextName string) (docker.Endpoint, error) {
	store := a.cli.ContextStore()
	stored, err := store.GetMetadata(contextName)
	switch {
	case cerrdefs.IsNotFound(err):
		return docker.Endpoint{}, fmt.Errorf("there is no docker context %q\nlist them with: docker context ls", contextName)
	case err != nil:
		return docker.Endpoint{}, fmt.Errorf("docker context %q: %w", contextName, err)
	}
	meta, err := docker.EndpointFromContext(stored)
	if err != nil {
		return docker.Endpoint{}, fmt.Errorf("docker context %q: %w", contextName, err)
	}
	endpoint, err := docker.WithTLSData(store, contextName, meta)
	if err != nil {
		return docker.Endpoint{EndpointMeta: meta}, fmt.Errorf("docker context %q: %w", contextName, err)
	}
	if endpoint.Host == "" {
		endpoint.Host = client.DefaultDockerHost
	}
	return endpoint, nil
}

// tool names this program in the Snapshots that it takes.
func (a *app) tool() *inspect.Tool {
	return &inspect.Tool{Name: "docker-gpu", Version: a.version, Platform: runtime.GOOS + "/" + runtime.GOARCH}
}

// run starts a program without a shell and returns its standard output, at most 64 MiB of it.
func run(ctx context.Context, argv ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = 100 * time.Millisecond
	var out limited
	said := tail{most: 1 << 10}
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		} else if text := strings.TrimSpace(said.String()); text != "" {
			err = fmt.Errorf("%s (%w)", text, err)
		}
		return out.Bytes(), fmt.Errorf("%s: %w", argv[0], err)
	}
	return out.Bytes(), nil
}

// tail keeps the last bytes that were written to it.
type tail struct {
	bytes.Buffer
	most int
}

func (t *tail) Write(p []byte) (int, error) {
	t.Buffer.Write(p)
	if over := t.Len() - t.most; over > 0 {
		t.Next(over)
	}
	return len(p), nil
}

var errTooMuch = errors.New("output is larger than 64 MiB")

type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > 64<<20 {
		return 0, errTooMuch
	}
	return l.Buffer.Write(p)
}
