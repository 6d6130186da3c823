package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/cli/cli"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// switchOptions are the flags of enable and disable; void is disable.
type switchOptions struct {
	void         bool
	gpus         string
	capabilities string
	auto         bool
	apply        bool
	dryRun       bool
	envFile      string
	force        bool
	writeFix     bool
	format       string
	timeout      time.Duration
}

func (o *switchOptions) name() string {
	if o.void {
		return "disable"
	}
	return "enable"
}

// switchAnswer is what enable and disable print with --format json.
type switchAnswer struct {
	SchemaVersion  int                     `json:"schemaVersion"`
	File           string                  `json:"file"` // relative to the project's folder where it lies below it
	Folder         string                  `json:"folder"`
	Line           int                     `json:"line,omitempty"`
	VisibleDevices string                  `json:"visibleDevices"`
	Before         *string                 `json:"before"` // null: was not set
	Capabilities   *string                 `json:"driverCapabilities,omitempty"`
	Changed        bool                    `json:"changed"`
	DryRun         bool                    `json:"dryRun,omitempty"`
	Diff           string                  `json:"diff,omitempty"`
	Journal        int                     `json:"journal,omitempty"` // entry for docker gpu fix --undo
	Reason         string                  `json:"reason,omitempty"`  // of --auto
	Effect         map[string]fixes.Effect `json:"effect"`            // by service; absent ones: the effect could not be found out
	Services       []fixes.ServiceEffect   `json:"services"`
	Problems       []inspect.FileProblem   `json:"problems,omitempty"` // files that could not be understood: the effect is not known
	Stale          []string                `json:"stale,omitempty"`    // running containers that still have the old value
	Applied        []string                `json:"applied,omitempty"`  // services that were recreated
	Rebuild        []string                `json:"rebuild,omitempty"`  // dev containers that --apply leaves to their own tool
	Warnings       []string                `json:"warnings,omitempty"`
}

func newEnableCmd(app *app, runF func(context.Context, *switchOptions) error) *cobra.Command {
	opts := &switchOptions{}
	cmd := &cobra.Command{
		Use:   "enable [OPTIONS]",
		Short: "Turn GPU passthrough of this project on",
		Long: "Turn GPU passthrough of this project on: NVIDIA_VISIBLE_DEVICES=all, or the GPUs named, in\n" +
			".devcontainer/.env. Says for each service what that changes, and what it does not.",
		Example: "  docker gpu enable\n  docker gpu enable --gpus 0,1 --capabilities compute,utility\n  docker gpu enable --auto   # in a devcontainer's initializeCommand",
		Args:    noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.gpus, "gpus", "all", "GPUs: all, none, indexes (0,1), UUIDs, MIG devices (0:1), or CDI names (nvidia.com/gpu=0)")
	flags.StringVar(&opts.capabilities, "capabilities", "", "Write NVIDIA_DRIVER_CAPABILITIES: "+strings.Join(fixes.Capabilities, ", "))
	flags.BoolVar(&opts.auto, "auto", false, "Write all where containers can use the GPU, and void where they cannot")
	flags.BoolVar(&opts.force, "force", false, "Write GPUs that are not on this machine")
	_ = cmd.RegisterFlagCompletionFunc("capabilities", fixed(fixes.Capabilities...))
	_ = cmd.RegisterFlagCompletionFunc("gpus", fixed("all", "none", "0"))
	return opts.finish(app, cmd, runF)
}

func newDisableCmd(app *app, runF func(context.Context, *switchOptions) error) *cobra.Command {
	opts := &switchOptions{void: true}
	cmd := &cobra.Command{
		Use:   "disable [OPTIONS]",
		Short: "Turn GPU passthrough of this project off",
		Long: "Turn GPU passthrough of this project off: NVIDIA_VISIBLE_DEVICES=void in .devcontainer/.env. Says for\n" +
			"each service what that changes, and which keep their GPU.",
		Args: noArgs,
	}
	return opts.finish(app, cmd, runF)
}

func fixed(values ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// finish adds what both commands have.
func (o *switchOptions) finish(app *app, cmd *cobra.Command, runF func(context.Context, *switchOptions) error) *cobra.Command {
	flags := cmd.Flags()
	flags.BoolVar(&o.apply, "apply", false, "Recreate running containers that have the old value, with docker compose")
	flags.BoolVar(&o.dryRun, "dry-run", false, "Show the change as a diff and write nothing")
	flags.StringVar(&o.envFile, "env-file", "", "Write to `FILE` instead of .devcontainer/.env")
	flags.BoolVar(&o.writeFix, "write-fix", false, "Rewrite hard-coded values in compose files so that they follow the switch")
	flags.StringVar(&o.format, "format", "", "Format output using a custom template: 'table', 'json', or a Go template")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "Longest time that any one source may take")
	_ = cmd.RegisterFlagCompletionFunc("format", fixed("table", "json"))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(cmd); err != nil {
			return err
		}
		if runF != nil {
			return runF(cmd.Context(), o)
		}
		return runSwitch(cmd.Context(), app, cmd, o)
	}
	return cmd
}

// check refuses what is wrong on any machine, before anything is read.
func (o *switchOptions) check(cmd *cobra.Command) error {
	switch {
	case o.timeout <= 0:
		return usageError(cmd, "--timeout must be longer than 0, not %s", o.timeout)
	case o.auto && cmd.Flags().Changed("gpus"):
		return usageError(cmd, "--auto and --gpus exclude each other")
	case o.dryRun && o.apply:
		return usageError(cmd, "--dry-run and --apply exclude each other")
	case cmd.Flags().Changed("env-file") && o.envFile == "":
		return usageError(cmd, "--env-file needs the name of a file")
	case cmd.Flags().Changed("capabilities") && o.capabilities == "":
		return usageError(cmd, "--capabilities needs names: %s", strings.Join(fixes.Capabilities, ", "))
	}
	if o.capabilities != "" {
		written, refusal := fixes.CheckCapabilities(o.capabilities)
		if refusal != nil {
			return usageError(cmd, "--capabilities: %s", refusal)
		}
		o.capabilities = written
	}
	if !o.void && !o.auto {
		if _, _, refusal := fixes.CheckDevices(nil, o.gpus); refusal != nil && refusal.Syntax {
			return usageError(cmd, "--gpus: %s", refusal)
		}
	}
	return checkTemplate(cmd, o.format)
}

// sources are the facts that are needed: what the engine can serve and what runs, and, where GPUs are
// named or asked about, which there are.
func (o *switchOptions) sources() []inspect.Source {
	sources := []inspect.Source{
		inspect.ProjectSourceFor(inspect.ProjectOptions{EnvFile: o.envFile, Always: true}),
		inspect.EngineSource, inspect.ContainersSource(false), inspect.HostSource, inspect.ToolkitSource, inspect.CDISource,
	}
	if !o.void {
		sources = append(sources, inspect.DriverSource, inspect.NVMLBriefSource)
	}
	if o.auto {
		sources = append(sources, inspect.DaemonConfigSource)
	}
	return sources
}

func runSwitch(ctx context.Context, app *app, cmd *cobra.Command, opts *switchOptions) error {
	collect := func(sources ...inspect.Source) *inspect.Snapshot {
		s := inspect.Collect(ctx, app.machine(app.cli.CurrentContext()), opts.timeout, sources...)
		s.Tool = app.tool()
		return s
	}
	s := collect(opts.sources()...)
	if s.Project == nil {
		return errors.New("docker gpu: the project's folder could not be read" + reasonOf(s, "project"))
	}
	answer := &switchAnswer{SchemaVersion: 1, File: s.Project.EnvFile.Path, Folder: s.Project.Folder, DryRun: opts.dryRun, VisibleDevices: "void", Effect: map[string]fixes.Effect{}}
	if err := opts.decide(cmd, s, answer); err != nil {
		return err
	}
	answer.Warnings = append(answer.Warnings, fixes.SwitchWarnings(s, answer.VisibleDevices, opts.capabilities)...)
	path := answer.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.Project.Folder, path)
	}
	assignments := []fixes.Assignment{{Key: fixes.VisibleDevices, Value: answer.VisibleDevices}}
	if opts.capabilities != "" {
		assignments = append(assignments, fixes.Assignment{Key: fixes.DriverCapabilities, Value: opts.capabilities})
		answer.Capabilities = &opts.capabilities
	}
	plan := fixes.SwitchPlan(opts.name(), path, answer.File, assignments...)
	if opts.writeFix {
		plan.Steps = append(plan.Steps, fixes.WriteFixPlan(s).Steps...)
	}
	if err := carryOut(ctx, app.executor(), plan, opts.dryRun, answer); err != nil {
		return fmt.Errorf("docker gpu: %w", err)
	}
	if opts.writeFix && answer.Changed { // what follows now is for the files to say
		s.Project = collect(opts.sources()[0]).Project
	}
	answer.judge(s)
	if opts.apply {
		if err := answer.apply(ctx, app, s); err != nil {
			return err
		}
	}
	if err := answer.print(app, opts); err != nil {
		return err
	}
	return nil
}

// decide finds the value that is to be written.
func (o *switchOptions) decide(cmd *cobra.Command, s *inspect.Snapshot, answer *switchAnswer) error {
	switch {
	case o.void:
	case o.auto:
		answer.VisibleDevices, answer.Reason = fixes.AutoValue(s)
	default:
		written, unchecked, refusal := fixes.CheckDevices(s, o.gpus)
		switch {
		case refusal != nil && refusal.Syntax:
			return usageError(cmd, "--gpus: %s", refusal)
		case refusal != nil && !o.force:
			return cli.StatusError{Status: fmt.Sprintf("docker gpu: --gpus: %s\nTo prepare the project for another machine: --force", refusal), StatusCode: 1}
		case refusal != nil:
			answer.warn("%s; written because of --force", refusal.Text)
			written = strings.ReplaceAll(o.gpus, " ", "")
		case unchecked != "" && !o.force:
			answer.warn("%s could not be checked: %s", written, unchecked)
		}
		answer.VisibleDevices = written
		if machine := *s; written == "all" {
			machine.Project = nil
			switch v := fixes.Judge(&machine); {
			case v.Code == fixes.OK:
			case s.GPUs != nil && len(s.GPUs) == 0 && v.Code != fixes.NoGPU:
				answer.warn("There is no NVIDIA GPU here. %s", v.Text)
			default:
				answer.warn("%s", v.Text)
			}
		}
	}
	return nil
}

func (a *switchAnswer) warn(format string, args ...any) {
	a.Warnings = append(a.Warnings, fmt.Sprintf(format, args...))
}

// carryOut writes, or shows what would be written.
func carryOut(ctx context.Context, x *fixes.Executor, plan fixes.Plan, dryRun bool, answer *switchAnswer) error {
	var first fixes.Preview
	if dryRun {
		previews, err := x.Preview(ctx, plan)
		if err != nil {
			return err
		}
		first = previews[0]
		for _, p := range previews {
			answer.Diff += p.Diff
			answer.Changed = answer.Changed || p.Needed
		}
	} else {
		result, err := x.Run(ctx, plan)
		if err != nil {
			return err
		}
		first, answer.Changed, answer.Journal = result.Steps[0].Preview, result.Changed(), result.Entry
	}
	after := first.Record.After
	if !first.Needed { // the file says it already
		path := plan.Steps[0].(*fixes.FileStep).Path
		data, err := x.Host.ReadFile(path)
		if err != nil {
			return err
		}
		after = data
	}
	answer.Line = fixes.EnvLine(after, fixes.VisibleDevices)
	return nil
}

// judge says what the change means for the project's services and running containers.
func (a *switchAnswer) judge(s *inspect.Snapshot) {
	if v := s.Project.VisibleDevices; v != nil {
		a.Before = &v.Value
	}
	a.Problems = s.Project.Problems
	a.Services = fixes.Effects(s)
	rank := map[fixes.Effect]int{fixes.Follows: 1, fixes.NotRead: 2, fixes.HardCoded: 3, fixes.KeepsGPU: 4, fixes.CannotStart: 5}
	for _, e := range a.Services {
		if rank[e.Effect] > rank[a.Effect[e.Name]] { // a service that is read in two ways: the worse one
			a.Effect[e.Name] = e.Effect
		}
	}
	for _, c := range fixes.Stale(s, a.VisibleDevices) {
		a.Stale = append(a.Stale, c.Name)
	}
}

func (a *switchAnswer) print(app *app, opts *switchOptions) error {
	for _, w := range a.Warnings {
		fmt.Fprintln(app.cli.Err(), "Warning: "+harmlessName(w))
	}
	switch opts.format {
	case "", "table":
	case "json":
		if a.Services == nil {
			a.Services = []fixes.ServiceEffect{}
		}
		return writeJSON(app.out(), a, "  ")
	default:
		return writeTemplate(app.out(), strings.TrimPrefix(opts.format, "table "), a)
	}
	if err := a.write(app.out(), opts, app.width()); err != nil {
		return err
	}
	return a.complain(app.cli.Err())
}

// write is the answer for people.
func (a *switchAnswer) write(out io.Writer, opts *switchOptions, width int) error {
	var b strings.Builder
	if opts.dryRun {
		b.WriteString(harmlessText(a.Diff))
	}
	b.WriteString(harmlessName(a.headline()) + "\n")
	if a.Reason != "" {
		b.WriteString(harmlessName(a.Reason) + "\n")
	}
	if len(a.Services) > 0 {
		b.WriteString("\n")
		columns := []column{{title: "SERVICE", keep: keepAlways, least: 10}, {title: "EFFECT", keep: keepAlways}, {title: "WHERE", keep: 50, least: 12}, {title: "WHY", keep: 90, least: 24}}
		var rows [][]string
		for _, e := range a.Services {
			where := e.File
			if e.Line > 0 {
				where = fmt.Sprintf("%s:%d", e.File, e.Line)
			}
			rows = append(rows, []string{harmlessName(e.Name), effectWords[e.Effect], harmlessName(where), harmlessName(e.Why)})
		}
		if err := writeTable(&b, width, columns, rows); err != nil {
			return err
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

var effectWords = map[fixes.Effect]string{fixes.Follows: "follows", fixes.NotRead: "not read", fixes.HardCoded: "hard-coded", fixes.KeepsGPU: "keeps its GPU", fixes.CannotStart: "cannot start here"}

func (a *switchAnswer) headline() string {
	place := a.File
	if a.Line > 0 {
		place = fmt.Sprintf("%s:%d", a.File, a.Line)
	}
	text := fmt.Sprintf("NVIDIA_VISIBLE_DEVICES=%s (%s)", a.VisibleDevices, place)
	switch {
	case a.DryRun && a.Changed:
		return text + " would be written; nothing was changed."
	case !a.Changed:
		return text + ": the file already says so, nothing was changed."
	case a.Before == nil:
		return text + " is written; it was not set before."
	case *a.Before != a.VisibleDevices:
		return text + " is written; it was " + *a.Before + "."
	}
	return text + " is written."
}

// complain says on standard error where the switch does not do what a user may believe, and what to do.
func (a *switchAnswer) complain(out io.Writer) error {
	var b strings.Builder
	for _, p := range a.Problems {
		place := p.Path
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d", p.Path, p.Line)
		}
		fmt.Fprintf(&b, "Warning: %s: %s: the effect on its services is not known\n", harmlessName(place), harmlessName(p.Message))
	}
	for _, group := range alike(a.Services) {
		e, names, places := group[0], []string{}, []string{}
		for _, e := range group {
			where := e.File
			if e.Line > 0 {
				where = fmt.Sprintf("%s:%d", e.File, e.Line)
			}
			names, places = append(names, e.Name), append(places, where)
		}
		fmt.Fprintf(&b, "Warning: %s: %s (%s): %s\n", harmlessName(few(names)), effectWords[e.Effect], harmlessName(few(places)), harmlessName(e.Why))
		if e.Write != "" {
			fmt.Fprintf(&b, "  Instead: %s\n", harmlessName(e.Write))
		}
	}
	if len(a.Services) == 0 && len(a.Problems) == 0 {
		b.WriteString("Note: no service or dev container of this project uses a GPU or reads this file.\n")
	}
	if len(a.Stale) > 0 && len(a.Applied) == 0 && len(a.Rebuild) == 0 {
		command := "docker gpu enable --apply"
		if a.VisibleDevices == "void" {
			command = "docker gpu disable --apply"
		}
		fmt.Fprintf(&b, "Still running with the old value: %s. Recreate with: %s\n", harmlessName(strings.Join(a.Stale, ", ")), command)
	}
	if len(a.Applied) > 0 {
		fmt.Fprintf(&b, "Recreated: %s.\n", harmlessName(strings.Join(a.Applied, ", ")))
	}
	if len(a.Rebuild) > 0 {
		fmt.Fprintf(&b, "Still running with the old value: %s. Rebuild it: devcontainer up --remove-existing-container --workspace-folder %s\n", harmlessName(strings.Join(a.Rebuild, ", ")), harmlessName(a.Folder))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// alike puts services together for which the same holds; those that follow are left out.
func alike(services []fixes.ServiceEffect) [][]fixes.ServiceEffect {
	var groups [][]fixes.ServiceEffect
next:
	for _, e := range services {
		if e.Effect == fixes.Follows {
			continue
		}
		for i, g := range groups {
			if g[0].Effect == e.Effect && g[0].Why == e.Why && g[0].Write == e.Write {
				groups[i] = append(g, e)
				continue next
			}
		}
		groups = append(groups, []fixes.ServiceEffect{e})
	}
	return groups
}

// few names the first of many.
func few(names []string) string {
	const most = 4
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// reasonOf is a source's own words on why it failed.
func reasonOf(s *inspect.Snapshot, name string) string {
	for _, r := range s.Sources {
		if r.Name == name && r.Error != "" {
			return ": " + r.Error
		}
	}
	return ""
}
