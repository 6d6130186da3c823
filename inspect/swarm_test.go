package inspect

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"
)

// What a manager answers (engine 20.10 and 29.9 alike, shortened), and what is read from it.
func TestDescribeSwarm(t *testing.T) {
	type ofSwarm struct {
		Nodes []swarm.Node
		Tasks []swarm.Task
	}
	const ada = `{"ID": "n1", "Spec": {"Role": "manager", "Availability": "active"}, "Status": {"State": "ready"}, "Description": {"Hostname": "ada",
		"Resources": {"NanoCPUs": 2000000000, "GenericResources": [{"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": "GPU-bb"}},
		{"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": "GPU-aa"}}, {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 2}}]}}}`
	node := func(gpus map[string]SwarmGPUs) SwarmNode {
		return SwarmNode{ID: "n1", Name: "ada", Role: "manager", State: "ready", Availability: "active", GPUs: gpus}
	}
	for _, c := range []struct {
		name, json string
		config     *ToolkitConfig
		want       SwarmView
	}{
		{"nothing runs", `{"Nodes": [` + ada + `]}`, nil, SwarmView{
			Nodes:   []SwarmNode{node(map[string]SwarmGPUs{"NVIDIA-GPU": {Total: 2, Names: []string{"GPU-aa", "GPU-bb"}}})},
			Waiting: []SwarmTask{}}},
		{"one placed, one waits, one is history, one wants no GPU", `{"Nodes": [` + ada + `], "Tasks": [
			{"ID": "t1", "ServiceID": "s1", "Slot": 1, "NodeID": "n1", "Status": {"State": "running"}, "DesiredState": "running", "GenericResources": [{"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": "GPU-bb"}}, {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 1}}]},
			{"ID": "t2", "ServiceID": "s2", "Slot": 1, "Spec": {"Resources": {"Reservations": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "NVIDIA-GPU", "Value": 3}}]}}}, "Status": {"State": "pending", "Message": "pending task scheduling", "Err": "no suitable node (insufficient resources on 1 node)", "Timestamp": "2026-11-25T18:53:22.703490355Z"}, "DesiredState": "running"},
			{"ID": "t3", "ServiceID": "s1", "Slot": 1, "NodeID": "n1", "Status": {"State": "shutdown"}, "DesiredState": "shutdown", "GenericResources": [{"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": "GPU-aa"}}]},
			{"ID": "t4", "ServiceID": "s3", "Spec": {"Resources": {"Reservations": {"NanoCPUs": 9000000000}}}, "Status": {"State": "pending", "Err": "no suitable node (insufficient resources on 1 node)"}, "DesiredState": "running"},
			{"ID": "t5", "ServiceID": "s2", "Slot": 1, "Spec": {"Resources": {"Reservations": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "NVIDIA-GPU", "Value": 3}}]}}}, "Status": {"State": "pending"}, "DesiredState": "shutdown"}]}`, nil,
			SwarmView{
				Nodes: []SwarmNode{node(map[string]SwarmGPUs{"NVIDIA-GPU": {Total: 2, Placed: 1, Names: []string{"GPU-aa", "GPU-bb"}, Held: []string{"GPU-bb"}}})},
				Waiting: []SwarmTask{{ID: "t2", Service: "s2", Slot: 1, GPUs: map[string]int64{"NVIDIA-GPU": 3}, Message: "no suitable node (insufficient resources on 1 node)",
					Since: ptr(time.Date(2026, 11, 25, 18, 53, 22, 703490355, time.UTC))}}}},
		{"one that is to end still holds its GPU", `{"Nodes": [` + ada + `], "Tasks": [{"ID": "t1", "NodeID": "n1", "Status": {"State": "running"}, "DesiredState": "shutdown", "GenericResources": [{"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": "GPU-aa"}}]}]}`, nil,
			SwarmView{Nodes: []SwarmNode{node(map[string]SwarmGPUs{"NVIDIA-GPU": {Total: 2, Placed: 1, Names: []string{"GPU-aa", "GPU-bb"}, Held: []string{"GPU-aa"}}})}, Waiting: []SwarmTask{}}},
		{"a count", `{"Nodes": [{"ID": "n2", "Description": {"Hostname": "bert", "Resources": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 4}}]}}}], "Tasks": [
			{"ID": "t1", "NodeID": "n2", "Status": {"State": "preparing"}, "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 3}}]},
			{"ID": "t2", "NodeID": "gone", "Status": {"State": "running"}, "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]}]}`, nil,
			SwarmView{Nodes: []SwarmNode{{ID: "n2", Name: "bert", GPUs: map[string]SwarmGPUs{"gpu": {Total: 4, Placed: 3}}}}, Waiting: []SwarmTask{}}},
		{"a kind that only the toolkit's configuration shows to be one of GPUs", `{"Nodes": [{"ID": "n2", "Description": {"Hostname": "bert", "Resources": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "ACCEL", "Value": 4}}]}}}]}`,
			&ToolkitConfig{SwarmResource: "DOCKER_RESOURCE_FOO, DOCKER_RESOURCE_ACCEL"},
			SwarmView{Nodes: []SwarmNode{{ID: "n2", Name: "bert", GPUs: map[string]SwarmGPUs{"ACCEL": {Total: 4}}}}, Waiting: []SwarmTask{}}},
		{"no GPU anywhere", `{"Nodes": [{"ID": "n3", "Description": {"Hostname": "eva"}}]}`, nil,
			SwarmView{Nodes: []SwarmNode{{ID: "n3", Name: "eva", GPUs: map[string]SwarmGPUs{}}}, Waiting: []SwarmTask{}}},
	} {
		var of ofSwarm
		if err := json.Unmarshal([]byte(c.json), &of); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(&c.want, describeSwarm(of.Nodes, of.Tasks, c.config)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// An engine in no swarm, and a worker, are asked nothing; a manager that does not answer in time, or refuses, costs
// its own part alone.
func TestSwarmSource(t *testing.T) {
	answers := map[string]string{
		"/nodes":    `[{"ID": "n1", "Spec": {"Availability": "drain"}, "Status": {"State": "down"}, "Description": {"Hostname": "ada"}}]`,
		"/tasks":    `[{"ID": "t1", "ServiceID": "s1", "Spec": {"Resources": {"Reservations": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "NVIDIA-GPU", "Value": 1}}]}}}, "Status": {"State": "pending", "Message": "pending task scheduling"}, "DesiredState": "running"}]`,
		"/services": `[{"ID": "s1", "Spec": {"Name": "train"}}]`,
	}
	hangs, asked := "", 0
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/'):]
		if path == "/_ping" {
			w.Header().Set("Api-Version", "1.41")
			return
		}
		asked++
		if path == hangs {
			<-r.Context().Done()
			return
		}
		if answer, ok := answers[path]; ok {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(answer))
			return
		}
		http.Error(w, `{"message": "This node is not a swarm manager."}`, http.StatusServiceUnavailable)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); os.Remove(socket) })
	m := Machine{Host: "unix://" + socket, Now: time.Now, Root: Root(t.TempDir())}
	m.Dial = func(context.Context) (EngineAPI, error) { return client.New(client.WithHost(m.Host)) }
	engine := func(part *Swarm) Source {
		return Source{Name: "engine", Read: func(context.Context, Machine) (Patch, error) {
			return func(s *Snapshot) { s.Engine = &Engine{Version: "29.9.3", Swarm: part} }, nil
		}}
	}
	read := func(part *Swarm, each time.Duration) (*SwarmView, Reading) {
		s := Collect(context.Background(), m, each, engine(part), SwarmSource)
		return s.Swarm, s.Sources[1]
	}
	manager := &Swarm{State: "active", Manager: true}

	if view, r := read(nil, time.Minute); view != nil || r.Error != "" || asked != 0 {
		t.Errorf("in no swarm: %+v %+v, asked %d times", view, r, asked)
	}
	if view, r := read(&Swarm{State: "active"}, time.Minute); view != nil || r.Note == "" || asked != 0 {
		t.Errorf("a worker: %+v %+v, asked %d times", view, r, asked)
	}
	view, r := read(manager, time.Minute)
	if r.Error != "" || view == nil || len(view.Nodes) != 1 || len(view.Waiting) != 1 || view.Waiting[0].Service != "train" || view.Waiting[0].Message != "pending task scheduling" {
		t.Errorf("a manager: %+v %+v", view, r)
	}
	delete(answers, "/tasks")
	if view, r := read(manager, time.Minute); view != nil || !strings.Contains(r.Error, "the swarm's tasks") {
		t.Errorf("no tasks: %+v %+v", view, r)
	}
	hangs = "/nodes"
	if view, r := read(manager, 300*time.Millisecond); view != nil || !r.TimedOut {
		t.Errorf("hangs: %+v %+v", view, r)
	}
}

// A manager's answers are foreign data; what does not parse is an error, what parses never panics.
func FuzzDescribeSwarm(f *testing.F) {
	f.Add([]byte(`{"Nodes": [{"ID": "n", "Description": {"Resources": {"GenericResources": [{"NamedResourceSpec": {"Kind": "GPU", "Value": "GPU-a"}}]}}}]}`))
	f.Add([]byte(`{"Tasks": [{"NodeID": "n", "Status": {"State": "running"}, "GenericResources": [{}, {"DiscreteResourceSpec": {"Kind": "GPU", "Value": -1}}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var of struct {
			Nodes []swarm.Node
			Tasks []swarm.Task
		}
		if json.Unmarshal(data, &of) != nil {
			return
		}
		c := describeSwarm(of.Nodes, of.Tasks, &ToolkitConfig{SwarmResource: "DOCKER_RESOURCE_X"})
		if c.Nodes == nil || c.Waiting == nil || len(c.Nodes) != len(of.Nodes) {
			t.Errorf("%+v", c)
		}
	})
}
