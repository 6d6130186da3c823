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

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

func exampleReport(t *testing.T, change func(*inspect.Snapshot)) (*supportReport, *inspect.Redactor) {
	t.Helper()
	s, err := readSnapshot("../examples/snapshots/eight-gpus.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	r := inspect.NewRedactor(s, inspect.Identity{Hosts: []string{"ada"}, Users: []string{"grace"}})
	s.Containers[0].Output = &inspect.Output{Log: []string{"grace said CUDA with TOKEN=abc123 on ada", "Epoch 7 of the secret plan"}}
	gpuLinesOnly(s)
	return buildReport(r, s, &inspect.Tool{Name: "docker-gpu", Version: "1.0"}), r
}

// What --from reads of a report is what was written into it, and it is judged the same.
func TestReportIsReadBack(t *testing.T) {
	rep, _ := exampleReport(t, nil)
	var out bytes.Buffer
	if err := writeJSON(&out, rep, "  "); err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{`"ada"`, "trainer", "grace", "abc123", "secret plan"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%s is in the report", leak)
		}
	}
	s, err := readSnapshot("-", &out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rep.Snapshot, s); diff != "" {
		t.Error(diff)
	}
	original, err := readSnapshot("../examples/snapshots/eight-gpus.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fixes.Judge(original), fixes.Judge(s)); diff != "" {
		t.Errorf("the report is judged otherwise: %s", diff)
	}
	ids := func(s *inspect.Snapshot) (ids []fixes.ID) {
		for _, f := range fixes.Diagnose(s, fixes.Scope{}).Findings {
			ids = append(ids, f.ID)
		}
		return ids
	}
	if diff := cmp.Diff(ids(original), ids(s)); diff != "" {
		t.Errorf("the report is diagnosed otherwise: %s", diff)
	}
}

// The page needs nothing from elsewhere, and nothing from outside becomes part of it but as text.
func TestReportPage(t *testing.T) {
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	rep, r := exampleReport(t, func(s *inspect.Snapshot) {
		s.GPUs[0].Error = hostile
		s.KernelLog = []inspect.LogLine{{Kind: "nvrm", Text: "NVRM: " + hostile}}
		s.Engine.Warnings = []string{hostile}
		s.Sources = append(s.Sources, inspect.Reading{Name: "nvml", Error: hostile})
	})
	rep.Findings = append(rep.Findings, fixes.NewFinding("gpu-lost-xid", fixes.Evidence{Source: "kernel-log", Text: hostile, Line: 3}))
	rep.Findings[0].Title = hostile
	curves, err := readCurves(recordingFile(t, "plain", 5), r)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeReportPage(&out, rep, curves); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, never := range []string{"<script", "<img", "<link", "@import", "url("} {
		if strings.Contains(page, never) {
			t.Errorf("%q is in the page", never)
		}
	}
	for _, want := range []string{`<html lang="en">`, `name="viewport"`, "Findings", "Containers with GPU access", "Topology", "Utilisation by GPU", `role="img"`, "prefers-color-scheme:dark", "@media print", "&lt;script&gt;"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if strings.Contains(page, "trainer") {
		t.Error("the page names a container that the report does not")
	}
}

// recordingFile is a recording of moments, one of which lacks a GPU, in the form named.
func recordingFile(t *testing.T, form string, moments int) string {
	t.Helper()
	s, err := readSnapshot("../examples/snapshots/eight-gpus.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for i := range moments {
		s.TakenAt = time.Date(2026, 11, 25, 12, 0, i, 0, time.UTC)
		all := s.GPUs
		if i == 2 {
			s.GPUs = s.GPUs[1:]
		}
		if err := json.NewEncoder(&lines).Encode(s); err != nil {
			t.Fatal(err)
		}
		s.GPUs = all
	}
	var out bytes.Buffer
	switch form {
	case "gzip":
		w := gzip.NewWriter(&out)
		_, _ = w.Write(lines.Bytes())
		_ = w.Close()
	case "zstd":
		w, _ := zstd.NewWriter(&out)
		_, _ = w.Write(lines.Bytes())
		_ = w.Close()
	case "cut": // the recorder was killed within its last line
		out.Write(lines.Bytes()[:lines.Len()-400])
	default:
		out = lines
	}
	path := filepath.Join(t.TempDir(), "recording")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadCurves(t *testing.T) {
	for _, form := range []string{"plain", "gzip", "zstd", "cut"} {
		_, r := exampleReport(t, nil)
		groups, err := readCurves(recordingFile(t, form, 6), r)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		if len(groups) < 4 || len(groups[0].Legend) != 8 {
			t.Errorf("%s: %d drawings", form, len(groups))
		}
		// GPU 0 was away for a moment: its line has a gap, which is a second M.
		if first := string(groups[0].SVG); strings.Count(first[strings.Index(first, "curve c0"):strings.Index(first, "curve c1")], "M") != 2 {
			t.Errorf("%s: no gap: %s", form, first)
		}
	}
	_, r := exampleReport(t, nil)
	for name, text := range map[string]string{"empty": "", "no snapshot": "hello\n", "another object": "{}\n{}\n"} {
		path := filepath.Join(t.TempDir(), "r")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readCurves(path, r); err == nil {
			t.Errorf("%s: is taken for a recording", name)
		}
	}
}

func TestReportFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--show -o x", "--show writes no file"},
		{"--recording r", "--html FILE"},
		{"--format {{.ID}}", "'table' or 'json'"},
		{"-o x --html y --recording r", ""},
	} {
		cmd := newReportCmd(nil, func(context.Context, *reportOptions) error { return nil })
		cmd.SetArgs(strings.Fields(c.args))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.Execute()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
}
