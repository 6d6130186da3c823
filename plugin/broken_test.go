package plugin

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// brokenSnapshots are files that --from may be given. Those of nonsense must be refused, the others only survived.
func brokenSnapshots(t *testing.T) (nonsense, odd map[string][]byte) {
	t.Helper()
	whole, err := os.ReadFile("../examples/snapshots/eight-gpus.json")
	if err != nil {
		t.Fatal(err)
	}
	nonsense = map[string][]byte{
		"empty":             {},
		"blanks":            []byte(" \n"),
		"text":              []byte("Error response from daemon"),
		"a list":            []byte("[]"),
		"null":              []byte("null"),
		"a number":          []byte("1"),
		"no version":        []byte("{}"),
		"a version of text": []byte(`{"schemaVersion":"1"}`),
		"version 0":         []byte(`{"schemaVersion":0}`),
		"a newer version":   []byte(`{"schemaVersion":99,"gpus":[]}`),
		"a huge version":    []byte(`{"schemaVersion":1e300}`),
		"a report of text":  []byte(`{"schemaVersion":1,"snapshot":"x"}`),
		"bytes":             []byte("\x00\xff\xfe{\"schemaVersion\":1}"),
		"deep":              []byte(`{"schemaVersion":1,"x":` + strings.Repeat("[", 20000)),
		"two at once":       append(slices.Clone(whole), whole...),
	}
	for part := 1; part < 20; part++ {
		nonsense[fmt.Sprintf("cut off at %d/20", part)] = whole[:len(whole)*part/20]
	}
	for _, field := range []string{"gpus", "containers", "host", "engine", "sources", "takenAt", "kernelLog"} {
		for what, value := range map[string]string{"text": `"x"`, "a number": "7", "true": "true"} {
			nonsense[field+" is "+what] = withField(t, whole, field, json.RawMessage(value))
		}
	}
	odd = map[string][]byte{"only a version": []byte(`{"schemaVersion":1}`), "a null in each list": withNulls(t, whole)}
	for field := range reflect.TypeFor[inspect.Snapshot]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[inspect.Snapshot]().Field(field).Tag.Get("json"), ",")
		if name != "schemaVersion" {
			odd[name+" is null"] = withField(t, whole, name, json.RawMessage("null"))
		}
	}
	for what, number := range map[string]float64{"zero": 0, "least": -1 << 31, "most": 1<<31 - 1} {
		s, err := readSnapshot("../examples/snapshots/eight-gpus.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		setNumbers(reflect.ValueOf(s).Elem(), number)
		s.SchemaVersion = 1
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		odd["numbers are "+what] = data
	}
	for grow, what := range map[bool]string{true: "one of each, all empty", false: "nothing"} {
		s := &inspect.Snapshot{}
		if grow {
			plant(reflect.ValueOf(s).Elem(), func(string) string { return "" }, true)
		}
		s.SchemaVersion = 1
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		odd[what] = data
	}
	return nonsense, odd
}

func withField(t *testing.T, whole []byte, field string, value json.RawMessage) []byte {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(whole, &fields); err != nil {
		t.Fatal(err)
	}
	fields[field] = value
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// withNulls puts a null into every list and in place of every value below the second level.
func withNulls(t *testing.T, whole []byte) []byte {
	t.Helper()
	var fields any
	if err := json.Unmarshal(whole, &fields); err != nil {
		t.Fatal(err)
	}
	var change func(v any, depth int) any
	change = func(v any, depth int) any {
		switch v := v.(type) {
		case map[string]any:
			for key := range v {
				v[key] = change(v[key], depth+1)
			}
		case []any:
			for i := range v {
				v[i] = change(v[i], depth+1)
			}
			return append(v, nil)
		default:
			if depth > 2 {
				return nil
			}
		}
		return v
	}
	data, err := json.Marshal(change(fields, 0))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func setNumbers(v reflect.Value, to float64) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && v.Kind() == reflect.Pointer {
			setNumbers(v.Elem(), to)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				setNumbers(v.Field(i), to)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			setNumbers(v.Index(i), to)
		}
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(int64(to))
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		if to < 0 {
			v.SetUint(^uint64(0) >> (64 - v.Type().Bits()))
		} else {
			v.SetUint(uint64(to))
		}
	case reflect.Float64:
		v.SetFloat(to * 1e280)
	}
}

// Every command that takes --from says of a broken file what is wrong with it, and comes through every odd one.
func TestBrokenSnapshots(t *testing.T) {
	calls := readingCommands(t)
	nonsense, odd := brokenSnapshots(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "broken.json")
	run := func(name string, data []byte, each func(what, stdout, stderr string, code int)) {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, call := range calls {
			what := fmt.Sprintf("%s: %v", name, call)
			func() {
				defer func() {
					if r := recover(); r != nil {
						t.Errorf("%s: panic: %v", what, r)
					}
				}()
				stdout, stderr, code := runGPU(t, noEngineHost, append(slices.Clone(call), "--from", file)...)
				if code != 0 && code != 1 && code != exitUsage {
					t.Errorf("%s: exit code %d", what, code)
				}
				if strings.Contains(stdout+stderr, "goroutine ") || strings.Contains(stdout+stderr, "%!") || strings.Contains(stdout+stderr, "<nil>") {
					t.Errorf("%s: no words for users: %.300s", what, stdout+stderr)
				}
				each(what, stdout, stderr, code)
			}()
		}
	}
	for name, data := range nonsense {
		run(name, data, func(what, stdout, stderr string, code int) {
			if code != 1 || !strings.HasPrefix(stderr, "docker gpu: ") || !strings.Contains(stderr, file) || stdout != "" {
				t.Errorf("%s: exit code %d, %.200q, %.200q", what, code, stdout, stderr)
			}
		})
	}
	for name, data := range odd {
		run(name, data, func(what, stdout, stderr string, code int) {
			if stdout+stderr == "" && code != 0 {
				t.Errorf("%s: exit code %d without a word", what, code)
			}
		})
	}
}
