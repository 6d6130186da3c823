package inspect

// NVMLAnswer is one reading of NVML: what the child process writes and the parent reads.
type NVMLAnswer struct {
	Driver *Driver `json:"driver,omitempty"`
	GPUs   []GPU   `json:"gpus"`
}
