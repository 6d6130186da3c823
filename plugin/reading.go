package plugin

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// reading are the flags that every command has which only reads.
type reading struct {
	format  string
	from    string
	timeout time.Duration
	noTrunc bool
}

// addFlags puts the flags of a reading command on cmd.
func (r *reading) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&r.format, "format", "", "Format output using a custom template: 'table', 'json', or a Go template")
	flags.StringVar(&r.from, "from", "", "Read a snapshot or report `FILE` instead of this machine")
	flags.DurationVar(&r.timeout, "timeout", 10*time.Second, "Longest time that any one source may take")
	flags.BoolVar(&r.noTrunc, "no-trunc", false, "Don't truncate output")
	_ = cmd.RegisterFlagCompletionFunc("format", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp
	})
	_ = cmd.RegisterFlagCompletionFunc("from", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	})
}

// check refuses values that no reading command can take, before anything is read.
func (r *reading) check(cmd *cobra.Command) error {
	if r.timeout <= 0 {
		return usageError(cmd, "--timeout must be longer than 0, not %s", r.timeout)
	}
	return checkTemplate(cmd, r.format)
}

// snapshot reads this machine, or the file that stands for another one.
func (r *reading) snapshot(ctx context.Context, app *app, sources ...inspect.Source) (*inspect.Snapshot, error) {
	if r.from != "" {
		return readSnapshot(r.from, app.cli.In())
	}
	if _, err := app.endpoint(app.cli.CurrentContext()); err != nil { // no such context: an error, as for every docker command
		return nil, err
	}
	s := inspect.Collect(ctx, app.machine(app.cli.CurrentContext()), r.timeout, sources...)
	s.Tool = app.tool()
	return s, nil
}

// width is that of the terminal, or 0 where nothing is to be cut.
func (r *reading) width(app *app) int {
	if r.noTrunc {
		return 0
	}
	return app.width()
}

// template is the Go template of --format, without docker's "table " in front; empty for table and json.
func (r *reading) template() string {
	switch r.format {
	case "", "table", "json":
		return ""
	}
	return strings.TrimPrefix(r.format, "table ")
}
