package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// DesktopConfigSource reads the daemon.json of this distribution where the engine is Docker Desktop's, which
// does not read it: people register runtimes there in vain.
var DesktopConfigSource = Source{Name: "distribution-daemon.json", Then: func(s *Snapshot) func(context.Context, Machine) (Patch, error) {
	if s.Engine == nil || s.Engine.Desktop == nil || !*s.Engine.Desktop || s.Engine.ConfigFile != nil {
		return nil
	}
	return func(_ context.Context, m Machine) (Patch, error) {
		const name = "/etc/docker/daemon.json"
		data, err := m.Root.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", name, ErrAbsent)
		}
		if err != nil {
			return nil, err
		}
		f := &ConfigFile{Path: name, Exists: true}
		if info, statErr := m.Root.Stat(name); statErr == nil {
			f.ModifiedAt = ptr(info.ModTime().UTC())
		}
		f.parse(data)
		return func(s *Snapshot) { s.Engine.ConfigFile = f }, nil
	}
}}
