package inspect

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// readDeviceNodes lists the nodes that GPU access needs, and the links of /dev/char that lead to them.
// Where /dev cannot be listed there are none known.
func readDeviceNodes(root Root) ([]DeviceNode, []CharLink, error) {
	if err := root.Listable("/dev"); err != nil {
		return nil, nil, err
	}
	groups := groupNames(root)
	nodes := []DeviceNode{}
	var links []CharLink
	for _, pattern := range []string{"/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/dxg", "/dev/dri/*"} {
		for _, name := range root.Glob(pattern) {
			info, err := root.Stat(name)
			if err != nil || info.IsDir() || len(nodes) >= mostNodes {
				continue
			}
			node := DeviceNode{Path: name, Mode: deviceMode(info.Mode()), Device: info.Mode()&fs.ModeCharDevice != 0}
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				node.UID, node.GID, node.Group = int(stat.Uid), int(stat.Gid), groups[int(stat.Gid)]
				node.Major, node.Minor = unix.Major(uint64(stat.Rdev)), unix.Minor(uint64(stat.Rdev)) //nolint:unconvert // 32 bits on some architectures
			}
			nodes = append(nodes, node)
			if node.Device && strings.HasPrefix(name, "/dev/nvidia") {
				link := "/dev/char/" + strconv.Itoa(int(node.Major)) + ":" + strconv.Itoa(int(node.Minor))
				if target, err := root.Readlink(link); err == nil && path.Base(target) == path.Base(name) {
					links = append(links, CharLink{Path: link, Target: target})
				}
			}
		}
	}
	return nodes, links, nil
}

// mostNodes bounds the nodes that are told of: who is root in a container can fill its /dev with files of any name.
const mostNodes = 1024

// deviceMode is the mode as ls shows it: Go writes "Dcrw-rw-rw-" for a character device.
func deviceMode(mode fs.FileMode) string {
	if mode&fs.ModeCharDevice != 0 {
		return "c" + mode.Perm().String()[1:]
	}
	return mode.String()
}

func groupNames(root Root) map[int]string {
	names := map[int]string{}
	data, _ := root.ReadFile("/etc/group")
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 3 {
			continue
		}
		if gid, err := strconv.Atoi(fields[2]); err == nil {
			names[gid] = fields[0]
		}
	}
	return names
}
