package inspect

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseVisibleDevices(t *testing.T) {
	for _, c := range []struct {
		name   string
		value  *string
		legacy bool
		want   Visible
	}{
		{"unset", nil, false, Visible{Kind: VisibleUnset}},
		{"unset in a legacy image", nil, true, Visible{Kind: VisibleAll}},
		{"empty in a legacy image", ptr(""), true, Visible{Kind: VisibleVoid}},
		{"void anywhere", ptr("0, void"), false, Visible{Kind: VisibleVoid}},
		{"void behind all", ptr("all,void"), false, Visible{Kind: VisibleVoid}},
		{"none swallows all", ptr("none,all"), false, Visible{Kind: VisibleNone}},
		{"all swallows the rest", ptr("0,all,none"), false, Visible{Kind: VisibleAll}},
		{"list with blanks", ptr(" 0 ,GPU-aa"), false, Visible{VisibleList, []string{"0", "GPU-aa"}}},
	} {
		if diff := cmp.Diff(c.want, ParseVisibleDevices(c.value, c.legacy)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func FuzzParseVisibleDevices(f *testing.F) {
	for _, seed := range []string{"", "all", "void", "0,1", ",,", "none,0", "MIG-x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		v := ParseVisibleDevices(&value, false)
		if (v.Kind == VisibleList) != (len(v.Devices) > 0) {
			t.Errorf("%q: kind %s with devices %q", value, v.Kind, v.Devices)
		}
	})
}

func TestContainerIDs(t *testing.T) {
	a, b := strings.Repeat("a1", 32), strings.Repeat("b2", 32)
	for _, c := range []struct {
		name, cgroup string
		want         []string
	}{
		{"cgroupfs", "/docker/" + a, []string{a}},
		{"systemd", "/system.slice/docker-" + a + ".scope", []string{a}},
		{"rootless", "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + a + ".scope", []string{a}},
		{"cgroup parent", "/batch/" + a, []string{a}},
		{"init below", "/docker/" + a + "/init.scope", []string{a}},
		{"nested engine", "/docker/" + a + "/docker/" + b, []string{a, b}},
		{"podman", "/machine.slice/libpod-" + a + ".scope/container", []string{a}},
		{"podman quadlet", "/system.slice/libpod-payload-" + a, []string{a}},
		{"podman's monitor", "/machine.slice/libpod-conmon-" + a + ".scope", nil},
		{"kubernetes containerd", "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + a + ".scope", []string{a}},
		{"kubernetes cgroupfs", "/kubepods/burstable/pod1/" + a, []string{a}},
		{"host", "/user.slice/session-1.scope", nil},
		{"a longer number", "/x/" + a + "ff", nil},
		{"own namespace", "/", nil},
	} {
		if diff := cmp.Diff(c.want, ContainerIDs(c.cgroup)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func FuzzContainerIDs(f *testing.F) {
	f.Add("/docker/" + strings.Repeat("a1", 32))
	f.Fuzz(func(t *testing.T, cgroup string) {
		for _, id := range ContainerIDs(cgroup) {
			if len(id) != containerIDLength || !strings.Contains(cgroup, id) {
				t.Errorf("%q gives the id %q", cgroup, id)
			}
		}
	})
}

func TestParseDriverVersion(t *testing.T) {
	for _, c := range []struct{ line, version, flavor string }{
		{"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc 12.2.0", "535.104.05", "proprietary"},
		{"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder@host)", "570.86.15", "open"},
		{"something else", "", ""},
	} {
		if version, flavor := parseDriverVersion(c.line); version != c.version || flavor != c.flavor {
			t.Errorf("%q: %q, %q; want %q, %q", c.line, version, flavor, c.version, c.flavor)
		}
	}
}

func TestDaemonJSONProblems(t *testing.T) {
	for _, c := range []struct {
		name, text   string
		line, column int
	}{
		{"trailing comma", "{\n  \"debug\": true,\n}", 3, 1},
		{"comment", "{ // no\n}", 1, 3},
		{"wrong type", "{\n\"runtimes\": []}", 2, 13},
		{"second object", "{}\n{}", 1, 2},
		{"fine", "{\"runtimes\": null, \"features\": {\"cdi\": true}}", 0, 0},
	} {
		f := &ConfigFile{Path: "daemon.json"}
		f.parse([]byte(c.text))
		switch {
		case c.line == 0 && f.Problem != nil:
			t.Errorf("%s: unexpected problem %+v", c.name, *f.Problem)
		case c.line > 0 && (f.Problem == nil || f.Problem.Line != c.line || f.Problem.Column != c.column):
			t.Errorf("%s: got %+v, want %d:%d", c.name, f.Problem, c.line, c.column)
		}
	}
}

func FuzzDaemonJSON(f *testing.F) {
	f.Add([]byte(`{"runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}`))
	f.Add([]byte("{\n,"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &ConfigFile{}
		c.parse(data)
		if c.Problem != nil && (c.Problem.Line < 1 || c.Problem.Column < 0 || c.Runtimes != nil) {
			t.Errorf("%q: %+v", data, c)
		}
	})
}

func TestParseKernelLine(t *testing.T) {
	line := "NVRM: Xid (PCI:0000:17:00): 79, pid=1234, name=python, GPU has fallen off the bus."
	got, ok := parseKernelLine(line)
	want := LogLine{Kind: "xid", Text: line, BusID: "0000:17:00", Xid: ptr(79), PID: 1234}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, ok := parseKernelLine("usb 1-1: new device"); ok {
		t.Error("a line of no interest was kept")
	}
}

func TestEnvLineCountsTheLast(t *testing.T) {
	data := []byte("# NVIDIA_VISIBLE_DEVICES=no\nNVIDIA_VISIBLE_DEVICES=all\nexport NVIDIA_VISIBLE_DEVICES = void\nNVIDIA_VISIBLE_DEVICES_X=1\n")
	if got := envLine(data, "NVIDIA_VISIBLE_DEVICES"); got != 3 {
		t.Errorf("line %d, want 3", got)
	}
}

func FuzzToolkitConfig(f *testing.F) {
	f.Add([]byte("[nvidia-container-cli]\nno-cgroups = true\n"))
	f.Fuzz(func(t *testing.T, data []byte) { parseToolkitConfig(toolkitConfig, data) })
}

func TestFileStamp(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ line, want string }{
		{"2026-01-02T11:00:00.123456+01:00 ada kernel: NVRM: x", "2026-01-02T10:00:00.123456Z"},
		{"Jan  2 11:00:00 ada kernel: NVRM: x", "2026-01-02T11:00:00Z"},
		{"Dec 31 23:59:59 ada kernel: NVRM: x", "2025-12-31T23:59:59Z"},
		{"kernel: [    5.1] NVRM: x", ""},
		{"Xid", ""},
		{"", ""},
	} {
		at, rest := fileStamp(now)(c.line)
		got := ""
		if at != nil {
			got = at.Format(time.RFC3339Nano)
		}
		if got != c.want || rest != c.line {
			t.Errorf("%q: %s %q, want %s", c.line, got, rest, c.want)
		}
	}
}
