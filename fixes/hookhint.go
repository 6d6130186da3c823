package fixes

import (
	"slices"
	"strings"
)

// A Hint is what docker gpu says under a docker command that failed.
type Hint struct {
	ID    ID
	Title string
	Cause string
	Next  string // the command to type
}

// notGPUAlone are causes that any container may have: they are hinted at only where the command or its
// error speaks of a GPU.
var notGPUAlone = []ID{"docker-socket-permission", "docker-daemon-not-running", "daemon-json-invalid", "host-out-of-memory", "image-tag-removed",
	"arch-mismatch", "selinux-denied", "apparmor-denied", "shm-too-small", "engine-too-old", "snap-docker", "compose-syntax", "compose-too-old", "cuda-repo-key-rotated"}

// gpuSigns are words that a text about GPUs has.
var gpuSigns = []string{"nvidia", "gpu", "cuda", "nvml", "cdi", "/dev/dri", "/dev/dxg", "nvenc", "torch"}

// HintFor explains the error of a docker command by the table of symptoms. flags are those that the
// command was given. ok is false where GPUs play no part in it, or nothing is known.
func HintFor(text string, flags map[string]string) (Hint, bool) {
	if strings.TrimSpace(text) == "" {
		return Hint{}, false
	}
	for _, f := range ExplainString("docker", text).Findings {
		if f.ID == "healthy" || f.ID == "not-gpu-related" || !f.Severity.WarningOrWorse() {
			continue
		}
		if slices.Contains(notGPUAlone, f.ID) && !aboutGPU(text, flags) {
			return Hint{}, false
		}
		return hintOf(f.ID), true
	}
	return Hint{}, false
}

func hintOf(id ID) Hint {
	f := NewFinding(id)
	h := Hint{ID: id, Title: f.Title, Cause: f.Cause, Next: "docker gpu diagnose"}
	if playbooks[id] != nil && !leftToPeople(id) {
		h.Next = "docker gpu fix " + string(id)
		return h
	}
	entry, _ := Knowledge().Entry(id)
	for _, step := range entry.Steps {
		switch {
		case step.Command == "" || step.Platform != "":
		case step.Command == "nvidia-smi -L" || strings.HasPrefix(step.Command, "docker "):
			h.Next = step.Command
			return h
		}
	}
	return h
}

var unresolvedDevices = lazy(`unresolvable CDI devices ((?:[^\s,"']+[ ,]{0,2})+)`)

// Given is what a hint becomes by the names of the CDI devices that there are: where the GPUs are described and the one
// that was asked for is not among them, no specification is missing.
func (h Hint) Given(text string, devices []string) Hint {
	const gpu = "nvidia.com/gpu="
	found := unresolvedDevices().FindStringSubmatch(text)
	if h.ID != "cdi-spec-missing" || found == nil || !slices.ContainsFunc(devices, func(d string) bool { return strings.HasPrefix(d, gpu) }) {
		return h
	}
	for _, name := range strings.FieldsFunc(found[1], func(r rune) bool { return r == ' ' || r == ',' }) {
		name = strings.TrimSuffix(name, ":")
		if strings.HasPrefix(name, gpu) && !slices.Contains(devices, name) {
			return hintOf("visible-devices-bad-index")
		}
	}
	return h
}

func aboutGPU(text string, flags map[string]string) bool {
	if _, asked := flags["gpus"]; asked {
		return true
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc(gpuSigns, func(sign string) bool { return strings.Contains(text, sign) })
}

// leftToPeople are causes whose playbook only says why docker gpu does not mend them, or that a command
// which just failed leaves no container of to mend.
func leftToPeople(id ID) bool {
	return slices.Contains([]ID{"driver-not-installed", "driver-too-old", "cuda-driver-too-old", "open-kernel-module-required", "open-kernel-module-unsupported",
		"driver-tools-missing", "docker-desktop-own-config", "docker-desktop-linux-vm", "snap-docker", "daemon-json-invalid",
		"gpu-not-requested", "visible-devices-void", "visible-devices-ignored", "driver-capabilities-missing", "cuda-out-of-memory", "shm-too-small", "env-has-no-effect"}, id)
}
