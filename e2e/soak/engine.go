//go:build linux

package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/docker-gpu/docker-gpu/e2e/simengine"
)

// world is what changes while the soak goes on.
type world struct {
	folder, scenario string
	base             []byte // of the scenario
	jobs             []job
	engine           *simengine.Engine
	jobsMade, made   int

	mu         sync.Mutex
	containers map[string]int // by id, its number
	happened   []happening    // not yet told
}

type happening struct{ action, id string }

// tell passes on what happened.
func (w *world) tell() {
	for _, h := range w.happened {
		w.engine.Tell(map[string]any{"Type": "container", "Action": h.action, "Actor": map[string]any{"ID": h.id}, "time": time.Now().Unix(), "timeNano": time.Now().UnixNano()})
	}
	w.happened = nil
}

// startEngine answers over a socket as an engine of this machine, with the world's containers.
func startEngine(socket string, w *world) (*simengine.Engine, error) {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return nil, err
	}
	var kib int64
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Sscanf(string(meminfo), "MemTotal: %d kB", &kib); err != nil {
		return nil, err
	}
	info := map[string]any{"ServerVersion": "28.5.2", "KernelVersion": strings.TrimSpace(string(kernel)), "MemTotal": kib << 10, "OSType": "linux", "DefaultRuntime": "runc",
		"Runtimes": map[string]any{"runc": map[string]any{"path": "runc"}, "nvidia": map[string]any{"path": "nvidia-container-runtime"}}, "CgroupVersion": "2", "Name": "soak"}
	return simengine.Start(socket, "1.51", func(out http.ResponseWriter, _ *http.Request, path string) bool {
		switch id, what, _ := strings.Cut(strings.TrimPrefix(path, "/containers/"), "/"); {
		case path == "/version":
			return simengine.JSON(out, map[string]any{"Version": "28.5.2", "ApiVersion": "1.51", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"})
		case path == "/info":
			return simengine.JSON(out, info)
		case path == "/containers/json":
			return simengine.JSON(out, w.list())
		case what == "json":
			w.mu.Lock()
			number, there := w.containers[id]
			w.mu.Unlock()
			return there && simengine.JSON(out, inspected(id, number))
		}
		return false
	})
}

func (w *world) list() []map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := []map[string]any{}
	for id, number := range w.containers {
		list = append(list, map[string]any{"Id": id, "Names": []string{fmt.Sprintf("/job-%d", number)}, "Image": "acme/train", "State": "running", "Status": "Up", "Labels": labels(number)})
	}
	return list
}

func labels(number int) map[string]string {
	return map[string]string{"com.docker.compose.project": fmt.Sprintf("project-%d", number%7), "com.docker.compose.service": "worker"}
}

func inspected(id string, number int) map[string]any {
	return map[string]any{"Id": id, "Name": fmt.Sprintf("/job-%d", number), "Image": "sha256:1", "Created": time.Now().Format(time.RFC3339Nano),
		"State":      map[string]any{"Status": "running", "Running": true, "Pid": 0, "StartedAt": time.Now().Format(time.RFC3339Nano)},
		"Config":     map[string]any{"Image": "acme/train", "Env": []string{"NVIDIA_VISIBLE_DEVICES=" + fmt.Sprint(number%8)}, "Labels": labels(number)},
		"HostConfig": map[string]any{"Runtime": "nvidia"}}
}
