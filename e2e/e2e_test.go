//go:build e2e && linux

// Package e2e runs scenarios against real engines: each file of testdata is one, written as a testscript, and
// runs on engine 20.10 and on the newest one, through the real docker CLI. README.md lists what a script can use.
package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// engines are the axis: every scenario runs on each, unless its first lines say otherwise.
var engines = []string{"20.10", "newest"}

// bench is the folder that setup.sh laid, plugin the binary under test, startup the folder of its module file.
var bench, plugin, startup string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	path, err := exec.Command("./setup.sh", "--path").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "setup.sh --path:", err)
		return 1
	}
	bench = strings.TrimSpace(string(path))
	folder, err := os.MkdirTemp("", "docker-gpu-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	plugin = filepath.Join(folder, "docker-gpu")
	startup = filepath.Join(folder, "startup") // as the Makefile builds it
	if out, err := exec.Command("go", "run", "../packaging/startup", "-out", startup).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "packaging/startup: %v\n%s", err, out)
		return 1
	}
	if out, err := exec.Command("go", "build", "-modfile", filepath.Join(startup, "go.mod"), "-o", plugin, "../cmd/docker-gpu").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	stopForgotten()
	code := m.Run()
	text := counted.summary()
	name := os.Getenv("E2E_SUMMARY") // make prints it last: go test keeps the output of what passes to itself
	if name == "" {
		fmt.Print(text)
		return code
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("testdata holds no scenario", err)
	}
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			away := engineMissing(engine)
			for _, file := range files {
				head, err := readHead(file)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(head.engines, engine) {
					continue
				}
				t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
					t.Parallel()
					reason := away
					for _, need := range head.needs {
						if reason == "" {
							reason = missing(need)
						}
					}
					if reason != "" {
						counted.skip(t.Name(), reason)
						t.Skip(reason)
					}
					counted.run(engine)
					testscript.RunT(oneTest{t}, testscript.Params{
						Files:               []string{file},
						Setup:               func(env *testscript.Env) error { return setup(env, engine) },
						Cmds:                commands,
						Condition:           func(cond string) (bool, error) { return condition(engine, cond) },
						RequireExplicitExec: true,
						RequireUniqueNames:  true,
					})
				})
			}
		})
	}
}

// oneTest makes a script run as the test that it is called from, not as one below it.
type oneTest struct{ *testing.T }

func (t oneTest) Parallel()                              {}
func (t oneTest) Verbose() bool                          { return false }
func (t oneTest) Run(_ string, run func(t testscript.T)) { run(t) }
func (t oneTest) Skip(args ...any) {
	t.Fatal("a script must not skip: name what it needs in its head", args)
}

// head is what the comments at the top of a script say: "# needs: program nvtop", "# engines: newest".
type head struct{ needs, engines []string }

func readHead(file string) (head, error) {
	h := head{engines: engines}
	data, err := os.ReadFile(file)
	if err != nil {
		return h, err
	}
	for line := range strings.Lines(string(data)) {
		comment, ok := strings.CutPrefix(line, "# ")
		if !ok {
			break
		}
		if needs, ok := strings.CutPrefix(comment, "needs: "); ok {
			for need := range strings.SplitSeq(needs, ",") {
				h.needs = append(h.needs, strings.TrimSpace(need))
			}
		}
		if only, ok := strings.CutPrefix(comment, "engines: "); ok {
			h.engines = strings.Fields(only)
		}
	}
	return h, nil
}

// missing says why what a script needs cannot be had here, or "".
func missing(need string) string {
	kind, name, _ := strings.Cut(need, " ")
	switch kind {
	case "program":
		if _, err := exec.LookPath(name); err == nil {
			return ""
		}
		return "there is no " + name + " here" + because()
	case "bench": // a file that setup.sh built: "bench cli-plugins/docker-compose"
		if _, err := os.Stat(filepath.Join(bench, name)); err == nil {
			return ""
		}
		return name + " is not built" + because()
	case "mknod":
		return mknodMissing()
	case "cgroup": // "cgroup v1": device rules that are files
		if _, err := os.Stat("/sys/fs/cgroup/devices"); err == nil {
			return ""
		}
		return "there is no cgroup v1 here, whose device rules a test can change"
	}
	return "the scenario's head asks for an unknown thing: " + need
}

// because is what setup.sh wrote down that it could not have.
func because() string {
	data, err := os.ReadFile(filepath.Join(bench, "missing"))
	if errors.Is(err, fs.ErrNotExist) {
		return " (e2e/setup.sh has not run)"
	}
	if lines := strings.Split(strings.TrimSpace(string(data)), "\n"); lines[0] != "" {
		return " (" + lines[0] + ")"
	}
	return ""
}

// engineMissing says why an engine cannot be started here, or "".
func engineMissing(engine string) string {
	if os.Getuid() != 0 {
		return "not root, which an engine needs"
	}
	for _, name := range []string{"containerd", "busybox", "iptables"} {
		if reason := missing("program " + name); reason != "" {
			return reason
		}
	}
	needs := []string{"cli/docker", "toolkit/nvidia-container-runtime"}
	if engine == "newest" {
		needs = append(needs, "newest/dockerd", "newest/runc")
	}
	for _, name := range needs {
		if reason := missing("bench " + name); reason != "" {
			return reason
		}
	}
	if engine == "20.10" {
		version, err := exec.Command("/usr/sbin/dockerd", "--version").Output()
		if err != nil {
			return "there is no /usr/sbin/dockerd" + because()
		}
		if !strings.Contains(string(version), " 20.10.") {
			return "this system's docker.io is not 20.10, as Debian 12's is: " + strings.TrimSpace(string(version))
		}
	}
	return ""
}

var mknodMissing = sync.OnceValue(func() string {
	folder, err := os.MkdirTemp("", "mknod")
	if err != nil {
		return err.Error()
	}
	defer os.RemoveAll(folder)
	if err := syscall.Mknod(filepath.Join(folder, "null"), syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
		return "device nodes cannot be made here: " + err.Error()
	}
	return ""
})

// tally counts what ran and what could not, for the last line of the run.
type tally struct {
	mu      sync.Mutex
	ran     map[string]int
	reasons []string            // in the order of their first scenario
	skipped map[string][]string // names by reason
}

var counted = tally{ran: map[string]int{}, skipped: map[string][]string{}}

func (c *tally) run(engine string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ran[engine]++
}

func (c *tally) skip(name, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.skipped[reason] == nil {
		c.reasons = append(c.reasons, reason)
	}
	c.skipped[reason] = append(c.skipped[reason], strings.TrimPrefix(name, "TestScenarios/"))
}

func (c *tally) summary() string {
	var b strings.Builder
	total := 0
	for _, reason := range c.reasons {
		names := c.skipped[reason]
		slices.Sort(names)
		total += len(names)
		fmt.Fprintf(&b, "could not run: %s: %s\n", strings.Join(names, ", "), reason)
	}
	fmt.Fprintf(&b, "end-to-end scenarios: %d ran on 20.10, %d on newest, %d could not run", c.ran["20.10"], c.ran["newest"], total)
	if total > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(c.reasons, "; "))
	}
	return b.String() + "\n"
}
