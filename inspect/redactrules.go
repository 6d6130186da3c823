package inspect

import (
	"strings"
	"sync"
)

// A redactRule says what becomes of a string field's value.
type redactRule func(r *Redactor, value string) string

// as replaces the whole value by a stand-in.
func as(kind string) redactRule {
	return func(r *Redactor, value string) string { return r.stand(kind, value) }
}

// shaped keeps a value of this shape, in which no known name or pattern of a secret is found, and
// replaces any other.
func shaped(pattern string) redactRule {
	shape := lazily(`^(?:` + pattern + `)$`)
	return func(r *Redactor, value string) string {
		if shape.MatchString(value) {
			return r.Text(value)
		}
		return r.stand("redacted", value)
	}
}

func running(r *Redactor, value string) string { return r.Text(value) }

func asPath(r *Redactor, value string) string {
	if strings.HasPrefix(value, "/") || strings.HasPrefix(value, "./") || strings.HasPrefix(value, "../") || strings.HasPrefix(value, "~") || strings.Contains(value, `:\`) {
		return r.path(value)
	}
	if fileName.MatchString(value) || strings.Contains(value, "/") {
		return r.path(value)
	}
	return r.stand("name", value)
}

// either takes the first of two rules where the value has the shape, else the other.
func either(pattern string, yes, no redactRule) redactRule {
	shape := lazily(`^(?:` + pattern + `)$`)
	return func(r *Redactor, value string) string {
		if shape.MatchString(value) {
			return yes(r, value)
		}
		return no(r, value)
	}
}

func kept(_ *Redactor, value string) string { return value }

// asImage keeps images that everybody can pull, and of others what follows the colon where it is a version.
func asImage(r *Redactor, value string) string {
	if imageID.MatchString(value) {
		return hexID.ReplaceAllStringFunc(value, func(m string) string { return r.stand("id", m) })
	}
	repository, tag := splitImage(value)
	if !publicImage.MatchString(repository) {
		repository = r.stand("image", repository)
	}
	switch {
	case tag == "":
		return repository
	case strings.HasPrefix(tag, "@"):
		return repository + hexID.ReplaceAllStringFunc(tag, func(m string) string { return r.stand("id", m) })
	case imageTag.MatchString(tag):
		return repository + r.Text(tag)
	}
	return repository + ":" + r.stand("tag", tag[1:])
}

// splitImage cuts an image's name into repository and what follows: ":tag", "@sha256:…".
func splitImage(name string) (repository, rest string) {
	if at := strings.IndexByte(name, '@'); at >= 0 {
		return name[:at], name[at:]
	}
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		return name[:at], name[at:]
	}
	return name, ""
}

var (
	publicImage = lazily(`^(?:docker\.io/|index\.docker\.io/)?(?:library/)?(?:alpine|busybox|debian|ubuntu|fedora|rockylinux|centos|almalinux|python|golang|node|redis|postgres|hello-world|(?:nvcr\.io/)?nvidia/(?:k8s/)?[a-z0-9._-]+|nvcr\.io/nvidia/[a-z0-9._/-]+|pytorch/pytorch|tensorflow/tensorflow|rapidsai/[a-z0-9._-]+|ollama/ollama|vllm/vllm-openai|jupyter/[a-z0-9._-]+|quay\.io/jupyter/[a-z0-9._-]+|huggingface/[a-z0-9._-]+|ghcr\.io/huggingface/[a-z0-9._-]+|mcr\.microsoft\.com/[a-z0-9._/-]+)$`)
	imageTag    = lazily(`^:(?:latest|v?\d[a-z0-9._-]{0,60}|[a-z]+[0-9.]*(?:-slim)?)$`)
	imageID     = lazily(`^(?:sha256:)?[0-9a-f]{64}$`)
	fileName    = lazily(`^[A-Za-z0-9._-]+\.(?:env|ya?ml|json|toml|conf|so[0-9.]*)$|^\.env$`)
)

// Parts of paths that every system has, or that name parts of the driver, the toolkit or docker.
var (
	systemPart = lazily(`^(?:usr|etc|var|bin|sbin|lib|lib32|lib64|libx32|libexec|local|share|run|dev|proc|sys|opt|mnt|srv|tmp|boot|root|home|Users|cache|log|spool|src|include|cgroup|cgroup\.procs|fs|bus|class|devices|drivers|kernel|module|modules|firmware|updates|extra|weak-updates|dkms|self|mountinfo|maps|comm|cmdline|environ|version|params|gpus|information|registry|capabilities|char|block|shm|fd|pts|mem|null|zero|full|random|urandom|tty|console|mqueue|dri|card\d+|renderD\d+|by-path|dxg|wsl|lxss|WSL|drvfs|x86_64-linux-gnu|aarch64-linux-gnu|arm-linux-gnueabihf|compat|stubs|targets|x86_64-linux|sbsa-linux|cuda|cuda-\d[\d.]*|docker|dockerd|docker\.sock|docker\.pid|docker-[a-z-]+|containerd|containerd-[a-z0-9-]+|containerd\.sock|moby|runc|crun|snap|current|common|config|overlay2?|fuse-overlayfs|vfs|aufs|btrfs|zfs|rootfs|merged|diff|work|lower|io\.containerd\.[a-z0-9.]+|tasks|containers|image|images|volumes|buildkit|plugins|cli-plugins|swarm|network|runtimes|cdi|systemd|system|user|multi-user\.target\.wants|system\.slice|user\.slice|machine\.slice|init\.scope|user-\d+\.slice|user@\d+\.service|docker\.service|docker\.socket|docker-[0-9a-f]+\.scope|kubepods[a-z0-9_.-]*|udev|rules\.d|modprobe\.d|modules-load\.d|ld\.so\.(?:cache|conf|conf\.d)|ld-linux[a-z0-9_.-]*|sysctl\.d|apt|sources\.list\.d|keyrings|yum\.repos\.d|zypp|repos\.d|dpkg|rpm|info|status|selinux|apparmor|apparmor\.d|os-release|pci|pci\d{4}:[0-9a-f]{2}|[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]|numa_node|driver|workspace|workspaces|work|app|data|\.config|\.docker|\.devcontainer|\.local|\.cache|devcontainer\.json|daemon\.json|config\.json|config\.toml|compose\.ya?ml|compose\.override\.ya?ml|docker-compose[a-z.-]{0,20}\.ya?ml|\.env|Dockerfile|entrypoint\.sh|ldconfig(?:\.real)?|ldcache|modprobe|lsmod|mountpoint|python|python\d[\d.]*|site-packages|dist-packages|torch|tensorflow|stdin|stdout|stderr|kmsg|kern\.log|syslog|messages|journal|docker\.log|Program Files|Windows|System32|mps|nvmlchild|\d{1,7}|\d{1,3}:(?:\d{1,3}|\*)|\d+\.\d+\.\d+-[0-9a-z.-]{1,40}|[A-Z]:)$`)
	gpuPart    = lazily(`^(?:lib(?:nvidia|cuda|nvcuvid|nvrm|cudnn|cublas|cufft|curand|cusolver|cusparse|nvinfer|nccl|nvml|EGL|GL|GLX|GLES|OpenCL|vdpau|dxcore|d3d12|nvoptix|torch|c10)[A-Za-z0-9_-]*\.(?:so|a)[0-9.]*|nvidia(?:\d{1,3}|ctl|-(?:uvm|uvm-tools|modeset|caps|cap\d{1,4}|fs\d*|nvlink|nvswitch\d{1,3}|nvswitchctl|smi|debugdump|persistenced|fabricmanager|modprobe|settings|powerd|cuda-mps-control|cuda-mps-server|mps|container-runtime(?:-hook|\.cdi|\.legacy|\.experimental|\.real)?|container-toolkit|container-cli(?:\.real)?|container-devices|container|cdi-hook|ctk|cdi|current|driver|drm|peermem|open|\d{3}))?(?:\.(?:ko(?:\.(?:xz|zst|gz))?|json|ya?ml|conf|list|repo|service|pid|sock))?|nvidia_(?:uvm|modeset|drm|peermem)(?:\.ko(?:\.(?:xz|zst|gz))?)?|nouveau(?:\.ko)?|blacklist-nouveau\.conf|nv-caps|gsp_[a-z0-9]+\.bin|tls|socket|sockets|nvidia\.com[a-z0-9._-]{0,20})$`)
)

// keptWord are names of programs that say nothing of who runs them.
func keptWord(name string) bool { return programs.MatchString(name) }

var programs = lazily(`^(?:python|python\d(?:\.\d+)?|pt_main_thread|pt_data_worker|java|node|bash|sh|zsh|Xorg|X|Xwayland|gnome-shell|kwin_x11|kwin_wayland|plasmashell|firefox|chrome|ffmpeg|ollama|ollama_llama_se|llama-server|vllm|VLLM::EngineCor|tritonserver|trtexec|jupyter-lab|jupyter-noteboo|ray|torchrun|nvidia-smi|nvidia-persiste|nvidia-persistenced|nvidia-cuda-mps-server|nvidia-cuda-mps|nv-fabricmanage|nv-hostengine|dcgm-exporter|nvtop|docker-gpu|dockerd|containerd|runc|crun|nvidia-containe|nvidia-container-cli|nvidia-container-runtime|nvidia-container-runtime-hook|nvidia-ctk|nvidia-cdi-hook|modprobe|systemd|init|kworker[a-z0-9/:+_-]*|swapper/\d+|irq/\d+-nvidia|nvidia-modeset/|UVM [a-z A-Z]+|unconfined|docker-default)$`)

// words is a set that is made when it is first asked for: most commands redact nothing.
func words(list string) func() map[string]bool {
	return sync.OnceValue(func() map[string]bool {
		set := map[string]bool{}
		for word := range strings.FieldsSeq(list) {
			set[word] = true
		}
		return set
	})
}

// plainWords stay in running text though something may be named so: they carry the meaning of messages.
var plainWords = words(`all and any api app apparmor arg args base bash bind bus card cdi cgroup cgroups cli client cli-plugins
		code command compose conf config container containerd containers cpu create ctk cuda cudnn daemon data debian debug default demo
		denied dev devcontainer device devices dev-container dir disk docker docker-desktop docker-gpu driver drivers dxg ecc engine env error
		error. failed file files find fedora for from gpu gpus group groups hook host hosts http https image images info init ipc json kernel
		kmem kvm libcuda library line linux list local localhost lost lxc main memory message mig mode module modules mount mps name nccl
		net network nobody node none not nouveau nvidia nvml nvlink oci ollama open oom other out pci pid plugin podman port process proc
		project prod python pytorch read ready render root run runc running runtime runtimes sandbox select selinux server service set shm sock
		socket start started state status stdout stderr stop suse swap sys system systemd test tests text the time tmp tools top torch
		toolkit tty ubuntu udev unknown user users utility uvm value var version video vllm volume web with worker write xid you your
		adm audio cdrom dialout dip games input kvm lpadmin lxd man netdev plugdev sgx staff sudo tape tty wheel workspace work workdir`)

var standKinds = words("host user container image project service context address email mac token key value label folder name process command tag uuid redacted runtime resource")

const (
	versionShape = `v?\d[0-9A-Za-z.+~:_-]{0,60}|dev|example|library-import|unknown`
	busShape     = `(?:PCI:)?[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}(?:\.[0-7])?)?`
	uuidShape    = `(?:GPU|MIG)-[0-9A-Fa-f-]{4,36}|MIG-GPU-[0-9A-Fa-f-]{36}/\d+/\d+|GPU-[A-Za-z0-9]{1,12}`
	gpuShape     = `all|none|void|\d{1,4}|\d{1,4}:\d{1,4}|` + uuidShape + `|` + busShape + `|(?:management\.|runtime\.)?nvidia\.com/[a-z]{2,10}=(?:all|\d{1,4}(?::\d{1,4})?|mig\d{1,4}:\d{1,4}|` + uuidShape + `)`
	gpuList      = `(?:` + gpuShape + `)?(?:\s*,\s*(?:` + gpuShape + `)?)*`
	abilityShape = `compute|utility|graphics|video|display|ngx|compat32|all|gpu|nvidia|tpu|amd|intel`
	abilityList  = `(?:` + abilityShape + `)?(?:\s*,\s*(?:` + abilityShape + `)?)*`
	modelShape   = `(?:NVIDIA|Tesla|GeForce|Quadro|GRID|TITAN|GH?\d|[ABGHLPTV]\d)[A-Za-z0-9 ./()+_-]{0,80}|Graphics Device|[A-Z]{2}\d{3}[A-Z]{0,3}(?: \[[A-Za-z0-9 ./()+_-]{1,80}\])?`
	archShape    = `x86_64|amd64|aarch64|arm64|armv7l|arm|386|i[36]86|ppc64le|s390x|riscv64`
	capShape     = `(?:CAP_)?[A-Z][A-Z_]{2,30}|ALL`
	wordsNVML    = `[A-Z][A-Za-z/]+(?: [A-Za-z/]+){0,7}\.?`
	byShape      = `gpus|cdi|runtime|default-runtime|device|dxg|device-cgroup-rule|volume-mounts|swarm|privileged|host-requirements`
	requireShape = `(?:(?:cuda|driver|arch|brand)\s*(?:=|!=|<=?|>=?)\s*[A-Za-z0-9._]{1,20}[\s,]*)+|true|false|1|0`
)

// redactRules say of each field what is kept of it. A field without a rule is replaced whole.
var redactRules = sync.OnceValue(func() map[string]redactRule {
	return map[string]redactRule{
		"Tool.Name": shaped(`docker-gpu`), "Tool.Version": shaped(versionShape), "Tool.Platform": shaped(`(?:linux|darwin|windows|freebsd)/[a-z0-9]{2,10}(?:/v\d)?`),

		"Reading.Name": shaped(`[a-z][a-z0-9.-]{1,30}`), "Reading.Error": running, "Reading.Note": running,

		"Host.Name": as("host"), "Host.OS": shaped(osShape), "Host.OSID": shaped(`[a-z][a-z0-9._-]{1,20}`), "Host.OSVersion": shaped(versionShape), "Host.Kernel": shaped(versionShape),
		"Host.Architecture": shaped(archShape), "Host.Init": shaped(`systemd|init|openrc-init|runit|s6-svscan|sh|bash|tini|docker-init`),
		"Host.Virtualization": shaped(`none|kvm|qemu|vmware|microsoft|hyper-v|xen|oracle|virtualbox|lxc|wsl|amazon|google|parallels|bhyve|apple|podman|docker|container`),
		"Host.Container":      shaped(`docker|podman|kubernetes|lxc|container|containerd|systemd-nspawn`),
		"Host.SELinux":        shaped(`enforcing|permissive|disabled`), "Host.Lockdown": shaped(`none|integrity|confidentiality`),
		"WSL.Distro": shaped(`Ubuntu(?:-\d\d\.\d\d)?|Debian|kali-linux|openSUSE-[A-Za-z0-9.-]{1,20}|docker-desktop`), "User.Groups": groupName,
		"PCIDevice.BusID": shaped(busShape), "PCIDevice.DeviceID": shaped(`(?:0x)?(?:10de:?)?[0-9A-Fa-f]{4,8}`), "PCIDevice.Class": shaped(`(?:0x)?[0-9A-Fa-f]{4,8}`),
		"PCIDevice.Driver": shaped(`nvidia|nouveau|nova_core|nova|vfio-pci|pci-stub|pciback|xen-pciback|i915|amdgpu`), "PCIDevice.Name": shaped(modelShape),
		"Module.Name": shaped(`nvidia(?:_[a-z_]{2,20})?|nouveau|nova_core|nova|gdrdrv|vfio_pci|nvidia-[a-z-]{2,20}`), "Module.Version": shaped(versionShape), "Module.Path": asPath, "Module.State": shaped(`Live|Loading|Unloading`),
		"DeviceNode.Path": asPath, "DeviceNode.Mode": shaped(`[-a-zA-Z]{9,14}`), "DeviceNode.Group": groupName,
		"CharLink.Path": asPath, "CharLink.Target": asPath,
		"Library.Name": shaped(`lib[A-Za-z0-9_+-]{2,40}\.(?:so|dll)[0-9.]*`), "Library.Path": asPath, "Library.Version": shaped(versionShape),
		"Daemon.Name": shaped(`(?:nvidia|nv)-[a-z-]{3,30}`), "Daemon.Socket": asPath, "Daemon.PIDFile": asPath, "Daemon.Version": shaped(versionShape),
		"Package.Name": shaped(`(?:lib)?(?:nvidia|cuda|cudnn|nccl|xserver-xorg-video-nvidia|docker|containerd|moby|kmod-nvidia|akmod-nvidia|dkms|podman|runc)[a-z0-9.+-]{0,50}(?::[a-z0-9]{3,8})?`), "Package.Version": shaped(versionShape),

		"Driver.Version": shaped(versionShape), "Driver.CUDAVersion": shaped(versionShape), "Driver.ModuleVersion": shaped(versionShape), "Driver.ModuleFlavor": shaped(`open|proprietary`),
		"Driver.LibraryVersion": shaped(versionShape), "Driver.NVMLError": shaped(wordsNVML), "Driver.Params[key]": shaped(paramShape), "Driver.Params": shaped(`-?\d{1,12}|0x[0-9A-Fa-f]{1,8}|""`),
		"ProcGPU.BusID": shaped(busShape), "ProcGPU.Model": shaped(modelShape), "ProcGPU.UUID": shaped(uuidShape), "ProcGPU.Firmware": shaped(`\d{3}\.[\d.]{1,12}|N/A`),

		"Engine.Context": either(`default|desktop-linux`, kept, as("context")), "Engine.Endpoint": endpoint, "Engine.Location": shaped(`local|remote|vm`), "Engine.Name": as("host"),
		"Engine.Version": shaped(versionShape), "Engine.APIVersion": shaped(versionShape), "Engine.APIVersionMax": shaped(versionShape), "Engine.OperatingSystem": shaped(osShape),
		"Engine.OSType": shaped(`linux|windows`), "Engine.Kernel": shaped(versionShape), "Engine.Architecture": shaped(archShape), "Engine.RootDir": asPath,
		"Engine.CgroupDriver": shaped(`systemd|cgroupfs|none`), "Engine.CgroupVersion": shaped(`[12]`), "Engine.Runtimes[key]": runtimeName, "Engine.DefaultRuntime": runtimeName,
		"Engine.CDIDirs": asPath, "Engine.Features[key]": shaped(`cdi|containerd-snapshotter|buildkit|hooks|[a-z]+-[a-z-]{2,30}`), "Engine.SecurityOptions": shaped(`name=[a-z]{3,20}(?:,profile=(?:builtin|default|unconfined))?`),
		"Engine.GenericResources": genericResource, "Engine.ContainerdVersion": shaped(versionShape), "Engine.RuncVersion": shaped(versionShape), "Engine.Warnings": running,
		"Engine.Unreachable": shaped(`[a-z][a-z-]{2,20}`), "Engine.Error": running,
		"Runtime.Path": binary, "Runtime.Type": shaped(`io\.containerd\.[a-z0-9.-]{2,40}`), "Runtime.Args": shaped(`--?[a-z-]{1,30}(?:=(?:true|false|\d{1,6}))?`),
		"DiscoveredDevice.Source": shaped(`cdi`), "DiscoveredDevice.ID": shaped(gpuShape),
		"Swarm.State": shaped(`[a-z]{4,10}`), "Swarm.NodeID": as("redacted"),
		"SwarmNode.ID": as("redacted"), "SwarmNode.Name": as("host"), "SwarmNode.Role": shaped(`manager|worker`), "SwarmNode.State": shaped(`[a-z]{4,12}`), "SwarmNode.Availability": shaped(`[a-z]{4,10}`),
		"SwarmNode.GPUs[key]": either(`(?:NVIDIA[-_])?GPUS?`, kept, as("resource")), "SwarmGPUs.Names": either(gpuShape, kept, as("value")), "SwarmGPUs.Held": either(gpuShape, kept, as("value")),
		"SwarmTask.ID": as("redacted"), "SwarmTask.Service": as("service"), "SwarmTask.GPUs[key]": either(`(?:NVIDIA[-_])?GPUS?`, kept, as("resource")), "SwarmTask.Message": running,
		"EngineProcess.Executable": asPath, "EngineProcess.Args": daemonArgument, "EngineProcess.PATH": searchPath, "EngineProcess.ManagedBy": shaped(`systemd|systemd-user|snap|openrc|none`),
		"EngineProcess.Unit": shaped(`(?:snap\.)?docker[a-z.-]{0,30}|docker`), "EngineProcess.PIDFile": asPath, "EngineProcess.LogFile": asPath,
		"ConfigFile.Path": asPath, "ConfigFile.Runtimes[key]": runtimeName, "ConfigFile.DefaultRuntime": runtimeName, "ConfigFile.Features[key]": shaped(`cdi|containerd-snapshotter|buildkit|hooks|[a-z]+-[a-z-]{2,30}`),
		"ConfigFile.CDIDirs": asPath, "ConfigFile.ExecOpts": shaped(`native\.cgroupdriver=(?:systemd|cgroupfs)|isolation=[a-z]+`), "ConfigFile.GenericResources": genericResource, "ConfigFile.DataRoot": asPath,
		"FileProblem.Path": asPath, "FileProblem.Message": running,

		"Toolkit.Version": shaped(versionShape), "Binary.Name": shaped(`nvidia-[a-z-]{2,40}(?:\.[a-z]{2,12})?`), "Binary.Path": asPath, "Binary.Version": shaped(versionShape), "Binary.VersionFrom": shaped(`package|file|binary`),
		"ToolkitConfig.Path": asPath, "ToolkitConfig.Mode": shaped(`auto|legacy|cdi|jit-cdi|csv`), "ToolkitConfig.SupportedCapabilities": shaped(abilityList),
		"ToolkitConfig.SwarmResource": shaped(`DOCKER_RESOURCE_(?:NVIDIA[-_])?GPUS?`), "ToolkitConfig.Debug": asPath, "ToolkitConfig.Runtimes": binary,
		"ToolkitConfig.Ldconfig": ldconfig, "ToolkitConfig.CLIRoot": asPath, "ToolkitConfig.CLIPath": asPath, "ToolkitConfig.HookPath": binary,
		"ToolkitConfig.DefaultKind": shaped(`nvidia\.com/[a-z]{2,10}`), "ToolkitConfig.SpecDirs": asPath, "ToolkitConfig.AnnotationPrefixes": shaped(`cdi\.k8s\.io/`),
		"CDI.Dirs": asPath, "CDI.Devices": shaped(gpuShape), "CDISpec.Path": asPath, "CDISpec.Kind": shaped(`(?:[a-z.]{0,14})?nvidia\.com/[a-z]{2,10}`), "CDISpec.Version": shaped(versionShape),
		"CDISpec.Nodes": asPath, "CDISpec.DriverVersion": shaped(versionShape), "CDISpec.MissingPaths": asPath, "CDISpec.Conflicts": shaped(gpuShape),
		"CDIDevice.Name": shaped(gpuShape), "CDIDevice.Nodes": asPath, "CDIDevice.UUID": shaped(uuidShape),

		"Project.Name": as("project"), "Project.Folder": asPath, "Project.ComposeFiles": asPath, "Project.Devcontainer": asPath, "EnvFile.Path": asPath,
		"Setting.Value": either(gpuList+`|`+abilityList, kept, as("value")), "Setting.File": asPath,
		"Project.ShellVisibleDevices": either(gpuList, kept, as("value")),
		"ComposeUse.By":               shaped(`compose|devcontainer\.json|file`), "ComposeUse.Name": as("project"), "ComposeUse.Folder": asPath, "ComposeUse.Files": asPath, "ComposeUse.EnvFiles": asPath, "ComposeUse.Services": as("service"), "GPUService.OtherDevices": device,
		"GPURequest.By": shaped(byShape), "GPURequest.Text": as("request"), "GPURequest.File": asPath, "GPURequest.IDs": shaped(gpuShape), "GPUService.Kind": shaped(`service|devcontainer`), "GPUService.Profiles": as("profile"),
		"GPUService.Written": either(gpuList+`|\$\{NVIDIA_VISIBLE_DEVICES(?::?[-?+][a-z0-9,]{0,20})?\}`, kept, as("value")),
		"GPUService.Name":    as("service"), "GPUService.File": asPath, "GPUService.By": shaped(byShape), "GPUService.Runtime": runtimeName, "GPUService.Devices": device,

		"GPU.UUID": shaped(uuidShape), "GPU.Name": shaped(modelShape), "GPU.Brand": shaped(`[a-zA-Z][a-zA-Z -]{2,20}`), "GPU.PCIBusID": shaped(busShape), "GPU.PCIDeviceID": shaped(`(?:0x)?[0-9A-Fa-f]{4,8}`),
		"GPU.ComputeCapability": shaped(`\d{1,2}\.\d`), "GPU.Error": shaped(wordsNVML), "GPU.PerformanceState": shaped(`P\d{1,2}`),
		"GPU.ThrottleReasons": shaped(`[a-z]{2,12}(?:-[a-z]{2,12}){0,3}`), "GPU.ComputeMode": shaped(`default|exclusive-process|exclusive-thread|prohibited`), "GPU.FabricState": shaped(`not-supported|not-started|in-progress|completed`),
		"MIGDevice.UUID": shaped(uuidShape), "MIGDevice.Name": shaped(modelShape + `|MIG [A-Za-z0-9 .+-]{2,40}`), "MIGDevice.Profile": shaped(`\d{1,2}c?\.?\d?[a-z]?\.?\d{1,4}gb(?:\+[a-z.]{2,8})?`),
		"NVLink.RemoteType": shaped(`gpu|switch|npu|unknown`), "NVLink.Remote": shaped(busShape),
		"GPUProcess.Kinds": shaped(`compute|graphics|mps`), "GPUProcess.Name": processName, "GPUProcess.Cgroup": cgroupPath, "GPUProcess.ContainerID": containerID,

		"Container.ID": containerID, "Container.Name": as("container"), "Container.Image": asImage, "Container.ImageID": asImage,
		"Container.State": shaped(`created|running|paused|restarting|removing|exited|dead`), "Container.Status": shaped(`(?:Up|Exited|Created|Restarting|Removal|Dead|Paused)[A-Za-z0-9 ()]{0,50}`),
		"Container.Health": shaped(`healthy|unhealthy|starting|none`), "Container.Error": running, "Container.Runtime": runtimeName,
		"Container.ComposeProject": as("project"), "Container.ComposeService": as("service"), "Container.Labels[key]": labelKey, "Container.Labels": as("label"),
		"Grant.By": shaped(byShape), "Grant.GPUs": either(gpuShape, kept, as("redacted")), "Grant.Capabilities": shaped(abilityShape), "Grant.UUIDs": shaped(uuidShape), "Grant.Detail": grantDetail,
		"Asks.VisibleDevices": either(gpuList, kept, as("value")), "Asks.DriverCapabilities": either(abilityList, kept, as("value")), "Asks.CUDAVersion": shaped(versionShape),
		"Asks.Require[key]": shaped(`NVIDIA_REQUIRE_(?:CUDA|DRIVER|ARCH|BRAND|JETPACK)[A-Z0-9_]{0,20}`), "Asks.Require": shaped(requireShape),
		"Asks.GenericResources[key]": shaped(`DOCKER_RESOURCE_(?:NVIDIA[-_])?GPUS?`), "Asks.GenericResources": either(gpuList, kept, as("value")),
		"Asks.Devices": device, "Asks.DeviceCgroupRules": shaped(`[abc] (?:\d{1,3}|\*):(?:\d{1,3}|\*) [rwm]{1,3}`), "Asks.VolumeMountDevices": either(gpuShape, kept, as("redacted")),
		"Asks.PidMode": either(`host|private|`, kept, modeOf), "Asks.IpcMode": either(`host|private|shareable|none|`, kept, modeOf), "Asks.CapAdd": shaped(capShape),
		"Asks.SecurityOpt": shaped(`no-new-privileges(?:[:=]true)?|(?:label|seccomp|apparmor)[:=](?:disable|unconfined|builtin|type:[a-z_]{3,30}|docker-default)`),
		"Asks.User":        either(`\d{1,7}(?::\d{1,7})?|root|root:root|nobody`, kept, as("user")),

		"DeviceRequest.Driver": shaped(`nvidia|cdi|amd|gpu`), "DeviceRequest.DeviceIDs": either(gpuShape, kept, as("redacted")), "DeviceRequest.Capabilities": shaped(abilityShape),

		"Output.Log": running, "Output.Health": running,
		"Inside.Kind": shaped(`docker|podman|kubernetes|lxc`), "Inside.DriverMounts": asPath, "Inside.LibraryVersion": shaped(versionShape),
		"Inside.DeviceRules": shaped(`[abc] (?:\d{1,3}|\*):(?:\d{1,3}|\*) [rwm]{1,3}|a`), "Inside.Denied": shaped(`[a-z/ ]{5,60}`),
		"DeviceOpen.Path": asPath, "DeviceOpen.Error": shaped(`E[A-Z]{3,12}|timeout`),
		"GPU.Architecture": shaped(`[A-Z][a-z]{2,12}(?: [A-Z][a-z]{2,12})?`), "GPU.FabricError": shaped(wordsNVML), "GPU.RecoveryAction": shaped(`none|[a-z]{2,8}(?:-[a-z0-9]{2,8}){1,3}`), "CDISpec.Env": cdiEnvironment,
		"GPUPlace.CPUAffinity": shaped(`[\d,-]{1,200}`), "GPUPlace.NUMAAffinity": shaped(`[\d,-]{1,80}`), "GPUPair.Level": shaped(`PIX|PXB|PHB|NODE|SYS|X`),

		"LogLine.Kind": shaped(`[a-z]{2,12}`), "LogLine.Text": running, "LogLine.BusID": shaped(busShape),
	}
})

const (
	osShape    = `(?:Ubuntu|Debian|Fedora|Red Hat|CentOS|Rocky|AlmaLinux|Oracle|Amazon Linux|SUSE|openSUSE|SLES|Alpine|Arch|Manjaro|NixOS|Linux|Docker Desktop|Pop!_OS|Windows|Kali|Raspbian|Flatcar|Fedora CoreOS|Bottlerocket|Container-Optimized OS|DGX|Gentoo|Void|Mint|Zorin|elementary)[A-Za-z0-9 .()/_!-]{0,60}`
	paramShape = `ResmanDebugLevel|RmLogonRC|ModifyDeviceFiles|DeviceFile(?:UID|GID|Mode)|Enable[A-Za-z0-9]{2,40}|Rm[A-Z][A-Za-z]{2,30}|NvLinkDisable|PreserveVideoMemoryAllocations|DynamicPowerManagement(?:VideoMemoryThreshold)?|S0ixPowerManagementVideoMemoryThreshold|InitializeSystemMemoryAllocations|UsePageAttributeTable|RegisterPCIDriver|OpenRmEnableUnsupportedGpus|MemoryPoolSize|KMallocHeapMaxSize|VMallocHeapMaxSize|IgnoreMMIOCheck|DmaRemapPeerMmio|ImexChannelCount|CreateImexChannel0|GrdmaPciTopoCheckOverride|CoherentGPUMemoryMode|RegistryDwords|RegistryDwordsPerDevice|GpuBlacklist|ExcludedGpus|TemporaryFilePath`
)

// groupName keeps the groups of every system; another is often a user's own.
func groupName(r *Redactor, value string) string {
	if plainGroups()[value] {
		return value
	}
	return r.stand("user", value)
}

var plainGroups = words("root daemon bin sys adm tty disk lp mail kmem dialout cdrom floppy tape sudo audio dip video render plugdev staff games users nogroup nobody netdev input kvm sgx lpadmin lxd docker wheel vglusers systemd-journal nvidia-persistenced")

func runtimeName(r *Redactor, value string) string {
	switch value {
	case "runc", "nvidia", "nvidia-cdi", "nvidia-legacy", "nvidia-experimental", "crun", "runsc", "kata", "kata-runtime", "youki", "sysbox-runc", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux", "io.containerd.runsc.v1", "io.containerd.kata.v2":
		return value
	}
	return r.stand("runtime", value)
}

// binary is the name or path of a program.
func binary(r *Redactor, value string) string {
	if strings.Contains(value, "/") {
		return r.path(value)
	}
	if gpuPart.MatchString(value) || keptWord(value) {
		return value
	}
	return r.stand("name", value)
}

// ldconfig is a path on the host where it begins with @ (/etc/nvidia-container-runtime/config.toml).
func ldconfig(r *Redactor, value string) string {
	if rest, ok := strings.CutPrefix(value, "@"); ok {
		return "@" + binary(r, rest)
	}
	return binary(r, value)
}

func processName(r *Redactor, value string) string {
	if keptWord(value) {
		return value
	}
	if strings.Contains(value, "/") {
		return r.path(value)
	}
	return r.stand("process", value)
}

func containerID(r *Redactor, value string) string { return r.stand("id", value) }

// cgroupPath keeps the form by which a container's id is found in it.
func cgroupPath(r *Redactor, value string) string {
	parts := strings.Split(value, "/")
	for i, part := range parts {
		if part == "" || cgroupPart.MatchString(part) {
			continue
		}
		if at := hexID.FindStringIndex(part); at != nil && cgroupAround.MatchString(part[:at[0]]) && cgroupAround.MatchString(part[at[1]:]) {
			parts[i] = part[:at[0]] + r.stand("id", part[at[0]:at[1]]) + part[at[1]:]
			continue
		}
		parts[i] = r.stand("folder", part)
	}
	return strings.Join(parts, "/")
}

var (
	cgroupPart   = lazily(`^(?:docker|system\.slice|user\.slice|machine\.slice|init\.scope|user-\d{1,6}\.slice|user@\d{1,6}\.service|docker\.service|containerd\.service|libpod_parent|kubepods(?:\.slice)?|kubepods-(?:besteffort|burstable)\.slice|besteffort|burstable|actions_job|buildkit|session-[c\d]{1,6}\.scope|lxc|\.\.)$`)
	cgroupAround = lazily(`^(?:docker-|libpod-|libpod-payload-|cri-containerd-|crio-|nerdctl-|\.scope|\.service|)$`)
)

// endpoint keeps the scheme and the well-known sockets.
func endpoint(r *Redactor, value string) string {
	kind, rest, ok := strings.Cut(value, "://")
	if !ok || !endpointKind.MatchString(kind) {
		return r.stand("redacted", value)
	}
	if kind == "unix" || kind == "npipe" {
		return kind + "://" + r.path(rest)
	}
	rest, _, _ = strings.Cut(rest, "?")
	user := ""
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		name, _, _ := strings.Cut(rest[:at], ":")
		user, rest = r.stand("user", name)+"@", rest[at+1:]
	}
	rest, _, _ = strings.Cut(rest, "/")
	port := ""
	if at := strings.LastIndexByte(rest, ':'); at >= 0 && isDigits(rest[at+1:]) && strings.Count(rest[:at], ":") != 1 {
		rest, port = rest[:at], rest[at:]
	}
	if rest == "localhost" || rest == "127.0.0.1" || rest == "[::1]" {
		return kind + "://" + user + rest + port
	}
	return kind + "://" + user + r.stand("host", strings.Trim(rest, "[]")) + port
}

func genericResource(r *Redactor, value string) string {
	kind, what, _ := strings.Cut(value, "=")
	if !gpuResource.MatchString(kind) {
		kind = r.stand("resource", kind)
	}
	if !gpuName.MatchString(what) {
		what = r.stand("value", what)
	}
	return kind + "=" + what
}

// device is what --device names: a path or a CDI name.
func device(r *Redactor, value string) string {
	if gpuName.MatchString(value) {
		return value
	}
	parts := strings.Split(value, ":")
	for i, part := range parts {
		switch {
		case strings.HasPrefix(part, "/"):
			parts[i] = r.path(part)
		case i > 0 && deviceAccess.MatchString(part):
		default:
			parts[i] = r.stand("redacted", part)
		}
	}
	return strings.Join(parts, ":")
}

var (
	gpuName      = lazily(`^(?:` + gpuShape + `)$`)
	gpuResource  = lazily(`^(?:NVIDIA[-_])?GPUS?$`)
	endpointKind = lazily(`^(?:unix|tcp|ssh|npipe|fd|https?)$`)
	deviceAccess = lazily(`^[rwm]{1,3}$`)
	labelRest    = lazily(`^[a-z][a-z._-]{1,40}$`)
	detailStart  = lazily(`^(?:--[a-z-]{3,24}(?:[ =]|$)|NVIDIA_[A-Z_]{3,30}=|DOCKER_RESOURCE_|runtime |mounts? |privileged|default runtime)`)
	detailWord   = lazily(`^(?:` + gpuList + `|` + abilityList + `|--[a-z-]{3,24}|runtime|nvidia|mounts?|privileged|default|\d+|-1|[abc]|[rwm]{1,3}|(?:\d{1,3}|\*):(?:\d{1,3}|\*))$`)
	detailFlag   = lazily(`^(?:NVIDIA_[A-Z_]{3,30}|DOCKER_RESOURCE_(?:NVIDIA[-_])?GPUS?|device|count|capabilities|--[a-z-]{3,24})$`)
	detailValue  = lazily(`^"?(?:` + gpuList + `|` + abilityList + `)"?$`)
)

// grantDetail is a grant as the user wrote it.
func grantDetail(r *Redactor, value string) string {
	if detailStart.MatchString(value) {
		words := strings.Fields(value)
		for i, word := range words {
			flag, what, joined := strings.Cut(word, "=")
			switch {
			case detailWord.MatchString(word):
			case strings.HasPrefix(word, "/"):
				words[i] = device(r, word)
			case joined && detailFlag.MatchString(flag) && detailValue.MatchString(what):
			default:
				words[i] = r.stand("redacted", word)
			}
		}
		return strings.Join(words, " ")
	}
	return r.stand("redacted", value)
}

// modeOf is a namespace that is shared with another container: container:NAME.
func modeOf(r *Redactor, value string) string {
	if name, ok := strings.CutPrefix(value, "container:"); ok {
		if imageID.MatchString(name) {
			return "container:" + r.stand("id", name)
		}
		return "container:" + r.stand("container", name)
	}
	return r.stand("redacted", value)
}

// labelKey keeps the keys that tools set on every container.
func labelKey(r *Redactor, value string) string {
	for _, prefix := range []string{"com.docker.compose.", "com.docker-gpu.", "com.docker.swarm.", "devcontainer.", "org.opencontainers.image."} {
		if rest, ok := strings.CutPrefix(value, prefix); ok && labelRest.MatchString(rest) {
			return value
		}
	}
	return r.stand("label", value)
}

// daemonArgument is one argument of dockerd: flags stay, of their values only what says nothing of who runs it.
func daemonArgument(r *Redactor, value string) string {
	flag, what, joined := strings.Cut(value, "=")
	if !daemonFlag.MatchString(flag) {
		flag, what, joined = "", value, false
	} else if !joined {
		return flag
	}
	switch {
	case daemonValue.MatchString(what):
	case strings.Contains(what, "://") && !strings.HasPrefix(what, "/"):
		what = endpoint(r, what)
	case strings.HasPrefix(what, "/"):
		what = r.path(what)
	default:
		what = r.stand("value", what)
	}
	if joined {
		return flag + "=" + what
	}
	return what
}

var (
	daemonFlag  = lazily(`^--?[a-z][a-z-]{0,30}$`)
	daemonValue = lazily(`^(?:|true|false|none|fd://|overlay2|vfs|systemd|cgroupfs|runc|nvidia|json-file|journald|local|debug|info|warn|error|native\.cgroupdriver=(?:systemd|cgroupfs)|\d{1,5})$`)
)

func searchPath(r *Redactor, value string) string {
	parts := strings.Split(value, ":")
	for i, part := range parts {
		parts[i] = asPath(r, part)
	}
	return strings.Join(parts, ":")
}

// cdiEnvironment is an entry of a specification's environment: NVIDIA's own.
func cdiEnvironment(r *Redactor, value string) string {
	key, what, _ := strings.Cut(value, "=")
	switch {
	case !nvidiaVariable.MatchString(key):
		return r.stand("value", value)
	case strings.HasPrefix(what, "/"):
		return key + "=" + r.path(what)
	case detailValue.MatchString(what):
		return value
	}
	return key + "=" + r.stand("value", what)
}

var nvidiaVariable = lazily(`^(?:NVIDIA|CUDA)_[A-Z_]{3,30}$`)
