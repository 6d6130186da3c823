//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/docker-gpu/docker-gpu/e2e/simengine"
)

var everyFault = flag.Bool("faults", false, "let every reading command meet every fault, not some of them each")

// The machine that faults are made on: a GPU with its driver, toolkit and specification, and a project. The kernel
// and memory are those that the engine tells of itself too, so that it runs on this machine.
var machineFiles = map[string]string{
	"etc/os-release":             "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n",
	"proc/sys/kernel/hostname":   "ada\n",
	"proc/sys/kernel/osrelease":  "6.8.0-48\n",
	"proc/meminfo":               "MemTotal:       131072 kB\nMemAvailable:    65536 kB\n",
	"proc/cpuinfo":               "processor\t: 0\nflags\t: sse\n",
	"proc/stat":                  "cpu 1\nbtime 1764000000\n",
	"proc/modules":               "nvidia 1 2 - Live 0x0 (PO)\nnvidia_uvm 1 0 - Live 0x0 (PO)\n",
	"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n",
	"proc/driver/nvidia/gpus/0000:17:00.0/information": "Model: \t NVIDIA H100 80GB HBM3\nGPU UUID: \t GPU-11111111-2222-3333-4444-555555555555\nDevice Minor: \t 0\n",
	"sys/bus/pci/devices/0000:17:00.0/vendor":          "0x10de\n",
	"sys/bus/pci/devices/0000:17:00.0/class":           "0x030200\n",
	"sys/bus/pci/devices/0000:17:00.0/device":          "0x2330\n",
	"dev/nvidia0":                              "",
	"dev/nvidiactl":                            "",
	"var/log/kern.log":                         "Nov 25 10:00:00 ada kernel: NVRM: loading NVIDIA UNIX Open Kernel Module\n",
	"usr/bin/nvidia-ctk":                       "#!/bin/sh\n",
	"usr/bin/nvidia-container-runtime":         "#!/bin/sh\n",
	"etc/nvidia-container-runtime/config.toml": "[nvidia-container-runtime]\nmode = \"auto\"\n",
	"etc/cdi/nvidia.yaml":                      "cdiVersion: 0.6.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n  containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\n",
	"etc/docker/daemon.json":                   "{\n  \"runtimes\": {\"nvidia\": {\"path\": \"nvidia-container-runtime\"}}\n}\n",
	"project/compose.yaml":                     "services:\n  trainer:\n    image: acme/train\n    runtime: nvidia\n    env_file: .devcontainer/.env\n",
	"project/.devcontainer/.env":               "NVIDIA_VISIBLE_DEVICES=all\n",
	"project/.devcontainer/devcontainer.json":  "{\"dockerComposeFile\": \"../compose.yaml\", \"service\": \"trainer\"}\n",
	"kube/config":                              "apiVersion: v1\n",
}

// faultsOfFiles are what can be in a file's place. An unreadable one must be told of where a fact goes missing with it.
var faultsOfFiles = []struct {
	name       string
	unreadable bool
	make       func(file string, whole []byte) error
}{
	{"garbage", false, func(file string, _ []byte) error {
		return os.WriteFile(file, bytes.Repeat([]byte("\x00\xff\x1b[2J{[\"'<:\t%s\n\r"), 300), 0o644)
	}},
	{"half of it", false, func(file string, whole []byte) error { return os.WriteFile(file, whole[:len(whole)/2], 0o644) }},
	{"nothing in it", false, func(file string, _ []byte) error { return os.WriteFile(file, nil, 0o644) }},
	{"gone since it was listed", false, func(file string, _ []byte) error {
		return replaceBy(file, func() error { return os.Symlink("/nowhere/at/all", file) })
	}},
	{"a folder", true, func(file string, _ []byte) error {
		return replaceBy(file, func() error { return os.Mkdir(file, 0o755) })
	}},
	{"a pipe", true, func(file string, _ []byte) error {
		return replaceBy(file, func() error { return syscall.Mkfifo(file, 0o644) })
	}},
	{"a link to itself", true, func(file string, _ []byte) error {
		return replaceBy(file, func() error { return os.Symlink(filepath.Base(file), file) })
	}},
	{"100 MB", true, func(file string, _ []byte) error { return os.Truncate(file, 100<<20) }},
	{"denied", true, func(file string, _ []byte) error { return os.Chmod(file, 0) }},
}

func replaceBy(file string, make func() error) error {
	if err := os.RemoveAll(file); err != nil {
		return err
	}
	return make()
}

// faultyEngine answers as a healthy engine, but to one path.
type faultyEngine struct {
	socket string
	answer map[string][]byte // by path without version
	mu     sync.Mutex
	broken string // the path
	how    string
	asked  atomic.Int64
	stop   chan struct{}
}

// faultsOfEngines are what an engine may do in place of answering.
var faultsOfEngines = []string{"hangs", "crashes", "stops halfway", "hangs halfway", "talks nonsense", "says null", "says something else", "fails", "refuses", "never ends", "has a header without end"}

const faultyContainer = "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"

func startFaultyEngine(t *testing.T, folder string) *faultyEngine {
	t.Helper()
	e := &faultyEngine{socket: filepath.Join(folder, "e.sock"), answer: map[string][]byte{}, stop: make(chan struct{})}
	recorded := func(name string) map[string]any {
		data, err := os.ReadFile(filepath.Join("..", "..", "plugin", "testdata", "engine", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	put := func(path string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		e.answer[path] = data
	}
	info := recorded("info")
	info["KernelVersion"], info["MemTotal"], info["Swarm"] = "6.8.0-48", 131072<<10, map[string]any{"LocalNodeState": "active", "ControlAvailable": true, "NodeID": "n1"}
	info["Runtimes"] = map[string]any{"runc": map[string]any{"path": "runc"}, "nvidia": map[string]any{"path": "nvidia-container-runtime"}}
	summary, inspected := recorded("summary"), recorded("inspect")
	summary["Id"], summary["Names"], summary["State"] = faultyContainer, []string{"/trainer"}, "running"
	inspected["Id"], inspected["Name"] = faultyContainer, "/trainer"
	inspected["HostConfig"].(map[string]any)["DeviceRequests"] = []any{map[string]any{"Count": -1, "Capabilities": [][]string{{"gpu"}}}}
	inspected["State"].(map[string]any)["Status"], inspected["State"].(map[string]any)["Running"], inspected["State"].(map[string]any)["Pid"] = "running", true, 0
	e.answer["/_ping"] = []byte("OK")
	put("/version", recorded("version"))
	put("/info", info)
	put("/containers/json", []any{summary})
	put("/containers/"+faultyContainer+"/json", inspected)
	put("/containers/"+faultyContainer+"/top", map[string]any{"Titles": []string{"PID"}, "Processes": [][]string{}})
	e.answer["/containers/"+faultyContainer+"/logs"] = []byte{}
	put("/images", recorded("image"))
	put("/nodes", []any{map[string]any{"ID": "n1", "Description": map[string]any{"Hostname": "ada", "Resources": map[string]any{"GenericResources": []any{map[string]any{"NamedResourceSpec": map[string]any{"Kind": "NVIDIA-GPU", "Value": "GPU-1"}}}}}}})
	put("/tasks", []any{})
	put("/services", []any{})
	engine, err := simengine.Start(e.socket, "1.41", e.serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(e.stop); _ = engine.Close() })
	if err := os.Chmod(e.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *faultyEngine) breaks(path, how string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.broken, e.how = path, how
	e.asked.Store(0)
}

func (e *faultyEngine) serve(w http.ResponseWriter, r *http.Request, path string) bool {
	if strings.HasPrefix(path, "/images/") {
		path = "/images"
	}
	path = strings.Replace(path, "/containers/trainer/", "/containers/"+faultyContainer+"/", 1)
	answer, known := e.answer[path]
	e.mu.Lock()
	how := ""
	if e.broken == path {
		how = e.how
		e.asked.Add(1)
	}
	e.mu.Unlock()
	wait := func() {
		select {
		case <-r.Context().Done():
		case <-e.stop:
		}
	}
	half := func() {
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)+1))
		_, _ = w.Write(answer[:len(answer)*2/3])
		w.(http.Flusher).Flush()
	}
	switch how {
	case "":
		if known {
			_, _ = w.Write(answer)
		}
		return known
	case "hangs":
		wait()
	case "crashes":
		panic(http.ErrAbortHandler)
	case "stops halfway":
		half()
		panic(http.ErrAbortHandler)
	case "hangs halfway":
		half()
		wait()
	case "talks nonsense":
		_, _ = io.WriteString(w, "<html>\x1b[2J\x00welcome</html>")
	case "says null":
		_, _ = io.WriteString(w, "null")
	case "says something else":
		_, _ = io.WriteString(w, `{"message":["\u001b[2J",{"a":7}]}`)
	case "fails":
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"message":"something \u001b[2J broke"}`)
	case "never ends", "has a header without end":
		begin := append([]byte(nil), answer[:min(1, len(answer))]...) // it looks well, and one text in it goes on and on
		switch {
		case how != "never ends":
			begin = []byte("HTTP/1.1 200 OK\r\nX-More: ")
		case string(begin) == "[":
			begin = []byte(`[{"ID":"`)
		case string(begin) == "{":
			begin = []byte(`{"ID":"`)
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return true
		}
		defer conn.Close()
		if how == "never ends" {
			_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
		}
		for more := bytes.Repeat([]byte("a"), 64<<10); err == nil; begin = more {
			_, err = conn.Write(begin)
		}
	case "refuses":
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"message":"authorization denied by plugin"}`)
	}
	return true
}

// faultyMachine is where commands are run: as nobody where this test is root, whom nothing is denied.
type faultyMachine struct {
	root, program, home string
	timeout             string // short where something hangs: it is waited out
	engine              *faultyEngine
	environ             []string
}

// Deadlines of the sources: of those that answer, on a machine however slow, and of those that never will.
const patient, impatient = "20s", "1s"

func (m *faultyMachine) meets(how string) {
	m.timeout = patient
	if strings.Contains(how, "hang") || how == "endless" {
		m.timeout = impatient
	}
}

func newFaultyMachine(t *testing.T) *faultyMachine {
	t.Helper()
	folder, err := os.MkdirTemp("", "faults") // a socket's path has to be short, and nobody has to come in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &faultyMachine{timeout: patient, root: filepath.Join(folder, "root"), program: filepath.Join(folder, "docker-gpu"), home: filepath.Join(folder, "home")}
	data, err := os.ReadFile(self)
	if err == nil {
		err = errors.Join(os.Chmod(folder, 0o755), os.WriteFile(m.program, data, 0o755), os.MkdirAll(m.home, 0o777), os.Chmod(m.home, 0o777), os.MkdirAll(filepath.Join(folder, "bin"), 0o755))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "bin", "kubectl"), []byte("#!/bin/sh\ncase \"$KUBECTL\" in\nhangs) sleep 600;;\ncrashes) kill -SEGV $$;;\nhalf) echo '{\"items\":[{\"meta';;\nnonsense) printf '<html>\\033[2J\\000';;\nnull) echo null;;\nother) echo '{}';;\nfails) echo 'Unable to connect to the server' >&2; exit 1;;\nendless) yes '{';;\n*) echo '{\"items\":[]}';;\nesac\n"), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.engine = startFaultyEngine(t, folder)
	m.environ = []string{"DOCKER_GPU_TEST_MAIN=1", "HOME=" + m.home, "XDG_STATE_HOME=" + m.home, "XDG_RUNTIME_DIR=" + m.home, "DOCKER_CONFIG=" + m.home, "PATH=" + filepath.Join(folder, "bin") + ":/usr/bin:/bin",
		"DOCKER_HOST=unix://" + m.engine.socket, "DOCKER_GPU_ROOT=" + m.root, "TZ=UTC",
		"GORACE=atexit_sleep_ms=0"} // else each of a thousand processes waits a second for late races
	m.heal(t)
	return m
}

// heal lays all files anew.
func (m *faultyMachine) heal(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(m.root); err != nil {
		t.Fatal(err)
	}
	for name, text := range machineFiles {
		file := filepath.Join(m.root, name)
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
}

// readingCalls are the commands that look at a machine.
var readingCalls = [][]string{
	{"status"}, {"ps", "-a"}, {"diagnose"}, {"health"}, {"audit"}, {"topo"}, {"mig", "ls"}, {"check", "acme/train"}, {"check", "trainer"},
	{"report", "-o", "-"}, {"pick", "--explain"}, {"top", "-n", "1"}, {"k8s"}, {"k8s", "diagnose"}, {"enable", "--dry-run"}, {"compose", "--print", "config"}, {"fix", "--dry-run", "cdi"},
}

// run runs a command to its end and holds what holds for all of them, whatever is broken.
func (m *faultyMachine) run(t *testing.T, what string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	for _, takes := range []string{"status", "ps", "diagnose", "health", "audit", "topo", "mig", "check", "report", "pick", "k8s", "top", "enable"} {
		if args[0] == takes {
			args = append(slices.Clone(args), "--timeout", m.timeout)
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // none may come near it, on a machine however slow
	defer cancel()
	cmd := exec.CommandContext(ctx, m.program, args...)
	cmd.WaitDelay = time.Second
	cmd.Dir, cmd.Env = filepath.Join(m.root, "project"), m.environ
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	what = what + ": " + strings.Join(args, " ")
	if ctx.Err() != nil {
		t.Errorf("%s: hangs", what)
	}
	if used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && used.Maxrss > 2<<20 { // in KiB; far more than any needs
		t.Errorf("%s: took %d MiB of memory", what, used.Maxrss>>10)
	}
	code = cmd.ProcessState.ExitCode()
	if code != 0 && code != 1 {
		t.Errorf("%s: %v: %.600s", what, err, errOut.String())
	}
	all := out.String() + errOut.String()
	for _, bad := range []string{"goroutine ", "panic", "runtime error", "internal error", "\x1b[2J", "\x00", "%!", "<nil>"} {
		if strings.Contains(all, bad) {
			t.Errorf("%s: says %q: %.600s", what, bad, all)
		}
	}
	if strings.TrimSpace(all) == "" && args[0] != "ps" && args[0] != "mig" {
		t.Errorf("%s: exit code %d without a word", what, code)
	}
	return out.String(), errOut.String(), code
}

// facts is what status tells as JSON, without what differs from one time to another, and its sources' complaints.
func (m *faultyMachine) facts(t *testing.T, what string) (facts map[string]any, complaints string) {
	t.Helper()
	stdout, stderr, code := m.run(t, what, "status", "--format", "json")
	if err := json.Unmarshal([]byte(stdout), &facts); err != nil || code != 0 {
		t.Errorf("%s: exit code %d, %v: %.300s %.300s", what, code, err, stdout, stderr)
		return nil, ""
	}
	sources, _ := facts["sources"].([]any)
	for _, s := range sources {
		if said, _ := s.(map[string]any)["error"].(string); said != "" {
			complaints += s.(map[string]any)["name"].(string) + ": " + said + "\n"
		}
	}
	for key := range facts {
		if slices.Contains([]string{"sources", "takenAt", "verdict"}, key) {
			delete(facts, key)
		}
	}
	var problems func(v any)
	problems = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				if key == "problem" || key == "problems" || key == "unreachable" {
					complaints += fmt.Sprintf("%s: %v\n", key, value)
				}
				if key == "modifiedAt" || key == "bootedAt" {
					delete(v, key)
					continue
				}
				problems(value)
			}
		case []any:
			for _, value := range v {
				problems(value)
			}
		}
	}
	problems(facts)
	return facts, complaints
}

// Whatever is in a file's place, and whoever may not read it: every command ends, in words, and a fact that goes
// missing with it has a reason that is told.
func TestFaultyFiles(t *testing.T) {
	t.Parallel()
	m := newFaultyMachine(t)
	healthy, complaints := m.facts(t, "healthy")
	if strings.Contains(complaints, "host:") || healthy["host"] == nil || healthy["cdi"] == nil {
		t.Fatalf("the machine is not healthy to begin with: %s %v", complaints, healthy)
	}
	before := strings.Count(complaints, "\n")
	turn := 0
	var names []string
	for name := range machineFiles {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range append(names, "dev", "etc/cdi", "proc/driver/nvidia/gpus", "sys/bus/pci/devices") {
		for i, fault := range faultsOfFiles {
			if !*everyFault && (i+turn)%3 != 0 { // each fault still meets a third of the files
				continue
			}
			file, what := filepath.Join(m.root, name), name+": "+fault.name
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if info.IsDir() && !slices.Contains([]string{"a pipe", "denied", "a link to itself"}, fault.name) {
				continue
			}
			whole := []byte(machineFiles[name])
			if err := fault.make(file, whole); err != nil {
				t.Fatal(err)
			}
			got, told := m.facts(t, what)
			// A node's kind and mode are facts, and a folder is no program: those are told as they are.
			plain := !strings.HasPrefix(name, "dev/") && !strings.HasPrefix(name, "usr/bin/") && !strings.HasSuffix(name, "/device")
			if plain && fault.unreadable && got != nil && !reflect.DeepEqual(healthy, got) && strings.Count(told, "\n") <= before {
				t.Errorf("%s: facts are others, and nobody says why:\n%s", what, difference(healthy, got, ""))
			}
			calls := readingCalls
			if !*everyFault {
				calls = [][]string{readingCalls[turn%len(readingCalls)]}
			}
			for _, call := range calls {
				m.run(t, what, call...)
			}
			_ = os.Chmod(file, 0o755)
			m.heal(t)
		}
		turn++
	}
}

// difference names what is not the same in two trees of JSON.
func difference(a, b any, at string) string {
	if reflect.DeepEqual(a, b) {
		return ""
	}
	ma, okA := a.(map[string]any)
	mb, okB := b.(map[string]any)
	if !okA || !okB {
		return fmt.Sprintf("%s: %.200v, was %.200v\n", at, b, a)
	}
	text := ""
	for key := range ma {
		text += difference(ma[key], mb[key], at+"."+key)
	}
	for key := range mb {
		if _, was := ma[key]; !was {
			text += fmt.Sprintf("%s.%s: %.200v is new\n", at, key, mb[key])
		}
	}
	return text
}

// Whatever an engine does in place of answering one of the questions: every command ends, in words; containers that
// were not told of are not known, which is not the same as none.
func TestFaultyEngine(t *testing.T) {
	t.Parallel()
	m := newFaultyMachine(t)
	healthy, _ := m.facts(t, "healthy")
	if list, _ := healthy["containers"].([]any); len(list) != 1 {
		t.Fatalf("the engine is not healthy to begin with: %v", healthy)
	}
	turn := 0
	for path := range m.engine.answer {
		for i, how := range faultsOfEngines {
			if !*everyFault && (i+turn)%2 != 0 && how != "says null" {
				continue
			}
			what := path + " " + how
			m.engine.breaks(path, how)
			m.meets(how)
			got, complaints := m.facts(t, what)
			if m.engine.asked.Load() > 0 && got != nil && !reflect.DeepEqual(healthy, got) && complaints == "" && path != "/images" {
				t.Errorf("%s: facts are others, and nobody says why:\n%s", what, difference(healthy, got, ""))
			}
			if list, known := got["containers"].([]any); known && got["containers"] != nil && len(list) == 0 {
				t.Errorf("%s: it looks as if there were no containers: %s", what, complaints)
			}
			calls := readingCalls
			if !*everyFault {
				calls = [][]string{readingCalls[turn%len(readingCalls)]}
				turn++
			}
			for _, call := range calls {
				m.run(t, what, call...)
			}
		}
	}
	m.engine.breaks("", "")
}

// The driver's library, kubectl and the kernel's log are programs and devices of others: what they do harms nobody.
func TestFaultyPrograms(t *testing.T) {
	t.Parallel()
	m := newFaultyMachine(t)
	whole := slices.Clone(m.environ)
	for _, how := range []string{"hangs", "crashes", "half", "nonsense", "null", "other", "fails", "endless"} {
		m.environ = append(slices.Clone(whole), "KUBECTL="+how)
		m.meets(how)
		for _, call := range [][]string{{"k8s"}, {"k8s", "diagnose"}, {"k8s", "--format", "json"}} {
			stdout, stderr, code := m.run(t, "kubectl "+how, call...)
			if code == 0 && len(call) < 3 || strings.Contains(stdout, `"nodes": []`) {
				t.Errorf("kubectl %s: %v: nothing wrong with that: %s%s", how, call, stdout, stderr)
			}
		}
	}
	build := filepath.Join("..", "..", "e2e", "fakenvml")
	library := filepath.Join(filepath.Dir(m.root), "fake")
	if out, err := exec.Command("/bin/sh", filepath.Join(build, "build.sh"), library).CombinedOutput(); err != nil {
		t.Skipf("no fake driver without a C compiler: %v: %s", err, out)
	}
	for _, how := range []string{"hang-init", "hang", "crash", "driver-not-loaded", "mismatch", "lost-gpu", "unknown-error", "reset-required"} {
		data, err := os.ReadFile(filepath.Join(build, "scenarios", how+".scenario"))
		scenario := filepath.Join(filepath.Dir(m.root), how+".scenario")
		if err = errors.Join(err, os.WriteFile(scenario, data, 0o644)); err != nil {
			t.Fatal(err)
		}
		m.meets(how)
		m.environ = append(slices.Clone(whole), "LD_LIBRARY_PATH="+library, "FAKE_NVML_SCENARIO="+scenario)
		got, complaints := m.facts(t, "NVML "+how)
		if gpus, _ := got["gpus"].([]any); len(gpus) == 0 && (complaints == "" || got["gpus"] != nil) {
			t.Errorf("NVML %s: no GPUs, and nobody says why: %v", how, complaints)
		}
		calls := readingCalls[:8]
		if !*everyFault {
			calls = [][]string{{"status"}, {"topo"}, {"pick", "--explain"}}
		}
		for _, call := range calls {
			m.run(t, "NVML "+how, call...)
		}
		if strings.HasPrefix(how, "hang") {
			if stdout, _, code := m.run(t, "NVML "+how, "diagnose"); code != 1 || !strings.Contains(stdout, "driver-not-answering") {
				t.Errorf("NVML %s: diagnose: exit code %d: %s", how, code, stdout)
			}
		}
	}
}

// An exporter answers every scrape, whatever breaks meanwhile, and says of each source whether it was up.
func TestFaultyScrapes(t *testing.T) {
	t.Parallel()
	m := newFaultyMachine(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(m.program, "exporter", "--listen", address, "--timeout", "2s")
	cmd.Env = m.environ
	stderr, err := os.Create(filepath.Join(t.TempDir(), "errors")) // a file: it is read while the exporter still writes
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = stderr.Close() }()
	said := func() string {
		text, err := os.ReadFile(stderr.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	scrape := func(what string) string {
		var err error
		for range 300 {
			var answer *http.Response
			if answer, err = http.Get("http://" + address + "/metrics"); err == nil {
				body, readErr := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if readErr == nil && answer.StatusCode == http.StatusOK {
					return string(body)
				}
				err = fmt.Errorf("%s: %w", answer.Status, readErr)
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Fatalf("%s: no answer: %v: %s", what, err, said())
		return ""
	}
	if text := scrape("healthy"); !strings.Contains(text, `docker_gpu_source_up{source="containers"} 1`) {
		t.Fatalf("the engine is not healthy to begin with:\n%s", text)
	}
	for _, path := range []string{"/containers/json", "/info"} {
		for _, how := range faultsOfEngines {
			m.engine.breaks(path, how)
			text := scrape(path + " " + how)
			if strings.Contains(text, "\x1b") || strings.Contains(text, "panic") || !strings.Contains(text, "docker_gpu_source_up{") {
				t.Errorf("%s %s: %.500s", path, how, text)
			}
		}
	}
	m.engine.breaks("", "")
	if strings.Contains(said(), "goroutine ") {
		t.Errorf("%s", said())
	}
}
