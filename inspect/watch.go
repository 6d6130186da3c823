package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// EventsAPI is an engine that tells what happens to its containers (GET /events); *client.Client is one.
type EventsAPI interface {
	Events(context.Context, client.EventsListOptions) client.EventsResult
}

// A ContainerWatch keeps an engine's running containers current for views that go on. It asks the engine
// only when the engine's own events say that something changed, and then for what is new alone: how a
// container came to its GPUs is fixed when it is created.
type ContainerWatch struct {
	machine Machine

	mu      sync.Mutex
	current []Container
	known   map[string]Container // described in full, by id
	stale   map[string]bool      // to be asked for again
	changed bool                 // the list is to be asked for again
	live    bool                 // events arrive: what is not changed is true
	images  *imageVariables
	swarm   swarmMemory
}

// NewContainerWatch watches the containers of the machine's engine once Run is called.
func NewContainerWatch(m Machine) *ContainerWatch {
	return &ContainerWatch{machine: m, known: map[string]Container{}, stale: map[string]bool{}, changed: true}
}

// The distances between two attempts to follow an engine's events.
const (
	firstEventsBackOff   = 200 * time.Millisecond
	longestEventsBackOff = 15 * time.Second
)

// Run follows the engine's events until ctx ends. Where they break off it starts anew; until then, and
// whenever it starts, everything counts as changed.
func (w *ContainerWatch) Run(ctx context.Context) {
	wait := firstEventsBackOff
	for ctx.Err() == nil {
		started := time.Now()
		w.follow(ctx)
		w.mu.Lock()
		w.live, w.changed = false, true
		w.mu.Unlock()
		if time.Since(started) > longestEventsBackOff {
			wait = firstEventsBackOff
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			wait = min(2*wait, longestEventsBackOff)
		}
	}
}

// follow returns when the events end or the engine cannot be reached.
func (w *ContainerWatch) follow(ctx context.Context) {
	api, err := dial(ctx, w.machine)
	if err != nil {
		return
	}
	engine, ok := api.(EventsAPI)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := engine.Events(ctx, client.EventsListOptions{Filters: client.Filters{}.Add("type", string(events.ContainerEventType), string(events.ServiceEventType), string(events.NodeEventType))})
	select { // Events returns once the engine has answered, or with its error on the channel
	case <-result.Err: //nolint:errcheck // whoever watches asks again, and hears of it there
		return
	default:
	}
	w.mu.Lock()
	w.live, w.changed = true, true
	w.swarm.changed = w.machine.Now()
	w.mu.Unlock()
	hangs := whenItHangs(ctx, api)
	for {
		select {
		case message := <-result.Messages:
			w.note(message)
		case <-hangs: //nolint:errcheck // whoever watches asks the engine itself from now on
			return
		case <-result.Err: //nolint:errcheck // the same
			return
		case <-ctx.Done():
			return
		}
	}
}

// How often an engine that is followed is asked if it answers at all, and how long that may take.
var (
	pingEvery    = 15 * time.Second
	pingPatience = 10 * time.Second
)

// whenItHangs gives an error once an engine does not answer any more. Its events do not tell: they are as quiet where
// nothing happens.
func whenItHangs(ctx context.Context, api EngineAPI) <-chan error {
	engine, ok := api.(pinger)
	if !ok {
		return nil
	}
	hangs := make(chan error, 1)
	go func() {
		tick := time.NewTicker(pingEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			asking, cancel := context.WithTimeout(ctx, pingPatience)
			_, err := engine.Ping(asking, client.PingOptions{})
			cancel()
			if err != nil {
				hangs <- fmt.Errorf("the engine does not answer: %w", err)
				return
			}
		}
	}()
	return hangs
}

// note takes an event for what it changes. Most are of no matter: exec, attach, resize, top.
func (w *ContainerWatch) note(message events.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if message.Type != events.ContainerEventType || message.Actor.Attributes["com.docker.swarm.task.id"] != "" {
		w.swarm.changed = w.machine.Now()
	}
	switch action := string(message.Action); {
	case message.Type != events.ContainerEventType:
	case action == "start" || action == "die" || action == "destroy" || action == "pause" || action == "unpause":
		w.changed = true
	case action == "rename" || action == "update" || strings.HasPrefix(action, "health_status"):
		w.changed = true
		w.stale[message.Actor.ID] = true
	}
}

// Source is [ContainersSource] of the running containers, from memory where nothing changed.
func (w *ContainerWatch) Source() Source { return Source{Name: "containers", Read: w.read} }

func (w *ContainerWatch) read(ctx context.Context, m Machine) (Patch, error) {
	w.mu.Lock()
	if w.live && !w.changed {
		containers := append([]Container{}, w.current...)
		w.mu.Unlock()
		return func(s *Snapshot) { s.Containers = containers }, nil
	}
	w.changed = false // what happens from here on changes it again
	stale := w.stale
	w.stale = map[string]bool{}
	known := w.known
	w.mu.Unlock()

	containers, fresh, err := w.ask(ctx, m, known, stale)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.changed = true
		for id := range stale {
			w.stale[id] = true
		}
		return nil, err
	}
	w.current, w.known = containers, fresh
	containers = append([]Container{}, containers...)
	return func(s *Snapshot) { s.Containers = containers }, nil
}

// ask lists the running containers and inspects those that are new or stale.
func (w *ContainerWatch) ask(ctx context.Context, m Machine, known map[string]Container, stale map[string]bool) ([]Container, map[string]Container, error) {
	api, err := dial(ctx, m)
	if err != nil {
		_, _, err = whyUnreachable(ctx, m.Host, err)
		return nil, nil, err
	}
	engine := reader(m, api)
	defer engine.close()
	var list []Container
	if err := engine.list(ctx, false, func(item container.Summary) { list = append(list, containerListed(item)) }); err != nil {
		_, _, err = whyUnreachable(ctx, m.Host, err)
		return nil, nil, err
	}
	if w.images == nil || len(w.images.known) > 1000 {
		w.images = &imageVariables{api: api}
	}
	w.images.api = api
	for i := range list {
		if old, ok := known[list[i].ID]; ok && !stale[list[i].ID] && old.State == list[i].State {
			old.Status = list[i].Status
			list[i] = old
		}
	}
	containers, err := describeListed(ctx, engine, w.images, list, func(c *Container) bool {
		old, ok := known[c.ID]
		return !ok || stale[c.ID] || old.State != c.State
	})
	if err != nil {
		return nil, nil, err
	}
	fresh := make(map[string]Container, len(containers))
	for _, c := range containers {
		fresh[c.ID] = c
	}
	return containers, fresh, nil
}

// Cached keeps what a source has read for a while: for views that go on and facts that change rarely. A
// failure is not kept. It is for one collection at a time.
func Cached(source Source, keep time.Duration) Source {
	var mu sync.Mutex
	var patch Patch
	var absent error
	var until time.Time
	read := source.Read
	source.Read = func(ctx context.Context, m Machine) (Patch, error) {
		mu.Lock()
		if m.Now().Before(until) {
			defer mu.Unlock()
			return patch, absent
		}
		mu.Unlock()
		fresh, err := read(ctx, m)
		if err == nil || errors.Is(err, ErrAbsent) || errors.As(err, new(noted)) {
			mu.Lock()
			patch, absent, until = fresh, err, m.Now().Add(keep)
			mu.Unlock()
		}
		return fresh, err
	}
	return source
}
