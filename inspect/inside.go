package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Inside is what a container has of GPUs, seen by a process in it or through /proc of its machine: not
// what it was configured with, but what is there now.
type Inside struct {
	Kind           string       `json:"kind,omitempty"` // docker, podman, kubernetes, lxc
	DeviceNodes    []DeviceNode `json:"deviceNodes"`    // nil: not known
	Opened         []DeviceOpen `json:"opened,omitempty"`
	DriverMounts   []string     `json:"driverMounts"`             // where libraries and tools of the driver are mounted; nil: not known
	LibraryVersion string       `json:"libraryVersion,omitempty"` // what the names of the mounted libraries end in
	DeviceRules    []string     `json:"deviceRules"`              // of the device cgroup: "c 195:* rwm"; nil: not known, as always with cgroup v2
	Asks           *Asks        `json:"asks,omitempty"`           // the environment of a process in it; nil: see the container's own
	Denied         string       `json:"denied,omitempty"`         // why it could not be looked into
}

// DeviceOpen is what opening a device node for reading and writing gave: Error is the system's name of
// the error (EPERM, EACCES, ENXIO, EIO), "timeout" where the driver did not answer, empty where it opened.
type DeviceOpen struct {
	Path  string `json:"path"`
	Error string `json:"error,omitempty"`
}

// InsideSource looks at the container that this process runs in.
var InsideSource = Source{Name: "inside", Local: false, Read: func(ctx context.Context, m Machine) (Patch, error) {
	kind, known := ContainerAround(m.Root)
	if !known {
		return nil, fmt.Errorf("a container around this process: %w", ErrAbsent)
	}
	in := &Inside{Kind: kind, Asks: asksOfEnvironment(m.Environ)}
	var nodesErr error
	in.DeviceNodes, _, nodesErr = readDeviceNodes(m.Root)
	in.DeviceNodes = slices.DeleteFunc(in.DeviceNodes, func(n DeviceNode) bool { return strings.HasPrefix(n.Path, "/dev/dri/") })
	mounts, err := m.Root.ReadFile("/proc/self/mountinfo")
	if err == nil {
		in.DriverMounts, in.LibraryVersion = driverMounts(mounts)
	}
	err = errors.Join(err, nodesErr)
	if m.Open != nil {
		opened, openErr := openNodes(ctx, m, in.DeviceNodes)
		in.Opened, err = opened, errors.Join(err, openErr)
	}
	return func(s *Snapshot) { s.Inside = in }, err
}}

// openNodes opens the nodes of GPUs and their driver below the machine's root.
func openNodes(ctx context.Context, m Machine, nodes []DeviceNode) ([]DeviceOpen, error) {
	var names, paths []string
	for _, n := range nodes {
		if !n.Device || strings.HasPrefix(n.Path, "/dev/nvidia-caps/") {
			continue
		}
		if at, err := m.Root.Path(n.Path); err == nil {
			names, paths = append(names, n.Path), append(paths, at)
		}
	}
	if len(paths) == 0 {
		return nil, nil
	}
	opened, err := m.Open(ctx, paths)
	for i := range opened {
		if at := slices.Index(paths, opened[i].Path); at >= 0 {
			opened[i].Path = names[at]
		}
	}
	return opened, err
}

// asksOfEnvironment reads what the environment asks for. In a HEALTHCHECK and by docker exec it is the
// container's configured one; the first process of a CDI container reads void.
func asksOfEnvironment(environ func() []string) *Asks {
	a := &Asks{}
	if environ == nil {
		return a
	}
	env := environ()
	if v, set := variable(env, "NVIDIA_VISIBLE_DEVICES"); set {
		a.VisibleDevices = &v
	}
	if v, set := variable(env, "NVIDIA_DRIVER_CAPABILITIES"); set {
		a.DriverCapabilities = &v
	}
	if v, set := variable(env, "CUDA_VERSION"); set && v != "" {
		_, requires := variable(env, "NVIDIA_REQUIRE_CUDA")
		a.CUDAVersion, a.LegacyImage = v, !requires
	}
	return a
}

// ContainerAround says in what kind of container this process runs. The marks that engines leave
// (/.dockerenv) are no proof: images that were exported and booted keep them. The files that an engine
// mounts are, and so is a PID namespace that is not the kernel's first.
func ContainerAround(root Root) (kind string, around bool) {
	mounts, _ := root.ReadFile("/proc/self/mountinfo")
	for m := range mountPoints(mounts) {
		switch m.point {
		case "/etc/hosts", "/etc/hostname", "/etc/resolv.conf":
			for segment := range strings.SplitSeq(m.root, "/") {
				if len(ContainerIDs(segment)) > 0 && !strings.Contains(m.root, "/overlay-containers/") {
					return "docker", true
				}
			}
			if strings.Contains(m.root, "/overlay-containers/") || strings.Contains(m.root, "/containers/storage/") {
				return "podman", true
			}
			if strings.Contains(m.root, "/pods/") {
				return "kubernetes", true
			}
		case "/run/.containerenv":
			return "podman", true
		case "/dev/termination-log":
			return "kubernetes", true
		}
	}
	const firstNamespace = "pid:[4026531836]" // PROC_PID_INIT_INO
	namespace, err := root.Readlink("/proc/self/ns/pid")
	if kind := containerKind(root); kind != "" && err == nil && namespace != firstNamespace {
		return kind, true
	}
	return "", false
}

type mountPoint struct{ root, point string }

// mountPoints reads the lines of /proc/PID/mountinfo (proc_pid_mountinfo(5)): id, parent, device, root,
// mount point; blanks in them are written as octal.
func mountPoints(data []byte) func(func(mountPoint) bool) {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	return func(yield func(mountPoint) bool) {
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) >= 5 && !yield(mountPoint{unescape.Replace(fields[3]), unescape.Replace(fields[4])}) {
				return
			}
		}
	}
}

// mostMounts bounds the mounts that are kept: a driver has about forty libraries.
const mostMounts = 256

// driverMounts are the mounts by which the toolkit brings the driver into a container, and the version
// that the libraries' names end in.
func driverMounts(mountinfo []byte) (points []string, version string) {
	points = []string{}
	for m := range mountPoints(mountinfo) {
		if !isDriverMount(m.point) || len(points) >= mostMounts {
			continue
		}
		points = append(points, bounded(m.point))
		for _, name := range []string{path.Base(m.point), path.Base(m.root)} {
			if _, v, ok := strings.Cut(name, ".so."); ok && strings.Count(v, ".") >= 1 && isDigits(strings.ReplaceAll(v, ".", "")) && version == "" {
				version = v
			}
		}
	}
	slices.Sort(points)
	return slices.Compact(points), version
}

func isDriverMount(point string) bool {
	base := path.Base(point)
	for _, folder := range []string{"/proc/driver/nvidia", "/dev/nvidia", "/usr/lib/firmware/nvidia", "/lib/firmware/nvidia", "/run/nvidia-persistenced", "/run/nvidia-fabricmanager", "/var/run/nvidia-persistenced", "/usr/lib/wsl/"} {
		if strings.HasPrefix(point, folder) {
			return true
		}
	}
	for _, start := range []string{"libcuda.so", "libcudadebugger.so", "libnvidia-", "libnvcuvid.so", "libnvoptix.so", "libGLX_nvidia.so", "libEGL_nvidia.so",
		"nvidia-smi", "nvidia-debugdump", "nvidia-persistenced", "nvidia-cuda-mps-", "nv-fabricmanager"} {
		if strings.HasPrefix(base, start) {
			return true
		}
	}
	return point == "/dev/dxg" || strings.Contains(base, "_nvidia.so")
}

// InsidesSource looks into the wanted containers through /proc/PID of their first process: no program
// has to be in them. Where /proc may not be read, that is what the container's Inside says.
func InsidesSource(wanted func(*Container) bool) Source {
	return Source{Name: "insides", Then: func(s *Snapshot) func(context.Context, Machine) (Patch, error) {
		if s.Engine == nil || s.Engine.Location != "local" {
			return nil
		}
		type target struct {
			id  string
			pid int
		}
		var targets []target
		for i := range s.Containers {
			if c := &s.Containers[i]; c.PID > 0 && wanted(c) {
				targets = append(targets, target{c.ID, c.PID})
			}
		}
		if len(targets) == 0 {
			return nil
		}
		return func(ctx context.Context, m Machine) (Patch, error) {
			found := map[string]*Inside{}
			var mu sync.Mutex
			var wg sync.WaitGroup
			slots := make(chan struct{}, inspectAtOnce)
			for _, t := range targets {
				wg.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					in := lookInside(m.Root, t.id, t.pid)
					mu.Lock()
					defer mu.Unlock()
					found[t.id] = in
				})
			}
			wg.Wait()
			return func(s *Snapshot) {
				for i := range s.Containers {
					if in, ok := found[s.Containers[i].ID]; ok {
						s.Containers[i].Inside = in
					}
				}
			}, nil
		}
	}}
}

func lookInside(root Root, id string, pid int) *Inside {
	folder := "/proc/" + strconv.Itoa(pid)
	in := &Inside{Kind: "docker"}
	cgroup, cgroupErr := root.ReadFile(folder + "/cgroup")
	in.DeviceRules = deviceRules(root, cgroup)
	mounts, err := root.ReadFile(folder + "/mountinfo")
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(cgroupErr, fs.ErrNotExist):
		in.Denied = "its first process is not to be seen in /proc"
		return in
	case err != nil:
		in.Denied = "to see into a container needs root"
		return in
	case !slices.Contains(ContainerIDs(processCgroup(cgroup)), id) && !strings.Contains(string(mounts), "/"+id+"/"):
		in.Denied = "/proc is not that of the engine's machine"
		in.DeviceRules = nil
		return in
	}
	within, err := root.parent(folder + "/root")
	if err == nil {
		_, err = Root(within).Stat("/dev")
	}
	if err != nil {
		in.Denied = "to see into a container needs root"
		return in
	}
	in.DriverMounts, in.LibraryVersion = driverMounts(mounts)
	in.DeviceNodes, _, err = readDeviceNodes(Root(within))
	if err != nil {
		in.Denied = "its devices cannot be listed"
	}
	in.DeviceNodes = slices.DeleteFunc(in.DeviceNodes, func(n DeviceNode) bool { return strings.HasPrefix(n.Path, "/dev/dri/") })
	return in
}

// deviceRules are those of the process's device cgroup with cgroup v1, whose file everybody may read; v2
// keeps them in a program of the kernel's.
func deviceRules(root Root, cgroup []byte) []string {
	for line := range strings.Lines(string(cgroup)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, at, _ := strings.Cut(rest, ":")
		if !slices.Contains(strings.Split(controllers, ","), "devices") {
			continue
		}
		data, err := root.ReadFile(path.Join("/sys/fs/cgroup/devices", at, "devices.list"))
		if err != nil {
			return nil
		}
		rules := []string{}
		for rule := range strings.Lines(string(data)) {
			if rule = strings.TrimSpace(rule); rule != "" && len(rules) < mostMounts {
				rules = append(rules, bounded(rule))
			}
		}
		return rules
	}
	return nil
}
