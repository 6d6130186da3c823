package fixes

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Texts reach this program through terminals, journals, container runtimes, chat windows and browsers.
// What those add is taken off here: a message is a line as the program wrote it.

// prefixes are what journals and runtimes put before a line.
var prefixes = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:` + strings.Join([]string{
		`[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [\w.@/-]+(?:\[\d+\])?: `,                                             // syslog, journald
		`\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z| ?[+-]\d\d:?\d\d)?\]?:? (?:std(?:out|err) [FP] )?`, // docker -t, kubectl --timestamps, CRI
		`\[\s*\d+\.\d+\] `, // kernel
		`\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] `, // dmesg -T
		`[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.-]+:\d+\] `,           // klog
		`\[(?:pod|rank|default)[\w./-]*\d?\]:? ?`,                       // kubectl --prefix, torchrun
		`[\w.@-]{1,80} +\| `,                     // compose
		`(?:> ?)+`,                               // quoted in mail and Markdown
		`(?:time="[^"]{10,40}" )?level=\w+ msg=`, // logrus
		`\s*(?:kernel: )?NVRM: +`,                // the driver, which wraps its lines itself
	}, `|`) + `)+`)
})

// containerName is what docker compose and docker service logs put before a line: service-1, stack_service.1.id@node.
var containerName = lazy(`^(?:\x1b\[[\d;]*m)*[A-Za-z][\w.-]{0,62}?(?:[-_]\d+|\.\d+\.\w+@[\w.-]+) *\|(?:\x1b\[[\d;]*m)* `)

// escapes are ANSI sequences, as bytes or as the text that loggers make of the escape character, and
// what browsers and JSON make of quotes.
var escapes = lazy(`(?:\x1b|\^\[|#033|\\(?:u001[bB]|x1[bB]|033|e))(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[()][0-9A-B]|[=>78cDEHMZ])?|\\u00[0-9a-fA-F]{2}|&(?:#\d{1,5}|#[xX][0-9a-fA-F]{1,4}|[a-z]{2,6});`)

// entities are those names of characters in HTML that stand for more than a quote.
var entities = map[string]string{"lt": "<", "gt": ">", "amp": "&", "ndash": "-", "mdash": "-", "hyphen": "-", "minus": "-", "lsqb": "[", "rsqb": "]", "lpar": "(", "rpar": ")", "colon": ":", "sol": "/", "equals": "=", "comma": ",", "period": ".", "num": "#", "lowbar": "_", "vert": "|", "lbrack": "[", "rbrack": "]", "shy": "", "zwnj": "", "zwj": "", "hellip": "..."}

// entity is what an entity of HTML, from & to ;, stands for.
func entity(m []byte) []byte {
	name := string(m[1 : len(m)-1])
	if digits, ok := strings.CutPrefix(name, "#"); ok {
		base := 10
		if digits[0]|0x20 == 'x' {
			digits, base = digits[1:], 16
		}
		if n, err := strconv.ParseUint(digits, base, 21); err == nil && n >= ' ' {
			return inASCII(utf8.AppendRune(nil, rune(n)))
		}
		return []byte(" ")
	}
	if text, ok := entities[name]; ok {
		return []byte(text)
	}
	return []byte(" ")
}

// What a line has that [unescape] takes off.
const (
	hasEscape  = 1 << iota
	hasForeign // the first byte of dashes, frames, ligatures and letters of full width
	hasStar
	hasPercent
)

var escapeOf = [256]uint8{0x1b: hasEscape, '\\': hasEscape, '&': hasEscape, '^': hasEscape, '#': hasEscape, 0xe2: hasForeign, 0xef: hasForeign, '*': hasStar, '%': hasPercent}

func unescape(b []byte) []byte {
	var has uint8
	for _, c := range b {
		has |= escapeOf[c]
	}
	if has == 0 {
		return b
	}
	if has&hasPercent != 0 && bytes.Contains(b, []byte("%20")) {
		b = unpercent(b)
		has |= hasEscape
	}
	if has&hasForeign != 0 {
		b = inASCII(b)
	}
	if has&hasStar != 0 && bytes.Contains(b, []byte("**")) {
		b = unstar(b)
	}
	if has&hasEscape == 0 || bytes.IndexByte(b, 0x1b) < 0 && bytes.IndexByte(b, '\\') < 0 && bytes.IndexByte(b, '&') < 0 && !bytes.Contains(b, []byte("^[")) && !bytes.Contains(b, []byte("#033")) {
		return b
	}
	b = escapes().ReplaceAllFunc(b, func(m []byte) []byte {
		switch {
		case m[0] == '&':
			return entity(m)
		case m[0] == '\\' && len(m) == 6 && m[1] == 'u' && !bytes.EqualFold(m, []byte(`\u001b`)):
			n, err := strconv.ParseUint(string(m[2:]), 16, 32)
			if err != nil {
				return nil
			}
			return utf8.AppendRune(nil, rune(n))
		}
		return nil
	})
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	// \n and \t of JSON strings and of logs that quote; the backslash of anything else goes later.
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) && (b[i+1] == 'n' || b[i+1] == 't' || b[i+1] == 'r') && (i == 0 || b[i-1] != ':') {
			out = append(out, ' ')
			i++
			continue
		}
		out = append(out, b[i])
	}
	return out
}

// inASCII writes in ASCII what typesetters, PDF readers, browsers and tools that draw frames put in its place: dashes,
// ligatures, signs of full width. The signs that show where a line was broken, and those of no width, go; frames are blanks.
func inASCII(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		if c := b[i]; c != 0xe2 && c != 0xef {
			out = append(out, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		switch {
		case r >= 0x2010 && r <= 0x2012 || r == 0x2212 || r == 0xfe63:
			out = append(out, '-')
		case (r == 0x2013 || r == 0x2014) && i > 0 && b[i-1] > ' ' && i+size < len(b) && b[i+size] > ' ': // within a word
			out = append(out, '-')
		case r >= 0x2060 && r <= 0x2064, r == 0x21b5 || r == 0x23ce || r == 0x21a9 || r == 0x21aa || r == 0x21b3 || r == 0x2936:
		case r >= 0x2500 && r <= 0x257f || r == 0x2028 || r == 0x2029:
			out = append(out, ' ')
		case r >= 0xfb00 && r <= 0xfb06:
			out = append(out, ligatures[r-0xfb00]...)
		case r >= 0xff01 && r <= 0xff5e:
			out = append(out, byte(r-0xff01+'!'))
		default:
			out = append(out, b[i:i+size]...)
		}
		i += size
	}
	return out
}

var ligatures = [...]string{"ff", "fi", "fl", "ffi", "ffl", "st", "st"}

// unstar takes off the pairs of stars that make words bold in Markdown.
func unstar(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		n := 0
		for i+n < len(b) && b[i+n] == '*' {
			n++
		}
		if n != 2 {
			out = append(out, b[i:i+max(n, 1)]...)
		}
		i += max(n, 1)
	}
	return out
}

// unpercent reads a line in the encoding of addresses: one with more blanks that are written so than others.
func unpercent(b []byte) []byte {
	if n := bytes.Count(b, []byte("%20")); n < 2 || n <= bytes.Count(b, []byte(" ")) {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			if n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}

// canon is a line as expressions see it: without escapes, quotes, backslashes and control characters,
// every run of blanks as one.
func canon(line []byte) string {
	line = unescape(message(line))
	out := make([]byte, 0, len(line))
	blank := true // leading blanks go
	for i := 0; i < len(line); {
		c := line[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\'' || c == '`' || c == '\\':
			case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f':
				if !blank {
					out = append(out, ' ')
				}
				blank = true
			case c < ' ' || c == 0x7f:
			default:
				out = append(out, c)
				blank = false
			}
			continue
		}
		r, size := utf8.DecodeRune(line[i:])
		i += size
		switch {
		case r == utf8.RuneError && size == 1:
		case r >= 0x2018 && r <= 0x201f || r == 0x2032 || r == 0x2033 || r == 0xab || r == 0xbb || r == 0x60 || r == 0xb4: // quotes
		case r >= 0x200b && r <= 0x200f || r == 0xfeff || r == 0xad || r >= 0x202a && r <= 0x202e: // of no width
		case r == 0xa0 || r >= 0x2000 && r <= 0x200a || r == 0x3000 || r == 0x202f:
			if !blank {
				out = append(out, ' ')
			}
			blank = true
		case r == 0x2026 && (len(out) == 0 || len(bytes.TrimSpace(line[i:])) == 0): // what was before, or comes after, was cut off
		case r == 0x2026: // an ellipsis
			out = append(out, "..."...)
			blank = false
		default:
			out = utf8.AppendRune(out, r)
			blank = false
		}
	}
	return strings.TrimSuffix(string(out), " ")
}

// prefixLength is how many bytes of a line its journal or runtime put there.
func prefixLength(line []byte) int {
	line = line[:min(len(line), 300)]
	n := 0
	for len(line) > n && line[n] == 0x1b { // colours before it
		at := escapes().FindIndex(line[n:])
		if at == nil || at[0] != 0 || at[1] == 0 {
			break
		}
		n += at[1]
	}
	if !mayHavePrefix(line[n:]) {
		return 0
	}
	if at := prefixes().FindIndex(line[n:]); at != nil {
		return n + at[1]
	}
	return 0
}

// mayHavePrefix tells without the expression that most lines do not begin with one of [prefixes].
func mayHavePrefix(line []byte) bool {
	if len(line) < 2 {
		return len(line) > 0
	}
	switch c, next := line[0], line[1]; {
	case c == '[' || c == '>' || '0' <= c && c <= '9':
		return true
	case 'A' <= c && c <= 'Z' && ('a' <= next && next <= 'z' || '0' <= next && next <= '9'):
		return true
	case bytes.HasPrefix(line, []byte("time=")) || bytes.HasPrefix(line, []byte("level=")):
		return true
	}
	return bytes.IndexByte(line, '|') >= 0 || bytes.Contains(line, nvrmColon)
}

var nvrmColon = []byte("NVRM:")

// saidFields are those of a structured line that hold what it says.
var saidFields = []string{"log", "msg", "message", "MESSAGE", "text", "error", "err", "exc_info", "stack", "reason", "stderr", "detail", "details"}

// message is what a line of structured JSON says, or the line where it is none.
func message(line []byte) []byte {
	trimmed := bytes.TrimSpace(line)
	if len(trimmed) < 2 || trimmed[0] != '{' || trimmed[len(trimmed)-1] != '}' {
		return line
	}
	var fields map[string]any
	if json.Unmarshal(trimmed, &fields) != nil {
		return line
	}
	said := saidIn(fields, 3, nil)
	if len(said) == 0 {
		return line
	}
	return []byte(strings.Join(said, " "))
}

// saidIn adds what fields say, and those in them: what a service tells of an event stands one level deeper.
func saidIn(fields map[string]any, deep int, said []string) []string {
	for _, name := range saidFields {
		if s, ok := fields[name].(string); ok {
			said = append(said, s)
		}
	}
	if deep == 0 {
		return said
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch inner := fields[name].(type) {
		case map[string]any:
			said = saidIn(inner, deep-1, said)
		case []any:
			for _, one := range inner[:min(len(inner), 8)] {
				if of, ok := one.(map[string]any); ok {
					said = saidIn(of, deep-1, said)
				}
			}
		}
	}
	return said
}

// logField is what docker's json-file driver was given, or the line where another wrote it.
func logField(line []byte) []byte {
	if rest, ok := bytes.CutPrefix(line, []byte(`{"log":"`)); ok {
		if end := bytes.LastIndex(rest, []byte(`","stream":"`)); end >= 0 {
			return bytes.TrimSuffix(rest[:end], []byte(`\n`))
		}
	}
	return line
}
