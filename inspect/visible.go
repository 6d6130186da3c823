package inspect

import "strings"

// VisibleKind is what a value of NVIDIA_VISIBLE_DEVICES asks for.
type VisibleKind string

// The kinds; product.md, "NVIDIA_VISIBLE_DEVICES".
const (
	VisibleUnset VisibleKind = "unset" // nothing
	VisibleVoid  VisibleKind = "void"  // the runtime behaves like runc
	VisibleNone  VisibleKind = "none"  // driver libraries, no GPU
	VisibleAll   VisibleKind = "all"
	VisibleList  VisibleKind = "list"
)

// Visible is a value of NVIDIA_VISIBLE_DEVICES as the nvidia runtime reads it. Devices are set for a list.
type Visible struct {
	Kind    VisibleKind
	Devices []string
}

// ParseVisibleDevices reads a value of NVIDIA_VISIBLE_DEVICES (nil: unset) as the NVIDIA Container
// Toolkit does (internal/config/image/cuda_image.go): void anywhere wins, otherwise the first of all and
// none swallows the rest, blanks are trimmed, and an empty value is void, even for a legacy image, which
// asks for all where the variable is unset.
func ParseVisibleDevices(value *string, legacyImage bool) Visible {
	if value == nil {
		if legacyImage {
			return Visible{Kind: VisibleAll}
		}
		return Visible{Kind: VisibleUnset}
	}
	var devices []string
	for device := range strings.SplitSeq(*value, ",") {
		if device = strings.TrimSpace(device); device != "" {
			devices = append(devices, device)
		}
	}
	kind := VisibleList
	if len(devices) == 0 {
		kind = VisibleVoid
	}
	for _, device := range devices {
		switch {
		case device == "void":
			return Visible{Kind: VisibleVoid}
		case kind == VisibleList && device == "all":
			kind = VisibleAll
		case kind == VisibleList && device == "none":
			kind = VisibleNone
		}
	}
	if kind != VisibleList {
		devices = nil
	}
	return Visible{kind, devices}
}
