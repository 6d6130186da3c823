//go:build !cgo || !linux

package inspect

// nvmlSession has no NVML to ask in a build without cgo.
type nvmlSession struct{}

func newNVMLSession() *nvmlSession { return &nvmlSession{} }

func (*nvmlSession) answer(nvmlRequest) *NVMLAnswer {
	return &NVMLAnswer{Absent: "this build of docker gpu has no NVML"}
}

func (*nvmlSession) stop() {}
