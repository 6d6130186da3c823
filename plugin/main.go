// Package plugin talks: it parses flags, asks inspect for a Snapshot and fixes for what it means, and
// prints. It reads no fact itself and edits no file.
package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/cli/cli-plugins/plugin"
	"github.com/docker/cli/cli/command"
	clidebug "github.com/docker/cli/cli/debug"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel"

	"github.com/docker-gpu/docker-gpu/inspect"
	"github.com/docker-gpu/docker-gpu/plugin/announce"
	"github.com/docker-gpu/docker-gpu/plugin/nvmlchild"
)

// name is the plugin's command below docker.
const name = "gpu"

// nvmlCommand is the hidden command by which the binary reads NVML in a process of its own, which package nvmlchild does.
const nvmlCommand = nvmlchild.Command

// exitUsage is docker's exit code for a command line it cannot take.
const exitUsage = 125

// Main runs the plugin and returns its exit code. Everything but the hidden children goes through
// docker's own plugin package.
func Main(version string, args []string) int {
	if input, ok := hookCall(args); ok { // between a failed command and the prompt: no start-up at all
		collectLater()
		return answerHook(os.Stdout, input, lastFailure, localDevices)
	}
	if len(args) > 1 {
		switch args[1] {
		case k8sCleanCommand:
			return serveK8sClean(os.Stdin, os.Stderr)
		case rootCommand:
			return serveRoot(os.Stdin, os.Stdout, os.Stderr)
		case openCommand:
			return serveOpen(args[2:], os.Stdout)
		}
	}
	if os.Getenv(metadata.ReexecEnvvar) == "" {
		if len(args) == 3 && args[1] == "completion" {
			if err := WriteCompletion(os.Stdout, args[2]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return exitUsage
			}
			return 0
		}
		os.Args = standalone(args)
	}
	otel.SetErrorHandler(clidebug.OTELErrorHandler)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dockerCLI, err := command.NewDockerCli(command.WithBaseContext(ctx))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	logrus.SetOutput(debugLog{dockerCLI.Err()})
	root := newRootCmd(newApp(dockerCLI, version))
	withContext(root, ctx)
	return report(dockerCLI.Err(), plugin.RunPlugin(dockerCLI, root, describe(version)))
}

// collectLater lets the heap grow to 16 MiB before it is collected for the first time, and as usual after that: a command
// that only answers a question ends before.
func collectLater() {
	debug.SetGCPercent(400)
	runtime.AddCleanup(&struct{ _ [64]byte }{}, func(usual int) { debug.SetGCPercent(usual) }, 100)
}

// withContext hands the context that signals end to each command: docker's own root command stands above
// ours, and its context would go to the commands that have none.
func withContext(cmd *cobra.Command, ctx context.Context) {
	cmd.SetContext(ctx)
	for _, sub := range cmd.Commands() {
		withContext(sub, ctx)
	}
}

// debugLog writes the log of the libraries only where the user asked for it: what they warn of (a compose
// file's obsolete keys) is for other tools to say.
type debugLog struct{ out io.Writer }

func (l debugLog) Write(p []byte) (int, error) {
	if logrus.IsLevelEnabled(logrus.DebugLevel) {
		return l.out.Write(p)
	}
	return len(p), nil
}

// describe is what docker is told again, when it runs the plugin; [announce] tells it first.
func describe(version string) metadata.Metadata {
	return metadata.Metadata{
		SchemaVersion:    announce.SchemaVersion,
		Vendor:           announce.Vendor,
		Version:          version,
		ShortDescription: announce.ShortDescription,
		URL:              announce.URL,
	}
}

// report prints an error as docker does and returns its exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code := 1
	var status cli.StatusError
	if errors.As(err, &status) && status.StatusCode != 0 {
		code = status.StatusCode
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(stderr, harmlessText(text))
	}
	return code
}

// usageError says what is wrong with the command line; nothing has been done.
func usageError(cmd *cobra.Command, format string, args ...any) error {
	return cli.StatusError{
		Status:     fmt.Sprintf("docker gpu: %s\n\nRun '%s --help' for more information", fmt.Sprintf(format, args...), cmd.CommandPath()),
		StatusCode: exitUsage,
	}
}

// standalone puts the plugin's name where docker would have put it, behind docker's own flags, so that
// `docker-gpu status` and `docker-gpu --context ada status` are the same as below docker.
func standalone(args []string) []string {
	takesValue := []string{"-c", "--context", "--config", "-H", "--host", "-l", "--log-level", "--tlscacert", "--tlscert", "--tlskey"}
	switches := []string{"-D", "--debug", "--tls", "--tlsverify"}
	at := 1
	for at < len(args) {
		flag, _, joined := strings.Cut(args[at], "=")
		switch {
		case slices.Contains(switches, flag):
			at++
			continue
		case slices.Contains(takesValue, flag):
			if at++; !joined {
				at++
			}
			continue
		}
		break
	}
	at = min(at, len(args))
	if at < len(args) && strings.HasPrefix(args[at], "__complete") && at+1 < len(args) && args[at+1] != name {
		at++ // what the shell completes stands behind
	} else if at < len(args) && (args[at] == name || strings.HasPrefix(args[at], "__complete")) {
		return args
	}
	return slices.Insert(slices.Clone(args), at, name)
}

// serveOpen is the child process that tells whether device nodes can be opened.
func serveOpen(paths []string, out io.Writer) int {
	if err := inspect.ServeOpen(paths, out); err != nil {
		return 1
	}
	return 0
}

func newRootCmd(app *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:              name,
		Short:            announce.ShortDescription,
		TraverseChildren: true,
		Args:             cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			hint := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = fmt.Sprintf("; did you mean '%s'?", near[0])
			}
			return usageError(cmd, "unknown command %q%s", args[0], hint)
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(newTopoCmd(app, nil), newMIGCmd(app))
	cmd.AddCommand(newStatusCmd(app, nil), newVersionCmd(app))
	cmd.AddCommand(newEnableCmd(app, nil), newDisableCmd(app, nil), newComposeCmd(app, nil))
	cmd.AddCommand(newCheckCmd(app, nil))
	cmd.AddCommand(newK8sCmd(app))
	cmd.AddCommand(newPickCmd(app, nil))
	cmd.AddCommand(newRunCmd(app, nil))
	cmd.AddCommand(newReportCmd(app, nil))
	cmd.AddCommand(newDiagnoseCmd(app, nil))
	cmd.AddCommand(newPsCmd(app, nil))
	cmd.AddCommand(newHealthCmd(app, nil))
	addLarge(app, cmd)
	cmd.AddCommand(newHooksCmd(app))
	cmd.AddCommand(newFixCmd(app, nil))
	cmd.AddCommand(newExplainCmd(app, nil))
	cmd.AddCommand(newAuditCmd(app, nil))
	cmd.AddCommand(newSwarmCmd(app, nil))
	return cmd
}

func newVersionCmd(app *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of docker gpu",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(app.out(), "docker gpu "+app.version)
			return err
		},
	}
}

// noArgs refuses arguments with docker's exit code for a wrong command line.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(cmd, "%s takes no arguments, not %q", cmd.Name(), args[0])
	}
	return nil
}
