package fixes

import (
	"bytes"
	"regexp"
	"sync"
)

// A text may be no report at all but documentation, a program's source or a list of changes: all messages of the world
// stand in those, and nobody met any of them there. What a text is shows in its lines: how it is marked up, whom it speaks
// to, and whether somebody tells of himself in it, a program logged something, or an error stands there as it was printed.
type nature int8

const (
	notLookedAt nature = iota
	aReport
	aDocument
	aSource
	aSetting // configuration: what its comments say was not met
)

const (
	natureLines = 400 // of a longer text so many are looked at, evenly spread
	codeLeast   = 8   // lines of a program's source that make a text one
	codeNear    = 10  // lines on a side within which there is more of it
)

var (
	// marks are what documentation is marked up with, each kind of them by itself; the first say enough alone.
	marks = sync.OnceValue(func() []*regexp.Regexp {
		var all []*regexp.Regexp
		for _, source := range []string{
			`^\S+ \([\w.:+~-]+\) [\w-]+(; urgency=|, )|^ -- .+ <.+@.+>|^commit [0-9a-f]{40}$|^-- [\w./-]+ --$|^\* (mon|tue|wed|thu|fri|sat|sun) .*@`,
			`"\$schema"|^\W*(swagger|openapi)"?: ?"?\d|^\.(TH|SH|PP|TP|IP)\b`,
			`^#!/|^// code generated|^package \w+$`,
			`spdx-license|licensed under|permission is hereby granted|copyright \(c\)|all rights reserved|you may not use this file except`,
			`^#{2,6} \S|^# (?-i:[A-Z\[\x60\d])|^[=~^"*-]{4,}$`,
			`\]\((https?:|\.{0,2}/|#|[\w-]+\.md)|^\s*\.\. _|\x60__?\b|^\[[\w-]+\]: `,
			"^\\s*(```|~~~)[a-z{]|^\\s*(</?(p|div|details|summary|img|table|Tabs?\\w*|a|br)\\b|:::|!!! )",
			`^\s*\.\. [\w-]+::|:(ref|doc|class|func|term|envvar|code|cpp:\w+):\x60|::$`,
			`^#* ?(\d+\. )?(install(ation|ing)?|usage|pre-?requisites|requirements|configur(e|ation|ing)|contributing|licen[sc]e|quick ?start|features|overview|getting started|trouble-?shooting|change ?log|release notes|synopsis|description|options|see also|examples?|introduction|table of contents|limitations|known issues|supported \w+|faq|next steps|breaking changes|bug fixes|uninstall\w*|upgrad(e|ing)|build(ing)?( from source)?|deployment|parameters|arguments)\b.{0,24}$`,
			`\b(if|when|once|that|so) you\b|\byou (can|may|need|must|should|might|will|want|have to)\b|\byour (own|system|gpu|host|machine|driver|container|docker|project|application|environment|cluster|\w+ file)\b|\b(make sure|ensure) (that |you |the )`,
			`^(usage|options|flags|synopsis|examples?|aliases|(\w+ )?commands|global options):`,
			`^(\t|\s{2,})(-\w, )?--?\w[\w-]*(,? [\w<\[-]\S*)*(\s{2,}\S|$)|^\s{2,}[a-z][\w-]+\s{2,}[A-Z][a-z]+ `,
			`^\s*\|( ?:?-{2,}:? ?\|)+`,
			`^\s*[-*] (\[[ x]\] )?(fix(e[sd])?|feat|add(ed|s)?|bump(ed|s)?|remov(ed?|es)|updat(ed?|es)|chang(ed?|es)|improv(ed?|es)|support|refactor\w*|drop(ped|s)?|allow|deprecat\w*|promot\w*|docs?|chore|ci)\b|\(#\d{2,}\)|@[\w-]+ in (https|#\d)|^(#+ )?\[?v?\d+\.\d+(\.\d+)?\]?( [-(]|$)|^[0-9a-f]{7,12} [\w(]`,
			`^\s*(- )?["']?(description|summary|title|help|usage)["']?: `,
			`^- \S[^|]{20,}$`,
		} {
			all = append(all, regexp.MustCompile(`(?i)`+source))
		}
		return all
	})
	// oneself is what somebody writes who tells what happened to him, or asks.
	oneself = lazy(`\bI('|’)?(m|ve|d|ll)?\b( |,|$)|\b([Mm]y|[Mm]ine)\b( |\.|,|$)|\b([Ww]e|[Oo]ur)\b.{0,40}\b(did|got|had|have|saw|see|hit|run|ran|upgraded|installed|tried|get|still|since|yesterday)\b|\?\s*$|\b([Aa]ny ideas?|please help|[Tt]hanks( in advance)?|[Cc]heers|yesterday|[Ll]ast (night|week|month)|[Tt]his (morning|week)|twice|still (the same|no|fails|happens)|is back)\b|(^|\. )([Jj]ust |[Ww]e )?(?i:followed|installed|tried|copied|pasted|ran|got|upgraded|rebooted|reinstalled|bought|switched|moved|noticed|getting (an?|the|this)|trying to|seeing|having) `)
	// template are the headings of a form for bugs, those first that stand nowhere else.
	templates = sync.OnceValue(func() [2]*regexp.Regexp {
		return [2]*regexp.Regexp{
			regexp.MustCompile(`(?i)^\W*(describe (the |your )?(bug|issue|problem)|(the )?(bug|issue|problem) description|bug report|(steps? )?to reproduce|reproduction( steps)?|expected( behaviou?r| result)|(actual|current|observed)( behaviou?r| result)|what happened|what (did you|you) (do|try|expect)\w*.*|your (current )?environment|additional (context|info\w*)|(is there an )?existing issue.*|code of conduct|<summary>.*(output|logs?|collect_env|trace|docker (info|inspect|version)|versions?|error)\b.*|relevant log output|how to reproduce.*)\W*$|^\s*[-*] \[x\] `),
			regexp.MustCompile(`(?i)^\W*(environment( info\w*)?|(relevant )?log( output|s)?|(error |full )?(output|result|trace|log|message)s?|versions?( info\w*)?|(the )?(issue|problem|error|bug|question)|symptoms?|host( os| system)?|traceback|system( info\w*)?|setup|hardware|software|context|reproduc\w+|os|gpus?|driver|docker( version)?|image|what i tried|tried( so far)?|workaround)\W*$`),
		}
	})
	// ranLine is a line that a program wrote as it ran.
	ranLine = lazy(`^\{"(.{0,160}")?(ts|time|timestamp|@timestamp|date|t)": ?"?\d|^\W{0,2}(\d{4}[-/]\d\d[-/]\d\d[T ]\d|\[ *\d+\.\d{3,}\]|[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d |[IWEF]\d{4} \d\d:|\d\d:\d\d:\d\d[ .,]|time="|Traceback \(most|\[\w+@|[\w.-]+@[\w.-]+:.{0,40}[$#] |(INFO|WARNING|ERROR|CRITICAL)\b[ :])|^\s*File "[^"]+", line \d`)
	// printed is an error as it is printed, at the beginning of a line.
	printed = lazy(`^\s*(> ?|# ?|[\x60\"]|//+ ?)?([\w.]*(Error|Exception): \S|(?i:docker: |nvidia-container-cli: |error( response from daemon|\[\w+\])?: |fatal: |failed to |cannot |could not |unable to |E: |modprobe: |NVRM: |\w+: error: ))|^\s*=> ERROR`)
	// code is a line of a program's source.
	code = lazy(`^\s*(//|/\*|\*( |/|$)|#\s*(include|define|if(n?def)?|endif|else|elif|pragma|undef)\b|(export |pub |async |static |public |private |protected |inline |extern |unsafe )*(func|def|class|fn|struct|enum|typedef|interface|impl|function|namespace|template|type)\b[ <(]|(import|package|using|from|return|raise|throw|elif|else|except|try|finally|case|default|const|var|let|static|local|switch|defer|yield|await|assert|module|require|include)\b.{0,120}([;:{,(]|\w|["')])$|(if|for|while|switch)\b.*[{:)\\;]$|(if|elif|while|for) .*; (then|do)$|(fi|done|esac|then|do|else|end)$|@\w+|[\w.\->\[\]*&, ]+ ?(:?=|\+=|-=|\|=|\?=) .*|[\w.>:-]+\(.*\)[;,]?( \{)?$|["'\x60\{].*["'\x60\}][,;)]+$|[\]})]+[,;)]*$|\w+:\s.*,$|[A-Z][A-Z0-9_]{3,}( = .*|\(.*|),?$|(exec|stdout|stderr|! exec|RUN|ENV|COPY|FROM|WORKDIR|ENTRYPOINT|CMD|ARG) \S)|[;{}]$|\(\) ?\{|^\t@?\S.*\$\(|^[\w-]+:.*##|^\w+ \w+ .*\x60json:"`)
	// data is a line of JSON, YAML or of a message that only looks like source.
	data = lazy(`^\s*(\{"|"[^"]*"\s*:|[\[\]{}]+,?$|"[^"]*",?$|[\w.-]+:( .*[^,])?$)`)
)

var (
	title   = lazy(`^# [A-Z]|^<h1|^(---|\+\+\+)$`)
	comment = lazy(`^\s*#+( |$)`)
)

const (
	marksAlone   = 2  // so many of marks say enough alone
	marksSource  = 2  // the one of a program's source
	marksTeach   = 9  // the one of those that speaks to its reader
	marksStrange = 4  // kinds, and
	pageLeast    = 10 // lines of a page without a title
)

// is tells what the text is, as far as it is seen.
func (w *window) is() nature {
	if w.nature == notLookedAt {
		w.nature = w.judged()
	}
	return w.nature
}

// tellsOfOneself is whether somebody tells of himself in the text, which is seen when it is judged.
func (w *window) tellsOfOneself() bool {
	w.is()
	return w.oneself
}

// withinCode tells if the lines of a source go on before and after a line: what stands in front of all of them, or behind, may
// be what somebody reports with them.
func (w *window) withinCode(line int) bool {
	before, after := w.codeFrom(line, -1), w.codeFrom(line, 1)
	return before && after || (before || after) && isCode(w.bytes(line))
}

func (w *window) codeFrom(line, step int) bool {
	seen := 0
	for i := line + step; i >= 0 && i < len(w.lines) && seen < codeNear; i += step {
		if isCode(w.bytes(i)) {
			return true
		}
		if len(bytes.TrimSpace(w.bytes(i))) > 0 {
			seen++
		}
	}
	return false
}

func isCode(text []byte) bool {
	text = bytes.TrimRight(text, " \t\r")
	return !data().Match(text) && !printed().Match(text) && code().Match(text)
}

func (w *window) judged() nature {
	var kinds [17]int
	lines, codes, me, logs, forms, errors, datas, comments := 0, 0, 0, 0, 0, 0, 0, 0
	fenced, shebang := false, false
	for i := 0; i < len(w.lines); i += 1 + len(w.lines)/natureLines {
		text := bytes.TrimRight(w.bytes(i), " \t\r")
		text = text[:min(len(text), 400)]
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		lines++
		if bytes.HasPrefix(bytes.TrimSpace(text), []byte("```")) {
			fenced = !fenced
		}
		ofCode := false
		switch {
		case ranLine().Match(text):
			logs++
		case printed().Match(text):
			errors++
		case data().Match(text):
			datas++
		case comment().Match(text):
			comments++
		case code().Match(text):
			codes++
			ofCode = true
		}
		switch t := templates(); {
		case t[0].Match(text):
			forms += 2
		case t[1].Match(text):
			forms++
		}
		if !fenced && !ofCode && (text[0] != '#' || comment().Match(text) && shebang) && oneself().Match(text) {
			me++
		}
		for k, re := range marks() {
			if re.Match(text) {
				kinds[k]++
			}
		}
		shebang = shebang || lines == 1 && bytes.HasPrefix(text, []byte("#!"))
		if lines == 1 && title().Match(text) {
			kinds[len(kinds)-1]++
		}
	}
	different, all, alone := 0, 0, 0
	for k, n := range kinds {
		if n > 0 {
			different++
			if k < marksAlone {
				alone++
			}
		}
		all += n
	}
	told := lines / 60
	if alone > 0 || kinds[marksSource] > 0 || different >= marksStrange && kinds[marksTeach] > me {
		told = max(1, lines/10)
	}
	w.oneself = me > 0
	switch {
	case forms > 1+lines/50 || me > told || logs > lines/40:
	case errors > lines/60 && (different < marksStrange || kinds[marksTeach] < 2):
	case codes >= codeLeast && codes*5 >= lines*2 || kinds[marksSource] > 0 && codes*4 >= lines:
		return aSource
	case lines < pageLeast && alone+kinds[len(kinds)-1] == 0:
	case alone > 0 || different >= 3 || different == 2 && all >= 4:
		return aDocument
	case datas >= codeLeast && (datas+comments)*10 >= lines*7:
		return aSetting
	}
	return aReport
}
