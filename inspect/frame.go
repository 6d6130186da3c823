package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// Frame is one moment of a view that goes on: what moves is read from sources, what stands still (engine,
// containers, host, driver, toolkit) is told again from an earlier Snapshot, its readings with it. The
// processes of the moment are given to the containers of the earlier one.
func Frame(ctx context.Context, m Machine, each time.Duration, earlier *Snapshot, sources ...Source) *Snapshot {
	again := Source{Name: "earlier", Read: func(context.Context, Machine) (Patch, error) {
		return func(s *Snapshot) {
			s.Host, s.Engine, s.Toolkit = earlier.Host, copied(earlier.Engine), earlier.Toolkit
			s.Driver = copied(earlier.Driver)
			s.Containers = slices.Clone(earlier.Containers)
		}, nil
	}}
	s := Collect(ctx, m, each, append([]Source{again}, sources...)...)
	s.Sources = append(slices.Clone(earlier.Sources), s.Sources[1:]...)
	return s
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
	follower, ok := api.(interface {
		Events(context.Context, client.EventsListOptions) client.EventsResult
	})
	if !ok {
		return errors.New("this engine's events cannot be followed")
	}
	stream := follower.Events(ctx, client.EventsListOptions{Filters: make(client.Filters).Add("type", "container").Add("event", containerEvents...)})
	changed()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
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
