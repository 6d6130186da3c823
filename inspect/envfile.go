package inspect

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EnvStatement is one assignment of an env file, by its place in the file's bytes.
type EnvStatement struct {
	Key    string
	KeyEnd int  // byte behind the name
	Bare   bool // a name alone: its value is that of the environment
	Quote  byte // ' or ", or 0
	Start  int  // first byte of the value, within quotes
	End    int  // byte behind the value; for a bare name as for KeyEnd
	Line   int  // of the name; counts from 1
}

// ScanEnv finds the assignments of an env file where compose's own reader (compose-go's dotenv) finds
// them: values over several lines, `export`, `:` for `=`, several assignments on a line. It tells places
// only; what a value means, compose-go is asked. A BOM is skipped.
func ScanEnv(data []byte) ([]EnvStatement, error) {
	s := envScanner{data: data, line: 1}
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		s.at = len("\ufeff")
	}
	var all []EnvStatement
	for {
		s.skipBlankAndComments()
		if s.at >= len(s.data) {
			return all, nil
		}
		statement, err := s.statement()
		if err != nil {
			return nil, err
		}
		all = append(all, statement)
	}
}

// envScanner walks once over the bytes; line is that of at.
type envScanner struct {
	data []byte
	at   int
	line int
}

func (s *envScanner) rune() (rune, int) { return utf8.DecodeRune(s.data[s.at:]) }

// advance goes to a later byte and counts the lines between.
func (s *envScanner) advance(to int) {
	s.line += bytes.Count(s.data[s.at:to], []byte("\n"))
	s.at = to
}

func (s *envScanner) skipBlankAndComments() {
	for s.at < len(s.data) {
		r, size := s.rune()
		switch {
		case unicode.IsSpace(r):
			s.advance(s.at + size)
		case r == '#':
			s.advance(s.lineEnd(s.at))
		default:
			return
		}
	}
}

// lineEnd is the place of the line's end: of its line feed, or of the file's end.
func (s *envScanner) lineEnd(from int) int {
	if i := bytes.IndexByte(s.data[from:], '\n'); i >= 0 {
		return from + i
	}
	return len(s.data)
}

func (s *envScanner) skipBlanks() {
	for s.at < len(s.data) {
		r, size := s.rune()
		if !blank(r) {
			return
		}
		s.at += size
	}
}

// blank is white space within a line, as compose-go sees it.
func blank(r rune) bool {
	return r != '\n' && (r == '\t' || r == '\v' || r == '\f' || r == '\r' || r == ' ' || r == 0x85 || r == 0xa0)
}

func (s *envScanner) statement() (EnvStatement, error) {
	if rest, ok := bytes.CutPrefix(s.data[s.at:], []byte("export")); ok && len(rest) > 0 && strings.IndexByte("\t\n\f\r ", rest[0]) >= 0 {
		s.at += len("export")
		s.skipBlanks()
		if s.at >= len(s.data) {
			return EnvStatement{}, fmt.Errorf("line %d: export without a name", s.line)
		}
	}
	start, line := s.at, s.line
	for ; ; s.skip() {
		if s.at >= len(s.data) { // a name at the very end, without line feed
			break
		}
		r, _ := s.rune()
		if r == '=' || r == ':' || r == '\n' {
			break
		}
		if !blank(r) && !strings.ContainsRune("_.-[]", r) && !unicode.IsLetter(r) && !unicode.IsNumber(r) {
			return EnvStatement{}, fmt.Errorf("line %d: unexpected character %q in a variable name", line, r)
		}
	}
	name := bytes.TrimRightFunc(s.data[start:s.at], unicode.IsSpace)
	if bytes.IndexByte(name, ' ') >= 0 {
		if s.at >= len(s.data) { // compose overlooks words at the very end, without line feed
			return EnvStatement{Bare: true, KeyEnd: s.at, Start: s.at, End: s.at, Line: line}, nil
		}
		return EnvStatement{}, fmt.Errorf("line %d: a variable name cannot contain a space", line)
	}
	st := EnvStatement{Key: string(name), KeyEnd: start + len(name), Line: line}
	if s.at >= len(s.data) || s.data[s.at] == '\n' {
		st.Bare, st.Start, st.End = true, st.KeyEnd, st.KeyEnd
		s.advance(min(s.at+1, len(s.data)))
		return st, nil
	}
	s.at++ // = or :
	s.skipBlanks()
	st.Start = s.at
	if s.at < len(s.data) && (s.data[s.at] == '"' || s.data[s.at] == '\'') {
		return s.quoted(st)
	}
	lineEnd := s.lineEnd(s.at)
	value := s.data[s.at:lineEnd]
	if i := bytes.Index(value, []byte(" #")); i >= 0 {
		value = value[:i]
	}
	st.End = st.Start + len(bytes.TrimRightFunc(value, unicode.IsSpace))
	s.advance(min(lineEnd+1, len(s.data)))
	return st, nil
}

func (s *envScanner) skip() {
	_, size := s.rune()
	s.at += size
}

// quoted finds the closing quote: a backslash takes its meaning from the character behind it.
func (s *envScanner) quoted(st EnvStatement) (EnvStatement, error) {
	st.Quote = s.data[s.at]
	st.Start = s.at + 1
	escaped := false
	for i := st.Start; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == st.Quote && !escaped:
			st.End = i
			s.advance(i + 1)
			return st, nil
		case c == '\\' && !escaped:
			escaped = true
		default:
			escaped = false
		}
	}
	return st, fmt.Errorf("line %d: the quote at the value of %s does not end", st.Line, st.Key)
}

// LastEnv is the last assignment of a name: the one that counts.
func LastEnv(statements []EnvStatement, key string) *EnvStatement {
	for i := len(statements) - 1; i >= 0; i-- {
		if statements[i].Key == key {
			return &statements[i]
		}
	}
	return nil
}
