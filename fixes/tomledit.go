package fixes

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// EditTOML sets a key of a table in the text of a TOML file (the toolkit's config.toml), or removes it where
// value is nil, and leaves every other byte as it is, comments among them. A line that holds the key as a
// comment, as the toolkit ships its defaults, keeps standing above the new one. The edit is by lines, and
// checked: the file must parse before and after, and differ in this key alone.
func EditTOML(name string, data []byte, table, key string, value any) ([]byte, error) {
	before, err := parseTOML(name, data)
	if err != nil {
		return nil, err
	}
	now, set := lookupTOML(before, table)[key]
	line := ""
	if value == nil {
		if !set {
			return data, nil
		}
	} else {
		if line, err = assignTOML(key, value); err != nil {
			return nil, err
		}
		if set && reflect.DeepEqual(now, normalTOML(line, key)) {
			return data, nil
		}
	}
	newline := "\n"
	if bytes.Contains(data, []byte("\r\n")) {
		newline = "\r\n"
	}
	lines := strings.SplitAfter(string(data), "\n")
	assigned := regexp.MustCompile(`^(\s*)(?:` + regexp.QuoteMeta(key) + `|"` + regexp.QuoteMeta(key) + `")\s*=`)
	commented := regexp.MustCompile(`^\s*#\s*` + regexp.QuoteMeta(key) + `\s*=`)
	at, behind, tableEnd, current, found := -1, -1, -1, "", table == ""
	for i, text := range lines {
		if header := tomlHeader().FindStringSubmatch(text); header != nil {
			current = strings.ReplaceAll(strings.ReplaceAll(header[1], " ", ""), `"`, "")
			if current == table {
				found, tableEnd = true, i
			}
			continue
		}
		if current != table {
			continue
		}
		switch {
		case assigned.MatchString(text):
			at = i
		case commented.MatchString(text):
			behind = i
		}
		if strings.TrimSpace(text) != "" {
			tableEnd = i
		}
	}
	switch {
	case value == nil && at < 0:
		return nil, fmt.Errorf("%s is written in a way that cannot be edited safely: take %s out of [%s] by hand", name, key, table)
	case value == nil:
		if at > 0 && !strings.HasSuffix(lines[at], "\n") { // the last line, of a file without a final line end
			lines[at-1] = strings.TrimRight(lines[at-1], "\r\n")
		}
		lines = slices.Delete(lines, at, at+1)
	case at >= 0:
		indent := assigned.FindStringSubmatch(lines[at])[1]
		end := ""
		if strings.HasSuffix(lines[at], "\n") {
			end = newline
		}
		lines[at] = indent + line + lineComment(strings.TrimRight(lines[at], "\r\n")) + end
	case behind >= 0:
		lines = insertLine(lines, behind, line, newline)
	case found && tableEnd >= 0:
		lines = insertLine(lines, tableEnd, line, newline)
	case found: // the top table of a file that begins with another
		lines = append([]string{line + newline}, lines...)
	default:
		if n := len(lines); n > 0 && lines[n-1] != "" && !strings.HasSuffix(lines[n-1], "\n") {
			lines[n-1] += newline
		}
		gap := newline
		if len(bytes.TrimSpace(data)) == 0 {
			gap = ""
		}
		lines = append(lines, gap+"["+table+"]"+newline+line+newline)
	}
	text := []byte(strings.Join(lines, ""))
	after, err := parseTOML(name, text)
	if err == nil {
		if value == nil {
			delete(lookupTOML(before, table), key)
		} else {
			lookupTOML(before, table)[key] = normalTOML(line, key)
		}
		if !reflect.DeepEqual(before, after) {
			err = errors.New("the change would touch more than the key")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s is written in a way that cannot be edited safely (%w): set %s in [%s] by hand", name, err, orElse(line, "no "+key), table)
	}
	return text, nil
}

// assignTOML is the line that sets a key. Strings get double quotes, as the toolkit writes them.
func assignTOML(key string, value any) (string, error) {
	if text, ok := value.(string); ok && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return key + ` = "` + text + `"`, nil
	}
	encoded, err := toml.Marshal(map[string]any{key: value})
	return strings.TrimRight(string(encoded), "\n"), err
}

// lineComment is the comment behind a value, with the blanks before it: from the first # up to which the
// line is whole.
func lineComment(line string) string {
	for i, c := range line {
		var v map[string]any
		if c == '#' && toml.Unmarshal([]byte(line[:i]), &v) == nil {
			return line[len(strings.TrimRight(line[:i], " \t")):]
		}
	}
	return ""
}

var tomlHeader = lazy(`^\s*\[([^\[\]]+)\]\s*(?:#.*)?\r?\n?$`)

func insertLine(lines []string, behind int, line, newline string) []string {
	if !strings.HasSuffix(lines[behind], "\n") {
		lines[behind] += newline
		newline = ""
	}
	return append(lines[:behind+1], append([]string{line + newline}, lines[behind+1:]...)...)
}

// normalTOML is a value as it is read back.
func normalTOML(line, key string) any {
	var v map[string]any
	_ = toml.Unmarshal([]byte(line), &v)
	return v[key]
}

func parseTOML(name string, data []byte) (map[string]any, error) {
	v := map[string]any{}
	if err := toml.Unmarshal(data, &v); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, column := at.Position()
			return nil, &JSONError{name, line, column, strings.TrimPrefix(at.Error(), "toml: ")}
		}
		return nil, fmt.Errorf("%s does not parse: %w", name, err)
	}
	return v, nil
}

// lookupTOML is a table by its dotted name, made where it is not there.
func lookupTOML(v map[string]any, table string) map[string]any {
	if table == "" {
		return v
	}
	for part := range strings.SplitSeq(table, ".") {
		next, ok := v[part].(map[string]any)
		if !ok {
			next = map[string]any{}
			v[part] = next
		}
		v = next
	}
	return v
}
