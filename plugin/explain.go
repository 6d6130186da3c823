package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/docker/cli/cli"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
)

type explainOptions struct {
	app    *app
	format string
	args   []string
}

func newExplainCmd(app *app, runF func(context.Context, *explainOptions) error) *cobra.Command {
	opts := &explainOptions{app: app}
	cmd := &cobra.Command{
		Use:   "explain [FILE…|-|ID]",
		Short: "Read an error message or log, name the cause and the fix",
		Long: `Read an error message or log, name the cause and the fix.

The text comes from the files named, or from standard input. It may be as long as it likes, compressed by
gzip or zstd, wrapped, coloured, and in the middle of other programs' logs. No GPU, engine or host is
needed. With the id of a cause in place of a file, its page is printed.

In a text of up to 16 KiB that a person may have pasted, words count beside messages: it is compared with reports
whose cause is known. Where no message is known, or the words speak for another cause than the messages do, the
likeliest cause is named as a guess ("Perhaps: …"), with the lines that tell most and the question that would
decide. Longer logs, pages of documentation and reports without a fault get no guess.`,
		Example: `  docker logs trainer 2>&1 | docker gpu explain
  docker gpu explain build.log.gz
  docker gpu explain shm-too-small`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkTemplate(cmd, opts.format); err != nil {
				return err
			}
			if n := len(args) - len(slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "-" })); n > 1 {
				return usageError(cmd, "standard input (-) can be read once only")
			}
			if (len(args) == 0 || slices.Contains(args, "-")) && app.cli.In().IsTerminal() {
				return usageError(cmd, "explain reads a text: name a file, or pipe it in, as in\n  docker logs CONTAINER 2>&1 | docker gpu explain")
			}
			opts.args = args
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runExplain(cmd.Context(), opts)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			for _, e := range fixes.Knowledge().Entries {
				ids = append(ids, string(e.ID)+"\t"+e.Title)
			}
			return ids, cobra.ShellCompDirectiveDefault
		},
	}
	cmd.Flags().StringVar(&opts.format, "format", "", "Format output using a custom template: 'table', 'json', or a Go template")
	_ = cmd.RegisterFlagCompletionFunc("format", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func runExplain(ctx context.Context, opts *explainOptions) error {
	collectLater()
	if entry, ok := askedFor(opts.args); ok {
		return writeCause(opts.app.out(), opts.format, entry)
	}
	args := opts.args
	if len(args) == 0 {
		args = []string{"-"}
	}
	var failed []error
	texts, closeAll := openTexts(ctx, opts.app.cli.In(), args, func(err error) { failed = append(failed, err) })
	defer closeAll()
	if len(texts) == 0 {
		return errors.Join(failed...)
	}
	explanation, err := fixes.ExplainTexts(texts...)
	if err != nil {
		failed = append(failed, err)
	}
	if err := writeExplanation(opts.app.out(), opts.app.width(), opts.format, explanation); err != nil {
		return err
	}
	if ctx.Err() != nil {
		const ended = "docker gpu: explain: interrupted before the text ended: this is of what came until then"
		if len(explanation.Findings) == 0 {
			failed = append(failed, errors.New(ended))
		} else {
			fmt.Fprintln(opts.app.cli.Err(), ended)
		}
	}
	if len(failed) > 0 {
		return cli.StatusError{Cause: errors.Join(failed...), StatusCode: 1}
	}
	return nil
}

// askedFor is the entry that the only argument names, where no file of that name is in the way.
func askedFor(args []string) (fixes.Entry, bool) {
	if len(args) != 1 {
		return fixes.Entry{}, false
	}
	entry, ok := fixes.Knowledge().Entry(fixes.ID(args[0]))
	if !ok {
		return fixes.Entry{}, false
	}
	_, err := os.Stat(args[0])
	return entry, errors.Is(err, fs.ErrNotExist)
}

// openTexts opens what can be opened, and reports the rest.
func openTexts(ctx context.Context, stdin io.Reader, args []string, failed func(error)) (texts []fixes.Text, closeAll func()) {
	var open []io.Closer
	for _, name := range args {
		if name == "-" {
			in := whileItComes(ctx, stdin)
			if c, ok := in.(io.Closer); ok {
				open = append(open, c) // else who hands over what nobody reads waits forever
			}
			texts = append(texts, fixes.Text{Name: "standard input", Reader: in})
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			if _, known := fixes.Knowledge().Entry(fixes.ID(strings.ToLower(name))); errors.Is(err, fs.ErrNotExist) && !known {
				err = fmt.Errorf("%w (nor is it the id of a cause)", err)
			}
			failed(fmt.Errorf("docker gpu: explain: %w", err))
			continue
		}
		if info, err := file.Stat(); err == nil && info.IsDir() {
			failed(fmt.Errorf("docker gpu: explain: %s is a directory: name the files in it", name))
			_ = file.Close()
			continue
		}
		open = append(open, file)
		texts = append(texts, fixes.Text{Name: name, Reader: interruptible{ctx, file}})
	}
	return texts, func() {
		for _, c := range open {
			_ = c.Close()
		}
	}
}

// whileItComes reads beside who waits for the text, so that the wait ends with ctx even where nothing comes. What has
// come until then is told. A file needs no such thing.
func whileItComes(ctx context.Context, in io.Reader) io.Reader {
	if isFile(in) {
		return interruptible{ctx, in}
	}
	out, end := io.Pipe()
	var handing sync.Mutex
	context.AfterFunc(ctx, func() {
		handing.Lock()
		_ = end.Close()
		handing.Unlock()
	})
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := in.Read(buf)
			handing.Lock()
			_, closed := end.Write(buf[:n])
			handing.Unlock()
			if err != nil || closed != nil {
				_ = end.CloseWithError(err)
				return
			}
		}
	}()
	return out
}

// isFile tells if what is read, as the CLI hands it over, is a file, from which something comes at once.
func isFile(in io.Reader) bool {
	stream, ok := in.(interface{ File() (*os.File, bool) })
	if !ok {
		return false
	}
	file, ok := stream.File()
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode().IsRegular()
}

// interruptible ends a text where the user stops waiting for its end.
type interruptible struct {
	ctx context.Context
	io.Reader
}

func (r interruptible) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, io.EOF
	}
	return r.Reader.Read(p)
}

func writeExplanation(out io.Writer, width int, format string, e fixes.Explanation) error {
	switch format {
	case "json":
		return writeJSON(out, e, "  ")
	case "", "table":
		_, err := io.WriteString(out, harmlessText(explanationText(width, e)))
		return err
	}
	return writeTemplate(out, strings.TrimPrefix(format, "table "), e)
}

// explanationText is the answer for people: the cause in a sentence, what shows it, what to do.
func explanationText(width int, e fixes.Explanation) string {
	if len(e.Findings) == 0 {
		return "Nothing in this text is about a GPU that fails.\n"
	}
	f := e.Findings[0]
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n", f.Title, f.ID)
	writeText(&b, width, "", f.Cause)
	b.WriteString("\nSeen:\n")
	for _, evidence := range f.Evidence {
		for i, line := range strings.Split(evidence.Text, "\n") {
			place := ""
			if i == 0 {
				place = evidencePlace(evidence)
			}
			fmt.Fprintf(&b, "  %s%s\n", place, line)
		}
	}
	if f.ID != "healthy" {
		b.WriteString("\nNext:\n")
		for i, step := range f.Steps {
			writeStep(&b, width, fmt.Sprintf("  %d. ", i+1), f.ID, step)
		}
	}
	if f.Question != "" {
		b.WriteString("\n")
		writeText(&b, width, "Not sure? ", f.Question)
	}
	if len(e.Related) > 0 {
		b.WriteString("\nAlso possible, or next to it:\n")
		for _, r := range e.Related {
			writeText(&b, width, "  ", string(r.ID)+": "+r.Title)
		}
	}
	b.WriteString("\n")
	writeText(&b, width, "More: ", fmt.Sprintf("docker gpu explain %s · %s", f.ID, f.Docs))
	return b.String()
}

// evidencePlace is where a piece of evidence stands, as compilers write it.
func evidencePlace(e fixes.Evidence) string {
	switch {
	case e.Source == "" && e.Line == 0:
		return ""
	case e.Line == 0:
		return e.Source + ": "
	case e.Source == "" || e.Source == "standard input":
		return fmt.Sprintf("line %d: ", e.Line)
	}
	return fmt.Sprintf("%s:%d: ", e.Source, e.Line)
}

// writeCause prints the page of a cause.
func writeCause(out io.Writer, format string, e fixes.Entry) error {
	finding := fixes.NewFinding(e.ID)
	switch format {
	case "json":
		return writeJSON(out, finding, "  ")
	case "", "table":
		_, err := io.WriteString(out, fixes.CausePage(e))
		return err
	}
	return writeTemplate(out, strings.TrimPrefix(format, "table "), finding)
}
