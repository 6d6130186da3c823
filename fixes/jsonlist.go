package fixes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// EditJSONList changes a list of strings in the text of a file as EditJSON changes values: elements that keep refuses
// go, those of add that are not there come behind the others, and everything else stays byte for byte. A list of which
// nothing is left goes with its key.
func EditJSONList(name string, data []byte, path []string, keep func(string) bool, add []string) ([]byte, error) {
	if len(data) > mostJSON {
		return nil, fmt.Errorf("%s has %d bytes: that is no file of settings, and it is left alone", name, len(data))
	}
	if len(bytes.TrimSpace(data)) == 0 {
		if len(add) == 0 {
			return data, nil
		}
		return EditJSON(name, data, JSONChange{path, add})
	}
	if err := strictJSON(name, data); err != nil {
		return nil, err
	}
	text := data
	for {
		list, values, err := listJSON(name, text, path)
		if err != nil {
			return nil, err
		}
		gone := slices.IndexFunc(values, func(v string) bool { return !keep(v) })
		if gone < 0 {
			add = slices.DeleteFunc(slices.Clone(add), func(v string) bool { return slices.Contains(values, v) })
			break
		}
		e := list.Elements
		switch {
		case len(e) == 1 && len(add) == 0:
			return EditJSON(name, text, JSONChange{path, nil})
		case len(e) == 1:
			return EditJSON(name, text, JSONChange{path, add})
		case gone > 0:
			text = splice(text, e[gone-1].EndOffset, e[gone].EndOffset, nil)
		default:
			text = splice(text, e[0].StartOffset, e[1].StartOffset, nil)
		}
	}
	list, _, err := listJSON(name, text, path)
	switch {
	case err != nil || len(add) == 0:
		return text, err
	case list == nil || len(list.Elements) == 0:
		return EditJSON(name, text, JSONChange{path, add})
	}
	e := list.Elements
	separator := ", "
	switch indent, ownLine := lineIndent(text, e[0].StartOffset); {
	case len(e) > 1:
		separator = string(text[e[len(e)-2].EndOffset:e[len(e)-1].StartOffset])
	case ownLine:
		separator = "," + jsonNewline(text) + indent
	}
	var more bytes.Buffer
	for _, v := range add {
		encoded, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		more.WriteString(separator)
		more.Write(encoded)
	}
	end := e[len(e)-1].EndOffset
	text = splice(text, end, end, more.Bytes())
	if err := strictJSON(name, text); err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	return text, nil
}

func jsonNewline(text []byte) string {
	if bytes.Contains(text, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// listJSON is the list at path and its strings, or nil where there is none.
func listJSON(name string, text []byte, path []string) (*hujson.Array, []string, error) {
	top, err := hujson.Parse(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	l, err := locate(name, text, &top, path)
	if err != nil || l.depth < len(path) {
		return nil, nil, err
	}
	wrong := func(v *hujson.Value, what string) error {
		line, column := placeOf(text, v.StartOffset)
		return &JSONError{name, line, column, fmt.Sprintf("%q: %s", strings.Join(path, "."), what)}
	}
	list, ok := l.value.Value.(*hujson.Array)
	if !ok {
		if literal, isLiteral := l.value.Value.(hujson.Literal); isLiteral && literal.Kind() == 'n' {
			return nil, nil, nil
		}
		return nil, nil, wrong(l.value, "is "+kindJSON(text[l.value.StartOffset])+" where a list belongs")
	}
	var values []string
	for i := range list.Elements {
		literal, ok := list.Elements[i].Value.(hujson.Literal)
		if !ok || literal.Kind() != '"' {
			return nil, nil, wrong(&list.Elements[i], "holds something that is no string")
		}
		values = append(values, literal.String())
	}
	return list, values, nil
}
