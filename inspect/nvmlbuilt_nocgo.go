//go:build !cgo || !linux

package inspect

// NVMLBuilt tells if this build can load NVML.
const NVMLBuilt = false
