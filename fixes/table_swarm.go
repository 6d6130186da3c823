// Code generated from knowledge/swarm.yaml by go generate; DO NOT EDIT.

package fixes

func init() { playbookTables["swarm"] = tableSwarm }

var tableSwarm = []Entry{
	{ID: "swarm-insufficient-gpus", Title: "No node of the swarm has enough free GPUs", Severity: "error",
		Cause:    "No node that takes tasks offers as many free GPUs as the service reserves, so the swarm leaves its task pending.",
		Question: "What does the service reserve, and which nodes offer it? docker gpu status on a manager shows both.", packed: "" +
			"60\tno suitable node \\([^)]*insufficient resources\t\tgpu|nvidia|generic[-_ ]?resource\t\t!nosuitablenode(",
		Steps: []Advice{
			{Text: "See which nodes offer GPUs, how many of them are placed, and who waits", Command: "docker gpu status"},
			{Text: "Read what the service reserves, and why its tasks wait", Command: "docker service ps --no-trunc SERVICE"},
			{Text: "Let a node that offers none, or whose GPUs changed, offer what it has", Command: "docker gpu swarm enable"},
			{Text: "Let a drained node take tasks again", Command: "docker node update --availability active NODE"},
			{Text: "Reserve fewer GPUs, scale a service down that holds some, or add a node", Command: "docker service update --generic-resource-rm NVIDIA-GPU --generic-resource-add NVIDIA-GPU=1 SERVICE"},
		},
		Docs: "https://docs.docker.com/reference/cli/docker/service/create/#generic-resource"},
	{ID: "swarm-mixed-resources", Title: "node-generic-resources mixes counts and names", Severity: "error",
		Cause:    "The engine's list of generic resources gives one kind both as a number and by name, and with that list the engine does not start.",
		Explains: []ID{"docker-daemon-not-running"},
		packed: "" +
			"70\tmixed discrete and named resources in expression\t\tgpu|nvidia\t\t!mixeddiscreteandnamedresourcesinexpression",
		Steps: []Advice{
			{Text: "Keep either the count (NVIDIA-GPU=2) or the names (NVIDIA-GPU=GPU-…, one entry each) of a kind in node-generic-resources of daemon.json"},
			{Text: "Take the names that docker gpu wrote out", Command: "docker gpu swarm disable"},
		},
		Docs: "https://docs.docker.com/reference/cli/dockerd/#node-generic-resources"},
}
