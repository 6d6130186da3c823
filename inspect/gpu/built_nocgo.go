//go:build !cgo || !linux

package gpu

// Built tells if this build can load NVML.
const Built = false
