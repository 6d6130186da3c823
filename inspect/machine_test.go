package inspect

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree writes files below a new folder and returns it as a root.
func tree(t *testing.T, files map[string]string) Root {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Root(root)
}

func TestReadPackages(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		want             []Package
	}{
		{"dpkg", "/var/lib/dpkg/status", "Package: nvidia-container-toolkit\nStatus: install ok installed\nVersion: 1.17.8-1\n\n" +
			"Package: libnvidia-ml1\nStatus: deinstall ok config-files\nVersion: 535.1\n\nPackage: vim\nStatus: install ok installed\nVersion: 9\n",
			[]Package{{"nvidia-container-toolkit", "1.17.8-1"}}},
		{"dpkg, the last without an empty line", "/var/lib/dpkg/status", "Package: libnvidia-ml1\nStatus: install ok installed\nVersion: 535.1",
			[]Package{{"libnvidia-ml1", "535.1"}}},
		{"dpkg, none of ours", "/var/lib/dpkg/status", "Package: vim\nStatus: install ok installed\nVersion: 9\n", []Package{}},
		{"apk", "/lib/apk/db/installed", "C:Q1\nP:nvidia-open\nV:570.86-r0\nA:x86_64\n\nP:musl\nV:1.2\n\n", []Package{{"nvidia-open", "570.86-r0"}}},
		{"pacman", "/var/lib/pacman/local/nvidia-utils-570.86.16-2/desc", "", []Package{{"nvidia-utils", "570.86.16-2"}}},
		{"no package manager", "/etc/os-release", "", nil},
	} {
		got := readPackages(context.Background(), Machine{Root: tree(t, map[string]string{c.file: c.text})})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestPackagedToolkit(t *testing.T) {
	for _, c := range []struct {
		packages []Package
		want     string
	}{
		{[]Package{{"nvidia-container-toolkit", "1.17.8-1"}}, "1.17.8"},
		{[]Package{{"nvidia-container-toolkit", "1.16.0"}, {"nvidia-container-toolkit-base", "1:1.17.8-1"}}, "1.17.8"},
		{[]Package{{"docker.io", "20.10"}}, ""},
	} {
		if got := packagedToolkit(c.packages); got != c.want {
			t.Errorf("%v: %q, want %q", c.packages, got, c.want)
		}
	}
}

func FuzzParagraphs(f *testing.F) {
	f.Add("Package: docker.io\nStatus: install ok installed\nVersion: 1\n\n")
	f.Add("P:docker\nV:1\n")
	f.Fuzz(func(t *testing.T, data string) {
		for _, p := range paragraphs(data, "Package: ", "Version: ", "Status: install ok installed") {
			if p.Name == "" || p.Version == "" {
				t.Errorf("%q gives %+v", data, p)
			}
		}
	})
}

// A mark of a container in the root folder does not make a machine one.
func TestContainerKind(t *testing.T) {
	const rest = "27 25 0:22 / /proc rw shared:11 - proc proc rw\n"
	for _, c := range []struct{ name, mounts, mark, want string }{
		{"overlay", "580 440 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/a\n" + rest, "/.dockerenv", "docker"},
		{"vfs: a folder of the host's disk", "580 440 8:1 /var/lib/docker/vfs/dir/a / rw,relatime - ext4 /dev/sda1 rw\n" + rest, "/.dockerenv", "docker"},
		{"a machine whose disk was made from an image", "25 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n" + rest, "/.dockerenv", ""},
		{"a machine", "25 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n" + rest, "/etc/hostname", ""},
		{"mounts not seen", "", "/.dockerenv", "docker"},
		{"podman", "580 440 0:50 / / rw - fuse.fuse-overlayfs fuse-overlayfs rw\n", "/run/.containerenv", "podman"},
	} {
		if got := containerKind(tree(t, map[string]string{"/proc/self/mountinfo": c.mounts, c.mark: ""})); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestEngineSaysWhereItsFilesAre(t *testing.T) {
	root := tree(t, map[string]string{
		"/var/run/docker.pid": "42",
		"/proc/42/comm":       "dockerd\n",
		"/proc/42/cmdline":    "/usr/bin/dockerd\x00--config-file\x00/srv/daemon.json\x00--cdi-spec-dir=/srv/cdi\x00--cdi-spec-dir\x00/etc/cdi\x00",
		"/proc/42/environ":    "PATH=/opt/bin:/usr/bin\x00XDG_CONFIG_HOME=/srv/config\x00",
	})
	m := Machine{Root: root, Host: "unix:///var/run/docker.sock"}
	process, engineRoot := findEngine(m)
	if diff := cmp.Diff([]string{"/srv/cdi", "/etc/cdi"}, cdiDirs(m, process)); diff != "" {
		t.Error(diff)
	}
	if got := daemonConfigPath(m, process, engineRoot); got != "/srv/daemon.json" {
		t.Error(got)
	}
	if got := toolkitConfigPath(process, engineRoot); got != "/srv/config/nvidia-container-runtime/config.toml" {
		t.Error(got)
	}
	if got := toolkitFolders(m, process); !slices.Contains(got, "/opt/bin") {
		t.Error(got)
	}
}

func TestCDIProblemHasItsLine(t *testing.T) {
	root := tree(t, map[string]string{"/etc/cdi/nvidia.yaml": "cdiVersion: \"0.5.0\"\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\n"})
	patch, err := readCDI(context.Background(), Machine{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	var s Snapshot
	patch(&s)
	if p := s.CDI.Specs[0].Problem; p == nil || p.Line == 0 || s.CDI.Specs[0].ModifiedAt == nil {
		t.Errorf("%+v", s.CDI.Specs[0])
	}
}

// A driver's nodes may lie elsewhere on the host: what the container gets counts as well.
func TestRawDevices(t *testing.T) {
	for device, want := range map[string]string{
		"/dev/nvidia1": "1",
		"/run/nvidia/driver/dev/nvidia2:/dev/nvidia2": "2",
		"/dev/nvidia0:/dev/gpu":                       "0",
		"/dev/nvidiactl":                              "",
		"/dev/nvidia-caps/nvidia-cap1":                "",
		"/dev/fuse":                                   "none",
		"/home/nvidia0":                               "none",
	} {
		g := grant(&Snapshot{}, &Container{Asks: Asks{Devices: []string{device}}})
		got := strings.Join(g.GPUs, ",")
		if len(g.By) == 0 {
			got = "none"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", device, got, want)
		}
	}
}
