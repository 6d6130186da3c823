//go:build !cgo || !linux

package inspect

import "context"

// AnswerNVML has no NVML to ask in a build without cgo.
func AnswerNVML(context.Context) *NVMLAnswer {
	return &NVMLAnswer{Absent: "this build of docker gpu has no NVML"}
}
