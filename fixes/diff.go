package fixes

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// Diff is the unified diff from old to new, as `diff -u` writes it; nil stands for no file, and no
// difference gives "". The ends that both have in common are taken off first, so that a small change to
// a large file costs little.
func Diff(name string, old, new []byte) string {
	if bytes.Equal(old, new) && (old == nil) == (new == nil) {
		return ""
	}
	const context = 3
	a, b := lines(old), lines(new)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	head, tail = max(0, head-context), max(0, tail-context)
	midA, midB := a[head:len(a)-tail], b[head:len(b)-tail]
	var out strings.Builder
	from, to := "a/"+strings.TrimPrefix(name, "/"), "b/"+strings.TrimPrefix(name, "/")
	if old == nil {
		from = "/dev/null"
	}
	if new == nil {
		to = "/dev/null"
	}
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", from, to)
	for _, group := range difflib.NewMatcher(midA, midB).GetGroupedOpCodes(context) {
		first, last := group[0], group[len(group)-1]
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", span(head+first.I1, head+last.I2), span(head+first.J1, head+last.J2))
		for _, op := range group {
			if op.Tag == 'e' {
				writeLines(&out, " ", midA[op.I1:op.I2])
				continue
			}
			writeLines(&out, "-", midA[op.I1:op.I2])
			writeLines(&out, "+", midB[op.J1:op.J2])
		}
	}
	return out.String()
}

func lines(text []byte) []string {
	var all []string
	for line := range bytes.Lines(text) {
		all = append(all, string(line))
	}
	return all
}

// span is a range of lines in a hunk's header: the first one counted from 1, and their number.
func span(start, end int) string {
	switch n := end - start; n {
	case 1:
		return fmt.Sprint(start + 1)
	case 0:
		return fmt.Sprintf("%d,0", start)
	default:
		return fmt.Sprintf("%d,%d", start+1, n)
	}
}

func writeLines(out *strings.Builder, sign string, lines []string) {
	for _, line := range lines {
		out.WriteString(sign + line)
		if !strings.HasSuffix(line, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}
