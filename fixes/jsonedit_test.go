package fixes

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var nvidiaRuntime = JSONChange{[]string{"runtimes", "nvidia"}, map[string]any{"path": "nvidia-container-runtime", "args": []string{}}}

func TestEditJSON(t *testing.T) {
	on := JSONChange{[]string{"features", "hooks"}, "true"}
	for _, c := range []struct {
		name, in string
		change   JSONChange
		want     string
	}{
		{"no file", "", on, "{\n    \"features\": {\n        \"hooks\": \"true\"\n    }\n}\n"},
		{"blank file", " \n", on, "{\n    \"features\": {\n        \"hooks\": \"true\"\n    }\n}\n"},
		{"empty object", "{}", on, "{\n    \"features\": {\n        \"hooks\": \"true\"\n    }\n}"},
		{"tabs are kept", "{\n\t\"auths\": {},\n\t\"unknown\":   [1,  2]\n}", on, "{\n\t\"auths\": {},\n\t\"unknown\":   [1,  2],\n\t\"features\":   {\n\t\t\"hooks\": \"true\"\n\t}\n}"},
		{"two blanks, no colon's blank", "{\n  \"a\":1\n}\n", on, "{\n  \"a\":1,\n  \"features\":{\n    \"hooks\": \"true\"\n  }\n}\n"},
		{"carriage returns", "{\r\n  \"a\": 1\r\n}\r\n", on, "{\r\n  \"a\": 1,\r\n  \"features\": {\r\n    \"hooks\": \"true\"\r\n  }\r\n}\r\n"},
		{"one line", `{"a": 1, "b": 2}`, on, `{"a": 1, "b": 2, "features": {"hooks":"true"}}`},
		{"one line without blanks", `{"a":1}`, on, `{"a":1,"features":{"hooks":"true"}}`},
		{"beside others", "{\n  \"features\": {\n    \"cdi\": true\n  }\n}", on, "{\n  \"features\": {\n    \"cdi\": true,\n    \"hooks\": \"true\"\n  }\n}"},
		{"into an empty one", "{\n  \"features\": {},\n  \"z\": 1\n}", on, "{\n  \"features\": {\n    \"hooks\": \"true\"\n  },\n  \"z\": 1\n}"},
		{"null is replaced", "{\n  \"features\": null\n}", on, "{\n  \"features\": {\n    \"hooks\": \"true\"\n  }\n}"},
		{"another value", `{"features": {"hooks": "false"}}`, on, `{"features": {"hooks": "true"}}`},
		{"nothing to do", "{\"features\":{ \"hooks\" :\"true\" } }", on, "{\"features\":{ \"hooks\" :\"true\" } }"},
		{"escaped key", `{"feature\u0073": {}}`, on, "{\"feature\\u0073\": {\n    \"hooks\": \"true\"\n}}"},
		{"remove the last", "{\n  \"a\": 1,\n  \"features\": {\"x\": 1}\n}", JSONChange{Path: []string{"features"}}, "{\n  \"a\": 1\n}"},
		{"remove the first", `{"features": 1, "b": 2}`, JSONChange{Path: []string{"features"}}, `{"b": 2}`},
		{"remove the only one", "{\"a\": {\n  \"b\": 1\n}}", JSONChange{Path: []string{"a", "b"}}, `{"a": {}}`},
		{"remove what is not there", `{"a": 1}`, JSONChange{Path: []string{"b", "c"}}, `{"a": 1}`},
	} {
		got, err := EditJSON("config.json", []byte(c.in), c.change)
		if err != nil || string(got) != c.want {
			t.Errorf("%s:\n%s\n%v, want\n%s", c.name, got, err, c.want)
			continue
		}
		again, err := EditJSON("config.json", got, c.change)
		if err != nil || string(again) != string(got) {
			t.Errorf("%s: a second time changes: %s, %v", c.name, again, err)
		}
	}
}

// What the engine refuses to read is refused here, with line and column, and stays as it is.
func TestEditJSONRefuses(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		line, column   int
	}{
		{"line comment", "{\n  // nvidia\n  \"a\": 1\n}", "JSON has no comments", 2, 3},
		{"block comment", "{ /* x */ }", "JSON has no comments", 1, 3},
		{"trailing comma", "{\n  \"a\": 1,\n}", "invalid character '}'", 3, 1},
		{"byte order mark", "\xef\xbb\xbf{}", "byte order mark", 1, 1},
		{"array at the top", "[]", "an object is wanted, not an array", 1, 1},
		{"cut short", "{\n  \"a\": ", "ends too early", 2, 7},
		{"two objects", "{}\n{}", "something follows the closing brace", 2, 1},
		{"array of runtimes", "{\n  \"runtimes\": [\"nvidia\"]\n}", `"runtimes" is an array where an object belongs`, 2, 15},
		{"string of runtimes", `{"runtimes": "nvidia"}`, `"runtimes" is a string where an object belongs`, 1, 14},
		{"key twice", "{\n  \"runtimes\": {},\n  \"runtimes\": {}\n}", `the key "runtimes" is there twice`, 3, 3},
		{"inner key twice", `{"runtimes": {"nvidia": 1, "nvidia": 2}}`, `the key "nvidia" is there twice`, 1, 28},
		{"no JSON", "runtimes: nvidia", "invalid character 'r'", 1, 1},
	} {
		_, err := EditJSON("/etc/docker/daemon.json", []byte(c.in), nvidiaRuntime)
		var at *JSONError
		if !errors.As(err, &at) || !strings.Contains(err.Error(), c.want) || at.Line != c.line || at.Column != c.column {
			t.Errorf("%s: %v, want %q at %d:%d", c.name, err, c.want, c.line, c.column)
		}
	}
	big := []byte(`{"a": "` + strings.Repeat("x", 5<<20) + `"}`)
	if _, err := EditJSON("daemon.json", big, nvidiaRuntime); err == nil || !strings.Contains(err.Error(), "no file of settings") {
		t.Errorf("5 MB: %v", err)
	}
}

// Whatever is edited, keys that are not touched keep their text, and the result is JSON with the change.
func FuzzEditJSON(f *testing.F) {
	for _, s := range []string{"", "{}", `{"runtimes":null}`, "{\n \"a\": [1,2,{\"b\":null}],\r\n\t\"runtimes\": {\"x\": {}}\n}", `{"runtimes":{"nvidia":{"path":"x"}}}`, `{"a":1,}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := EditJSON("f", data, nvidiaRuntime)
		if err != nil {
			return
		}
		if !json.Valid(got) || fmt.Sprint(readJSON(got, "runtimes", "nvidia", "path")) != "nvidia-container-runtime" {
			t.Fatalf("%q became %q", data, got)
		}
		var before, after map[string]json.RawMessage
		if len(strings.TrimSpace(string(data))) > 0 {
			if err := json.Unmarshal(data, &before); err != nil {
				t.Fatal(err)
			}
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatal(err)
		}
		for key, value := range before {
			if key != "runtimes" && string(after[key]) != string(value) {
				t.Errorf("%q: the value of %q changed from %s to %s", data, key, value, after[key])
			}
		}
	})
}
