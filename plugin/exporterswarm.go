//go:build !container

package plugin

import (
	"maps"
	"slices"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// What a manager of a swarm tells of its GPUs. Every manager tells the same: queries take the max of them.
var (
	swarmNodeUp      = &family{name: "docker_gpu_swarm_node_up", kind: gauge, help: "1 where the swarm's node takes tasks, 0 where it is down, paused or drained."}
	swarmGPUs        = &family{name: "docker_gpu_swarm_node_gpus", kind: gauge, help: "GPUs that the node offers to the swarm, by generic resource."}
	swarmGPUsPlaced  = &family{name: "docker_gpu_swarm_node_gpus_placed", kind: gauge, help: "GPUs of the node that tasks hold, by generic resource."}
	swarmGPUsFree    = &family{name: "docker_gpu_swarm_node_gpus_free", kind: gauge, help: "GPUs of the node that a task could still get: none where the node takes no tasks."}
	swarmWaiting     = &family{name: "docker_gpu_swarm_tasks_waiting", kind: gauge, help: "Tasks of the service that want GPUs and have no node yet. Absent where none waits."}
	swarmGPUsWanted  = &family{name: "docker_gpu_swarm_gpus_wanted", kind: gauge, help: "GPUs that the service's waiting tasks want, by generic resource. Absent where none waits."}
	swarmFamilies    = []*family{swarmNodeUp, swarmGPUs, swarmGPUsPlaced, swarmGPUsFree, swarmWaiting, swarmGPUsWanted}
	swarmNodeLabels  = labelsNamed("node", "node_id")
	swarmGPULabels   = labelsNamed("node", "node_id", "resource")
	swarmTaskLabels  = labelsNamed("service")
	swarmWantsLabels = labelsNamed("service", "resource")
)

func (p *metricsPage) swarm(v *inspect.SwarmView) {
	if v == nil {
		return
	}
	for _, n := range v.Nodes {
		takes := fixes.TakesTasks(n)
		p.add(swarmNodeUp, p.pairs(swarmNodeLabels, n.Name, n.ID), oneIf(takes))
		for _, kind := range slices.Sorted(maps.Keys(n.GPUs)) {
			g, labels := n.GPUs[kind], p.pairs(swarmGPULabels, n.Name, n.ID, kind)
			p.add(swarmGPUs, labels, float64(g.Total))
			p.add(swarmGPUsPlaced, labels, float64(g.Placed))
			p.add(swarmGPUsFree, labels, oneIf(takes)*float64(max(0, g.Total-g.Placed)))
		}
	}
	waiting, wanted := map[string]float64{}, map[[2]string]float64{}
	for _, t := range v.Waiting {
		waiting[t.Service]++
		for kind, n := range t.GPUs {
			wanted[[2]string{t.Service, kind}] += float64(n)
		}
	}
	for _, service := range slices.Sorted(maps.Keys(waiting)) {
		p.add(swarmWaiting, p.pairs(swarmTaskLabels, service), waiting[service])
	}
	for _, key := range slices.SortedFunc(maps.Keys(wanted), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		p.add(swarmGPUsWanted, p.pairs(swarmWantsLabels, key[0], key[1]), wanted[key])
	}
}
