package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/cli/cli"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type fixOptions struct {
	reading
	consent
	names     []string
	container string
	undo      string // "": not asked for; "newest", or a number
	list      bool
}

// fixAnswer is what `fix --format json` prints.
type fixAnswer struct {
	SchemaVersion int             `json:"schemaVersion"`
	Findings      []fixes.Finding `json:"findings"` // what the plan answers
	Manual        []fixes.Manual  `json:"manual"`
	carried
	Remaining []fixes.ID `json:"remaining,omitempty"` // still found afterwards
}

func newFixCmd(app *app, runF func(context.Context, *fixOptions) error) *cobra.Command {
	opts := &fixOptions{}
	cmd := &cobra.Command{
		Use:   "fix [OPTIONS] [PLAYBOOK|FINDING...]",
		Short: "Carry out what mends a finding: plan, ask, apply, verify",
		Long: "Diagnose, show the steps that mend what was found, ask, carry them out, verify each, and look whether the finding is\n" +
			"gone. Every change is noted in a journal with what was there before; --undo restores it.\n\n" +
			"Steps that restart the engine or a container, install packages, touch drivers or reboot are asked for one by one\n" +
			"unless --allow names them. PLAYBOOK is one of " + strings.Join(fixes.PlaybookNames, ", ") + ";\n" +
			"FINDING is an id that docker gpu diagnose shows.",
		Example: "  docker gpu fix --dry-run\n  docker gpu fix cdi\n  sudo docker gpu fix --yes --allow restart runtime-not-registered\n  docker gpu fix --undo",
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.names = args
			if err := opts.checkFix(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			switch {
			case opts.list:
				return runFixList(app, opts)
			case opts.undo != "":
				return runFixUndo(cmd.Context(), app, opts)
			}
			return runFix(cmd.Context(), app, opts)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			names := slices.Clone(fixes.PlaybookNames)
			for _, e := range fixes.Knowledge().Entries {
				names = append(names, string(e.ID)+"\t"+e.Title)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	opts.reading.addFlags(cmd)
	flags := cmd.Flags()
	opts.consent.addFlags(flags, "restart, install, driver, reboot")
	flags.StringVar(&opts.undo, "undo", "", "Undo a change: the newest, or the one with this `ID`")
	flags.Lookup("undo").NoOptDefVal = "newest"
	flags.BoolVar(&opts.list, "list", false, "List the changes that were made")
	flags.StringVar(&opts.container, "container", "", "Mend this container only; with a FINDING, whether it is found or not")
	_ = cmd.RegisterFlagCompletionFunc("allow", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"restart", "install", "driver", "reboot"}, cobra.ShellCompDirectiveNoFileComp
	})
	_ = cmd.RegisterFlagCompletionFunc("container", func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return containerNames(cmd.Context(), app, nil), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (o *fixOptions) checkFix(cmd *cobra.Command) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	if o.format != "" && o.format != "table" && o.format != "json" {
		return usageError(cmd, "--format of fix is 'table' or 'json'")
	}
	for _, harm := range o.allow {
		if !slices.Contains(allowed, fixes.Harm(harm)) {
			return usageError(cmd, "--allow takes restart, install, driver and reboot, not %q", harm)
		}
	}
	if o.undo != "" {
		if o.undo == "newest" && len(o.names) == 1 { // --undo 3
			o.undo, o.names = o.names[0], nil
		}
		if _, err := strconv.Atoi(o.undo); err != nil && o.undo != "newest" {
			return usageError(cmd, "--undo takes the number of a change, not %q; docker gpu fix --list shows them", o.undo)
		}
		if len(o.names) > 0 || o.list || o.from != "" {
			return usageError(cmd, "--undo goes with no playbook, --list or --from")
		}
	}
	for _, name := range o.names {
		if _, ok := fixes.Knowledge().Entry(fixes.ID(name)); !ok && !slices.Contains(fixes.PlaybookNames, name) {
			return usageError(cmd, "there is no playbook or finding %q%s\nPlaybooks: %s", name, nearestID(name), strings.Join(fixes.PlaybookNames, ", "))
		}
	}
	return nil
}

// fixExecutor carries plans out, and takes back what was done to an engine; with sudo, what needs root as root.
func (a *app) fixExecutor(sudo bool) *fixes.Executor {
	x := a.executor()
	here := x.Host
	engine := func(h fixes.Host) fixes.Host {
		return fixes.EngineHost{Host: h, Root: rootFolder(), Dial: fixes.DialEngine}
	}
	x.Host = engine(here)
	if sudo && os.Geteuid() != 0 {
		root := &fixes.RootHost{Host: here, Start: startRoot}
		x.Root, x.End = engine(root), root.Close
	}
	return x
}

func rootFolder() inspect.Root {
	if root := os.Getenv("DOCKER_GPU_ROOT"); root != "" {
		return inspect.Root(root)
	}
	return "/"
}

// wanted picks the findings that were asked for by playbook or id.
func (o *fixOptions) wanted(found []fixes.Finding) []fixes.Finding {
	picked := []fixes.Finding{}
	for _, f := range found {
		named := slices.ContainsFunc(o.names, func(n string) bool { return n == f.Playbook || n == string(f.ID) })
		if (named || len(o.names) == 0 && f.Severity.WarningOrWorse()) && (o.container == "" || f.Container == o.container) {
			picked = append(picked, f)
		}
	}
	for _, name := range o.names {
		id := fixes.ID(name)
		if fixes.CanForce(id) && !slices.ContainsFunc(picked, func(f fixes.Finding) bool { return f.ID == id }) {
			f := fixes.NewFinding(id, fixes.Evidence{Source: "command line", Text: name})
			f.Container = o.container
			picked = append(picked, f)
		}
	}
	return picked
}

func runFix(ctx context.Context, app *app, opts *fixOptions) error {
	s, err := opts.snapshot(ctx, app, diagnoseSources(inspect.NVMLBriefSource, nil)...)
	if err != nil {
		return err
	}
	target := fixes.Target{Root: rootFolder(), Reading: opts.from != "", Wait: opts.timeout}
	if opts.from == "" {
		if api, err := app.machine(app.cli.CurrentContext()).Dial(ctx); err == nil {
			target.Control, _ = api.(fixes.EngineControl)
		}
		target.User = os.Getenv("SUDO_USER")
		if u, err := user.Current(); err == nil && target.User == "" {
			target.User = u.Username
		}
	}
	answer := &fixAnswer{SchemaVersion: inspect.SchemaVersion, Findings: opts.wanted(fixes.Diagnose(s, fixes.Scope{}).Findings), carried: carried{Steps: []fixStep{}}}
	plan, manual := fixes.PlanFix(opts.planName(), s, answer.Findings, target)
	answer.Manual = append([]fixes.Manual{}, manual...)
	c := carrying{app: app, x: app.fixExecutor(opts.sudo), answer: &answer.carried}
	defer c.x.Close()
	c.x.Journal.Wait = opts.timeout
	if opts.format == "json" {
		c.whole = answer
	}
	if ctx.Err() != nil {
		return c.refuse(errors.New("interrupted: nothing was changed"))
	}
	var needed []fixStep
	if opts.from != "" { // another machine's: its steps cannot ask here whether they are needed
		for _, step := range plan.Steps {
			answer.Steps = append(answer.Steps, fixStep{Description: step.Describe(), Preview: fixes.Preview{Needed: true}, step: step})
		}
		needed = answer.Steps
	} else {
		needed = c.preview(ctx, plan)
	}
	if c.whole == nil {
		if err := writePlan(app, answer, needed, opts); err != nil {
			return err
		}
	}
	switch {
	case len(needed) == 0 && len(answer.Manual) > 0 && !opts.dryRun && opts.from == "":
		return c.finish(cli.StatusError{StatusCode: 1}) // found, and not mended
	case len(needed) == 0 || opts.dryRun || opts.from != "":
		return c.finish(nil)
	case needed[0].Error != "":
		// A step that cannot even be previewed may be one that an earlier step makes possible (a program
		// that is installed first); where none comes before it, nothing is begun.
		return c.refuse(fmt.Errorf("%s\nNothing was changed", needed[0].Error))
	}
	if err := c.carry(ctx, plan.Name, needed, opts.consent); err != nil {
		return c.refuse(err)
	}
	after := inspect.Collect(ctx, app.machine(app.cli.CurrentContext()), opts.timeout, diagnoseSources(inspect.NVMLBriefSource, nil)...)
	after.Tool = app.tool()
	answer.Remaining = remaining(answer.Findings, fixes.Diagnose(after, fixes.Scope{}).Findings)
	if c.whole == nil {
		return sayFixed(app, answer, c.x)
	}
	if len(answer.Remaining) > 0 {
		return c.finish(cli.StatusError{StatusCode: 1})
	}
	return c.finish(nil)
}

func (o *fixOptions) planName() string {
	if len(o.names) == 0 {
		return "fix"
	}
	return "fix " + strings.Join(o.names, " ")
}

func remaining(wanted, found []fixes.Finding) []fixes.ID {
	var ids []fixes.ID
	for _, w := range wanted {
		if slices.ContainsFunc(found, func(f fixes.Finding) bool { return f.ID == w.ID && f.Container == w.Container }) && !slices.Contains(ids, w.ID) {
			ids = append(ids, w.ID)
		}
	}
	return ids
}

// rest is the command line behind the plugin's name.
func rest() []string {
	if at := slices.Index(os.Args, name); at >= 0 {
		return slices.Clone(os.Args[at+1:])
	}
	return slices.Clone(os.Args[1:])
}

func quoteArgs(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = quoteArg(a)
	}
	return strings.Join(quoted, " ")
}

// quoteArg writes an argument as a shell takes it.
func quoteArg(a string) string {
	if a != "" && strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./:,@+%$(){}") == "" && !strings.ContainsAny(a, "$(){}") {
		return a
	}
	return "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
}
