package inspect

import (
	"encoding/hex"
	"strings"
)

// containerIDLength is that of the ids that Docker, containerd, CRI-O and podman give: 64 hex digits.
const containerIDLength = 64

// ContainerIDs lists the container ids that a cgroup path names, outermost first. It knows
// /docker/ID, /PARENT/ID, docker-ID.scope, libpod-ID.scope, libpod-payload-ID, cri-containerd-ID.scope,
// crio-ID.scope and /kubepods/…/ID, whatever follows them; a libpod-conmon- scope holds podman's
// monitor, which is not in the container. The kernel writes " (deleted)" behind the path of a cgroup
// that went away before its last process did.
func ContainerIDs(cgroup string) []string {
	var ids []string
	for segment := range strings.SplitSeq(strings.TrimSuffix(cgroup, " (deleted)"), "/") {
		segment = strings.TrimSuffix(segment, ".scope")
		if len(segment) < containerIDLength || strings.HasPrefix(segment, "libpod-conmon-") {
			continue
		}
		prefix, id := segment[:len(segment)-containerIDLength], segment[len(segment)-containerIDLength:]
		if prefix != "" && !strings.HasSuffix(prefix, "-") && !strings.HasSuffix(prefix, ":") { // a longer hex number is no id
			continue
		}
		if _, err := hex.DecodeString(id); err == nil && strings.ToLower(id) == id {
			ids = append(ids, id)
		}
	}
	return ids
}

// processCgroup is the path in /proc/PID/cgroup that tells most: with cgroup v2 there is one ("0::PATH"),
// with v1 the first that names a container.
func processCgroup(data []byte) string {
	best := ""
	for line := range strings.Lines(string(data)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		_, path, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		if len(ContainerIDs(path)) > 0 {
			return path
		}
		if len(path) > len(best) {
			best = path
		}
	}
	return best
}
