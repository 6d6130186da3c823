// Code generated from knowledge/lost-in-container.yaml by go generate; DO NOT EDIT.

package fixes

func init() { playbookTables["lost-in-container"] = tableLostInContainer }

var tableLostInContainer = []Entry{
	{ID: "cgroup-device-lost", Title: "A running container has lost its GPU", Severity: "error",
		Cause:    "The container's device cgroup was written anew (by systemctl daemon-reload or docker update), and the GPU that the NVIDIA hook had put there is gone from it.",
		Question: "Did it work when the container started? If it never did, look for no-cgroups = true in the toolkit's configuration.", Explains: []ID{"gpu-not-requested", "uvm-broken", "nccl-problem"},
		Symptoms: []Symptom{
			{Match: "Failed to initialize NVML: Unknown Error", Absent: []string{"no-cgroups\\W{0,4}(is |was |set |to |in )*(true|on|enabled|left)|no-cgroups ?= ?true"}, Weight: 66, Literals: []string{"failedtoinitializenvml:unknownerror"}},
			{Match: "NVML\\W.{0,40}\\bUnknown Error", Unless: "device handle", Absent: []string{"no-cgroups ?= ?true", "Unable to determine the device handle|fallen off"}, Weight: 58, Literals: []string{"unknownerror"}},
			{Match: "NVMLError_Unknown|NVML_ERROR_UNKNOWN", Absent: []string{"no-cgroups ?= ?true", "Unable to determine the device handle|fallen off"}, Weight: 56, Literals: []string{"nvml_error_unknown", "nvmlerror_unknown"}},
			{Match: "nvml error: unknown error", Weight: 50, Literals: []string{"nvmlerror:unknownerror"}},
			{Match: "/dev/nvidia\\w*.{0,40}(operation not permitted|EPERM)|(operation not permitted|EPERM).{0,40}/dev/nvidia\\w*", Absent: []string{"BPF_CGROUP|devices\\.allow|mknod|rootless", "no-cgroups ?= ?true"}, Weight: 62, Literals: []string{"/dev/nvidia"}},
			{Match: "(systemctl daemon-reload|docker update|daemon-reload)", With: []string{"(lost|loses?|losing|disappear|gone|no longer|stop(s|ped) (working|seeing)|fail|vanish|Unknown Error|not permitted)", "gpu|nvidia|cuda"}, Absent: []string{"no-cgroups ?= ?true", "could not select device driver|unknown or invalid runtime|Unknown runtime", "DKMS|modprobe"}, Weight: 60, Literals: []string{"daemon-reload", "dockerupdate", "systemctldaemon-reload"}},
			{Match: "(lost|loses?|losing) (its |the |all |access to (the |its |all )?)?(gpu|GPUs|nvidia devices?|devices?)", With: []string{"container"}, Absent: []string{"fallen off|GPU is lost|Xid", "no-cgroups ?= ?true"}, Weight: 46, Literals: []string{"device", "devices", "gpu", "gpus", "nvidiadevice", "nvidiadevices"}},
		},
		Steps: []Advice{
			{Text: "Make the container anew, which gives the GPU back", Command: "docker compose up -d --force-recreate"},
			{Text: "So that it does not happen again, give the GPU by CDI (or by --device), which the engine itself knows", Command: "docker run --device nvidia.com/gpu=all IMAGE"},
			{Text: "On toolkits that need it, make the links in /dev/char that systemd looks for", Command: "sudo nvidia-ctk system create-dev-char-symlinks --create-all"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html"},
	{ID: "cgroup-v2-unsupported-toolkit", Title: "The toolkit is too old for cgroup v2", Severity: "error",
		Cause:    "This host uses cgroup v2, which the NVIDIA Container Toolkit knows only since libnvidia-container 1.8.",
		Explains: []ID{"gpu-not-requested"},
		Symptoms: []Symptom{
			{Match: "cgroup subsystem devices not found", Weight: 80, Literals: []string{"cgroupsubsystemdevicesnotfound"}},
			{Match: "failed to get device cgroup mount path", Weight: 80, Literals: []string{"failedtogetdevicecgroupmountpath"}},
			{Match: "no cgroup filesystem mounted", With: []string{"nvidia"}, Weight: 76, Literals: []string{"nocgroupfilesystemmounted"}},
			{Match: "systemd\\.unified_cgroup_hierarchy=(0|false)", With: []string{"nvidia"}, Weight: 58, Literals: []string{"systemd.unified_cgroup_hierarchy=0", "systemd.unified_cgroup_hierarchy=false"}},
			{Match: "container error: .{0,40}cgroup", Unless: "BPF_CGROUP|not permitted|permission denied", With: []string{"nvidia"}, Weight: 60, Literals: []string{"containererror:"}},
		},
		Steps: []Advice{
			{Text: "Update the toolkit", Command: "sudo apt-get install --only-upgrade nvidia-container-toolkit libnvidia-container1 libnvidia-container-tools", Platform: "debian"},
			{Text: "Update the toolkit", Command: "sudo dnf upgrade nvidia-container-toolkit libnvidia-container1 libnvidia-container-tools", Platform: "fedora"},
			{Text: "Restart the engine", Command: "sudo systemctl restart docker"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/release-notes.html"},
	{ID: "device-node-missing", Title: "A device file of the driver was never made", Severity: "error",
		Cause:    "The driver is loaded, but a device file such as /dev/nvidia-uvm does not exist, because nothing has made it since the machine started.",
		Explains: []ID{"uvm-broken", "gpu-not-requested"},
		Symptoms: []Symptom{
			{Match: "stat failed:? /dev/nvidia\\S+", Weight: 76, Literals: []string{"statfailed/dev/nvidia", "statfailed:/dev/nvidia"}},
			{Match: "/dev/nvidia(-uvm(-tools)?|ctl|-modeset|\\d+|-caps\\S*)\\W{0,4} ?(no such file or directory|does not exist|not found|is missing|missing|is absent|absent|was not (created|found|there)|not present)", Unless: "nvidia-persistenced", Weight: 62, Literals: []string{"/dev/nvidia"}},
			{Match: "(no|missing|absent|without( any)?|lacks?|there is no) /dev/nvidia(-uvm|ctl|-modeset|-uvm-tools)", Weight: 60, Literals: []string{"absent/dev/nvidia-modeset", "absent/dev/nvidia-uvm", "absent/dev/nvidia-uvm-tools", "absent/dev/nvidiactl", "lack/dev/nvidia-modeset", "lack/dev/nvidia-uvm", "lack/dev/nvidia-uvm-tools", "lack/dev/nvidiactl", "lacks/dev/nvidia-modeset", "lacks/dev/nvidia-uvm", "lacks/dev/nvidia-uvm-tools", "lacks/dev/nvidiactl", "missing/dev/nvidia-modeset", "missing/dev/nvidia-uvm", "missing/dev/nvidia-uvm-tools", "missing/dev/nvidiactl", "no/dev/nvidia-modeset", "no/dev/nvidia-uvm", "no/dev/nvidia-uvm-tools", "no/dev/nvidiactl", "thereisno/dev/nvidia-modeset", "thereisno/dev/nvidia-uvm", "thereisno/dev/nvidia-uvm-tools", "thereisno/dev/nvidiactl", "without/dev/nvidia-modeset", "without/dev/nvidia-uvm", "without/dev/nvidia-uvm-tools", "without/dev/nvidiactl", "withoutany/dev/nvidia-modeset", "withoutany/dev/nvidia-uvm", "withoutany/dev/nvidia-uvm-tools", "withoutany/dev/nvidiactl"}},
			{Match: "(cannot|can.?t|could not) (access|stat|open|find) .{0,4}/dev/nvidia(-uvm|-modeset|-uvm-tools)", Weight: 64, Literals: []string{"/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"}},
			{Match: "adding custom device .{0,3}/dev/nvidia\\S*: no such file", Weight: 74, Literals: []string{"addingcustomdevice"}},
			{Match: "(failed to stat CDI host device|CDI.{0,80}) .{0,3}/dev/nvidia\\S+.{0,40}no such file", Weight: 70, Literals: []string{"/dev/nvidia"}},
			{Match: "lstat /dev/nvidia\\S+: no such file|error gathering device information.{0,60}/dev/nvidia", Weight: 70, Literals: []string{"errorgatheringdeviceinformation", "lstat/dev/nvidia"}},
			{Match: "No such file or directory.{0,30}/dev/nvidia(-uvm|-modeset|ctl)", Weight: 60, Literals: []string{"nosuchfileordirectory"}},
		},
		Steps: []Advice{
			{Text: "Load the module and make the device files", Command: "sudo nvidia-modprobe -u -c=0 -m"},
			{Text: "So that they are there after each start, let the persistence daemon run", Command: "sudo systemctl enable --now nvidia-persistenced"},
		},
		Docs: "https://docs.nvidia.com/deploy/driver-persistence/index.html"},
	{ID: "persistenced-socket-missing", Title: "The persistence daemon's socket is gone", Severity: "error",
		Cause:    "The toolkit mounts the socket of nvidia-persistenced into containers, and the socket is not there or cannot be mounted.",
		Explains: []ID{"cdi-spec-stale"},
		Symptoms: []Symptom{
			{Match: "nvidia-persistenced/socket\\W{0,4} ?(no such (device or address|file or directory)|permission denied|not a directory|operation not permitted)", Weight: 82, Literals: []string{"nvidia-persistenced/socket"}},
			{Match: "(mount|stat|open|bind|CDI|fulfil\\w*).{0,120}nvidia-persistenced/socket", Weight: 72, Literals: []string{"nvidia-persistenced/socket"}},
			{Match: "nvidia-persistenced/socket", With: []string{"error|fail|no such"}, Weight: 62, Literals: []string{"nvidia-persistenced/socket"}},
		},
		Steps: []Advice{
			{Text: "Start the persistence daemon anew", Command: "sudo systemctl restart nvidia-persistenced"},
			{Text: "Where a CDI specification names the old place of the socket, generate that again", Command: "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"},
		},
		Docs: "https://docs.nvidia.com/deploy/driver-persistence/index.html"},
	{ID: "uvm-broken", Title: "The driver's memory module stopped working", Severity: "error",
		Cause:    "The nvidia-uvm module, which CUDA needs and nvidia-smi does not, is in a broken state, often since the machine was suspended.",
		Question: "Does /dev/nvidia-uvm exist, and did the machine sleep since it last worked?", Explains: []ID{"gpu-not-requested"},
		Symptoms: []Symptom{
			{Match: "CUDA unknown error", Weight: 54, Literals: []string{"cudaunknownerror"}},
			{Match: "CUDA_ERROR_UNKNOWN", Weight: 52, Literals: []string{"cuda_error_unknown"}},
			{Match: "\\b(error|code|cuInit\\w*|returned|returns|result|status)\\b.{0,30}\\b999\\b", With: []string{"cuda|cuInit|nvidia"}, Weight: 54, Literals: []string{"999"}},
			{Match: "cudaErrorUnknown|cuInit.{0,60}unknown error", Unless: "303", Weight: 50, Literals: []string{"daerrorunknown", "unknownerror"}},
			{Match: "(suspend|resume|sleep|hibernat|wake|woke)\\w*", With: []string{"unknown error|999|nvidia_uvm|CUDA_ERROR_UNKNOWN|cuInit", "cuda|nvidia"}, Absent: []string{"NVML: Unknown Error"}, Weight: 58, Literals: []string{"hibernat", "resume", "sleep", "suspend", "wake", "woke"}},
			{Match: "(rmmod|modprobe -r|unload|reload\\w*) (the )?nvidia[_-]uvm.{0,120}(fix|help|works?|solv|back|again)", Weight: 64, Literals: []string{"nvidia-uvm", "nvidia_uvm", "thenvidia-uvm", "thenvidia_uvm"}},
			{Match: "nvidia[_-]uvm.{0,60}(Unknown symbol|broken state|stuck|failed)", Unless: "not found in directory", Weight: 52, Literals: []string{"nvidia-uvm", "nvidia_uvm"}},
			{Match: "init\\w* (failure|failed|error)\\W{0,3}999\\b", Weight: 56, Literals: []string{"error", "failed", "failure"}},
		},
		Steps: []Advice{
			{Text: "Stop what uses CUDA, and load the module anew", Command: "sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm"},
			{Text: "So that it survives suspending, let the driver save its memory", Command: "sudo systemctl enable nvidia-suspend nvidia-resume nvidia-hibernate"},
		},
		Docs: "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/index.html"},
}
