package plugin

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type diagnoseOptions struct {
	reading
	only       []string
	watch      bool
	interval   time.Duration
	containers []string
}

// diagnoseAnswer is what `diagnose --format json` prints.
type diagnoseAnswer struct {
	SchemaVersion int `json:"schemaVersion"`
	fixes.Diagnosis
	Sources []inspect.Reading `json:"sources,omitempty"` // those that failed, and why
}

// errFound ends a command that judges, and found something: its answer is printed, only the exit code is left.
var errFound = cli.StatusError{StatusCode: 1}

func newDiagnoseCmd(app *app, runF func(context.Context, *diagnoseOptions) error) *cobra.Command {
	opts := &diagnoseOptions{}
	cmd := &cobra.Command{
		Use:   "diagnose [OPTIONS] [CONTAINER...]",
		Short: "Find out why containers cannot use the GPU",
		Long: "Run every check on this machine, its engine, containers and project, read what the containers and the kernel said,\n" +
			"and name each root cause with its evidence and the steps that mend it. With names of containers, those are looked at\n" +
			"closely, and findings about others are left out.\n\n" +
			"Exit code: 0 nothing found, 1 something found.",
		Example: "  docker gpu diagnose\n  docker gpu diagnose trainer\n  docker gpu diagnose --from snapshot.json --format json",
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.containers = args
			if err := opts.check(cmd); err != nil {
				return err
			}
			for _, id := range opts.ids() {
				if _, ok := fixes.Knowledge().Entry(id); !ok {
					return usageError(cmd, "--only: there is no finding %q%s", id, nearestID(string(id)))
				}
			}
			if opts.watch && opts.from != "" {
				return usageError(cmd, "--watch and --from exclude each other")
			}
			if opts.interval <= 0 {
				return usageError(cmd, "--interval must be longer than 0, not %s", opts.interval)
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			if opts.watch {
				return watchDiagnose(cmd.Context(), app, opts)
			}
			return runDiagnose(cmd.Context(), app, opts)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return containerNames(cmd.Context(), app, args), cobra.ShellCompDirectiveNoFileComp
		},
	}
	opts.addFlags(cmd)
	cmd.Flags().StringSliceVar(&opts.only, "only", nil, "Show only findings with these ids, separated by commas")
	cmd.Flags().BoolVar(&opts.watch, "watch", false, "Go on looking, and print what appears and what goes away")
	cmd.Flags().DurationVar(&opts.interval, "interval", 5*time.Second, "With --watch, time between two looks")
	_ = cmd.RegisterFlagCompletionFunc("only", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var ids []string
		for _, e := range fixes.Knowledge().Entries {
			ids = append(ids, string(e.ID)+"\t"+e.Title)
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (o *diagnoseOptions) ids() []fixes.ID {
	var ids []fixes.ID
	for _, id := range o.only {
		if id = strings.TrimSpace(id); id != "" {
			ids = append(ids, fixes.ID(id))
		}
	}
	return ids
}

// nearestID suggests the id that was meant.
func nearestID(id string) string {
	for _, e := range fixes.Knowledge().Entries {
		if id != "" && (strings.Contains(string(e.ID), id) || strings.Contains(id, string(e.ID))) {
			return fmt.Sprintf("; did you mean %q?", e.ID)
		}
	}
	return ""
}

// diagnoseSources are all sources there are; gpus is the one that reads the GPUs.
func diagnoseSources(gpus inspect.Source, containers []string) []inspect.Source {
	return []inspect.Source{
		inspect.EngineSource, inspect.ContainersSource(true), inspect.ProjectSource,
		inspect.HostSource, inspect.DriverSource, gpus, inspect.ToolkitSource,
		inspect.CDISource, inspect.DaemonConfigSource, inspect.DesktopConfigSource, inspect.KernelLogSource, inspect.ProcessesSource, whyEngineStopped,
		inspect.SwarmSource,
		inspect.InsidesSource(func(c *inspect.Container) bool { return len(c.Grant.By) > 0 }),
		inspect.LogsSource(fixes.ConcernsGPU, containers...),
	}
}

// whyEngineStopped reads the engine's log where no engine answers on this machine: while one runs, its old
// errors say nothing.
var whyEngineStopped = inspect.Source{Name: inspect.EngineLogSource.Name, Then: func(s *inspect.Snapshot) func(context.Context, inspect.Machine) (inspect.Patch, error) {
	if e := s.Engine; e == nil || e.Version != "" || e.Unreachable == "denied" || !strings.HasPrefix(e.Endpoint, "unix://") {
		return nil
	}
	return inspect.EngineLogSource.Read
}}

// diagnose takes a Snapshot and judges it. A container that was asked for by name has to be in it.
func diagnose(ctx context.Context, app *app, opts *diagnoseOptions) (*inspect.Snapshot, fixes.Diagnosis, error) {
	s, err := opts.snapshot(ctx, app, diagnoseSources(inspect.NVMLBriefSource, opts.containers)...)
	if err != nil {
		return nil, fixes.Diagnosis{}, err
	}
	scope := fixes.Scope{Containers: opts.containers, Only: opts.ids()}
	if s.Containers != nil {
		for _, name := range opts.containers {
			if !slices.ContainsFunc(s.Containers, func(c inspect.Container) bool { return (fixes.Scope{Containers: []string{name}}).Has(&c) }) {
				return nil, fixes.Diagnosis{}, fmt.Errorf("docker gpu: no such container: %s; docker ps -a lists those there are", name)
			}
		}
	}
	return s, fixes.Diagnose(s, scope), nil
}

func runDiagnose(ctx context.Context, app *app, opts *diagnoseOptions) error {
	s, d, err := diagnose(ctx, app, opts)
	if err != nil {
		return err
	}
	return opts.found(app, s, d, func() error {
		return writeDiagnosis(app.out(), opts.width(app), s, d, len(opts.containers) > 0 || len(opts.only) > 0)
	})
}

// found writes what diagnose or audit found: as text by the command's own table, else as both do it; an
// error where it is a problem.
func (r *reading) found(app *app, s *inspect.Snapshot, d fixes.Diagnosis, table func() error) error {
	answer := diagnoseAnswer{SchemaVersion: inspect.SchemaVersion, Diagnosis: d, Sources: failedSources(s)}
	var err error
	switch r.format {
	case "", "table":
		err = table()
	case "json":
		err = writeJSON(app.out(), answer, "  ")
	default:
		err = writeTemplate(app.out(), r.template(), answer)
	}
	if err == nil && d.Bad() {
		return errFound
	}
	return err
}

func failedSources(s *inspect.Snapshot) []inspect.Reading {
	var bad []inspect.Reading
	for _, r := range s.Sources {
		if r.Error != "" || r.Denied || r.TimedOut || strings.HasPrefix(r.Note, "not read") {
			bad = append(bad, r)
		}
	}
	return bad
}

// writeDiagnosis prints the findings, what to fix first in front, each with its evidence and its steps.
func writeDiagnosis(out io.Writer, width int, s *inspect.Snapshot, d fixes.Diagnosis, narrowed bool) error {
	var b strings.Builder
	for i, f := range d.Findings {
		if i > 0 {
			b.WriteString("\n")
		}
		writeFinding(&b, width, f)
	}
	if len(d.Findings) == 0 {
		b.WriteString("Nothing found.\n")
		if !narrowed {
			v := fixes.Judge(s)
			b.WriteString(harmlessName(v.Text) + "\n")
		}
	}
	if len(d.Related) > 0 {
		b.WriteString("\nSeen before, and not borne out by what the machine shows now:\n")
		for _, f := range d.Related {
			where := ""
			if len(f.Evidence) > 0 {
				where = " (" + harmlessName(f.Evidence[0].Source) + ")"
			}
			fmt.Fprintf(&b, "  %s%s\n", f.ID, where)
		}
	}
	if len(d.Unexamined) > 0 {
		fmt.Fprintf(&b, "\nNot examined (%d), because not everything could be read:\n", len(d.Unexamined))
		for _, r := range failedSources(s) {
			why := r.Error
			if why == "" {
				why = r.Note
			}
			if r.Denied {
				why += " (root may see it: sudo docker gpu diagnose)"
			}
			writeText(&b, width, "  ", harmlessName(r.Name)+": "+harmlessName(why))
		}
		if slices.Contains(d.Unexamined, "cgroup-device-lost") {
			writeText(&b, width, "  ", "containers: whether one that runs may still use its GPU shows only inside (docker exec NAME nvidia-smi)")
		}
		ids := make([]string, len(d.Unexamined))
		for i, id := range d.Unexamined {
			ids[i] = string(id)
		}
		writeText(&b, 96, "  ", strings.Join(ids, ", "))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

var severityMarks = map[fixes.Severity]string{fixes.Error: "✗", fixes.Warning: "!", fixes.Info: "i"}

func writeFinding(b *strings.Builder, width int, f fixes.Finding) {
	where := ""
	if f.Container != "" {
		where = "container " + harmlessName(f.Container) + ": "
	}
	writeFindingOf(b, width, f, where)
}

// writeFindingOf writes a finding of something else than a container of this engine: where names it.
func writeFindingOf(b *strings.Builder, width int, f fixes.Finding, where string) {
	writeText(b, width, severityMarks[f.Severity]+" ", fmt.Sprintf("%s%s (%s, %s)", where, harmlessName(f.Title), f.ID, f.Severity))
	if f.Cause != "" && !strings.EqualFold(strings.TrimSuffix(f.Cause, "."), f.Title) {
		writeText(b, width, "  ", harmlessName(f.Cause))
	}
	for _, e := range f.Evidence {
		source := harmlessName(e.Source)
		if e.Line > 0 {
			source = fmt.Sprintf("%s:%d", source, e.Line)
		}
		lines := strings.Split(strings.TrimSpace(e.Text), "\n")
		writeText(b, width, "  seen   ", source+": "+shorten(harmlessName(lines[0]), 400))
		for _, line := range lines[1:min(len(lines), 4)] {
			writeText(b, width, "         ", shorten(harmlessName(line), 400))
		}
	}
	for i, step := range f.Steps {
		label := "      "
		if i == 0 {
			label = "do    "
		}
		writeStep(b, width, "  "+label+" ", f.ID, step)
	}
	if f.Question != "" {
		writeText(b, width, "  ask    ", harmlessName(f.Question))
	}
	if slices.Contains(fixes.PlaybookNames, f.Playbook) {
		fmt.Fprintf(b, "  fix    docker gpu fix %s\n", f.Playbook)
	}
	if len(f.Folded) > 0 {
		ids := make([]string, len(f.Folded))
		for i, id := range f.Folded {
			ids[i] = string(id)
		}
		fmt.Fprintf(b, "  and    explains %s\n", strings.Join(ids, ", "))
	}
	fmt.Fprintf(b, "  more   docker gpu explain %s\n", f.ID)
}

// watchDiagnose looks again and again, and prints each finding when it appears and when it is gone.
func watchDiagnose(ctx context.Context, app *app, opts *diagnoseOptions) error {
	type key struct {
		id        fixes.ID
		container string
	}
	known := map[key]fixes.Finding{}
	first := true
	for {
		s, d, err := diagnose(ctx, app, opts)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		now := map[key]fixes.Finding{}
		at := s.TakenAt.Local().Format(time.TimeOnly)
		for _, f := range d.Findings {
			k := key{f.ID, f.Container}
			now[k] = f
			if _, old := known[k]; old {
				continue
			}
			if err := writeChange(app.out(), opts.format, s.TakenAt, at, "+", f); err != nil {
				return err
			}
		}
		for k, f := range known {
			if _, still := now[k]; still || slices.Contains(d.Unexamined, k.id) {
				if !still { // not seen is not gone
					now[k] = f
				}
				continue
			}
			if err := writeChange(app.out(), opts.format, s.TakenAt, at, "-", f); err != nil {
				return err
			}
		}
		if first && len(now) == 0 && opts.format != "json" {
			fmt.Fprintf(app.out(), "%s  nothing found; watching\n", at)
		}
		known, first = now, false
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(opts.interval):
		}
	}
}

// change is one line of `diagnose --watch --format json`.
type change struct {
	At      time.Time     `json:"at"`
	Change  string        `json:"change"` // appeared, gone
	Finding fixes.Finding `json:"finding"`
}

func writeChange(out io.Writer, format string, when time.Time, at, sign string, f fixes.Finding) error {
	if format == "json" {
		word := map[string]string{"+": "appeared", "-": "gone"}[sign]
		return writeJSON(out, change{when, word, f}, "")
	}
	where := ""
	if f.Container != "" {
		where = "container " + harmlessName(f.Container) + ": "
	}
	_, err := fmt.Fprintf(out, "%s  %s %s%s (%s, %s)\n", at, sign, where, harmlessName(f.Title), f.ID, f.Severity)
	return err
}

// containerNames are the engine's containers for completion, without those already there.
func containerNames(ctx context.Context, app *app, taken []string) []string {
	s := inspect.Collect(ctx, app.machine(app.cli.CurrentContext()), 2*time.Second, inspect.ContainersSource(true))
	var names []string
	for _, c := range s.Containers {
		if !slices.Contains(taken, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}
