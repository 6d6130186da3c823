package plugin

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type statusOptions struct {
	reading
	allContexts bool
}

// statusAnswer is what `status --format json` prints: the Snapshot with its verdict.
type statusAnswer struct {
	*inspect.Snapshot
	Verdict fixes.Verdict `json:"verdict"`
}

// contextAnswer is one line of `status --all-contexts --format json`.
type contextAnswer struct {
	Context string `json:"context"`
	statusAnswer
}

func newStatusCmd(app *app, runF func(context.Context, *statusOptions) error) *cobra.Command {
	opts := &statusOptions{}
	cmd := &cobra.Command{
		Use:   "status [OPTIONS]",
		Short: "Show on one screen whether containers can use the GPU",
		Long: "Show on one screen whether containers can use the GPU: host, driver, engine, toolkit, project, GPUs,\n" +
			"containers with GPU access, and a verdict in one line.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			if opts.allContexts && opts.from != "" {
				return usageError(cmd, "--all-contexts and --from exclude each other")
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runStatus(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd)
	cmd.Flags().BoolVar(&opts.allContexts, "all-contexts", false, "Show every docker context side by side")
	return cmd
}

// statusSources are all parts that the screen shows.
func statusSources(format string) []inspect.Source {
	gpus := inspect.NVMLSource // JSON and templates show every figure
	if format == "" || format == "table" {
		gpus = inspect.NVMLBriefSource
	}
	return []inspect.Source{
		inspect.EngineSource, inspect.ContainersSource(false), inspect.ProjectSource,
		inspect.HostSource, inspect.DriverSource, gpus, inspect.ToolkitSource,
		inspect.CDISource, inspect.DaemonConfigSource, inspect.SwarmSource, inspect.ProcessesSource,
	}
}

func runStatus(ctx context.Context, app *app, opts *statusOptions) error {
	if opts.allContexts {
		return runStatusAll(ctx, app, opts)
	}
	s, err := opts.snapshot(ctx, app, statusSources(opts.format)...)
	if err != nil {
		return err
	}
	answer := statusAnswer{s, fixes.Judge(s)}
	switch opts.format {
	case "", "table":
		return writeStatus(app.out(), opts.width(app), answer)
	case "json":
		return writeJSON(app.out(), answer, "  ")
	}
	return writeTemplate(app.out(), opts.template(), answer)
}

// runStatusAll asks all contexts side by side; one that does not answer delays the rest at most by its
// own deadline.
func runStatusAll(ctx context.Context, app *app, opts *statusOptions) error {
	list, err := app.cli.ContextStore().List()
	if err != nil {
		return fmt.Errorf("docker contexts: %w", err)
	}
	answers := make([]contextAnswer, len(list))
	var wg sync.WaitGroup
	for i, meta := range list {
		wg.Go(func() {
			s := inspect.Collect(ctx, app.machine(meta.Name), opts.timeout, statusSources(opts.format)...)
			s.Tool = app.tool()
			answers[i] = contextAnswer{meta.Name, statusAnswer{s, fixes.Judge(s)}}
		})
	}
	wg.Wait()
	switch opts.format {
	case "", "table":
	case "json":
		for _, a := range answers {
			if err := writeJSON(app.out(), a, ""); err != nil {
				return err
			}
		}
		return nil
	default:
		for _, a := range answers {
			if err := writeTemplate(app.out(), opts.format, a); err != nil {
				return err
			}
		}
		return nil
	}
	columns := []column{{title: "CONTEXT", keep: keepAlways, least: 12}, {title: "ENGINE", keep: 3}, {title: "DRIVER", keep: 2},
		{title: "GPUS", keep: 4}, {title: "CONTAINERS", keep: 1}, {title: "VERDICT", keep: keepAlways, least: 24}}
	var rows [][]string
	for _, a := range answers {
		row := []string{harmlessName(a.Context), "", "", "", "", harmlessName(a.Verdict.Text)}
		if e := a.Engine; e != nil {
			row[1] = harmlessName(e.Version)
		}
		if d := a.Driver; d != nil {
			row[2] = harmlessName(d.Version)
		}
		if a.GPUs != nil {
			row[3] = strconv.Itoa(len(a.GPUs))
		}
		if a.Containers != nil {
			row[4] = strconv.Itoa(len(granted(a.Containers)))
		}
		rows = append(rows, row)
	}
	return writeTable(app.out(), opts.width(app), columns, rows)
}

// width of the terminal in cells; 0 where the output is none.
func (a *app) width() int {
	if !a.cli.Out().IsTerminal() {
		return 0
	}
	if _, width := a.cli.Out().GetTtySize(); width > 0 {
		return int(width)
	}
	return 80
}
