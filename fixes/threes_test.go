package fixes

import (
	"strings"
	"testing"
)

// lineOf is a squashed line to look for strings in.
func lineOf(squashed string) searched {
	t := &lineThrees{}
	t.add([2]byte{}, squashed)
	return searched{t, func() string { return squashed }}
}

// What an expression needs beside one word is asked of each of its alternatives apart.
func TestNeedsOfAlternatives(t *testing.T) {
	for _, test := range []struct {
		source string
		text   string
		want   bool
	}{
		{"a word", "a word", true},
		{"a word", "a sword", false},
		{"(driver|module) .{0,9}(lost|gone)", "the driver is gone", true},
		{"(driver|module) .{0,9}(lost|gone)", "the driver is here", false},
		{"driver .{0,9}lost|module .{0,9}gone", "the module is gone", true},
		{"driver .{0,9}lost|module .{0,9}gone", "the driver is gone", false}, // each half of another alternative
		{"driver .{0,9}lost|module", "a module", true},
		{"(driver .{0,9}lost|module )?is", "this", true},
		{"(driver .{0,9}lost|module .{0,9}gone)+ now", "module gone, now", true},
		{"(driver .{0,9}lost|module .{0,9}gone)+ now", "module there, now", false},
		{`cuda\D{0,60}\b(3\d\d|4\d\d)\.\d`, "cuda 418.2", true},
		{`cuda\D{0,60}\b(3\d\d|4\d\d)\.\d`, "cuda 550.2", false},
		{`x\.|y\.`, "z.", false},
	} {
		text := squash(test.text)
		if got := patternOf(test.source, "i").possible(lineOf(text)); got != test.want {
			t.Errorf("%s in %q: %v", test.source, test.text, got)
		}
		if got := patternOf(test.source, "i").possible(searched{text: func() string { return text }}); got != test.want {
			t.Errorf("%s in %q, by its text alone: %v", test.source, test.text, got)
		}
	}
}

// A text that lines are part of is asked for what stands across their ends as well.
func TestThreesOfNearLines(t *testing.T) {
	w := &window{scanner: newScanner(symptoms()), buf: []byte("one tw\no\n\nth\n  ree four\n")}
	w.rememberLines()
	linesOf(w.buf, true, func(start, end int, cut bool) { w.lines = append(w.lines, textLine{start: start, end: end, cut: cut}) })
	for line := range w.lines {
		all := w.near(line, line-len(w.lines), line+len(w.lines))
		if text := all.text(); !strings.HasPrefix(text, "onetwothreefour\n") {
			t.Fatalf("line %d: %q", line, text)
		}
		for _, part := range []string{"netwo", "wothr", "othreef", "our", "tw", "o"} {
			what := newSought(part)
			if !all.mayHave(&what) {
				t.Errorf("line %d: %s is ruled out", line, part)
			}
		}
	}
	what := newSought("three")
	if lines := w.near(0, -1, 1); lines.mayHave(&what) {
		t.Error("far lines are searched")
	}
}
