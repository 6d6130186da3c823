package fixes

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"
)

// sameAnswer holds a matcher against the standard library.
func sameAnswer(t *testing.T, source string, m *matcher, re *regexp.Regexp, text string) {
	t.Helper()
	is, sure := m.match(text)
	if want := re.MatchString(text); sure && is != want {
		t.Errorf("%s\non %.300q: %v, want %v", source, text, is, want)
	}
}

func matcherOf(t testing.TB, source string) (*matcher, *regexp.Regexp) {
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		t.Skip(err)
	}
	re, err := regexp.Compile(source)
	if err != nil {
		t.Skip(err)
	}
	p := newProgram(parsed.Simplify())
	if p == nil {
		t.Skip("no program")
	}
	return newMatcher(p), re
}

func TestMatcher(t *testing.T) {
	texts := []string{"", "a", "ab", "aab", "xaaab", "a\nb", "\n", "ab\nab", " b", "b ", "_b", "é", "aéb", "\xffb", "K\u212a", "ſs", "word", "a word here",
		"nvidia driver was updated", strings.Repeat("nvidia ", 40) + "x", strings.Repeat("a", 300), "b" + strings.Repeat("a", 120) + "b", "… ✓ ab", "A-B_C 9"}
	for _, source := range []string{`a`, `^a`, `a$`, `(?m)^ab$`, `(?m)$`, `\bb\b`, `\Bb`, `a.b`, `(?s)a.b`, `a.{0,3}b`, `b.{2,120}b`, `(?i)k`, `(?i)S`, `(?i)nvidia.{0,40}(updat|upgrad)`,
		`a*b`, `a+?b`, `(a|b){0,3}c`, `[^a]`, `\W.{0,2}\w`, `(a.{0,2}){0,3}b`, `.{0,5}.{0,5}b`, `(?:a{0,2}b){2}`, `\Aab\z`, `()|x`, `[^\x00-\x{10FFFF}]`, `é.?b`, `(?i)ſ.{0,2}S`, `(^|\n)b`, `a(^b|\n?b)`} {
		m, re := matcherOf(t, source)
		for range 2 { // the second time from what was kept
			for _, text := range texts {
				sameAnswer(t, source, m, re, text)
			}
		}
	}
}

// Every expression of the table gives the same answers on every text of the corpus as the standard library's engine.
func TestMatcherOnTheTable(t *testing.T) {
	t.Parallel()
	var texts []string
	for _, c := range readCorpus(t, "dev") {
		texts = append(texts, c.Text, canon([]byte(strings.ReplaceAll(c.Text, "\n", " "))))
	}
	turn := 0
	for _, e := range symptomEntries() {
		for _, s := range e.Symptoms {
			turn++
			sources := map[string]string{s.Match: "i", s.Unless: "i"}
			for _, source := range append(append([]string{}, s.With...), s.Absent...) {
				sources[source] = "im"
			}
			for source, flags := range sources {
				if source == "" {
					continue
				}
				p := patternOf(source, flags)
				if p.program() == nil {
					t.Errorf("%s: %s has no program", e.ID, source)
					continue
				}
				m := newMatcher(p.program())
				for n := turn % 200; n < len(texts); n += 200 { // a part each, of which all symptoms together see everything: all of it takes minutes
					is, sure := m.match(texts[n])
					if sure && is != p.match(texts[n]) {
						t.Errorf("%s: %s on %q: %v", e.ID, source, texts[n], is)
					}
					if is && !p.possible(lineOf(squash(texts[n]))) {
						t.Errorf("%s: %s matches %q and needs what is not in it", e.ID, source, texts[n])
					}
				}
				if m.refused > 0 {
					t.Logf("%s: %s has many states", e.ID, source)
				}
			}
		}
	}
}

func FuzzMatcher(f *testing.F) {
	f.Add(`(?i)a.{0,9}(b|\bc)$`, "xa  c", "b\na c")
	f.Add(`(?m)^\W{1,4}é`, "  é", "\n é")
	f.Fuzz(func(t *testing.T, source, a, b string) {
		if len(source) > 60 {
			t.Skip("long")
		}
		m, re := matcherOf(t, source)
		for _, text := range []string{a, b, a + b, a} {
			sameAnswer(t, source, m, re, text)
		}
	})
}
