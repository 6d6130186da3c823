package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli"
	dockeropts "github.com/docker/cli/opts"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// pickFlags are what `pick` and `run` have in common: what is wanted of the GPUs, and how long to wait.
type pickFlags struct {
	count      int
	freeMemory dockeropts.MemBytes
	maxUtil    int
	prefer     string
	wait       waitFlag
	timeout    time.Duration
	pace       pickPace
}

type pickOptions struct {
	pickFlags
	lease   time.Duration
	list    bool
	explain bool
	format  string
	from    string
}

// waitFlag is --wait or --wait=DURATION.
type waitFlag struct {
	on   bool
	most time.Duration // 0: without end
}

func (w *waitFlag) String() string {
	if !w.on {
		return ""
	}
	return w.most.String()
}

func (w *waitFlag) Set(text string) error {
	switch text {
	case "true", "":
		*w = waitFlag{on: true}
		return nil
	case "false":
		*w = waitFlag{}
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is no duration such as 90s or 2h", text)
	}
	*w = waitFlag{on: true, most: d}
	return nil
}

func (w *waitFlag) Type() string { return "duration" }

func (p *pickFlags) addFlags(flags *pflag.FlagSet) {
	p.pace = usualPace
	flags.IntVarP(&p.count, "gpu-count", "n", 1, "Number of GPUs")
	flags.Var(&p.freeMemory, "free-memory", "Memory that must be free on each, such as 20g")
	flags.IntVar(&p.maxUtil, "max-util", -1, "Highest utilisation in `PERCENT` at which a GPU will do")
	flags.StringVar(&p.prefer, "prefer", fixes.PreferIdle, "Which of the GPUs that will do: 'idle', 'packed' or 'nvlink'")
	flags.Var(&p.wait, "wait", "Wait until there are enough, or `DURATION` at most")
	flags.Lookup("wait").NoOptDefVal = "true"
	flags.DurationVar(&p.timeout, "timeout", 10*time.Second, "Longest time that any one source may take")
}

func (p *pickFlags) check(cmd *cobra.Command) error {
	switch {
	case p.count < 1:
		return usageError(cmd, "-n must be at least 1, not %d", p.count)
	case p.freeMemory < 0:
		return usageError(cmd, "--free-memory must not be negative")
	case cmd.Flags().Changed("max-util") && (p.maxUtil < 0 || p.maxUtil > 100):
		return usageError(cmd, "--max-util is 0 to 100, not %d", p.maxUtil)
	case !slices.Contains([]string{fixes.PreferIdle, fixes.PreferPacked, fixes.PreferNVLink}, p.prefer):
		return usageError(cmd, "--prefer is idle, packed or nvlink, not %q", p.prefer)
	case p.timeout <= 0:
		return usageError(cmd, "--timeout must be longer than 0, not %s", p.timeout)
	}
	return nil
}

func (p *pickFlags) wish() fixes.Wish {
	w := fixes.Wish{Count: p.count, FreeMemory: uint64(p.freeMemory), Prefer: p.prefer}
	if p.maxUtil >= 0 {
		util := uint32(p.maxUtil)
		w.MaxUtil = &util
	}
	return w
}

func newPickCmd(app *app, runF func(context.Context, *pickOptions) error) *cobra.Command {
	opts := &pickOptions{}
	cmd := &cobra.Command{
		Use:   "pick [OPTIONS]",
		Short: "Print the least loaded GPU(s), and keep them for you for a moment",
		Long: "Print the UUIDs of the least loaded GPUs, as --gpus takes them. Utilisation and memory are measured over a\n" +
			"short time. GPUs that another pick has just given away, or that a container of docker gpu run holds, are\n" +
			"left out; those that are printed are kept for --lease.",
		Example: `  docker run --gpus "device=$(docker gpu pick)" IMAGE` + "\n" +
			`  docker run --gpus "\"device=$(docker gpu pick -n 2 --prefer nvlink)\"" IMAGE` + "\n" +
			"  docker gpu pick --free-memory 40g --wait=1h",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(opts.check(cmd), checkTemplate(cmd, opts.format)); err != nil {
				return err
			}
			if opts.lease < 0 || opts.lease > time.Hour {
				return usageError(cmd, "--lease is at most 1h, not %s", opts.lease)
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runPick(cmd.Context(), app, opts)
		},
	}
	flags := cmd.Flags()
	opts.addFlags(flags)
	flags.DurationVar(&opts.lease, "lease", time.Minute, "How long the GPUs are kept for you; a container of docker gpu run ends that earlier")
	flags.BoolVar(&opts.list, "list", false, "Show who holds which GPU")
	flags.BoolVar(&opts.explain, "explain", false, "Say of each GPU why it is picked or not; nothing is kept")
	flags.StringVar(&opts.format, "format", "", "Format output using a custom template: 'table', 'json', or a Go template")
	flags.StringVar(&opts.from, "from", "", "Read a snapshot or report `FILE` instead of this machine; nothing is kept")
	_ = cmd.RegisterFlagCompletionFunc("prefer", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{fixes.PreferIdle, fixes.PreferPacked, fixes.PreferNVLink}, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func runPick(ctx context.Context, app *app, opts *pickOptions) error {
	if opts.from != "" {
		return pickFrom(app, opts)
	}
	leases, err := fixes.OpenLeases(leaseFolders()...)
	if err != nil {
		return noLeases(err)
	}
	machine := app.machine(app.cli.CurrentContext())
	switch {
	case opts.list:
		return listLeases(ctx, app, machine, leases, opts)
	case opts.explain:
		picked, err := opts.pick(ctx, app, machine, leases, false)
		var few *errNotEnough
		if err != nil && !errors.As(err, &few) {
			return err
		}
		return explainPick(app, opts, picked.considered, few)
	}
	picked, err := opts.pickOrWait(ctx, app, machine, leases)
	if err != nil {
		return err
	}
	for _, lease := range picked.leases {
		if err := leases.Hold(lease, time.Now().Add(opts.lease)); err != nil {
			picked.release()
			return fmt.Errorf("docker gpu: %w", err)
		}
		lease.Release()
	}
	return writePick(app, opts, picked)
}

// pickFrom picks from a recorded machine: an answer to look at, without leases.
func pickFrom(app *app, opts *pickOptions) error {
	s, err := readSnapshot(opts.from, app.cli.In())
	if err != nil {
		return err
	}
	claims := map[string]string{}
	for _, c := range s.Containers {
		for uuid := range strings.SplitSeq(c.Labels[inspect.ClaimLabel], ",") {
			if c.State == "running" && uuid != "" && opts.prefer != fixes.PreferPacked {
				claims[uuid] = c.Name
			}
		}
	}
	gpus, considered := fixes.Choose(s, fixes.Candidates(s), opts.wish(), func(c fixes.Candidate) string {
		if name, ok := claims[c.UUID]; ok {
			return fmt.Sprintf("container %s was started on it by docker gpu run", harmlessName(name))
		}
		return ""
	})
	var few *errNotEnough
	if gpus == nil {
		few = &errNotEnough{opts.wish(), considered}
	}
	if opts.explain {
		return explainPick(app, opts, considered, few)
	}
	if few != nil {
		return few
	}
	return writePick(app, opts, &pickedGPUs{gpus: gpus, considered: considered, snapshot: s})
}

func writePick(app *app, opts *pickOptions, picked *pickedGPUs) error {
	switch opts.format {
	case "", "table":
		_, err := fmt.Fprintln(app.out(), harmlessName(picked.uuids()))
		return err
	case "json":
		for _, g := range picked.gpus {
			if err := writeJSON(app.out(), g, ""); err != nil {
				return err
			}
		}
		return nil
	}
	for _, g := range picked.gpus {
		if err := writeTemplate(app.out(), strings.TrimPrefix(opts.format, "table "), g); err != nil {
			return err
		}
	}
	return nil
}

func explainPick(app *app, opts *pickOptions, considered []fixes.Candidate, few *errNotEnough) error {
	switch opts.format {
	case "", "table":
		if len(considered) == 0 {
			return few
		}
		columns := []column{{title: "GPU", keep: keepAlways}, {title: "NAME", keep: 50, least: 12}, {title: "PICKED", keep: keepAlways}, {title: "WHY", keep: keepAlways, least: 30}, {title: "UUID", keep: 20}}
		var rows [][]string
		for _, c := range considered {
			picked := "no"
			if c.Picked {
				picked = "yes"
			}
			rows = append(rows, []string{c.GPU, harmlessName(c.Name), picked, harmlessName(c.Why), harmlessName(c.UUID)})
		}
		if err := writeTable(app.out(), app.width(), columns, rows); err != nil {
			return err
		}
	default:
		for _, c := range considered {
			var err error
			if opts.format == "json" {
				err = writeJSON(app.out(), c, "")
			} else {
				err = writeTemplate(app.out(), strings.TrimPrefix(opts.format, "table "), c)
			}
			if err != nil {
				return err
			}
		}
	}
	if few != nil {
		return cli.StatusError{StatusCode: 1}
	}
	return nil
}
