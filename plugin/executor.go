package plugin

import (
	"os"
	"path/filepath"
	"time"

	"github.com/docker-gpu/docker-gpu/fixes"
)

// executor carries plans out on this machine, with the journal of the user who runs docker gpu.
func (a *app) executor() *fixes.Executor {
	return &fixes.Executor{Host: fixes.LocalHost{}, Journal: fixes.NewJournal(stateFolder(), time.Now)}
}

// stateFolder is $XDG_STATE_HOME/docker-gpu; where there is no home folder, one below /var/lib.
func stateFolder() string {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "docker-gpu")
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "docker-gpu")
	}
	return "/var/lib/docker-gpu"
}
