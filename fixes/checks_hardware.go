package fixes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker-gpu/docker-gpu/inspect"
)

var hardwareChecks = []Check{
	{ID: "gpu-lost-xid", Needs: []string{"nvml"}, Logged: true, Find: lostGPUs},
	{ID: "gpu-reset-required", Needs: []string{"nvml"}, Logged: true, Find: resetRequired},
	{ID: "gpu-init-failed", Needs: []string{"nvml"}, Logged: true, HiddenBy: []ID{"open-kernel-module-required", "open-kernel-module-unsupported", "gpu-lost-xid"}, Find: initFailed},
	{ID: "driver-not-answering", HiddenBy: slices.Concat(noDriver, []ID{"gpu-lost-xid", "gpu-reset-required", "ecc-error"}), Find: notAnswering},
	{ID: "xid-error", Needs: []string{"kernel-log"}, HiddenBy: []ID{"gpu-lost-xid", "gpu-reset-required", "ecc-error"}, Find: xids},
	{ID: "ecc-error", Needs: []string{"nvml"}, Logged: true, HiddenBy: []ID{"gpu-lost-xid"}, Find: eccErrors},
	{ID: "fabric-manager-not-running", Needs: []string{"nvml", "host"}, Find: fabricManager},
	{ID: "mig-misconfigured", Needs: []string{"nvml"}, Find: migMisconfigured},
	{ID: "mps-problem", Needs: []string{"host"}, Find: mpsDead},
	{ID: "pcie-degraded", Needs: []string{"nvml"}, Find: pcieDegraded},
	{ID: "thermal-throttled", Needs: []string{"nvml"}, Find: throttled},
	{ID: "power-capped", Needs: []string{"nvml"}, Find: powerCapped},
}

// recentHours is how old a message may be to concern the present.
const recentHours = 24

// fresh tells if a line of the kernel log is recent; one without time counts.
func fresh(s *inspect.Snapshot, line inspect.LogLine) bool {
	return line.At == nil || s.TakenAt.IsZero() || s.TakenAt.Sub(*line.At) < recentHours*time.Hour
}

// recent tells if a container that has ended did so lately; one whose times are not known counts.
func recent(s *inspect.Snapshot, c *inspect.Container) bool {
	if c.State == "running" || c.State == "restarting" || s.TakenAt.IsZero() {
		return true
	}
	at := c.StartedAt
	if c.Output != nil && c.Output.FinishedAt != nil {
		at = c.Output.FinishedAt
	}
	if at == nil {
		at = c.CreatedAt
	}
	return at == nil || s.TakenAt.Sub(*at) < recentHours*time.Hour
}

// sameBus compares PCI addresses as NVML, sysfs and the kernel log write them: the domain has four or
// eight digits, the function may be missing.
func sameBus(a, b string) bool {
	plain := func(s string) string {
		s = strings.ToLower(s)
		if strings.Count(s, ":") == 2 {
			domain, rest, _ := strings.Cut(s, ":")
			s = strings.TrimLeft(domain, "0") + ":" + rest
		} else {
			s = ":" + s
		}
		s, _, _ = strings.Cut(s, ".")
		return s
	}
	return a != "" && b != "" && plain(a) == plain(b)
}

// answers tells if NVML reads the GPU at an address without complaint.
func answers(s *inspect.Snapshot, busID string) bool {
	return slices.ContainsFunc(s.GPUs, func(g inspect.GPU) bool { return sameBus(g.PCIBusID, busID) && g.Error == "" })
}

func named(g inspect.GPU) string {
	if g.PCIBusID != "" {
		return fmt.Sprintf("GPU %d (%s)", g.Index, g.PCIBusID)
	}
	return fmt.Sprintf("GPU %d", g.Index)
}

// lostGPUs: NVML says lost, or the kernel log says so (Xid 79) and the GPU does not answer since.
func lostGPUs(s *inspect.Snapshot) []Finding {
	var evidence []Evidence
	for _, g := range s.GPUs {
		if strings.Contains(strings.ToLower(g.Error), "lost") || strings.Contains(g.Error, "Unable to determine the device handle") {
			evidence = append(evidence, saw("nvml", "%s: %s", named(g), g.Error))
		}
	}
	if d := s.Driver; d != nil && d.NVMLError == "GPU is lost" && s.Host != nil && s.Host.Container == "" {
		evidence = append(evidence, saw("nvml", "%s", d.NVMLError))
	}
	for _, line := range s.KernelLog {
		lost := line.Xid != nil && *line.Xid == 79 || strings.Contains(line.Text, "has fallen off the bus")
		if lost && !(line.BusID != "" && answers(s, line.BusID)) && !everyCardAnswers(s) {
			evidence = append(evidence, Evidence{Source: "kernel log", Text: line.Text})
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("gpu-lost-xid", evidence[:min(len(evidence), mostEvidence)]...)}
}

// resetRequired: NVML says so, or the driver's last word on what the GPU needs (Xid 154) is a reset.
func resetRequired(s *inspect.Snapshot) []Finding {
	var evidence []Evidence
	for _, g := range s.GPUs {
		if strings.Contains(strings.ToLower(g.Error), "requires reset") || strings.Contains(strings.ToLower(g.Error), "reset required") {
			evidence = append(evidence, saw("nvml", "%s: %s", named(g), g.Error))
		}
	}
	last := map[string]inspect.LogLine{}
	for _, line := range s.KernelLog {
		if line.Xid != nil && *line.Xid == 154 {
			last[line.BusID] = line
		}
	}
	for _, line := range last {
		if _, to, ok := strings.Cut(line.Text, " to "); ok && strings.Contains(strings.ToLower(to), "reset") && fresh(s, line) {
			evidence = append(evidence, Evidence{Source: "kernel log", Text: line.Text})
		}
	}
	if evidence == nil {
		return nil
	}
	slices.SortFunc(evidence, func(a, b Evidence) int { return strings.Compare(a.Text, b.Text) })
	return []Finding{NewFinding("gpu-reset-required", evidence...)}
}

// initFailed: the driver gave a card up, and NVML does not show as many GPUs as there are cards. Without
// the kernel log, a card that is bound to the driver and does not show says the same.
func initFailed(s *inspect.Snapshot) []Finding {
	if everyCardAnswers(s) {
		return nil
	}
	for _, line := range s.KernelLog {
		if strings.Contains(line.Text, "RmInitAdapter failed") || strings.Contains(line.Text, "rm_init_adapter failed") {
			return []Finding{NewFinding("gpu-init-failed", Evidence{Source: "kernel log", Text: line.Text})}
		}
	}
	if d := s.Driver; d != nil && d.NVMLError != "" && d.ModuleVersion != "" && s.Host != nil && len(s.Host.PCI) > 0 && s.Host.Container == "" {
		if _, known := causeOfNVML(d.NVMLError); !known || d.NVMLError == "Unknown Error" {
			return []Finding{NewFinding("gpu-init-failed", saw("nvml", "%s", d.NVMLError), saw("/proc/driver/nvidia/version", "kernel module %s is loaded", d.ModuleVersion))}
		}
	}
	if s.GPUs == nil || s.Host == nil || s.Driver == nil || s.Driver.NVMLError != "" || s.Driver.ModuleVersion == "" || s.Host.Container != "" || len(s.GPUs) >= len(s.Host.PCI) {
		return nil
	}
	var evidence []Evidence
	for _, p := range s.Host.PCI {
		excluded := slices.ContainsFunc(s.Driver.GPUs, func(g inspect.ProcGPU) bool { return sameBus(g.BusID, p.BusID) && g.Excluded != nil && *g.Excluded })
		if p.Driver == "nvidia" && !excluded && !slices.ContainsFunc(s.GPUs, func(g inspect.GPU) bool { return sameBus(g.PCIBusID, p.BusID) || g.PCIBusID == "" }) {
			evidence = append(evidence, saw("nvml", "does not show the GPU at %s, which the driver is bound to", p.BusID))
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("gpu-init-failed", evidence...)}
}

// notAnswering: NVML hung until its deadline. Where the driver's or the hardware's own Xid is in the log, that
// is the cause; one that a program brought upon itself explains no hanging driver.
func notAnswering(s *inspect.Snapshot) []Finding {
	nvml := source(s, "nvml")
	if !nvml.TimedOut || slices.ContainsFunc(xids(s), func(f Finding) bool { return f.Severity == Error }) {
		return nil
	}
	evidence := []Evidence{saw("nvml", "%s", nvml.Error)}
	if d := s.Driver; d != nil && d.ModuleVersion != "" {
		evidence = append(evidence, saw("/proc/driver/nvidia/version", "kernel module %s is loaded", d.ModuleVersion))
	}
	return []Finding{NewFinding("driver-not-answering", evidence...)}
}

// Xids by what they mean, of NVIDIA's table (https://docs.nvidia.com/deploy/xid-errors): errors of
// memory, those that a program brings upon itself, and those that only follow another one.
var (
	memoryXids      = []int{48, 63, 64, 94, 95}
	applicationXids = []int{13, 31, 32, 68, 69}
	followingXids   = []int{43, 45}
	otherIDXids     = []int{79, 154}
)

// xids: other errors that the driver logged lately. Those that a program brings upon itself are
// warnings; those that only tell that a program was ended are no finding.
func xids(s *inspect.Snapshot) []Finding {
	severity := Severity("")
	var evidence []Evidence
	for _, line := range s.KernelLog {
		if line.Xid == nil || !fresh(s, line) || slices.Contains(followingXids, *line.Xid) || slices.Contains(memoryXids, *line.Xid) || slices.Contains(otherIDXids, *line.Xid) {
			continue
		}
		evidence = append(evidence, Evidence{Source: "kernel log", Text: line.Text})
		if !slices.Contains(applicationXids, *line.Xid) {
			severity = Error
		} else if severity == "" {
			severity = Warning
		}
	}
	if evidence == nil {
		return nil
	}
	f := NewFinding("xid-error", evidence[max(0, len(evidence)-mostEvidence):]...)
	f.Severity = severity
	return []Finding{f}
}

// eccErrors: uncorrectable ones since the driver was loaded, and memory that waits for a reset to be
// taken out of use. What the GPU has counted over its life is history.
func eccErrors(s *inspect.Snapshot) []Finding {
	var evidence []Evidence
	for _, g := range s.GPUs {
		if e := g.ECC; e != nil && e.UncorrectedVolatile != nil && *e.UncorrectedVolatile > 0 {
			evidence = append(evidence, saw("nvml", "%s: %d uncorrectable memory errors since the driver was loaded", named(g), *e.UncorrectedVolatile))
		}
		if r := g.RemappedRows; r != nil && r.Pending {
			evidence = append(evidence, saw("nvml", "%s: a row of its memory waits to be remapped", named(g)))
		}
		if r := g.RemappedRows; r != nil && r.Failed {
			evidence = append(evidence, saw("nvml", "%s: a row of its memory could not be remapped", named(g)))
		}
		if r := g.RetiredPages; r != nil && r.Pending != nil && *r.Pending {
			evidence = append(evidence, saw("nvml", "%s: pages of its memory wait to be retired", named(g)))
		}
	}
	for _, line := range s.KernelLog {
		if line.Xid != nil && slices.Contains(memoryXids, *line.Xid) && fresh(s, line) {
			evidence = append(evidence, Evidence{Source: "kernel log", Text: line.Text})
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("ecc-error", evidence[:min(len(evidence), mostEvidence)]...)}
}

// fabricManager: the GPUs of an NVSwitch machine wait for it, or it is of another version than the driver.
func fabricManager(s *inspect.Snapshot) []Finding {
	if s.Host == nil || s.Host.Daemons == nil {
		return nil
	}
	var manager *inspect.Daemon
	for i := range s.Host.Daemons {
		if s.Host.Daemons[i].Name == "nvidia-fabricmanager" {
			manager = &s.Host.Daemons[i]
		}
	}
	var evidence []Evidence
	switched := false
	for _, g := range s.GPUs {
		switched = switched || slices.ContainsFunc(g.NVLinks, func(l inspect.NVLink) bool { return l.RemoteType == "switch" })
		if g.FabricState == "not-started" || g.FabricState == "in-progress" {
			switched = true
			evidence = append(evidence, saw("nvml", "%s: its fabric is %s", named(g), g.FabricState))
		}
	}
	switch {
	case !switched:
		return nil
	case manager != nil && manager.Running != nil && !*manager.Running:
		evidence = append(evidence, saw(manager.PIDFile, "nvidia-fabricmanager is not running"))
	case manager != nil && manager.Version != "" && driverVersion(s) != "" && manager.Version != driverVersion(s):
		evidence = append(evidence, saw("nvidia-fabricmanager", "version %s, the driver is %s", manager.Version, driverVersion(s)))
	case manager == nil && len(evidence) > 0 && s.Host.Container == "":
		evidence = append(evidence, saw("host", "nvidia-fabricmanager is not running"))
	default:
		return nil // it runs: an initialisation in progress ends by itself
	}
	return []Finding{NewFinding("fabric-manager-not-running", evidence[max(0, len(evidence)-mostEvidence):]...)}
}

// migMisconfigured: MIG is on and there is nothing to use, or a container names a MIG device that is not there.
func migMisconfigured(s *inspect.Snapshot) []Finding {
	var found []Finding
	var evidence []Evidence
	for _, g := range s.GPUs {
		if g.MIG != nil && g.MIG.Enabled && g.MIG.Devices != nil && len(g.MIG.Devices) == 0 && g.Error == "" {
			evidence = append(evidence, saw("nvml", "%s: MIG is on and has no instances", named(g)))
		}
	}
	if evidence != nil {
		found = append(found, NewFinding("mig-misconfigured", evidence...))
	}
	if len(s.GPUs) == 0 {
		return found
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		if c.Error == "" {
			continue
		}
		for _, name := range asksByName(s, c) {
			if isMIGName(name) && !migThere(s, name) {
				found = append(found, inContainer("mig-misconfigured", c, ofContainer(c, "asks for %s, which is not there", name)))
				break
			}
		}
	}
	return found
}

// isMIGName: MIG-<uuid>, or GPU:INDEX.
func isMIGName(name string) bool {
	gpu, device, ok := strings.Cut(name, ":")
	return strings.HasPrefix(name, "MIG-") || ok && strings.Trim(gpu+device, "0123456789") == "" && gpu != "" && device != ""
}

func migThere(s *inspect.Snapshot, name string) bool {
	for _, g := range s.GPUs {
		if g.MIG == nil {
			continue
		}
		for _, d := range g.MIG.Devices {
			if d.UUID == name || fmt.Sprintf("%d:%d", g.Index, d.Index) == name {
				return true
			}
		}
	}
	return false
}

// mpsDead: the control daemon has ended and left its pipe behind, which CUDA programs still try.
func mpsDead(s *inspect.Snapshot) []Finding {
	if s.Host == nil {
		return nil
	}
	for _, d := range s.Host.Daemons {
		if d.Name == "nvidia-cuda-mps-control" && d.Socket != "" && d.Running != nil && !*d.Running {
			return []Finding{NewFinding("mps-problem", saw(d.Socket, "is there, the daemon of %s is not running", d.PIDFile))}
		}
	}
	return nil
}

// busy tells if a GPU works at full clocks. An idle one lowers its link and clocks to save power.
func busy(g inspect.GPU) bool {
	return g.GPUUtilPercent != nil && *g.GPUUtilPercent >= 20 && !slices.Contains(g.ThrottleReasons, "gpu-idle")
}

// pcieDegraded: under load, a link below what this GPU in this slot can do, by NVML's own maximum.
func pcieDegraded(s *inspect.Snapshot) []Finding {
	var evidence []Evidence
	for _, g := range s.GPUs {
		p := g.PCIe
		if p == nil || !busy(g) {
			continue
		}
		if p.Width != nil && p.WidthMax != nil && *p.Width < *p.WidthMax && *p.Width > 0 {
			evidence = append(evidence, saw("nvml", "%s: PCIe width %d of %d under load", named(g), *p.Width, *p.WidthMax))
		}
		if p.Generation != nil && p.GenerationMax != nil && *p.Generation < *p.GenerationMax && *p.Generation > 0 {
			evidence = append(evidence, saw("nvml", "%s: PCIe generation %d of %d under load", named(g), *p.Generation, *p.GenerationMax))
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("pcie-degraded", evidence...)}
}

func throttled(s *inspect.Snapshot) []Finding {
	var evidence []Evidence
	for _, g := range s.GPUs {
		hot := slices.Contains(g.ThrottleReasons, "hw-thermal") || slices.Contains(g.ThrottleReasons, "sw-thermal") ||
			slices.Contains(g.ThrottleReasons, "hw-slowdown") && g.TemperatureCelsius != nil && g.SlowdownTemperatureCelsius != nil && *g.TemperatureCelsius >= *g.SlowdownTemperatureCelsius
		if !hot {
			continue
		}
		e := saw("nvml", "%s: %s", named(g), strings.Join(g.ThrottleReasons, ", "))
		if g.TemperatureCelsius != nil {
			e.Text += fmt.Sprintf(" at %d °C", *g.TemperatureCelsius)
		}
		evidence = append(evidence, e)
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("thermal-throttled", evidence...)}
}

// powerCapped: the power supply's brake, or a limit set far below the GPU's own. That a GPU under load
// meets its limit (sw-power-cap) is how it is meant to work.
func powerCapped(s *inspect.Snapshot) []Finding {
	var evidence []Evidence
	for _, g := range s.GPUs {
		if slices.Contains(g.ThrottleReasons, "hw-power-brake") {
			evidence = append(evidence, saw("nvml", "%s: %s", named(g), strings.Join(g.ThrottleReasons, ", ")))
			continue
		}
		if slices.Contains(g.ThrottleReasons, "sw-power-cap") && busy(g) && g.PowerLimitWatts != nil && g.PowerDefaultLimitWatts != nil && *g.PowerLimitWatts < *g.PowerDefaultLimitWatts*0.7 {
			evidence = append(evidence, saw("nvml", "%s: held at %.0f W, its own limit is %.0f W", named(g), *g.PowerLimitWatts, *g.PowerDefaultLimitWatts))
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("power-capped", evidence...)}
}
