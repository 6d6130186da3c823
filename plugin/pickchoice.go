package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

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
		return fmt.Sprintf("docker gpu: %d GPUs are wanted, and there %s", e.wish.Count, map[bool]string{true: "is 1", false: fmt.Sprint("are ", len(e.considered))}[len(e.considered) == 1])
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

// pickPace is how picks take their time.
type pickPace struct {
	window time.Duration // between two readings: a GPU that rests for an instant between two batches is not idle
	turn   time.Duration // between two looks if it is the turn of one who waits
}

var usualPace = pickPace{window: 300 * time.Millisecond, turn: 250 * time.Millisecond}

// pick chooses GPUs and takes their leases; with keep false it only looks.
func (p *pickFlags) pick(ctx context.Context, app *app, machine inspect.Machine, leases *fixes.Leases, keep bool) (*pickedGPUs, error) {
	sources := []inspect.Source{inspect.NVMLBriefSource}
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
		case <-time.After(p.pace.window):
		}
	}
	second := inspect.Collect(ctx, machine, p.timeout, inspect.NVMLBriefSource)
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
		case <-time.After(p.pace.turn):
		}
	}
}
