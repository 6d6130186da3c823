package fixes

import (
	"slices"
	"strconv"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// noDriver are the causes without whose cure nothing of the GPU works on a machine.
var noDriver = []ID{"driver-not-installed", "driver-module-not-loaded", "nouveau-loaded", "driver-dkms-not-built", "secure-boot-blocks-module",
	"other-driver-bound", "driver-library-version-mismatch", "no-nvidia-gpu", "virtualization-passthrough", "wsl2-driver-missing", "wsl2-libs-missing",
	"macos-unsupported", "docker-desktop-linux-vm", "gpu-init-failed", "open-kernel-module-required", "open-kernel-module-unsupported"}

func byDriverFault(id ID, needs ...string) Check {
	return Check{ID: id, Needs: append([]string{"host", "driver"}, needs...), Decides: true, Find: func(s *inspect.Snapshot) []Finding { return driverFault(s).is(id) }}
}

func byAbsence(id ID, needs ...string) Check {
	return Check{ID: id, Needs: append([]string{"host"}, needs...), Decides: true, Find: func(s *inspect.Snapshot) []Finding { return absenceFault(s).is(id) }}
}

var hostChecks = []Check{
	byDriverFault("driver-not-installed"),
	byDriverFault("driver-module-not-loaded"),
	byDriverFault("nouveau-loaded"),
	byDriverFault("driver-dkms-not-built"),
	byDriverFault("secure-boot-blocks-module"),
	byDriverFault("driver-library-version-mismatch"),
	byDriverFault("driver-tools-missing"),
	byDriverFault("wsl2-driver-missing"),
	byDriverFault("wsl2-libs-missing"),
	byDriverFault("wsl2-linux-driver-inside"),
	byAbsence("no-nvidia-gpu"),
	byAbsence("virtualization-passthrough"),
	byAbsence("runtime-required-on-cpu-host", "project"),
	{ID: "other-driver-bound", Needs: []string{"host", "driver"}, Decides: true, Find: otherDriver},
	{ID: "open-kernel-module-required", Needs: []string{"kernel-log"}, Find: kernelSays("open-kernel-module-required", "requires use of the NVIDIA open kernel modules")},
	{ID: "open-kernel-module-unsupported", Needs: []string{"kernel-log"}, Find: kernelSays("open-kernel-module-unsupported", "is not supported by open nvidia.ko", "does not include the required GPU System Processor")},
	{ID: "driver-too-old", Needs: []string{"driver"}, Decides: true, Find: driverTooOld},
	{ID: "device-node-missing", Needs: []string{"host", "driver"}, HiddenBy: noDriver, Find: both(nodesMissing, insideOf("device-node-missing"))},
	{ID: "device-permission-denied", Needs: []string{"host"}, HiddenBy: slices.Concat(noDriver, []ID{"device-node-missing", "mig-misconfigured"}), Find: nodesDenied},
	{ID: "persistenced-socket-missing", Needs: []string{"host"}, HiddenBy: noDriver, Find: persistencedGone},
	{ID: "selinux-denied", Needs: []string{"host", "kernel-log"}, Find: selinuxDenied},
	{ID: "apparmor-denied", Needs: []string{"kernel-log"}, Find: apparmorDenied},
	{ID: "legacy-nvidia-docker2", Needs: []string{"host"}, Find: legacyPackages},
	{ID: "macos-unsupported", Decides: true, Find: macOS},
	{ID: "docker-desktop-linux-vm", Needs: []string{"engine"}, Decides: true, Find: desktopOnLinux},
}

// otherDriver: a card that vfio-pci or the like holds. Beside cards that do work it was given away on
// purpose, to a virtual machine.
func otherDriver(s *inspect.Snapshot) []Finding {
	if found := driverFault(s).is("other-driver-bound"); found != nil || s.Host == nil || !moduleLoaded(s) {
		return found
	}
	var evidence []Evidence
	for _, p := range s.Host.PCI {
		if p.Driver != "" && p.Driver != "nvidia" {
			evidence = append(evidence, saw("/sys/bus/pci", "%s is driven by %s", p.BusID, p.Driver))
		}
	}
	if evidence == nil {
		return nil
	}
	f := NewFinding("other-driver-bound", evidence...)
	if slices.ContainsFunc(s.Host.PCI, func(p inspect.PCIDevice) bool { return p.Driver == "nvidia" }) {
		f.Severity = Info
	}
	return []Finding{f}
}

// kernelSays finds the first line of the driver in the kernel log that holds one of the texts. Where NVML
// shows as many GPUs as there are cards, the line is history.
func kernelSays(id ID, texts ...string) func(*inspect.Snapshot) []Finding {
	return func(s *inspect.Snapshot) []Finding {
		if everyCardAnswers(s) {
			return nil
		}
		for _, line := range s.KernelLog {
			for _, text := range texts {
				if strings.Contains(line.Text, text) {
					return []Finding{NewFinding(id, Evidence{Source: "kernel log", Text: line.Text})}
				}
			}
		}
		return nil
	}
}

// everyCardAnswers tells if NVML answers for each card on the bus.
func everyCardAnswers(s *inspect.Snapshot) bool {
	if len(s.GPUs) == 0 || s.Host == nil || len(s.GPUs) < len(s.Host.PCI) {
		return false
	}
	return !slices.ContainsFunc(s.GPUs, func(g inspect.GPU) bool { return g.Error != "" })
}

func driverTooOld(s *inspect.Snapshot) []Finding {
	v := driverVersion(s)
	if v == "" || compareDotted(v, oldestDriver) >= 0 || s.Host != nil && s.Host.WSL != nil {
		return nil
	}
	return []Finding{NewFinding("driver-too-old", saw("driver", "%s, the oldest supported is %s", v, oldestDriver))}
}

// oldestDriver is the oldest driver that is supported.
const oldestDriver = "535"

// nodesMissing: the module is loaded, and a node of /dev that programs need is not there. nvidia-uvm is
// made at its first use by most toolkits, so it counts only where something names it in vain.
func nodesMissing(s *inspect.Snapshot) []Finding {
	h := s.Host
	if h == nil || h.DeviceNodes == nil || h.WSL != nil || s.Driver == nil || s.Driver.ModuleVersion == "" {
		return nil
	}
	nodes := map[string]bool{}
	var evidence []Evidence
	for _, n := range h.DeviceNodes {
		nodes[n.Path] = n.Device
		if !n.Device && strings.HasPrefix(n.Path, "/dev/nvidia") {
			evidence = append(evidence, saw(n.Path, "is no device (%s)", n.Mode))
		}
	}
	if len(evidence) == 0 && !slices.ContainsFunc(h.DeviceNodes, func(n inspect.DeviceNode) bool { return strings.HasPrefix(n.Path, "/dev/nvidia") }) && (len(s.GPUs) > 0 || h.Container != "") {
		return nil // NVML, which needs them, answers: they are where this process cannot see them
	}
	missing := func(path string) {
		if _, there := nodes[path]; !there {
			evidence = append(evidence, saw(path, "is not there"))
		}
	}
	missing("/dev/nvidiactl")
	minors := 0
	for _, g := range s.GPUs {
		if g.Minor != nil && g.Error == "" {
			missing("/dev/nvidia" + strconv.Itoa(*g.Minor))
			minors++
		}
	}
	for _, g := range s.Driver.GPUs {
		if g.Minor != nil && minors == 0 && (g.Excluded == nil || !*g.Excluded) {
			missing("/dev/nvidia" + strconv.Itoa(*g.Minor))
		}
	}
	uvmLoaded := slices.ContainsFunc(h.Modules, func(m inspect.Module) bool { return m.Name == "nvidia_uvm" })
	if _, there := nodes["/dev/nvidia-uvm"]; !there && (uvmLoaded || len(evidence) == 0 && namedInVain(s, "/dev/nvidia-uvm") != "") {
		e := saw("/dev/nvidia-uvm", "is not there")
		if spec := namedInVain(s, "/dev/nvidia-uvm"); spec != "" {
			e.Text += ", and " + spec + " names it"
		}
		evidence = append(evidence, e)
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("device-node-missing", evidence...)}
}

// namedInVain is the CDI specification that names a path which does not exist, or "".
func namedInVain(s *inspect.Snapshot, path string) string {
	if s.CDI == nil {
		return ""
	}
	for _, spec := range s.CDI.Specs {
		if slices.Contains(spec.MissingPaths, path) {
			return spec.Path
		}
	}
	return ""
}

// nodesDenied: NVML says so, or nobody but root can open the nodes. A group of their own (video) is a
// choice, and those in it work.
func nodesDenied(s *inspect.Snapshot) []Finding {
	h := s.Host
	var evidence []Evidence
	migOn := slices.ContainsFunc(s.GPUs, func(g inspect.GPU) bool { return g.MIG != nil && g.MIG.Enabled })
	refused := s.Driver != nil && strings.Contains(s.Driver.NVMLError, "Insufficient Permissions")
	if refused && !migOn {
		evidence = append(evidence, saw("nvml", "%s", s.Driver.NVMLError))
	}
	if h == nil {
		h = &inspect.Host{}
	}
	unprivileged := slices.ContainsFunc(s.Containers, func(c inspect.Container) bool {
		user, _, _ := strings.Cut(c.Asks.User, ":")
		return c.State == "running" && len(c.Grant.By) > 0 && !c.Privileged && user != "" && user != "0" && user != "root"
	})
	for _, n := range h.DeviceNodes {
		if !n.Device || len(n.Mode) != 10 || !(n.Path == "/dev/nvidiactl" || n.Path == "/dev/nvidia-uvm" || isGPUNode(n.Path)) || n.Mode[7:9] == "rw" {
			continue
		}
		groupHas := n.Mode[4:6] == "rw" && n.GID != 0
		if !groupHas || refused || unprivileged {
			evidence = append(evidence, saw(n.Path, "%s uid %d gid %d", n.Mode, n.UID, n.GID))
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("device-permission-denied", evidence...)}
}

// isGPUNode tells if a path is /dev/nvidiaN.
func isGPUNode(path string) bool {
	minor, ok := strings.CutPrefix(path, "/dev/nvidia")
	return ok && minor != "" && strings.Trim(minor, "0123456789") == ""
}

// persistencedGone: the socket that every container gets mounted is dead, or a specification names one
// that is gone.
func persistencedGone(s *inspect.Snapshot) []Finding {
	var evidence []Evidence
	if s.Host != nil {
		for _, d := range s.Host.Daemons {
			if d.Name == "nvidia-persistenced" && d.Socket != "" && d.Running != nil && !*d.Running {
				evidence = append(evidence, saw(d.Socket, "is there, the daemon of %s is not running", d.PIDFile))
			}
		}
	}
	if s.CDI != nil {
		for _, spec := range s.CDI.Specs {
			for _, path := range spec.MissingPaths {
				if strings.HasSuffix(path, "/nvidia-persistenced/socket") {
					evidence = append(evidence, saw(spec.Path, "names %s, which is not there", path))
				}
			}
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("persistenced-socket-missing", evidence...)}
}

// aboutNVIDIA tells if a denial of SELinux or AppArmor concerns the driver's devices, libraries or tools.
func aboutNVIDIA(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "nvidia") || strings.Contains(text, "libcuda") || strings.Contains(text, "xserver_misc_device_t")
}

func selinuxDenied(s *inspect.Snapshot) []Finding {
	if s.Host != nil && (s.Host.SELinux == "permissive" || s.Host.SELinux == "disabled") {
		return nil // it logs what it would have denied
	}
	return denials(s, "selinux", "selinux-denied")
}

func apparmorDenied(s *inspect.Snapshot) []Finding { return denials(s, "apparmor", "apparmor-denied") }

// mostEvidence bounds how many lines of the same kind prove one finding.
const mostEvidence = 5

func denials(s *inspect.Snapshot, kind string, id ID) []Finding {
	var evidence []Evidence
	for _, line := range s.KernelLog {
		if line.Kind == kind && fresh(s, line) && aboutNVIDIA(line.Text) && !strings.Contains(line.Text, "permissive=1") {
			evidence = append(evidence, Evidence{Source: "kernel log", Text: line.Text})
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding(id, evidence[max(0, len(evidence)-mostEvidence):]...)}
}

// legacyPackages: nvidia-docker2 was the last of its line; nvidia-container-runtime up to 3.13 belongs to it.
func legacyPackages(s *inspect.Snapshot) []Finding {
	if s.Host == nil {
		return nil
	}
	var evidence []Evidence
	for _, p := range s.Host.Packages {
		if p.Name == "nvidia-docker2" || p.Name == "nvidia-docker" || p.Name == "nvidia-container-runtime" {
			evidence = append(evidence, saw("package "+p.Name, "%s", p.Version))
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("legacy-nvidia-docker2", evidence...)}
}

// macOS and Docker Desktop on Linux have no GPU to give. Where nobody asks for one that is no fault, and
// said for information.
func macOS(s *inspect.Snapshot) []Finding {
	if s.Tool == nil || !strings.HasPrefix(s.Tool.Platform, "darwin/") || s.Engine != nil && s.Engine.Location == "remote" {
		return nil
	}
	return unlessWanted(s, NewFinding("macos-unsupported", saw("docker gpu", "runs on %s", s.Tool.Platform)))
}

func desktopOnLinux(s *inspect.Snapshot) []Finding {
	if !desktopLinuxVM(s) {
		return nil
	}
	return unlessWanted(s, NewFinding("docker-desktop-linux-vm", saw("engine", "context %s, %s", s.Engine.Context, s.Engine.OperatingSystem)))
}

// unlessWanted makes a finding an information where nothing asks for a GPU.
func unlessWanted(s *inspect.Snapshot, f Finding) []Finding {
	who := wants(s)
	if len(who) == 0 {
		f.Severity = Info
	}
	f.Evidence = append(f.Evidence, who...)
	return []Finding{f}
}
