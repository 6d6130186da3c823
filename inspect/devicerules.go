package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// DeviceRulesSource reads which devices the device cgroups of containers allow. Only cgroup v1 shows them
// as a file (devices.list); v2 keeps them in BPF programs.
var DeviceRulesSource = Source{Name: "device-cgroups", Local: true, Read: readDeviceRules}

// Bounds of the walk through the cgroups.
const (
	mostCgroups   = 20000
	deepestCgroup = 8
)

func readDeviceRules(ctx context.Context, m Machine) (Patch, error) {
	const top = "/sys/fs/cgroup/devices"
	if _, err := m.Root.ReadDir(top); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: cgroup v2 shows no device rules: %w", top, ErrAbsent)
		}
		return nil, err
	}
	rules := map[string][]string{} // by container id, of its outermost cgroup
	seen := 0
	var walk func(folder string, depth int) error
	walk = func(folder string, depth int) error {
		entries, err := m.Root.ReadDir(folder)
		if err != nil {
			return nil // it went away
		}
		for _, entry := range entries {
			if !entry.IsDir() {
				continue
			}
			if seen++; seen > mostCgroups || ctx.Err() != nil {
				return errors.Join(ctx.Err(), fmt.Errorf("%s: not all of its cgroups were read", top))
			}
			at := path.Join(folder, entry.Name())
			if ids := ContainerIDs(strings.TrimPrefix(at, top)); len(ids) > 0 {
				if _, known := rules[ids[0]]; !known {
					if data, err := m.Root.ReadFile(at + "/devices.list"); err == nil {
						rules[ids[0]] = append([]string{}, strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })...)
					}
				}
				continue // what lies below belongs to an engine inside
			}
			if depth < deepestCgroup {
				if err := walk(at, depth+1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err := walk(top, 0)
	return func(s *Snapshot) {
		for i := range s.Containers {
			if list, ok := rules[s.Containers[i].ID]; ok && s.Containers[i].State == "running" {
				s.Containers[i].DeviceRules = list
			}
		}
	}, err
}
