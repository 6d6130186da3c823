// Package fixes judges a Snapshot: what is wrong, why, and what to do next. Its judgements are pure
// functions of the Snapshot. It is the only package that will ever write to the user's machine, and
// then only inside the steps of a plan.
package fixes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// Code is the verdict in one word, for programs.
type Code string

// The codes of product.md, and CannotTell for an engine on another machine that says nothing of GPUs.
const (
	OK                  Code = "ok"
	NoGPU               Code = "no-gpu"
	GPUUnusable         Code = "gpu-unusable"
	EngineUnreachable   Code = "engine-unreachable"
	Disabled            Code = "disabled"
	UnsupportedPlatform Code = "unsupported-platform"
	CannotTell          Code = "cannot-tell"
)

// Verdict is the one sentence a user came for. Next is the command to type now, if there is one.
type Verdict struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
	Next string `json:"next,omitempty"`
}

// Judge says whether containers of the engine can use its GPUs.
func Judge(s *inspect.Snapshot) Verdict {
	if v, decided := judgePlatform(s); decided {
		return v
	}
	if e := s.Engine; e == nil || e.Version == "" {
		return judgeEngineAway(s)
	}
	presence := gpuPresence(s)
	if presence == absent {
		return Verdict{NoGPU, "No NVIDIA GPU here: containers run on the CPU.", nextWithoutGPU(s)}
	}
	if setting := switchedOff(s.Project); setting != nil {
		return Verdict{Disabled, fmt.Sprintf("GPU passthrough is switched off for this project: NVIDIA_VISIBLE_DEVICES=%s%s.", setting.Value, place(setting)),
			"docker gpu enable"}
	}
	if v, broken := judgeDriver(s); broken {
		return v
	}
	ways := Passthrough(s)
	if !ways.Any() {
		if presence == unknown {
			return Verdict{CannotTell, "Cannot tell from here: the engine's machine shows no GPU to docker, neither an nvidia runtime nor a CDI device.", "run docker gpu status on that machine"}
		}
		return judgeNoWay(s, ways)
	}
	return judgeWorks(s, ways)
}

type presence int

const (
	unknown presence = iota
	absent
	present
)

// gpuPresence says if there is an NVIDIA GPU on the engine's machine. Nothing seen is not "absent".
func gpuPresence(s *inspect.Snapshot) presence {
	switch {
	case len(s.GPUs) > 0:
		return present
	case s.Driver != nil && (len(s.Driver.GPUs) > 0 || s.Driver.NVMLError != "" && s.Driver.ModuleVersion != ""):
		return present
	case s.Host != nil && len(s.Host.PCI) > 0:
		return present
	case s.Host != nil && s.Host.WSL != nil && s.Host.WSL.DXG && s.Host.WSL.NVIDIALib:
		return present
	case s.Host != nil && s.Host.WSL != nil && s.Host.WSL.Version == 2:
		return absent // no /dev/dxg or no NVIDIA library behind it: nothing CUDA could run on
	case s.Host != nil && s.Host.PCI != nil:
		return absent
	case s.Engine != nil && slices.ContainsFunc(s.Engine.DiscoveredDevices, isNVIDIACDI):
		return present // the engine on another machine says so itself
	}
	return unknown
}

func isNVIDIACDI(d inspect.DiscoveredDevice) bool {
	return d.Source == "cdi" && strings.HasPrefix(d.ID, "nvidia.com/")
}

func judgePlatform(s *inspect.Snapshot) (Verdict, bool) {
	if e := s.Engine; e != nil && e.OSType != "" && e.OSType != "linux" {
		return Verdict{UnsupportedPlatform, fmt.Sprintf("The engine runs %s containers: NVIDIA GPUs reach Linux containers only.", e.OSType), ""}, true
	}
	local := s.Engine == nil || s.Engine.Location != "remote"
	if t := s.Tool; t != nil && strings.HasPrefix(t.Platform, "darwin/") && local {
		return Verdict{UnsupportedPlatform, "No NVIDIA GPU can be passed to containers on macOS: they run on the CPU.", "docker context use a Linux host with a GPU"}, true
	}
	if desktopLinuxVM(s) {
		return Verdict{UnsupportedPlatform, "Docker Desktop on Linux runs containers in a virtual machine without the GPU.", "docker context use default"}, true
	}
	return Verdict{}, false
}

// desktopLinuxVM tells if the engine is that of Docker Desktop on Linux.
func desktopLinuxVM(s *inspect.Snapshot) bool {
	e := s.Engine
	return e != nil && e.Desktop != nil && *e.Desktop && e.Context == "desktop-linux" && s.Tool != nil && strings.HasPrefix(s.Tool.Platform, "linux/") &&
		!strings.Contains(strings.ToLower(e.Kernel), "microsoft")
}

func judgeEngineAway(s *inspect.Snapshot) Verdict {
	v := Verdict{Code: EngineUnreachable, Text: "No Docker engine answers."}
	e := s.Engine
	if e == nil {
		return v
	}
	where := e.Endpoint
	if where == "" {
		where = fmt.Sprintf("context %q", e.Context)
	}
	switch e.Unreachable {
	case "denied":
		v.Text = fmt.Sprintf("You may not talk to the Docker engine at %s: permission denied.", where)
		v.Next = "sudo usermod -aG docker $USER, then log in again"
	case "timeout":
		v.Text = fmt.Sprintf("The Docker engine at %s does not answer in time.", where)
		if strings.HasPrefix(where, "unix://") {
			v.Next = "journalctl -u docker --since -10min"
		}
	case "ssh":
		v.Text = fmt.Sprintf("No Docker engine answers at %s: ssh says %s.", where, strings.TrimSuffix(e.Error, "."))
	case "not-running", "no-socket":
		if strings.HasPrefix(where, "tcp://") {
			v.Text = fmt.Sprintf("No Docker engine answers at %s: nothing listens there.", where)
			break
		}
		v.Text = fmt.Sprintf("No Docker engine answers at %s: it is not running.", where)
		if where == "unix:///var/run/docker.sock" {
			v.Next = "sudo systemctl start docker"
			if s.Host != nil && s.Host.Init != "" && s.Host.Init != "systemd" {
				v.Next = "sudo service docker start"
			}
		}
	default:
		v.Text = fmt.Sprintf("No Docker engine answers at %s: %s.", where, strings.TrimSuffix(e.Error, "."))
	}
	return v
}

// judgeDriver finds what stands between the GPU and any program on this machine.
func judgeDriver(s *inspect.Snapshot) (Verdict, bool) {
	unusable := func(next, format string, args ...any) (Verdict, bool) {
		return Verdict{GPUUnusable, fmt.Sprintf(format, args...), next}, true
	}
	var lost []string
	for _, g := range s.GPUs {
		if g.Error != "" {
			lost = append(lost, fmt.Sprintf("GPU %d (%s)", g.Index, g.Error))
		}
	}
	if len(lost) > 0 {
		others := ""
		if n := len(s.GPUs) - len(lost); n > 0 {
			others = fmt.Sprintf("; the other %d can be used", n)
			if n == 1 {
				others = "; the other one can be used"
			}
		}
		return unusable("sudo dmesg | grep -i xid", "%s: containers cannot use it%s.", strings.Join(lost, ", "), others)
	}
	d := s.Driver
	if d != nil && d.NVMLError != "" {
		switch {
		case strings.Contains(d.NVMLError, "version mismatch"):
			versions := ""
			if d.ModuleVersion != "" && d.LibraryVersion != "" && d.ModuleVersion != d.LibraryVersion {
				versions = fmt.Sprintf(" (kernel module %s, library %s)", d.ModuleVersion, d.LibraryVersion)
			}
			return unusable("sudo reboot", "The NVIDIA driver was updated under its running kernel module%s: no program can use the GPU until a reboot.", versions)
		case strings.Contains(d.NVMLError, "Driver Not Loaded") && !moduleLoaded(s):
			return unusable("sudo modprobe nvidia", "The NVIDIA kernel module is not loaded: no program can use the GPU.")
		case strings.Contains(d.NVMLError, "Insufficient Permissions"):
			return Verdict{}, false // we may not look; containers run as another user
		}
		return unusable("sudo dmesg | grep -i nvrm", "The NVIDIA driver does not start: %s.", d.NVMLError)
	}
	if source(s, "nvml").TimedOut {
		return unusable("sudo dmesg | grep -i -e nvrm -e xid", "The NVIDIA driver does not answer: NVML hung until the deadline.")
	}
	if len(s.GPUs) > 0 && !source(s, "nvml").Absent {
		return Verdict{}, false
	}
	switch f := driverFault(s); f.id { // by the same rule as diagnose
	case "nouveau-loaded", "other-driver-bound":
		return unusable("lspci -k -d 10de:", "There is an NVIDIA GPU, but the %s driver holds it: containers cannot use it.", otherDriverOf(s))
	case "driver-module-not-loaded":
		return unusable("sudo modprobe nvidia", "The NVIDIA kernel module is not loaded: no program can use the GPU.")
	case "driver-dkms-not-built":
		return unusable("sudo dkms autoinstall", "The NVIDIA kernel module is not built for the running kernel %s: no program can use the GPU.", s.Host.Kernel)
	case "secure-boot-blocks-module":
		return unusable("mokutil --sb-state", "Secure Boot keeps the NVIDIA kernel module from being loaded: no program can use the GPU.")
	case "driver-tools-missing":
		return unusable("install the driver's libraries and tools", "The NVIDIA kernel module is loaded, but the driver's libraries are not installed: containers cannot use the GPU.")
	case "driver-not-installed":
		return unusable("install the NVIDIA driver, 535 or newer", "There is an NVIDIA GPU, but no NVIDIA driver: containers cannot use it.")
	}
	return Verdict{}, false
}

// otherDriverOf is the driver that holds the card in place of nvidia's.
func otherDriverOf(s *inspect.Snapshot) string {
	for _, p := range s.Host.PCI {
		if p.Driver != "" && p.Driver != "nvidia" {
			return p.Driver
		}
	}
	return "nouveau"
}

func moduleLoaded(s *inspect.Snapshot) bool {
	return s.Driver != nil && s.Driver.ModuleVersion != "" ||
		s.Host != nil && slices.ContainsFunc(s.Host.Modules, func(m inspect.Module) bool { return m.Name == "nvidia" })
}

// judgeNoWay: GPU and driver are there, the engine has no way to pass them on.
func judgeNoWay(s *inspect.Snapshot, ways Ways) Verdict {
	if f := s.Engine.ConfigFile; f != nil && f.Problem != nil {
		return Verdict{GPUUnusable, fmt.Sprintf("%s does not parse at line %d, column %d: the engine cannot be given a GPU runtime.", f.Path, f.Problem.Line, f.Problem.Column), "correct " + f.Path}
	}
	if s.Toolkit != nil && s.Toolkit.Installed {
		return Verdict{GPUUnusable, "The NVIDIA Container Toolkit is installed, but this engine does not know it: containers cannot use the GPU.",
			"sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"}
	}
	return Verdict{GPUUnusable, "There is a GPU and a driver, but no NVIDIA Container Toolkit: containers cannot use the GPU.",
		"sudo apt-get install nvidia-container-toolkit"}
}

func judgeWorks(s *inspect.Snapshot, ways Ways) Verdict {
	text := "GPU passthrough works."
	if len(s.GPUs) == 0 && source(s, "nvml").Error != "" {
		text = "The engine offers the GPU; its figures could not be read."
	}
	if s.Engine.Location == "remote" || s.Engine.Location == "vm" {
		text = fmt.Sprintf("The engine offers the GPU by %s.", ways.Names())
	}
	if d := driverVersion(s); d != "" && compareDotted(d, "535") < 0 {
		text += fmt.Sprintf(" The driver %s is older than 535, the oldest supported.", d)
	}
	if idle := idleGPUs(s); idle != "" {
		text += " " + idle
	}
	return Verdict{Code: OK, Text: text}
}

// idleGPUs names the GPUs that nothing uses now: no process, no utilisation.
func idleGPUs(s *inspect.Snapshot) string {
	var idle []string
	for _, g := range s.GPUs {
		if g.Processes != nil && len(g.Processes) == 0 && g.GPUUtilPercent != nil && *g.GPUUtilPercent == 0 && (g.MIG == nil || !g.MIG.Enabled) {
			idle = append(idle, fmt.Sprint(g.Index))
		}
	}
	switch {
	case len(idle) == 0:
		return ""
	case len(idle) == len(s.GPUs) && len(idle) == 1:
		return "The GPU is idle."
	case len(idle) == len(s.GPUs):
		return fmt.Sprintf("All %d GPUs are idle.", len(idle))
	case len(idle) == 1:
		return fmt.Sprintf("GPU %s is idle.", idle[0])
	}
	return fmt.Sprintf("GPUs %s are idle.", strings.Join(idle, ", "))
}

// switchedOff is the project's setting where it says that containers get no GPU: void anywhere, none
// first, or empty.
func switchedOff(p *inspect.Project) *inspect.Setting {
	if p == nil || p.VisibleDevices == nil {
		return nil
	}
	switch inspect.ParseVisibleDevices(&p.VisibleDevices.Value, false).Kind {
	case inspect.VisibleVoid, inspect.VisibleNone:
		return p.VisibleDevices
	}
	return nil
}

func nextWithoutGPU(s *inspect.Snapshot) string {
	if s.Project == nil {
		return ""
	}
	for _, service := range s.Project.Services {
		if service.Use >= 0 && len(service.By) > 0 { // its files ask for what is not here
			return "docker gpu compose up -d"
		}
	}
	if switchedOff(s.Project) == nil && (len(s.Project.Services) > 0 || s.Project.VisibleDevices != nil) {
		return "docker gpu disable"
	}
	return ""
}

func place(s *inspect.Setting) string {
	if s.File == "" {
		return ""
	}
	if s.Line == 0 {
		return " (" + s.File + ")"
	}
	return fmt.Sprintf(" (%s:%d)", s.File, s.Line)
}

func source(s *inspect.Snapshot, name string) inspect.Reading {
	for _, r := range s.Sources {
		if r.Name == name {
			return r
		}
	}
	return inspect.Reading{}
}

func driverVersion(s *inspect.Snapshot) string {
	if s.Driver == nil {
		return ""
	}
	return s.Driver.Version
}
