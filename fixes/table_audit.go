// Code generated from knowledge/audit.yaml by go generate; DO NOT EDIT.

package fixes

func init() { playbookTables["audit"] = tableAudit }

var tableAudit = []Entry{
	{ID: "audit-privileged", Title: "A container with GPU access is privileged", Severity: "error",
		Cause: "A privileged container has every device of the host, all GPUs among them, and no confinement left: whoever takes it over has the host.",
		Steps: []Advice{
			{Text: "Start it without --privileged and give it just its GPUs: --gpus, or --device nvidia.com/gpu=0"},
			{Text: "Where single capabilities are needed, name them with --cap-add"},
		},
		Docs: "https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities"},
	{ID: "audit-docker-socket", Title: "A container with GPU access can command the engine", Severity: "error",
		Cause: "The engine's socket is mounted into the container: through it any container can be started, privileged ones and those with every GPU too, whatever a policy says.",
		Steps: []Advice{
			{Text: "Take the mount of docker.sock away, or put a proxy that lets only reading requests pass between"},
		},
		Docs: "https://docs.docker.com/engine/security/protect-access/"},
	{ID: "audit-host-pid", Title: "A container with GPU access sees the host's processes", Severity: "warning",
		Cause: "With --pid=host it sees and can signal the processes of all other containers and reads their environments where it runs as root.",
		Steps: []Advice{
			{Text: "Start it without --pid=host; only exporters and monitors need it, and those read-only and without capabilities"},
		},
		Docs: "https://docs.docker.com/reference/cli/docker/container/run/#pid"},
	{ID: "audit-host-ipc", Title: "A container with GPU access shares the host's memory segments", Severity: "warning",
		Cause: "With --ipc=host its shared memory is that of the host and of every other container started so; it is mostly set because /dev/shm was too small.",
		Steps: []Advice{
			{Text: "Give it shared memory of its own instead", Command: "docker run --shm-size=8g …"},
		},
		Docs: "https://docs.docker.com/reference/cli/docker/container/run/#ipc"},
	{ID: "audit-sys-admin", Title: "A container with GPU access has a capability that leads out of it", Severity: "warning",
		Cause: "CAP_SYS_ADMIN (or all capabilities) lets it mount file systems and change the GPU's settings, and is near to being root on the host.",
		Steps: []Advice{
			{Text: "Take --cap-add SYS_ADMIN away; profiling needs it only where the driver restricts the counters (NVreg_RestrictProfilingToAdminUsers)"},
		},
		Docs: "https://docs.docker.com/engine/security/#linux-kernel-capabilities"},
	{ID: "audit-raw-device", Title: "A container got the GPU as a raw device", Severity: "warning",
		Cause: "Device nodes and cgroup rules pass by the toolkit: no driver libraries of the host's version come along, no MIG device is kept apart, and a rule for major 195 opens every GPU.",
		Steps: []Advice{
			{Text: "Ask for the GPU itself", Command: "docker run --gpus device=0 … (or --device nvidia.com/gpu=0)"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html"},
	{ID: "audit-all-gpus", Title: "A container has all GPUs and does not use them", Severity: "warning",
		Cause: "It was given every GPU of a machine that has several, and some of them stand idle: it can take their memory from whoever is meant to have them.",
		Steps: []Advice{
			{Text: "Give it the GPUs that it needs", Command: "docker gpu run -n 1 … (or docker run --gpus device=0 …)"},
		},
		Docs: "https://docs.docker.com/engine/containers/gpu/"},
	{ID: "audit-default-runtime-nvidia", Title: "Every container starts by the nvidia runtime", Severity: "warning",
		Cause: "The engine's default runtime is nvidia: any image that sets NVIDIA_VISIBLE_DEVICES, as CUDA images do, gets GPUs without anybody having asked for them.",
		Steps: []Advice{
			{Text: "Take default-runtime out of daemon.json and ask for GPUs where they are wanted"},
			{Text: "Where it has to stay, refuse the variable: accept-nvidia-visible-devices-envvar-when-unprivileged = false in the toolkit's config.toml, with accept-nvidia-visible-devices-as-volume-mounts = true"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html"},
	{ID: "audit-variable-from-unprivileged", Title: "A container got its GPUs by a variable alone", Severity: "info",
		Cause: "The toolkit takes NVIDIA_VISIBLE_DEVICES from containers without privileges, so whoever writes an environment or an image chooses the GPUs, and no record of the engine says so.",
		Steps: []Advice{
			{Text: "Ask by --gpus or by CDI, which the engine records and a policy can hold"},
			{Text: "Then set accept-nvidia-visible-devices-envvar-when-unprivileged = false in the toolkit's config.toml"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html"},
	{ID: "audit-no-memory-limit", Title: "A container with GPU access has no memory limit", Severity: "info",
		Cause: "Programs that load data for a GPU fill the host's memory first; without a limit the kernel ends some process of the machine, not necessarily theirs.",
		Steps: []Advice{
			{Text: "Give it a limit", Command: "docker update --memory 32g --memory-swap 32g NAME"},
		},
		Docs: "https://docs.docker.com/engine/containers/resource_constraints/"},
	{ID: "audit-shared-gpu", Title: "Containers of different projects share a GPU", Severity: "warning",
		Cause: "On one GPU nothing limits or hides memory between containers: one can take all of it, and a fault of one ends the programs of the others.",
		Steps: []Advice{
			{Text: "Give each project GPUs of its own, or MIG devices, which are kept apart by the hardware", Command: "docker gpu mig ls"},
		},
		Docs: "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/"},
	{ID: "audit-host-process", Title: "A process outside containers holds GPU memory", Severity: "warning",
		Cause: "A compute process of the host uses a GPU beside the containers: no container's limit, policy or record covers it.",
		Steps: []Advice{
			{Text: "See whose it is, and run it in a container or end it", Command: "docker gpu ps"},
		},
		Docs: "https://docs.nvidia.com/deploy/nvidia-smi/"},
	{ID: "audit-unapproved", Title: "A container has GPU access that the policy does not allow", Severity: "error",
		Cause: "No rule of the policy allows this container its GPUs.",
		Steps: []Advice{
			{Text: "Stop it, or start it the way a rule allows"},
			{Text: "Where it is right, add a rule for it to the policy", Command: "docker gpu audit --print-policy"},
		},
		Docs: "https://docs.docker.com/engine/containers/gpu/"},
	{ID: "audit-toolkit-cve", Title: "The installed NVIDIA Container Toolkit has known vulnerabilities", Severity: "error",
		Cause: "Security bulletins of NVIDIA name the installed version; with some of these faults an image can break out of its container.",
		Steps: []Advice{
			{Text: "Update the toolkit, then generate CDI specifications again and restart containers", Command: "sudo apt-get install --only-upgrade nvidia-container-toolkit", Platform: "debian"},
			{Text: "Update the toolkit, then generate CDI specifications again and restart containers", Command: "sudo dnf upgrade nvidia-container-toolkit", Platform: "fedora"},
		},
		Docs: "https://www.nvidia.com/en-us/security/"},
}
