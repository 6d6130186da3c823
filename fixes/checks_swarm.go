package fixes

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

var swarmChecks = []Check{
	{ID: "swarm-insufficient-gpus", Needs: []string{"swarm"}, Decides: true, Find: swarmWaits},
	{ID: "swarm-mixed-resources", Needs: []string{"daemon.json"}, Decides: true, HiddenBy: []ID{"daemon-json-invalid"}, Find: swarmMixed},
}

// swarmWaits finds tasks for which no node that takes tasks has enough free GPUs. A task that waits though one has is
// kept waiting by something else: processors, memory, a constraint.
func swarmWaits(s *inspect.Snapshot) []Finding {
	if s.Swarm == nil {
		return nil
	}
	var evidence []Evidence
	kinds := map[string]bool{}
	for _, task := range s.Swarm.Waiting {
		if slices.ContainsFunc(s.Swarm.Nodes, func(n inspect.SwarmNode) bool { return hasFree(n, task) }) {
			continue
		}
		said := task.Message
		if said == "" {
			said = "waits"
		}
		evidence = append(evidence, saw("swarm task "+TaskName(task), "wants %s: %s", WantedGPUs(task), said))
		for kind := range task.GPUs {
			kinds[kind] = true
		}
	}
	if len(evidence) == 0 {
		return nil
	}
	offered := false
	for _, n := range s.Swarm.Nodes {
		for _, kind := range slices.Sorted(maps.Keys(n.GPUs)) {
			if kinds[kind] {
				offered = true
				evidence = append(evidence, saw("swarm node "+n.Name, "%s: %d of %d placed%s", kind, n.GPUs[kind].Placed, n.GPUs[kind].Total, whyNot(n)))
			}
		}
	}
	if !offered {
		evidence = append(evidence, saw("swarm", "no node offers %s", strings.Join(slices.Sorted(maps.Keys(kinds)), ", ")))
	}
	return []Finding{NewFinding("swarm-insufficient-gpus", evidence...)}
}

// TaskName is a task's name as docker service ps has it.
func TaskName(t inspect.SwarmTask) string {
	if t.Slot == 0 {
		return fmt.Sprintf("%s.%.12s", t.Service, t.ID)
	}
	return fmt.Sprintf("%s.%d", t.Service, t.Slot)
}

// WantedGPUs is what a task asks for, as it is written behind --generic-resource.
func WantedGPUs(t inspect.SwarmTask) string {
	var texts []string
	for _, kind := range slices.Sorted(maps.Keys(t.GPUs)) {
		texts = append(texts, fmt.Sprintf("%s=%d", kind, t.GPUs[kind]))
	}
	return strings.Join(texts, ",")
}

// hasFree tells if a node takes tasks and has all GPUs free that a task wants.
func hasFree(n inspect.SwarmNode, t inspect.SwarmTask) bool {
	for kind, want := range t.GPUs {
		if n.GPUs[kind].Total-n.GPUs[kind].Placed < want {
			return false
		}
	}
	return TakesTasks(n)
}

// TakesTasks tells if the swarm may place new tasks on a node.
func TakesTasks(n inspect.SwarmNode) bool { return n.State == "ready" && n.Availability == "active" }

func whyNot(n inspect.SwarmNode) string {
	switch {
	case n.State != "ready":
		return ", the node is " + n.State
	case n.Availability != "active":
		return ", the node takes no new tasks (" + n.Availability + ")"
	}
	return ""
}

// swarmMixed finds resources in daemon.json with which the engine does not start again.
func swarmMixed(s *inspect.Snapshot) []Finding {
	if s.Engine == nil || s.Engine.ConfigFile == nil || s.Engine.ConfigFile.Problem != nil {
		return nil
	}
	f := s.Engine.ConfigFile
	mixed := mixedResources(f.GenericResources)
	if len(mixed) == 0 {
		return nil
	}
	var evidence []Evidence
	for _, kind := range slices.Sorted(maps.Keys(mixed)) {
		evidence = append(evidence, saw(f.Path, "%s: %s", resourcesKey, strings.Join(mixed[kind], ", ")))
	}
	return []Finding{NewFinding("swarm-mixed-resources", evidence...)}
}
