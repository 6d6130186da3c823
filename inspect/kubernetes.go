package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Cluster is what a Kubernetes cluster tells of its GPUs, read by the user's own kubectl, which brings
// their authentication. A nil slice could not be read; Sources say why.
type Cluster struct {
	SchemaVersion  int            `json:"schemaVersion"`
	TakenAt        time.Time      `json:"takenAt"`
	Context        string         `json:"context,omitempty"`
	Nodes          []ClusterNode  `json:"nodes"`
	Pods           []ClusterPod   `json:"pods"` // those that ask for a GPU, and those asked for by name
	RuntimeClasses []RuntimeClass `json:"runtimeClasses"`
	DaemonSets     []DaemonSet    `json:"daemonSets"` // of NVIDIA: device plugin, driver, toolkit, operator, exporter
	Sources        []Reading      `json:"sources"`
}

// ClusterNode is a node and its NVIDIA resources: nvidia.com/gpu, nvidia.com/mig-1g.10gb, …
type ClusterNode struct {
	Name          string            `json:"name"`
	Ready         *bool             `json:"ready,omitempty"`
	Unschedulable bool              `json:"unschedulable,omitempty"`
	Taints        []Taint           `json:"taints,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Capacity      map[string]int    `json:"capacity"`
	Allocatable   map[string]int    `json:"allocatable"`
	InUse         map[string]int    `json:"inUse"` // requested by pods that are bound to it and not over
}

// Taint is a node's mark that keeps pods away.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

// Toleration is a pod's leave to ignore taints.
type Toleration struct {
	Key      string `json:"key,omitempty"`
	Operator string `json:"operator,omitempty"`
	Value    string `json:"value,omitempty"`
	Effect   string `json:"effect,omitempty"`
}

// ClusterPod is a pod, as far as GPUs go.
type ClusterPod struct {
	Namespace    string            `json:"namespace"`
	Name         string            `json:"name"`
	Node         string            `json:"node,omitempty"`
	Phase        string            `json:"phase,omitempty"`
	Reason       string            `json:"reason,omitempty"`  // of the pod: UnexpectedAdmissionError
	Message      string            `json:"message,omitempty"` // of the pod, or the scheduler's on why it waits
	Scheduled    *bool             `json:"scheduled,omitempty"`
	RuntimeClass string            `json:"runtimeClass,omitempty"`
	Requests     map[string]int    `json:"requests"` // NVIDIA resources
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	Affinity     [][]Expression    `json:"affinity,omitempty"` // required node affinity: one of the terms must hold whole
	Tolerations  []Toleration      `json:"tolerations,omitempty"`
	Containers   []PodContainer    `json:"containers"`
	CreatedAt    *time.Time        `json:"createdAt,omitempty"`
	Events       []string          `json:"events,omitempty"`
	Logs         string            `json:"logs,omitempty"`
}

// Expression is a condition on a node's label.
type Expression struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values,omitempty"`
}

// PodContainer is a container of a pod. State is waiting, running or terminated.
type PodContainer struct {
	Name           string  `json:"name"`
	Image          string  `json:"image,omitempty"`
	State          string  `json:"state,omitempty"`
	Reason         string  `json:"reason,omitempty"`
	Message        string  `json:"message,omitempty"`
	ExitCode       *int    `json:"exitCode,omitempty"`
	RestartCount   int     `json:"restartCount,omitempty"`
	VisibleDevices *string `json:"visibleDevices,omitempty"`
}

// RuntimeClass names a container runtime's handler.
type RuntimeClass struct {
	Name    string `json:"name"`
	Handler string `json:"handler"`
}

// DaemonSet is one of NVIDIA's: Role is device-plugin, driver, toolkit, exporter, feature-discovery, mig-manager, other.
type DaemonSet struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Role      string `json:"role"`
	Image     string `json:"image,omitempty"`
	Desired   int    `json:"desired"`
	Ready     int    `json:"ready"`
}

// ClusterQuery says which cluster is asked for, as kubectl's flags do.
type ClusterQuery struct {
	Kubeconfig, Context, Namespace string
	Pod                            string // name, with its events and logs; empty: none
}

// Kubectl is the command line that asks this cluster.
func (q ClusterQuery) Kubectl(args ...string) []string {
	argv := []string{"kubectl"}
	if q.Kubeconfig != "" {
		argv = append(argv, "--kubeconfig="+q.Kubeconfig)
	}
	if q.Context != "" {
		argv = append(argv, "--context="+q.Context)
	}
	return append(argv, args...)
}

// ReadCluster asks a cluster for its nodes, pods, runtime classes and NVIDIA's daemon sets, side by side.
func ReadCluster(ctx context.Context, run Runner, query ClusterQuery, now time.Time) *Cluster {
	c := &Cluster{SchemaVersion: SchemaVersion, TakenAt: now.UTC(), Context: query.Context}
	var nodes []ClusterNode
	var pods []ClusterPod
	namespaced := []string{"--all-namespaces"}
	parts := []struct {
		name string
		args []string
		take func([]byte) error
	}{
		{"nodes", []string{"get", "nodes"}, func(data []byte) (err error) { nodes, err = parseNodes(data); return }},
		{"pods", append([]string{"get", "pods"}, namespaced...), func(data []byte) (err error) { pods, err = parsePods(data); return }},
		{"runtime-classes", []string{"get", "runtimeclasses.node.k8s.io"}, func(data []byte) (err error) { c.RuntimeClasses, err = parseRuntimeClasses(data); return }},
		{"daemon-sets", append([]string{"get", "daemonsets.apps"}, namespaced...), func(data []byte) (err error) { c.DaemonSets, err = parseDaemonSets(data); return }},
	}
	c.Sources = make([]Reading, len(parts))
	var wg sync.WaitGroup
	start := time.Now()
	for i, part := range parts {
		wg.Go(func() {
			data, err := run(ctx, query.Kubectl(append(part.args, "--output=json")...)...)
			if err == nil {
				err = part.take(data)
			}
			c.Sources[i] = Reading{Name: part.name, TookSeconds: time.Since(start).Seconds()}
			c.Sources[i].describe(kubectlError(err))
		})
	}
	wg.Wait()
	c.Nodes = nodes
	count(c.Nodes, pods)
	for _, p := range pods {
		if len(p.Requests) > 0 || query.Pod != "" && p.Name == query.Pod && (query.Namespace == "" || p.Namespace == query.Namespace) {
			c.Pods = append(c.Pods, p)
		}
	}
	if pods != nil && c.Pods == nil {
		c.Pods = []ClusterPod{}
	}
	return c
}

// kubectlError leaves of kubectl's complaints the last, which is for people; lines of its own log stand
// before it.
func kubectlError(err error) error {
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if last == "" || len(lines) == 1 {
		return err
	}
	return fmt.Errorf("kubectl: %s", last)
}

// ReadOnePod asks for the pod that a query names.
func ReadOnePod(ctx context.Context, run Runner, query ClusterQuery) (*ClusterPod, error) {
	data, err := run(ctx, query.Kubectl("get", "pods", "--namespace="+query.Namespace, "--field-selector=metadata.name="+query.Pod, "--output=json")...)
	if err != nil {
		return nil, err
	}
	pods, err := parsePods(data)
	if err != nil {
		return nil, err
	}
	if len(pods) != 1 {
		return nil, fmt.Errorf("pod %s/%s: %w", query.Namespace, query.Pod, ErrAbsent)
	}
	return &pods[0], nil
}

// ReadPod adds to a pod what its events and logs say; what cannot be read is left out.
func ReadPod(ctx context.Context, run Runner, query ClusterQuery, p *ClusterPod) {
	var wg sync.WaitGroup
	wg.Go(func() {
		data, err := run(ctx, query.Kubectl("get", "events", "--namespace="+p.Namespace, "--field-selector=involvedObject.name="+p.Name, "--output=json")...)
		if err == nil {
			p.Events, _ = parseEvents(data)
		}
	})
	wg.Go(func() {
		started := slices.ContainsFunc(p.Containers, func(c PodContainer) bool {
			return c.State == "running" || c.State == "terminated" || c.RestartCount > 0
		})
		if !started {
			return
		}
		if data, err := run(ctx, query.Kubectl("logs", "--namespace="+p.Namespace, p.Name, "--all-containers", "--tail=200")...); err == nil {
			p.Logs = string(data[:min(len(data), 256<<10)])
		}
	})
	wg.Wait()
}
