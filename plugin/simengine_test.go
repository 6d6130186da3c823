package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker-gpu/docker-gpu/e2e/simengine"
)

// simContainer is one container of a simulated engine, laid over recorded answers.
type simContainer struct {
	id, name, image, state string
	pid                    int
	labels                 map[string]string
	env                    []string
	host                   map[string]any // over HostConfig
	top                    []int          // PIDs of /top
}

// simEngine answers like the engine whose answers are recorded in testdata/engine (20.10), over a socket.
type simEngine struct {
	*simengine.Engine
	socket     string
	info       map[string]any // over /info
	mu         sync.Mutex
	containers []simContainer
	inspected  map[string]int           // how often each id was asked for
	answers    map[string][]byte        // by id, made when they were first asked for
	hang       map[string]chan struct{} // paths that do not answer before the channel is closed
}

func recorded(t testing.TB, name string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "engine", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (c simContainer) over(answer map[string]any) []byte {
	copied := map[string]any{}
	raw, _ := json.Marshal(answer)
	_ = json.Unmarshal(raw, &copied)
	copied["Id"], copied["Name"] = c.id, "/"+c.name
	state, config, host := copied["State"].(map[string]any), copied["Config"].(map[string]any), copied["HostConfig"].(map[string]any)
	state["Status"], state["Running"], state["Pid"] = c.state, c.state == "running", c.pid
	config["Image"], config["Env"] = c.image, append([]string{"PATH=/usr/bin"}, c.env...)
	config["Labels"] = c.labels
	host["DeviceCgroupRules"] = nil
	for key, value := range c.host {
		host[key] = value
	}
	raw, _ = json.Marshal(copied)
	return raw
}

func startEngine(t testing.TB, containers ...simContainer) *simEngine {
	t.Helper()
	folder, err := os.MkdirTemp("", "engine") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	e := &simEngine{socket: filepath.Join(folder, "d.sock"), containers: containers, inspected: map[string]int{}, hang: map[string]chan struct{}{}, info: map[string]any{}}
	version, info, image := recorded(t, "version"), recorded(t, "info"), recorded(t, "image")
	summary, full := recorded(t, "summary"), recorded(t, "inspect")
	e.answers = map[string][]byte{}
	engine, err := simengine.Start(e.socket, "1.41", func(w http.ResponseWriter, r *http.Request, path string) bool {
		e.mu.Lock()
		wait := e.hang[path]
		e.mu.Unlock()
		if wait != nil {
			select {
			case <-wait:
			case <-r.Context().Done():
				return true
			}
		}
		switch {
		case path == "/version":
			return simengine.JSON(w, version)
		case path == "/info":
			for key, value := range e.info {
				info[key] = value
			}
			return simengine.JSON(w, info)
		case path == "/containers/json":
			return simengine.JSON(w, e.list(summary, r.URL.Query().Get("all") != ""))
		case strings.HasPrefix(path, "/images/"):
			return simengine.JSON(w, image)
		}
		id, what, _ := strings.Cut(strings.TrimPrefix(path, "/containers/"), "/")
		e.mu.Lock()
		defer e.mu.Unlock()
		at := slices.IndexFunc(e.containers, func(c simContainer) bool { return c.id == id || c.name == id })
		if at < 0 {
			return false
		}
		c := e.containers[at]
		if what == "top" {
			rows := [][]string{}
			for _, pid := range c.top {
				rows = append(rows, []string{fmt.Sprint(pid)})
			}
			return simengine.JSON(w, map[string]any{"Titles": []string{"PID"}, "Processes": rows})
		}
		e.inspected[c.id]++
		if e.answers[c.id] == nil {
			e.answers[c.id] = c.over(full)
		}
		_, _ = w.Write(e.answers[c.id])
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	e.Engine = engine
	t.Cleanup(func() { _ = engine.Close(); _ = os.RemoveAll(folder) })
	return e
}

// list is the answer to /containers/json.
func (e *simEngine) list(summary map[string]any, all bool) []map[string]any {
	list := []map[string]any{}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.state != "running" && !all {
			continue
		}
		item := map[string]any{}
		for key, value := range summary {
			item[key] = value
		}
		item["Id"], item["Names"], item["Image"], item["State"], item["Labels"] = c.id, []string{"/" + c.name}, c.image, c.state, c.labels
		list = append(list, item)
	}
	return list
}

// run starts a container, and end takes one away with all that the engine knew of it; both tell.
func (e *simEngine) run(c simContainer) {
	e.mu.Lock()
	e.containers = append(e.containers, c)
	e.mu.Unlock()
	e.tell("start", c.id)
}

func (e *simEngine) end(id string) {
	e.mu.Lock()
	e.containers = slices.DeleteFunc(e.containers, func(c simContainer) bool { return c.id == id })
	delete(e.inspected, id)
	delete(e.answers, id)
	e.mu.Unlock()
	e.tell("die", id)
}

// tell sends an event to all who follow.
func (e *simEngine) tell(action, id string) {
	e.Tell(map[string]any{"Type": "container", "Action": action, "id": id, "Actor": map[string]any{"ID": id}, "time": time.Now().Unix()})
}

// simID is the id of the nth simulated container.
func simID(n int) string { return fmt.Sprintf("%064x", n+0xa000000) }

// crowd is n containers as a busy machine has them, one in ten with a GPU.
func crowd(n int) []simContainer {
	var containers []simContainer
	for i := range n {
		c := simContainer{id: simID(i), name: fmt.Sprintf("job-%d", i), image: "registry.example.org/team/training:2026-11", state: "running", pid: 100000 + i,
			labels: map[string]string{"com.docker.compose.project": fmt.Sprintf("project-%d", i/20), "com.docker.compose.service": "worker", "owner": "team", "org.opencontainers.image.source": "https://example.org/training"}}
		for v := range 30 {
			c.env = append(c.env, fmt.Sprintf("SETTING_%d=%s", v, bytes.Repeat([]byte("x"), 40)))
		}
		if i%10 == 0 {
			c.host = map[string]any{"DeviceRequests": []map[string]any{{"Driver": "", "Count": -1, "Capabilities": [][]string{{"gpu"}}}}}
		}
		containers = append(containers, c)
	}
	return containers
}
