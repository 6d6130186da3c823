package fixes

import (
	"path"
	"strconv"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// A Way is one way for a container to get a GPU from this engine.
type Way int

// A way is open, closed, or could not be seen from here.
const (
	WayUnknown Way = iota
	WayClosed
	WayOpen
)

// Ways are the three ways by which an engine gives GPUs to containers.
type Ways struct {
	GPUsFlag Way // --gpus, compose gpus: and device reservations
	Runtime  Way // --runtime nvidia, or the default runtime
	CDI      Way // --device nvidia.com/gpu=…
	Devices  int // CDI devices of nvidia.com/gpu, "all" not counted
}

// Any tells if one of the ways is open.
func (w Ways) Any() bool { return w.GPUsFlag == WayOpen || w.Runtime == WayOpen || w.CDI == WayOpen }

// Names lists the open ways.
func (w Ways) Names() string {
	var names []string
	for _, way := range []struct {
		name string
		way  Way
	}{{"--gpus", w.GPUsFlag}, {"the nvidia runtime", w.Runtime}, {"CDI", w.CDI}} {
		if way.way == WayOpen {
			names = append(names, way.name)
		}
	}
	return strings.Join(names, ", ")
}

// Passthrough says which ways are open on the Snapshot's engine.
//
// --gpus needs the hook's binary on the engine's PATH (looked up when the engine starts), which calls
// nvidia-container-cli, and from
// engine 29.2 on a CDI specification will do as well
// (https://github.com/moby/moby/blob/docker-v29.7.2/daemon/devices_nvidia_linux.go). CDI is opt-in from
// 25.0 to 28.1 and on by default from 28.2.
func Passthrough(s *inspect.Snapshot) Ways {
	var w Ways
	e := s.Engine
	if e == nil || e.Version == "" {
		return w
	}
	w.Runtime = WayClosed
	for name, r := range e.Runtimes {
		if name == "nvidia" || strings.HasPrefix(path.Base(r.Path), "nvidia-container-runtime") {
			if runtimeThere(s, r) {
				w.Runtime = WayOpen
			}
		}
	}
	devices := cdiGPUs(s)
	w.Devices = countDevices(devices)
	switch {
	case !engineDoesCDI(e):
		w.CDI = WayClosed
	case len(devices) > 0:
		w.CDI = WayOpen
	case s.CDI != nil || len(e.DiscoveredDevices) > 0:
		w.CDI = WayClosed
	}
	switch {
	case s.Toolkit != nil && (hasBinary(s.Toolkit, "nvidia-container-runtime-hook") || hasBinary(s.Toolkit, "nvidia-container-toolkit")) && hasBinary(s.Toolkit, "nvidia-container-cli"):
		w.GPUsFlag = WayOpen
	case w.CDI == WayOpen && engineAtLeast(e, "29.2"):
		w.GPUsFlag = WayOpen
	case s.Toolkit != nil:
		w.GPUsFlag = WayClosed
	}
	return w
}

// runtimeThere tells if the program of a registered runtime is there. A name without folder is looked up
// on the engine's own PATH: it counts as missing only where no program of the toolkit was found.
func runtimeThere(s *inspect.Snapshot, r inspect.Runtime) bool {
	switch {
	case r.Exists != nil:
		return *r.Exists
	case r.Path == "" || path.IsAbs(r.Path) || s.Toolkit == nil:
		return true
	}
	return s.Toolkit.Installed
}

// cdiGPUs are the names nvidia.com/gpu=… that the engine lists or, where it lists none, that the CDI
// folders hold.
func cdiGPUs(s *inspect.Snapshot) []string {
	var names []string
	for _, d := range s.Engine.DiscoveredDevices {
		if isNVIDIACDI(d) {
			names = append(names, d.ID)
		}
	}
	if len(names) == 0 && s.CDI != nil {
		for _, d := range s.CDI.Devices {
			if strings.HasPrefix(d, "nvidia.com/gpu=") {
				names = append(names, d)
			}
		}
	}
	return names
}

// countDevices counts GPUs, not names: nvidia-ctk names each by its index and again by its UUID, and all of them by
// "all".
func countDevices(names []string) int {
	byIndex, byUUID := 0, 0
	for _, name := range names {
		switch _, device, _ := strings.Cut(name, "="); {
		case device == "all":
		case strings.HasPrefix(device, "GPU-") || strings.HasPrefix(device, "MIG-"):
			byUUID++
		default:
			byIndex++
		}
	}
	return max(byIndex, byUUID)
}

// engineDoesCDI: an explicit feature wins; else the engine's version decides; folders that it names
// prove that CDI is on.
func engineDoesCDI(e *inspect.Engine) bool {
	if on, set := e.Features["cdi"]; set {
		return on
	}
	if e.CDIDirs != nil { // the engine says it itself, and its features only in daemon.json
		return len(e.CDIDirs) > 0
	}
	return engineAtLeast(e, "28.2")
}

// engineAtLeast compares the engine's version, which is no number in builds from source; those are
// judged by their API version instead (1.50 came with 28.2, 1.54 with 29.2).
func engineAtLeast(e *inspect.Engine, version string) bool {
	if e.Version != "" && e.Version[0] >= '0' && e.Version[0] <= '9' {
		return compareDotted(e.Version, version) >= 0
	}
	api := map[string]string{"28.2": "1.50", "29.2": "1.53"}[version]
	return api != "" && e.APIVersionMax != "" && compareDotted(e.APIVersionMax, api) >= 0
}

// compareDotted compares dotted numbers part by part; what follows the digits of a part is ignored.
// Driver versions such as 535.104.05 are no semantic versions.
func compareDotted(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if d := part(as, i) - part(bs, i); d != 0 {
			if d < 0 {
				return -1
			}
			return 1
		}
	}
	return 0
}

func part(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	digits := parts[i]
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = digits[:end]
	}
	n, _ := strconv.Atoi(digits)
	return n
}
