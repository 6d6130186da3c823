// Code generated from knowledge/kubernetes.yaml by go generate; DO NOT EDIT.

package fixes

func init() { playbookTables["kubernetes"] = tableKubernetes }

var tableKubernetes = []Entry{
	{ID: "k8s-no-device-plugin", Title: "No node offers nvidia.com/gpu", Severity: "error",
		Cause:    "No node of the cluster offers the resource nvidia.com/gpu, because NVIDIA's device plugin does not run there or found no GPU.",
		Explains: []ID{"k8s-insufficient-gpus"},
		packed: "" +
			"60\tGPU resources are not (yet )?discovered by the node\t\t\t\t!gpuresourcesarenotdiscoveredbythenode 3yetdiscoveredbythenode\v" +
			"30\tinvalid device discovery strategy\t\t\t\t!invaliddevicediscoverystrategy\v" +
			"30\tIncompatible (strategy|platform) detected\t\t\t\t!incompatibleplatformdetected -strategydetected\v" +
			"30\tNo devices found\\. Waiting indefinitely\t\t\t\t!nodevicesfound.waitingindefinitely",
		Steps: []Advice{
			{Text: "See whether the device plugin runs, and on how many nodes", Command: "kubectl get daemonsets --all-namespaces"},
			{Text: "Read why it offers nothing", Command: "kubectl logs --namespace=kube-system --selector=name=nvidia-device-plugin-ds"},
			{Text: "Install the GPU operator or the device plugin where it is missing"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/getting-started.html"},
	{ID: "k8s-insufficient-gpus", Title: "No node has enough free GPUs", Severity: "error",
		Cause:    "No node that the pod may run on has as many free GPUs as it asks for.",
		Question: "Does any node offer nvidia.com/gpu at all? docker gpu k8s shows it.", packed: "" +
			"72\tInsufficient nvidia\\.com/(gpu|mig-[0-9a-z.]+)\t\t\t\t!insufficientnvidia.com/\v" +
			"72\trequested number of devices unavailable for nvidia\\.com/\t\t\t\t!requestednumberofdevicesunavailablefornvidia.com/",
		Steps: []Advice{
			{Text: "See who holds the GPUs", Command: "docker gpu k8s"},
			{Text: "Ask for fewer, wait until one is free, or add a node"},
		},
		Docs: "https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/"},
	{ID: "k8s-taint-not-tolerated", Title: "The GPU nodes are tainted and the pod does not tolerate it", Severity: "error",
		Cause: "The nodes with free GPUs carry a taint that the pod does not tolerate.",
		packed: "" +
			"72\tuntolerated taint \\{(nvidia\\.com/|gpu\\b)[^}]*\\}\t\t\t\t!untoleratedtaint{gpu 2nvidia.com/",
		Steps: []Advice{
			{Text: "Add the toleration to the pod, for example key nvidia.com/gpu, operator Exists, effect NoSchedule"},
			{Text: "See the nodes' taints", Command: "kubectl get nodes -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints"},
		},
		Docs: "https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/"},
	{ID: "k8s-runtime-class-missing", Title: "The pod's runtime class does not exist", Severity: "error",
		Cause: "The pod names a runtime class that the cluster does not have.",
		packed: "" +
			"72\tRuntimeClass \"?nvidia[a-z-]*\"? not found\t\t\t\t!runtimeclassnvidia\v" +
			"72\truntimeclass(es)?(\\.node\\.k8s\\.io)? \"nvidia[a-z-]*\" not found\t\t\t\t!runtimeclass.node.k8s.ionvidia -es.node.k8s.ionvidia /nvidia -nvidia",
		Steps: []Advice{
			{Text: "Make a RuntimeClass with the handler nvidia, or take runtimeClassName out of the pod", Command: "kubectl get runtimeclasses"},
		},
		Docs: "https://kubernetes.io/docs/concepts/containers/runtime-class/"},
	{ID: "k8s-gpu-not-requested", Title: "The pod asks for no GPU", Severity: "error",
		Cause: "The pod does not request nvidia.com/gpu, so Kubernetes gives it none.",
		Steps: []Advice{
			{Text: "Add resources.limits: {nvidia.com/gpu: 1} to the container"},
		},
		Docs: "https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/"},
	{ID: "k8s-node-selector", Title: "The pod's node selector or affinity matches no GPU node", Severity: "error",
		Cause: "The nodes with free GPUs do not have the labels that the pod's node selector or affinity demands.",
		Steps: []Advice{
			{Text: "Compare the pod's selector with the labels of the GPU nodes", Command: "kubectl get nodes --show-labels"},
		},
		Docs: "https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/"},
	{ID: "k8s-node-unschedulable", Title: "The GPU nodes are cordoned or not ready", Severity: "error",
		Cause: "The nodes with free GPUs take no pods now, because they are cordoned or not ready.",
		Steps: []Advice{
			{Text: "Let the node take pods again", Command: "kubectl uncordon NODE"},
			{Text: "Read why a node is not ready", Command: "kubectl describe node NODE"},
		},
		Docs: "https://kubernetes.io/docs/concepts/architecture/nodes/"},
	{ID: "k8s-limits-differ", Title: "Request and limit of nvidia.com/gpu differ", Severity: "error",
		Cause: "Kubernetes does not overcommit GPUs, so request and limit of nvidia.com/gpu must be the same number.",
		packed: "" +
			"72\tmust be equal to nvidia\\.com/[a-z0-9.-]+ limit\t\t\t\t!mustbeequaltonvidia.com/",
		Steps: []Advice{
			{Text: "Give only the limit, or the same number for both"},
		},
		Docs: "https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/"},
}
