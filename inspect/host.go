package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HostSource reads the machine and its operating system from /etc, /proc, /sys and /dev.
var HostSource = Source{Name: "host", Local: true, Read: func(ctx context.Context, m Machine) (Patch, error) {
	return readHost(m, func() []Package { return readPackages(ctx, m) })
}}

// BareHostSource reads the host without its packages, for commands that show none: their lists are long, and where they
// are rpm's, a program has to be started for them.
var BareHostSource = Source{Name: "host", Local: true, Read: func(_ context.Context, m Machine) (Patch, error) {
	return readHost(m, func() []Package { return nil })
}}

func readHost(m Machine, packages func() []Package) (Patch, error) {
	h := &Host{Architecture: runtime.GOARCH, OS: runtime.GOOS}
	if runtime.GOOS != "linux" {
		return func(s *Snapshot) { s.Host = h }, nil
	}
	var errs []error
	read := func(name string) []byte { // of what is there, what cannot be read is told
		data, err := m.Root.ReadFile(name)
		errs = append(errs, unread(err))
		return data
	}
	line := func(name string) string {
		text, _, _ := strings.Cut(string(read(name)), "\n")
		return strings.TrimSpace(text)
	}
	osRelease := read("/etc/os-release")
	if osRelease == nil {
		osRelease = read("/usr/lib/os-release")
	}
	release := parseOSRelease(osRelease)
	h.OS, h.OSID, h.OSVersion = release["PRETTY_NAME"], release["ID"], release["VERSION_ID"]
	h.Name = line("/proc/sys/kernel/hostname")
	h.Kernel = line("/proc/sys/kernel/osrelease")
	h.Init = m.Root.ReadLine("/proc/1/comm")
	meminfo := read("/proc/meminfo")
	h.MemoryTotalBytes, h.MemoryAvailableBytes = memInfo(meminfo, "MemTotal"), memInfo(meminfo, "MemAvailable")
	cpuinfo := read("/proc/cpuinfo")
	h.CPUs = bytes.Count(cpuinfo, []byte("\nprocessor")) + min(1, bytes.Count(cpuinfo[:min(9, len(cpuinfo))], []byte("processor")))
	h.BootedAt = bootTime(m.Root)
	h.WSL = readWSL(m.Root, h.Kernel)
	h.Virtualization = virtualization(m.Root, h.WSL, cpuinfo)
	h.Container = containerKind(m.Root)
	h.SELinux = map[string]string{"1": "enforcing", "0": "permissive"}[m.Root.ReadLine("/sys/fs/selinux/enforce")]
	if on := m.Root.ReadLine("/sys/module/apparmor/parameters/enabled"); on != "" {
		h.AppArmor = ptr(on == "Y")
	}
	// The variable's first four bytes are its attributes (https://docs.kernel.org/filesystems/efivarfs.html).
	if v, err := m.Root.ReadFile("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"); err == nil && len(v) == 5 {
		h.SecureBoot = ptr(v[4] == 1)
	}
	if _, after, ok := strings.Cut(m.Root.ReadLine("/sys/kernel/security/lockdown"), "["); ok {
		h.Lockdown, _, _ = strings.Cut(after, "]")
	}
	switch {
	case m.Root.Exists("/sys/fs/cgroup/cgroup.controllers"):
		h.CgroupVersion = 2
	case m.Root.Exists("/sys/fs/cgroup"):
		h.CgroupVersion = 1
	}
	var err error
	if h.PCI, err = readPCI(m.Root); err != nil {
		errs = append(errs, err)
	}
	if h.Modules, err = readModules(m.Root); err != nil {
		errs = append(errs, err)
	}
	h.ModulesAvailable = modulesAvailable(m.Root, h.Kernel)
	if h.DeviceNodes, h.CharLinks, err = readDeviceNodes(m.Root); err != nil {
		errs = append(errs, err)
	}
	h.Libraries = readLibraries(m.Root)
	h.Daemons = readDaemons(m.Root)
	h.User = currentUser()
	h.Packages = packages()
	return func(s *Snapshot) { s.Host = h }, errors.Join(errs...)
}

// DeviceNodesSource reads no more of the host than its name and the device nodes of GPUs, which decide what a
// privileged container sees; for commands that show nothing else of the host.
var DeviceNodesSource = Source{Name: "device-nodes", Local: true, Read: func(_ context.Context, m Machine) (Patch, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("device nodes of GPUs: %w", ErrAbsent)
	}
	name := m.Root.ReadLine("/proc/sys/kernel/hostname")
	nodes, _, err := readDeviceNodes(m.Root)
	return func(s *Snapshot) {
		if s.Host == nil {
			s.Host = &Host{}
		}
		s.Host.Name, s.Host.DeviceNodes = name, nodes
	}, err
}}

func ptr[T any](v T) *T { return &v }

// parseOSRelease reads the KEY=value lines of os-release(5).
func parseOSRelease(data []byte) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if plain, err := strconv.Unquote(value); err == nil {
			value = plain
		}
		values[key] = strings.Trim(value, `'"`)
	}
	return values
}

// memInfo is a figure of /proc/meminfo, which counts in KiB.
func memInfo(data []byte, key string) *uint64 {
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			if kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 54); err == nil {
				return ptr(kib << 10)
			}
		}
	}
	return nil
}

func bootTime(root Root) *time.Time {
	data, err := root.ReadFile("/proc/stat")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "btime "); ok {
			if sec, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); err == nil {
				return ptr(time.Unix(sec, 0).UTC())
			}
		}
	}
	return nil
}

// readWSL: Microsoft's kernels say so in their release; only version 2 has a kernel of its own
// ("…-microsoft-standard-WSL2"), version 1 says "Microsoft" with a capital.
func readWSL(root Root, kernel string) *WSL {
	if !strings.Contains(strings.ToLower(kernel), "microsoft") {
		return nil
	}
	w := &WSL{Version: 2}
	if strings.Contains(kernel, "Microsoft") {
		w.Version = 1
	}
	w.DXG = root.Exists("/dev/dxg")
	w.Libraries = root.Exists("/usr/lib/wsl/lib/libdxcore.so")
	w.NVIDIALib = root.Exists("/usr/lib/wsl/lib/libnvidia-ml.so.1") || root.Exists("/usr/lib/wsl/lib/libcuda.so.1")
	return w
}

func virtualization(root Root, wsl *WSL, cpuinfo []byte) string {
	if wsl != nil {
		return "microsoft"
	}
	vendor := strings.ToLower(root.ReadLine("/sys/class/dmi/id/sys_vendor") + " " + root.ReadLine("/sys/class/dmi/id/product_name"))
	for _, known := range [][2]string{{"qemu", "kvm"}, {"kvm", "kvm"}, {"vmware", "vmware"}, {"virtualbox", "virtualbox"}, {"innotek", "virtualbox"},
		{"microsoft corporation virtual", "microsoft"}, {"xen", "xen"}, {"amazon ec2", "amazon"}, {"google compute", "google"}, {"parallels", "parallels"}} {
		if strings.Contains(vendor, known[0]) {
			return known[1]
		}
	}
	if kind := root.ReadLine("/sys/hypervisor/type"); kind != "" {
		return kind
	}
	for line := range strings.Lines(string(cpuinfo)) {
		if strings.HasPrefix(line, "flags") {
			if slices.Contains(strings.Fields(line), "hypervisor") {
				return "unknown"
			}
			return "none"
		}
	}
	return ""
}

// containerKind says what kind of container this process runs in, by the marks that engines leave. The mark alone
// does not make one: the disk of a virtual machine may have been made from an image.
func containerKind(root Root) string {
	mounts, _ := root.ReadFile("/proc/self/mountinfo")
	if ownsRoot(string(mounts)) {
		return ""
	}
	switch {
	case root.Exists("/run/.containerenv"):
		return "podman"
	case root.Exists("/var/run/secrets/kubernetes.io"):
		return "kubernetes"
	case root.Exists("/.dockerenv"):
		return "docker"
	}
	env, _ := root.ReadFile("/proc/1/environ")
	if bytes.Contains(env, []byte("container=lxc")) {
		return "lxc"
	}
	return ""
}

// ownsRoot tells by /proc/self/mountinfo if the root folder is a file system of its own on a disk, as on a machine,
// and not a folder of one or an overlay, as in a container.
func ownsRoot(mounts string) bool {
	for line := range strings.Lines(mounts) { // id parent major:minor root mountpoint options… - type source options
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[4] != "/" {
			continue
		}
		_, rest, _ := strings.Cut(line, " - ")
		kind, source, _ := strings.Cut(rest, " ")
		return fields[3] == "/" && !strings.Contains(kind, "overlay") && strings.HasPrefix(source, "/dev/") && !strings.HasPrefix(source, "/dev/fuse") && !strings.HasPrefix(source, "/dev/mapper/docker-")
	}
	return false
}

// readPCI lists the display functions (class 03xxxx) of vendor 10de.
func readPCI(root Root) ([]PCIDevice, error) {
	const folder = "/sys/bus/pci/devices"
	entries, err := root.ReadDir(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist): // a machine without PCI bus, as WSL2 and small VMs are
		if root.Exists("/sys/bus") {
			return []PCIDevice{}, nil
		}
		return nil, nil
	case err != nil:
		return nil, err
	}
	found := []PCIDevice{}
	for _, entry := range entries {
		at := path.Join(folder, entry.Name())
		vendor, err := root.ReadFile(at + "/vendor")
		text, classErr := root.ReadFile(at + "/class")
		if err = errors.Join(unread(err), unread(classErr)); err != nil { // it may be a GPU
			return nil, err
		}
		class := strings.TrimSpace(string(text))
		if strings.TrimSpace(string(vendor)) != "0x10de" || !strings.HasPrefix(class, "0x03") {
			continue
		}
		d := PCIDevice{BusID: entry.Name(), DeviceID: strings.TrimPrefix(root.ReadLine(at+"/device"), "0x"), Class: strings.TrimPrefix(class, "0x")}
		if driver, err := root.Readlink(at + "/driver"); err == nil {
			d.Driver = path.Base(driver)
		}
		if node, err := strconv.Atoi(root.ReadLine(at + "/numa_node")); err == nil && node >= 0 {
			d.NUMANode = &node
		}
		found = append(found, d)
	}
	return found, nil
}

// gpuModules are the kernel modules that decide who drives the card.
var gpuModules = []string{"nvidia", "nvidia_uvm", "nvidia_modeset", "nvidia_drm", "nvidia_peermem", "nouveau", "nova_core", "nova_drm", "vfio_pci"}

func readModules(root Root) ([]Module, error) {
	data, err := root.ReadFile("/proc/modules")
	if errors.Is(err, fs.ErrNotExist) { // a kernel without loadable modules
		return []Module{}, nil
	}
	if err != nil {
		return nil, err
	}
	modules := parseModules(data)
	for i := range modules {
		modules[i].Version = root.ReadLine("/sys/module/" + modules[i].Name + "/version")
	}
	return modules, nil
}

// parseModules reads the GPUs' modules from /proc/modules: name size uses users state address.
func parseModules(data []byte) []Module {
	modules := []Module{}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 5 || !slices.Contains(gpuModules, fields[0]) {
			continue
		}
		module := Module{Name: fields[0], State: fields[4]}
		if uses, err := strconv.Atoi(fields[2]); err == nil {
			module.InUse = &uses
		}
		modules = append(modules, module)
	}
	return modules
}

// modulesAvailable lists the nvidia modules built for the running kernel, from modules.dep(5).
func modulesAvailable(root Root, kernel string) []Module {
	if kernel == "" || strings.Contains(kernel, "/") {
		return nil
	}
	data, err := root.ReadFile("/lib/modules/" + kernel + "/modules.dep")
	if err != nil {
		return nil
	}
	modules := []Module{}
	for line := range strings.Lines(string(data)) {
		file, _, _ := strings.Cut(line, ":")
		base, _, _ := strings.Cut(path.Base(file), ".ko")
		if file != "" && base == "nvidia" {
			modules = append(modules, Module{Name: base, Path: path.Join("/lib/modules", kernel, file)})
		}
	}
	return modules
}

// driverLibraries are those by whose version a container and the driver have to agree.
var driverLibraries = []string{"libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1"}

func readLibraries(root Root) []Library {
	libraries := []Library{}
	for _, folder := range loaderFolders(root) {
		for _, name := range driverLibraries {
			at, err := root.Path(folder + "/" + name)
			if err != nil || !root.Exists(folder+"/"+name) {
				continue
			}
			library := Library{Name: name, Path: folder + "/" + name}
			if _, version, ok := strings.Cut(path.Base(resolved(root, at, folder+"/"+name)), ".so."); ok && strings.Contains(version, ".") {
				library.Version = version
			}
			libraries = append(libraries, library)
		}
	}
	return libraries
}

// loaderFolders are those in which the loader looks: its defaults, what ld.so.conf adds, and where NVIDIA's driver
// containers and NixOS keep the driver.
func loaderFolders(root Root) []string {
	folders := []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/lib/wsl/lib",
		"/usr/lib/x86_64-linux-gnu/nvidia/current", "/usr/local/nvidia/lib64", "/run/opengl-driver/lib"}
	for _, file := range append([]string{"/etc/ld.so.conf"}, root.Glob("/etc/ld.so.conf.d/*.conf")...) {
		data, _ := root.ReadFile(file)
		for line := range strings.Lines(string(data)) {
			folder := path.Clean(strings.TrimSpace(line))
			if path.IsAbs(folder) && !strings.HasPrefix(folder, "/lib/") && !slices.Contains(folders, folder) { // /lib is a link to /usr/lib
				folders = append(folders, folder)
			}
		}
	}
	return folders
}

// resolved is the file that a library's name leads to: its name ends in the driver's version.
func resolved(root Root, at, name string) string {
	if root == "" || root == "/" {
		if target, err := root.Readlink(name); err == nil {
			return target
		}
	}
	return at
}

func readDaemons(root Root) []Daemon {
	daemons := []Daemon{}
	for _, known := range []struct {
		name, comm    string
		sockets, pids []string
	}{
		{"nvidia-persistenced", "nvidia-persiste", []string{"/run/nvidia-persistenced/socket", "/var/run/nvidia-persistenced/socket"}, []string{"/run/nvidia-persistenced/nvidia-persistenced.pid"}},
		{"nvidia-fabricmanager", "nv-fabricmanage", nil, []string{"/run/nvidia-fabricmanager/nv-fabricmanager.pid", "/var/run/nvidia-fabricmanager/nv-fabricmanager.pid"}},
		{"nvidia-cuda-mps-control", "nvidia-cuda-mps", []string{"/tmp/nvidia-mps/control"}, []string{"/tmp/nvidia-mps/nvidia-cuda-mps-control.pid"}},
	} {
		d := Daemon{Name: known.name}
		for _, socket := range known.sockets {
			if d.Socket == "" && root.Exists(socket) {
				d.Socket = socket
			}
		}
		for _, file := range known.pids {
			if pid, err := strconv.Atoi(root.ReadLine(file)); err == nil && pid > 0 && d.PIDFile == "" {
				d.PIDFile, d.PID = file, pid
				comm := root.ReadLine("/proc/" + strconv.Itoa(pid) + "/comm")
				d.Running = ptr(strings.HasPrefix(comm, known.comm))
			}
		}
		if d.Socket != "" || d.PIDFile != "" {
			daemons = append(daemons, d)
		}
	}
	return daemons
}

func currentUser() *User {
	gids, err := os.Getgroups()
	if err != nil {
		gids = nil
	}
	if gid := os.Getgid(); gid >= 0 && !slices.Contains(gids, gid) {
		gids = append(gids, gid)
	}
	return &User{UID: os.Getuid(), GIDs: gids}
}
