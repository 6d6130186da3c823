package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// leaseFolders are where leases are kept: the machine's, else the user's own.
func leaseFolders() []string {
	if folder := os.Getenv("DOCKER_GPU_LEASES"); folder != "" {
		return []string{folder}
	}
	folders := []string{"/run/docker-gpu"}
	if own := os.Getenv("XDG_RUNTIME_DIR"); own != "" {
		folders = append(folders, filepath.Join(own, "docker-gpu"))
	}
	return append(folders, filepath.Join(os.TempDir(), fmt.Sprintf("docker-gpu-%d", os.Geteuid())))
}

// pickedGPUs are GPUs that were chosen, with their leases.
type pickedGPUs struct {
	gpus       []fixes.Candidate
	considered []fixes.Candidate
	leases     []*fixes.Lease
	snapshot   *inspect.Snapshot
}

func (p *pickedGPUs) uuids() string {
	var uuids []string
	for _, g := range p.gpus {
		uuids = append(uuids, g.UUID)
	}
	return strings.Join(uuids, ",")
}

// release gives the leases back where nothing came of the pick.
func (p *pickedGPUs) release() {
	for _, lease := range p.leases {
		lease.Forget()
	}
	p.leases = nil
}

// errNotEnough says that there are not as many GPUs as are wanted now.
type errNotEnough struct {
	wish       fixes.Wish
	considered []fixes.Candidate
}

func (e *errNotEnough) Error() string {
	switch {
	case len(e.considered) == 0:
		return "docker gpu: no NVIDIA GPU here to pick"
	case e.wish.Count > len(e.considered):
		return fmt.Sprintf("docker gpu: %d GPUs are wanted, and there are %d", e.wish.Count, len(e.considered))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "docker gpu: %s free now, as wanted:", map[bool]string{true: "no GPU is", false: fmt.Sprintf("not %d GPUs are", e.wish.Count)}[e.wish.Count == 1])
	for _, c := range e.considered {
		fmt.Fprintf(&b, "\n  GPU %s: %s", harmlessName(c.GPU), harmlessName(c.Why))
	}
	return b.String() + "\nwait for it: --wait; share one: --prefer packed"
}

// hopeless tells if waiting cannot help.
func (e *errNotEnough) hopeless() bool { return e.wish.Count > len(e.considered) }

// window is the time between two readings: a GPU that rests for an instant between two batches is not idle.
const window = 300 * time.Millisecond

// pick chooses GPUs and takes their leases; with keep false it only looks.
func (p *pickFlags) pick(ctx context.Context, app *app, machine inspect.Machine, leases *fixes.Leases, keep bool) (*pickedGPUs, error) {
	sources := []inspect.Source{inspect.NVMLSource}
	if p.prefer == fixes.PreferNVLink {
		sources[0] = inspect.TopologySource
	}
	first := inspect.Collect(ctx, machine, p.timeout, append(sources, inspect.EngineSource, inspect.ToolkitSource, inspect.CDISource)...)
	if err := gpusRead(first); err != nil {
		return nil, err
	}
	if len(first.GPUs) > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(window):
		}
	}
	second := inspect.Collect(ctx, machine, p.timeout, inspect.NVMLSource)
	result := &pickedGPUs{snapshot: first}
	leave, err := leases.Alone(ctx)
	if err != nil {
		return nil, fmt.Errorf("docker gpu: %w", err)
	}
	defer leave()
	all := fixes.Candidates(first, second)
	// Leases first, then the containers: one that started before its lease ended is in the list for sure.
	held := map[string]*fixes.Lease{}
	why := map[string]string{}
	for _, c := range all {
		if c.UUID == "" {
			continue
		}
		lease, holder, err := leases.Try(c.UUID)
		switch {
		case err != nil:
			why[c.UUID] = err.Error()
		case lease == nil:
			why[c.UUID] = leaseText(holder, time.Now())
		default:
			held[c.UUID] = lease
		}
	}
	if p.prefer != fixes.PreferPacked && first.Engine != nil && first.Engine.Version != "" {
		limited, cancel := context.WithTimeout(ctx, p.timeout)
		claims, err := inspect.ReadClaims(limited, machine)
		cancel()
		if err != nil {
			forget(held)
			return nil, fmt.Errorf("docker gpu: which containers hold GPUs is not known: %w", err)
		}
		for uuid, name := range claims {
			if why[uuid] == "" {
				why[uuid] = fmt.Sprintf("container %s was started on it by docker gpu run", harmlessName(name))
			}
		}
	}
	result.gpus, result.considered = fixes.Choose(first, all, p.wish(), func(c fixes.Candidate) string { return why[c.UUID] })
	for _, c := range result.gpus {
		if keep {
			result.leases = append(result.leases, held[c.UUID])
			delete(held, c.UUID)
		}
	}
	for _, lease := range held {
		lease.Release()
	}
	if result.gpus == nil {
		return result, &errNotEnough{p.wish(), result.considered}
	}
	return result, nil
}

func forget(held map[string]*fixes.Lease) {
	for _, lease := range held {
		lease.Release()
	}
}

func leaseText(holder *fixes.LeaseHolder, now time.Time) string {
	who := ""
	if holder.User != "" {
		who = " by " + harmlessName(holder.User)
	}
	if holder.PID > 0 {
		who += fmt.Sprintf(" (process %d)", holder.PID)
	}
	if holder.Live {
		return "held" + who
	}
	return fmt.Sprintf("picked%s, kept for %s more", who, holder.Until.Sub(now).Round(time.Second))
}

// gpusRead says why the GPUs are not known, where they are not.
func gpusRead(s *inspect.Snapshot) error {
	if len(s.GPUs) > 0 {
		return nil
	}
	for _, r := range s.Sources {
		if r.Name != "nvml" && r.Name != "topology" {
			continue
		}
		switch {
		case r.Error != "":
			return fmt.Errorf("docker gpu: the GPUs cannot be read: %s\nfind out why: docker gpu diagnose", harmlessText(r.Error))
		case r.Note != "" && !r.Absent:
			return fmt.Errorf("docker gpu: GPUs are picked on their own machine only: %s", harmlessText(r.Note))
		}
	}
	return nil
}

// pickOrWait picks, and waits its turn where that is wanted: first come, first served.
func (p *pickFlags) pickOrWait(ctx context.Context, app *app, machine inspect.Machine, leases *fixes.Leases) (*pickedGPUs, error) {
	if !p.wait.on {
		return p.pick(ctx, app, machine, leases, true)
	}
	ticket, err := leases.Queue()
	if err != nil {
		return nil, fmt.Errorf("docker gpu: %w", err)
	}
	defer ticket.Leave()
	if p.wait.most > 0 {
		limited, cancel := context.WithTimeout(ctx, p.wait.most)
		defer cancel()
		ctx = limited
	}
	stop := app.progress(ctx, fmt.Sprintf("waiting for %s", fixes.Counted(p.count, "GPU")))
	defer stop()
	var last error
	for {
		if ticket.First() {
			picked, err := p.pick(ctx, app, machine, leases, true)
			var few *errNotEnough
			if err == nil || !errors.As(err, &few) && ctx.Err() == nil || few != nil && few.hopeless() {
				return picked, err
			}
			if few != nil {
				last = few
			}
		}
		select {
		case <-ctx.Done():
			if last != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, fmt.Errorf("docker gpu: waited %s\n%w", p.wait.most, last)
			}
			return nil, fmt.Errorf("docker gpu: stopped waiting: %w", ctx.Err())
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func runPick(ctx context.Context, app *app, opts *pickOptions) error {
	if opts.from != "" {
		return pickFrom(app, opts)
	}
	leases, err := fixes.OpenLeases(leaseFolders()...)
	if err != nil {
		return fmt.Errorf("docker gpu: no folder for leases: %w", err)
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

// leaseLine is a line of `pick --list`.
type leaseLine struct {
	fixes.LeaseHolder
	Container string `json:"container,omitempty"`
}

func listLeases(ctx context.Context, app *app, machine inspect.Machine, leases *fixes.Leases, opts *pickOptions) error {
	holders, err := leases.List()
	if err != nil {
		return fmt.Errorf("docker gpu: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, opts.timeout)
	defer cancel()
	claims, claimsErr := inspect.ReadClaims(limited, machine)
	var lines []leaseLine
	for _, h := range holders {
		lines = append(lines, leaseLine{h, claims[h.GPU]})
		delete(claims, h.GPU)
	}
	for uuid, name := range claims {
		lines = append(lines, leaseLine{fixes.LeaseHolder{GPU: uuid}, name})
	}
	slices.SortFunc(lines, func(a, b leaseLine) int { return strings.Compare(a.GPU, b.GPU) })
	switch opts.format {
	case "", "table":
		var rows [][]string
		for _, l := range lines {
			what, until := "container", ""
			switch {
			case l.Live:
				what = "start under way"
			case !l.Until.IsZero():
				what, until = "pick", l.Until.Local().Format(time.TimeOnly)
			}
			pid := ""
			if l.PID > 0 {
				pid = fmt.Sprint(l.PID)
			}
			rows = append(rows, []string{harmlessName(l.GPU), what, harmlessName(l.Container), harmlessName(l.User), pid, until})
		}
		columns := []column{{title: "GPU", keep: keepAlways}, {title: "HELD BY", keep: keepAlways}, {title: "CONTAINER", keep: 90, least: 12}, {title: "USER", keep: 60}, {title: "PID", keep: 40}, {title: "UNTIL", keep: 50}}
		if err := writeTable(app.out(), app.width(), columns, rows); err != nil {
			return err
		}
	default:
		for _, l := range lines {
			if opts.format == "json" {
				err = writeJSON(app.out(), l, "")
			} else {
				err = writeTemplate(app.out(), strings.TrimPrefix(opts.format, "table "), l)
			}
			if err != nil {
				return err
			}
		}
	}
	if claimsErr != nil {
		fmt.Fprintln(app.cli.Err(), harmlessText("docker gpu: which containers hold GPUs is not known: "+claimsErr.Error()))
	}
	return nil
}
