package plugin

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/docker/cli/opts"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type psOptions struct {
	reading
	all         bool
	quiet       bool
	allContexts bool
	filter      opts.FilterOpt
}

// psLine is one line of `ps --format json`: a container, or the processes that run in none.
type psLine struct {
	Context        string  `json:"context,omitempty"` // with --all-contexts
	ID             *string `json:"id"`                // nil: the host's own line
	Name           string  `json:"name"`
	Image          *string `json:"image"`
	State          *string `json:"state"`
	Grant          psGrant `json:"grant"`
	Usage          psUsage `json:"usage"`
	ComposeProject *string `json:"composeProject"`
	ComposeService *string `json:"composeService"`
	container      *inspect.Container
}

type psGrant struct {
	By           []string `json:"by"`
	GPUs         []string `json:"gpus"` // nil: not known
	Capabilities []string `json:"capabilities"`
}

type psUsage struct {
	MemoryUsedBytes *uint64                `json:"memoryUsedBytes"`
	GPUUtilPercent  *uint32                `json:"gpuUtilPercent"`
	Processes       []inspect.UsageProcess `json:"processes"` // nil: not known
}

// hostName is the name of the line that counts what runs in no container.
const hostName = "host"

func newPsCmd(app *app, runF func(context.Context, *psOptions) error) *cobra.Command {
	o := &psOptions{filter: opts.NewFilterOpt()}
	cmd := &cobra.Command{
		Use:   "ps [OPTIONS]",
		Short: "List containers with GPU access: how it was granted, which GPUs, what they use",
		Long: "List containers with GPU access: how it was granted, which GPUs, memory and utilisation in use.\n" +
			"GPU memory that processes outside all containers hold is counted in a last line, \"host\".",
		Example: "  docker gpu ps --filter gpu=0 --filter grant=privileged\n  docker gpu ps --format '{{.Name}}\\t{{.Memory}}'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), o)
			}
			return runPs(cmd.Context(), app, o)
		},
	}
	o.addFlags(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&o.all, "all", "a", false, "Show all containers (default shows just running)")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "Only display container IDs")
	flags.BoolVar(&o.allContexts, "all-contexts", false, "Show the containers of every docker context")
	flags.VarP(&o.filter, "filter", "f", "Filter output based on conditions provided: name, gpu, grant, project, label")
	_ = cmd.RegisterFlagCompletionFunc("filter", completePsFilter)
	return cmd
}

func completePsFilter(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	if strings.HasPrefix(typed, "grant=") {
		var values []string
		for _, by := range grantWays {
			values = append(values, "grant="+by)
		}
		return values, cobra.ShellCompDirectiveNoFileComp
	}
	var keys []string
	for _, key := range psFilterKeys {
		keys = append(keys, key+"=")
	}
	return keys, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func (o *psOptions) check(cmd *cobra.Command) error {
	if err := o.reading.check(cmd); err != nil {
		return err
	}
	if o.allContexts && o.from != "" {
		return usageError(cmd, "--all-contexts and --from exclude each other")
	}
	return checkPsFilter(cmd, o.filter)
}

// psSources are what the lines of ps are made of, and no more.
func psSources(o *psOptions) []inspect.Source {
	return []inspect.Source{
		inspect.EngineSource, inspect.ContainersWanted(o.all, func(c *inspect.Container) bool { return psWanted(o.filter.Value(), c) }),
		inspect.DeviceNodesSource, inspect.NVMLBriefSource, inspect.ToolkitConfigSource, inspect.ProcessesSource,
		inspect.SwarmSource,
	}
}

func runPs(ctx context.Context, app *app, o *psOptions) error {
	debug.SetGCPercent(50) // most of what is read of a thousand containers is garbage at once
	if o.allContexts {
		return runPsAll(ctx, app, o)
	}
	s, err := o.snapshot(ctx, app, psSources(o)...)
	if err != nil {
		return err
	}
	if s.Containers == nil {
		return o.cannotList(ctx, app, s)
	}
	warnSources(app.cli.Err(), "", s)
	if err := writePs(app, o, psLines(s, o)); err != nil {
		return err
	}
	if o.quiet || o.format != "" && o.format != "table" || len(o.filter.Value()) > 0 {
		return nil // lists of containers, for programs and for who asked for some of them
	}
	return writeSwarmView(app.out(), o.width(app), s.Swarm)
}

// cannotList says why there are no containers to show. How an engine is started is read only now that it does not run.
func (r *reading) cannotList(ctx context.Context, app *app, s *inspect.Snapshot) error {
	if r.from == "" && s.Host == nil {
		s.Host = inspect.Collect(ctx, app.machine(app.cli.CurrentContext()), r.timeout, inspect.BareHostSource).Host
	}
	return cannotList(s)
}

// cannotList says why a Snapshot has no containers.
func cannotList(s *inspect.Snapshot) error {
	if s.Engine == nil || s.Engine.Version == "" {
		v := fixes.Judge(s)
		text := "docker gpu: " + v.Text
		if v.Next != "" {
			text += "\nNext: " + v.Next
		}
		return fmt.Errorf("%s", text)
	}
	for _, r := range s.Sources {
		if r.Name == "containers" && r.Error != "" {
			return fmt.Errorf("docker gpu: containers: %s", r.Error)
		}
	}
	return fmt.Errorf("docker gpu: the snapshot has no containers: it was taken without an engine")
}

// warnSources names on stderr what could not be read, so that what is missing is not taken for nothing.
func warnSources(stderr io.Writer, contextName string, s *inspect.Snapshot) {
	for _, line := range sourceLines(s) {
		if contextName != "" {
			line = harmlessName(contextName) + ": " + line
		}
		fmt.Fprintln(stderr, "! "+line)
	}
}

// runPsAll asks all contexts side by side; one that does not answer delays the rest at most by its own
// deadline, and is named on stderr, in JSON by a line with context and error.
func runPsAll(ctx context.Context, app *app, o *psOptions) error {
	list, err := app.cli.ContextStore().List()
	if err != nil {
		return fmt.Errorf("docker contexts: %w", err)
	}
	snapshots := make([]*inspect.Snapshot, len(list))
	var wg sync.WaitGroup
	for i, meta := range list {
		wg.Go(func() {
			snapshots[i] = inspect.Collect(ctx, app.machine(meta.Name), o.timeout, psSources(o)...)
		})
	}
	wg.Wait()
	var lines []psLine
	var failed []contextError
	for i, s := range snapshots {
		if s.Containers == nil {
			text := strings.TrimPrefix(cannotList(s).Error(), "docker gpu: ")
			text, _, _ = strings.Cut(text, "\n")
			failed = append(failed, contextError{list[i].Name, text})
			continue
		}
		warnSources(app.cli.Err(), list[i].Name, s)
		for _, line := range psLines(s, o) {
			line.Context = list[i].Name
			lines = append(lines, line)
		}
	}
	if len(failed) < len(list) || len(list) == 0 {
		if err := writePs(app, o, lines); err != nil {
			return err
		}
	}
	for _, f := range failed {
		if o.format == "json" {
			if err := writeJSON(app.out(), f, ""); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(app.cli.Err(), "! %s: %s\n", harmlessName(f.Context), harmlessName(f.Error))
	}
	if len(failed) == len(list) && len(list) > 0 {
		return fmt.Errorf("docker gpu: no docker context has an engine that answers")
	}
	return nil
}

type contextError struct {
	Context string `json:"context"`
	Error   string `json:"error"`
}

// psLines are the containers with GPU access that the filters let through, in the engine's order, and the
// host's processes. A filter by anything but the GPU leaves the host's line out.
func psLines(s *inspect.Snapshot, o *psOptions) []psLine {
	filters := o.filter.Value()
	with := granted(s.Containers)
	lines := make([]psLine, 0, len(with)+1)
	for _, c := range with {
		if !o.all && c.State != "running" && c.State != "paused" && c.State != "restarting" {
			continue
		}
		if psWanted(filters, c) && matchesGPU(filters, s, c) && matchesGrant(filters, c) {
			lines = append(lines, containerLine(c, s.GPUs != nil))
		}
	}
	if o.quiet || len(filters["name"])+len(filters["grant"])+len(filters["project"])+len(filters["label"]) > 0 {
		return lines
	}
	if host := hostLineOf(s, filters); host != nil {
		lines = append(lines, *host)
	}
	return lines
}

func containerLine(c *inspect.Container, figures bool) psLine {
	line := psLine{
		ID: &c.ID, Name: c.Name, Image: orNull(c.Image), State: orNull(c.State),
		Grant:          psGrant{By: c.Grant.By, GPUs: c.Grant.GPUs, Capabilities: c.Grant.Capabilities},
		ComposeProject: orNull(c.ComposeProject), ComposeService: orNull(c.ComposeService), container: c,
	}
	if line.Grant.By == nil {
		line.Grant.By = []string{}
	}
	if line.Grant.Capabilities == nil {
		line.Grant.Capabilities = []string{}
	}
	switch {
	case c.Usage != nil:
		line.Usage = psUsage{c.Usage.MemoryUsedBytes, c.Usage.GPUUtilPercent, c.Usage.Processes}
	case c.State != "running" && c.State != "paused":
		line.Usage.Processes = []inspect.UsageProcess{} // it has no process at all
	}
	return line
}

// orNull is nil for a text that is not known.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// hostLineOf counts the processes in no container, on the GPUs that a filter names.
func hostLineOf(s *inspect.Snapshot, filters filters) *psLine {
	usage := inspect.HostUsage(s)
	if usage == nil {
		return nil
	}
	if len(filters["gpu"]) > 0 {
		usage.Keep(func(p inspect.UsageProcess) bool { return matchesProcess(filters, s, p) })
	}
	if len(usage.Processes) == 0 {
		return nil
	}
	return &psLine{
		Name: hostName, Grant: psGrant{By: []string{}, GPUs: []string{}, Capabilities: []string{}},
		Usage: psUsage{usage.MemoryUsedBytes, usage.GPUUtilPercent, usage.Processes},
	}
}

func writePs(app *app, o *psOptions, lines []psLine) error {
	trunc := !o.noTrunc
	switch {
	case o.format == "json":
		for _, line := range lines {
			if err := writeJSON(app.out(), line, ""); err != nil {
				return err
			}
		}
		return nil
	case o.format != "" && o.format != "table":
		return writePsTemplate(app.out(), o.format, trunc, lines)
	case o.quiet:
		for _, line := range lines {
			if _, err := fmt.Fprintln(app.out(), (&psRow{psLine: line, trunc: trunc}).ID()); err != nil {
				return err
			}
		}
		return nil
	}
	return writePsTable(app.out(), o.width(app), trunc, o.all, lines)
}

func writePsTable(out io.Writer, width int, trunc, all bool, lines []psLine) error {
	if len(lines) == 0 {
		text := "No running container has GPU access."
		if all {
			text = "No container has GPU access."
		}
		_, err := fmt.Fprintln(out, text)
		return err
	}
	columns := []column{
		{title: "CONTEXT", keep: 85, least: 8},
		{title: "CONTAINER ID", keep: 50},
		{title: "NAME", keep: keepAlways, least: 12},
		{title: "IMAGE", keep: 20, least: 16},
		{title: "GRANTED BY", keep: 90, least: 12},
		{title: "GPUS", keep: keepAlways, least: 6},
		{title: "MEMORY", keep: 95, right: true},
		{title: "UTIL", keep: 80, right: true},
		{title: "PROCESSES", keep: 40, right: true},
		{title: "STATE", keep: 70},
	}
	var rows [][]string
	for _, line := range lines {
		r := &psRow{psLine: line, trunc: trunc}
		rows = append(rows, []string{harmlessName(line.Context), r.ID(), harmlessName(r.Name()), harmlessName(r.Image()), harmlessName(r.GrantedBy()),
			harmlessName(r.GPUs()), r.Memory(), r.Util(), r.Processes(), harmlessName(r.Status())})
	}
	return writeTable(out, width, columns, rows)
}
