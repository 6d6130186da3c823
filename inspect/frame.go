package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// Frames are the moments of a view that goes on: what moves is read anew for each, what stands still (engine,
// containers, host, driver, toolkit) is told again from an earlier Snapshot, its readings with it. The
// processes of the moment are given to the containers of the earlier one. It is for one frame at a time.
type Frames struct {
	machine   Machine
	each      time.Duration // how long a frame waits for a source
	earlier   *Snapshot     // what is below holds for
	elsewhere string        // why this machine's GPUs are not the engine's; empty: they are
	known     map[string]int
	last      *Snapshot           // the frame before
	whole     bool                // NVML and /proc told all of it, and the engine was asked about nothing
	ids       map[string][]string // container ids by cgroup
}

// NewFrames makes frames of a machine, which wait at most so long for each source.
func NewFrames(m Machine, each time.Duration) *Frames { return &Frames{machine: m, each: each} }

// Next is the moment now, with ask for NVML's answer.
func (f *Frames) Next(ctx context.Context, earlier *Snapshot, ask func(context.Context) (*NVMLAnswer, error)) *Snapshot {
	m := f.machine
	now := m.Now().UTC()
	if f.earlier != earlier {
		f.elsewhere = elsewhereByEndpoint(m.Context, m.Host)
		if f.elsewhere == "" {
			f.elsewhere = elsewhereByFacts(earlier, m)
		}
	}
	var patch Patch
	nvml := Reading{Name: NVMLSource.Name, Note: f.elsewhere}
	if f.elsewhere == "" {
		var still atomic.Bool // set beside this, maybe later than anybody waits for
		patch, nvml = then(ctx, m, f.each, NVMLSource.Name, func(ctx context.Context, m Machine) (Patch, error) {
			answer, err := ask(ctx)
			if err == nil && answer.Unchanged && f.whole && f.earlier == earlier && m.Seen.same(m.Now()) {
				still.Store(true)
				return nil, nil
			}
			return readNVMLBy(ctx, m, func(context.Context) (*NVMLAnswer, error) { return answer, err })
		})
		if still.Load() && !nvml.TimedOut {
			return f.again(now, nvml)
		}
	}
	s := &Snapshot{
		SchemaVersion: SchemaVersion, TakenAt: now, Host: earlier.Host, Engine: earlier.Engine, Toolkit: earlier.Toolkit,
		Driver: copied(earlier.Driver), Containers: slices.Clone(earlier.Containers), Sources: slices.Clone(earlier.Sources),
	}
	if patch != nil {
		patch(s)
	}
	f.resolve(s, earlier)
	processes, asked := Reading{Name: ProcessesSource.Name}, false
	if read := traceProcesses(s); read != nil {
		var patch Patch
		if patch, processes = then(ctx, m, f.each, ProcessesSource.Name, read); patch != nil {
			patch(s)
			asked = true
		}
	}
	s.Sources = append(s.Sources, nvml, processes)
	switch {
	case asked: // there may be containers that are younger than the list
		resolve(s, f.elsewhere != "")
	case anyOwnerless(s.GPUs): // and the engine was asked about them before
		attribute(s, f.known, f.containerIDs)
	}
	f.earlier, f.last = earlier, s
	f.whole = !asked && nvml.Error == "" && !nvml.TimedOut && processes.Error == "" && !processes.TimedOut && !anyUntold(s.GPUs)
	return s
}

// again is the frame before at another moment: it shares all that is in it, of which nothing is another.
func (f *Frames) again(now time.Time, nvml Reading) *Snapshot {
	s := *f.last
	s.TakenAt = now
	s.Sources = slices.Clone(s.Sources)
	s.Sources[len(s.Sources)-2] = nvml
	f.last = &s
	return &s
}

// resolve is [resolve] with what the frame before knew already: the grants, where neither the containers nor the
// GPUs are others, and the containers that cgroups name.
func (f *Frames) resolve(s, earlier *Snapshot) {
	if s.Containers == nil || f.earlier != earlier || f.last == nil || !sameGPUs(s.GPUs, f.last.GPUs) {
		f.known = map[string]int{}
		f.ids = map[string][]string{}
		resolve(s, f.elsewhere != "")
		for i := range s.Containers {
			f.known[s.Containers[i].ID] = i
		}
		return
	}
	for i := range s.Containers { // the list may have grown by younger ones in the frame before
		s.Containers[i].Grant = f.last.Containers[i].Grant
	}
	attribute(s, f.known, f.containerIDs)
}

func (f *Frames) containerIDs(cgroup string) []string {
	ids, seen := f.ids[cgroup]
	if !seen {
		ids = ContainerIDs(cgroup)
		f.ids[cgroup] = ids
	}
	return ids
}

func anyOwnerless(gpus []GPU) (found bool) {
	eachProcess(gpus, func(_ UsageProcess, p *GPUProcess) { found = found || ownerless(p) })
	return found
}

// anyUntold tells if there is a process of which /proc told nothing: it is looked for at every reading.
func anyUntold(gpus []GPU) (found bool) {
	eachProcess(gpus, func(_ UsageProcess, p *GPUProcess) { found = found || p.Cgroup == "" })
	return found
}

// sameGPUs tells if grants name the same GPUs and MIG devices in both.
func sameGPUs(a, b []GPU) bool {
	return (a == nil) == (b == nil) && slices.EqualFunc(a, b, func(a, b GPU) bool {
		return a.Index == b.Index && a.UUID == b.UUID && (a.Minor == b.Minor || a.Minor != nil && b.Minor != nil && *a.Minor == *b.Minor) &&
			(a.MIG == b.MIG || a.MIG != nil && b.MIG != nil && slices.EqualFunc(a.MIG.Devices, b.MIG.Devices, func(a, b MIGDevice) bool {
				return a.Index == b.Index && a.UUID == b.UUID
			}))
	})
}

func copied[T any](v *T) *T {
	if v == nil {
		return nil
	}
	c := *v
	return &c
}

// containerEvents are those after which the list of containers, or what it says, is another one.
var containerEvents = []string{"create", "start", "die", "destroy", "rename", "update", "pause", "unpause", "health_status", "oom"}

// WatchContainers follows the engine's events and calls changed for each that concerns a container, and
// once when it listens. It returns when ctx or the stream of events ends, as it does when the engine dies.
func WatchContainers(ctx context.Context, m Machine, changed func()) error {
	api, err := dial(ctx, m)
	if err != nil {
		return err
	}
	follower, ok := api.(EventsAPI)
	if !ok {
		return errors.New("this engine's events cannot be followed")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := follower.Events(ctx, client.EventsListOptions{Filters: make(client.Filters).Add("type", "container").Add("event", containerEvents...)})
	changed()
	hangs := whenItHangs(ctx, api)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-hangs:
			return err
		case err := <-stream.Err:
			if err == nil {
				err = errors.New("the stream of events ended")
			}
			return fmt.Errorf("engine's events: %w", err)
		case message, more := <-stream.Messages:
			if !more {
				return errors.New("engine's events: the stream ended")
			}
			if message.Type == events.ContainerEventType {
				changed()
			}
		}
	}
}
