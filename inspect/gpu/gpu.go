package gpu

// A GPU as NVML reports it (https://docs.nvidia.com/deploy/nvml-api). A figure that this GPU or this
// driver does not have is nil. Index is NVML's, which is PCI bus order.
type GPU struct {
	Index             int    `json:"index"`
	UUID              string `json:"uuid,omitempty"`
	Name              string `json:"name,omitempty"`
	Brand             string `json:"brand,omitempty"`
	PCIBusID          string `json:"pciBusId,omitempty"` // 0000:17:00.0
	PCIDeviceID       string `json:"pciDeviceId,omitempty"`
	Minor             *int   `json:"minor,omitempty"`        // of /dev/nvidiaMINOR
	Architecture      string `json:"architecture,omitempty"` // Turing, Ampere, Ada, Hopper, Blackwell
	ComputeCapability string `json:"computeCapability,omitempty"`
	Error             string `json:"error,omitempty"`      // NVML's words where the GPU does not answer: GPU is lost
	NVMLReturn        *int   `json:"nvmlReturn,omitempty"` // of the call behind Error

	MemoryTotalBytes    *uint64 `json:"memoryTotalBytes,omitempty"`
	MemoryUsedBytes     *uint64 `json:"memoryUsedBytes,omitempty"` // without MemoryReservedBytes (nvmlDeviceGetMemoryInfo_v2)
	MemoryFreeBytes     *uint64 `json:"memoryFreeBytes,omitempty"`
	MemoryReservedBytes *uint64 `json:"memoryReservedBytes,omitempty"` // the driver's own
	BAR1TotalBytes      *uint64 `json:"bar1TotalBytes,omitempty"`
	BAR1UsedBytes       *uint64 `json:"bar1UsedBytes,omitempty"`

	GPUUtilPercent     *uint32 `json:"gpuUtilPercent,omitempty"`
	MemoryUtilPercent  *uint32 `json:"memoryUtilPercent,omitempty"`
	EncoderUtilPercent *uint32 `json:"encoderUtilPercent,omitempty"`
	DecoderUtilPercent *uint32 `json:"decoderUtilPercent,omitempty"`
	JPEGUtilPercent    *uint32 `json:"jpegUtilPercent,omitempty"`
	OFAUtilPercent     *uint32 `json:"ofaUtilPercent,omitempty"`

	TemperatureCelsius         *int     `json:"temperatureCelsius,omitempty"`
	MemoryTemperatureCelsius   *int     `json:"memoryTemperatureCelsius,omitempty"`
	SlowdownTemperatureCelsius *int     `json:"slowdownTemperatureCelsius,omitempty"`
	ShutdownTemperatureCelsius *int     `json:"shutdownTemperatureCelsius,omitempty"`
	FanPercent                 *uint32  `json:"fanPercent,omitempty"`
	PowerWatts                 *float64 `json:"powerWatts,omitempty"`
	PowerLimitWatts            *float64 `json:"powerLimitWatts,omitempty"` // enforced
	PowerDefaultLimitWatts     *float64 `json:"powerDefaultLimitWatts,omitempty"`
	PowerMinLimitWatts         *float64 `json:"powerMinLimitWatts,omitempty"`
	PowerMaxLimitWatts         *float64 `json:"powerMaxLimitWatts,omitempty"`
	EnergyJoules               *float64 `json:"energyJoules,omitempty"` // since the driver was loaded

	GraphicsClockMHz    *uint32  `json:"graphicsClockMHz,omitempty"`
	SMClockMHz          *uint32  `json:"smClockMHz,omitempty"`
	MemoryClockMHz      *uint32  `json:"memoryClockMHz,omitempty"`
	VideoClockMHz       *uint32  `json:"videoClockMHz,omitempty"`
	MaxGraphicsClockMHz *uint32  `json:"maxGraphicsClockMHz,omitempty"`
	MaxSMClockMHz       *uint32  `json:"maxSmClockMHz,omitempty"`
	MaxMemoryClockMHz   *uint32  `json:"maxMemoryClockMHz,omitempty"`
	MaxVideoClockMHz    *uint32  `json:"maxVideoClockMHz,omitempty"`
	PerformanceState    string   `json:"performanceState,omitempty"` // P0 … P15
	ThrottleReasons     []string `json:"throttleReasons,omitzero"`   // gpu-idle, sw-power-cap, hw-slowdown, sw-thermal, hw-thermal, hw-power-brake, sync-boost, applications-clocks, display-clocks

	// How long a limit has held the clocks down, since the driver was loaded.
	PowerViolationSeconds          *float64 `json:"powerViolationSeconds,omitempty"`
	ThermalViolationSeconds        *float64 `json:"thermalViolationSeconds,omitempty"`
	SyncBoostViolationSeconds      *float64 `json:"syncBoostViolationSeconds,omitempty"`
	BoardLimitViolationSeconds     *float64 `json:"boardLimitViolationSeconds,omitempty"`
	LowUtilizationViolationSeconds *float64 `json:"lowUtilizationViolationSeconds,omitempty"`
	ReliabilityViolationSeconds    *float64 `json:"reliabilityViolationSeconds,omitempty"`

	PCIe         *PCIe         `json:"pcie,omitempty"`
	ECC          *ECC          `json:"ecc,omitempty"`
	RemappedRows *RemappedRows `json:"remappedRows,omitempty"`
	RetiredPages *RetiredPages `json:"retiredPages,omitempty"`

	ComputeMode     string       `json:"computeMode,omitempty"` // default, exclusive-process, prohibited
	PersistenceMode *bool        `json:"persistenceMode,omitempty"`
	DisplayActive   *bool        `json:"displayActive,omitempty"`
	MIG             *MIG         `json:"mig,omitempty"` // nil: this GPU has no MIG
	NVLinks         []NVLink     `json:"nvlinks,omitempty"`
	RecoveryAction  string       `json:"recoveryAction,omitempty"` // what the driver asks for: none, gpu-reset, node-reboot, drain-p2p, drain-and-reset
	FabricState     string       `json:"fabricState,omitempty"`    // not-supported, not-started, in-progress, completed
	FabricError     string       `json:"fabricError,omitempty"`    // completed, but without success: NVML's words
	Processes       []GPUProcess `json:"processes"`                // nil: could not be read; with MIG, those of all its MIG devices
}

// PCIe is the link between GPU and host. Throughput is bytes a second over NVML's 20 ms window, which in a view that
// goes on may lie up to two seconds back.
type PCIe struct {
	Generation          *int    `json:"generation,omitempty"`
	GenerationMax       *int    `json:"generationMax,omitempty"`       // of this GPU in this slot
	DeviceGenerationMax *int    `json:"deviceGenerationMax,omitempty"` // of the GPU in any slot
	Width               *int    `json:"width,omitempty"`
	WidthMax            *int    `json:"widthMax,omitempty"`
	ReplayCount         *uint32 `json:"replayCount,omitempty"`
	TxBytesPerSecond    *uint64 `json:"txBytesPerSecond,omitempty"`
	RxBytesPerSecond    *uint64 `json:"rxBytesPerSecond,omitempty"`
}

// ECC counts memory errors: volatile since the driver was loaded, aggregate over the GPU's life.
type ECC struct {
	Enabled              *bool   `json:"enabled,omitempty"`
	PendingEnabled       *bool   `json:"pendingEnabled,omitempty"`
	CorrectedVolatile    *uint64 `json:"correctedVolatile,omitempty"`
	UncorrectedVolatile  *uint64 `json:"uncorrectedVolatile,omitempty"`
	CorrectedAggregate   *uint64 `json:"correctedAggregate,omitempty"`
	UncorrectedAggregate *uint64 `json:"uncorrectedAggregate,omitempty"`
}

// RemappedRows are of Ampere and newer (nvmlDeviceGetRemappedRows).
type RemappedRows struct {
	Correctable   int  `json:"correctable"`
	Uncorrectable int  `json:"uncorrectable"`
	Pending       bool `json:"pending"`
	Failed        bool `json:"failed"`
}

// RetiredPages are of GPUs before Ampere (nvmlDeviceGetRetiredPages).
type RetiredPages struct {
	SingleBit *int  `json:"singleBit,omitempty"`
	DoubleBit *int  `json:"doubleBit,omitempty"`
	Pending   *bool `json:"pending,omitempty"`
}

// MIG is the state of multi-instance mode; Devices are the compute instances that can be used.
type MIG struct {
	Enabled        bool        `json:"enabled"`
	PendingEnabled bool        `json:"pendingEnabled"`
	MaxDevices     *int        `json:"maxDevices,omitempty"`
	Devices        []MIGDevice `json:"devices"`
}

// MIGDevice is one MIG device. Index is the second number of GPU:INDEX.
//
// Utilisation is of the time between two readings, by NVML's GPU performance monitoring (GPM), which GPUs from Hopper
// on and drivers from 520 on have: the share of the time in which the device was at work, and the share of its memory's
// bandwidth that was used. It is known where readings go on, from the second one on, and of a device that has a whole
// GPU instance: NVML measures those, and says nothing of a compute instance that has a part of one.
type MIGDevice struct {
	Index             int          `json:"index"`
	UUID              string       `json:"uuid,omitempty"`
	Name              string       `json:"name,omitempty"`
	Profile           string       `json:"profile,omitempty"` // 1g.10gb
	GPUInstanceID     *int         `json:"gpuInstanceId,omitempty"`
	ComputeInstanceID *int         `json:"computeInstanceId,omitempty"`
	MemoryTotalBytes  *uint64      `json:"memoryTotalBytes,omitempty"`
	MemoryUsedBytes   *uint64      `json:"memoryUsedBytes,omitempty"`
	MemoryFreeBytes   *uint64      `json:"memoryFreeBytes,omitempty"`
	GPUUtilPercent    *uint32      `json:"gpuUtilPercent,omitempty"`    // of the device's own share of the GPU
	MemoryUtilPercent *uint32      `json:"memoryUtilPercent,omitempty"` // NVML_GPM_METRIC_DRAM_BW_UTIL
	Multiprocessors   *int         `json:"multiprocessors,omitempty"`
	Processes         []GPUProcess `json:"processes"` // nil: could not be read
}

// NVLink is one link of a GPU. Remote is the PCI address of what is on its other end.
type NVLink struct {
	Link       int    `json:"link"`
	Active     *bool  `json:"active,omitempty"`
	Version    *int   `json:"version,omitempty"`
	RemoteType string `json:"remoteType,omitempty"` // gpu, switch, npu
	Remote     string `json:"remote,omitempty"`
}

// GPUProcess is a process that holds a GPU. PID is the host's. Cgroup is the path of /proc/PID/cgroup
// and ContainerID the outermost container of the engine whose id that path names; without Cgroup
// nothing is known of where the process runs. Gone says that it had ended before /proc was read, or that
// its PID is another process's by now.
type GPUProcess struct {
	PID                int      `json:"pid"`
	Kinds              []string `json:"kinds"` // compute, graphics, mps
	Name               string   `json:"name,omitempty"`
	MemoryUsedBytes    *uint64  `json:"memoryUsedBytes,omitempty"` // nil on Windows and WSL2: NVML does not know it
	GPUUtilPercent     *uint32  `json:"gpuUtilPercent,omitempty"`  // of the last two seconds; nil with MIG: NVML tells of its devices alone
	MemoryUtilPercent  *uint32  `json:"memoryUtilPercent,omitempty"`
	EncoderUtilPercent *uint32  `json:"encoderUtilPercent,omitempty"`
	DecoderUtilPercent *uint32  `json:"decoderUtilPercent,omitempty"`
	Cgroup             string   `json:"cgroup,omitempty"`
	ContainerID        string   `json:"containerId,omitempty"`
	GPUInstanceID      *int     `json:"gpuInstanceId,omitempty"` // of the MIG device that it holds
	ComputeInstanceID  *int     `json:"computeInstanceId,omitempty"`
	Gone               bool     `json:"gone,omitempty"`
}
