package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
)

// talkingEngine is an engine whose containers have logs, and which tells of events.
type talkingEngine struct {
	EngineAPI
	mu         sync.Mutex
	containers map[string]container.InspectResponse
	logs       map[string]string
	running    []string
	stream     func(context.Context, client.EventsListOptions) client.EventsResult
	down       error
}

func (e *talkingEngine) change(by func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	by()
}

func (e *talkingEngine) ServerVersion(context.Context, client.ServerVersionOptions) (client.ServerVersionResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return client.ServerVersionResult{Version: "29.7.2", APIVersion: "1.54", Os: "linux"}, e.down
}

func (e *talkingEngine) Info(context.Context, client.InfoOptions) (client.SystemInfoResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return client.SystemInfoResult{Info: system.Info{Name: "ada"}}, e.down
}

func (e *talkingEngine) ContainerList(context.Context, client.ContainerListOptions) (client.ContainerListResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var items []container.Summary
	for _, id := range e.running {
		items = append(items, container.Summary{ID: id, Names: []string{e.containers[id].Name}})
	}
	return client.ContainerListResult{Items: items}, e.down
}

func (e *talkingEngine) ContainerInspect(_ context.Context, id string, _ client.ContainerInspectOptions) (client.ContainerInspectResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return client.ContainerInspectResult{}, fmt.Errorf("no such container: %s: %w", id, cerrdefs.ErrNotFound)
	}
	return client.ContainerInspectResult{Container: c}, e.down
}

func (e *talkingEngine) ContainerLogs(_ context.Context, id string, o client.ContainerLogsOptions) (client.ContainerLogsResult, error) {
	if o.Tail == "" || o.Follow {
		return nil, errors.New("a log without end was asked for")
	}
	log, ok := e.logs[id]
	if !ok {
		return nil, errors.New("configured logging driver does not support reading")
	}
	return io.NopCloser(strings.NewReader(log)), nil
}

func (e *talkingEngine) Events(ctx context.Context, o client.EventsListOptions) client.EventsResult {
	return e.stream(ctx, o)
}

func saying(id string, tty bool, state container.State, runtime string) container.InspectResponse {
	return container.InspectResponse{ID: id, Name: "/" + id, State: &state, Config: &container.Config{Tty: tty},
		HostConfig: &container.HostConfig{Runtime: runtime, Resources: container.Resources{DeviceRequests: []container.DeviceRequest{{Count: -1, Capabilities: [][]string{{"gpu"}}}}}}}
}

func framed(lines ...string) string {
	var b bytes.Buffer
	for i, line := range lines {
		kind := stdcopy.Stdout
		if i%2 == 1 {
			kind = stdcopy.Stderr
		}
		b.Write([]byte{byte(kind), 0, 0, 0, 0, 0, byte((len(line) + 1) >> 8), byte(len(line) + 1)})
		b.WriteString(line + "\n")
	}
	return b.String()
}

func TestLogsSource(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ended := func(ago time.Duration) container.State {
		return container.State{Status: "exited", FinishedAt: now.Add(-ago).Format(time.RFC3339Nano), Health: &container.Health{Status: "unhealthy", Log: []*container.HealthcheckResult{nil, {Output: "NVML: Unknown Error"}}}}
	}
	up := container.State{Status: "running", Running: true}
	api := &talkingEngine{
		containers: map[string]container.InspectResponse{"framed": saying("framed", false, up, ""), "terminal": saying("terminal", true, up, ""), "lately": saying("lately", false, ended(time.Hour), ""),
			"old": saying("old", false, ended(72*time.Hour), ""), "silent": saying("silent", false, up, ""), "cpu": saying("cpu", false, up, "")},
		logs: map[string]string{"framed": framed("one", "two", "three"), "terminal": "a\r\nb\x1b[0m\r\n", "lately": framed("bus error"), "old": framed("long ago"), "cpu": framed("nothing of GPUs"),
			"cut": framed("x")[:5]},
	}
	read := func(names ...string) map[string]*Output {
		s := &Snapshot{}
		for id := range api.containers {
			s.Containers = append(s.Containers, Container{ID: id, Name: id})
		}
		m := Machine{Now: func() time.Time { return now }, Dial: func(context.Context) (EngineAPI, error) { return api, nil }}
		ask := LogsSource(func(c *Container) bool { return c.Name != "cpu" }, names...).Then(s)
		patch, err := ask(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		patch(s)
		outputs := map[string]*Output{}
		for _, c := range s.Containers {
			outputs[c.ID] = c.Output
		}
		return outputs
	}
	outputs := read()
	if o := outputs["framed"]; o == nil || !slices.Equal(o.Log, []string{"one", "two", "three"}) {
		t.Errorf("framed: %+v", o)
	}
	if o := outputs["terminal"]; o == nil || !slices.Equal(o.Log, []string{"a", "b\x1b[0m"}) {
		t.Errorf("terminal: %+v", o)
	}
	if o := outputs["lately"]; o == nil || len(o.Log) != 1 || !slices.Equal(o.Health, []string{"NVML: Unknown Error"}) || o.FinishedAt == nil {
		t.Errorf("lately: %+v", o)
	}
	if o := outputs["silent"]; o == nil || len(o.Log) > 0 {
		t.Errorf("a driver that keeps no log: %+v", o)
	}
	if outputs["old"] != nil || outputs["cpu"] != nil {
		t.Errorf("not to be read: old %+v, cpu %+v", outputs["old"], outputs["cpu"])
	}
	if outputs = read("old", "cpu"); outputs["old"] == nil || outputs["cpu"] == nil {
		t.Error("asked for by name, and not read")
	}
}

// Over a restart of the engine no container is lost and none is told of twice, and the gap is said.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := func(second int) string {
			return time.Unix(time.Now().Unix()+int64(second), 0).UTC().Format(time.RFC3339Nano)
		}
		started := func(id string, second int) container.InspectResponse {
			return saying(id, false, container.State{Status: "running", Running: true, StartedAt: at(second)}, "")
		}
		start := func(id string) events.Message {
			return events.Message{Type: "container", Action: "start", Actor: events.Actor{ID: id, Attributes: map[string]string{"name": id}}, TimeNano: time.Now().UnixNano()}
		}
		api := &talkingEngine{containers: map[string]container.InspectResponse{"before": started("before", -5), "first": started("first", 1)}, running: []string{"before"}}
		connection := 0
		api.stream = func(ctx context.Context, o client.EventsListOptions) client.EventsResult {
			if o.Since == "" {
				t.Error("events were asked for without a time")
			}
			connection++
			n := connection
			messages, errs := make(chan events.Message), make(chan error, 1)
			go func() {
				send := func(m events.Message) {
					select {
					case messages <- m:
					case <-ctx.Done():
					}
				}
				switch n {
				case 1:
					send(start("first"))
					send(start("first")) // a repeated event is one start
					send(start("gone"))  // ended and removed before it could be looked at
					api.change(func() { api.down = errors.New("connection refused") })
					errs <- io.EOF
					time.Sleep(3 * time.Second)
					api.change(func() {
						api.containers["second"] = started("second", 0)
						api.running = []string{"before", "first", "second"}
						api.down = nil
					})
				default:
					send(start("second")) // the engine repeats what it still knows
					api.change(func() { api.containers["third"] = started("third", 0) })
					send(start("third"))
				}
			}()
			return client.EventsResult{Messages: messages, Err: errs}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		m := Machine{Root: Root(t.TempDir()), Now: time.Now, Dial: func(context.Context) (EngineAPI, error) { return api, nil }}
		var told []string
		err := Follow(ctx, m, time.Second, func(h Happening) error {
			switch {
			case h.Gap != nil:
				if h.Gap.To.Sub(h.Gap.From) < 2*time.Second || h.Gap.Reason == "" {
					t.Errorf("gap %+v", h.Gap)
				}
				told = append(told, "gap")
			case h.Unseen:
				told = append(told, h.Container.ID+"?")
			default:
				if len(h.Container.Grant.By) == 0 || h.Facts == nil {
					t.Errorf("%s: %+v", h.Container.ID, h)
				}
				told = append(told, h.Container.ID)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"first", "gone?", "gap", "second", "third"}; !slices.Equal(told, want) {
			t.Errorf("told of %v, want %v", told, want)
		}
	})
}

func TestFollowNeedsAnEngineToBeginWith(t *testing.T) {
	m := Machine{Root: Root(t.TempDir()), Now: time.Now, Dial: func(context.Context) (EngineAPI, error) { return nil, errors.New("nothing answers there") }}
	if err := Follow(t.Context(), m, time.Second, func(Happening) error { return nil }); err == nil || !strings.Contains(err.Error(), "nothing answers") {
		t.Error(err)
	}
}
