// Package inspect reads what can be known about GPUs in containers on the engine's machine and
// returns it as one [Snapshot]: plain data, without judgement. It writes nothing, anywhere, and it
// never says whether a fact is good or bad; that is the job of package fixes.
package inspect

import "time"

// SchemaVersion is the version of the Snapshot's JSON. It grows when a field changes its meaning or
// goes away; new fields alone do not change it.
const SchemaVersion = 1

// A Snapshot describes the machine the engine runs on, at one moment. A nil pointer, a nil slice or a
// missing JSON field is a fact that is unknown; the reason stands in Sources. An empty slice is a fact
// that is known: there are none.
type Snapshot struct {
	SchemaVersion int         `json:"schemaVersion"`
	TakenAt       time.Time   `json:"takenAt"`
	Tool          *Tool       `json:"tool,omitempty"`
	Host          *Host       `json:"host,omitempty"`
	Driver        *Driver     `json:"driver,omitempty"`
	Engine        *Engine     `json:"engine,omitempty"`
	Toolkit       *Toolkit    `json:"toolkit,omitempty"`
	CDI           *CDI        `json:"cdi,omitempty"`
	Project       *Project    `json:"project,omitempty"`
	GPUs          []GPU       `json:"gpus"`
	Topology      *Topology   `json:"topology,omitempty"`
	Containers    []Container `json:"containers"`
	Swarm         *SwarmView  `json:"swarm,omitempty"`  // nil: this engine manages no swarm, or could not be asked
	Inside        *Inside     `json:"inside,omitempty"` // the container that docker gpu itself ran in, where it looked at that
	KernelLog     []LogLine   `json:"kernelLog,omitempty"`
	EngineLog     []LogLine   `json:"engineLog,omitempty"` // of dockerd's own log, kind engine
	Sources       []Reading   `json:"sources"`
}

// Tool is the docker-gpu that took the Snapshot.
type Tool struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Platform string `json:"platform,omitempty"` // linux/amd64
}

// A Reading tells how one source was read. A source without Error, Denied, TimedOut, Absent and Note
// was read in full.
type Reading struct {
	Name        string  `json:"name"`
	TookSeconds float64 `json:"tookSeconds"`
	Error       string  `json:"error,omitempty"`
	Denied      bool    `json:"denied,omitempty"`   // permission was missing
	TimedOut    bool    `json:"timedOut,omitempty"` // no answer within the deadline
	Absent      bool    `json:"absent,omitempty"`   // there is nothing to read on this machine: an ordinary case
	Note        string  `json:"note,omitempty"`     // why it was not read, or where the facts come from instead
}

// Host is the engine's machine and its operating system.
type Host struct {
	Name                 string       `json:"name,omitempty"`
	OS                   string       `json:"os,omitempty"` // PRETTY_NAME of /etc/os-release
	OSID                 string       `json:"osId,omitempty"`
	OSVersion            string       `json:"osVersion,omitempty"`
	Kernel               string       `json:"kernel,omitempty"` // uname -r
	Architecture         string       `json:"architecture,omitempty"`
	CPUs                 int          `json:"cpus,omitempty"`
	MemoryTotalBytes     *uint64      `json:"memoryTotalBytes,omitempty"`
	MemoryAvailableBytes *uint64      `json:"memoryAvailableBytes,omitempty"`
	BootedAt             *time.Time   `json:"bootedAt,omitempty"`
	Init                 string       `json:"init,omitempty"`           // name of process 1: systemd, init, …
	Virtualization       string       `json:"virtualization,omitempty"` // kvm, vmware, microsoft, lxc, …; none
	Container            string       `json:"container,omitempty"`      // docker, podman, kubernetes, lxc: this process runs in one
	WSL                  *WSL         `json:"wsl,omitempty"`            // nil: not WSL
	SELinux              string       `json:"selinux,omitempty"`        // enforcing, permissive, disabled
	AppArmor             *bool        `json:"apparmor,omitempty"`
	SecureBoot           *bool        `json:"secureBoot,omitempty"`
	Lockdown             string       `json:"lockdown,omitempty"` // none, integrity, confidentiality
	CgroupVersion        int          `json:"cgroupVersion,omitempty"`
	PCI                  []PCIDevice  `json:"pci"` // display functions of vendor 10de; nil: not known
	Modules              []Module     `json:"modules"`
	ModulesAvailable     []Module     `json:"modulesAvailable"` // nvidia modules built for the running kernel; nil: not known
	DeviceNodes          []DeviceNode `json:"deviceNodes"`
	CharLinks            []CharLink   `json:"charLinks,omitempty"`
	Libraries            []Library    `json:"libraries"`
	Daemons              []Daemon     `json:"daemons"`
	Packages             []Package    `json:"packages"` // installed packages of driver and toolkit; nil: not known
	User                 *User        `json:"user,omitempty"`
}

// WSL is a Windows Subsystem for Linux. Version is 1 or 2.
type WSL struct {
	Version   int    `json:"version"`
	Distro    string `json:"distro,omitempty"`
	DXG       bool   `json:"dxg"`       // /dev/dxg is there
	Libraries bool   `json:"libraries"` // /usr/lib/wsl/lib has libdxcore.so
	NVIDIALib bool   `json:"nvidiaLibrary"`
}

// User is who runs docker-gpu: what the device nodes' modes are held against.
type User struct {
	UID    int      `json:"uid"`
	GIDs   []int    `json:"gids"`
	Groups []string `json:"groups,omitempty"`
}

// PCIDevice is a display function (class 0x03) of vendor 10de below /sys/bus/pci/devices.
type PCIDevice struct {
	BusID    string `json:"busId"` // 0000:17:00.0
	DeviceID string `json:"deviceId"`
	Class    string `json:"class"`
	Driver   string `json:"driver,omitempty"` // bound kernel driver: nvidia, nouveau, vfio-pci
	NUMANode *int   `json:"numaNode,omitempty"`
	Name     string `json:"name,omitempty"`
}

// Module is a kernel module, of /proc/modules or of /lib/modules/RELEASE.
type Module struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Path    string `json:"path,omitempty"`
	State   string `json:"state,omitempty"`
	InUse   *int   `json:"inUse,omitempty"`
}

// DeviceNode is a file of /dev that GPU access needs (/dev/nvidia*, /dev/nvidia-caps/*, /dev/dxg, /dev/dri/*).
type DeviceNode struct {
	Path   string `json:"path"`
	Mode   string `json:"mode"` // crw-rw-rw-
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Group  string `json:"group,omitempty"`
	Major  uint32 `json:"major"`
	Minor  uint32 `json:"minor"`
	Device bool   `json:"device"` // false: something that is no character device stands in its place
}

// CharLink is a link /dev/char/MAJOR:MINOR for an NVIDIA device node; without them systemd takes
// devices away from running containers on daemon-reload.
type CharLink struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// Library is a driver library on the loader's path; Version is what its file name ends in.
type Library struct {
	Name    string `json:"name"` // libcuda.so.1
	Path    string `json:"path"`
	Version string `json:"version,omitempty"` // 570.86.15
}

// Daemon is a service beside the driver: nvidia-fabricmanager, nvidia-persistenced, nvidia-cuda-mps-control.
type Daemon struct {
	Name    string `json:"name"`
	Running *bool  `json:"running,omitempty"` // nil: not known
	PID     int    `json:"pid,omitempty"`
	Socket  string `json:"socket,omitempty"` // where it is, if it is there
	PIDFile string `json:"pidFile,omitempty"`
	Version string `json:"version,omitempty"`
}

// Package is an installed package, as dpkg's, rpm's or apk's own files name it.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Engine is the Docker engine that the chosen context leads to.
type Engine struct {
	Context           string             `json:"context,omitempty"`
	Endpoint          string             `json:"endpoint,omitempty"`
	Location          string             `json:"location,omitempty"` // local, remote, vm: whose machine the facts belong to
	Name              string             `json:"name,omitempty"`
	Version           string             `json:"version,omitempty"`
	APIVersion        string             `json:"apiVersion,omitempty"` // negotiated
	APIVersionMax     string             `json:"apiVersionMax,omitempty"`
	OperatingSystem   string             `json:"operatingSystem,omitempty"`
	OSType            string             `json:"osType,omitempty"`
	Kernel            string             `json:"kernel,omitempty"`
	Architecture      string             `json:"architecture,omitempty"`
	Rootless          *bool              `json:"rootless,omitempty"`
	Snap              *bool              `json:"snap,omitempty"`
	Desktop           *bool              `json:"desktop,omitempty"`
	RootDir           string             `json:"rootDir,omitempty"`
	CgroupDriver      string             `json:"cgroupDriver,omitempty"`
	CgroupVersion     string             `json:"cgroupVersion,omitempty"`
	Runtimes          map[string]Runtime `json:"runtimes,omitempty"`
	DefaultRuntime    string             `json:"defaultRuntime,omitempty"`
	CDIDirs           []string           `json:"cdiDirs"`                     // empty: CDI is off; nil: not known, engines before 25 do not say
	DiscoveredDevices []DiscoveredDevice `json:"discoveredDevices,omitempty"` // engine 28.2 and newer
	Features          map[string]bool    `json:"features,omitempty"`          // what it runs with: cdi, containerd-snapshotter
	SecurityOptions   []string           `json:"securityOptions,omitempty"`
	GenericResources  []string           `json:"genericResources,omitempty"`
	Swarm             *Swarm             `json:"swarm,omitempty"`
	ContainerdVersion string             `json:"containerdVersion,omitempty"`
	RuncVersion       string             `json:"runcVersion,omitempty"`
	StartedAt         *time.Time         `json:"startedAt,omitempty"`
	Warnings          []string           `json:"warnings,omitempty"`
	ConfigFile        *ConfigFile        `json:"configFile,omitempty"` // daemon.json: what it says, beside what the engine runs with
	Process           *EngineProcess     `json:"process,omitempty"`
	Containers        *int               `json:"containers,omitempty"`
	Running           *int               `json:"running,omitempty"`
	Unreachable       string             `json:"unreachable,omitempty"` // why no engine answered: denied, not-running, timeout, …
	Error             string             `json:"error,omitempty"`
}

// Runtime is a container runtime the engine knows by name.
type Runtime struct {
	Path   string   `json:"path,omitempty"`
	Type   string   `json:"type,omitempty"`
	Args   []string `json:"args,omitempty"`
	Exists *bool    `json:"exists,omitempty"` // the binary is there, where this can be seen
}

// DiscoveredDevice is what the engine lists under "Discovered Devices": source cdi, id nvidia.com/gpu=0.
type DiscoveredDevice struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

// Swarm is the engine's part in a swarm.
type Swarm struct {
	State   string `json:"state"`
	Manager bool   `json:"manager"`
	NodeID  string `json:"nodeId,omitempty"`
}

// ConfigFile is a file of settings as it stands on disk. Where it does not parse, Problem says why and
// where, and nothing of it is believed.
type ConfigFile struct {
	Path             string             `json:"path"`
	Exists           bool               `json:"exists"`
	ModifiedAt       *time.Time         `json:"modifiedAt,omitempty"`
	Problem          *FileProblem       `json:"problem,omitempty"`
	Runtimes         map[string]Runtime `json:"runtimes,omitempty"`
	DefaultRuntime   string             `json:"defaultRuntime,omitempty"`
	Features         map[string]bool    `json:"features,omitempty"`
	CDIDirs          []string           `json:"cdiDirs,omitempty"`
	ExecOpts         []string           `json:"execOpts,omitempty"`
	GenericResources []string           `json:"genericResources,omitempty"`
	DataRoot         string             `json:"dataRoot,omitempty"`
}

// FileProblem is a file that could not be understood. Line and Column count from 1; 0 is not known.
type FileProblem struct {
	Path    string `json:"path"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
}

// Toolkit is the NVIDIA Container Toolkit on the engine's machine. Installed is false when none of its
// binaries was found.
type Toolkit struct {
	Installed bool           `json:"installed"`
	Version   string         `json:"version,omitempty"`
	Binaries  []Binary       `json:"binaries,omitempty"`
	Config    *ToolkitConfig `json:"config,omitempty"`
}

// Binary is an executable file. VersionFrom says what Version was read from: package, file.
type Binary struct {
	Name        string `json:"name"`
	Path        string `json:"path"`
	Version     string `json:"version,omitempty"`
	VersionFrom string `json:"versionFrom,omitempty"`
}

// ToolkitConfig is /etc/nvidia-container-runtime/config.toml; absent keys are nil, not their defaults.
type ToolkitConfig struct {
	Path                    string       `json:"path"`
	Exists                  bool         `json:"exists"`
	Problem                 *FileProblem `json:"problem,omitempty"`
	Mode                    string       `json:"mode,omitempty"` // auto, legacy, cdi, jit-cdi, csv
	DisableRequire          *bool        `json:"disableRequire,omitempty"`
	SupportedCapabilities   string       `json:"supportedDriverCapabilities,omitempty"`
	SwarmResource           string       `json:"swarmResource,omitempty"`
	AcceptEnvUnprivileged   *bool        `json:"acceptVisibleDevicesEnvvarWhenUnprivileged,omitempty"`
	AcceptVolumeMounts      *bool        `json:"acceptVisibleDevicesAsVolumeMounts,omitempty"`
	Debug                   string       `json:"debug,omitempty"`
	Runtimes                []string     `json:"runtimes,omitempty"`
	NoCgroups               *bool        `json:"noCgroups,omitempty"`
	Ldconfig                string       `json:"ldconfig,omitempty"`
	LdconfigExists          *bool        `json:"ldconfigExists,omitempty"` // where it is one of the host
	CLIRoot                 string       `json:"root,omitempty"`
	CLIPath                 string       `json:"cliPath,omitempty"`
	HookPath                string       `json:"hookPath,omitempty"`
	SkipModeDetection       *bool        `json:"skipModeDetection,omitempty"`
	DefaultKind             string       `json:"defaultKind,omitempty"`
	SpecDirs                []string     `json:"specDirs,omitempty"`
	AnnotationPrefixes      []string     `json:"annotationPrefixes,omitempty"`
	AllowCUDACompatFromHost *bool        `json:"allowCUDACompatLibsFromContainer,omitempty"`
}

// CDI is what the Container Device Interface's folders hold. Devices are the qualified names of the
// valid specifications, sorted.
type CDI struct {
	Dirs    []string  `json:"dirs"`
	Specs   []CDISpec `json:"specs"`
	Devices []string  `json:"devices"`
}

// CDISpec is one specification file.
type CDISpec struct {
	Path          string       `json:"path"`
	Kind          string       `json:"kind,omitempty"` // nvidia.com/gpu
	Version       string       `json:"version,omitempty"`
	ModifiedAt    *time.Time   `json:"modifiedAt,omitempty"`
	Devices       []CDIDevice  `json:"devices,omitempty"`
	Nodes         []string     `json:"nodes,omitempty"`         // device nodes of the whole specification
	Mounts        int          `json:"mounts,omitempty"`        // number of mounts of the whole specification
	Hooks         int          `json:"hooks,omitempty"`         // number of its hooks
	Env           []string     `json:"env,omitempty"`           // variables that it sets for every device
	DriverVersion string       `json:"driverVersion,omitempty"` // the one its library paths end in
	MissingPaths  []string     `json:"missingPaths,omitempty"`  // host paths it names that do not exist
	Problem       *FileProblem `json:"problem,omitempty"`
	Conflicts     []string     `json:"conflicts,omitempty"` // device names that another file of the same folder has too
}

// CDIDevice is one device of a specification.
type CDIDevice struct {
	Name  string   `json:"name"`
	Nodes []string `json:"nodes,omitempty"` // host paths of its device nodes
	UUID  string   `json:"uuid,omitempty"`  // where the name is one
}

// LogLine is a line of the kernel log that concerns GPUs, memory or access. Kind is xid, nvrm, nouveau,
// oom, apparmor, selinux, module (one was refused) or dxg; engine for a line of dockerd's log.
type LogLine struct {
	At    *time.Time `json:"at,omitempty"`
	Kind  string     `json:"kind"`
	Text  string     `json:"text"`
	BusID string     `json:"busId,omitempty"`
	Xid   *int       `json:"xid,omitempty"`
	PID   int        `json:"pid,omitempty"`
}
