//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// statePrefix begins the name of each scenario's folder of engine states; the number of the process that made it
// follows, so that a later run finds what an interrupted one left.
const statePrefix = "/tmp/dge-"

// setup gives a script a home of its own with the plugin installed as a user would install it.
func setup(env *testscript.Env, engine string) error {
	home := filepath.Join(env.WorkDir, "home")
	plugins := filepath.Join(home, ".docker", "cli-plugins")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		return err
	}
	links := map[string]string{"docker-gpu": plugin}
	if compose := filepath.Join(bench, "cli-plugins", "docker-compose"); exists(compose) {
		links["docker-compose"] = compose
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(plugins, name)); err != nil {
			return err
		}
	}
	examples, err := filepath.Abs("../examples")
	if err != nil {
		return err
	}
	states, err := os.MkdirTemp("/tmp", fmt.Sprintf("%s%d-", filepath.Base(statePrefix), os.Getpid()))
	if err != nil {
		return err
	}
	env.Defer(func() { removeStates(states) })
	env.Setenv("HOME", home)
	env.Setenv("PATH", filepath.Join(bench, "cli")+":"+filepath.Dir(plugin)+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	env.Setenv("ENGINE", engine)
	env.Setenv("BENCH", bench)
	env.Setenv("STATES", states)
	env.Setenv("PLUGIN", plugin)
	env.Setenv("EXAMPLES", examples)
	env.Setenv("TOOLKIT", filepath.Join(bench, "toolkit"))
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// removeStates stops all engines that a script left running and removes what they wrote.
func removeStates(states string) {
	entries, _ := os.ReadDir(states)
	for _, entry := range entries {
		_ = exec.Command("./engine.sh", "stop", filepath.Join(states, entry.Name())).Run()
	}
	_ = os.RemoveAll(states)
}

// stopForgotten ends the engines of test runs that were killed before they could.
func stopForgotten() {
	folders, _ := filepath.Glob(statePrefix + "*")
	for _, folder := range folders {
		number, _, _ := strings.Cut(strings.TrimPrefix(folder, statePrefix), "-")
		pid, err := strconv.Atoi(number)
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			removeStates(folder)
		}
	}
}

func condition(engine, cond string) (bool, error) {
	if name, ok := strings.CutPrefix(cond, "engine:"); ok {
		return name == engine, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// commands are what a script can use beyond testscript's own.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"engine":  engineCommand,
	"cluster": clusterCommand,
	"await":   awaitCommand,
	"field":   fieldCommand,
	"mknod":   mknodCommand,
	"machine": machineCommand,
	"expand":  expandCommand,

	"deadsocket": deadSocketCommand,
}

// engineCommand: "engine start [-as NAME] [--nvidia] [DOCKERD-OPTION...]" and "engine stop [NAME]".
//
// The first engine's endpoint becomes DOCKER_HOST, its folder STATE; of one with a NAME, HOST_NAME and STATE_NAME.
func engineCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: engine start [-as NAME] [--nvidia] [OPTION...] | engine stop [NAME]")
	}
	name := "engine"
	switch args[0] {
	case "start":
		args = args[1:]
		if len(args) > 1 && args[0] == "-as" {
			name, args = args[1], args[2:]
		}
		state := filepath.Join(ts.Getenv("STATES"), name)
		start := exec.Command("./engine.sh", append([]string{"start", ts.Getenv("ENGINE"), state}, args...)...)
		start.Env = os.Environ()
		for _, key := range []string{"DRIVER_ROOT", "FAKE_NVML_SCENARIO"} { // for the toolkit that the engine calls
			if value := ts.Getenv(key); value != "" {
				start.Env = append(start.Env, key+"="+value)
			}
		}
		out, err := start.CombinedOutput()
		if err != nil {
			ts.Fatalf("engine start: %v\n%s", err, out)
		}
		if out, err := exec.Command("./engine.sh", "image", state).CombinedOutput(); err != nil {
			ts.Fatalf("engine image: %v\n%s", err, out)
		}
		if name == "engine" {
			ts.Setenv("DOCKER_HOST", strings.TrimSpace(string(out)))
			ts.Setenv("STATE", state)
		} else {
			ts.Setenv("HOST_"+name, strings.TrimSpace(string(out)))
			ts.Setenv("STATE_"+name, state)
		}
	case "stop":
		if len(args) > 1 {
			name = args[1]
		}
		if out, err := exec.Command("./engine.sh", "stop", filepath.Join(ts.Getenv("STATES"), name)).CombinedOutput(); err != nil {
			ts.Fatalf("engine stop: %v\n%s", err, out)
		}
	default:
		ts.Fatalf("engine %s: neither start nor stop", args[0])
	}
}

// clusterCommand: "cluster start" and "cluster stop": a Kubernetes control plane; KUBECONFIG leads to it.
func clusterCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || args[0] != "start" && args[0] != "stop" {
		ts.Fatalf("usage: cluster start | cluster stop")
	}
	state := filepath.Join(ts.Getenv("STATES"), "cluster")
	if args[0] == "start" {
		ts.Defer(func() { _ = exec.Command("./kubernetes.sh", "stop", state).Run() })
	}
	out, err := exec.Command("./kubernetes.sh", args[0], state).Output()
	if err != nil {
		ts.Fatalf("cluster %s: %v\n%s", args[0], err, out)
	}
	if args[0] == "start" {
		ts.Setenv("KUBECONFIG", strings.TrimSpace(string(out)))
		ts.Setenv("PATH", filepath.Join(bench, "kubernetes")+":"+ts.Getenv("PATH"))
	}
}

// awaitCommand: "await PATTERN COMMAND..." runs a command until its output matches, for a minute at most.
func awaitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await PATTERN COMMAND...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	out := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		_ = ts.Exec(args[1], args[2:]...) // may fail until what is waited for is there
		if out = ts.ReadFile("stdout") + ts.ReadFile("stderr"); pattern.MatchString(out) {
			return
		}
	}
	ts.Fatalf("%q did not come; the last output was:\n%s", args[0], out)
}

// fieldCommand: "field FILE PATH VALUE" compares a field of a JSON object: field stdout verdict.code no-gpu.
// Numbers in PATH are positions in a list; VALUE is a string, or JSON; "absent" asks that there is no such field.
func fieldCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: field FILE PATH VALUE")
	}
	var value any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &value); err != nil {
		ts.Fatalf("%s is not JSON: %v", args[0], err)
	}
	there := true
	for key := range strings.SplitSeq(args[1], ".") {
		switch at := value.(type) {
		case map[string]any:
			value, there = at[key]
		case []any:
			i, err := strconv.Atoi(key)
			if there = err == nil && i < len(at); there {
				value = at[i]
			}
		default:
			there = false
		}
		if !there {
			break
		}
	}
	got := "absent"
	if text, ok := value.(string); there && ok {
		got = text
	} else if there {
		data, _ := json.Marshal(value)
		got = string(data)
	}
	if (got == args[2]) == neg {
		ts.Fatalf("%s is %s, and should %sbe %s", args[1], got, map[bool]string{true: "not "}[neg], args[2])
	}
}

// mknodCommand: "mknod PATH MAJOR MINOR [MODE]" makes a character device.
func mknodCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: mknod PATH MAJOR MINOR [MODE]")
	}
	number := func(text string, base int) uint32 {
		n, err := strconv.ParseUint(text, base, 32)
		ts.Check(err)
		return uint32(n)
	}
	mode := uint32(0o666)
	if len(args) > 3 {
		mode = number(args[3], 8)
	}
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(syscall.Mknod(path, syscall.S_IFCHR|mode, int(unix.Mkdev(number(args[1], 10), number(args[2], 10)))))
	ts.Check(os.Chmod(path, os.FileMode(mode)))
}

// machineCommand: "machine FOLDER" makes FOLDER a root folder of this very machine, by what tells machines apart
// (kernel release and memory), and lets docker gpu read it in place of /. What else it holds is the script's.
func machineCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: machine FOLDER")
	}
	root := ts.MkAbs(args[0])
	for _, name := range []string{"/proc/sys/kernel/osrelease", "/proc/sys/kernel/hostname", "/proc/meminfo", "/etc/os-release"} {
		if exists(root + name) {
			continue
		}
		data, err := os.ReadFile(name)
		ts.Check(err)
		ts.Check(os.MkdirAll(filepath.Dir(root+name), 0o755))
		ts.Check(os.WriteFile(root+name, data, 0o644))
	}
	ts.Check(os.MkdirAll(root+"/sys/bus/pci/devices", 0o755))
	ts.Setenv("DOCKER_GPU_ROOT", root)
}

// expandCommand: "expand FILE..." replaces $WORK, $STATE and the like in files of the script.
func expandCommand(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		path := ts.MkAbs(name)
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(path, []byte(text), 0o644))
	}
}

// deadSocketCommand: "deadsocket PATH" leaves a socket at which nothing listens any more.
func deadSocketCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: deadsocket PATH")
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: ts.MkAbs(args[0]), Net: "unix"})
	ts.Check(err)
	l.SetUnlinkOnClose(false)
	ts.Check(l.Close())
}
