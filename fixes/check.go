package fixes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// ImageCheck is the answer of `check IMAGE`: the image's demands held against every GPU of a machine.
type ImageCheck struct {
	GPUs     []GPUCheck `json:"gpus"`
	Findings []Finding  `json:"findings"`
	Notes    []string   `json:"notes,omitempty"`
	WantsGPU bool       `json:"wantsGpu"`
}

// GPUCheck are an image's requirements held against one GPU; Index is nil where no GPU is known.
type GPUCheck struct {
	Index        *int          `json:"index,omitempty"`
	Name         string        `json:"name,omitempty"`
	Arch         string        `json:"computeCapability,omitempty"`
	Brand        string        `json:"brand,omitempty"`
	Requirements []Requirement `json:"requirements"`
}

// CheckImage says if an image will run on the driver and the GPUs of a Snapshot.
func CheckImage(s *inspect.Snapshot, image *inspect.Image) ImageCheck {
	c := ImageCheck{GPUs: []GPUCheck{}, Findings: []Finding{}}
	c.WantsGPU = image.CUDAVersion != "" || len(image.Require) > 0 || image.VisibleDevices != nil && asksForGPU(*image.VisibleDevices)
	if f, wrong := platformMismatch(s, image.Platform); wrong {
		c.Findings = append(c.Findings, f)
	}
	if !c.WantsGPU {
		return c
	}
	if len(s.GPUs) == 0 {
		c.GPUs = append(c.GPUs, GPUCheck{Requirements: Requirements(image, factsOf(s, nil))})
	}
	for i := range s.GPUs {
		g := &s.GPUs[i]
		c.GPUs = append(c.GPUs, GPUCheck{Index: &g.Index, Name: g.Name, Arch: g.ComputeCapability, Brand: g.Brand, Requirements: Requirements(image, factsOf(s, g))})
	}
	if gpuPresence(s) == absent && factsOf(s, nil).Driver == "" {
		c.Findings = append(c.Findings, NewFinding("no-nvidia-gpu", Evidence{Source: "host", Text: "no NVIDIA display function on the PCI bus"}))
		return c
	}
	c.driver(s, image)
	for _, g := range c.GPUs {
		if f, wrong := archUnsupported(image.CUDAVersion, "the image's CUDA", g.Arch, g.Name); wrong && !slices.ContainsFunc(c.Findings, func(have Finding) bool { return have.ID == f.ID }) {
			c.Findings = append(c.Findings, f)
		}
	}
	SortFindings(c.Findings)
	return c
}

// asksForGPU tells if a value of NVIDIA_VISIBLE_DEVICES asks for a GPU.
func asksForGPU(value string) bool {
	switch inspect.ParseVisibleDevices(&value, false).Kind {
	case inspect.VisibleAll, inspect.VisibleList:
		return true
	}
	return false
}

// driver judges requirements that are not met.
func (c *ImageCheck) driver(s *inspect.Snapshot, image *inspect.Image) {
	facts := factsOf(s, nil)
	var evidence []Evidence
	unmet, invalid := map[string]bool{}, false
	for _, g := range c.GPUs {
		for _, r := range g.Requirements {
			key := r.Variable + r.Value
			if r.Satisfied != MetNo || unmet[key] {
				continue
			}
			unmet[key] = true
			text := fmt.Sprintf("%s=%s", r.Variable, shortValue(r.Value))
			if r.Invalid != "" {
				invalid = true
				text += ": " + r.Invalid
			}
			evidence = append(evidence, Evidence{Source: "image", Text: text})
		}
	}
	unchecked := requirementsUnchecked(s)
	if unchecked != "" && len(image.Require) > 0 {
		c.Notes = append(c.Notes, unchecked)
	}
	if len(evidence) == 0 {
		if image.CUDAVersion != "" && facts.CUDA != "" && len(image.Require) == 0 && !image.Legacy {
			c.byCUDA(facts, image)
		}
		c.compatibility(facts, image)
		return
	}
	evidence = append(evidence, Evidence{Source: "driver", Text: fmt.Sprintf("driver %s, CUDA up to %s", orUnknown(facts.Driver), orUnknown(facts.CUDA))})
	f := NewFinding("cuda-driver-too-old", evidence...)
	minor := MinorCompatible(image.CUDAVersion, facts.Driver)
	switch {
	case invalid:
		f.Cause = "The image's requirement is no valid expression: NVIDIA's legacy runtime refuses to start it."
	case facts.CUDA == "" || facts.Driver == "":
		f.Cause = "The image demands more than this driver is known to serve."
	default:
		f.Cause = fmt.Sprintf("The image needs CUDA %s; driver %s serves up to %s.", orUnknown(wantedCUDA(image)), facts.Driver, facts.CUDA)
		if branch := driverOfCUDA(wantedCUDA(image)); branch > 0 {
			f.Steps = append([]string{fmt.Sprintf("Install driver %d or newer, or take an image for CUDA %s or older", branch, facts.CUDA)}, f.Steps...)
		}
	}
	if minor && !invalid {
		if unchecked != "" {
			f.Severity = Warning
		}
		c.Notes = append(c.Notes, fmt.Sprintf("CUDA %s programs start on driver %s by minor-version compatibility, as long as they need no PTX compiled; NVIDIA_DISABLE_REQUIRE=1 skips the check.", image.CUDAVersion, facts.Driver))
	}
	c.Findings = append(c.Findings, f)
}

// byCUDA judges an image that says its CUDA version and demands nothing.
func (c *ImageCheck) byCUDA(facts RequireFacts, image *inspect.Image) {
	if compareDotted(inspect.MajorMinor(image.CUDAVersion), facts.CUDA) > 0 && !MinorCompatible(image.CUDAVersion, facts.Driver) {
		c.Findings = append(c.Findings, NewFinding("cuda-driver-too-old", Evidence{Source: "image", Text: "CUDA_VERSION=" + image.CUDAVersion},
			Evidence{Source: "driver", Text: fmt.Sprintf("driver %s, CUDA up to %s", facts.Driver, facts.CUDA)}))
	}
}

// compatibility notes by what an image runs whose CUDA is newer than the driver's.
func (c *ImageCheck) compatibility(facts RequireFacts, image *inspect.Image) {
	cuda := inspect.MajorMinor(image.CUDAVersion)
	if cuda == "" || facts.CUDA == "" || compareDotted(cuda, facts.CUDA) <= 0 || len(c.Findings) > 0 {
		return
	}
	switch {
	case MinorCompatible(cuda, facts.Driver):
		c.Notes = append(c.Notes, fmt.Sprintf("CUDA %s is newer than the driver's %s: programs run by minor-version compatibility, unless they need PTX compiled.", cuda, facts.CUDA))
	case image.CompatPackage != "":
		c.Notes = append(c.Notes, fmt.Sprintf("CUDA %s is newer than the driver's %s: programs run by the image's %s, on data center GPUs only.", cuda, facts.CUDA, image.CompatPackage))
	}
}

// wantedCUDA is the CUDA version that an image names first: in its requirement, else as its own.
func wantedCUDA(image *inspect.Image) string {
	if rest, ok := strings.CutPrefix(image.Require["NVIDIA_REQUIRE_CUDA"], "cuda>="); ok {
		version, _, _ := strings.Cut(rest, " ")
		version, _, _ = strings.Cut(version, ",")
		return version
	}
	return inspect.MajorMinor(image.CUDAVersion)
}

// requirementsUnchecked says why nothing on this machine checks an image's requirements, or "".
func requirementsUnchecked(s *inspect.Snapshot) string {
	t := s.Toolkit
	if t == nil || !t.Installed {
		return ""
	}
	mode := ""
	if t.Config != nil {
		mode = t.Config.Mode
	}
	switch {
	case mode == "cdi" || mode == "jit-cdi", (mode == "" || mode == "auto") && t.Version != "" && compareDotted(t.Version, "1.18") >= 0:
		return "The toolkit works in CDI mode here and never checks NVIDIA_REQUIRE_*: the container starts, and its program fails."
	}
	return ""
}

// platformMismatch: an image for another processor starts only under emulation, and never with a GPU.
func platformMismatch(s *inspect.Snapshot, platform string) (Finding, bool) {
	arch := ""
	if s.Engine != nil {
		arch = s.Engine.Architecture
	}
	if arch == "" && s.Host != nil {
		arch = s.Host.Architecture
	}
	parts := strings.Split(platform, "/")
	if arch == "" || len(parts) < 2 || goArch(arch) == goArch(parts[1]) {
		return Finding{}, false
	}
	return NewFinding("arch-mismatch", Evidence{Source: "image", Text: platform}, Evidence{Source: "engine", Text: "linux/" + goArch(arch)}), true
}

// goArch is an architecture as images name it.
func goArch(arch string) string {
	switch arch {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return arch
}

func archUnsupported(cuda, whose, arch, gpu string) (Finding, bool) {
	outside := archOutside(inspect.MajorMinor(cuda), arch)
	if outside == "" {
		return Finding{}, false
	}
	f := NewFinding("gpu-arch-unsupported", Evidence{Source: "gpu", Text: fmt.Sprintf("%s has compute capability %s", orUnknown(gpu), arch)}, Evidence{Source: whose, Text: "CUDA " + cuda})
	if outside == "too-old" {
		f.Cause = fmt.Sprintf("CUDA %s has no code any more for compute capability %s.", cuda, arch)
	} else {
		f.Cause = fmt.Sprintf("CUDA %s is older than this GPU: it has no code for compute capability %s.", cuda, arch)
		f.Severity = Warning // a program that brings PTX can still be compiled for it
	}
	return f, true
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// shortValue keeps the first alternative of a long requirement.
func shortValue(value string) string {
	if len(value) <= 60 {
		return value
	}
	first, _, _ := strings.Cut(strings.TrimLeft(value, " "), " ")
	return fmt.Sprintf("%.60s … (%d alternatives)", first, len(strings.Fields(value)))
}

// SoftwareVerdict says whether one part of a container's CUDA stack can use the GPUs.
type SoftwareVerdict struct {
	inspect.Software
	Runs Met    `json:"runs"`
	Why  string `json:"why,omitempty"`
}

// CheckSoftware judges what was found in a container's files by the driver and the GPUs of a Snapshot.
func CheckSoftware(s *inspect.Snapshot, container *inspect.ContainerSoftware) ([]SoftwareVerdict, []Finding) {
	verdicts, findings := []SoftwareVerdict{}, []Finding{}
	facts := factsOf(s, nil)
	add := func(f Finding) {
		f.Container = container.Container
		if at := slices.IndexFunc(findings, func(have Finding) bool { return have.ID == f.ID }); at >= 0 {
			findings[at].Evidence = append(findings[at].Evidence, f.Evidence...)
			return
		}
		findings = append(findings, f)
	}
	noGPU := gpuPresence(s) == absent
	for _, software := range container.Software {
		v := SoftwareVerdict{Software: software}
		what := Evidence{Source: software.Path, Text: strings.TrimSpace(software.Name + " " + software.Version + labelCUDA(software.CUDA))}
		switch {
		case software.CPUOnly != nil && *software.CPUOnly:
			v.Runs, v.Why = MetNo, "built without CUDA"
			add(NewFinding("framework-cpu-only-build", what))
		case noGPU:
			v.Runs, v.Why = MetNo, "no NVIDIA GPU here"
		case software.CUDA == "":
			v.Why = "says nothing of its CUDA"
		case facts.CUDA == "":
			v.Why = "the driver is not known"
		default:
			v.Runs, v.Why = runsOn(facts, software.CUDA)
			if v.Runs == MetNo {
				add(NewFinding("cuda-driver-too-old", what, Evidence{Source: "driver", Text: fmt.Sprintf("driver %s, CUDA up to %s", facts.Driver, facts.CUDA)}))
				break
			}
			for _, g := range s.GPUs {
				if f, wrong := archUnsupported(software.CUDA, software.Name, g.ComputeCapability, g.Name); wrong {
					v.Runs, v.Why = MetNo, f.Cause
					add(f)
					break
				}
			}
		}
		verdicts = append(verdicts, v)
	}
	if l := container.DriverLibrary; l != nil && facts.Driver != "" && l.Version != facts.Driver {
		add(NewFinding("driver-libs-baked-into-image", Evidence{Source: l.Path, Text: "libcuda of driver " + l.Version}, Evidence{Source: "driver", Text: facts.Driver}))
	}
	SortFindings(findings)
	return verdicts, findings
}

func labelCUDA(cuda string) string {
	if cuda == "" {
		return ""
	}
	return " (CUDA " + cuda + ")"
}

func runsOn(facts RequireFacts, cuda string) (Met, string) {
	switch {
	case compareDotted(cuda, facts.CUDA) <= 0:
		return MetYes, ""
	case MinorCompatible(cuda, facts.Driver):
		return MetYes, "by minor-version compatibility, unless it needs PTX compiled"
	}
	why := fmt.Sprintf("the driver serves CUDA up to %s", facts.CUDA)
	if branch := driverOfCUDA(cuda); branch > 0 {
		why += fmt.Sprintf(", CUDA %s needs driver %d", cuda, branch)
	}
	return MetNo, why
}
