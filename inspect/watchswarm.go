package inspect

import (
	"context"
	"time"
)

// swarmMemory is what a [ContainerWatch] knows of the swarm that its engine manages.
type swarmMemory struct {
	view    *SwarmView
	failed  error // what came of asking, in place of a view
	asked   time.Time
	changed time.Time // when an event last told of a service, a node or a task's container here
}

// Nothing tells of tasks: what an event begins goes on for a while, and a task that waits is given a GPU that another
// node has free now without any event. So the swarm is asked anew for a while after an event, now and then while
// something waits, and seldom otherwise.
const (
	swarmSettles  = 10 * time.Second
	swarmPace     = time.Second
	swarmWaitsAge = 15 * time.Second
	swarmAge      = time.Minute
)

// due tells if the swarm has to be asked; live says that events arrive.
func (m *swarmMemory) due(now time.Time, live bool) bool {
	age := now.Sub(m.asked)
	switch {
	case m.view == nil && m.failed == nil:
		return true
	case m.failed != nil: // a manager without its like answers late, if at all
		return age >= swarmWaitsAge
	case !live || now.Sub(m.changed) < swarmSettles || m.changed.After(m.asked):
		return age >= swarmPace
	case len(m.view.Waiting) > 0:
		return age >= swarmWaitsAge
	}
	return age >= swarmAge
}

// Swarm is [SwarmSource], from memory where nothing changed.
func (w *ContainerWatch) Swarm() Source {
	return Source{Name: SwarmSource.Name, Then: func(s *Snapshot) func(context.Context, Machine) (Patch, error) {
		read := SwarmSource.Then(s)
		if read == nil || !s.Engine.Swarm.Manager {
			w.mu.Lock()
			w.swarm.view, w.swarm.failed = nil, nil
			w.mu.Unlock()
			return read
		}
		return func(ctx context.Context, m Machine) (Patch, error) {
			now := m.Now()
			w.mu.Lock()
			view, failed := w.swarm.view, w.swarm.failed
			due := w.swarm.due(now, w.live)
			w.mu.Unlock()
			switch {
			case !due && failed != nil:
				return nil, failed
			case !due:
				return func(s *Snapshot) { s.Swarm = view }, nil
			}
			patch, err := read(ctx, m)
			var seen Snapshot
			if patch != nil && err == nil {
				patch(&seen)
			}
			w.mu.Lock()
			w.swarm.view, w.swarm.failed, w.swarm.asked = seen.Swarm, err, now
			w.mu.Unlock()
			return patch, err
		}
	}}
}
