package fixes

import (
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

const gpuResource = "nvidia.com/gpu"

func gpuNode(name string, gpus, inUse int, change ...func(*inspect.ClusterNode)) inspect.ClusterNode {
	n := inspect.ClusterNode{Name: name, Ready: ptrTo(true), Labels: map[string]string{"kubernetes.io/hostname": name, "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
		Capacity: map[string]int{gpuResource: gpus}, Allocatable: map[string]int{gpuResource: gpus}, InUse: map[string]int{gpuResource: inUse}}
	for _, c := range change {
		c(&n)
	}
	return n
}

func tainted(n *inspect.ClusterNode) {
	n.Taints = []inspect.Taint{{Key: gpuResource, Value: "present", Effect: "NoSchedule"}}
}

func pendingPod(gpus int, change ...func(*inspect.ClusterPod)) inspect.ClusterPod {
	p := inspect.ClusterPod{Namespace: "ml", Name: "train", Phase: "Pending", Scheduled: ptrTo(false), Requests: map[string]int{}, Containers: []inspect.PodContainer{{Name: "main"}}}
	if gpus > 0 {
		p.Requests[gpuResource] = gpus
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

// Each case is a cluster and a pod in it, and the ids that `k8s diagnose` finds, the cause first.
func TestDiagnosePod(t *testing.T) {
	plugin := []inspect.DaemonSet{{Namespace: "gpu-operator", Name: "nvidia-device-plugin-daemonset", Role: "device-plugin", Desired: 2, Ready: 2}}
	selects := func(p *inspect.ClusterPod) {
		p.NodeSelector = map[string]string{"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
	}
	for _, c := range []struct {
		name    string
		cluster inspect.Cluster
		pod     inspect.ClusterPod
		want    string
		cause   string
	}{
		{"no node offers a GPU, no plugin", inspect.Cluster{Nodes: []inspect.ClusterNode{{Name: "cpu"}}, DaemonSets: []inspect.DaemonSet{}}, pendingPod(1), "k8s-no-device-plugin", "is not installed"},
		{"no node offers a GPU, plugin fails", inspect.Cluster{Nodes: []inspect.ClusterNode{{Name: "n"}}, DaemonSets: []inspect.DaemonSet{{Role: "device-plugin", Name: "p", Desired: 1}}}, pendingPod(1), "k8s-no-device-plugin", "does not come up"},
		{"no node offers a GPU, plugin on no node", inspect.Cluster{Nodes: []inspect.ClusterNode{{Name: "n"}}, DaemonSets: []inspect.DaemonSet{{Role: "device-plugin", Name: "p"}}}, pendingPod(1), "k8s-no-device-plugin", "matches no node"},
		{"no node offers a GPU, plugin finds none", inspect.Cluster{Nodes: []inspect.ClusterNode{{Name: "n"}}, DaemonSets: []inspect.DaemonSet{{Role: "device-plugin", Name: "p", Desired: 1, Ready: 1}}}, pendingPod(1), "k8s-no-device-plugin", "finds no GPU"},
		{"all in use", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 2)}, DaemonSets: plugin}, pendingPod(1), "k8s-insufficient-gpus", "as many free GPUs"},
		{"more than any node has", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0), gpuNode("b", 4, 0)}, DaemonSets: plugin}, pendingPod(8), "k8s-insufficient-gpus", "the largest node has 4"},
		{"a MIG profile that none has", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0)}, DaemonSets: plugin}, pendingPod(0, func(p *inspect.ClusterPod) { p.Requests["nvidia.com/mig-1g.10gb"] = 1 }), "k8s-insufficient-gpus", "no node offers"},
		{"taint", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0, tainted)}, DaemonSets: plugin}, pendingPod(1), "k8s-taint-not-tolerated", ""},
		{"taint, tolerated by key", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 2, tainted)}, DaemonSets: plugin}, pendingPod(1, func(p *inspect.ClusterPod) {
			p.Tolerations = []inspect.Toleration{{Key: gpuResource, Operator: "Exists"}}
		}), "k8s-insufficient-gpus", ""},
		{"taint, toleration of another value", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0, tainted)}, DaemonSets: plugin}, pendingPod(1, func(p *inspect.ClusterPod) {
			p.Tolerations = []inspect.Toleration{{Key: gpuResource, Operator: "Equal", Value: "true", Effect: "NoSchedule"}}
		}), "k8s-taint-not-tolerated", ""},
		{"selector", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0)}, DaemonSets: plugin}, pendingPod(1, selects), "k8s-node-selector", ""},
		{"affinity", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0)}, DaemonSets: plugin}, pendingPod(1, func(p *inspect.ClusterPod) {
			p.Affinity = [][]inspect.Expression{{{Key: "nvidia.com/gpu.memory", Operator: "Gt", Values: []string{"80000"}}}}
		}), "k8s-node-selector", ""},
		{"cordoned", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0, func(n *inspect.ClusterNode) { n.Unschedulable = true })}, DaemonSets: plugin}, pendingPod(1), "k8s-node-unschedulable", ""},
		{"not ready", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0, func(n *inspect.ClusterNode) { n.Ready = ptrTo(false) })}, DaemonSets: plugin}, pendingPod(1), "k8s-node-unschedulable", ""},
		{"one node full, one tainted", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 2), gpuNode("b", 2, 0, tainted)}, DaemonSets: plugin}, pendingPod(1), "k8s-insufficient-gpus k8s-taint-not-tolerated", ""},
		{"a full and tainted node beside a tainted one: the taint alone decides", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 2, tainted), gpuNode("b", 2, 0, tainted)}, DaemonSets: plugin}, pendingPod(1), "k8s-taint-not-tolerated", ""},
		{"no node has the label, whatever else: the selector", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 2), gpuNode("b", 2, 0, tainted)}, DaemonSets: plugin}, pendingPod(1, selects), "k8s-node-selector", ""},
		{"free: it only has not been scheduled yet", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0)}, DaemonSets: plugin}, pendingPod(1), "", ""},
		{"runtime class missing", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0)}, RuntimeClasses: []inspect.RuntimeClass{}, DaemonSets: plugin}, pendingPod(1, func(p *inspect.ClusterPod) { p.RuntimeClass = "nvidia" }), "k8s-runtime-class-missing", ""},
		{"runtime classes not read", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0)}, DaemonSets: plugin}, pendingPod(1, func(p *inspect.ClusterPod) { p.RuntimeClass = "nvidia" }), "", ""},
		{"nvidia runtime class and no request", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0)}, RuntimeClasses: []inspect.RuntimeClass{{Name: "nvidia", Handler: "nvidia"}}}, pendingPod(0, func(p *inspect.ClusterPod) { p.RuntimeClass, p.Phase = "nvidia", "Running" }), "k8s-gpu-not-requested", ""},
		{"fails for want of a GPU it did not ask for", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0)}}, pendingPod(0, func(p *inspect.ClusterPod) {
			p.Phase, p.Logs = "Failed", "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU\n"
		}), "k8s-gpu-not-requested", ""},
		{"an ordinary pod that failed", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 0)}}, pendingPod(0, func(p *inspect.ClusterPod) {
			p.Phase, p.Logs = "Failed", "KeyError: 'DATABASE_URL'\n"
		}), "", ""},
		{"runs", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 2, 1)}}, pendingPod(1, func(p *inspect.ClusterPod) { p.Phase, p.Node, p.Scheduled = "Running", "a", ptrTo(true) }), "", ""},
		{"nodes not readable", inspect.Cluster{}, pendingPod(1), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := DiagnosePod(&c.cluster, &c.pod)
			var ids []string
			for _, f := range found {
				ids = append(ids, string(f.ID))
			}
			if got := strings.Join(ids, " "); got != c.want {
				t.Fatalf("%q, want %q", got, c.want)
			}
			if c.cause != "" && !strings.Contains(found[0].Cause, c.cause) {
				t.Errorf("cause %q, want %q in it", found[0].Cause, c.cause)
			}
		})
	}
}

func TestJudgeCluster(t *testing.T) {
	for _, c := range []struct {
		name    string
		cluster inspect.Cluster
		code    Code
		text    string
	}{
		{"free and in use", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 4, 3), gpuNode("b", 4, 4)}}, OK, "1 of 8 GPUs free on 2 nodes."},
		{"one waits", inspect.Cluster{Nodes: []inspect.ClusterNode{gpuNode("a", 1, 1)}, Pods: []inspect.ClusterPod{pendingPod(1)}}, OK, "0 of 1 GPU free on 1 node. 1 pod waits for a GPU."},
		{"no GPU", inspect.Cluster{Nodes: []inspect.ClusterNode{{Name: "a"}}, DaemonSets: []inspect.DaemonSet{}}, NoGPU, "No GPU on offer on 1 node"},
		{"plugin broken", inspect.Cluster{Nodes: []inspect.ClusterNode{{Name: "a"}}, DaemonSets: []inspect.DaemonSet{{Role: "device-plugin", Name: "p", Desired: 1}}}, GPUUnusable, "does not come up"},
		{"nothing read", inspect.Cluster{Sources: []inspect.Reading{{Name: "nodes", Error: "connection refused"}}}, CannotTell, "connection refused"},
	} {
		v := JudgeCluster(&c.cluster)
		if v.Code != c.code || !strings.Contains(v.Text, c.text) {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}
