//go:build !cgo || !linux

package gpu

// nvmlSession has no NVML to ask in a build without cgo.
type nvmlSession struct{}

func newNVMLSession() *nvmlSession { return &nvmlSession{} }

func (*nvmlSession) answer(request) *Answer {
	return &Answer{Absent: "this build of docker gpu has no NVML"}
}

func (*nvmlSession) figuresAlone(Moving) ([]GPU, bool) { return nil, false }

func (*nvmlSession) stop() {}
