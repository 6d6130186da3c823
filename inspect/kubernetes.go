package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
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

// count adds up what the pods on each node ask for. A pod that is over holds nothing.
func count(nodes []ClusterNode, pods []ClusterPod) {
	for i := range nodes {
		nodes[i].InUse = map[string]int{}
		for _, p := range pods {
			if p.Node == nodes[i].Name && p.Phase != "Succeeded" && p.Phase != "Failed" {
				for resource, n := range p.Requests {
					nodes[i].InUse[resource] += n
				}
			}
		}
	}
}

// isNVIDIA tells if a resource is one of NVIDIA's GPUs: nvidia.com/gpu, its shared form, a MIG profile.
func isNVIDIA(resource string) bool {
	return resource == "nvidia.com/gpu" || resource == "nvidia.com/gpu.shared" || strings.HasPrefix(resource, "nvidia.com/mig-")
}

// quantities reads NVIDIA's of a list of resources; they are whole numbers.
func quantities(all map[string]string) map[string]int {
	found := map[string]int{}
	for resource, text := range all {
		if n, err := strconv.Atoi(text); err == nil && isNVIDIA(resource) {
			found[bounded(resource)] = n
		}
	}
	return found
}

type metadata struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels"`
	Created   *time.Time        `json:"creationTimestamp"`
}

// keptLabels are those of a node that pods choose by where GPUs are meant; hostnames and zones are kept
// since selectors name them.
func keptLabels(labels map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range labels {
		if len(key) < 320 && len(kept) < 200 {
			kept[key] = bounded(value)
		}
	}
	return kept
}

func parseNodes(data []byte) ([]ClusterNode, error) {
	var list struct {
		Items []struct {
			Metadata metadata `json:"metadata"`
			Spec     struct {
				Unschedulable bool    `json:"unschedulable"`
				Taints        []Taint `json:"taints"`
			} `json:"spec"`
			Status struct {
				Capacity    map[string]string `json:"capacity"`
				Allocatable map[string]string `json:"allocatable"`
				Conditions  []struct {
					Type   string `json:"type"`
					Status string `json:"status"`
				} `json:"conditions"`
			} `json:"status"`
		} `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("kubectl's answer on nodes is not understood: %w", err)
	}
	nodes := []ClusterNode{}
	for _, item := range list.Items {
		n := ClusterNode{Name: bounded(item.Metadata.Name), Unschedulable: item.Spec.Unschedulable, Taints: item.Spec.Taints, Labels: keptLabels(item.Metadata.Labels),
			Capacity: quantities(item.Status.Capacity), Allocatable: quantities(item.Status.Allocatable), InUse: map[string]int{}}
		for _, condition := range item.Status.Conditions {
			if condition.Type == "Ready" {
				n.Ready = ptr(condition.Status == "True")
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// podContainer is a container in a pod's specification.
type podContainer struct {
	Name      string `json:"name"`
	Image     string `json:"image"`
	Restart   string `json:"restartPolicy"`
	Resources struct {
		Limits   map[string]string `json:"limits"`
		Requests map[string]string `json:"requests"`
	} `json:"resources"`
	Env []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"env"`
}

type podState struct {
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	ExitCode *int   `json:"exitCode"`
}

func parsePods(data []byte) ([]ClusterPod, error) {
	var list struct {
		Items []struct {
			Metadata metadata `json:"metadata"`
			Spec     struct {
				Node           string            `json:"nodeName"`
				RuntimeClass   string            `json:"runtimeClassName"`
				Selector       map[string]string `json:"nodeSelector"`
				Tolerations    []Toleration      `json:"tolerations"`
				Containers     []podContainer    `json:"containers"`
				InitContainers []podContainer    `json:"initContainers"`
				Affinity       struct {
					Node struct {
						Required struct {
							Terms []struct {
								Expressions []Expression `json:"matchExpressions"`
								Fields      []Expression `json:"matchFields"`
							} `json:"nodeSelectorTerms"`
						} `json:"requiredDuringSchedulingIgnoredDuringExecution"`
					} `json:"nodeAffinity"`
				} `json:"affinity"`
			} `json:"spec"`
			Status struct {
				Phase      string `json:"phase"`
				Reason     string `json:"reason"`
				Message    string `json:"message"`
				Conditions []struct {
					Type    string `json:"type"`
					Status  string `json:"status"`
					Reason  string `json:"reason"`
					Message string `json:"message"`
				} `json:"conditions"`
				Containers []struct {
					Name     string              `json:"name"`
					Restarts int                 `json:"restartCount"`
					State    map[string]podState `json:"state"`
					Last     map[string]podState `json:"lastState"`
				} `json:"containerStatuses"`
			} `json:"status"`
		} `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("kubectl's answer on pods is not understood: %w", err)
	}
	pods := []ClusterPod{}
	for _, item := range list.Items {
		p := ClusterPod{Namespace: bounded(item.Metadata.Namespace), Name: bounded(item.Metadata.Name), Node: item.Spec.Node, Phase: item.Status.Phase, Reason: item.Status.Reason,
			Message: bounded(item.Status.Message), RuntimeClass: item.Spec.RuntimeClass, NodeSelector: item.Spec.Selector, Tolerations: item.Spec.Tolerations,
			Requests: requests(item.Spec.Containers, item.Spec.InitContainers), Containers: []PodContainer{}, CreatedAt: item.Metadata.Created}
		for _, term := range item.Spec.Affinity.Node.Required.Terms {
			if len(term.Fields) == 0 { // fields name one node by its metadata: only daemon sets use them
				p.Affinity = append(p.Affinity, term.Expressions)
			}
		}
		for _, condition := range item.Status.Conditions {
			if condition.Type == "PodScheduled" {
				p.Scheduled = ptr(condition.Status == "True")
				if condition.Status == "False" && p.Message == "" {
					p.Message = bounded(condition.Message)
				}
			}
		}
		for _, spec := range item.Spec.Containers {
			c := PodContainer{Name: bounded(spec.Name), Image: bounded(spec.Image)}
			for _, env := range spec.Env {
				if env.Name == "NVIDIA_VISIBLE_DEVICES" {
					c.VisibleDevices = ptr(bounded(env.Value))
				}
			}
			for _, status := range item.Status.Containers {
				if status.Name != spec.Name {
					continue
				}
				c.RestartCount = status.Restarts
				for name, state := range status.State {
					c.State, c.Reason, c.Message, c.ExitCode = name, state.Reason, bounded(state.Message), state.ExitCode
				}
				if last, ok := status.Last["terminated"]; ok && c.Message == "" {
					c.Message, c.ExitCode = bounded(last.Message), last.ExitCode
				}
			}
			p.Containers = append(p.Containers, c)
		}
		pods = append(pods, p)
	}
	return pods, nil
}

// requests is what the scheduler counts: the sum over containers and those init containers that stay, or
// the largest of the others where that is more. For such resources the limit is the request.
func requests(containers, inits []podContainer) map[string]int {
	of := func(c podContainer) map[string]int {
		found := quantities(c.Resources.Requests)
		for resource, n := range quantities(c.Resources.Limits) {
			found[resource] = n
		}
		return found
	}
	sum, most := map[string]int{}, map[string]int{}
	for _, c := range containers {
		for resource, n := range of(c) {
			sum[resource] += n
		}
	}
	for _, c := range inits {
		for resource, n := range of(c) {
			if c.Restart == "Always" {
				sum[resource] += n
			} else {
				most[resource] = max(most[resource], n)
			}
		}
	}
	for resource, n := range most {
		sum[resource] = max(sum[resource], n)
	}
	for resource, n := range sum {
		if n == 0 {
			delete(sum, resource)
		}
	}
	return sum
}

func parseRuntimeClasses(data []byte) ([]RuntimeClass, error) {
	var list struct {
		Items []struct {
			Metadata metadata `json:"metadata"`
			Handler  string   `json:"handler"`
		} `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("kubectl's answer on runtime classes is not understood: %w", err)
	}
	classes := []RuntimeClass{}
	for _, item := range list.Items {
		classes = append(classes, RuntimeClass{bounded(item.Metadata.Name), bounded(item.Handler)})
	}
	return classes, nil
}

func parseDaemonSets(data []byte) ([]DaemonSet, error) {
	var list struct {
		Items []struct {
			Metadata metadata `json:"metadata"`
			Spec     struct {
				Template struct {
					Spec struct {
						Containers []podContainer `json:"containers"`
					} `json:"spec"`
				} `json:"template"`
			} `json:"spec"`
			Status struct {
				Desired int `json:"desiredNumberScheduled"`
				Ready   int `json:"numberReady"`
			} `json:"status"`
		} `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("kubectl's answer on daemon sets is not understood: %w", err)
	}
	sets := []DaemonSet{}
	for _, item := range list.Items {
		d := DaemonSet{Namespace: bounded(item.Metadata.Namespace), Name: bounded(item.Metadata.Name), Desired: item.Status.Desired, Ready: item.Status.Ready}
		for _, c := range item.Spec.Template.Spec.Containers {
			if role := daemonSetRole(d.Name, c.Image); role != "" && d.Role == "" {
				d.Role, d.Image = role, bounded(c.Image)
			}
		}
		if d.Role != "" {
			sets = append(sets, d)
		}
	}
	return sets, nil
}

// daemonSetRole names NVIDIA's daemon sets by name and image, which users and clouds choose freely.
func daemonSetRole(name, image string) string {
	name, image = strings.ToLower(name), strings.ToLower(image)
	both := name + " " + image
	switch {
	case strings.Contains(both, "k8s-device-plugin") || strings.Contains(both, "nvidia-device-plugin") || strings.Contains(both, "nvidia-gpu-device-plugin"):
		if strings.Contains(name, "feature-discovery") || strings.HasSuffix(name, "-gfd") || strings.Contains(name, "mps-control") {
			return "feature-discovery"
		}
		return "device-plugin"
	case strings.Contains(name, "nvidia-driver") || strings.Contains(name, "driver-installer"):
		return "driver"
	case strings.Contains(name, "container-toolkit"):
		return "toolkit"
	case strings.Contains(both, "dcgm"):
		return "exporter"
	case strings.Contains(both, "gpu-feature-discovery"):
		return "feature-discovery"
	case strings.Contains(name, "mig-manager"):
		return "mig-manager"
	case strings.Contains(both, "nvidia"):
		return "other"
	}
	return ""
}

func parseEvents(data []byte) ([]string, error) {
	var list struct {
		Items []struct {
			Type    string `json:"type"`
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	events := []string{}
	for _, item := range list.Items {
		if text := bounded(item.Reason + ": " + item.Message); item.Type != "Normal" && !slices.Contains(events, text) {
			events = append(events, text)
		}
	}
	return events, nil
}
