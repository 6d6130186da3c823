package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// Files of /proc, /sys and /etc as the kernel, distributions and drivers write them, and as they do not.
func FuzzHostFiles(f *testing.F) {
	for _, seed := range []string{
		"PRETTY_NAME=\"Ubuntu 24.04.3 LTS\"\nID=ubuntu\nVERSION_ID='24.04'\n#x=y\n",
		"MemTotal:       131072 kB\nMemAvailable: 1 kB\n",
		"nvidia 1 2 - Live 0x0 (PO)\nnouveau 1 0 - Loading 0x0\n",
		"36 35 98:0 / / rw,noatime shared:1 - ext4 /dev/sda1 rw\n37 35 0:4 /docker/containers/" + strings.Repeat("a1", 32) + "/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n",
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n",
		"Model: \t NVIDIA H100\nGPU UUID: GPU-????\nDevice Minor: 0\nGPU Excluded: No\n",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service\n",
		"docker:x:998:ada\nbad\n:::\n",
		"7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 4711 0 0\n",
		"cpu 1\nbtime 1764000000\n",
		"pci0000:16/0000:16:01.0/0000:17:00.0",
		"Package: nvidia-driver-570\nVersion: 570.86.15-1\nStatus: install ok installed\n\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text := string(data)
		within := func(what, part string) {
			if !strings.Contains(text, part) {
				t.Errorf("%s %q stands nowhere in %q", what, part, text)
			}
		}
		for key, value := range keyValues(text) {
			within("key", key)
			within("value", value)
		}
		for key := range parseOSRelease(data) {
			within("key", key)
		}
		if version, flavor := parseDriverVersion(text); version != "" {
			within("version", version)
			if flavor == "" || strings.Trim(version, "0123456789.") != "" {
				t.Errorf("version %q, flavor %q", version, flavor)
			}
		}
		gpu := parseGPUInformation("0000:17:00.0", text)
		within("model", gpu.Model)
		within("UUID", gpu.UUID)
		if strings.Contains(gpu.UUID, "?") {
			t.Errorf("the UUID that the driver does not know yet: %q", gpu.UUID)
		}
		for _, m := range parseModules(data) {
			if !slices.Contains(gpuModules, m.Name) {
				t.Errorf("module %q", m.Name)
			}
			within("state", m.State)
		}
		if bytes := memInfo(data, "MemTotal"); bytes != nil && *bytes%1024 != 0 {
			t.Errorf("%d bytes of whole KiB", *bytes)
		}
		for m := range mountPoints(data) {
			if m.point == "" || m.root == "" {
				t.Errorf("%+v", m)
			}
		}
		_ = ownsRoot(text)
		if manager, unit := managedBy(text, false); (manager == "none") != (unit == "") {
			t.Errorf("%q has the unit %q", manager, unit)
		} else {
			within("unit", unit)
		}
		a := pciPath(text)
		if level := pciLevel(a, a, true); len(a) > 0 && level != "PIX" && level != "PHB" {
			t.Errorf("%v is %q to itself", a, level)
		}
		if level := pciLevel(a, nil, true); level != "" {
			t.Errorf("%q to an unknown place", level)
		}
		holdText(t, paragraphs(text, "Package: ", "Version: ", "Status: install ok installed"))
	})
}

// holdText fails where v does not come back from JSON.
func holdText[T any](t *testing.T, v T) {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, new(T))
	}
	if err != nil {
		t.Errorf("%+v: %v", v, err)
	}
}

// Lines of the kernel's log and of the engine's, from the ring, from files of any syslog daemon.
func FuzzLogLines(f *testing.F) {
	for _, seed := range []string{
		"NVRM: Xid (PCI:0000:17:00): 79, pid='1234', name=python, GPU has fallen off the bus.",
		"6,1234,98765432,-;NVRM: Xid (PCI:0000:17:00): 13",
		"2026-11-25T10:00:00.123456+00:00 ada kernel: nvidia: module verification failed",
		"Feb 29 10:00:00 ada kernel: Out of memory: Killed process 4711 (python)",
		"NVRM: Xid (", "Xid (): NVRM: Xid (", strings.Repeat("NVRM: é", 500),
		"level=error msg=\"could not select device driver \\\"\\\" with capabilities: [[gpu]]\"",
	} {
		f.Add(seed)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, line string) {
		for _, parse := range []func(string) (LogLine, bool){parseKernelLine, parseEngineLine} {
			l, kept := parse(line)
			if !kept {
				continue
			}
			if l.Kind == "" || l.Text == "" || len(l.Text) > 2000 || !strings.HasPrefix(strings.ToValidUTF8(line, ""), strings.ToValidUTF8(l.Text, "")) && !strings.HasPrefix(line, l.Text) {
				t.Errorf("%+v of %q", l, line)
			}
			if l.PID < 0 || l.Xid != nil && *l.Xid < 0 {
				t.Errorf("%+v", l)
			}
			if l.BusID != "" && !strings.Contains(line, l.BusID) {
				t.Errorf("%q is not of %q", l.BusID, line)
			}
			holdText(t, l)
		}
		if at, rest := fileStamp(now)(line); rest != line || at != nil && at.Year() < 0 {
			t.Errorf("%v %q", at, rest)
		} else if at != nil {
			if _, err := at.MarshalJSON(); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
		if at, text := parseKmsg(line, &now); !strings.HasSuffix(line, text) {
			t.Errorf("%q of %q", text, line)
		} else if at != nil {
			if _, err := at.MarshalJSON(); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	})
}

// An engine's command line, environment and cgroup, as /proc has them.
func FuzzEngineProcess(f *testing.F) {
	f.Add([]byte("/usr/bin/dockerd\x00-H\x00fd://\x00--config-file=/srv/d.json\x00"), []byte("PATH=/usr/bin\x00NVIDIA_CTK_CONFIG_FILE_PATH=/x\x00"), []byte("0::/system.slice/docker.service\n"))
	f.Add([]byte("\x00"), []byte("\x00=\x00"), []byte("::"))
	f.Add([]byte("dockerd\x00--host"), []byte("PATH"), []byte(""))
	dir := f.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "proc/7"), 0o755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, cmdline, environ, cgroup []byte) {
		for name, data := range map[string][]byte{"cmdline": cmdline, "environ": environ, "cgroup": cgroup, "comm": []byte("dockerd\n")} {
			if err := os.WriteFile(filepath.Join(dir, "proc/7", name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		p := engineProcess(Root(dir), 7)
		if p == nil {
			if len(cmdline) > 0 {
				t.Errorf("%q: no engine", cmdline)
			}
			return
		}
		for _, values := range [][]string{p.Flag("host"), p.Flag("H"), p.Flag("config-file"), p.Args, {p.PATH, p.PIDFile}} {
			for _, value := range values {
				if value != "/var/run/docker.pid" && !bytes.Contains(cmdline, []byte(value)) && !bytes.Contains(environ, []byte(value)) {
					t.Errorf("%q stands in neither", value)
				}
			}
		}
		_ = p.serves("/var/run/docker.sock")
		for _, file := range []string{toolkitConfigPath(p, Root(dir)), daemonConfigPath(Machine{Root: Root(dir)}, p, Root(dir))} {
			if file == "" && len(p.Flag("config-file")) == 0 {
				t.Error("no file")
			}
		}
		holdText(t, p)
	})
}

// A CDI specification is read, or there is a problem to tell; devices have names, and only absolute paths are looked for.
func FuzzCDISpec(f *testing.F) {
	f.Add([]byte("cdiVersion: 0.6.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n  containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\n      hostPath: /x\ncontainerEdits:\n  mounts:\n  - hostPath: /usr/lib/libcuda.so.570.86.15\n    containerPath: /usr/lib/libcuda.so.1\n  hooks:\n  - hookName: createContainer\n    path: /usr/bin/nvidia-cdi-hook\n    args: [a]\n  env: [NVIDIA_VISIBLE_DEVICES=void]\n"))
	f.Add([]byte(`{"cdiVersion":"0.5.0","kind":"nvidia.com/gpu","devices":[{"name":"all","containerEdits":{"deviceNodes":[{"path":""}]}}]}`))
	f.Add([]byte("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"))
	f.Add([]byte("null"))
	f.Add([]byte("cdiVersion: [\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > mostInput {
			return
		}
		spec := CDISpec{Path: "/etc/cdi/nvidia.yaml"}
		ends(t, func() { spec.parse("/nowhere", data) })
		if spec.Problem != nil && (spec.Problem.Message == "" || len(spec.Devices) > 0 || spec.Problem.Line < 0) {
			t.Errorf("%+v", spec)
		}
		for _, missing := range spec.MissingPaths {
			if !path.IsAbs(missing) {
				t.Errorf("%q was looked for", missing)
			}
		}
		holdText(t, spec)
	})
}

// Of any env file, our places are those of compose's own reader: the same names, each on a line that has it.
func FuzzScanEnv(f *testing.F) {
	for _, seed := range []string{"A=1\n", "\ufeffexport A='b\nc' B: \"x\" # y", "A", "A B\n", "NVIDIA_VISIBLE_DEVICES=all\r\n#", "A=${B:-x}\n\"=", "export\n", "A=\\\nB=2"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		statements, err := ScanEnv(data)
		values, theirs := dotenv.UnmarshalBytesWithLookup(bytes.TrimPrefix(data, []byte("\ufeff")), func(string) (string, bool) { return "x", true })
		if theirs == nil && err != nil {
			t.Fatalf("compose reads %q, and here it is %v", data, err)
		}
		if err != nil {
			return
		}
		names, at := map[string]bool{}, 0
		for _, s := range statements {
			names[s.Key] = true
			if s.KeyEnd < at || s.Start < s.KeyEnd || s.End < s.Start || s.End > len(data) || s.Line != 1+bytes.Count(data[:s.KeyEnd-len(s.Key)], []byte("\n")) && s.Key != "" {
				t.Fatalf("%+v behind byte %d of %q", s, at, data)
			}
			at = s.End
		}
		if theirs != nil {
			return
		}
		for name := range values {
			if name != "" && !names[name] { // compose finds a variable without name in a name at the very end
				t.Errorf("compose finds %q in %q", name, data)
			}
		}
		for _, key := range []string{visibleDevices, "A"} {
			if _, line, found := kvValue(data, key, map[string]string{}); found && (line < 1 || line > 1+bytes.Count(data, []byte("\n"))) {
				t.Errorf("line %d", line)
			}
		}
	})
}

// Whatever is called a project: what is told of it stands where it is said to stand, and how it was found out does not show.
func FuzzProject(f *testing.F) {
	f.Add([]byte("services:\n  a:\n    image: x\n    runtime: nvidia\n    environment:\n      NVIDIA_VISIBLE_DEVICES: ${NVIDIA_VISIBLE_DEVICES:-void}\n  b:\n    extends: a\n    gpus: all\n    deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 1, capabilities: [gpu]}]}}}\n    devices: [/dev/nvidia0, nvidia.com/gpu=0, /dev/fuse]\n    env_file: .env\n"),
		[]byte("NVIDIA_VISIBLE_DEVICES=all\n"), []byte("{\n// x\n\"dockerComposeFile\": \"../compose.yaml\", \"service\": \"a\", \"runArgs\": [\"--gpus\", \"all\"], \"containerEnv\": {\"NVIDIA_VISIBLE_DEVICES\": \"${localEnv:X:void}\"},}"))
	f.Add([]byte("name: ${NVIDIA_VISIBLE_DEVICES}\nservices:\n  ${NVIDIA_VISIBLE_DEVICES}: {image: '$NVIDIA_VISIBLE_DEVICES', runtime: '$NVIDIA_VISIBLE_DEVICES', profiles: ['$NVIDIA_VISIBLE_DEVICES'], devices: ['$NVIDIA_VISIBLE_DEVICES', '/dev/nvidia$NVIDIA_VISIBLE_DEVICES'], gpus: [{device_ids: ['$NVIDIA_VISIBLE_DEVICES']}], device_cgroup_rules: ['c 195:$NVIDIA_VISIBLE_DEVICES rmw'], volumes: ['/dev/null:/var/run/nvidia-container-devices/$NVIDIA_VISIBLE_DEVICES']}\n"), []byte("NVIDIA_VISIBLE_DEVICES=0\n"), []byte(`{"runArgs":["--env-file",".devcontainer/.env","-e","NVIDIA_VISIBLE_DEVICES"],"hostRequirements":{"gpu":"optional"}}`))
	f.Add([]byte(mergeBomb(8)), []byte(""), []byte("{}"))
	f.Add([]byte("include: [compose.yaml, {path: a, env_file: /dev/zero}]\nservices: {a: {extends: {file: compose.yaml, service: a}}}\n"), []byte("A='"), []byte("{"))
	f.Add([]byte("x: &x [1]\nservices: *x\n"), []byte("\xff"), []byte("[]"))
	dir, err := filepath.EvalSymlinks(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, ".devcontainer"), 0o755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, compose, env, dev []byte) {
		if len(compose)+len(env)+len(dev) > mostInput {
			return
		}
		files := map[string][]byte{"compose.yaml": compose, ".devcontainer/.env": env, ".devcontainer/devcontainer.json": dev, ".env": env}
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		m := Machine{WorkDir: dir, Now: time.Now, Environ: func() []string { return []string{"HOME=/nowhere"} }}
		s := &Snapshot{}
		ends(t, func() {
			patch, err := readProject(context.Background(), m, ProjectOptions{})
			if err != nil {
				t.Errorf("all files can be read: %v", err)
			}
			if patch != nil {
				patch(s)
			}
		})
		if s.Project == nil {
			t.Fatal("no project")
		}
		p := s.Project
		all := slices.Concat(compose, env, dev)
		told, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for what, trace := range map[string]string{"a mark": `\u0001gpu`, "the sentinel": sentinel} {
			if bytes.Contains(told, []byte(trace)) && !bytes.Contains(all, []byte(sentinel[:6])) && !bytes.Contains(all, []byte("\x01")) && !bytes.Contains(all, []byte(`\`)) {
				t.Errorf("%s shows: %s", what, told)
			}
		}
		place := func(file string, line int) {
			if file == "" || filepath.IsAbs(file) {
				return
			}
			data, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil || line < 0 || line > 1+bytes.Count(data, []byte("\n"))+bytes.Count(data, []byte("\r")) {
				t.Errorf("%s:%d is nowhere (%v)", file, line, err)
			}
		}
		for _, service := range p.Services {
			if service.Use < -1 || service.Use >= len(p.Uses) || service.Follows && !service.WouldFollow {
				t.Errorf("%+v", service)
			}
			place(service.File, service.Line)
			for _, r := range service.Requests {
				place(r.File, r.Line)
				if r.By == "" || r.Text == "" {
					t.Errorf("%+v", r)
				}
			}
			if v := service.VisibleDevices; v != nil {
				place(v.File, v.Line)
			}
		}
		for _, problem := range p.Problems {
			if problem.Message == "" || problem.Line < 0 {
				t.Errorf("%+v", problem)
			}
		}
		if len(p.Uses) == 0 && len(p.Problems) == 0 && len(bytes.TrimSpace(compose)) > 0 {
			t.Errorf("a compose file of which nothing is told: %q", compose)
		}
	})
}

// mergeBomb is YAML whose merge keys lead to 10^levels mappings.
func mergeBomb(levels int) string {
	var b strings.Builder
	b.WriteString("x0: &x0 {a: b}\n")
	for i := range levels {
		name := string(rune('0' + i))
		next := string(rune('1' + i))
		b.WriteString("x" + next + ": &x" + next + "\n  <<: [" + strings.TrimSuffix(strings.Repeat("*x"+name+", ", 10), ", ") + "]\n")
	}
	b.WriteString("services:\n  a:\n    image: x\n    environment:\n      <<: *x" + string(rune('0'+levels)) + "\n")
	return b.String()
}
