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
		h := Hint{ID: f.ID, Title: f.Title, Cause: f.Cause, Next: "docker gpu diagnose"}
		if playbooks[f.ID] != nil && !leftToPeople(f.ID) {
			h.Next = "docker gpu fix " + string(f.ID)
		} else if entry, ok := Knowledge().Entry(f.ID); ok {
			for _, step := range entry.Steps {
				if step.Command != "" && step.Platform == "" && strings.HasPrefix(step.Command, "docker ") {
					h.Next = step.Command
					break
				}
			}
		}
		return h, true
	}
	return Hint{}, false
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
