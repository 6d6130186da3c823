package inspect

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestContainerAround(t *testing.T) {
	line := func(root, point string) string {
		return fmt.Sprintf("700 680 254:0 %s %s rw,relatime - ext4 /dev/vda rw\n", root, point)
	}
	for _, c := range []struct {
		name, mounts, pid, kind string
		marks                   []string
		around                  bool
	}{
		{"a host", line("/", "/") + line("/", "/proc"), "pid:[4026531836]", "", nil, false},
		{"a machine booted from an image that was a container", line("/", "/"), "pid:[4026531836]", "", []string{"/.dockerenv"}, false},
		{"docker", line("/var/lib/docker/containers/"+idA+"/hostname", "/etc/hostname"), "pid:[4026532000]", "docker", []string{"/.dockerenv"}, true},
		{"docker with the host's PIDs", line("/docker/containers/"+idA+"/hosts", "/etc/hosts"), "pid:[4026531836]", "docker", nil, true},
		{"docker whose own files are hidden", "700 680 0:40 / / rw,relatime - overlay overlay rw\n", "pid:[4026532000]", "docker", []string{"/.dockerenv"}, true},
		{"podman", line("/run/containers/storage/overlay-containers/"+idA+"/userdata/hosts", "/etc/hosts"), "pid:[4026532000]", "podman", nil, true},
		{"podman by its mark", line("/x", "/run/.containerenv"), "pid:[4026531836]", "podman", nil, true},
		{"kubernetes", line("/var/lib/kubelet/pods/8b51/etc-hosts", "/etc/hosts"), "pid:[4026532000]", "kubernetes", nil, true},
		{"a mount whose name only looks like it", line("/srv/hostname", "/etc/hostname"), "pid:[4026531836]", "", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			writeFile(t, root+"/proc/self/mountinfo", c.mounts)
			if err := os.MkdirAll(root+"/proc/self/ns", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(c.pid, root+"/proc/self/ns/pid"); err != nil {
				t.Fatal(err)
			}
			for _, mark := range c.marks {
				writeFile(t, root+mark, "")
			}
			if kind, around := ContainerAround(Root(root)); kind != c.kind || around != c.around {
				t.Errorf("%q %t, want %q %t", kind, around, c.kind, c.around)
			}
		})
	}
}

func TestDriverMounts(t *testing.T) {
	points, version := driverMounts([]byte(strings.Join([]string{
		"1 0 254:0 / / rw - overlay overlay rw",
		"2 1 254:0 /usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15 /usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15 ro - ext4 /dev/vda rw",
		"3 1 254:0 /usr/bin/nvidia-smi /usr/bin/nvidia-smi ro - ext4 /dev/vda rw",
		"4 1 0:5 /nvidia0 /dev/nvidia0 rw - devtmpfs devtmpfs rw",
		`5 1 254:0 /home/ada/with\040blank /data rw - ext4 /dev/vda rw`,
		"6 1 0:22 / /proc/driver/nvidia ro - tmpfs tmpfs rw",
		"", "cut short", "7 1 254:0",
	}, "\n")))
	want := []string{"/dev/nvidia0", "/proc/driver/nvidia", "/usr/bin/nvidia-smi", "/usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15"}
	if diff := cmp.Diff(want, points); diff != "" || version != "570.86.15" {
		t.Errorf("version %q (-want +got):\n%s", version, diff)
	}
}

func FuzzDriverMounts(f *testing.F) {
	f.Add([]byte(`2 1 254:0 /libcuda.so.570.86.15 /usr/lib/libcuda.so.570.86.15 ro - ext4 /dev/vda rw`))
	f.Fuzz(func(t *testing.T, data []byte) {
		points, version := driverMounts(data)
		if !slices.IsSorted(points) || len(points) > mostMounts || strings.Trim(version, "0123456789.") != "" {
			t.Errorf("%q: %q %q", data, points, version)
		}
	})
}

// What /proc of the host shows of a container: its nodes, its mounts, its device rules.
func TestLookInside(t *testing.T) {
	cgroupV1 := "5:devices:/docker/" + idA + "\n0::/docker/" + idA + "\n"
	mounts := "2 1 254:0 /d/libcuda.so.570.86.15 /usr/lib/libcuda.so.570.86.15 ro - ext4 /dev/vda rw\n"
	for _, c := range []struct {
		name string
		tree func(root string)
		want Inside
	}{
		{"cgroup v1", func(root string) {
			writeFile(t, root+"/proc/4001/cgroup", cgroupV1)
			writeFile(t, root+"/proc/4001/mountinfo", mounts)
			writeFile(t, root+"/proc/4001/root/dev/nvidia0", "")
			writeFile(t, root+"/sys/fs/cgroup/devices/docker/"+idA+"/devices.list", "c 1:3 rwm\nc 195:* rw\n")
		}, Inside{Kind: "docker", DriverMounts: []string{"/usr/lib/libcuda.so.570.86.15"}, LibraryVersion: "570.86.15", DeviceRules: []string{"c 1:3 rwm", "c 195:* rw"},
			DeviceNodes: []DeviceNode{{Path: "/dev/nvidia0"}}}},
		{"cgroup v2 keeps its rules to itself", func(root string) {
			writeFile(t, root+"/proc/4001/cgroup", "0::/docker/"+idA+"\n")
			writeFile(t, root+"/proc/4001/mountinfo", mounts)
			writeFile(t, root+"/proc/4001/root/dev/null", "")
		}, Inside{Kind: "docker", DriverMounts: []string{"/usr/lib/libcuda.so.570.86.15"}, LibraryVersion: "570.86.15", DeviceNodes: []DeviceNode{}}},
		{"another's process", func(root string) {
			writeFile(t, root+"/proc/4001/cgroup", "0::/user.slice\n")
			writeFile(t, root+"/proc/4001/mountinfo", mounts)
		}, Inside{Kind: "docker", Denied: "/proc is not that of the engine's machine"}},
		{"not to be seen", func(string) {}, Inside{Kind: "docker", Denied: "its first process is not to be seen in /proc"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			c.tree(root)
			got := *lookInside(Root(root), idA, 4001)
			for i := range got.DeviceNodes { // of an ordinary file, as non-root users can make it
				got.DeviceNodes[i] = DeviceNode{Path: got.DeviceNodes[i].Path}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestInsideSource(t *testing.T) {
	root := t.TempDir()
	writeFile(t, root+"/proc/self/mountinfo", "2 1 254:0 /docker/containers/"+idA+"/hosts /etc/hosts rw - ext4 /dev/vda rw\n")
	m := Machine{Root: Root(root), Now: time.Now, Environ: func() []string { return []string{"NVIDIA_VISIBLE_DEVICES=", "CUDA_VERSION=12.8"} }}
	s := Collect(t.Context(), m, time.Minute, InsideSource)
	want := &Inside{Kind: "docker", DeviceNodes: []DeviceNode{}, DriverMounts: []string{}, Asks: &Asks{VisibleDevices: ptr(""), CUDAVersion: "12.8", LegacyImage: true}}
	if diff := cmp.Diff(want, s.Inside); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s = Collect(t.Context(), Machine{Root: Root(t.TempDir()), Now: time.Now}, time.Minute, InsideSource)
	if s.Inside != nil || !s.Sources[0].Absent {
		t.Errorf("no container: %+v %+v", s.Inside, s.Sources)
	}
}

// Nodes are opened where the machine's root is, and named as they are known.
func TestOpenNodesBelowTheRoot(t *testing.T) {
	root := t.TempDir()
	m := Machine{Root: Root(root), Open: func(_ context.Context, paths []string) ([]DeviceOpen, error) {
		if diff := cmp.Diff([]string{root + "/dev/nvidia0"}, paths); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return []DeviceOpen{{Path: paths[0], Error: "EPERM"}}, nil
	}}
	got, err := openNodes(t.Context(), m, []DeviceNode{{Path: "/dev/nvidia0", Device: true}, {Path: "/dev/nvidia1"}, {Path: "/dev/nvidia-caps/nvidia-cap1", Device: true}})
	if diff := cmp.Diff([]DeviceOpen{{Path: "/dev/nvidia0", Error: "EPERM"}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// The child that opens nodes is dropped at the deadline, and what it had said by then counts.
func TestOpenFromChild(t *testing.T) {
	folder := t.TempDir()
	writeFile(t, folder+"/there", "")
	script := filepath.Join(folder, "child")
	child := func(text string) func(context.Context, []string) ([]DeviceOpen, error) {
		writeFile(t, script, "#!/bin/sh\n"+text)
		if err := os.Chmod(script, 0o755); err != nil {
			t.Fatal(err)
		}
		return OpenFromChild(script)
	}
	for _, c := range []struct {
		name, text string
		limit      time.Duration
		want       []DeviceOpen
		fails      bool
	}{
		{"answers", `echo '{"path":"a"}'; echo '{"path":"b","error":"EPERM"}'`, time.Minute, []DeviceOpen{{Path: "a"}, {Path: "b", Error: "EPERM"}}, false},
		{"hangs at the second", `echo '{"path":"a"}'; sleep 60`, time.Second, []DeviceOpen{{Path: "a"}, {Path: "b", Error: "timeout"}}, false},
		{"ends early", `echo '{"path":"a"}'`, time.Minute, []DeviceOpen{{Path: "a"}}, true},
		{"babbles", `echo nonsense; echo '[]'`, time.Minute, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.limit)
			defer cancel()
			got, err := child(c.text)(ctx, []string{"a", "b"})
			if diff := cmp.Diff(c.want, got); diff != "" || (err != nil) != c.fails {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
	var out strings.Builder
	if err := ServeOpen([]string{folder + "/there", folder + "/absent"}, &out); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("{\"path\":%q}\n{\"path\":%q,\"error\":\"ENOENT\"}\n", folder+"/there", folder+"/absent"); out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
