package plugin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/cli/cli/command"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

func TestFixFlags(t *testing.T) {
	for _, c := range []struct{ args, undo, names, want string }{
		{"", "", "", ""},
		{"cdi runtime-not-registered", "", "cdi runtime-not-registered", ""},
		{"--undo", "newest", "", ""},
		{"--undo 3", "3", "", ""},
		{"--undo=3", "3", "", ""},
		{"--undo three", "", "", "takes the number of a change"},
		{"--undo 3 cdi", "", "", "goes with no playbook"},
		{"--undo 3 --list", "", "", "goes with no playbook"},
		{"--allow restart,install cdi", "", "cdi", ""},
		{"--allow everything", "", "", `not "everything"`},
		{"cd", "", "", `no playbook or finding "cd"`},
		{"--format {{.ID}}", "", "", "'table' or 'json'"},
	} {
		var got *fixOptions
		cmd := newFixCmd(nil, func(_ context.Context, o *fixOptions) error { got = o; return nil })
		cmd.SetArgs(strings.Fields(c.args))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.Execute()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
			continue
		}
		if err == nil && (got.undo != c.undo || strings.Join(got.names, " ") != c.names) {
			t.Errorf("%q: undo %q, names %q", c.args, got.undo, got.names)
		}
	}
}

// fixApp is an app whose output is kept and whose input is no terminal.
func fixApp(t *testing.T) (*app, *bytes.Buffer) {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Setenv("DOCKER_GPU_ROOT", t.TempDir())
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "no.sock"))
	var out bytes.Buffer
	cli, err := command.NewDockerCli(command.WithOutputStream(&out), command.WithErrorStream(io.Discard), command.WithInputStream(io.NopCloser(strings.NewReader("y\n"))))
	if err != nil {
		t.Fatal(err)
	}
	return newApp(cli, "test"), &out
}

// Whatever was said with --yes: what --allow does not name is refused before anything is done, and what
// ends somebody's work is never done without a question.
func TestAskWithoutTerminal(t *testing.T) {
	a, _ := fixApp(t)
	step := func(harm fixes.Harm) fixStep {
		s := &fixes.CommandStep{Description: fixes.Description{Text: "a " + string(harm), Harm: harm}}
		return fixStep{Description: s.Describe(), step: s}
	}
	single := fixStep{Description: fixes.Description{Text: "stop", Harm: fixes.HarmRestart}, step: oneByOne{&fixes.CommandStep{}}}
	for _, c := range []struct {
		name  string
		opts  consent
		steps []fixStep
		done  int
		want  string
	}{
		{"no --yes", consent{}, []fixStep{step(fixes.HarmEdit)}, 0, "add --yes"},
		{"edits and reloads", consent{yes: true}, []fixStep{step(fixes.HarmEdit), step(fixes.HarmReload)}, 2, ""},
		{"a restart", consent{yes: true}, []fixStep{step(fixes.HarmEdit), step(fixes.HarmRestart)}, 0, "add --allow restart"},
		{"a restart that is allowed", consent{yes: true, allow: []string{"restart"}}, []fixStep{step(fixes.HarmRestart)}, 1, ""},
		{"another is allowed", consent{yes: true, allow: []string{"restart"}}, []fixStep{step(fixes.HarmReboot)}, 0, "add --allow reboot"},
		{"drivers", consent{yes: true}, []fixStep{step(fixes.HarmDriver)}, 0, "add --allow driver"},
		{"packages", consent{yes: true}, []fixStep{step(fixes.HarmInstall)}, 0, "add --allow install"},
		{"work that ends", consent{yes: true, allow: []string{"restart"}}, []fixStep{single, step(fixes.HarmEdit)}, 1, ""},
		{"nothing but work that ends", consent{yes: true, allow: []string{"restart"}}, []fixStep{single}, 0, "nothing was changed"},
	} {
		steps, err := c.opts.ask(context.Background(), a, c.steps)
		if len(steps) != c.done || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d steps, %v", c.name, len(steps), err)
		}
	}
}

type oneByOne struct{ *fixes.CommandStep }

func (oneByOne) OneByOne() {}

func TestFixUndoAndList(t *testing.T) {
	a, out := fixApp(t)
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := a.fixExecutor(false)
	x.Journal.Wait = time.Minute
	if _, err := x.Run(context.Background(), fixes.InstallHooks(file)); err != nil {
		t.Fatal(err)
	}
	if err := runFixList(a, &fixOptions{reading: reading{format: "json"}}); err != nil {
		t.Fatal(err)
	}
	var change fixChange
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&change); err != nil || change.ID != 1 || !change.Undoable || len(change.Steps) != 1 {
		t.Errorf("%+v, %v", change, err)
	}
	out.Reset()
	if err := runFixUndo(context.Background(), a, &fixOptions{undo: "newest", consent: consent{dryRun: true}}); err != nil || !strings.Contains(out.String(), "Nothing was changed") || !strings.Contains(out.String(), `-    "features"`) {
		t.Errorf("%v\n%s", err, out)
	}
	if err := os.WriteFile(file, []byte(`{"mine": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	err := runFixUndo(context.Background(), a, &fixOptions{undo: "1", reading: reading{format: "json"}})
	var answer struct {
		Undone   bool
		Conflict struct{ Path, Ours, Theirs string }
	}
	if jsonErr := json.Unmarshal(out.Bytes(), &answer); err == nil || jsonErr != nil || answer.Undone || answer.Conflict.Path != file || !strings.Contains(answer.Conflict.Theirs, "mine") {
		t.Errorf("%v, %v\n%s", err, jsonErr, out)
	}
}

// A plan for another machine names the steps, and touches nothing here.
func TestFixFrom(t *testing.T) {
	a, out := fixApp(t)
	s := &inspect.Snapshot{SchemaVersion: 1, Tool: &inspect.Tool{Platform: "linux/amd64"}, Host: &inspect.Host{OSID: "ubuntu", PCI: []inspect.PCIDevice{{BusID: "0000:01:00.0", Driver: "nvidia"}}},
		Engine: &inspect.Engine{Version: "28.5.2", Location: "local", Endpoint: "unix:///var/run/docker.sock", ConfigFile: &inspect.ConfigFile{Path: "/etc/docker/daemon.json"}}}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "s.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := runFix(context.Background(), a, &fixOptions{reading: reading{from: file, timeout: time.Second}, names: []string{"runtime-not-registered"}, consent: consent{yes: true}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"runtime-not-registered", `Register the runtime "nvidia" in /etc/docker/daemon.json`, "This is the plan for the machine of"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestQuoteArgs(t *testing.T) {
	if got, want := quoteArgs([]string{"--gpus", `"device=0,1"`, "it's", "", "a b", "$(x)"}), `--gpus '"device=0,1"' 'it'\''s' '' 'a b' '$(x)'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
