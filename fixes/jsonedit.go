package fixes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// Editing of JSON files that other programs own (daemon.json, the CLI's config.json). The text is
// changed only where a key is set or removed: what stands around it, order, blanks and keys that nobody
// here knows, stays byte for byte. The dialect is the one that their owners read, which is strict: a
// comment or a trailing comma is refused with its place, as they would refuse it.

// A JSONError says where a file cannot be edited. Line and Column count from 1.
type JSONError struct {
	Path         string
	Line, Column int
	Message      string
}

func (e *JSONError) Error() string {
	return fmt.Sprintf("%s does not parse at line %d, column %d: %s\nIt is left alone: correct it, then try again", e.Path, e.Line, e.Column, e.Message)
}

// mostJSON bounds a file of settings.
const mostJSON = 4 << 20

// A JSONChange sets the value at Path, or removes it where Value is nil.
type JSONChange struct {
	Path  []string
	Value any
}

// EditJSON applies changes to the text of a file; nil or blank is a file without keys. What is there
// already is left as it is written.
func EditJSON(name string, data []byte, changes ...JSONChange) ([]byte, error) {
	if len(data) > mostJSON {
		return nil, fmt.Errorf("%s has %d bytes: that is no file of settings, and it is left alone", name, len(data))
	}
	text := data
	for _, c := range changes {
		if len(bytes.TrimSpace(text)) == 0 {
			if c.Value == nil {
				continue
			}
			text = []byte("{}\n")
		}
		var err error
		if err = strictJSON(name, text); err != nil {
			return nil, err
		}
		if c.Value == nil {
			text, err = removeJSON(name, text, c.Path)
		} else {
			text, err = setJSON(name, text, c.Path, c.Value)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := strictJSON(name, text); len(bytes.TrimSpace(text)) > 0 && err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	return text, nil
}

// strictJSON refuses what encoding/json, with which docker and dockerd read, refuses, and what follows
// the object.
func strictJSON(name string, data []byte) error {
	at := func(offset int64, message string) error {
		i := max(0, min(int(offset)-1, len(data)))
		before := data[:i]
		return &JSONError{name, 1 + bytes.Count(before, []byte("\n")), i - bytes.LastIndexByte(before, '\n'), message}
	}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return at(1, "the file begins with a byte order mark")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	var top json.RawMessage
	err := dec.Decode(&top)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		message := syntax.Error()
		if strings.HasPrefix(message, "invalid character '/'") {
			message = "JSON has no comments"
		}
		return at(syntax.Offset, message)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return at(int64(len(data)), "the file ends too early")
	case err != nil:
		return at(1, err.Error())
	}
	end := dec.InputOffset()
	if rest := bytes.TrimLeft(data[end:], " \t\r\n"); len(rest) > 0 {
		return at(int64(len(data)-len(rest))+1, "something follows the closing brace")
	}
	start := len(data) - len(bytes.TrimLeft(data, " \t\r\n"))
	if data[start] != '{' {
		return at(int64(start)+1, "an object is wanted, not "+kindJSON(data[start]))
	}
	return nil
}

func kindJSON(first byte) string {
	switch first {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 'n':
		return "null"
	case 't', 'f':
		return "true or false"
	}
	return "a number"
}

// located is a value of the file with the members on the way to it.
type located struct {
	value  *hujson.Value
	parent *hujson.Object // nil at the top
	member int
	depth  int // how many keys of the path were found
}

// locate follows path as far as it goes.
func locate(name string, text []byte, top *hujson.Value, path []string) (located, error) {
	l := located{value: top}
	for _, key := range path {
		object, ok := l.value.Value.(*hujson.Object)
		if !ok {
			return l, nil
		}
		found := -1
		for i := range object.Members {
			if literal, ok := object.Members[i].Name.Value.(hujson.Literal); ok && literal.String() == key {
				if found >= 0 {
					line, column := placeOf(text, object.Members[i].Name.StartOffset)
					return l, &JSONError{name, line, column, fmt.Sprintf("the key %q is there twice, and only the last counts", key)}
				}
				found = i
			}
		}
		if found < 0 {
			return l, nil
		}
		l = located{&object.Members[found].Value, object, found, l.depth + 1}
	}
	return l, nil
}

func placeOf(text []byte, offset int) (line, column int) {
	return 1 + bytes.Count(text[:offset], []byte("\n")), offset - bytes.LastIndexByte(text[:offset], '\n')
}

func setJSON(name string, text []byte, path []string, value any) ([]byte, error) {
	top, err := hujson.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l, err := locate(name, text, &top, path)
	if err != nil {
		return nil, err
	}
	style := styleOf(text, &top)
	if l.depth == len(path) {
		if sameJSON(text[l.value.StartOffset:l.value.EndOffset], value) {
			return text, nil
		}
		return splice(text, l.value.StartOffset, l.value.EndOffset, style.encode(value, style.indentOf(text, l.value.StartOffset))), nil
	}
	for _, key := range slices.Backward(path[l.depth+1:]) {
		value = map[string]any{key: value}
	}
	key := path[l.depth]
	object, ok := l.value.Value.(*hujson.Object)
	if !ok {
		if literal, isLiteral := l.value.Value.(hujson.Literal); isLiteral && literal.Kind() == 'n' { // null is no object yet
			return splice(text, l.value.StartOffset, l.value.EndOffset, style.encode(map[string]any{key: value}, style.indentOf(text, l.value.StartOffset))), nil
		}
		line, column := placeOf(text, l.value.StartOffset)
		return nil, &JSONError{name, line, column, fmt.Sprintf("%q is %s where an object belongs", strings.Join(path[:l.depth], "."), kindJSON(text[l.value.StartOffset]))}
	}
	encodedKey, _ := json.Marshal(key)
	outer := style.indentOf(text, l.value.StartOffset)
	if len(object.Members) == 0 {
		inner := outer + style.unit
		member := style.newline + inner + string(encodedKey) + ": " + string(style.encode(value, inner)) + style.newline + outer
		return splice(text, l.value.StartOffset+1, l.value.EndOffset-1, []byte(member)), nil
	}
	last := object.Members[len(object.Members)-1]
	first := object.Members[0].Name.StartOffset
	inner, ownLine := lineIndent(text, first)
	if !ownLine { // {"a": 1, "b": 2} on one line
		separator := ", "
		if len(object.Members) > 1 {
			between := string(text[object.Members[0].Value.EndOffset:object.Members[1].Name.StartOffset])
			separator = between
		} else if !bytes.Contains(text[l.value.StartOffset:l.value.EndOffset], []byte(" ")) {
			separator = ","
		}
		colon := string(text[last.Name.EndOffset:last.Value.StartOffset])
		compact, _ := json.Marshal(value)
		return splice(text, last.Value.EndOffset, last.Value.EndOffset, []byte(separator+string(encodedKey)+colon+string(compact))), nil
	}
	colon := string(text[last.Name.EndOffset:last.Value.StartOffset])
	if strings.ContainsAny(colon, "\r\n") {
		colon = ": "
	}
	member := "," + style.newline + inner + string(encodedKey) + colon + string(style.encode(value, inner))
	return splice(text, last.Value.EndOffset, last.Value.EndOffset, []byte(member)), nil
}

func removeJSON(name string, text []byte, path []string) ([]byte, error) {
	top, err := hujson.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l, err := locate(name, text, &top, path)
	if err != nil || l.depth < len(path) {
		return text, err
	}
	members := l.parent.Members
	switch {
	case len(members) == 1:
		outer, err := locate(name, text, &top, path[:len(path)-1])
		if err != nil {
			return nil, err
		}
		return splice(text, outer.value.StartOffset, outer.value.EndOffset, []byte("{}")), nil
	case l.member > 0:
		return splice(text, members[l.member-1].Value.EndOffset, l.value.EndOffset, nil), nil
	}
	return splice(text, members[0].Name.StartOffset, members[1].Name.StartOffset, nil), nil
}

func splice(text []byte, from, to int, with []byte) []byte {
	return slices.Concat(text[:from], with, text[to:])
}

// sameJSON tells if the text stands for value.
func sameJSON(text []byte, value any) bool {
	var was, is any
	encoded, err := json.Marshal(value)
	return err == nil && json.Unmarshal(text, &was) == nil && json.Unmarshal(encoded, &is) == nil && reflect.DeepEqual(was, is)
}

// jsonStyle is how a file is written: its line ends and the unit of its indentation.
type jsonStyle struct{ newline, unit string }

func styleOf(text []byte, top *hujson.Value) jsonStyle {
	s := jsonStyle{"\n", "    "}
	if at := bytes.IndexByte(text, '\n'); at > 0 && text[at-1] == '\r' {
		s.newline = "\r\n"
	}
	if object, ok := top.Value.(*hujson.Object); ok && len(object.Members) > 0 {
		if indent, own := lineIndent(text, object.Members[0].Name.StartOffset); own && indent != "" {
			s.unit = indent
		}
	}
	return s
}

func (s jsonStyle) encode(value any, indent string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent(indent, s.unit)
	if err := enc.Encode(value); err != nil {
		panic(err) // values are the program's own
	}
	return bytes.ReplaceAll(bytes.TrimRight(out.Bytes(), "\n"), []byte("\n"), []byte(s.newline))
}

// indentOf is the indentation of the line that offset stands in.
func (jsonStyle) indentOf(text []byte, offset int) string {
	line := text[bytes.LastIndexByte(text[:offset], '\n')+1:]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// lineIndent is what stands before offset on its line, and whether that is nothing but blanks.
func lineIndent(text []byte, offset int) (string, bool) {
	start := bytes.LastIndexByte(text[:offset], '\n') + 1
	before := string(text[start:offset])
	return before, strings.Trim(before, " \t") == "" && start > 0
}

// readJSON is the value at path of a file's text, or nil where there is none.
func readJSON(data []byte, path ...string) any {
	var v any
	if json.Unmarshal(data, &v) != nil {
		return nil
	}
	for _, key := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[key]
	}
	return v
}
