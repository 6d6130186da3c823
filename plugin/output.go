package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
	"github.com/docker/cli/templates"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
)

// Text that came from outside (names, labels, logs) passes one of the harmless functions before it is
// printed, so that it cannot move the cursor, colour the terminal or turn the reading direction.

// harmful are the runes that do something to a terminal rather than show: controls, marks of direction,
// blanks of no width, line separators.
func harmful(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
}

// harmlessName is s on one line, every harmful rune shown as its escape.
func harmlessName(s string) string { return escape(s, "") }

// harmlessText keeps line ends and tabs.
func harmlessText(s string) string { return escape(s, "\n\t") }

func escape(s, keep string) string {
	if plain(s) {
		return s
	}
	clean := true
	for _, r := range s {
		if harmful(r) && !strings.ContainsRune(keep, r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !harmful(r) || strings.ContainsRune(keep, r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
	}
	return b.String()
}

// writeJSON writes v as one object, indented, with harmful runes as JSON's own escapes: the value stays
// the same, and a terminal is safe from it.
func writeJSON(out io.Writer, v any, indent string) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range buf.String() {
		switch {
		case r == '\n' || !harmful(r) || r == utf8.RuneError:
			b.WriteRune(r)
		case r > 0xffff: // beyond the basic plane JSON takes a surrogate pair
			hi, lo := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// checkTemplate refuses a --format that is no template, before anything is read.
func checkTemplate(cmd *cobra.Command, format string) error {
	if _, err := templates.Parse(strings.TrimPrefix(format, "table ")); err != nil {
		return usageError(cmd, "--format: %s", err)
	}
	return nil
}

// writeTemplate applies a Go template in docker's dialect to v. Names of fields are those of the Go
// types and, as `docker inspect` does it, where that fails those of the JSON.
func writeTemplate(out io.Writer, text string, v any) error {
	tmpl, err := templates.Parse(text)
	if err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	var buf bytes.Buffer
	if first := tmpl.Execute(&buf, v); first != nil {
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		var fields any
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber() // bytes are counted in full
		if err := dec.Decode(&fields); err != nil {
			return err
		}
		buf.Reset()
		if err := tmpl.Option("missingkey=error").Execute(&buf, fields); err != nil {
			return fmt.Errorf("--format: %w", first)
		}
	}
	_, err = fmt.Fprintln(out, harmlessText(buf.String()))
	return err
}

// A column of a table. Where the table is too wide, the columns with the lowest keep go first; elastic
// ones are shortened before that down to least.
type column struct {
	title   string
	keep    int // higher stays longer; columns of the highest never go
	right   bool
	least   int // 0: not elastic
	visible bool
}

// writeTable prints rows below titles, in width cells (0: as wide as it gets). Empty columns are left out. Whatever is in
// a cell stays in it: harmless to the terminal, and on its line.
func writeTable(out io.Writer, width int, columns []column, rows [][]string) error {
	wide := fitColumns(columns, measureColumns(columns, rows), width)
	_, err := io.WriteString(out, strings.Join(tableLines(columns, wide, rows), "\n")+"\n")
	return err
}

// measureColumns tells how many cells each column takes, makes what is in them harmless, and those visible that are not
// empty.
func measureColumns(columns []column, rows [][]string) []int {
	wide := make([]int, len(columns))
	for c := range columns {
		for _, row := range rows {
			row[c] = harmlessName(row[c])
			if row[c] != "" {
				columns[c].visible = true
			}
			wide[c] = max(wide[c], cells(row[c]))
		}
		wide[c] = max(wide[c], cells(columns[c].title))
	}
	return wide
}

// columnGap is between two columns.
const columnGap = 2

func tableWidth(columns []column, wide []int) (sum int) {
	for c := range columns {
		if columns[c].visible {
			sum += wide[c] + columnGap
		}
	}
	return sum - columnGap
}

// fitColumns shortens columns, and hides them, until they have room in width cells (0: there is room for all).
func fitColumns(columns []column, natural []int, width int) []int {
	wide := slices.Clone(natural)
	for width > 0 {
		over := tableWidth(columns, wide) - width
		if over <= 0 {
			break
		}
		at := -1
		for c := range columns { // shorten the widest elastic column first
			if columns[c].visible && columns[c].least > 0 && wide[c] > max(columns[c].least, cells(columns[c].title)) && (at < 0 || wide[c] > wide[at]) {
				at = c
			}
		}
		if at >= 0 {
			wide[at] = max(wide[at]-over, columns[at].least, cells(columns[at].title))
			continue
		}
		for c := range columns {
			if columns[c].visible && (at < 0 || columns[c].keep < columns[at].keep) {
				at = c
			}
		}
		if at < 0 || columns[at].keep >= keepAlways {
			break
		}
		columns[at].visible = false
		copy(wide, natural) // what was shortened for its sake gets its room back
	}
	return wide
}

// tableLines are the titles and the rows.
func tableLines(columns []column, wide []int, rows [][]string) []string {
	var l strings.Builder
	line := func(get func(int) string) string {
		l.Reset()
		l.Grow(tableWidth(columns, wide))
		for c := range columns {
			if !columns[c].visible {
				continue
			}
			if l.Len() > 0 {
				l.WriteString(blanks(columnGap))
			}
			text := shorten(get(c), wide[c])
			pad := blanks(wide[c] - cells(text))
			if columns[c].right {
				l.WriteString(pad)
				l.WriteString(text)
			} else {
				l.WriteString(text)
				l.WriteString(pad)
			}
		}
		return strings.TrimRight(l.String(), " ")
	}
	lines := make([]string, 0, len(rows)+1)
	lines = append(lines, line(func(c int) string { return columns[c].title }))
	for _, row := range rows {
		lines = append(lines, line(func(c int) string { return row[c] }))
	}
	return lines
}

// blanks are so many, none where that is below zero.
func blanks(n int) string {
	const some = "                                                                "
	if n <= len(some) {
		return some[:max(0, n)]
	}
	return strings.Repeat(" ", n)
}

// keepAlways is the keep of columns without which the table says nothing.
const keepAlways = 100

func cells(s string) int {
	if plain(s) {
		return len(s)
	}
	return displaywidth.String(s)
}

// plain tells if s is printable ASCII, as most of what is printed: harmless, and a cell a byte.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// shorten cuts s to width cells and marks the cut.
func shorten(s string, width int) string {
	if width <= 0 || len(s) <= width || cells(s) <= width { // a cell takes a byte at least
		return s
	}
	return displaywidth.TruncateString(s, width, "…")
}

// widestText is what a line of prose may have in a wide terminal: longer ones are hard to read.
const widestText = 100

// writeText writes a sentence behind a label, broken between words so that the terminal does not break it within one, its
// further lines below its first. Where the width is not known, as in a file, it stays one line, for grep.
func writeText(b *strings.Builder, width int, label, text string) {
	width = min(width, widestText)
	if width <= 0 || cells(label)+cells(text) <= width {
		b.WriteString(label + text + "\n")
		return
	}
	line, words := label, 0
	for _, word := range strings.Fields(text) {
		switch {
		case words == 0:
			line += word
		case cells(line)+1+cells(word) > width:
			b.WriteString(line + "\n")
			line, words = strings.Repeat(" ", cells(label))+word, 0
		default:
			line += " " + word
		}
		words++
	}
	b.WriteString(line + "\n")
}

// writeStep writes a step of a finding behind a label. Its command stays in one piece, so that it can be copied, on a line
// of its own where it does not fit behind the sentence.
func writeStep(b *strings.Builder, width int, label string, id fixes.ID, step string) {
	text, command := fixes.SplitStep(id, step)
	if command == "" || width <= 0 || cells(label)+cells(step) <= min(width, widestText) {
		writeText(b, width, label, harmlessName(step))
		return
	}
	writeText(b, width, label, harmlessName(text)+":")
	b.WriteString(strings.Repeat(" ", cells(label)+2) + harmlessName(command) + "\n")
}
