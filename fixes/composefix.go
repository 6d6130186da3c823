package fixes

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// WriteFixPlan rewrites hard-coded values of NVIDIA_VISIBLE_DEVICES in compose files so that they follow
// the switch. Comments and formatting stay.
func WriteFixPlan(s *inspect.Snapshot) Plan {
	plan := Plan{Name: "write-fix"}
	var files []string
	at := map[string][]int{}
	for _, e := range Effects(s) {
		if e.Effect != HardCoded || !isYAML(e.File) || e.Line == 0 || slices.Contains(at[e.File], e.Line) {
			continue
		}
		if len(at[e.File]) == 0 {
			files = append(files, e.File)
		}
		at[e.File] = append(at[e.File], e.Line)
	}
	for _, file := range files {
		full := file
		if !filepath.IsAbs(full) {
			full = filepath.Join(s.Project.Folder, file)
		}
		plan.Steps = append(plan.Steps, &FileStep{
			Description: Description{Text: fmt.Sprintf("Let %s follow the switch", file), Harm: HarmEdit, Reason: "env-has-no-effect"},
			Path:        full,
			Name:        file,
			Edit: func(old []byte) ([]byte, error) {
				edited, err := FollowSwitch(old, at[file])
				if err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
				return edited, nil
			},
		})
	}
	return plan
}

// scalarPlace is where a scalar's text stands in a file.
type scalarPlace struct {
	node  *yaml.Node
	entry bool // of a list: NAME=value
	flow  bool // within [ ] or { }, where braces want quotes
}

// FollowSwitch puts ${NVIDIA_VISIBLE_DEVICES:-void} in place of the values of NVIDIA_VISIBLE_DEVICES on
// the given lines of a compose file, and changes no other byte. Values that already refer to a variable
// stay. The result is parsed again and compared before it is returned.
func FollowSwitch(data []byte, lines []int) ([]byte, error) {
	if data == nil {
		return nil, errors.New("is not there any more")
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	var places []scalarPlace
	findValues(&doc, false, &places)
	places = slices.DeleteFunc(places, func(p scalarPlace) bool {
		return !slices.Contains(lines, p.node.Line) || strings.Contains(p.node.Value, "$")
	})
	slices.SortFunc(places, func(a, b scalarPlace) int {
		return b.node.Line*10000 + b.node.Column - a.node.Line*10000 - a.node.Column
	})
	edited := bytes.Clone(data)
	for _, p := range places { // from the last to the first, so that places stay right
		start, end, err := extent(data, p)
		if err != nil {
			return nil, err
		}
		text := fallback
		if p.entry {
			text = VisibleDevices + "=" + text
		}
		if p.flow || start < len(data) && (data[start] == '"' || data[start] == '\'') {
			text = `"` + text + `"`
		}
		edited = slices.Replace(edited, start, end, []byte(text)...)
	}
	var after yaml.Node
	if err := yaml.Unmarshal(edited, &after); err != nil {
		return nil, fmt.Errorf("cannot be rewritten safely: %w", err)
	}
	for _, p := range places {
		p.node.Value = fallback
		if p.entry {
			p.node.Value = VisibleDevices + "=" + fallback
		}
	}
	if !sameTree(&doc, &after) {
		return nil, errors.New("cannot be rewritten safely: the values stand in an unusual form")
	}
	return edited, nil
}

// findValues collects the values of the variable, of mappings and of lists NAME=value.
func findValues(n *yaml.Node, flow bool, found *[]scalarPlace) {
	flow = flow || n.Style&yaml.FlowStyle != 0
	for i, child := range n.Content {
		switch {
		case child.Kind == yaml.ScalarNode && n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == VisibleDevices:
			*found = append(*found, scalarPlace{child, false, flow})
		case child.Kind == yaml.ScalarNode && n.Kind == yaml.SequenceNode && strings.HasPrefix(child.Value, VisibleDevices+"="):
			*found = append(*found, scalarPlace{child, true, flow})
		}
		findValues(child, flow, found)
	}
}

// extent is where a scalar on one line begins and ends in the file's bytes, anchors and tags left out.
func extent(data []byte, p scalarPlace) (start, end int, err error) {
	line := 1
	for line < p.node.Line {
		i := bytes.IndexByte(data[start:], '\n')
		if i < 0 {
			return 0, 0, errors.New("cannot be rewritten safely")
		}
		start += i + 1
		line++
	}
	rest := data[start:]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	lineEnd := start + len(bytes.TrimRight(rest, "\r"))
	at := start
	for column := 1; column < p.node.Column && at < lineEnd; column++ { // columns count characters
		_, size := utf8.DecodeRune(data[at:])
		at += size
	}
	for at < lineEnd && (data[at] == '&' || data[at] == '!') {
		for at < lineEnd && data[at] != ' ' {
			at++
		}
		for at < lineEnd && data[at] == ' ' {
			at++
		}
	}
	raw := p.node.Value
	if at < lineEnd && (data[at] == '"' || data[at] == '\'') {
		quote := string(data[at])
		raw = quote + raw + quote
	}
	if !bytes.HasPrefix(data[at:lineEnd], []byte(raw)) {
		return 0, 0, fmt.Errorf("line %d: cannot be rewritten safely: the value stands in an unusual form", p.node.Line)
	}
	return at, at + len(raw), nil
}

// sameTree compares what two files say, without their formatting.
func sameTree(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) ||
		a.HeadComment != b.HeadComment || a.LineComment != b.LineComment || a.FootComment != b.FootComment {
		return false
	}
	for i := range a.Content {
		if !sameTree(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
