package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"
)

// SwarmView is what a manager of a swarm tells of the GPUs that its nodes offer as generic resources, and of the
// tasks that ask for them. Which GPU a task got is the swarm's own book: NVML knows nothing of it.
type SwarmView struct {
	Nodes   []SwarmNode `json:"nodes"`
	Waiting []SwarmTask `json:"waiting"` // want a GPU and have no node yet
}

// SwarmNode is a node of the swarm, with GPUs or without.
type SwarmNode struct {
	ID           string               `json:"id"`
	Name         string               `json:"name"`         // its host name
	Role         string               `json:"role"`         // manager, worker
	State        string               `json:"state"`        // ready, down, disconnected, unknown
	Availability string               `json:"availability"` // active, pause, drain: whether it takes new tasks
	GPUs         map[string]SwarmGPUs `json:"gpus"`         // by kind of the resource: NVIDIA-GPU
}

// SwarmGPUs are the GPUs of one kind of a node. Names are what the node calls them, mostly UUIDs; a node that only
// counts its GPUs has none.
type SwarmGPUs struct {
	Total  int64    `json:"total"`
	Placed int64    `json:"placed"` // held by tasks on the node
	Names  []string `json:"names,omitempty"`
	Held   []string `json:"held,omitempty"` // those of Names that tasks hold
}

// SwarmTask is a task that wants GPUs.
type SwarmTask struct {
	ID      string           `json:"id"`
	Service string           `json:"service"`
	Slot    int              `json:"slot,omitempty"` // of a replicated service
	GPUs    map[string]int64 `json:"gpus"`           // wanted, by kind
	Message string           `json:"message,omitempty"`
	Since   *time.Time       `json:"since,omitempty"` // in this state
}

// swarmAPI is what is asked of an engine that manages a swarm; *client.Client answers it.
type swarmAPI interface {
	NodeList(context.Context, client.NodeListOptions) (client.NodeListResult, error)
	ServiceList(context.Context, client.ServiceListOptions) (client.ServiceListResult, error)
	TaskList(context.Context, client.TaskListOptions) (client.TaskListResult, error)
}

// SwarmSource asks a manager of a swarm for its nodes, and for tasks with GPUs (GET /nodes, /tasks, /services). An
// engine in no swarm is asked nothing.
var SwarmSource = Source{Name: "swarm", Then: func(s *Snapshot) func(context.Context, Machine) (Patch, error) {
	if s.Engine == nil || s.Engine.Swarm == nil {
		return nil
	}
	if part := s.Engine.Swarm; !part.Manager || part.State != "active" {
		return func(context.Context, Machine) (Patch, error) {
			return nil, noted(fmt.Sprintf("not read: only a manager sees the swarm, and this engine is a worker or not active (%s)", bounded(part.State)))
		}
	}
	var config *ToolkitConfig
	if s.Toolkit != nil {
		config = s.Toolkit.Config
	}
	return func(ctx context.Context, m Machine) (Patch, error) { return readSwarm(ctx, m, config) }
}}

func readSwarm(ctx context.Context, m Machine, config *ToolkitConfig) (Patch, error) {
	api, err := dial(ctx, m)
	if err != nil {
		return nil, err
	}
	manager, ok := api.(swarmAPI)
	if !ok {
		return nil, errors.New("this connection knows nothing of swarms")
	}
	nodes, err := manager.NodeList(ctx, client.NodeListOptions{})
	if err != nil {
		return nil, fmt.Errorf("the swarm's nodes: %w", err)
	}
	if len(nodes.Items) == 0 { // a manager is a node itself
		return nil, errors.New("the swarm's nodes: the answer holds none")
	}
	tasks, err := manager.TaskList(ctx, client.TaskListOptions{})
	if err != nil {
		return nil, fmt.Errorf("the swarm's tasks: %w", err)
	}
	cluster := describeSwarm(nodes.Items, tasks.Items, config)
	if len(cluster.Waiting) > 0 { // their services' names
		services, serviceErr := manager.ServiceList(ctx, client.ServiceListOptions{})
		if serviceErr != nil {
			err = fmt.Errorf("the swarm's services: %w", serviceErr)
		}
		for i := range cluster.Waiting {
			for _, service := range services.Items {
				if service.ID == cluster.Waiting[i].Service {
					cluster.Waiting[i].Service = bounded(service.Spec.Name)
				}
			}
		}
		slices.SortFunc(cluster.Waiting, func(a, b SwarmTask) int {
			return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.ID, b.ID))
		})
	}
	return func(s *Snapshot) { s.Swarm = cluster }, err
}

// describeSwarm adds up what nodes offer and tasks hold. Waiting tasks carry their service's id in place of its name.
func describeSwarm(nodes []swarm.Node, tasks []swarm.Task, config *ToolkitConfig) *SwarmView {
	kinds := gpuKinds{}
	if config != nil {
		for name := range strings.SplitSeq(config.SwarmResource, ",") {
			kinds[strings.TrimPrefix(strings.TrimSpace(name), "DOCKER_RESOURCE_")] = true
		}
	}
	for _, n := range nodes {
		for _, r := range n.Description.Resources.GenericResources {
			if named := r.NamedResourceSpec; named != nil && (strings.HasPrefix(named.Value, "GPU-") || strings.HasPrefix(named.Value, "MIG-")) {
				kinds[named.Kind] = true
			}
		}
	}
	c := &SwarmView{Nodes: []SwarmNode{}, Waiting: []SwarmTask{}}
	at := map[string]int{}
	for _, n := range nodes {
		node := SwarmNode{ID: n.ID, Name: bounded(n.Description.Hostname), Role: string(n.Spec.Role), State: string(n.Status.State),
			Availability: string(n.Spec.Availability), GPUs: map[string]SwarmGPUs{}}
		for kind, amount := range kinds.amounts(n.Description.Resources.GenericResources) {
			node.GPUs[kind] = SwarmGPUs{Total: amount.count, Names: amount.names}
		}
		at[n.ID] = len(c.Nodes)
		c.Nodes = append(c.Nodes, node)
	}
	for _, t := range tasks {
		switch t.Status.State {
		case swarm.TaskStateAssigned, swarm.TaskStateAccepted, swarm.TaskStatePreparing, swarm.TaskStateReady, swarm.TaskStateStarting, swarm.TaskStateRunning:
			// It holds what it was given until it has ended, also where it is to end.
			i, known := at[t.NodeID]
			for kind, amount := range kinds.amounts(t.GenericResources) {
				if !known {
					break
				}
				g := c.Nodes[i].GPUs[kind]
				g.Placed += amount.count
				g.Held = append(g.Held, amount.names...)
				slices.Sort(g.Held)
				c.Nodes[i].GPUs[kind] = g
			}
		case swarm.TaskStateNew, swarm.TaskStateAllocated, swarm.TaskStatePending:
			if t.NodeID != "" || t.DesiredState == swarm.TaskStateShutdown || t.DesiredState == swarm.TaskStateRemove || t.Spec.Resources == nil || t.Spec.Resources.Reservations == nil {
				continue
			}
			wanted := map[string]int64{}
			for kind, amount := range kinds.amounts(t.Spec.Resources.Reservations.GenericResources) {
				wanted[kind] = amount.count
			}
			if len(wanted) == 0 {
				continue
			}
			task := SwarmTask{ID: t.ID, Service: t.ServiceID, Slot: t.Slot, GPUs: wanted, Message: bounded(t.Status.Err)}
			if task.Message == "" {
				task.Message = bounded(t.Status.Message)
			}
			if !t.Status.Timestamp.IsZero() {
				since := t.Status.Timestamp.UTC()
				task.Since = &since
			}
			c.Waiting = append(c.Waiting, task)
		}
	}
	slices.SortFunc(c.Nodes, func(a, b SwarmNode) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return c
}

// gpuKinds are kinds of generic resources that stand for GPUs whatever they are called: by the UUIDs of their values,
// or because the toolkit's configuration names them.
type gpuKinds map[string]bool

func (k gpuKinds) has(kind string) bool {
	return k[kind] || strings.Contains(strings.ToLower(kind), "gpu")
}

type amount struct {
	count int64
	names []string
}

// amounts adds the GPUs among resources up by kind.
func (k gpuKinds) amounts(resources []swarm.GenericResource) map[string]amount {
	sum := map[string]amount{}
	for _, r := range resources {
		switch {
		case r.NamedResourceSpec != nil && k.has(r.NamedResourceSpec.Kind):
			kind := bounded(r.NamedResourceSpec.Kind)
			a := sum[kind]
			sum[kind] = amount{a.count + 1, append(a.names, bounded(r.NamedResourceSpec.Value))}
		case r.DiscreteResourceSpec != nil && k.has(r.DiscreteResourceSpec.Kind):
			kind := bounded(r.DiscreteResourceSpec.Kind)
			a := sum[kind]
			sum[kind] = amount{a.count + r.DiscreteResourceSpec.Value, a.names}
		}
	}
	for kind, a := range sum {
		slices.Sort(a.names)
		sum[kind] = a
	}
	return sum
}
