package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// A Happening is what an engine tells while it is followed: a container was started, or there was a time
// in which nothing could be seen.
type Happening struct {
	At        time.Time
	Container *Container // nil: a gap
	Unseen    bool       // the container ended before it could be looked at: its Grant is not known
	Facts     *Snapshot  // the engine's machine, as it was when the engine was reached; not to be changed
	Gap       *Gap
}

// Gap is a time in which the engine could not be followed. Containers that were started in it and still
// run are told of when it ends; those that also ended in it are not known.
type Gap struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// eventsAPI is what Follow asks beyond EngineAPI.
type eventsAPI interface {
	Events(context.Context, client.EventsListOptions) client.EventsResult
}

// Waits between two attempts to reach an engine that went away.
const (
	firstWait = 200 * time.Millisecond
	mostWait  = 5 * time.Second
)

// Follow tells of each container that the engine starts, until ctx ends or each returns an error. It goes
// on over a restart of the engine. The first connection has to succeed.
func Follow(ctx context.Context, m Machine, timeout time.Duration, each func(Happening) error) error {
	f := &follower{machine: m, timeout: timeout, each: each, told: map[string]time.Time{}, made: map[string]*Container{}}
	var away time.Time // since when the engine is away; zero: it never was
	reason := ""
	for wait := firstWait; ; {
		err := f.connection(ctx, away, reason)
		if ctx.Err() != nil {
			return nil
		}
		var stop stopError
		if errors.As(err, &stop) {
			return stop.error
		}
		if f.connected.IsZero() {
			return err
		}
		if f.connected.After(away) { // it had been there again
			away, reason, wait = m.Now(), err.Error(), firstWait
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, mostWait)
	}
}

// stopError is an error of the one who is told, which ends the following.
type stopError struct{ error }

type follower struct {
	machine   Machine
	timeout   time.Duration
	each      func(Happening) error
	facts     *Snapshot            // what grants are resolved by; read anew at each connection
	told      map[string]time.Time // by container, the start that was told of last
	made      map[string]*Container
	connected time.Time
}

// connection follows the engine over one connection. It asks for events before it looks at what runs, so
// that nothing falls between the two; what is seen twice is told once.
func (f *follower) connection(ctx context.Context, away time.Time, reason string) error {
	api, err := dial(ctx, f.machine)
	if err != nil {
		return err
	}
	if c, ok := api.(io.Closer); ok {
		defer c.Close()
	}
	stream, ok := api.(eventsAPI)
	if !ok {
		return errors.New("this engine cannot be followed")
	}
	since := f.machine.Now()
	if !away.IsZero() {
		since = away
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := stream.Events(ctx, client.EventsListOptions{
		Since:   fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond()),
		Filters: make(client.Filters).Add("type", "container").Add("event", "create", "start", "destroy"),
	})
	facts := Collect(ctx, f.machine, f.timeout, EngineSource, ContainersSource(false), HostSource, NVMLBriefSource, ToolkitSource)
	if facts.Engine == nil || facts.Engine.Version == "" || facts.Containers == nil {
		for _, r := range facts.Sources {
			if r.Error != "" && (r.Name == "engine" || r.Name == "containers") {
				return errors.New(r.Error)
			}
		}
		return errors.New("no engine answers")
	}
	f.facts = facts
	first := f.connected.IsZero()
	f.connected = f.machine.Now()
	if !away.IsZero() {
		if err := f.each(Happening{At: f.connected, Gap: &Gap{From: away, To: f.connected, Reason: reason}}); err != nil {
			return stopError{err}
		}
	}
	for i := range facts.Containers {
		c := &facts.Containers[i]
		if first {
			f.note(c)
			continue
		}
		if err := f.tell(c, c.StartedAt); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-answer.Err:
			if err == nil || errors.Is(err, io.EOF) {
				err = errors.New("the engine closed the connection")
			}
			return err
		case message := <-answer.Messages:
			if err := f.event(ctx, api, message); err != nil {
				return err
			}
		}
	}
}

func (f *follower) event(ctx context.Context, api EngineAPI, message events.Message) error {
	id := message.Actor.ID
	at := time.Unix(0, message.TimeNano).UTC()
	switch message.Action {
	case events.ActionDestroy:
		delete(f.told, id)
		delete(f.made, id)
		return nil
	case events.ActionCreate, events.ActionStart:
	default:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	answer, err := api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	var c *Container
	switch {
	case err == nil:
		described := describeContainer(answer.Container)
		c = &described
		if v := c.Asks.VisibleDevices; v != nil {
			value, known := (&imageVariables{api: api}).visible(ctx, answer.Container.Image)
			c.Asks.VisibleFromImage = known && value == *v
		}
		c.Grant = grant(f.facts, c)
	case cerrdefs.IsNotFound(err) && f.made[id] != nil: // it ended already; how it was made is known
		c = f.made[id]
	case cerrdefs.IsNotFound(err):
		if message.Action == events.ActionCreate {
			return nil
		}
		c = &Container{ID: id, Name: bounded(message.Actor.Attributes["name"]), Image: bounded(message.Actor.Attributes["image"])}
		if err := f.each(Happening{At: at, Container: c, Unseen: true, Facts: f.facts}); err != nil {
			return stopError{err}
		}
		return nil
	default:
		return err
	}
	if message.Action == events.ActionCreate {
		if len(f.made) < 4096 {
			f.made[id] = c
		}
		return nil
	}
	return f.tell(c, &at)
}

// note keeps the start of a container that ran before it was looked for.
func (f *follower) note(c *Container) {
	if c.StartedAt != nil {
		f.told[c.ID] = *c.StartedAt
	} else {
		f.told[c.ID] = f.machine.Now()
	}
}

// tell says that a container was started, once for each start. The engine stamps the event shortly after
// the start that it notes in the container.
func (f *follower) tell(c *Container, at *time.Time) error {
	when := f.machine.Now()
	if at != nil {
		when = *at
	}
	start := when
	if c.StartedAt != nil {
		start = *c.StartedAt
	}
	if last, known := f.told[c.ID]; known && !start.After(last) {
		return nil
	}
	f.told[c.ID] = start
	if err := f.each(Happening{At: when, Container: c, Facts: f.facts}); err != nil {
		return stopError{err}
	}
	return nil
}
