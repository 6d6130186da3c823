package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
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
	names     []string
	container string
	yes       bool
	dryRun    bool
	allow     []string
	undo      string // "": not asked for; "newest", or a number
	list      bool
	sudo      bool
}

// allowed are the harms that --allow takes.
var allowed = []fixes.Harm{fixes.HarmRestart, fixes.HarmInstall, fixes.HarmDriver, fixes.HarmReboot}

// fixStep is a step in `fix --format json`.
type fixStep struct {
	fixes.Description
	fixes.Preview
	State fixes.StepState `json:"state,omitempty"`
	Error string          `json:"error,omitempty"`
	step  fixes.Step
}

// fixAnswer is what `fix --format json` prints.
type fixAnswer struct {
	SchemaVersion int             `json:"schemaVersion"`
	Findings      []fixes.Finding `json:"findings"` // what the plan answers
	Steps         []fixStep       `json:"steps"`
	Manual        []fixes.Manual  `json:"manual"`
	Applied       bool            `json:"applied"`
	Entry         int             `json:"entry,omitempty"`     // of the journal
	Remaining     []fixes.ID      `json:"remaining,omitempty"` // still found afterwards
	Refused       string          `json:"refused,omitempty"`   // why nothing was carried out
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
	opts.addFlags(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&opts.yes, "yes", "y", false, "Answer yes for steps that edit files or reload the engine, and for those that --allow names")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "Show the plan, carry nothing out")
	flags.StringSliceVar(&opts.allow, "allow", nil, "With --yes, carry out steps of these kinds, too: restart, install, driver, reboot")
	flags.StringVar(&opts.undo, "undo", "", "Undo a change: the newest, or the one with this `ID`")
	flags.Lookup("undo").NoOptDefVal = "newest"
	flags.BoolVar(&opts.list, "list", false, "List the changes that were made")
	flags.BoolVar(&opts.sudo, "sudo", false, "Carry steps that need root out by sudo")
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

// fixExecutor carries plans out, and takes back what was done to an engine.
func (a *app) fixExecutor() *fixes.Executor {
	x := a.executor()
	x.Host = fixes.EngineHost{Host: x.Host, Root: rootFolder(), Dial: fixes.DialEngine}
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
	s, err := opts.snapshot(ctx, app, diagnoseSources(nil)...)
	if err != nil {
		return err
	}
	target := fixes.Target{Root: rootFolder(), Reading: opts.from != ""}
	if opts.from == "" {
		if api, err := app.machine(app.cli.CurrentContext()).Dial(ctx); err == nil {
			target.Control, _ = api.(fixes.EngineControl)
		}
		target.User = os.Getenv("SUDO_USER")
		if u, err := user.Current(); err == nil && target.User == "" {
			target.User = u.Username
		}
	}
	answer := fixAnswer{SchemaVersion: inspect.SchemaVersion, Findings: opts.wanted(fixes.Diagnose(s, fixes.Scope{}).Findings), Steps: []fixStep{}}
	plan, manual := fixes.PlanFix(opts.planName(), s, answer.Findings, target)
	answer.Manual = append([]fixes.Manual{}, manual...)
	x := app.fixExecutor()
	for _, step := range plan.Steps {
		f := fixStep{Description: step.Describe(), Preview: fixes.Preview{Needed: true}, step: step}
		if opts.from == "" {
			if f.Preview, err = step.Preview(ctx, x.Host); err != nil {
				f.Error = err.Error()
			}
		}
		answer.Steps = append(answer.Steps, f)
	}
	needed := slices.DeleteFunc(slices.Clone(answer.Steps), func(f fixStep) bool { return !f.Needed && f.Error == "" })
	if opts.format != "json" {
		if err := writePlan(app, answer, needed, opts); err != nil {
			return err
		}
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
	switch {
	case len(needed) == 0 && len(answer.Manual) > 0 && !opts.dryRun && opts.from == "":
		return finish(cli.StatusError{StatusCode: 1}) // found, and not mended
	case len(needed) == 0:
		return finish(nil)
	case opts.dryRun || opts.from != "":
		return finish(nil)
	}
	if at := slices.IndexFunc(needed, func(f fixStep) bool { return f.Error != "" }); at >= 0 && !errors.Is(ctx.Err(), context.Canceled) {
		// A step that cannot even be previewed may be one that an earlier step makes possible (a program
		// that is installed first); where none comes before it, nothing is begun.
		if at == 0 {
			return refuse("%s: nothing was changed", needed[at].Error)
		}
	}
	if os.Geteuid() != 0 && slices.ContainsFunc(needed, func(f fixStep) bool { return f.Root }) {
		if opts.sudo {
			return bySudo(app)
		}
		return refuse("this needs root, nothing was changed. Run: sudo docker gpu %s\nor let docker gpu do it: docker gpu %s --sudo", quoteArgs(rest()), quoteArgs(rest()))
	}
	steps, err := opts.ask(app, needed)
	if err != nil {
		return refuse("%s", err)
	}
	plan.Steps = steps
	if opts.format != "json" {
		x.Tell = func(p fixes.Progress) { tellStep(app, p) }
	}
	result, err := x.Run(ctx, plan)
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
		answer.Refused = err.Error()
		if opts.format == "json" {
			return finish(cli.StatusError{StatusCode: 1})
		}
		return fmt.Errorf("docker gpu: %w", err)
	}
	after := inspect.Collect(ctx, app.machine(app.cli.CurrentContext()), opts.timeout, diagnoseSources(nil)...)
	after.Tool = app.tool()
	answer.Remaining = remaining(answer.Findings, fixes.Diagnose(after, fixes.Scope{}).Findings)
	if opts.format != "json" {
		return sayFixed(app, answer)
	}
	if len(answer.Remaining) > 0 {
		return finish(cli.StatusError{StatusCode: 1})
	}
	return finish(nil)
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

// ask asks for the plan as a whole, then for each step that needs a question of its own, and returns what
// is to be carried out.
func (o *fixOptions) ask(app *app, needed []fixStep) ([]fixes.Step, error) {
	terminal := app.cli.In().IsTerminal()
	in := bufio.NewReader(app.cli.In())
	question := func(text string) bool {
		fmt.Fprintf(app.cli.Err(), "%s [y/N] ", text)
		line, _ := in.ReadString('\n')
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes"
	}
	if !o.yes {
		if !terminal {
			return nil, errors.New("docker gpu asks before it changes anything, and this is no terminal: add --yes (nothing was changed)")
		}
		if !question("Carry this out?") {
			return nil, errors.New("nothing was changed")
		}
	}
	var steps []fixes.Step
	for i, f := range needed {
		_, single := f.step.(fixes.OneByOne)
		gentle := f.Harm == fixes.HarmEdit || f.Harm == fixes.HarmReload
		switch {
		case single && !terminal:
			fmt.Fprintf(app.cli.Err(), "Not done, because it has to be asked for on a terminal: %s\n", harmlessName(f.Text))
			continue
		case !single && (gentle || slices.Contains(o.allow, string(f.Harm))):
		case !terminal:
			return nil, fmt.Errorf("step %d, %q, is of the kind %q: add --allow %s (nothing was changed)", i+1, f.Text, f.Harm, f.Harm)
		case !question(fmt.Sprintf("Step %d: %s (%s). Carry it out?", i+1, harmlessName(f.Text), f.Harm)):
			if single {
				continue
			}
			return nil, errors.New("nothing was changed")
		}
		steps = append(steps, f.step)
	}
	if len(steps) == 0 {
		return nil, errors.New("nothing was changed")
	}
	return steps, nil
}

// bySudo runs the same command line as root.
func bySudo(app *app) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	keep := "--preserve-env=DOCKER_HOST,DOCKER_CONTEXT,DOCKER_CONFIG,DOCKER_GPU_ROOT,NO_COLOR"
	cmd := exec.Command("sudo", append([]string{keep, "--", self, name}, slices.DeleteFunc(rest(), func(a string) bool { return a == "--sudo" })...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = app.cli.In(), app.out(), app.cli.Err()
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return cli.StatusError{StatusCode: exit.ExitCode()}
		}
		return fmt.Errorf("docker gpu: sudo: %w", err)
	}
	return nil
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
