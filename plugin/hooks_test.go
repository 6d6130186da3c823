package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/cli/cli-plugins/hooks"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
)

const noVendor = "docker: Error response from daemon: failed to discover GPU vendor from CDI: no known GPU vendor found"

func TestHookAnswer(t *testing.T) {
	engineSaid := func(text string) failureFunc {
		return func(context.Context, hooks.Request) string { return text }
	}
	request := func(root, text string, flags map[string]string) string {
		data, _ := json.Marshal(hooks.Request{RootCmd: root, Flags: flags, CommandError: text})
		return string(data)
	}
	for _, c := range []struct {
		name, input string
		said        string // what the engine tells of the container
		want        string // in the answer; "": silence
		devices     []string
	}{
		{"no vendor", request("run", noVendor, map[string]string{"gpus": ""}), "", "docker gpu fix toolkit-not-installed", nil},
		{"runtime unknown", request("run", "docker: Error response from daemon: unknown or invalid runtime name: nvidia", nil), "", "docker gpu fix runtime-not-registered", nil},
		{"start", request("start", "Error response from daemon: could not select device driver \"nvidia\" with capabilities: [[gpu]]", nil), "", "toolkit-not-installed", nil},
		{"compose knows the exit code only", request("compose up", "exited with code 1", nil), "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=0", "cdi-spec-missing", nil},
		{"a device that no specification has", request("run", "docker: Error response from daemon: CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=7", nil), "", "visible-devices-bad-index", []string{"nvidia.com/gpu=0", "nvidia.com/gpu=all"}},
		{"a device of another vendor's specification", request("run", "docker: Error response from daemon: CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=7", nil), "", "cdi-spec-missing", []string{"acme.com/tpm=0"}},
		{"a device that there is by now", request("run", "docker: Error response from daemon: CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=0", nil), "", "cdi-spec-missing", []string{"nvidia.com/gpu=0"}},
		{"compose, and the engine says nothing", request("compose up", "exited with code 1", nil), "", "", nil},
		{"a program's own exit code", request("run", "exited with code 3", nil), "", "", nil},
		{"start names the container only", request("start", "failed to start containers: one", nil), "could not select device driver \"nvidia\" with capabilities: [[gpu]]", "toolkit-not-installed", nil},
		{"a program's own exit code, while another container failed", request("run", "exit status 1", nil), "unresolvable CDI devices nvidia.com/gpu=0", "", nil},
		{"exec's exit code", request("exec", "exited with code 1", nil), "unresolvable CDI devices nvidia.com/gpu=0", "", nil},
		{"success", request("run", "", map[string]string{"gpus": ""}), "", "", nil},
		{"no GPU in it", request("run", "docker: Error response from daemon: pull access denied for foo", nil), "", "", nil},
		{"no engine, no GPU in it", request("run", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", nil), "", "", nil},
		{"no engine, a GPU was asked for", request("run", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", map[string]string{"gpus": ""}), "", "docker-daemon-not-running", nil},
		{"a command that is not hooked", request("pull", noVendor, nil), "", "", nil},
		{"nothing", "", "", "", nil},
		{"no JSON", "hello", "", "", nil},
		{"another JSON", `[1,2]`, "", "", nil},
		{"other types", `{"RootCmd":1,"CommandError":{}}`, "", "", nil},
		{"endless", request("run", noVendor+strings.Repeat("x", 1<<20), nil), "", "", nil},
		{"binary", request("run", "\x00\xff\xfe", nil), "", "", nil},
	} {
		got := string(hookAnswer(c.input, engineSaid(c.said), func(context.Context) []string { return c.devices }))
		if c.want == "" {
			if got != "" {
				t.Errorf("%s: %s", c.name, got)
			}
			continue
		}
		var response hooks.Response
		if err := json.Unmarshal([]byte(got), &response); err != nil || response.Type != hooks.NextSteps || !strings.Contains(response.Template, c.want) {
			t.Errorf("%s: %s, %v", c.name, got, err)
			continue
		}
		lines, err := hooks.ParseTemplate(response.Template, &cobra.Command{Use: "run"})
		if err != nil || len(lines) < 3 {
			t.Errorf("%s: the CLI makes %q of it, %v", c.name, lines, err)
		}
	}
}

// The CLI reads the answer as a template; nothing of an error may act in it, nor on the terminal.
func TestHookTemplateIsHarmless(t *testing.T) {
	h := fixes.Hint{ID: "x", Title: "{{command}} {{.}}\x1b[2J", Cause: `{{flagValue "gpus"}}` + "\nsecond\u202e", Next: "docker gpu fix {{"}
	lines, err := hooks.ParseTemplate(hookTemplate(h), &cobra.Command{Use: "run"})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{"{{command}} {{.}}", `{{flagValue "gpus"}}`, "docker gpu fix {{"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	for _, r := range text {
		if r != '\n' && harmful(r) {
			t.Errorf("%q reaches the terminal", r)
		}
	}
}

// An engine that does not answer costs the user no more than the hook's time, and gives no half answer.
func TestHookIsSilentWhenLate(t *testing.T) {
	var out bytes.Buffer
	stuck := make(chan struct{})
	defer close(stuck)
	done := make(chan int)
	go func() {
		done <- answerHook(&out, `{"RootCmd":"compose up","CommandError":"exited with code 1"}`, func(context.Context, hooks.Request) string {
			<-stuck
			return noVendor
		}, nil)
	}()
	select {
	case code := <-done:
		if code != 0 || out.Len() > 0 {
			t.Errorf("%d, %q", code, out.String())
		}
	case <-time.After(time.Minute):
		t.Error("the hook waits for an engine that hangs")
	}
	if code := answerHook(&out, `{"RootCmd":"compose up","CommandError":"exited with code 1"}`, func(context.Context, hooks.Request) string { panic("odd") }, nil); code != 0 || out.Len() > 0 {
		t.Errorf("%d, %q", code, out.String())
	}
}

func TestHookCall(t *testing.T) {
	for _, c := range []struct {
		args, input string
		ok          bool
	}{
		{"docker-gpu gpu docker-cli-plugin-hooks {}", "{}", true},
		{"docker-gpu docker-cli-plugin-hooks {}", "{}", true},
		{"docker-gpu gpu docker-cli-plugin-hooks", "", true},
		{"docker-gpu gpu docker-cli-plugin-hooks a b", "", true},
		{"docker-gpu gpu status", "", false},
		{"docker-gpu", "", false},
	} {
		if input, ok := hookCall(strings.Fields(c.args)); input != c.input || ok != c.ok {
			t.Errorf("%q: %q, %v", c.args, input, ok)
		}
	}
}

func FuzzHookAnswer(f *testing.F) {
	f.Add(`{"RootCmd":"run","Flags":{"gpus":""},"CommandError":"no known GPU vendor found"}`)
	f.Add(`{"RootCmd":"run","CommandError":"{{"}`)
	f.Fuzz(func(t *testing.T, input string) {
		data := hookAnswer(input, func(context.Context, hooks.Request) string { return input }, func(context.Context) []string { return []string{input} })
		if len(data) == 0 {
			return
		}
		var response hooks.Response
		if err := json.Unmarshal(data, &response); err != nil {
			t.Fatal(err)
		}
		if _, err := hooks.ParseTemplate(response.Template, &cobra.Command{Use: "run"}); err != nil {
			t.Errorf("%q: %v", response.Template, err)
		}
	})
}

func TestHooksPlans(t *testing.T) {
	const before = "{\n\t\"auths\": {},\n\t\"plugins\": {\n\t\t\"debug\": {\n\t\t\t\"hooks\": \"exec\"\n\t\t}\n\t}\n}"
	file := filepath.Join(t.TempDir(), "config.json")
	x := &fixes.Executor{Host: fixes.LocalHost{}, Journal: fixes.NewJournal(t.TempDir(), time.Now)}
	x.Journal.Wait = time.Minute
	read := func() string {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for range 2 { // the second time changes nothing
		if _, err := x.Run(ctx, fixes.InstallHooks(file)); err != nil {
			t.Fatal(err)
		}
	}
	state, err := fixes.ReadHooks(file, []byte(read()))
	if err != nil || !state.Installed || !strings.Contains(read(), `"hooks": "exec"`) {
		t.Errorf("%+v, %v\n%s", state, err, read())
	}
	if _, err := x.Run(ctx, fixes.UninstallHooks(file)); err != nil {
		t.Fatal(err)
	}
	// Another plugin has a hook: the CLI's switch stays on for it.
	if state, _ := fixes.ReadHooks(file, []byte(read())); state.Installed || !state.Enabled || !strings.Contains(read(), `"hooks": "exec"`) {
		t.Errorf("after uninstall: %+v\n%s", state, read())
	}
	for range 2 {
		if _, err := x.Undo(ctx, 0); err != nil {
			t.Fatal(err)
		}
	}
	if read() != before {
		t.Errorf("undo is not byte for byte: %s", read())
	}
	for _, text := range []string{"{ // mine\n}", "{\"a\": 1,}"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Run(ctx, fixes.InstallHooks(file)); err == nil || !strings.Contains(err.Error(), "does not parse at line") || read() != text {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestComposeFileAsksForTheRuntime(t *testing.T) {
	for text, want := range map[string]bool{
		"services:\n  a:\n    runtime: nvidia\n":           true,
		"services:\n  a:\n    runtime: \"nvidia\" # GPU\n": true,
		"services:\n  a:\n    # runtime: nvidia\n":         false,
		"services:\n  a:\n    runtime: nvidia-cdi\n":       false,
		"services:\n  a:\n    image: runtime\n":            false,
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "compose.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(folder, "below"), 0o700); err != nil {
			t.Fatal(err)
		}
		if got := asksForRuntime(filepath.Join(folder, "below")); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for _, c := range []struct {
		path, folder string
		want         bool
	}{{"/a/b", "/a/b", true}, {"/a/b/c", "/a/b", true}, {"/a/bc", "/a/b", false}, {"/a", "/a/b", false}, {"/a", "", false}} {
		if got := inFolder(c.path, c.folder); got != c.want {
			t.Errorf("%s in %s: %v", c.path, c.folder, got)
		}
	}
}
