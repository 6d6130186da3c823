package plugin

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type auditOptions struct {
	reading
	only        []string
	policy      string
	printPolicy bool
	watch       bool
	containers  []string
}

func newAuditCmd(app *app, runF func(context.Context, *auditOptions) error) *cobra.Command {
	opts := &auditOptions{}
	cmd := &cobra.Command{
		Use:   "audit [OPTIONS] [CONTAINER...]",
		Short: "Review who has GPU access, and whether they should",
		Long: "Review the running containers that have a GPU, the engine's settings and the toolkit's version, and say of each\n" +
			"finding why it matters and how to reduce it. With --policy, containers that no rule allows are findings too.\n\n" +
			"Exit code: 0 nothing of severity warning or above, 1 something found.",
		Example: "  docker gpu audit\n  docker gpu audit --print-policy > gpu-policy.yaml\n  docker gpu audit --policy gpu-policy.yaml --watch",
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.containers = args
			if err := opts.check(cmd); err != nil {
				return err
			}
			for _, id := range opts.only {
				if e, ok := fixes.Knowledge().Entry(fixes.ID(strings.TrimSpace(id))); !ok || e.Playbook != "audit" {
					return usageError(cmd, "--only: audit has no finding %q", id)
				}
			}
			switch {
			case opts.watch && opts.from != "":
				return usageError(cmd, "--watch and --from exclude each other")
			case opts.watch && len(args) > 0:
				return usageError(cmd, "--watch follows all containers: leave out %q", args[0])
			case opts.watch && opts.template() != "":
				return usageError(cmd, "--watch prints lines or, with --format json, objects, and takes no template")
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			if opts.printPolicy {
				_, err := io.WriteString(app.out(), fixes.ExamplePolicy)
				return err
			}
			return runAudit(cmd.Context(), app, opts)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return containerNames(cmd.Context(), app, args), cobra.ShellCompDirectiveNoFileComp
		},
	}
	opts.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&opts.only, "only", nil, "Show only findings with these ids, separated by commas")
	flags.StringVar(&opts.policy, "policy", "", "Hold GPU access against the rules of `FILE`")
	flags.BoolVar(&opts.printPolicy, "print-policy", false, "Print a commented policy to start from")
	flags.BoolVar(&opts.watch, "watch", false, "Follow the engine, and print a line for each grant as it happens")
	_ = cmd.RegisterFlagCompletionFunc("policy", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	})
	_ = cmd.RegisterFlagCompletionFunc("only", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var ids []string
		for _, e := range fixes.Knowledge().Entries {
			if e.Playbook == "audit" {
				ids = append(ids, string(e.ID)+"\t"+e.Title)
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// readPolicy reads the file of --policy; nil where there is none.
func readPolicy(name string) (*fixes.Policy, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("docker gpu: policy: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 2<<20))
	if err != nil {
		return nil, fmt.Errorf("docker gpu: policy: %w", err)
	}
	policy, err := fixes.ParsePolicy(data)
	if err != nil {
		return nil, fmt.Errorf("docker gpu: policy %s: %w", name, err)
	}
	return policy, nil
}

// auditSources are what a review needs: no logs, no project.
func auditSources() []inspect.Source {
	return []inspect.Source{
		inspect.EngineSource, inspect.ContainersSource(false), inspect.HostSource, inspect.DriverSource,
		inspect.NVMLBriefSource, inspect.ToolkitSource, inspect.CDISource, inspect.DaemonConfigSource, inspect.ProcessesSource,
	}
}

func runAudit(ctx context.Context, app *app, opts *auditOptions) error {
	policy, err := readPolicy(opts.policy)
	if err != nil {
		return err
	}
	if opts.watch {
		return watchAudit(ctx, app, opts, policy)
	}
	s, err := opts.snapshot(ctx, app, auditSources()...)
	if err != nil {
		return err
	}
	if s.Containers == nil && s.Engine != nil && s.Engine.Version == "" {
		return fmt.Errorf("docker gpu: %s", harmlessName(fixes.Judge(s).Text))
	}
	for _, name := range opts.containers {
		if s.Containers != nil && !slices.ContainsFunc(s.Containers, func(c inspect.Container) bool { return (fixes.Scope{Containers: []string{name}}).Has(&c) }) {
			return fmt.Errorf("docker gpu: no such running container: %s; docker ps lists those there are", name)
		}
	}
	scope := fixes.Scope{Containers: opts.containers}
	for _, id := range opts.only {
		scope.Only = append(scope.Only, fixes.ID(strings.TrimSpace(id)))
	}
	d := fixes.Audit(s, policy, scope)
	return opts.found(app, s, d, func() error { return writeAudit(app.out(), opts.width(app), s, d) })
}

// writeAudit prints the findings: one text for each id, with all containers that it concerns.
func writeAudit(out io.Writer, width int, s *inspect.Snapshot, d fixes.Diagnosis) error {
	var b strings.Builder
	holders := 0
	for i := range s.Containers {
		if fixes.Granted(s, &s.Containers[i]) && s.Containers[i].State == "running" {
			holders++
		}
	}
	switch {
	case s.Containers == nil:
	case holders == 1:
		b.WriteString("1 running container has GPU access.\n")
	default:
		fmt.Fprintf(&b, "%d running containers have GPU access.\n", holders)
	}
	if len(d.Findings) == 0 {
		b.WriteString("Nothing found.\n")
	}
	for i := 0; i < len(d.Findings); {
		f := d.Findings[i]
		last := i
		for last < len(d.Findings) && d.Findings[last].ID == f.ID && d.Findings[last].Severity == f.Severity {
			last++
		}
		b.WriteString("\n")
		writeText(&b, width, severityMarks[f.Severity]+" ", fmt.Sprintf("%s (%s, %s)", harmlessName(f.Title), f.ID, f.Severity))
		writeText(&b, width, "  ", "Why: "+harmlessName(f.Cause))
		for _, one := range d.Findings[i:last] {
			for _, e := range one.Evidence {
				writeText(&b, width, "  seen   ", harmlessName(e.Source)+": "+shorten(harmlessName(e.Text), 400))
			}
		}
		for n, step := range f.Steps {
			label := "      "
			if n == 0 {
				label = "do    "
			}
			writeStep(&b, width, "  "+label+" ", f.ID, step)
		}
		fmt.Fprintf(&b, "  more   %s\n", harmlessName(f.Docs))
		i = last
	}
	if len(d.Unexamined) > 0 {
		ids := make([]string, len(d.Unexamined))
		for i, id := range d.Unexamined {
			ids[i] = string(id)
		}
		b.WriteByte('\n')
		writeText(&b, 96, "", fmt.Sprintf("Not examined (%d), because not everything could be read: %s", len(ids), strings.Join(ids, ", ")))
		for _, r := range failedSources(s) {
			why := r.Error
			if why == "" {
				why = r.Note
			}
			writeText(&b, width, "  ", harmlessName(r.Name)+": "+harmlessName(why))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// grantLine is one line of `audit --watch --format json`: a grant, or a gap.
type grantLine struct {
	At        time.Time      `json:"at"`
	Container string         `json:"container,omitempty"`
	ID        string         `json:"id,omitempty"`
	Image     string         `json:"image,omitempty"`
	Project   string         `json:"composeProject,omitempty"`
	Grant     *inspect.Grant `json:"grant,omitempty"`
	Approved  *bool          `json:"approved,omitempty"` // absent without --policy
	Rule      string         `json:"rule,omitempty"`
	Reasons   []string       `json:"reasons,omitempty"`
	Unseen    bool           `json:"unseen,omitempty"` // it ended before it could be looked at
	Gap       *inspect.Gap   `json:"gap,omitempty"`
}

// watchAudit prints a line for each grant as it happens, and for each time in which none could be seen.
func watchAudit(ctx context.Context, app *app, opts *auditOptions, policy *fixes.Policy) error {
	bad := false
	out := app.out()
	if opts.format != "json" {
		fmt.Fprintln(app.cli.Err(), "Following the engine; each container that is given a GPU makes a line. Ctrl-C ends it.")
	}
	err := inspect.Follow(ctx, app.machine(app.cli.CurrentContext()), opts.timeout, func(h inspect.Happening) error {
		line, ok := describeGrant(h, policy)
		if !ok {
			return nil
		}
		bad = bad || line.Approved != nil && !*line.Approved
		if opts.format == "json" {
			return writeJSON(out, line, "")
		}
		_, err := fmt.Fprintln(out, line.text())
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("docker gpu: the engine cannot be followed: %w", err)
	case bad:
		return errFound
	}
	return nil
}

// describeGrant makes the line of a happening; containers without GPU make none.
func describeGrant(h inspect.Happening, policy *fixes.Policy) (grantLine, bool) {
	line := grantLine{At: h.At.UTC(), Gap: h.Gap, Unseen: h.Unseen}
	c := h.Container
	if c == nil {
		return line, h.Gap != nil
	}
	line.Container, line.ID, line.Image, line.Project = c.Name, c.ID, c.Image, c.ComposeProject
	if h.Unseen {
		return line, true
	}
	if !fixes.Granted(h.Facts, c) {
		return line, false
	}
	line.Grant = &c.Grant
	if policy != nil {
		j := policy.Judge(c, len(h.Facts.GPUs))
		line.Approved, line.Rule, line.Reasons = &j.Approved, j.Rule, j.Reasons
	}
	return line, true
}

func (l grantLine) text() string {
	at := l.At.Local().Format(time.RFC3339)
	switch {
	case l.Gap != nil:
		return fmt.Sprintf("%s  not seen    from %s to %s: %s", at, l.Gap.From.Local().Format(time.TimeOnly), l.Gap.To.Local().Format(time.TimeOnly), harmlessName(l.Gap.Reason))
	case l.Unseen:
		return fmt.Sprintf("%s  unknown     %s (%s) ended before it could be looked at", at, harmlessName(l.Container), harmlessName(l.Image))
	}
	word, why := "granted", ""
	if l.Approved != nil {
		word, why = "approved", ", rule "+l.Rule
		if !*l.Approved {
			word, why = "UNAPPROVED", ": "+strings.Join(l.Reasons, "; ")
		}
	}
	gpus := strings.Join(l.Grant.GPUs, ",")
	if gpus == "" {
		gpus = "unknown"
	}
	return fmt.Sprintf("%s  %-10s  %s (%s): %s, GPU %s%s", at, word, harmlessName(l.Container), harmlessName(l.Image), harmlessName(strings.Join(l.Grant.Detail, ", ")), harmlessName(gpus), harmlessName(why))
}
