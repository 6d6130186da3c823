package fixes

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// JudgeCluster says in one line what a cluster can do with GPUs. Codes are those of a machine's verdict.
func JudgeCluster(c *inspect.Cluster) Verdict {
	if c.Nodes == nil {
		reason := "its nodes could not be read"
		for _, r := range c.Sources {
			if r.Name == "nodes" && r.Error != "" {
				reason = r.Error
			}
		}
		return Verdict{Code: CannotTell, Text: fmt.Sprintf("The cluster does not answer: %s.", strings.TrimSuffix(reason, ".")), Next: "kubectl cluster-info"}
	}
	total, free, nodes := 0, 0, 0
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if sum(n.Allocatable) == 0 {
			continue
		}
		nodes++
		total += sum(n.Allocatable)
		for resource, have := range n.Allocatable {
			free += max(0, have-n.InUse[resource])
		}
	}
	waiting := 0
	for _, p := range c.Pods {
		if len(p.Requests) > 0 && p.Phase == "Pending" && p.Node == "" {
			waiting++
		}
	}
	if total == 0 {
		if f := noPlugin(c); len(c.DaemonSets) > 0 {
			return Verdict{Code: GPUUnusable, Text: f.Cause, Next: "docker gpu k8s diagnose"}
		}
		return Verdict{Code: NoGPU, Text: fmt.Sprintf("No GPU on offer on %s: NVIDIA's device plugin is not installed.", Counted(len(c.Nodes), "node")), Next: "docker gpu k8s diagnose"}
	}
	v := Verdict{Code: OK, Text: fmt.Sprintf("%d of %s free on %s.", free, Counted(total, "GPU"), Counted(nodes, "node"))}
	if waiting > 0 {
		v.Text += fmt.Sprintf(" %s for a GPU.", map[bool]string{true: "1 pod waits", false: strconv.Itoa(waiting) + " pods wait"}[waiting == 1])
		v.Next = "docker gpu k8s diagnose"
	}
	return v
}

func sum(resources map[string]int) (n int) {
	for _, v := range resources {
		n += v
	}
	return n
}

// DiagnosePod says why a pod waits or fails, by what the cluster tells; nothing where it runs well.
func DiagnosePod(c *inspect.Cluster, p *inspect.ClusterPod) []Finding {
	var found []Finding
	if p.Phase != "Running" && p.Phase != "Succeeded" && p.RuntimeClass != "" && c.RuntimeClasses != nil &&
		!slices.ContainsFunc(c.RuntimeClasses, func(r inspect.RuntimeClass) bool { return r.Name == p.RuntimeClass }) {
		f := NewFinding("k8s-runtime-class-missing", podEvidence(p, "runtimeClassName: "+p.RuntimeClass))
		f.Cause = fmt.Sprintf("The pod names the runtime class %q, which the cluster does not have.", p.RuntimeClass)
		found = append(found, f)
	}
	if p.Phase == "Pending" && p.Node == "" && len(p.Requests) > 0 && c.Nodes != nil {
		found = append(found, unscheduled(c, p)...)
	}
	texts := podTexts(p)
	if len(found) == 0 {
		found = append(found, explainPod(p, texts)...)
	}
	if len(p.Requests) == 0 {
		found = slices.DeleteFunc(found, func(f Finding) bool {
			return slices.Contains([]ID{"gpu-not-requested", "driver-not-installed", "toolkit-not-installed", "visible-devices-void"}, f.ID)
		})
		if wantsGPU(p, texts) && !slices.ContainsFunc(found, func(f Finding) bool { return f.Severity == Error }) {
			found = append(found, NewFinding("k8s-gpu-not-requested", podEvidence(p, wish(p, texts))))
		}
	}
	for i := range found {
		found[i].Container = p.Namespace + "/" + p.Name
	}
	return found
}

// explainPod looks for known messages in what the cluster says of a pod.
func explainPod(p *inspect.ClusterPod, texts []string) []Finding {
	parts := make([]Text, len(texts))
	for i, text := range texts {
		parts[i] = Text{Name: "pod " + p.Namespace + "/" + p.Name, Reader: strings.NewReader(text), FromProgram: true}
	}
	e, _ := ExplainTexts(parts...) // reading from memory does not fail
	return slices.DeleteFunc(e.Findings, func(f Finding) bool { return f.Severity == Info })
}

func podEvidence(p *inspect.ClusterPod, text string) Evidence {
	return Evidence{Source: "pod " + p.Namespace + "/" + p.Name, Text: text}
}

// podTexts are all words that the cluster has on a pod's fate.
func podTexts(p *inspect.ClusterPod) []string {
	var texts []string
	add := func(text string) {
		if strings.TrimSpace(text) != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	add(strings.TrimSpace(p.Reason + " " + p.Message))
	for _, c := range p.Containers {
		add(strings.TrimSpace(c.Reason + " " + c.Message))
	}
	for _, event := range p.Events {
		add(event)
	}
	if failing(p) {
		add(p.Logs)
	}
	return texts
}

// failing: the logs of a pod that runs well are not looked through.
func failing(p *inspect.ClusterPod) bool {
	return p.Phase == "Failed" || slices.ContainsFunc(p.Containers, func(c inspect.PodContainer) bool {
		return c.RestartCount > 0 || c.ExitCode != nil && *c.ExitCode != 0 || c.State == "waiting"
	})
}

// wantsGPU: a pod without a request that was plainly meant to have a GPU.
func wantsGPU(p *inspect.ClusterPod, texts []string) bool { return wish(p, texts) != "" }

func wish(p *inspect.ClusterPod, texts []string) string {
	if strings.HasPrefix(p.RuntimeClass, "nvidia") {
		return "runtimeClassName: " + p.RuntimeClass + ", no nvidia.com/gpu in its limits"
	}
	if failing(p) {
		for _, sign := range []string{"no CUDA-capable device is detected", "Found no NVIDIA driver on your system", "libcuda.so.1: cannot open shared object file", "NVIDIA driver was not detected", "nvidia-smi: not found", `"nvidia-smi": executable file not found`} {
			for _, text := range texts {
				for line := range strings.Lines(text) {
					if strings.Contains(line, sign) {
						return strings.TrimSpace(line)
					}
				}
			}
		}
	}
	return ""
}

// unscheduled holds a pod against every node, as the scheduler does, and names what is nearest to
// letting it run: what keeps it away from a node that nothing else keeps it away from.
func unscheduled(c *inspect.Cluster, p *inspect.ClusterPod) []Finding {
	var offering []*inspect.ClusterNode
	for i := range c.Nodes {
		if offers(&c.Nodes[i], p) {
			offering = append(offering, &c.Nodes[i])
		}
	}
	if len(offering) == 0 {
		if !slices.ContainsFunc(c.Nodes, func(n inspect.ClusterNode) bool { return sum(n.Allocatable) > 0 || sum(n.Capacity) > 0 }) {
			return []Finding{noPlugin(c)}
		}
		f := NewFinding("k8s-insufficient-gpus", podEvidence(p, asked(p.Requests)))
		f.Cause = fmt.Sprintf("The pod asks for %s, which no node offers.", asked(p.Requests))
		f.Question = ""
		return []Finding{f}
	}
	type obstacle struct {
		id    ID
		nodes []string
		text  string
	}
	var alone, joined, all []obstacle // the only one on a node; one of several; any
	note := func(to *[]obstacle, id ID, node, text string) {
		at := slices.IndexFunc(*to, func(o obstacle) bool { return o.id == id })
		if at < 0 {
			*to = append(*to, obstacle{id: id, text: text})
			at = len(*to) - 1
		}
		(*to)[at].nodes = append((*to)[at].nodes, node)
	}
	for _, n := range offering {
		reasons := map[ID]string{}
		if free := lacking(n, p); free != "" {
			reasons["k8s-insufficient-gpus"] = free
		}
		if taint := untolerated(n, p); taint != nil {
			reasons["k8s-taint-not-tolerated"] = fmt.Sprintf("node %s: taint %s", n.Name, taintText(*taint))
		}
		if label := unselected(n, p); label != "" {
			reasons["k8s-node-selector"] = fmt.Sprintf("node %s: %s", n.Name, label)
		}
		if n.Unschedulable || n.Ready != nil && !*n.Ready {
			reasons["k8s-node-unschedulable"] = fmt.Sprintf("node %s: %s", n.Name, map[bool]string{true: "cordoned", false: "not ready"}[n.Unschedulable])
		}
		for _, id := range slices.Sorted(maps.Keys(reasons)) {
			note(&all, id, n.Name, reasons[id])
			if len(reasons) == 1 {
				note(&alone, id, n.Name, reasons[id])
			} else {
				note(&joined, id, n.Name, reasons[id])
			}
		}
	}
	chosen := alone
	if len(chosen) == 0 {
		chosen = slices.DeleteFunc(all, func(o obstacle) bool { return len(o.nodes) < len(offering) }) // on every node: that one has to go first
	}
	if len(chosen) == 0 {
		chosen = joined
	}
	order := []ID{"k8s-insufficient-gpus", "k8s-taint-not-tolerated", "k8s-node-selector", "k8s-node-unschedulable"}
	slices.SortStableFunc(chosen, func(a, b obstacle) int {
		return cmp.Or(cmp.Compare(len(b.nodes), len(a.nodes)), cmp.Compare(slices.Index(order, a.id), slices.Index(order, b.id)))
	})
	var found []Finding
	for _, o := range chosen {
		f := NewFinding(o.id, podEvidence(p, asked(p.Requests)), Evidence{Source: "nodes " + strings.Join(o.nodes, ", "), Text: o.text})
		if p.Message != "" {
			f.Evidence = append(f.Evidence, Evidence{Source: "scheduler", Text: p.Message})
		}
		if f.ID == "k8s-insufficient-gpus" {
			f.Question = ""
			if most := largest(offering, p); most != "" {
				f.Cause = most
			}
			if holders := holders(c, o.nodes); holders != "" {
				f.Evidence = append(f.Evidence, Evidence{Source: "pods", Text: holders})
			}
		}
		found = append(found, f)
	}
	return found
}

// offers tells if a node has any of what a pod asks for, whoever holds it now.
func offers(n *inspect.ClusterNode, p *inspect.ClusterPod) bool {
	for resource := range p.Requests {
		if n.Allocatable[resource] == 0 {
			return false
		}
	}
	return true
}

func lacking(n *inspect.ClusterNode, p *inspect.ClusterPod) string {
	for _, resource := range slices.Sorted(maps.Keys(p.Requests)) {
		if free := n.Allocatable[resource] - n.InUse[resource]; free < p.Requests[resource] {
			return fmt.Sprintf("node %s: %d of %d %s free", n.Name, max(0, free), n.Allocatable[resource], resource)
		}
	}
	return ""
}

// largest says that a pod asks for more than any node has, or "" where it only has to wait.
func largest(nodes []*inspect.ClusterNode, p *inspect.ClusterPod) string {
	for _, resource := range slices.Sorted(maps.Keys(p.Requests)) {
		most := 0
		for _, n := range nodes {
			most = max(most, n.Allocatable[resource])
		}
		if p.Requests[resource] > most {
			return fmt.Sprintf("The pod asks for %d %s on one node; the largest node has %d.", p.Requests[resource], resource, most)
		}
	}
	return ""
}

func holders(c *inspect.Cluster, nodes []string) string {
	var names []string
	for _, p := range c.Pods {
		if slices.Contains(nodes, p.Node) && p.Phase != "Succeeded" && p.Phase != "Failed" {
			names = append(names, fmt.Sprintf("%s/%s holds %s on %s", p.Namespace, p.Name, asked(p.Requests), p.Node))
		}
	}
	if more := len(names) - 5; more > 0 {
		names = append(names[:5], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, "; ")
}

func asked(requests map[string]int) string {
	var texts []string
	for _, resource := range slices.Sorted(maps.Keys(requests)) {
		texts = append(texts, fmt.Sprintf("%d %s", requests[resource], resource))
	}
	return strings.Join(texts, ", ")
}

// untolerated is the first taint of a node that keeps a pod away.
func untolerated(n *inspect.ClusterNode, p *inspect.ClusterPod) *inspect.Taint {
	for i, t := range n.Taints {
		if t.Effect != "NoSchedule" && t.Effect != "NoExecute" || t.Key == "node.kubernetes.io/unschedulable" || t.Key == "node.kubernetes.io/not-ready" {
			continue // the latter two are told as what they are: cordoned, not ready
		}
		if !slices.ContainsFunc(p.Tolerations, func(leave inspect.Toleration) bool { return tolerates(leave, t) }) {
			return &n.Taints[i]
		}
	}
	return nil
}

func tolerates(leave inspect.Toleration, t inspect.Taint) bool {
	if leave.Effect != "" && leave.Effect != t.Effect || leave.Key != "" && leave.Key != t.Key {
		return false
	}
	return leave.Operator == "Exists" || leave.Key != "" && leave.Value == t.Value
}

func taintText(t inspect.Taint) string {
	text := t.Key
	if t.Value != "" {
		text += "=" + t.Value
	}
	return text + ":" + t.Effect
}

// unselected says which demand of a pod a node's labels do not meet.
func unselected(n *inspect.ClusterNode, p *inspect.ClusterPod) string {
	for _, key := range slices.Sorted(maps.Keys(p.NodeSelector)) {
		if have, ok := n.Labels[key]; !ok || have != p.NodeSelector[key] {
			return fmt.Sprintf("the pod selects %s=%s, the node has %s", key, p.NodeSelector[key], labelText(have, ok))
		}
	}
	if len(p.Affinity) == 0 {
		return ""
	}
	first := ""
	for _, term := range p.Affinity {
		unmet := ""
		for _, e := range term {
			if have, ok := n.Labels[e.Key]; !meets(e, have, ok) {
				unmet = fmt.Sprintf("the pod's affinity demands %s %s %s, the node has %s", e.Key, e.Operator, strings.Join(e.Values, ","), labelText(have, ok))
				break
			}
		}
		if unmet == "" && len(term) > 0 {
			return ""
		}
		if first == "" {
			first = unmet
		}
	}
	return first
}

func labelText(value string, set bool) string {
	if !set {
		return "no such label"
	}
	return strconv.Quote(value)
}

func meets(e inspect.Expression, have string, set bool) bool {
	switch e.Operator {
	case "In":
		return set && slices.Contains(e.Values, have)
	case "NotIn":
		return !set || !slices.Contains(e.Values, have)
	case "Exists":
		return set
	case "DoesNotExist":
		return !set
	case "Gt", "Lt":
		n, err := strconv.Atoi(have)
		if err != nil || len(e.Values) != 1 {
			return false
		}
		than, err := strconv.Atoi(e.Values[0])
		return err == nil && (e.Operator == "Gt" && n > than || e.Operator == "Lt" && n < than)
	}
	return false
}

// noPlugin says why no node offers a GPU, as far as the daemon sets tell.
func noPlugin(c *inspect.Cluster) Finding {
	f := NewFinding("k8s-no-device-plugin")
	at := slices.IndexFunc(c.DaemonSets, func(d inspect.DaemonSet) bool { return d.Role == "device-plugin" })
	switch {
	case c.DaemonSets == nil:
		f.Evidence = append(f.Evidence, Evidence{Source: "nodes", Text: "none offers nvidia.com/gpu"})
	case at < 0:
		f.Cause = "No node offers nvidia.com/gpu: NVIDIA's device plugin is not installed in this cluster."
		f.Evidence = append(f.Evidence, Evidence{Source: "daemon sets", Text: "no device plugin of NVIDIA"})
	default:
		d := c.DaemonSets[at]
		f.Evidence = append(f.Evidence, Evidence{Source: fmt.Sprintf("daemon set %s/%s", d.Namespace, d.Name), Text: fmt.Sprintf("%d of %d ready", d.Ready, d.Desired)})
		switch {
		case d.Desired == 0:
			f.Cause = "No node offers nvidia.com/gpu: the device plugin's node selector matches no node."
		case d.Ready < d.Desired:
			f.Cause = "No node offers nvidia.com/gpu: the device plugin does not come up."
		default:
			f.Cause = "No node offers nvidia.com/gpu: the device plugin runs and finds no GPU."
		}
		f.Steps = append([]string{fmt.Sprintf("Read what it says: kubectl logs --namespace=%s daemonset/%s", d.Namespace, d.Name)}, f.Steps...)
	}
	return f
}
