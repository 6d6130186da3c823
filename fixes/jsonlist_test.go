package fixes

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestEditJSONList(t *testing.T) {
	key := []string{"list"}
	notX := func(v string) bool { return !strings.HasPrefix(v, "x") }
	for _, c := range []struct {
		name, in string
		add      []string
		want     string
	}{
		{"no file", "", []string{"x1"}, "{\n    \"list\": [\n        \"x1\"\n    ]\n}\n"},
		{"no file, nothing to add", "", nil, ""},
		{"no list", "{\n  \"a\": 1\n}\n", []string{"x1", "x2"}, "{\n  \"a\": 1,\n  \"list\": [\n    \"x1\",\n    \"x2\"\n  ]\n}\n"},
		{"null", `{"list": null}`, []string{"x1"}, "{\"list\": [\n    \"x1\"\n]}"},
		{"an empty list", "{\n  \"list\": []\n}", []string{"x1"}, "{\n  \"list\": [\n    \"x1\"\n  ]\n}"},
		{"on one line", `{"list": [ "a" ]}`, []string{"x1", "x2"}, `{"list": [ "a", "x1", "x2" ]}`},
		{"without blanks", `{"list":["a","b"]}`, []string{"x1"}, `{"list":["a","b","x1"]}`},
		{"a line each", "{\n\t\"list\": [\n\t\t\"a\",\n\t\t\"b\"\n\t]\n}", []string{"x1"}, "{\n\t\"list\": [\n\t\t\"a\",\n\t\t\"b\",\n\t\t\"x1\"\n\t]\n}"},
		{"a line, carriage returns", "{\r\n\"list\": [\r\n  \"a\"\r\n]}", []string{"x1"}, "{\r\n\"list\": [\r\n  \"a\",\r\n  \"x1\"\r\n]}"},
		{"others go", `{"list": ["x0",   "a",  "x9", "b"]}`, []string{"xn"}, `{"list": ["a", "b", "xn"]}`},
		{"all go", "{\n  \"b\": 1,\n  \"list\": [\"x0\", \"x1\"]\n}", nil, "{\n  \"b\": 1\n}"},
		{"the only one is replaced", `{"list": ["x0"]}`, []string{"y"}, "{\"list\": [\n    \"y\"\n]}"},
		{"nothing to take out", `{"list":["a" ]}`, nil, `{"list":["a" ]}`},
	} {
		keep := func(v string) bool { return notX(v) || slices.Contains(c.add, v) }
		got, err := EditJSONList("f.json", []byte(c.in), key, keep, c.add)
		if err != nil || string(got) != c.want {
			t.Errorf("%s:\n%s\n%v, want\n%s", c.name, got, err, c.want)
			continue
		}
		if again, err := EditJSONList("f.json", got, key, keep, c.add); err != nil || string(again) != string(got) {
			t.Errorf("%s: a second time changes: %s, %v", c.name, again, err)
		}
	}
}

// Added and taken out again, a file is what it was.
func TestEditJSONListThereAndBack(t *testing.T) {
	for _, in := range []string{"{}", "{\n  \"a\": 1\n}\n", "{\n\t\"list\": [\n\t\t\"a\"\n\t]\n}", `{"list":["a"], "b": [1,  2]}`, "{\r\n  \"list\": [ \"a\",  \"b\" ],\r\n  \"z\": {}\r\n}\r\n"} {
		add := []string{"x1", "x2"}
		there, err := EditJSONList("f.json", []byte(in), []string{"list"}, func(string) bool { return true }, add)
		if err != nil || string(there) == in {
			t.Errorf("%s: %s, %v", in, there, err)
		}
		back, err := EditJSONList("f.json", there, []string{"list"}, func(v string) bool { return !slices.Contains(add, v) }, nil)
		if err != nil || string(back) != in {
			t.Errorf("%s became %s, %v", in, back, err)
		}
	}
}

func TestEditJSONListRefuses(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"no JSON", `{"list": [}`, "line 1, column 11"},
		{"no list", `{"list": "a"}`, "a string where a list belongs"},
		{"a number in it", "{\n\"list\": [\"a\", 1]}", "line 2, column 15"},
		{"twice", `{"list": ["a"], "list": ["b"]}`, "twice"},
	} {
		if got, err := EditJSONList("f.json", []byte(c.in), []string{"list"}, func(string) bool { return true }, []string{"x"}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %s, %v", c.name, got, err)
		}
	}
}

func FuzzEditJSONList(f *testing.F) {
	f.Add([]byte(`{"list": ["a", "x"]}`))
	f.Add([]byte("{\n\t\"list\": [\n\t\t\"x\"\n\t]\n}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := EditJSONList("f", data, []string{"list"}, func(v string) bool { return v != "x" }, []string{"y"})
		if err != nil {
			return
		}
		var v struct {
			List []string `json:"list"`
		}
		if err := json.Unmarshal(got, &v); err != nil {
			t.Errorf("%q became %q: %v", data, got, err)
		}
		list, _ := readJSON(got, "list").([]any)
		if slices.Contains(list, any("x")) || !slices.Contains(list, any("y")) {
			t.Errorf("%q became %q", data, got)
		}
	})
}
