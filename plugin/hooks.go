package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/cli/cli/config"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
)

type hooksOptions struct {
	dryRun bool
	format string
}

// hooksAnswer is what the three commands print with --format json.
type hooksAnswer struct {
	SchemaVersion int    `json:"schemaVersion"`
	File          string `json:"file"`
	fixes.HookState
	CLIVersion string `json:"cliVersion,omitempty"`
	Supported  *bool  `json:"supported,omitempty"` // the CLI knows error hooks; nil: its version could not be read
	Changed    bool   `json:"changed"`
	Entry      int    `json:"entry,omitempty"` // of the journal
	Diff       string `json:"diff,omitempty"`
}

func newHooksCmd(app *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hooks",
		Short: "Let a failing docker run, start, exec or compose up print the cause",
		Long: "Let a failing docker run, start, exec or compose up itself print the cause and the next command where the\n" +
			"GPU has a part in it. Needs docker CLI 29 or newer, and a terminal.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	sub := func(use, short string, run func(context.Context, *hooksOptions) error) {
		opts := &hooksOptions{}
		c := &cobra.Command{Use: use + " [OPTIONS]", Short: short, Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.format != "" && opts.format != "table" && opts.format != "json" {
				return usageError(cmd, "--format of hooks is 'table' or 'json'")
			}
			return run(cmd.Context(), opts)
		}}
		c.Flags().StringVar(&opts.format, "format", "", "Format output: 'table' or 'json'")
		if use != "status" {
			c.Flags().BoolVar(&opts.dryRun, "dry-run", false, "Show the change, make none")
		}
		cmd.AddCommand(c)
	}
	sub("install", "Write the hooks into the docker CLI's config.json", func(ctx context.Context, o *hooksOptions) error { return runHooks(ctx, app, o, fixes.InstallHooks) })
	sub("uninstall", "Take the hooks out of the docker CLI's config.json", func(ctx context.Context, o *hooksOptions) error {
		return runHooks(ctx, app, o, fixes.UninstallHooks)
	})
	sub("status", "Show whether the hooks are installed and can work", func(ctx context.Context, o *hooksOptions) error { return runHooks(ctx, app, o, nil) })
	return cmd
}

// runHooks shows the state of the hooks and, given a plan, changes it.
func runHooks(ctx context.Context, app *app, opts *hooksOptions, plan func(config string) fixes.Plan) error {
	file := filepath.Join(config.Dir(), config.ConfigFileName)
	answer := hooksAnswer{SchemaVersion: 1, File: file}
	answer.CLIVersion, answer.Supported = cliVersion(ctx)
	installing := plan != nil && plan(file).Name == "hooks install"
	if installing && answer.Supported != nil && !*answer.Supported {
		if opts.format == "json" {
			return writeJSON(app.out(), answer, "  ")
		}
		_, err := fmt.Fprintf(app.out(), "The docker CLI %s does not know hooks after errors: they came with version 29.\nNothing was changed. Update the docker CLI, then run this again.\n", harmlessName(answer.CLIVersion))
		return err
	}
	x := app.executor()
	if plan != nil {
		p := plan(file)
		previews, err := x.Preview(ctx, p)
		if err != nil {
			return fmt.Errorf("docker gpu: %w", err)
		}
		answer.Diff = previews[0].Diff
		if !opts.dryRun && previews[0].Needed {
			result, err := x.Run(ctx, p)
			if err != nil {
				return fmt.Errorf("docker gpu: %w", err)
			}
			answer.Changed, answer.Entry = result.Changed(), result.Entry
		}
	}
	data, err := x.Host.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("docker gpu: %w", err)
	}
	if answer.HookState, err = fixes.ReadHooks(file, data); err != nil {
		return fmt.Errorf("docker gpu: %w", err)
	}
	if opts.format == "json" {
		return writeJSON(app.out(), answer, "  ")
	}
	_, err = fmt.Fprint(app.out(), sayHooks(answer, installing, plan != nil, opts.dryRun))
	return err
}

func sayHooks(a hooksAnswer, installing, changing, dryRun bool) string {
	var b strings.Builder
	switch {
	case changing && a.Diff == "" && installing:
		fmt.Fprintf(&b, "The hooks are installed already in %s: nothing was changed.\n", harmlessName(a.File))
	case changing && a.Diff == "":
		fmt.Fprintf(&b, "No hooks of docker gpu are in %s: nothing was changed.\n", harmlessName(a.File))
	case changing && dryRun:
		b.WriteString(harmlessText(a.Diff))
	case changing:
		b.WriteString(harmlessText(a.Diff))
		fmt.Fprintf(&b, "\nWrote %s. Take it back: docker gpu fix --undo %d\n", harmlessName(a.File), a.Entry)
		if installing {
			b.WriteString("A failing docker run, start, exec or compose up on a terminal now names the cause where the GPU has a part in it.\n")
		}
	case a.Installed:
		fmt.Fprintf(&b, "Installed in %s for: docker %s\n", harmlessName(a.File), harmlessName(strings.Join(a.Commands, ", docker ")))
	case len(a.Commands) > 0 && !a.Enabled:
		fmt.Fprintf(&b, "Written in %s, but the CLI's own switch for hooks is off: docker gpu hooks install\n", harmlessName(a.File))
	default:
		b.WriteString("Not installed: docker gpu hooks install\n")
	}
	if !changing || installing {
		switch {
		case a.Supported == nil:
			b.WriteString("The docker CLI's version could not be read; hooks need 29 or newer.\n")
		case !*a.Supported:
			fmt.Fprintf(&b, "The docker CLI %s does not know them: they need 29 or newer.\n", harmlessName(a.CLIVersion))
		}
		if v := os.Getenv("DOCKER_CLI_HOOKS"); v != "" {
			if on, err := strconv.ParseBool(v); err != nil || !on {
				fmt.Fprintf(&b, "DOCKER_CLI_HOOKS=%s in the environment switches all hooks off.\n", harmlessName(v))
			}
		}
	}
	return b.String()
}

var dottedVersion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\d+(?:\.\d+)+`) })

// cliVersion asks the docker CLI that called, or the one on the PATH, for its version.
func cliVersion(ctx context.Context) (string, *bool) {
	docker := os.Getenv(metadata.ReexecEnvvar)
	if docker == "" {
		docker = "docker"
	}
	path, err := exec.LookPath(docker)
	if err != nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := run(ctx, path, "--version")
	version := dottedVersion().FindString(string(out))
	if err != nil || version == "" {
		return "", nil
	}
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return version, nil
	}
	supported := n >= 29
	return version, &supported
}
