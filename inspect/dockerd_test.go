package inspect

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindEngine(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("proc/100/comm", "dockerd\n")
	put("proc/100/cmdline", "/usr/bin/dockerd\x00-H\x00fd://\x00--containerd=/run/containerd/containerd.sock\x00")
	put("proc/100/cgroup", "0::/system.slice/docker.service\n")
	put("proc/100/environ", "LANG=C\x00PATH=/usr/bin:/bin\x00")
	put("proc/200/comm", "dockerd\n")
	put("proc/200/cmdline", "dockerd\x00--host\x00unix:///tmp/never/a.sock\x00--config-file=/srv/d.json\x00--pidfile\x00/srv/d.pid\x00")
	put("proc/200/cgroup", "0::/user.slice/user-0.slice/session-1.scope\n")
	put("proc/300/comm", "bash\n")
	put("proc/300/cmdline", "bash\x00--host\x00unix:///tmp/never/b.sock\x00")
	put("var/run/docker.pid", "300\n")
	root := Root(dir)
	want := &EngineProcess{PID: 100, Executable: "/usr/bin/dockerd", Args: []string{"-H", "fd://", "--containerd=/run/containerd/containerd.sock"}, PATH: "/usr/bin:/bin", ManagedBy: "systemd", Unit: "docker.service", PIDFile: "/var/run/docker.pid"}
	if got := engineProcess(root, 100); cmp.Diff(want, got) != "" || !got.serves("/var/run/docker.sock") {
		t.Error(cmp.Diff(want, got))
	}
	got := FindEngine(root, "unix:///tmp/never/a.sock")
	if got == nil || got.PID != 200 || got.ManagedBy != "none" || got.PIDFile != "/srv/d.pid" || len(got.Flag("config-file")) != 1 || got.Flag("config-file")[0] != "/srv/d.json" {
		t.Errorf("%+v", got)
	}
	for _, endpoint := range []string{"unix:///tmp/never/b.sock", "tcp://127.0.0.1:1", "ssh://ada"} {
		if got := FindEngine(root, endpoint); got != nil {
			t.Errorf("%s: %+v", endpoint, got)
		}
	}
}

func TestManagedBy(t *testing.T) {
	for _, c := range []struct {
		cgroup        string
		openrc        bool
		manager, unit string
	}{
		{"0::/system.slice/docker.service\n", false, "systemd", "docker.service"},
		{"12:pids:/system.slice/docker.service\n1:name=systemd:/system.slice/docker.service\n", false, "systemd", "docker.service"},
		{"0::/system.slice/snap.docker.dockerd.service\n", false, "snap", "snap.docker.dockerd.service"},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service\n", false, "systemd-user", "docker.service"},
		{"0::/user.slice/user-0.slice/session-3.scope\n", false, "none", ""},
		{"0::/\n", true, "openrc", "docker"},
		{"", false, "none", ""},
	} {
		if manager, unit := managedBy(c.cgroup, c.openrc); manager != c.manager || unit != c.unit {
			t.Errorf("%q: %s %s, want %s %s", c.cgroup, manager, unit, c.manager, c.unit)
		}
	}
}
