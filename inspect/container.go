package inspect

import "time"

// Container is a container of the engine, and how it came to its GPUs.
type Container struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	Image          string            `json:"image,omitempty"`
	ImageID        string            `json:"imageId,omitempty"`
	State          string            `json:"state,omitempty"` // running, exited, …
	Status         string            `json:"status,omitempty"`
	Health         string            `json:"health,omitempty"` // healthy, unhealthy, starting; empty: no health check
	ExitCode       *int              `json:"exitCode,omitempty"`
	OOMKilled      *bool             `json:"oomKilled,omitempty"`
	Error          string            `json:"error,omitempty"` // the engine's words on why it did not start
	CreatedAt      *time.Time        `json:"createdAt,omitempty"`
	StartedAt      *time.Time        `json:"startedAt,omitempty"`
	PID            int               `json:"pid,omitempty"`
	Runtime        string            `json:"runtime,omitempty"`
	Privileged     bool              `json:"privileged,omitempty"`
	Grant          Grant             `json:"grant"`
	Asks           Asks              `json:"asks"`
	Usage          *Usage            `json:"usage,omitempty"`
	Inside         *Inside           `json:"inside,omitempty"` // nil: not looked at
	Output         *Output           `json:"output,omitempty"` // nil: not read
	ComposeProject string            `json:"composeProject,omitempty"`
	ComposeService string            `json:"composeService,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
}

// Ways by which a container gets a GPU: the values of Grant.By.
const (
	ByGPUs           = "gpus"               // --gpus, compose gpus: and device reservations: DeviceRequests
	ByCDI            = "cdi"                // --device nvidia.com/gpu=…
	ByRuntime        = "runtime"            // --runtime nvidia and NVIDIA_VISIBLE_DEVICES
	ByDefaultRuntime = "default-runtime"    // the engine's default runtime is nvidia: the variable alone grants
	ByDevice         = "device"             // --device /dev/nvidia0
	ByDXG            = "dxg"                // --device /dev/dxg on WSL2
	ByCgroupRule     = "device-cgroup-rule" // --device-cgroup-rule 'c 195:* rmw'
	ByVolumeMounts   = "volume-mounts"      // mounts below /var/run/nvidia-container-devices
	BySwarm          = "swarm"              // a generic resource of a Swarm service
	ByPrivileged     = "privileged"         // --privileged: all devices of the host
)

// Grant is what a container was given. By is empty where it was given no GPU. GPUs are indexes
// ("0"), MIG devices ("0:1"), "all" or the names asked for where they could not be resolved; nil is not
// known. UUIDs are the same GPUs where NVML is there to tell.
type Grant struct {
	By           []string `json:"by"`
	GPUs         []string `json:"gpus"`
	Capabilities []string `json:"capabilities"`
	UUIDs        []string `json:"uuids,omitempty"`
	Detail       []string `json:"detail,omitempty"` // as the user wrote it: "--gpus all", "NVIDIA_VISIBLE_DEVICES=all"
}

// Asks is what the configured environment of a container asks for, whatever became of it.
type Asks struct {
	VisibleDevices     *string           `json:"visibleDevices,omitempty"` // NVIDIA_VISIBLE_DEVICES; nil: unset
	DriverCapabilities *string           `json:"driverCapabilities,omitempty"`
	LegacyImage        bool              `json:"legacyImage,omitempty"` // CUDA_VERSION set, NVIDIA_REQUIRE_CUDA not
	CUDAVersion        string            `json:"cudaVersion,omitempty"`
	Require            map[string]string `json:"require,omitempty"`                 // NVIDIA_REQUIRE_*
	GenericResources   map[string]string `json:"genericResources,omitempty"`        // DOCKER_RESOURCE_*
	VisibleFromImage   bool              `json:"visibleDevicesFromImage,omitempty"` // the value is the image's own
	DeviceRequests     []DeviceRequest   `json:"deviceRequests,omitempty"`
	Devices            []string          `json:"devices,omitempty"` // of --device: host paths (with :PATH where it is another in the container), CDI names
	DeviceCgroupRules  []string          `json:"deviceCgroupRules,omitempty"`
	VolumeMountDevices []string          `json:"volumeMountDevices,omitempty"` // names below /var/run/nvidia-container-devices
	ShmSizeBytes       *uint64           `json:"shmSizeBytes,omitempty"`
	MemoryLimitBytes   *uint64           `json:"memoryLimitBytes,omitempty"`
	PidMode            string            `json:"pidMode,omitempty"`
	IpcMode            string            `json:"ipcMode,omitempty"`
	CapAdd             []string          `json:"capAdd,omitempty"`
	SecurityOpt        []string          `json:"securityOpt,omitempty"`
	DockerSocket       bool              `json:"dockerSocket,omitempty"` // the engine's socket is mounted
	User               string            `json:"user,omitempty"`
}

// Usage is what a container's processes use, summed over its GPUs. MemoryUsedBytes is nil where a
// process's memory is not known. MIG devices are in GPUUtilPercent where each that its processes are on is known and
// has no others.
type Usage struct {
	MemoryUsedBytes *uint64        `json:"memoryUsedBytes,omitempty"`
	GPUUtilPercent  *uint32        `json:"gpuUtilPercent,omitempty"`
	Processes       []UsageProcess `json:"processes"`
}

// UsageProcess is a process of a container on one GPU, or on one MIG device of it. Its utilisation of a MIG device is
// the device's, and is known where no other process is on that.
type UsageProcess struct {
	GPU       int  `json:"gpu"`
	MIGDevice *int `json:"migDevice,omitempty"` // the second number of GPU:INDEX
	GPUProcess
}

// DeviceRequest is a request of --gpus or of a CDI device as the engine keeps it. Count -1 is all.
type DeviceRequest struct {
	Driver       string     `json:"driver,omitempty"`
	Count        int        `json:"count,omitempty"`
	DeviceIDs    []string   `json:"deviceIds,omitempty"`
	Capabilities [][]string `json:"capabilities,omitempty"`
}
