package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

// decodeItems reads one of kubectl's lists. An answer without items is none: kubectl writes them where there are none, too.
func decodeItems(data []byte, list any, what string) error {
	var head struct{ Items json.RawMessage }
	err := json.Unmarshal(data, &head)
	if err == nil && (len(head.Items) == 0 || head.Items[0] != '[') {
		err = errors.New("it holds no list of items")
	}
	if err == nil {
		err = json.Unmarshal(data, list)
	}
	if err != nil {
		return fmt.Errorf("kubectl's answer on %s is not understood: %w", what, err)
	}
	return nil
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
	if err := decodeItems(data, &list, "nodes"); err != nil {
		return nil, err
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
	if err := decodeItems(data, &list, "pods"); err != nil {
		return nil, err
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
	if err := decodeItems(data, &list, "runtime classes"); err != nil {
		return nil, err
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
	if err := decodeItems(data, &list, "daemon sets"); err != nil {
		return nil, err
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
	if err := decodeItems(data, &list, "events"); err != nil {
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
