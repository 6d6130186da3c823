package inspect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"
)

// eventEngine is an engine whose events a test sends, that counts what it is asked, and manages a swarm.
type eventEngine struct {
	EngineAPI
	mu        sync.Mutex
	running   []string // ids
	lists     int
	inspected map[string]int
	nodes     int // how often the swarm's nodes were asked for
	nodesErr  error
	waiting   bool
	followed  chan chan events.Message // a follower's stream; closed: the engine dies
}

func (e *eventEngine) Events(ctx context.Context, _ client.EventsListOptions) client.EventsResult {
	messages, failed := make(chan events.Message), make(chan error, 1)
	sent := make(chan events.Message)
	go func() {
		for {
			select {
			case m, more := <-sent:
				if !more {
					failed <- errors.New("EOF")
					return
				}
				select {
				case messages <- m:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	select {
	case e.followed <- sent:
	case <-ctx.Done():
	}
	return client.EventsResult{Messages: messages, Err: failed}
}

func (e *eventEngine) ContainerList(context.Context, client.ContainerListOptions) (client.ContainerListResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lists++
	var list client.ContainerListResult
	for _, id := range e.running {
		list.Items = append(list.Items, container.Summary{ID: id, Names: []string{"/c" + id[60:]}, State: "running"})
	}
	return list, nil
}

func (e *eventEngine) ContainerInspect(_ context.Context, id string, _ client.ContainerInspectOptions) (client.ContainerInspectResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inspected[id]++
	return client.ContainerInspectResult{Container: container.InspectResponse{ID: id, Name: "/c" + id[60:], State: &container.State{Status: "running", Running: true}, HostConfig: &container.HostConfig{}}}, nil
}

func (e *eventEngine) NodeList(context.Context, client.NodeListOptions) (client.NodeListResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nodes++
	return client.NodeListResult{Items: []swarm.Node{{ID: "n1"}}}, e.nodesErr
}

func (e *eventEngine) TaskList(context.Context, client.TaskListOptions) (client.TaskListResult, error) {
	var tasks client.TaskListResult
	if e.waiting {
		wants := []swarm.GenericResource{{DiscreteResourceSpec: &swarm.DiscreteGenericResource{Kind: "GPU", Value: 1}}}
		tasks.Items = []swarm.Task{{ID: "t1", Status: swarm.TaskStatus{State: swarm.TaskStatePending}, Spec: swarm.TaskSpec{Resources: &swarm.ResourceRequirements{Reservations: &swarm.Resources{GenericResources: wants}}}}}
	}
	return tasks, nil
}

func (e *eventEngine) ServiceList(context.Context, client.ServiceListOptions) (client.ServiceListResult, error) {
	return client.ServiceListResult{}, nil
}

func id64(n int) string { return fmt.Sprintf("%064x", n) }

// The engine is asked when its events say that something changed and then for what is new; where the stream of
// events breaks off, everything is asked again, and a container that went meanwhile is gone.
func TestContainerWatchAsksOnEvents(t *testing.T) {
	e := &eventEngine{inspected: map[string]int{}, followed: make(chan chan events.Message), running: []string{id64(1), id64(2)}}
	m := Machine{Now: time.Now, Host: "unix:///sim", Dial: func(context.Context) (EngineAPI, error) { return e, nil }}
	w := NewContainerWatch(m)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.Run(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	look := func() []Container {
		t.Helper()
		s := Collect(t.Context(), m, time.Minute, w.Source())
		if s.Sources[0].Error != "" {
			t.Fatal(s.Sources[0].Error)
		}
		return s.Containers
	}
	settled := func(lists int) { // until what was sent is noted, and asked for
		t.Helper()
		for {
			look()
			e.mu.Lock()
			n := e.lists
			e.mu.Unlock()
			if n >= lists {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	live := func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.live }
	stream := <-e.followed
	for !live() {
		time.Sleep(time.Millisecond)
	}
	look()
	e.mu.Lock()
	lists := e.lists
	e.mu.Unlock()
	for range 10 {
		if got := look(); len(got) != 2 {
			t.Fatalf("%d containers", len(got))
		}
	}
	if e.lists != lists || e.inspected[id64(1)] != 1 {
		t.Errorf("asked %d times and inspected %v without an event", e.lists-lists, e.inspected)
	}
	event := func(action events.Action, id string) {
		stream <- events.Message{Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: id}}
	}
	event("exec_start: sh", id64(1))
	event("top", id64(1))
	e.mu.Lock()
	e.running = []string{id64(2), id64(3)}
	e.mu.Unlock()
	event("start", id64(3))
	settled(lists + 1)
	if got := look(); len(got) != 2 || got[0].ID != id64(2) || got[1].ID != id64(3) {
		t.Errorf("after it changed: %+v", got)
	}
	if e.inspected[id64(2)] != 1 || e.inspected[id64(3)] != 1 {
		t.Errorf("inspected %v: only what is new is to be", e.inspected)
	}
	if len(w.known) != 2 {
		t.Errorf("%d containers are remembered, two run", len(w.known))
	}

	close(stream) // the engine restarts, and one did not survive it
	e.mu.Lock()
	e.running = []string{id64(3)}
	e.mu.Unlock()
	<-e.followed
	for !live() {
		time.Sleep(time.Millisecond)
	}
	if got := look(); len(got) != 1 || got[0].ID != id64(3) {
		t.Errorf("after the engine's restart: %+v", got)
	}
}

// A manager is asked for a while after an event, now and then while a task waits, and seldom otherwise; one that
// fails is left alone for a while, and what failed is said meanwhile.
func TestContainerWatchSwarm(t *testing.T) {
	e := &eventEngine{inspected: map[string]int{}}
	clock := time.Unix(1_000_000, 0)
	m := Machine{Now: func() time.Time { return clock }, Host: "unix:///sim", Dial: func(context.Context) (EngineAPI, error) { return e, nil }}
	w := NewContainerWatch(m)
	w.live, w.swarm.changed = true, clock
	manager := Source{Name: "engine", Read: func(context.Context, Machine) (Patch, error) {
		return func(s *Snapshot) { s.Engine = &Engine{Swarm: &Swarm{Manager: true, State: "active"}} }, nil
	}}
	look := func() *Snapshot { return Collect(t.Context(), m, time.Minute, manager, w.Swarm()) }
	asks := func(seconds int) int {
		before := e.nodes
		for range seconds {
			if s := look(); s.Swarm == nil && e.nodesErr == nil {
				t.Fatalf("no swarm: %+v", s.Sources)
			}
			clock = clock.Add(time.Second)
		}
		return e.nodes - before
	}
	if n := asks(10); n != 10 {
		t.Errorf("asked %d times in the 10 seconds after an event", n)
	}
	if n := asks(600); n < 9 || n > 11 {
		t.Errorf("asked %d times in 10 quiet minutes", n)
	}
	w.note(events.Message{Type: events.ContainerEventType, Action: "start", Actor: events.Actor{ID: id64(1)}})
	if n := asks(20); n > 1 {
		t.Errorf("asked %d times after a container that is no task started", n)
	}
	e.waiting = true
	w.note(events.Message{Type: events.ServiceEventType, Action: "create"})
	if n := asks(10); n != 10 {
		t.Errorf("asked %d times after a service was made", n)
	}
	if n := asks(60); n < 4 || n > 5 {
		t.Errorf("asked %d times in a minute while a task waits", n)
	}
	w.note(events.Message{Type: events.ContainerEventType, Action: "die", Actor: events.Actor{ID: id64(1), Attributes: map[string]string{"com.docker.swarm.task.id": "t1"}}})
	if n := asks(5); n != 5 {
		t.Errorf("asked %d times after a task's container ended", n)
	}
	e.nodesErr = errors.New("the swarm does not have a leader")
	if n := asks(30); n < 2 || n > 3 {
		t.Errorf("asked %d times in half a minute though it fails", n)
	}
	if s := look(); s.Swarm != nil || s.Sources[1].Error == "" {
		t.Errorf("what failed is not said: %+v", s.Sources[1])
	}
	manager.Read = func(context.Context, Machine) (Patch, error) {
		return func(s *Snapshot) { s.Engine = &Engine{} }, nil
	}
	before := e.nodes
	if s := look(); s.Swarm != nil || s.Sources[1].Error != "" || e.nodes != before {
		t.Errorf("it left the swarm: %+v", s.Sources[1])
	}
}

// What is kept for a while is read again after it, a failure at once.
func TestCached(t *testing.T) {
	reads := 0
	var fail error
	source := Cached(Source{Name: "kept", Read: func(context.Context, Machine) (Patch, error) {
		reads++
		return func(*Snapshot) {}, fail
	}}, time.Minute)
	clock := time.Unix(1_000_000, 0)
	m := Machine{Now: func() time.Time { return clock }}
	for _, step := range []struct {
		later time.Duration
		fail  error
		want  int
	}{{0, nil, 1}, {30 * time.Second, nil, 1}, {time.Minute, errors.New("away"), 2}, {0, errors.New("away"), 3}, {0, ErrAbsent, 4}, {time.Second, nil, 4}} {
		clock, fail = clock.Add(step.later), step.fail
		_, _ = source.Read(t.Context(), m)
		if reads != step.want {
			t.Errorf("%+v: read %d times", step, reads)
		}
	}
}

// hangingEngine answers no ping any more once it hangs; its events stay as quiet as before.
type hangingEngine struct {
	*eventEngine
	hung chan struct{} // closed: it hangs
}

func (e *hangingEngine) Ping(ctx context.Context, _ client.PingOptions) (client.PingResult, error) {
	select {
	case <-e.hung:
		<-ctx.Done()
		return client.PingResult{}, ctx.Err()
	default:
		return client.PingResult{}, nil
	}
}

// An engine that hangs sends no event of it: whoever follows it hears of it all the same.
func TestWatchersNoticeAnEngineThatHangs(t *testing.T) {
	every, patience := pingEvery, pingPatience
	pingEvery, pingPatience = time.Millisecond, 10*time.Millisecond
	defer func() { pingEvery, pingPatience = every, patience }()
	e := &hangingEngine{&eventEngine{inspected: map[string]int{}, followed: make(chan chan events.Message)}, make(chan struct{})}
	m := Machine{Now: time.Now, Host: "unix:///sim", Dial: func(context.Context) (EngineAPI, error) { return e, nil }}
	w := NewContainerWatch(m)
	ended := make(chan error, 2)
	go func() { w.follow(t.Context()); ended <- nil }()
	<-e.followed
	go func() { ended <- WatchContainers(t.Context(), m, func() {}) }()
	<-e.followed
	select {
	case err := <-ended:
		t.Fatalf("it answers, and is given up: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(e.hung)
	told := errors.Join(<-ended, <-ended)
	if told == nil || !errors.Is(told, context.DeadlineExceeded) {
		t.Errorf("told: %v", told)
	}
}
