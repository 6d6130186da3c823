package inspect

import (
	"strings"
	"testing"
)

func TestParseDevcontainer(t *testing.T) {
	d, err := parseDevcontainer("/p/.devcontainer/devcontainer.json", []byte("\ufeff// the one\n{\n  \"dockerComposeFile\": [\"../a.yml\", \"b.yml\"], /* two */\n  \"service\": \"app\",\n  \"containerEnv\": {\n    \"NVIDIA_VISIBLE_DEVICES\": \"all\",\n  },\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(d.composeFiles("/p", nil), " "); got != "/p/a.yml /p/.devcontainer/b.yml" {
		t.Errorf("compose files: %s", got)
	}
	if got := d.line("/containerEnv/NVIDIA_VISIBLE_DEVICES"); got != 6 {
		t.Errorf("line %d", got)
	}
	for text, want := range map[string]string{"{,}": "line 1", "[]": "cannot unmarshal", "{\"runArgs\": 1}": "cannot unmarshal", "": "EOF"} {
		if _, err := parseDevcontainer("x", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestDevcontainerVariables(t *testing.T) {
	d := &devcontainer{}
	shell := map[string]string{"A": "1", "HOSTILE": "${localEnv:A}"}
	for text, want := range map[string]string{
		"${localWorkspaceFolder}/x":       "/p/q/x",
		"${localWorkspaceFolderBasename}": "q",
		"${localEnv:A}${localEnv:B:2}":    "12",
		"${localEnv:B}":                   "",
		"${localEnv:HOSTILE}":             "${localEnv:A}",
		"${open":                          "${open",
		"plain":                           "plain",
	} {
		if got := d.expand(text, "/p/q", shell); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestKVValue(t *testing.T) {
	for _, c := range []struct {
		name, text, value string
		line              int
		found             bool
	}{
		{"plain", "A=1\nX=all\n", "all", 2, true},
		{"quotes are part of the value", "X=\"all\"\n", "\"all\"", 1, true},
		{"a comment behind is part of it", "X=all # y\r\n", "all # y", 1, true},
		{"the last one", "X=0\nX=1\n", "1", 2, true},
		{"the shell's", "X\n", "shell", 1, true},
		{"commented out", "#X=1\n", "", 0, false},
		{"longer name", "XY=1\n", "", 0, false},
	} {
		value, line, found := kvValue([]byte(c.text), "X", map[string]string{"X": "shell"})
		if value != c.value || line != c.line || found != c.found {
			t.Errorf("%s: %q %d %v", c.name, value, line, found)
		}
	}
}

func FuzzDevcontainer(f *testing.F) {
	f.Add([]byte("{\"image\": \"x\", \"runArgs\": [\"--gpus\", \"all\", \"-e\", \"NVIDIA_VISIBLE_DEVICES=0\"], \"hostRequirements\": {\"gpu\": \"optional\"}}"))
	f.Add([]byte("// c\n{\"dockerComposeFile\": \"x\", \"containerEnv\": {\"NVIDIA_VISIBLE_DEVICES\": \"${localEnv:A:${localEnv:A}}\"},}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parseDevcontainer("/p/devcontainer.json", data)
		if err != nil {
			return
		}
		d.composeFiles("/nowhere", nil)
		if s := d.container("/nowhere", "/nowhere/.env", map[string]string{"A": "${localEnv:A}"}); s != nil {
			for _, r := range s.Requests {
				if r.Line < 0 || r.By == "" {
					t.Errorf("%+v", r)
				}
			}
		}
	})
}
