//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// world is what changes while the soak goes on.
type world struct {
	folder, scenario string
	base             []byte // of the scenario
	jobs             []job
	jobsMade, made   int

	mu         sync.Mutex
	containers map[string]int // by id, its number
	happened   []happening    // not yet told
	followers  map[chan happening]bool
}

type happening struct{ action, id string }

// tell passes on what happened. A follower that does not keep up is cut off, as an engine does it.
func (w *world) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.happened {
		for f := range w.followers {
			select {
			case f <- h:
			default:
				close(f)
				delete(w.followers, f)
			}
		}
	}
	w.happened = nil
}

// startEngine answers over a socket as an engine of this machine, with the world's containers.
func startEngine(socket string, w *world) (*http.Server, error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
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
	server := &http.Server{Handler: http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if rest, ok := strings.CutPrefix(path, "/v1."); ok {
			_, rest, _ = strings.Cut(rest, "/")
			path = "/" + rest
		}
		out.Header().Set("Api-Version", "1.51")
		out.Header().Set("Content-Type", "application/json")
		switch id, what, _ := strings.Cut(strings.TrimPrefix(path, "/containers/"), "/"); {
		case path == "/_ping":
			fmt.Fprint(out, "OK")
		case path == "/version":
			_ = json.NewEncoder(out).Encode(map[string]any{"Version": "28.5.2", "ApiVersion": "1.51", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"})
		case path == "/info":
			_ = json.NewEncoder(out).Encode(info)
		case path == "/events":
			w.follow(out, r)
		case path == "/containers/json":
			_ = json.NewEncoder(out).Encode(w.list())
		case what == "json":
			w.mu.Lock()
			number, there := w.containers[id]
			w.mu.Unlock()
			if there {
				_ = json.NewEncoder(out).Encode(inspected(id, number))
				return
			}
			fallthrough
		default:
			out.WriteHeader(http.StatusNotFound)
			fmt.Fprint(out, `{"message":"no such thing"}`)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	return server, nil
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

func (w *world) follow(out http.ResponseWriter, r *http.Request) {
	f := make(chan happening, 1024)
	w.mu.Lock()
	w.followers[f] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.followers, f)
		w.mu.Unlock()
	}()
	out.(http.Flusher).Flush()
	enc := json.NewEncoder(out)
	for {
		select {
		case h, more := <-f:
			if !more {
				return
			}
			_ = enc.Encode(map[string]any{"Type": "container", "Action": h.action, "Actor": map[string]any{"ID": h.id}, "time": time.Now().Unix(), "timeNano": time.Now().UnixNano()})
			out.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}
