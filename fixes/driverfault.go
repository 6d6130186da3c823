package fixes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// A fault is the one thing that stands between the GPU and those who want it, with what proves it. Judge
// and the checks decide by the same functions, so they cannot disagree.
type fault struct {
	id       ID
	evidence []Evidence
	severity Severity // empty: the knowledge table's
}

func because(id ID, evidence ...Evidence) fault { return fault{id: id, evidence: evidence} }

// is turns the fault into the finding of id, if that is what it is.
func (f fault) is(id ID) []Finding {
	if f.id != id {
		return nil
	}
	found := NewFinding(id, f.evidence...)
	if f.severity != "" {
		found.Severity = f.severity
	}
	return []Finding{found}
}

func saw(source, format string, args ...any) Evidence {
	return Evidence{Source: source, Text: fmt.Sprintf(format, args...)}
}

// driverFault finds what keeps the driver of the engine's machine from working. It needs the machine's
// own facts: where they were not read there is no fault.
func driverFault(s *inspect.Snapshot) fault {
	h := s.Host
	if h == nil {
		return fault{}
	}
	if h.WSL != nil {
		return wslFault(s)
	}
	d := s.Driver
	if d != nil && strings.Contains(strings.ToLower(d.NVMLError), "version mismatch") {
		f := because("driver-library-version-mismatch", saw("nvml", "%s", d.NVMLError))
		if d.ModuleVersion != "" {
			f.evidence = append(f.evidence, saw("/proc/driver/nvidia/version", "kernel module %s", d.ModuleVersion))
		}
		for _, l := range h.Libraries {
			if l.Version != "" && l.Version != d.ModuleVersion {
				f.evidence = append(f.evidence, saw(l.Path, "%s", l.Version))
			}
		}
		return f
	}
	if d != nil && d.ModuleVersion != "" && d.LibraryVersion != "" && d.ModuleVersion != d.LibraryVersion {
		return because("driver-library-version-mismatch", saw("/proc/driver/nvidia/version", "kernel module %s", d.ModuleVersion), saw("nvml", "library %s", d.LibraryVersion))
	}
	if len(h.PCI) == 0 { // none there or not known
		return fault{}
	}
	if moduleLoaded(s) {
		return toolsFault(s)
	}
	return moduleFault(s)
}

// moduleFault: there is a card, and nvidia's module is not loaded.
func moduleFault(s *inspect.Snapshot) fault {
	h := s.Host
	bound := map[string]string{}
	for _, p := range h.PCI {
		if p.Driver != "" && p.Driver != "nvidia" {
			bound[p.Driver] = p.BusID
		}
	}
	if at, ok := bound["nouveau"]; ok {
		return because("nouveau-loaded", saw("/sys/bus/pci", "%s is driven by nouveau", at))
	}
	if len(bound) == len(h.PCI) || len(bound) > 0 && !slices.ContainsFunc(h.PCI, func(p inspect.PCIDevice) bool { return p.Driver == "" || p.Driver == "nvidia" }) {
		for driver, at := range bound {
			return because("other-driver-bound", saw("/sys/bus/pci", "%s is driven by %s", at, driver))
		}
	}
	if slices.ContainsFunc(h.PCI, func(p inspect.PCIDevice) bool { return p.Driver == "nvidia" }) || s.Driver != nil && s.Driver.ModuleVersion != "" || source(s, "driver").Denied || h.Modules == nil {
		return fault{} // bound to it after all, or not seen
	}
	if slices.ContainsFunc(h.Modules, func(m inspect.Module) bool { return m.Name == "nouveau" }) {
		return because("nouveau-loaded", saw("/proc/modules", "nouveau is loaded, nvidia is not"))
	}
	card := saw("/sys/bus/pci", "%s: NVIDIA device %s, no driver bound", h.PCI[0].BusID, h.PCI[0].DeviceID)
	for _, line := range s.KernelLog {
		if line.Kind == "module" && refusedBySecureBoot(line.Text) {
			return because("secure-boot-blocks-module", Evidence{Source: "kernel log", Text: line.Text}, card)
		}
	}
	built := slices.ContainsFunc(h.ModulesAvailable, func(m inspect.Module) bool { return m.Name == "nvidia" })
	switch installed := driverInstalled(h); {
	case built && h.SecureBoot != nil && *h.SecureBoot && lockedDown(h):
		return because("secure-boot-blocks-module", saw("/sys/firmware/efi", "Secure Boot is on; nvidia is built for %s and is not loaded", h.Kernel), card)
	case built:
		return because("driver-module-not-loaded", saw("/proc/modules", "nvidia is not loaded"), saw("/lib/modules/"+h.Kernel, "nvidia is there"), card)
	case installed != "" && h.ModulesAvailable != nil:
		return because("driver-dkms-not-built", saw("/lib/modules/"+h.Kernel, "no nvidia module for the running kernel %s", h.Kernel), saw(installed, "the driver's libraries are installed"), card)
	case installed != "":
		return because("driver-module-not-loaded", saw("/proc/modules", "nvidia is not loaded"), saw(installed, "the driver's libraries are installed"), card)
	case h.Libraries != nil:
		return because("driver-not-installed", card, saw("host", "neither a kernel module nor libcuda.so.1 nor libnvidia-ml.so.1"))
	}
	return fault{}
}

// lockedDown: with Secure Boot a distribution's kernel locks itself down and takes signed modules only.
// Where the lockdown is known to be off, Secure Boot stops no module.
func lockedDown(h *inspect.Host) bool { return h.Lockdown != "none" }

func refusedBySecureBoot(line string) bool {
	line = strings.ToLower(line)
	for _, sign := range []string{"key was rejected", "required key not available", "unavailable key is rejected", "unsigned module is rejected", "unsigned module loading is restricted"} {
		if strings.Contains(line, sign) {
			return true
		}
	}
	return false
}

// driverInstalled names a file or package of the driver's user space, or "".
func driverInstalled(h *inspect.Host) string {
	for _, l := range h.Libraries {
		if !strings.HasPrefix(l.Path, "/usr/lib/wsl/") && (l.Name == "libcuda.so.1" || l.Name == "libnvidia-ml.so.1") {
			return l.Path
		}
	}
	for _, p := range h.Packages {
		if strings.HasPrefix(p.Name, "nvidia-driver") || strings.HasPrefix(p.Name, "nvidia-dkms") || strings.HasPrefix(p.Name, "nvidia-kernel-dkms") || strings.HasPrefix(p.Name, "kmod-nvidia") || strings.HasPrefix(p.Name, "akmod-nvidia") {
			return "package " + p.Name
		}
	}
	return ""
}

// toolsFault: the module is loaded and NVML is not there to ask, nor nvidia-smi: GPUs are then known by name only.
func toolsFault(s *inspect.Snapshot) fault {
	if s.Driver == nil || s.Driver.ModuleVersion == "" || !source(s, "nvml").Absent || s.Host.Libraries == nil {
		return fault{}
	}
	if slices.ContainsFunc(s.Host.Libraries, func(l inspect.Library) bool { return l.Name == "libnvidia-ml.so.1" }) {
		return fault{}
	}
	return because("driver-tools-missing", saw("/proc/driver/nvidia/version", "kernel module %s is loaded", s.Driver.ModuleVersion), saw("nvml", "libnvidia-ml.so.1 is not installed"))
}

// wslFault: in WSL2 the driver is Windows' own, and shows as /dev/dxg and the libraries below /usr/lib/wsl.
func wslFault(s *inspect.Snapshot) fault {
	w := s.Host.WSL
	for _, l := range s.Host.Libraries {
		if l.Name == "libcuda.so.1" && !strings.HasPrefix(l.Path, "/usr/lib/wsl/") && l.Version != "" {
			return because("wsl2-linux-driver-inside", saw(l.Path, "%s, a Linux driver's library, stands before the one of /usr/lib/wsl/lib", l.Version))
		}
	}
	for _, p := range s.Host.Packages {
		if strings.HasPrefix(p.Name, "nvidia-driver") || strings.HasPrefix(p.Name, "libnvidia-compute") || strings.HasPrefix(p.Name, "nvidia-dkms") {
			return because("wsl2-linux-driver-inside", saw("package "+p.Name, "%s", p.Version))
		}
	}
	if w.Version != 2 || !wantsGPUs(s) {
		return fault{} // a machine of which nobody wants a GPU
	}
	switch {
	case !w.DXG:
		return because("wsl2-driver-missing", saw("/dev/dxg", "is not there"))
	case !w.Libraries:
		return because("wsl2-libs-missing", saw("/usr/lib/wsl/lib/libdxcore.so", "is not there"))
	case !w.NVIDIALib:
		return because("wsl2-driver-missing", saw("/usr/lib/wsl/lib", "holds neither libcuda.so.1 nor libnvidia-ml.so.1: Windows has no NVIDIA driver, or no NVIDIA GPU"))
	}
	return fault{}
}

// wantsGPUs tells if anything on this machine was set up or started to use an NVIDIA GPU. Without that,
// a machine that has none is in order.
func wantsGPUs(s *inspect.Snapshot) bool { return len(wants(s)) > 0 }

// askers lists the project's switch and services, and the containers, that ask for a GPU.
func askers(s *inspect.Snapshot) []Evidence {
	var all []Evidence
	if p := s.Project; p != nil {
		if p.VisibleDevices != nil && switchedOff(p) == nil {
			all = append(all, saw(p.VisibleDevices.File, "NVIDIA_VISIBLE_DEVICES=%s", p.VisibleDevices.Value))
		}
		for _, service := range p.Services {
			if asks(service) {
				all = append(all, serviceEvidence(service))
			}
		}
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		if live(c) && recent(s, c) && slices.ContainsFunc(c.Grant.By, func(by string) bool { return by != inspect.ByPrivileged && by != inspect.ByDefaultRuntime }) {
			all = append(all, saw("container "+c.Name, "%s", strings.Join(c.Grant.Detail, ", ")))
		}
	}
	return all
}

// wants lists who wants a GPU or was set up for one, as evidence.
func wants(s *inspect.Snapshot) []Evidence {
	all := askers(s)
	if t := s.Toolkit; t != nil && t.Installed {
		all = append(all, saw("toolkit", "the NVIDIA Container Toolkit is installed"))
	}
	if e := s.Engine; e != nil {
		if _, ok := e.Runtimes["nvidia"]; ok {
			all = append(all, saw("engine", "the runtime nvidia is registered"))
		}
	}
	if h := s.Host; h != nil && h.WSL == nil {
		if at := driverInstalled(h); at != "" {
			all = append(all, saw(at, "a driver is installed"))
		}
	}
	return all
}

// absenceFault: no NVIDIA GPU on the engine's machine, and somebody wants one.
func absenceFault(s *inspect.Snapshot) fault {
	h := s.Host
	if h == nil || h.PCI == nil || len(h.PCI) > 0 || h.WSL != nil || len(s.GPUs) > 0 || s.Driver != nil && len(s.Driver.GPUs) > 0 {
		return fault{}
	}
	none := saw("/sys/bus/pci", "no display function of vendor 10de")
	if services := servicesAsking(s); len(services) > 0 {
		return because("runtime-required-on-cpu-host", append(services, none)...)
	}
	who := askers(s)
	if at := driverInstalled(h); at != "" {
		who = append(who, saw(at, "a driver is installed"))
	}
	switch {
	case len(who) == 0: // a toolkit on a machine without GPU asks for nothing
		return fault{}
	case h.Virtualization != "" && h.Virtualization != "none" || h.Container == "lxc":
		kind := h.Virtualization
		if h.Container == "lxc" {
			kind = "lxc"
		}
		return because("virtualization-passthrough", append([]Evidence{none, saw("host", "a virtual machine (%s)", kind)}, who...)...)
	}
	return because("no-nvidia-gpu", append([]Evidence{none}, who...)...)
}
