package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type swarmOptions struct {
	fixes.SwarmOptions
	yes     bool
	dryRun  bool
	allow   []string
	sudo    bool
	format  string
	timeout time.Duration
}

// swarmAnswer is what `swarm enable` and `swarm disable` print with --format json.
type swarmAnswer struct {
	SchemaVersion int       `json:"schemaVersion"`
	Action        string    `json:"action"` // enable, disable
	Kind          string    `json:"kind"`   // of the generic resource
	GPUs          []string  `json:"gpus"`   // offered from now on
	Steps         []fixStep `json:"steps"`
	DryRun        bool      `json:"dryRun,omitempty"`
	Applied       bool      `json:"applied"`
	Entry         int       `json:"entry,omitempty"` // of the journal, for docker gpu fix --undo
	Warnings      []string  `json:"warnings,omitempty"`
	Refused       string    `json:"refused,omitempty"` // why nothing was carried out, or not all
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
	flags.BoolVarP(&opts.yes, "yes", "y", false, "Answer yes for steps that edit files, and for those that --allow names")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "Show the plan, carry nothing out")
	flags.StringSliceVar(&opts.allow, "allow", nil, "With --yes, carry out steps of these kinds, too: restart")
	flags.BoolVar(&opts.sudo, "sudo", false, "Carry steps that need root out by sudo")
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
		sources = append(sources, inspect.DriverSource, inspect.NVMLSource)
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
	answer := &swarmAnswer{SchemaVersion: inspect.SchemaVersion, Action: action, Kind: fixes.SwarmKind, GPUs: plan.Names, Steps: []fixStep{}, DryRun: opts.dryRun, Warnings: plan.Warnings}
	if answer.GPUs == nil {
		answer.GPUs = []string{}
	}
	finish := func(err error) error {
		if opts.format == "json" {
			if writeErr := writeJSON(app.out(), answer, "  "); writeErr != nil {
				return writeErr
			}
		}
		return err
	}
	refuse := func(format string, args ...any) error {
		answer.Refused = fmt.Sprintf(format, args...)
		if opts.format == "json" {
			return finish(cli.StatusError{StatusCode: 1})
		}
		return errors.New("docker gpu: " + answer.Refused)
	}
	if err != nil {
		if s.Engine == nil || s.Engine.Version == "" {
			return refuse("%s", strings.TrimPrefix(cannotList(s).Error(), "docker gpu: "))
		}
		return refuse("%s", err)
	}
	x := app.fixExecutor()
	for _, step := range plan.Steps {
		f := fixStep{Description: step.Describe(), step: step}
		if f.Preview, err = step.Preview(ctx, x.Host); err != nil {
			f.Error = err.Error()
		}
		answer.Steps = append(answer.Steps, f)
	}
	needed := slices.DeleteFunc(slices.Clone(answer.Steps), func(f fixStep) bool { return !f.Needed && f.Error == "" })
	if opts.format != "json" {
		for _, w := range answer.Warnings {
			fmt.Fprintln(app.cli.Err(), "Warning: "+harmlessName(w))
		}
		if err := writeSwarmPlan(app, answer, needed); err != nil {
			return err
		}
	}
	if at := slices.IndexFunc(needed, func(f fixStep) bool { return f.Error != "" }); at >= 0 {
		return refuse("%s\nNothing was changed.", needed[at].Error)
	}
	if len(needed) == 0 || opts.dryRun {
		return finish(nil)
	}
	if os.Geteuid() != 0 && slices.ContainsFunc(needed, func(f fixStep) bool { return f.Root }) {
		if opts.sudo {
			return bySudo(app)
		}
		return refuse("this needs root, nothing was changed. Run: sudo docker gpu %s\nor let docker gpu do it: docker gpu %s --sudo", quoteArgs(rest()), quoteArgs(rest()))
	}
	if plan.Plan.Steps, err = (&fixOptions{yes: opts.yes, allow: opts.allow}).ask(app, needed); err != nil {
		return refuse("%s", err)
	}
	if opts.format != "json" {
		x.Tell = func(p fixes.Progress) { tellStep(app, p) }
	}
	result, err := x.Run(ctx, plan.Plan)
	answer.Entry, answer.Applied = result.Entry, result.Changed()
	for i := range answer.Steps {
		for _, p := range result.Steps {
			if p.What.Text == answer.Steps[i].Text {
				answer.Steps[i].State = p.State
				if p.Err != nil {
					answer.Steps[i].Error = p.Err.Error()
				}
			}
		}
	}
	if err != nil {
		return refuse("%s", err)
	}
	if opts.format != "json" {
		say := "Done and verified: the engine offers " + fixes.Counted(len(answer.GPUs), "GPU") + " to its swarm."
		if !opts.Enable {
			say = "Done and verified: the engine offers no GPU to its swarm."
		}
		if _, err := fmt.Fprintf(app.out(), "\n%s\nTake it back: docker gpu fix --undo %d\n", say, answer.Entry); err != nil {
			return err
		}
	}
	return finish(nil)
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
