package plugin

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

func testSnapshot(name string) string {
	return filepath.Join("..", "fixes", "testdata", "snapshots", name+".json")
}

const noEngineHost = "unix:///nowhere/docker.sock"

func TestDiagnoseSays(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
		not  []string
	}{
		{"a cause, its evidence, what to do", []string{"diagnose", "--from", testSnapshot("cdi-spec-stale")}, 1,
			[]string{"✗ ", "(cdi-spec-stale, error)", "seen   /etc/cdi/nvidia.yaml: was made for driver 570.00.01, the one loaded is 570.86.15", "do     ", "fix    docker gpu fix cdi", "more   docker gpu explain cdi-spec-stale"},
			[]string{"Not examined", "Nothing found"}},
		{"nothing", []string{"diagnose", "--from", testSnapshot("healthy.one-gpu")}, 0, []string{"Nothing found.\n", "GPU passthrough works."}, []string{"Not examined"}},
		{"no GPU is no fault", []string{"diagnose", "--from", testSnapshot("healthy.no-gpu-laptop")}, 0, []string{"Nothing found.", "No NVIDIA GPU here: containers run on the CPU."}, nil},
		{"what was not examined, and why", []string{"diagnose", "--from", testSnapshot("healthy.remote-engine")}, 0,
			[]string{"Not examined (", "host: not read: the engine runs on another machine (ssh://grace)", "driver-not-installed"}, nil},
		{"one container", []string{"diagnose", "--from", testSnapshot("driver-capabilities-missing"), "encoder"}, 1, []string{"container encoder: ", "NVIDIA_DRIVER_CAPABILITIES=compute"}, nil},
		{"no such container", []string{"diagnose", "--from", testSnapshot("healthy.one-gpu"), "nobody"}, 1, []string{"no such container: nobody"}, []string{"Nothing found"}},
		{"only others", []string{"diagnose", "--from", testSnapshot("cdi-spec-stale"), "--only", "xid-error,ecc-error"}, 0, []string{"Nothing found."}, []string{"passthrough"}},
		{"only an id that is none", []string{"diagnose", "--only", "stale"}, 125, []string{`there is no finding "stale"; did you mean "cdi-spec-stale"?`}, nil},
		{"watch a file", []string{"diagnose", "--watch", "--from", "x"}, 125, []string{"exclude each other"}, nil},
		{"no time", []string{"diagnose", "--timeout", "0s"}, 125, []string{"--timeout must be longer than 0"}, nil},
		{"no interval", []string{"diagnose", "--watch", "--interval", "-1s"}, 125, []string{"--interval must be longer than 0"}, nil},
		{"a template", []string{"diagnose", "--from", testSnapshot("cdi-spec-stale"), "--format", "{{range .Findings}}{{.ID}}{{end}}"}, 1, []string{"cdi-spec-stale\n"}, []string{"seen"}},
		{"a file that is not there", []string{"diagnose", "--from", "/nowhere.json"}, 1, []string{"no such file"}, nil},
	} {
		stdout, stderr, code := runGPU(t, noEngineHost, c.args...)
		all := stdout + stderr
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d\n%s", c.name, code, c.code, all)
		}
		for _, text := range c.want {
			if !strings.Contains(all, text) {
				t.Errorf("%s: %q is missing in\n%s", c.name, text, all)
			}
		}
		for _, text := range c.not {
			if strings.Contains(all, text) {
				t.Errorf("%s: %q is not to be in\n%s", c.name, text, all)
			}
		}
	}
}

func TestDiagnoseJSON(t *testing.T) {
	for file, want := range map[string]struct {
		code       int
		findings   []fixes.ID
		unexamined bool
	}{
		"driver-not-installed":  {1, []fixes.ID{"driver-not-installed"}, false},
		"healthy.one-gpu":       {0, []fixes.ID{}, false},
		"healthy.remote-engine": {0, []fixes.ID{}, true},
	} {
		stdout, _, code := runGPU(t, noEngineHost, "diagnose", "--from", testSnapshot(file), "--format", "json")
		var raw map[string]json.RawMessage
		if err := json.Unmarshal([]byte(stdout), &raw); err != nil {
			t.Fatalf("%s: %v\n%s", file, err, stdout)
		}
		for _, key := range []string{"schemaVersion", "findings", "related", "unexamined"} {
			if text := string(raw[key]); text == "" || text == "null" {
				t.Errorf("%s: %s is %q", file, key, text)
			}
		}
		var answer diagnoseAnswer
		if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
			t.Fatal(err)
		}
		var ids = []fixes.ID{}
		for _, f := range answer.Findings {
			ids = append(ids, f.ID)
			if f.Title == "" || f.Cause == "" || f.Playbook == "" || f.Docs == "" || len(f.Steps) == 0 || len(f.Evidence) == 0 || f.Evidence[0].Source == "" || f.Evidence[0].Text == "" {
				t.Errorf("%s: incomplete: %+v", file, f)
			}
		}
		if code != want.code || !slices.Equal(ids, want.findings) || len(answer.Unexamined) > 0 != want.unexamined {
			t.Errorf("%s: exit code %d, %v, unexamined %v", file, code, ids, answer.Unexamined)
		}
	}
}

// An engine that is away is a finding, and the checks that need it are named.
func TestDiagnoseWithoutEngine(t *testing.T) {
	stdout, _, code := runGPU(t, noEngineHost, "diagnose", "--format", "json")
	var answer diagnoseAnswer
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatal(err)
	}
	away := slices.ContainsFunc(answer.Findings, func(f fixes.Finding) bool { return f.ID == "docker-daemon-not-running" })
	if code != 1 || !away || !slices.Contains(answer.Unexamined, "shm-too-small") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

// A name, a label or a log from outside cannot move the cursor.
func TestDiagnoseIsHarmless(t *testing.T) {
	s, err := readSnapshot(testSnapshot("driver-capabilities-missing"), nil)
	if err != nil {
		t.Fatal(err)
	}
	hostile := "a\x1b[2Jb\u202ec\u009bd\ne"
	s.Containers[0].Name, s.Containers[0].Asks.DriverCapabilities = hostile, &hostile
	s.Sources = append(s.Sources, inspect.Reading{Name: "host", Error: hostile})
	var b strings.Builder
	d := fixes.Diagnose(s, fixes.Scope{})
	if len(d.Findings) == 0 {
		t.Fatal("nothing to print")
	}
	d.Related, d.Unexamined = d.Findings, []fixes.ID{"xid-error"}
	if err := writeDiagnosis(&b, 0, s, d, false); err != nil {
		t.Fatal(err)
	}
	if err := writeAudit(&b, 0, s, d); err != nil {
		t.Fatal(err)
	}
	if err := writeChange(&b, "", s.TakenAt, "12:00:00", "+", d.Findings[0]); err != nil {
		t.Fatal(err)
	}
	grant := grantLine{At: s.TakenAt, Container: hostile, Image: hostile, Reasons: []string{hostile}, Approved: new(bool), Grant: &inspect.Grant{Detail: []string{hostile}, GPUs: []string{hostile}}}
	b.WriteString(grant.text() + "\n" + grantLine{Gap: &inspect.Gap{Reason: hostile}}.text())
	for _, r := range b.String() {
		if r != '\n' && harmful(r) {
			t.Errorf("%q is in the output", r)
		}
	}
}

func TestAuditSays(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"advisories of the toolkit", []string{"audit", "--from", testSnapshot("healthy.one-gpu")}, 1, []string{"audit-toolkit-cve", "CVE-2026-24260", "corrected in 1.19.1", "Why: ", "0 running containers have GPU access."}},
		{"one kind", []string{"audit", "--from", testSnapshot("healthy.eight-gpus"), "--only", "audit-no-memory-limit"}, 0, []string{"4 running containers have GPU access.", "audit-no-memory-limit, info", "container job0: no --memory", "docker update --memory"}},
		{"an example", []string{"audit", "--print-policy"}, 0, []string{"version: 1", "allow:"}},
		{"a policy that is none", []string{"audit", "--policy", testSnapshot("healthy.one-gpu"), "--from", testSnapshot("healthy.one-gpu")}, 1, []string{"policy ", "unknown key"}},
		{"a policy that is not there", []string{"audit", "--policy", "/nowhere.yaml"}, 1, []string{"policy: open /nowhere.yaml"}},
		{"an id of diagnose", []string{"audit", "--only", "xid-error"}, 125, []string{`audit has no finding "xid-error"`}},
		{"watch one", []string{"audit", "--watch", "web"}, 125, []string{"--watch follows all containers"}},
		{"watch a file", []string{"audit", "--watch", "--from", "x"}, 125, []string{"exclude each other"}},
		{"watch by template", []string{"audit", "--watch", "--format", "{{.At}}"}, 125, []string{"takes no template"}},
		{"watch nothing", []string{"audit", "--watch"}, 1, []string{"the engine cannot be followed"}},
		{"no engine", []string{"audit"}, 1, []string{"No Docker engine answers"}},
		{"no such container", []string{"audit", "--from", testSnapshot("healthy.one-gpu"), "nobody"}, 1, []string{"no such running container: nobody"}},
	} {
		stdout, stderr, code := runGPU(t, noEngineHost, c.args...)
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d\n%s%s", c.name, code, c.code, stdout, stderr)
		}
		for _, text := range c.want {
			if !strings.Contains(stdout+stderr, text) {
				t.Errorf("%s: %q is missing in\n%s%s", c.name, text, stdout, stderr)
			}
		}
	}
}
