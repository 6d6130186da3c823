//go:build !container

package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/inspect"
	_ "github.com/docker-gpu/docker-gpu/plugin/timerslack"
)

type topOptions struct {
	reading
	every   time.Duration
	frames  int
	columns []string
	record  string
	replay  string
	filter  string
	follow  string
	keys    []string // of columns, from columns
}

// Bounds of --interval: NVML's own figures change every sixth of a second at most.
const (
	leastInterval = 100 * time.Millisecond
	mostPause     = 5 * time.Second // of a recording that was paused for longer
)

func newTopCmd(app *app, runF func(context.Context, *topOptions) error) *cobra.Command {
	o := &topOptions{}
	cmd := &cobra.Command{
		Use:   "top [OPTIONS]",
		Short: "Live view of GPUs, containers and processes",
		Long: "Live view of GPUs, containers and processes. On a terminal the keys are those of nvtop and htop (F1 shows\n" +
			"them); elsewhere a plain frame is printed every --interval. Containers are stopped only after a question,\n" +
			"processes never.",
		Example: "  docker gpu top --columns pucvmet\n  docker gpu top --record night.zst -n 36000 >/dev/null\n  docker gpu top -n 1 --format json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), o)
			}
			return o.run(cmd.Context(), app)
		},
	}
	o.addFlags(cmd)
	flags := cmd.Flags()
	flags.DurationVarP(&o.every, "interval", "i", time.Second, "Time between two frames")
	flags.IntVarP(&o.frames, "frames", "n", 0, "End after so many frames (default: go on)")
	flags.StringSliceVar(&o.columns, "columns", defaultTopColumns, "Columns of the GPUs: names (F2 lists them), letters of nvidia-smi dmon (pucvmet), or 'all'")
	flags.StringVar(&o.record, "record", "", "Write every frame to `FILE`, compressed (zstd; gzip where it ends in .gz)")
	flags.StringVar(&o.replay, "replay", "", "Play the frames of `FILE` instead of reading this machine")
	flags.StringVar(&o.filter, "filter", "", "Show only containers and processes that hold this text")
	flags.StringVar(&o.follow, "follow", "", "Show one `CONTAINER` only")
	_ = cmd.RegisterFlagCompletionFunc("columns", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return append(gpuColumnKeys(), "all"), cobra.ShellCompDirectiveNoFileComp
	})
	_ = cmd.RegisterFlagCompletionFunc("follow", func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return containerNames(cmd.Context(), app, args), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (o *topOptions) check(cmd *cobra.Command) error {
	if err := o.reading.check(cmd); err != nil {
		return err
	}
	wrong := ""
	o.keys, wrong = parseTopColumns(o.columns)
	switch {
	case o.every < leastInterval:
		return usageError(cmd, "--interval must be %s or longer, not %s", leastInterval, o.every)
	case o.frames < 0:
		return usageError(cmd, "-n must not be negative, but is %d", o.frames)
	case wrong != "" || len(o.keys) == 0:
		return usageError(cmd, "--columns: there is no column %q; there are %s, the letters of nvidia-smi dmon (pucvmet), and all", wrong, strings.Join(gpuColumnKeys(), ", "))
	case o.replay != "" && o.from != "":
		return usageError(cmd, "--replay and --from exclude each other")
	case o.record != "" && (o.replay != "" || o.from != ""):
		return usageError(cmd, "--record records this machine: it goes with neither --replay nor --from")
	}
	return nil
}

// live tells if the keyboard and the screen are a user's.
func (o *topOptions) live(app *app) bool {
	return (o.format == "" || o.format == "table") && app.cli.Out().IsTerminal() && app.cli.In().IsTerminal()
}

func (o *topOptions) run(ctx context.Context, app *app) (err error) {
	// A terminal that goes away says so by this signal; what it left behind is put in order all the same.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGTERM)
	defer stop()
	runtime.GOMAXPROCS(1)   // there is little to do at a time: to wake other threads up for it takes longer than it does
	debug.SetGCPercent(400) // nor to collect four megabytes of garbage at a time
	live := o.live(app)
	feed, err := o.feed(app, live)
	if err != nil {
		return err
	}
	model := &topModel{}
	if reads, ok := feed.(*liveFeed); ok {
		model.stop = reads.stopContainer
		if o.record == "" && (o.format == "" || o.format == "table") {
			model.shows = reads.show
			reads.show(o.keys)
		}
	}
	var recording *recordingFeed
	if o.record != "" {
		recording, err = record(feed, o.record)
		if err != nil {
			feed.close()
			return err
		}
		feed = recording
	}
	defer func() {
		feed.close()
		if recording != nil && recording.failed != nil && err == nil {
			err = fmt.Errorf("docker gpu: recording %s: %w", o.record, recording.failed)
		}
	}()
	screen := newTopScreen(o.every, o.keys)
	screen.filter, screen.wanted, screen.zone = o.filter, o.follow, time.Local
	if o.replay != "" || o.from != "" {
		screen.every = 0
	}
	counted := &countedFeed{topFeed: feed, left: o.frames}
	if live {
		model.screen, model.feed = screen, counted
		return runTop(ctx, model, app.cli.In(), app.cli.Out())
	}
	return o.plain(ctx, app, counted, screen)
}

func (o *topOptions) feed(app *app, live bool) (topFeed, error) {
	switch {
	case o.replay != "":
		return openReplay(o.replay, app.cli.In(), live, mostPause)
	case o.from != "":
		s, err := readSnapshot(o.from, app.cli.In())
		return &oneFeed{s}, err
	}
	return newLiveFeed(app, o.every, o.timeout), nil
}

// countedFeed ends after -n frames.
type countedFeed struct {
	topFeed
	left  int // 0: no end
	count int
}

func (f *countedFeed) next(ctx context.Context) (*inspect.Snapshot, error) {
	if f.left > 0 && f.count >= f.left {
		return nil, errFrames
	}
	s, err := f.topFeed.next(ctx)
	f.count++
	return s, err
}

// errFrames ends a view that was to have so many frames.
var errFrames = errors.New("as many frames as were asked for")

// plain prints frame after frame.
func (o *topOptions) plain(ctx context.Context, app *app, feed topFeed, screen *topScreen) error {
	for first := true; ; first = false {
		s, err := feed.next(ctx)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, errFrames):
			if why := feed.note(); why != "" && o.from == "" {
				fmt.Fprintln(app.cli.Err(), harmlessText(why))
			}
			return nil
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		switch o.format {
		case "", "table":
			if err := screen.show(s); err != nil && first {
				return err
			}
			var b bytes.Buffer
			if !first {
				b.WriteString("\n")
			}
			for _, line := range screen.draw(o.width(app), 0) {
				b.WriteString(strings.TrimRight(line.text, " ") + "\n")
			}
			_, err = app.out().Write(b.Bytes())
		case "json":
			err = writeJSON(app.out(), s, "")
		default:
			err = writeTemplate(app.out(), o.template(), s)
		}
		if err != nil {
			if errors.Is(err, syscall.EPIPE) { // who read along has seen enough
				return nil
			}
			return err
		}
	}
}
