//go:build e2e && linux

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/docker-gpu/docker-gpu/e2e/fakenvml"
)

func init() { commands["killed"] = killedCommand }

// killedCommand: "killed FILE... -- ARG..." runs `docker-gpu fix ARG...`, which changes the FILEs, and ends it by
// SIGKILL at a random moment, E2E_KILLS times (20 by default). After each kill every FILE is the old one or the new
// one, the journal reads and tells the truth about each, and `fix --undo` gives every byte back.
func killedCommand(ts *testscript.TestScript, neg bool, args []string) {
	at := 0
	for at < len(args) && args[at] != "--" {
		at++
	}
	if neg || at == 0 || at >= len(args)-1 {
		ts.Fatalf("usage: killed FILE... -- ARG...")
	}
	kills := 20
	if n, err := strconv.Atoi(os.Getenv("E2E_KILLS")); err == nil {
		kills = n
	}
	files, argv := args[:at], append([]string{"fix"}, args[at+1:]...)
	command := func(argv ...string) *exec.Cmd {
		cmd := exec.Command(plugin, argv...)
		cmd.Dir = ts.MkAbs(".")
		for _, key := range []string{"HOME", "PATH", "DOCKER_HOST", "DOCKER_GPU_ROOT", "LD_LIBRARY_PATH", fakenvml.ScenarioVariable} {
			cmd.Env = append(cmd.Env, key+"="+ts.Getenv(key))
		}
		return cmd
	}
	whole := func(argv ...string) []byte {
		var stderr bytes.Buffer
		cmd := command(argv...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			ts.Fatalf("docker-gpu %s: %v\n%s%s", strings.Join(argv, " "), err, out, stderr.String())
		}
		return out
	}
	texts := func() []string {
		var all []string
		for _, f := range files {
			data, err := os.ReadFile(ts.MkAbs(f))
			ts.Check(err)
			all = append(all, string(data))
		}
		return all
	}
	before := texts()
	start := time.Now()
	whole(argv...)
	usual := time.Since(start)
	after := texts()
	for i := range files {
		if before[i] == after[i] {
			ts.Fatalf("%s is not changed by docker-gpu %s", files[i], strings.Join(argv, " "))
		}
	}
	whole("fix", "--undo")
	met := map[string]int{}
	for kill := range kills {
		cmd := command(argv...)
		ts.Check(cmd.Start())
		// Reading the machine takes most of the time: half of the kills are aimed at the changes themselves.
		wait := rand.N(usual * 5 / 4)
		if kill%2 == 0 {
			wait = usual/4 + rand.N(usual*3/4)
		}
		time.Sleep(wait)
		_ = cmd.Process.Kill()
		if cmd.Wait() == nil {
			met["done before"]++
		}
		now := texts()
		newest, undoable := newestChange(ts, whole("fix", "--list", "--format", "json"))
		changed := 0
		for i, f := range files {
			state := newest[filepath.Base(f)]
			switch {
			case now[i] != before[i] && now[i] != after[i]:
				ts.Fatalf("kill %d: %s is neither the old nor the new one: %q", kill, f, now[i])
			case now[i] == after[i] && (!undoable || state != "done" && state != "begun"):
				ts.Fatalf("kill %d: %s is the new one, and the journal says %q", kill, f, state)
			case now[i] == before[i] && undoable && state == "done":
				ts.Fatalf("kill %d: %s is the old one, and the journal says done", kill, f)
			case now[i] == after[i]:
				changed++
			}
		}
		met[fmt.Sprintf("%d of %d files changed", changed, len(files))]++
		if !undoable {
			continue
		}
		whole("fix", "--undo")
		for i, text := range texts() {
			if text != before[i] {
				ts.Fatalf("kill %d: after undo %s holds %q", kill, files[i], text)
			}
		}
		if _, undoable := newestChange(ts, whole("fix", "--list", "--format", "json")); undoable {
			ts.Fatalf("kill %d: it is still to be undone", kill)
		}
	}
	fmt.Printf("fix was killed %d times: %v\n", kills, met) // go test -v shows it
	whole(argv...)
	whole("fix", "--undo")
	for _, f := range files {
		if exists(filepath.Join(filepath.Dir(ts.MkAbs(f)), ".docker-gpu.tmp")) {
			ts.Fatalf("what was being written is left beside %s", f)
		}
	}
}

// newestChange is the state of the newest change's steps by the name of the file that their text names.
func newestChange(ts *testscript.TestScript, list []byte) (states map[string]string, undoable bool) {
	states = map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(list))
	lines.Buffer(nil, 1<<20)
	for first := true; lines.Scan(); first = false {
		var change struct {
			Undoable bool
			Damage   string
			Steps    []struct{ Text, State string }
		}
		ts.Check(json.Unmarshal(lines.Bytes(), &change))
		if change.Damage != "" {
			ts.Fatalf("the journal is damaged: %s", change.Damage)
		}
		if !first {
			continue
		}
		undoable = change.Undoable
		for _, s := range change.Steps {
			for _, word := range strings.Fields(s.Text) {
				if strings.ContainsAny(word, "/.") {
					states[filepath.Base(word)] = s.State
				}
			}
		}
	}
	return states, undoable
}
