package fixes

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// What keeps a task waiting: GPUs, or something else that is none of ours.
func TestSwarmWaits(t *testing.T) {
	node := func(name, state, availability string, total, placed int64) inspect.SwarmNode {
		n := inspect.SwarmNode{ID: name, Name: name, State: state, Availability: availability, GPUs: map[string]inspect.SwarmGPUs{}}
		if total > 0 {
			n.GPUs["NVIDIA-GPU"] = inspect.SwarmGPUs{Total: total, Placed: placed}
		}
		return n
	}
	want := func(n int64) inspect.SwarmTask {
		return inspect.SwarmTask{ID: "qqv0bx7vy8zkzvyvvavrb0vo4", Service: "train", Slot: 2, GPUs: map[string]int64{"NVIDIA-GPU": n}, Message: "no suitable node (…)"}
	}
	for _, c := range []struct {
		name    string
		nodes   []inspect.SwarmNode
		waiting []inspect.SwarmTask
		want    []string // texts of the evidence; none: no finding
	}{
		{"nobody waits", []inspect.SwarmNode{node("ada", "ready", "active", 1, 1)}, nil, nil},
		{"all placed", []inspect.SwarmNode{node("ada", "ready", "active", 2, 2)}, []inspect.SwarmTask{want(1)}, []string{"wants NVIDIA-GPU=1: no suitable node (…)", "NVIDIA-GPU: 2 of 2 placed"}},
		{"more than any node has", []inspect.SwarmNode{node("ada", "ready", "active", 2, 0), node("bert", "ready", "active", 2, 0)}, []inspect.SwarmTask{want(3)}, []string{"wants NVIDIA-GPU=3: no suitable node (…)", "NVIDIA-GPU: 0 of 2 placed", "NVIDIA-GPU: 0 of 2 placed"}},
		{"drained", []inspect.SwarmNode{node("ada", "ready", "drain", 2, 0)}, []inspect.SwarmTask{want(1)}, []string{"wants NVIDIA-GPU=1: no suitable node (…)", "NVIDIA-GPU: 0 of 2 placed, the node takes no new tasks (drain)"}},
		{"down", []inspect.SwarmNode{node("ada", "down", "active", 2, 0)}, []inspect.SwarmTask{want(1)}, []string{"wants NVIDIA-GPU=1: no suitable node (…)", "NVIDIA-GPU: 0 of 2 placed, the node is down"}},
		{"nobody offers any", []inspect.SwarmNode{node("ada", "ready", "active", 0, 0)}, []inspect.SwarmTask{want(1)}, []string{"wants NVIDIA-GPU=1: no suitable node (…)", "no node offers NVIDIA-GPU"}},
		{"enough is free: memory or a constraint", []inspect.SwarmNode{node("ada", "ready", "active", 2, 1)}, []inspect.SwarmTask{want(1)}, nil},
	} {
		found := swarmWaits(&inspect.Snapshot{Swarm: &inspect.SwarmView{Nodes: c.nodes, Waiting: c.waiting}})
		var texts []string
		for _, f := range found {
			for _, e := range f.Evidence {
				texts = append(texts, e.Text)
			}
		}
		if !slices.Equal(texts, c.want) {
			t.Errorf("%s: %q, want %q", c.name, texts, c.want)
		}
		if len(found) > 0 && found[0].Evidence[0].Source != "swarm task train.2" {
			t.Errorf("%s: %+v", c.name, found[0].Evidence[0])
		}
	}
}

// A manager that did not answer leaves the check unexamined.
func TestSwarmUnexamined(t *testing.T) {
	s := readTestSnapshot(t, "testdata/snapshots/swarm-insufficient-gpus.json")
	s.Swarm = nil
	s.Sources[len(s.Sources)-1].TimedOut, s.Sources[len(s.Sources)-1].Error = true, "no answer within 10s"
	if d := Diagnose(s, Scope{}); !slices.Contains(d.Unexamined, "swarm-insufficient-gpus") || len(d.Findings) > 0 {
		t.Errorf("%+v", d)
	}
}

func TestExplainSwarm(t *testing.T) {
	for _, c := range []struct {
		text string
		want []ID
	}{
		{"$ docker service create --name train --generic-resource NVIDIA-GPU=3 trainer\noverall progress: 0 out of 1 tasks\n1/1: no suitable node (insufficient resources on 1 node)", []ID{"swarm-insufficient-gpus"}},
		{`qqv0bx7vy8zk  gpu-many.1  busybox:latest  Running  Pending 8 seconds ago  "no suitable node (scheduling constraints not satisfied on 1 node; insufficient resources on 2 nodes)"`, []ID{"swarm-insufficient-gpus"}},
		{"no suitable node (insufficient resources on 3 nodes)", nil}, // of what, nothing says
		{"failed to start daemon: could not parse GenericResource: mixed discrete and named resources in expression 'NVIDIA-GPU=[GPU-aaaa 2]'", []ID{"swarm-mixed-resources"}},
		{"could not parse GenericResource: mixed discrete and named resources in expression 'SSD=[sda1 2]'", nil},
	} {
		if got := idsOf(ExplainString("text", c.text).Findings); !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%s: %v, want %v", strings.TrimSpace(c.text), got, c.want)
		}
	}
}
