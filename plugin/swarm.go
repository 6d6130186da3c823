package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type swarmOptions struct {
	fixes.SwarmOptions
	consent
	format  string
	timeout time.Duration
}

// swarmAnswer is what `swarm enable` and `swarm disable` print with --format json.
type swarmAnswer struct {
	SchemaVersion int      `json:"schemaVersion"`
	Action        string   `json:"action"` // enable, disable
	Kind          string   `json:"kind"`   // of the generic resource
	GPUs          []string `json:"gpus"`   // offered from now on
	carried
	DryRun   bool     `json:"dryRun,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

func newSwarmCmd(app *app, runF func(context.Context, *swarmOptions) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "swarm COMMAND",
		Short: "Let a Docker Swarm place services by GPU",
		Long: "Let a Docker Swarm place services by GPU: each node offers its GPUs as generic resources, a service reserves them with\n" +
			"docker service create --generic-resource " + fixes.SwarmKind + "=1, and the swarm does the placing. docker gpu status on a manager\n" +
			"shows what the nodes offer, what is placed, and what waits.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSwarmSwitchCmd(app, true, runF), newSwarmSwitchCmd(app, false, runF))
	return cmd
}

func newSwarmSwitchCmd(app *app, enable bool, runF func(context.Context, *swarmOptions) error) *cobra.Command {
	opts := &swarmOptions{SwarmOptions: fixes.SwarmOptions{Enable: enable}}
	cmd := &cobra.Command{
		Use:   "disable [OPTIONS]",
		Short: "Offer this engine's GPUs to the swarm no longer",
		Long: "Offer this engine's GPUs to the swarm no longer: takes what swarm enable wrote out of the engine's daemon.json and the\n" +
			"toolkit's config.toml, and nothing else. The engine has to restart for it.",
		Args: noArgs,
	}
	if enable {
		cmd.Use, cmd.Short = "enable [OPTIONS]", "Offer this engine's GPUs to the swarm"
		cmd.Long = "Offer this engine's GPUs to the swarm, each GPU or MIG device by its UUID: node-generic-resources in the engine's\n" +
			"daemon.json, and swarm-resource in the toolkit's config.toml, by which a container gets the GPUs of its task. Other\n" +
			"resources stay. The engine has to restart for it; run it on each node that has GPUs."
		cmd.Example = "  docker gpu swarm enable --dry-run\n  sudo docker gpu swarm enable --yes --allow restart\n  docker service create --generic-resource " + fixes.SwarmKind + "=1 IMAGE"
	}
	flags := cmd.Flags()
	if enable {
		flags.BoolVar(&opts.DefaultRuntime, "default-runtime", false, "Make nvidia the engine's default runtime, too: services can have no other")
	}
	opts.consent.addFlags(flags, "restart")
	flags.StringVar(&opts.format, "format", "", "Format output: 'table' or 'json'")
	flags.DurationVar(&opts.timeout, "timeout", 10*time.Second, "Longest time that any one source may take")
	_ = cmd.RegisterFlagCompletionFunc("format", fixed("table", "json"))
	_ = cmd.RegisterFlagCompletionFunc("allow", fixed("restart"))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case opts.timeout <= 0:
			return usageError(cmd, "--timeout must be longer than 0, not %s", opts.timeout)
		case opts.format != "" && opts.format != "table" && opts.format != "json":
			return usageError(cmd, "--format of swarm %s is 'table' or 'json'", cmd.Name())
		}
		for _, harm := range opts.allow {
			if !slices.Contains(allowed, fixes.Harm(harm)) {
				return usageError(cmd, "--allow takes restart, not %q", harm)
			}
		}
		if runF != nil {
			return runF(cmd.Context(), opts)
		}
		return runSwarm(cmd.Context(), app, opts)
	}
	return cmd
}

func runSwarm(ctx context.Context, app *app, opts *swarmOptions) error {
	if _, err := app.endpoint(app.cli.CurrentContext()); err != nil {
		return err
	}
	sources := []inspect.Source{inspect.EngineSource, inspect.HostSource, inspect.ToolkitSource, inspect.DaemonConfigSource}
	if opts.Enable {
		sources = append(sources, inspect.DriverSource, inspect.NVMLBriefSource)
	}
	machine := app.machine(app.cli.CurrentContext())
	s := inspect.Collect(ctx, machine, opts.timeout, sources...)
	s.Tool = app.tool()
	target := fixes.Target{Root: rootFolder()}
	if api, err := machine.Dial(ctx); err == nil {
		target.Control, _ = api.(fixes.EngineControl)
	}
	action := "disable"
	if opts.Enable {
		action = "enable"
	}
	plan, err := fixes.PlanSwarm(s, opts.SwarmOptions, target)
	answer := &swarmAnswer{SchemaVersion: inspect.SchemaVersion, Action: action, Kind: fixes.SwarmKind, GPUs: plan.Names, carried: carried{Steps: []fixStep{}}, DryRun: opts.dryRun, Warnings: plan.Warnings}
	if answer.GPUs == nil {
		answer.GPUs = []string{}
	}
	c := carrying{app: app, x: app.fixExecutor(opts.sudo), answer: &answer.carried}
	defer c.x.Close()
	if opts.format == "json" {
		c.whole = answer
	}
	switch {
	case ctx.Err() != nil:
		return c.refuse(errors.New("interrupted: nothing was changed"))
	case err != nil && (s.Engine == nil || s.Engine.Version == ""):
		return c.refuse(errors.New(strings.TrimPrefix(cannotList(s).Error(), "docker gpu: ")))
	case err != nil:
		return c.refuse(err)
	}
	needed := c.preview(ctx, plan.Plan)
	if c.whole == nil {
		for _, w := range answer.Warnings {
			fmt.Fprintln(app.cli.Err(), "Warning: "+harmlessName(w))
		}
		if err := writeSwarmPlan(app, answer, needed); err != nil {
			return err
		}
	}
	if at := slices.IndexFunc(needed, func(f fixStep) bool { return f.Error != "" }); at >= 0 {
		return c.refuse(fmt.Errorf("%s\nNothing was changed", needed[at].Error))
	}
	if len(needed) == 0 || opts.dryRun {
		return c.finish(nil)
	}
	if err := c.carry(ctx, plan.Plan.Name, needed, opts.consent); err != nil {
		return c.refuse(err)
	}
	if c.whole == nil {
		say := "Done and verified: the engine offers " + fixes.Counted(len(answer.GPUs), "GPU") + " to its swarm."
		if !opts.Enable {
			say = "Done and verified: the engine offers no GPU to its swarm."
		}
		if _, err := fmt.Fprintf(app.out(), "\n%s\nTake it back: %s\n", say, c.x.UndoCommand(answer.Entry)); err != nil {
			return err
		}
	}
	return c.finish(nil)
}

// writeSwarmPlan shows the steps with their diffs.
func writeSwarmPlan(app *app, a *swarmAnswer, needed []fixStep) error {
	var b strings.Builder
	switch {
	case len(needed) == 0 && a.Action == "enable":
		fmt.Fprintf(&b, "The engine offers its %s already: nothing to do.\n", fixes.Counted(len(a.GPUs), "GPU"))
	case len(needed) == 0:
		b.WriteString("The engine offers no GPU to a swarm: nothing to do.\n")
	default:
		b.WriteString("Plan:\n")
		writePlanSteps(&b, needed)
		b.WriteString("\n")
		if a.DryRun {
			b.WriteString("Nothing was changed (--dry-run).\n")
		}
	}
	_, err := fmt.Fprint(app.out(), b.String())
	return err
}
