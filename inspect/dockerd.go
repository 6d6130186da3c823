package inspect

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// EngineProcess is the dockerd behind a local engine's socket. Args are its command line without the
// program; PATH is where it looks for runtimes and hooks, known only to root and to its own user.
type EngineProcess struct {
	PID        int      `json:"pid"`
	Executable string   `json:"executable,omitempty"`
	Args       []string `json:"args"`
	PATH       string   `json:"path,omitempty"`
	ManagedBy  string   `json:"managedBy,omitempty"` // systemd, systemd-user, snap, openrc, none
	Unit       string   `json:"unit,omitempty"`      // docker.service, snap.docker.dockerd.service
	PIDFile    string   `json:"pidFile,omitempty"`
	LogFile    string   `json:"logFile,omitempty"` // where its standard error goes, where that is a file
}

// FindEngine finds the dockerd that serves a local endpoint: by who made the socket, else by its PID
// file, else by its command line. nil: there is none, or it cannot be seen.
func FindEngine(root Root, endpoint string) *EngineProcess {
	socket, ok := strings.CutPrefix(endpoint, "unix://")
	if !ok {
		return nil
	}
	for _, r := range slices.Compact([]Root{root, "/"}) { // a container with the host's processes sees them in its own /proc
		if pid := socketOwner(socket); pid > 0 {
			if p := engineProcess(r, pid); p != nil {
				return p
			}
		}
		if socket == "/var/run/docker.sock" || socket == "/run/docker.sock" {
			if pid, err := strconv.Atoi(r.ReadLine("/var/run/docker.pid")); err == nil {
				if p := engineProcess(r, pid); p != nil {
					return p
				}
			}
		}
		entries, err := r.ReadDir("/proc")
		if err != nil {
			continue
		}
		for _, e := range entries {
			if !isDigits(e.Name()) || r.ReadLine("/proc/"+e.Name()+"/comm") != "dockerd" {
				continue
			}
			pid, _ := strconv.Atoi(e.Name())
			if p := engineProcess(r, pid); p != nil && p.serves(socket) {
				return p
			}
		}
	}
	return nil
}

// serves tells if the command line names the socket, or names none and the socket is the default one.
func (p *EngineProcess) serves(socket string) bool {
	hosts := slices.Concat(p.Flag("host"), p.Flag("H"))
	if len(hosts) == 0 {
		return socket == "/var/run/docker.sock" || socket == "/run/docker.sock"
	}
	return slices.Contains(hosts, "unix://"+socket) || slices.Contains(hosts, "fd://") && strings.HasSuffix(socket, "run/docker.sock")
}

// Flag is every value of a flag of the command line; a flag of one letter stands behind one dash.
func (p *EngineProcess) Flag(name string) []string {
	dashed := "--" + name
	if len(name) == 1 {
		dashed = "-" + name
	}
	var values []string
	for i, arg := range p.Args {
		if value, ok := strings.CutPrefix(arg, dashed+"="); ok {
			values = append(values, value)
		} else if arg == dashed && i+1 < len(p.Args) {
			values = append(values, p.Args[i+1])
		}
	}
	return values
}

func engineProcess(root Root, pid int) *EngineProcess {
	folder := "/proc/" + strconv.Itoa(pid)
	cmdline, err := root.ReadFile(folder + "/cmdline")
	if err != nil || len(cmdline) == 0 {
		return nil
	}
	args := strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
	if path.Base(args[0]) != "dockerd" && root.ReadLine(folder+"/comm") != "dockerd" {
		return nil
	}
	p := &EngineProcess{PID: pid, Args: args[1:]}
	if p.Executable, err = root.Readlink(folder + "/exe"); err != nil && path.IsAbs(args[0]) {
		p.Executable = args[0]
	}
	p.Executable = strings.TrimSuffix(p.Executable, " (deleted)") // it was updated under the running engine
	if data, err := root.ReadFile(folder + "/environ"); err == nil {
		for entry := range strings.SplitSeq(string(data), "\x00") {
			if value, ok := strings.CutPrefix(entry, "PATH="); ok {
				p.PATH = value
			}
		}
	}
	if target, err := root.Readlink(folder + "/fd/2"); err == nil && strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "/dev/") {
		p.LogFile = target
	}
	p.PIDFile = "/var/run/docker.pid"
	for _, value := range slices.Concat(p.Flag("pidfile"), p.Flag("p")) {
		p.PIDFile = value
	}
	cgroup, _ := root.ReadFile(folder + "/cgroup")
	p.ManagedBy, p.Unit = managedBy(string(cgroup), root.Exists("/run/openrc/softlevel") && root.Exists("/etc/init.d/docker"))
	return p
}

// managedBy reads from a process's cgroup which unit it belongs to. The last folder is that of the unit.
func managedBy(cgroup string, openrc bool) (manager, unit string) {
	for line := range strings.Lines(cgroup) {
		name := path.Base(strings.TrimSpace(line))
		switch {
		case strings.HasPrefix(name, "snap.docker.") && strings.HasSuffix(name, ".service"):
			return "snap", name
		case strings.HasSuffix(name, ".service") && strings.Contains(line, "/user@"):
			return "systemd-user", name
		case strings.HasSuffix(name, ".service") && strings.Contains(line, "/system.slice/") && strings.Contains(name, "docker"):
			return "systemd", name
		}
	}
	if openrc {
		return "openrc", "docker"
	}
	return "none", ""
}
