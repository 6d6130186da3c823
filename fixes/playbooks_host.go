package fixes

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// Playbooks for the machine itself: kernel modules, device nodes, services, GPUs.
var hostPlaybooks = map[ID]func(*planner, Finding){
	"driver-module-not-loaded": func(p *planner, _ Finding) { p.add(p.load("nvidia")) },
	"nouveau-loaded":           (*planner).keepNouveauOut,
	"driver-dkms-not-built":    (*planner).buildModule,
	"device-node-missing":      (*planner).makeNodes,
	"device-permission-denied": (*planner).openNodes,
	"selinux-denied":           (*planner).allowSELinux,
	"persistenced-socket-missing": func(p *planner, _ Finding) {
		p.service("nvidia-persistenced", "Start the persistence daemon")
	},
	"fabric-manager-not-running": func(p *planner, _ Finding) {
		p.service("nvidia-fabricmanager", "Start the fabric manager")
	},
	"compute-mode-exclusive": (*planner).shareGPU,
	"uvm-broken":             (*planner).reloadUVM,
	"driver-library-version-mismatch": func(p *planner, _ Finding) {
		p.add(p.command(HarmReboot, "Reboot, so that kernel module and libraries are of one version", "systemctl", "reboot"))
	},
	"orphaned-gpu-memory":            (*planner).endOrphans,
	"cuda-out-of-memory":             (*planner).freeMemory,
	"driver-not-installed":           driverIsTheirs,
	"driver-too-old":                 driverIsTheirs,
	"cuda-driver-too-old":            driverIsTheirs,
	"open-kernel-module-required":    driverIsTheirs,
	"open-kernel-module-unsupported": driverIsTheirs,
	"driver-tools-missing":           driverIsTheirs,
}

// driverIsTheirs: which driver a machine runs is its owner's decision, with the desktop, other programs
// and Secure Boot hanging on it.
func driverIsTheirs(p *planner, _ Finding) {
	p.why = "drivers are not installed or changed by docker gpu"
}

func (p *planner) load(module string) *CommandStep {
	step := p.command(HarmDriver, "Load the kernel module "+module, "modprobe", module)
	loaded := func(_ context.Context, h Host) (bool, error) {
		data, err := h.ReadFile(p.at("/proc/modules"))
		for line := range strings.Lines(string(data)) {
			if name, _, _ := strings.Cut(line, " "); name == module {
				return true, nil
			}
		}
		return false, err
	}
	step.Needed = func(ctx context.Context, h Host) (bool, error) {
		is, err := loaded(ctx, h)
		return !is, err
	}
	step.Check = func(ctx context.Context, h Host) error {
		is, err := loaded(ctx, h)
		if err == nil && !is {
			err = fmt.Errorf("%s is not among the loaded modules", module)
		}
		return err
	}
	step.Undo = [][]string{{"modprobe", "--remove", module}}
	return step
}

func (p *planner) keepNouveauOut(Finding) {
	var rebuild []string
	switch p.family() {
	case "apt":
		rebuild = []string{"update-initramfs", "-u"}
	case "dnf", "zypper":
		rebuild = []string{"dracut", "--force"}
	default:
		if p.s.Host == nil || p.s.Host.OSID != "arch" && p.s.Host.OSID != "manjaro" {
			p.why = "how the initial ramdisk is built on this system is not known here"
			return
		}
		rebuild = []string{"mkinitcpio", "--allpresets"}
	}
	file := p.file("Keep nouveau from loading", "/etc/modprobe.d/blacklist-nouveau.conf", "blacklist nouveau\noptions nouveau modeset=0\n")
	file.Then = [][]string{rebuild} // without the file, or the ramdisk would keep it
	step := p.command(HarmDriver, "Build the initial ramdisk without nouveau", rebuild...)
	step.Undone = true
	p.add(file, step, p.command(HarmReboot, "Reboot, so that the NVIDIA driver gets the card", "systemctl", "reboot"))
}

func (p *planner) buildModule(Finding) {
	kernel := ""
	if p.s.Host != nil {
		kernel = p.s.Host.Kernel
	}
	switch {
	case kernel == "":
		p.why = "the running kernel's version is not known"
		return
	case p.family() == "apt":
		p.add(p.install("linux-headers-"+kernel, "apt-get", "install", "--yes", "linux-headers-"+kernel))
	case p.family() == "dnf":
		p.add(p.install("kernel-devel-"+kernel, "dnf", "install", "--assumeyes", "kernel-devel-"+kernel))
	default:
		p.why = "how packages are installed on this system is not known here"
		return
	}
	p.add(p.command(HarmDriver, "Build the kernel module for "+kernel, "dkms", "autoinstall", "-k", kernel), p.load("nvidia"))
}

// nodeNames are the device nodes whose major number /proc/devices names.
var nodeNames = []struct {
	path, driver string
	minor        int
}{
	{"/dev/nvidiactl", "nvidia-frontend", 255}, {"/dev/nvidia-modeset", "nvidia-frontend", 254},
	{"/dev/nvidia-uvm", "nvidia-uvm", 0}, {"/dev/nvidia-uvm-tools", "nvidia-uvm", 1},
}

// makeNodes makes the nodes that no program made yet: by the driver's own tool where it is there.
func (p *planner) makeNodes(Finding) {
	if p.target.Root.Exists("/usr/bin/nvidia-modprobe") {
		p.add(p.command(HarmDriver, "Make the device nodes of driver and unified memory", "nvidia-modprobe", "-c=0", "-u"))
		return
	}
	have := map[string]bool{}
	minors := []int{}
	if p.s.Host != nil {
		for _, n := range p.s.Host.DeviceNodes {
			have[n.Path] = n.Device
		}
	}
	for _, g := range p.s.GPUs {
		if g.Minor != nil {
			minors = append(minors, *g.Minor)
		}
	}
	majors, err := deviceMajors(p.target.Root)
	if err != nil {
		p.why = "the device numbers cannot be read"
		return
	}
	node := func(at, driver string, minor int) {
		major, ok := majors[driver]
		if !ok && driver == "nvidia-frontend" {
			major, ok = majors["nvidia"]
		}
		if have[at] || !ok {
			return
		}
		step := p.command(HarmDriver, "Make the device node "+at, "mknod", "-m", "666", p.at(at), "c", strconv.Itoa(major), strconv.Itoa(minor))
		step.Undo = [][]string{{"rm", "-f", p.at(at)}}
		p.add(step)
	}
	for _, n := range nodeNames {
		node(n.path, n.driver, n.minor)
	}
	for _, minor := range minors {
		node("/dev/nvidia"+strconv.Itoa(minor), "nvidia-frontend", minor)
	}
}

// deviceMajors reads the character devices of /proc/devices.
func deviceMajors(root inspect.Root) (map[string]int, error) {
	data, err := root.ReadFile("/proc/devices")
	if err != nil {
		return nil, err
	}
	majors := map[string]int{}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "Block") {
			break
		}
		fields := strings.Fields(line)
		if len(fields) != 2 {
			continue
		}
		if n, err := strconv.Atoi(fields[0]); err == nil {
			majors[fields[1]] = n
		}
	}
	return majors, nil
}

// openNodes puts the user into the group that owns the nodes, or lets everybody open them, as the driver
// does where nobody told it otherwise.
func (p *planner) openNodes(Finding) {
	if p.s.Host == nil {
		return
	}
	groups := map[string]bool{}
	closed := false
	for _, n := range p.s.Host.DeviceNodes {
		if !n.Device || strings.HasSuffix(n.Mode, "rw-") || strings.HasPrefix(n.Path, "/dev/dri/card") {
			continue
		}
		switch {
		case n.Group != "" && n.Group != "root" && strings.Contains(n.Mode, "rw-") && len(n.Mode) >= 10 && n.Mode[4:6] == "rw":
			groups[n.Group] = true
		case strings.HasPrefix(n.Path, "/dev/nvidia"):
			closed = true
		}
	}
	if len(groups) > 0 && p.target.User != "" && p.target.User != "root" {
		for _, g := range slices.Sorted(maps.Keys(groups)) {
			p.join(g, "owns the device nodes")
		}
	}
	if !closed {
		return
	}
	read := []string{"udevadm", "control", "--reload"}
	rule := p.file("Let all users open the GPUs, as the driver does by default", "/etc/udev/rules.d/70-docker-gpu-nvidia.rules",
		"KERNEL==\"nvidia[0-9]*|nvidiactl|nvidia-uvm|nvidia-uvm-tools|nvidia-modeset\", MODE=\"0666\"\n")
	rule.Then = [][]string{read}
	reload := p.command(HarmDriver, "Have udev read its rules", read...)
	trigger := p.command(HarmDriver, "Have udev set the nodes' modes", "udevadm", "trigger", "--subsystem-match=nvidia", "--subsystem-match=nvidia-uvm")
	reload.Undone, trigger.Undone = true, true
	p.add(rule, reload, trigger)
	open := p.command(HarmDriver, "Open the nodes that exist", "chmod", "0666") // the driver's nodes are not udev's: a rule alone does not reach those that exist
	for _, n := range p.s.Host.DeviceNodes {
		if n.Device && strings.HasPrefix(n.Path, "/dev/nvidia") && !strings.HasSuffix(n.Mode, "rw-") && path.Dir(n.Path) == "/dev" {
			open.Command = append(open.Command, p.at(n.Path))
			open.Undo = append(open.Undo, []string{"chmod", octal(n.Mode), p.at(n.Path)})
		}
	}
	if len(open.Undo) > 0 {
		p.add(open)
	}
}

// octal writes permissions as ls shows them, crw-rw----, in the way that chmod takes them.
func octal(mode string) string {
	n := 0
	for _, c := range mode[max(0, len(mode)-9):] {
		n <<= 1
		if c != '-' {
			n |= 1
		}
	}
	return fmt.Sprintf("%04o", n)
}

// join puts the user into a group, where they are not in it.
func (p *planner) join(group, why string) {
	user, file := p.target.User, p.at("/etc/group")
	step := p.command(HarmEdit, fmt.Sprintf("Put %s into the group %s, which %s", user, group, why), "usermod", "--append", "--groups", group, user)
	is := func(h Host) (bool, error) {
		data, err := readOrNil(h, file)
		for line := range strings.Lines(string(data)) {
			if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) == 4 && fields[0] == group {
				return slices.Contains(strings.Split(fields[3], ","), user), err
			}
		}
		return false, err
	}
	step.Needed = func(_ context.Context, h Host) (bool, error) {
		member, err := is(h)
		return !member, err
	}
	step.Undo = [][]string{{"gpasswd", "--delete", user, group}}
	step.Note = "it counts from the next login on"
	p.add(step)
}

func (p *planner) allowSELinux(Finding) {
	const boolean = "container_use_devices"
	step := p.command(HarmEdit, "Let containers use devices (SELinux)", "setsebool", "-P", boolean, "on")
	step.Needed = func(ctx context.Context, h Host) (bool, error) {
		out, err := h.Run(ctx, "getsebool", boolean)
		return err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "on"), nil // setsebool itself says what is wrong
	}
	step.Undo = [][]string{{"setsebool", "-P", boolean, "off"}}
	p.add(step)
}

func (p *planner) service(unit, text string) {
	if !p.systemd() {
		p.why = "services are not managed by systemd here"
		return
	}
	enable := p.command(HarmEdit, text+" at every start", "systemctl", "enable", unit)
	enable.Needed = func(ctx context.Context, h Host) (bool, error) {
		_, err := h.Run(ctx, "systemctl", "is-enabled", "--quiet", unit)
		return err != nil, nil
	}
	enable.Undo = [][]string{{"systemctl", "disable", unit}}
	p.add(enable, p.command(HarmRestart, text, "systemctl", "restart", unit))
}

// shareGPU lets more than one process use a GPU again.
func (p *planner) shareGPU(Finding) {
	for _, g := range p.s.GPUs {
		var was string
		switch g.ComputeMode {
		case "exclusive-process", "exclusive-thread":
			was = "EXCLUSIVE_PROCESS"
		case "prohibited":
			was = "PROHIBITED"
		default:
			continue
		}
		id := strconv.Itoa(g.Index)
		step := p.command(HarmDriver, "Let several processes use GPU "+id, "nvidia-smi", "--id="+id, "--compute-mode=DEFAULT")
		step.Undo = [][]string{{"nvidia-smi", "--id=" + id, "--compute-mode=" + was}}
		p.add(step)
	}
}

func (p *planner) reloadUVM(Finding) {
	p.add(p.command(HarmDriver, "Unload nvidia_uvm", "modprobe", "--remove", "nvidia_uvm"), p.load("nvidia_uvm"))
}

// endOrphans ends processes that hold GPU memory and belong to no container, each one asked for.
func (p *planner) endOrphans(Finding) {
	for _, g := range p.s.GPUs {
		for _, process := range g.Processes {
			if process.ContainerID != "" || process.PID <= 0 || !slices.Contains(process.Kinds, "compute") || len(inspect.ContainerIDs(process.Cgroup)) == 0 {
				continue // of a container that is gone: others may be a user's own work
			}
			pid := strconv.Itoa(process.PID)
			p.add(endStep{p.command(HarmRestart, fmt.Sprintf("End process %s (%s), which holds memory of GPU %d for a container that is gone", pid, process.Name, g.Index), "kill", "-TERM", pid)})
		}
	}
	p.why = "only the owner knows which process may end"
}

// freeMemory stops containers that hold GPU memory, the greatest first, each one asked for. The container
// that lacks memory is not among them.
func (p *planner) freeMemory(f Finding) {
	holders := slices.DeleteFunc(slices.Clone(p.s.Containers), func(c inspect.Container) bool {
		return c.Name == f.Container || c.State != "running" || c.Usage == nil || c.Usage.MemoryUsedBytes == nil || *c.Usage.MemoryUsedBytes == 0
	})
	slices.SortStableFunc(holders, func(a, b inspect.Container) int {
		return -compareUint(*a.Usage.MemoryUsedBytes, *b.Usage.MemoryUsedBytes)
	})
	for _, c := range holders {
		step := p.command(HarmRestart, fmt.Sprintf("Stop container %s, which holds %.1f GiB of GPU memory", c.Name, float64(*c.Usage.MemoryUsedBytes)/(1<<30)), "docker", "--host", p.s.Engine.Endpoint, "stop", c.Name)
		step.Description.Root = false
		step.Undo = [][]string{{"docker", "--host", p.s.Engine.Endpoint, "start", c.Name}}
		p.add(endStep{step})
	}
}

func compareUint(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
