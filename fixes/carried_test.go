package fixes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// writtenDown is this machine's files and a package manager, a kernel and an init system that write down what they are told.
type writtenDown struct {
	LocalHost
	root  string
	lines *[]string
	is    map[string]bool // commands of asking that answer yes
}

func (h writtenDown) Run(_ context.Context, argv ...string) ([]byte, error) {
	line := strings.ReplaceAll(strings.Join(argv, " "), h.root, "")
	for _, ask := range []string{"systemctl is-enabled", "getsebool"} {
		if strings.HasPrefix(line, ask) {
			if h.is[line] {
				return []byte("container_use_devices --> on\n"), nil
			}
			return nil, errors.New("exit status 1")
		}
	}
	for _, a := range argv {
		if strings.ContainsAny(a, " |;&$`") {
			return nil, errors.New("a string for a shell: " + a)
		}
	}
	*h.lines = append(*h.lines, line)
	switch argv[0] {
	case "modprobe":
		modules := filepath.Join(h.root, "proc/modules")
		if argv[1] == "--remove" {
			return nil, os.WriteFile(modules, nil, 0o644)
		}
		return nil, os.WriteFile(modules, []byte(argv[1]+" 1 0 - Live 0x0\n"), 0o644)
	case "curl":
		file := argv[slices.Index(argv, "--output")+1]
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		return nil, os.WriteFile(file, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n-----END PGP PUBLIC KEY BLOCK-----\n"), 0o644)
	case "rm":
		return nil, os.Remove(argv[2])
	}
	return nil, nil
}

// Each playbook of the machine is carried out by an executor, with a root folder of files and programs that write down
// exactly what they are told, and taken back: the commands in the order in which they have to come, the files as they were.
func TestHostPlaybooksAreCarriedOutAndUndone(t *testing.T) {
	node := func(path, mode, group string) inspect.DeviceNode {
		return inspect.DeviceNode{Path: path, Device: true, Mode: mode, Group: group}
	}
	for _, c := range []struct {
		name     string
		id       ID
		host     inspect.Host
		is       []string
		group    string
		run      string
		undo     string
		leftover bool // a step cannot be undone
	}{
		{name: "module", id: "driver-module-not-loaded", run: "modprobe nvidia", undo: "modprobe --remove nvidia"},
		{name: "nouveau on Debian", id: "nouveau-loaded", run: "update-initramfs -u\nsystemctl reboot", undo: "update-initramfs -u", leftover: true},
		{name: "nouveau on Fedora", id: "nouveau-loaded", host: inspect.Host{OSID: "fedora"}, run: "dracut --force\nsystemctl reboot", undo: "dracut --force", leftover: true},
		{name: "nouveau on Arch", id: "nouveau-loaded", host: inspect.Host{OSID: "arch"}, run: "mkinitcpio --allpresets\nsystemctl reboot", undo: "mkinitcpio --allpresets", leftover: true},
		{name: "module to be built", id: "driver-dkms-not-built", host: inspect.Host{Kernel: "6.8.0-48-generic"}, run: "apt-get install --yes linux-headers-6.8.0-48-generic\ndkms autoinstall -k 6.8.0-48-generic\nmodprobe nvidia",
			undo: "modprobe --remove nvidia\napt-get remove --yes linux-headers-6.8.0-48-generic", leftover: true},
		{name: "nodes that are root's alone", id: "device-permission-denied", host: inspect.Host{DeviceNodes: []inspect.DeviceNode{node("/dev/nvidia0", "crw-------", "root"), node("/dev/nvidiactl", "crw-r--r--", "root")}},
			run:  "udevadm control --reload\nudevadm trigger --subsystem-match=nvidia --subsystem-match=nvidia-uvm\nchmod 0666 /dev/nvidia0 /dev/nvidiactl",
			undo: "chmod 0600 /dev/nvidia0\nchmod 0644 /dev/nvidiactl\nudevadm control --reload"},
		{name: "nodes of a group", id: "device-permission-denied", host: inspect.Host{DeviceNodes: []inspect.DeviceNode{node("/dev/nvidia0", "crw-rw----", "video"), node("/dev/dri/renderD128", "crw-rw----", "render")}},
			group: "video:x:44:ada\nrender:x:104:\n", run: "usermod --append --groups render grace\nusermod --append --groups video grace", undo: "gpasswd --delete grace video\ngpasswd --delete grace render"},
		{name: "one of two groups already", id: "device-permission-denied", host: inspect.Host{DeviceNodes: []inspect.DeviceNode{node("/dev/nvidia0", "crw-rw----", "video"), node("/dev/dri/renderD128", "crw-rw----", "render")}},
			group: "video:x:44:ada,grace\nrender:x:104:\n", run: "usermod --append --groups render grace", undo: "gpasswd --delete grace render"},
		{name: "the engine's group", id: "docker-socket-permission", group: "docker:x:999:\n", run: "usermod --append --groups docker grace", undo: "gpasswd --delete grace docker"},
		{name: "SELinux", id: "selinux-denied", run: "setsebool -P container_use_devices on", undo: "setsebool -P container_use_devices off"},
		{name: "SELinux lets them already", id: "selinux-denied", is: []string{"getsebool container_use_devices"}},
		{name: "persistence daemon", id: "persistenced-socket-missing", run: "systemctl enable nvidia-persistenced\nsystemctl restart nvidia-persistenced", undo: "systemctl disable nvidia-persistenced", leftover: true},
		{name: "fabric manager that starts already", id: "fabric-manager-not-running", is: []string{"systemctl is-enabled --quiet nvidia-fabricmanager"}, run: "systemctl restart nvidia-fabricmanager", leftover: true},
		{name: "unified memory", id: "uvm-broken", run: "modprobe --remove nvidia_uvm\nmodprobe nvidia_uvm", undo: "modprobe --remove nvidia_uvm", leftover: true},
		{name: "another version of the libraries", id: "driver-library-version-mismatch", run: "systemctl reboot", leftover: true},
		{name: "toolkit", id: "cgroup-v2-unsupported-toolkit", run: "curl --fail --silent --show-error --location --max-time 60 --create-dirs --output /usr/share/keyrings/nvidia-container-toolkit-keyring.asc https://nvidia.github.io/libnvidia-container/gpgkey\n" +
			"apt-get update\napt-get install --yes nvidia-container-toolkit", undo: "apt-get remove --yes nvidia-container-toolkit\nrm -f /usr/share/keyrings/nvidia-container-toolkit-keyring.asc", leftover: true},
	} {
		root := t.TempDir()
		write(t, filepath.Join(root, "proc/modules"), "", 0o644)
		write(t, filepath.Join(root, "etc/group"), c.group, 0o644)
		before := treeOf(t, filepath.Join(root, "etc"))
		s := &inspect.Snapshot{Host: &c.host, Engine: &inspect.Engine{}}
		s.Host.Init = "systemd"
		if s.Host.OSID == "" {
			s.Host.OSID = "ubuntu"
		}
		plan, manual := PlanFix("fix", s, []Finding{NewFinding(c.id)}, Target{Reading: true, User: "grace", Root: inspect.Root(root)})
		if len(manual) > 0 {
			t.Fatalf("%s: left to people: %+v", c.name, manual)
		}
		var lines []string
		x := newExecutor(t)
		h := writtenDown{root: root, lines: &lines, is: map[string]bool{}}
		for _, ask := range c.is {
			h.is[ask] = true
		}
		x.Host = h
		result, err := x.Run(context.Background(), plan)
		if got := strings.Join(lines, "\n"); err != nil || got != c.run {
			t.Errorf("%s: %v\n%s", c.name, err, Diff("run", []byte(c.run), []byte(got)))
			continue
		}
		if result.Entry == 0 {
			continue
		}
		lines = nil
		entry, err := x.Undo(context.Background(), 0)
		if c.undo == "" && errors.Is(err, ErrNothingToUndo) {
			continue
		}
		if got := strings.Join(lines, "\n"); err != nil || got != c.undo || !entry.Undone() || (len(entry.Stays()) > 0) != c.leftover {
			t.Errorf("%s: undo: %v, stays: %+v\n%s", c.name, err, entry.Stays(), Diff("undo", []byte(c.undo), []byte(got)))
		}
		if after := treeOf(t, filepath.Join(root, "etc")); after != before {
			t.Errorf("%s: after undo: %s", c.name, Diff("etc", []byte(before), []byte(after)))
		}
	}
}

// treeOf lists a folder's files with what they hold.
func treeOf(t *testing.T, folder string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		b.WriteString(strings.TrimPrefix(path, folder) + "\n")
		if !d.IsDir() {
			b.WriteString(content(t, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
