package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/cli/cli-plugins/socket"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type runOptions struct {
	pickFlags
	args []string // of docker run
}

func newRunCmd(app *app, runF func(context.Context, *runOptions) error) *cobra.Command {
	opts := &runOptions{}
	cmd := &cobra.Command{
		Use:   "run [PICK OPTIONS] [DOCKER RUN OPTIONS] IMAGE [COMMAND] [ARG...]",
		Short: "Start a container on the least loaded GPU(s)",
		Long: "Pick GPUs as docker gpu pick does, and start a container on them: docker run in all else. The options of\n" +
			"the pick come first; the first that is none of them begins those of docker run, as does --. Two at once\n" +
			"never get the same GPU; the container holds its GPUs as long as it runs.",
		Example: "  docker gpu run --rm -it pytorch/pytorch python train.py\n" +
			"  docker gpu run -n 2 --prefer nvlink --wait -d --name train IMAGE",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if slices.Contains([]string{"-h", "--help"}, first(args)) {
				return cmd.Help()
			}
			flags := pflag.NewFlagSet("pick", pflag.ContinueOnError)
			opts.addFlags(flags)
			own, rest := splitRunArgs(flags, args)
			if err := flags.Parse(own); err != nil {
				return usageError(cmd, "%s", err)
			}
			opts.args = rest
			if !slices.ContainsFunc(rest, func(arg string) bool { return !strings.HasPrefix(arg, "-") }) {
				return usageError(cmd, "docker gpu run needs an IMAGE")
			}
			if flag := asksForGPU(rest); flag != "" {
				return usageError(cmd, "%s: docker gpu run picks the GPUs itself; with GPUs of your own choice it is docker run", flag)
			}
			if flags.Changed("max-util") && (opts.maxUtil < 0 || opts.maxUtil > 100) {
				return usageError(cmd, "--max-util is 0 to 100, not %d", opts.maxUtil)
			}
			if err := opts.check(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runRun(cmd.Context(), app, opts)
		},
	}
	// For --help and completion alone: the command line is split by hand.
	(&pickFlags{}).addFlags(cmd.Flags())
	return cmd
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// splitRunArgs takes the pick's own flags from the front of docker run's.
func splitRunArgs(flags *pflag.FlagSet, args []string) (own, rest []string) {
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			return own, args[1:]
		}
		name, _, joined := strings.Cut(arg, "=")
		var flag *pflag.Flag
		switch {
		case strings.HasPrefix(name, "--"):
			flag = flags.Lookup(name[2:])
		case name == "-n":
			flag = flags.Lookup("gpu-count")
		case strings.HasPrefix(arg, "-n") && strings.Trim(arg[2:], "0123456789") == "": // -n2
			flag, joined = flags.Lookup("gpu-count"), true
		}
		if flag == nil {
			return own, args
		}
		take := 1
		if !joined && flag.NoOptDefVal == "" && len(args) > 1 {
			take = 2
		}
		own, args = append(own, args[:take]...), args[take:]
	}
	return own, nil
}

// asksForGPU is the flag of docker run by which the user names GPUs themselves, or "".
func asksForGPU(args []string) string {
	for i, arg := range args {
		if !strings.HasPrefix(arg, "-") { // IMAGE, or a flag's value: what follows an image is the container's
			continue
		}
		name, value, joined := strings.Cut(arg, "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		switch {
		case name == "--gpus":
			return arg
		case name == "--device" && strings.HasPrefix(value, "nvidia.com/"):
			return "--device " + value
		}
	}
	return ""
}

func runRun(ctx context.Context, app *app, opts *runOptions) error {
	docker := os.Getenv(metadata.ReexecEnvvar) // the docker that started us
	if docker == "" {
		found, err := exec.LookPath("docker")
		if err != nil {
			return errors.New("docker gpu: docker is not on the PATH")
		}
		docker = found
	}
	leases, err := fixes.OpenLeases(leaseFolders()...)
	if err != nil {
		return noLeases(err)
	}
	machine := app.machine(app.cli.CurrentContext())
	picked, err := opts.pickOrWait(ctx, app, machine, leases)
	if err != nil {
		return err
	}
	grant, err := grantFlags(picked)
	if err != nil {
		picked.release()
		return err
	}
	for _, lease := range picked.leases { // with this process and the docker run that it becomes
		if err := errors.Join(leases.Hold(lease, time.Time{}), lease.KeepAcrossExec()); err != nil {
			picked.release()
			return fmt.Errorf("docker gpu: %w", err)
		}
	}
	argv := append([]string{docker}, app.globalFlags()...)
	argv = append(argv, "run", "--label", inspect.ClaimLabel+"="+picked.uuids())
	argv = append(append(argv, grant...), opts.args...)
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { // docker run is no plugin
		return strings.HasPrefix(v, metadata.ReexecEnvvar+"=") || strings.HasPrefix(v, socket.EnvKey+"=")
	})
	if os.Getenv(socket.EnvKey) == "" {
		return become(docker, argv, environ)
	}
	return supervise(ctx, docker, argv, environ)
}

// supervise runs docker as a child, where the docker that started us tells of its own end by a socket
// alone, which docker run does not know: then the child gets the signal.
func supervise(ctx context.Context, docker string, argv, environ []string) error {
	cmd := exec.Command(docker, argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ, os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("docker gpu: %s: %w", docker, err)
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
		case <-ended:
		}
	}()
	err := cmd.Wait()
	close(ended)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return cli.StatusError{StatusCode: exit.ExitCode()}
	}
	return err
}

// grantFlags give the picked GPUs to a container by what this engine serves: --gpus, CDI, or the nvidia runtime.
func grantFlags(picked *pickedGPUs) ([]string, error) {
	s := picked.snapshot
	ways := fixes.Passthrough(s)
	switch {
	case ways.GPUsFlag == fixes.WayOpen:
		return []string{"--gpus", `"device=` + picked.uuids() + `"`}, nil
	case ways.CDI == fixes.WayOpen:
		var flags []string
		for _, g := range picked.gpus {
			device := cdiName(s, g)
			if device == "" {
				return nil, fmt.Errorf("docker gpu: GPU %s has no CDI device: generate the specification again: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml", g.GPU)
			}
			flags = append(flags, "--device", device)
		}
		return flags, nil
	case ways.Runtime == fixes.WayOpen:
		return []string{"--runtime", "nvidia", "--env", "NVIDIA_VISIBLE_DEVICES=" + picked.uuids()}, nil
	case s.Engine == nil || s.Engine.Version == "":
		return nil, errors.New("docker gpu: no Docker engine answers\nfind out why: docker gpu status")
	}
	return nil, errors.New("docker gpu: this engine cannot give a GPU to a container\nfind out why: docker gpu diagnose")
}

// cdiName is a GPU's name among the CDI devices: by UUID where the specification has that, else by index.
func cdiName(s *inspect.Snapshot, g fixes.Candidate) string {
	var known []string
	if s.Engine != nil {
		for _, d := range s.Engine.DiscoveredDevices {
			known = append(known, d.ID)
		}
	}
	if s.CDI != nil {
		known = append(known, s.CDI.Devices...)
	}
	for _, id := range []string{g.UUID, g.GPU} {
		if slices.Contains(known, "nvidia.com/gpu="+id) {
			return "nvidia.com/gpu=" + id
		}
	}
	return ""
}
