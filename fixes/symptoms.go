package fixes

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// A sign is a symptom that was found.
type sign struct {
	entry, symptom int
	weight         int
	evidence       Evidence
	order          int  // lines before it, over all texts
	aside          bool // it counts only where there is none else
}

// symptomIndex is the table of symptoms, made for searching.
type symptomIndex struct {
	entries  []Entry
	symptoms []symptomRef
	whole    func() *literalIndex
	short    func(text []byte) *literalIndex
}

type symptomRef struct {
	entry, symptom int
	*Symptom
}

var symptoms = sync.OnceValue(func() *symptomIndex { return newSymptomIndex(symptomEntries()) })

func newSymptomIndex(entries []Entry) *symptomIndex {
	x := &symptomIndex{entries: entries}
	for e := range entries {
		for s := range entries[e].Symptoms {
			x.symptoms = append(x.symptoms, symptomRef{e, s, &entries[e].Symptoms[s]})
		}
	}
	x.whole = sync.OnceValue(func() *literalIndex { return newLiteralIndex(x.symptoms, func(string) bool { return true }) })
	x.short = func(text []byte) *literalIndex { return newLiteralIndex(x.symptoms, threesIn(text).have) }
	return x
}

var dialectReplacer = strings.NewReplacer(`"`, "", "'", "", "`", "", " +", `\s+`, " ", `\s*`)

// wordClasses are what people write where a program would print its message. An expression of the table names them
// in braces: {prose} is somebody who tells or asks, {tale} how they join what they tell, {gpu} what they call the GPU,
// {bad} that something is amiss, {nt} a verb with its "n't" ("\b(not|n.?t)" would never find "don't": no word begins there).
var wordClasses = strings.NewReplacer(
	"{prose}", `((^|[ (,.;:])(I(ve|m)?|we(ve)?|mine|my|ours?|us|me)[ ,.]|\?(\s|$)|\b(anyone|anybody|somebody|someone|please help|is there (a|any|some)|how (do|can|to|does|should|could)|why (does|do|is|are|did)|what (is|am|do|can|else|went|could|keeps|must)|which (\w+ )?(is|do|must|should|understands?|can|may|could|belongs?|counts?|one)|do I|can I|must I|should I|may I|have to|(I|we)d like|hi all|hello|hey)\b)`,
	"{tale}", `\b(but|because|although|though|when|whenever|since|after|until|unless|says?|while|then|now|otherwise|only|and|so)\b`,
	"{gpu}", `(nvidia|cuda|\bgpus?\b|graphics? (card|adapter)|video card|\b(my|our|the|this|that|one|each|both|second|same|first|other) cards?\b|\bvram\b|geforce|\b[RG]TX ?\d|quadro|\btesla\b|\b(A100|H100|H200|L4|L40S?|T4|V100|P100|P40|K[48]0|A10G?|A[34]0|A[2456]\d00|B200|[1-5]0[5-9]0 ?(ti)?)s?\b|nvenc|nvdec)`,
	"{bad}", `(\b(fail\w*|error\w*|crash\w*|dies?|died|dead|abort\w*|stops?|stopped|quits?|exit\w*|breaks?|broken?|refus\w*|reject\w*|complain\w*|hangs?|stuck|kill\w*|cannot|can.?t|couldn.?t|(are|was|were|has|have)n.?t|unable|not|no longer|never|nothing|none|gone|lost|missing|wrong|problem\w*|denied|deny|denies|denials?|won.?t|doesn.?t|don.?t|isn.?t|didn.?t|insufficient|disabled|falls? back|no)\b)`,
	"{nt}", `((do|does|did|is|are|was|were|ca|could|wo|would|should|has|have|had|must|need)n.?t)`,
)

// dialect turns an expression of the table into RE2: see Symptom.
// "n.?t" ends a word: without that it would stand in each "container".
func dialect(source string) string {
	return dialectReplacer.Replace(strings.ReplaceAll(wordClasses.Replace(source), `n.?t`, `n.?t\b`))
}

// scanner looks for symptoms in one or several texts.
type scanner struct {
	index  *symptomIndex
	signs  []sign
	found  []bool       // symptoms that need no further look
	asides []bool       // symptoms of which there is a sign aside
	match  []*pattern   // by symptom, where it was tried
	tried  []tries      // by symptom, of its context
	joins  []tries      // by symptom, of lines put together
	pieces []pieceTries // by symptom
	lines  int          // of the texts so far

	matchers    map[*pattern]*matcher
	matcherSize int

	said *spoken // nil: words do not count
}

// tries of a symptom that failed: what costs much is, in a text that goes on and on, tried ever less often.
type tries struct{ failed, skip int }

// due counts a try, and tells if it is to be made.
func (t *tries) due(free int) bool {
	if t.skip > 0 {
		t.skip--
		return false
	}
	if t.failed++; t.failed > free {
		t.skip = 1<<min(t.failed-free, 30) - 1
	}
	return true
}

// pieceTries are those in the pieces of one long line, which may have no end.
type pieceTries struct {
	of   int // the line's number
	last int // the piece
	tries
}

// due tells if a symptom is to be tried in a piece, and counts that; in each piece once.
func (t *pieceTries) due(line, piece int) bool {
	if t.of != line {
		*t = pieceTries{of: line}
	}
	if t.last == piece {
		return false
	}
	t.last = piece
	return t.tries.due(64)
}

func newScanner(x *symptomIndex) *scanner {
	return &scanner{index: x, found: make([]bool, len(x.symptoms)), asides: make([]bool, len(x.symptoms)), match: make([]*pattern, len(x.symptoms)), tried: make([]tries, len(x.symptoms)), joins: make([]tries, len(x.symptoms)), pieces: make([]pieceTries, len(x.symptoms)), matchers: map[*pattern]*matcher{}}
}

// A text about another vendor's GPU says much that one about NVIDIA's says too ("out of memory", "no
// device found"). What it says counts only where NVIDIA's name, or something that only it has, is in it.
const (
	otherVendors = `\bamdgpu\b|\brocm|\bhip(blas|Error|Malloc|MemAlloc|cc)?\b|/dev/kfd|\bgfx\d{3,4}\b|\bRadeon\b|\bi915\b|level[-_ ]zero|\bxpu\b|\boneapi\b|\bhabana|\bgaudi|MPS backend|\bAMD (GPU|Instinct)|Intel (Arc|GPU|\(R\) Arc)|\bSYCL\b`
	nvidia       = `nvidia|NVRM|\bnvml|(^|[^.\w])cuda([^.]|$)|cudnn|cublas|\bnvenc|nvdec|\bnccl|geforce|\btesla\b|quadro|\b[RG]TX\b|\bXid\b|nvcr\.io|compute capability\W*([02-9a-z]|1\d|$)|--gpus|capabilities: ?\[\[gpu`
)

// contentment is what people write who have no fault to report: they ask what to buy, or praise what they have.
const contentment = `\b(just|only) (saying|sharing|curious|wondering|wonder|asking|wanted to (share|say|ask))\b|no (problems?|trouble|issues?) (so far|at present|here|at all|until now)|without (any )?(trouble|problems?|issues?)\b|\b(does(n.?t| not)|do(n.?t| not)) (need (a|the|any|one)\b|matter)\b|that .{0,24}does(n.?t| not) need\b|still (doing|going) (great|fine|well|strong)|(everything|all) (\w+ ){0,4}still works?\b|(which|what) (gpu|card|driver|version|graphics card) (should|would|do) (I|you|we)\b|should (I|we) (buy|get a|upgrade|stay|keep|prefer)\b|is (it|there) (worth|a benefit)|worth (it|the|to)\b`

// intended is said of a machine that has no GPU and needs none.
const intended = `\b(no|without( a| an| any)?|not|CPU[- ]only)\b[^\n.]{0,60}\b(intended|intentional\w*|on purpose|by design|deliberate\w*|(and )?(none|not|never) (is )?(needed|wanted|required))\b|\b(only|just) (on )?CPU nodes\b|\bCPU nodes only\b|\bgpu: enabled: ?false\b|\bgpu\.enabled\W{1,3}false\b`

// wantedThing is what they write who want something that is not there yet.
const wantedThing = `\b(please|(could|can|would) you( please)?) (add|support|provide|offer|expose)\b|feature request|nothing is broken`

// document is what stands in documentation, sources, lists of changes and rules of alerts. Where nobody speaks of himself
// besides, it tells how things are, and reports no fault.
const document = `^ ?(usage: ?|(global )?options: ?$|flags: ?$|\.PHONY: )|^ ?(import \w+( as \w+)?$|from [\w.]+ import |(?-i:package) \w+$|func \(?\w+|def \w+\(|class \w+[(:]|#include ?<|@pytest|use \w+::|- alert: |expr: )|\]\((https?:|\.\./|#)[^\n]*|:(ref|doc): ?[\w<]|^ ?(#+ ?)?(version )?v?\d+\.\d+(\.\d+)?(-rc\S*)?( ?\([-\d]+\))?$|^ ?[-*] (fix(e[ds])?|feat|bump(ed|s)?|promoted?|refactor\w*)\b|\bLGTM\b|\bNit: `

// teaching is what teaches, or lists what has changed: unless somebody speaks of himself besides, no message in it was met.
const teaching = `^ ?[-*] (fix(e[ds])?|added|changed|removed|feat): |^ ?(#+ ?)?((from )?(the |our )?runbook\b|runbook:)|cheat ?sheet|in this (article|post|guide|chapter|tutorial)\b|what do \w+ (numbers|codes|errors) mean|^ ?(#+ ?)?(bug fixes|new features|breaking changes|what.?s changed|release notes|change ?log):? ?$|^ ?(feat|fix|docs|chore|refactor)(\([^)]*\))?!?: |^ ?Section about \w+ properties`

// otherQuestion is what somebody says whose question is another than the fault that he tells of, or who wants a text to be read.
const otherQuestion = `(question|problem|issue) (now )?is (about )?something else|^ ?how to: |\b(draft|text|page|section) for (the|our|an?) (internal )?(wiki|handbook|docs|manual|onboarding|readme)\b|(for|in) (the|our) (internal )?(wiki|handbook),? (please )?(review|proofread)|\breview\w* (of |wanted for |for )?(the |my |our |this )?(wording|draft|onboarding text|text)\b`

// somebody tells of himself, or asks.
const somebody = `(?-i:\bI\b|\b[Mm]y\b|\b[Mm]ine\b)|\?\s*$`

// releaseHeading is what a list of a release's changes stands under, and listItem an entry of it.
const releaseHeading = `^ ?#+ ?(version |release )?\[?v?\d+\.\d+(\.\d+)?\b`

var listItem = lazy(`^\s*[-*•] \S`)

// shownOnly is a line that shows a message and is not where it was met: a line of a program's source, an entry of a list of
// changes, a rule that waits for the message, a test that has passed.
var shownOnly = lazy(`(?i)^\s*([-*•]\s*)?(fix(e[ds])?|feat|docs|added|changed|improved)(\([^)]*\))?\s*:|^\s*[-*•]\s*(\[[^\]]*\]\s*)?fix(e[ds])?\b|` +
	`^\s*(=== (RUN|PAUSE|CONT|NAME)\b|--- (PASS|SKIP)\b|raise \w+\(|except\b.*:|assert\b|(el)?if (!|\[|\(|not |command |test |err\b|torch\.|["'].* in )|(logger|log|logging|console)\.\w+\(|echo ["']|return (fmt|errors)\.|//\s)|` +
	`\bgrep (-\w+ )*-\w*q\w* |^\s*(- )?(expr|alert|summary|annotations|pattern|regex):\s|::test\w* PASSED|\bPASSED$|[!=]= ?["'][^"']{8,}["']\)?:|\b(pytest|unittest)\.skip|\breason=["']|^\s+f?["'][^"']{16,}["']\s*\)?;?$|\b(look|watch|scan|wait)(s|ing)? (for|on) ["“]|^\s*#\s.*\bmeans?\b`)

// uneventful is a line of a tool's listing that tells of nothing: a figure of nvidia-smi -q that is nought, with or without
// its XML, a metric that is, or what it is for; a figure of a Snapshot; a file that nvidia-ctk found, or did without; an option and what it does.
var uneventful = sync.OnceValue(func() *regexp.Regexp {
	const nought = `(0|0x0+|no|n/a|none|not active|disabled|0(\.0+)? (us|ms|mib|kib|gib|%|w|c|mhz))`
	return regexp.MustCompile(`(?i)^\s*[a-z][^:<>]{0,60} : ` + nought + `\s*$|^\s*<[a-z_0-9]+>` + nought + `</?[a-z_0-9]*>?\s*$|^\s*</?[a-z_0-9]+>\s*$|^\s*(aggregate )?uncorrectable sram sources\s*$|^# (help|type) \w+ |^\s*(-\w, )?--[\w.-]+(, --[\w.-]+)*( [a-z-]+)?\s{2,}[a-z]|^(dcgm_fi|nvidia_|docker_gpu_)\w+(\{[^}]*\})? 0(\.0+)?\s*$|^\s*"?\w+(celsius|watts|mhz|bytes|seconds|persecond|percent)"?: [\d.]+,?\s*$|` +
		`level=(info|warning) msg="?(selecting|could not locate|missing lib\S+|failed to evaluate symlink|generated cdi spec|auto-detected mode|using) [^"]*"?\s*$|^could not locate \S+: \S+: not found|^(info|warn)\[\d+\]\s+could not locate \S*(/socket|nvidia-mps|controld\d+|imex)\S*: pattern |^selecting \S+ as \S+$`)
})

// isUneventful looks at a line as it stands, without what a log puts around it, and as it was before it was wrapped.
func (w *window) isUneventful(line int) bool {
	re := uneventful()
	if re.Match(w.bytes(line)) || re.MatchString(canon(message(w.unprefixed(line)))) {
		return true
	}
	from, to := w.wrapped(line)
	return from < to && re.MatchString(w.join(from, to, ""))
}

// notMet tells that what stands in a line, or in those from first to last, was not met: it is shown, listed or taught.
func (w *window) notMet(line, first, last int, prose bool) bool {
	switch {
	case w.isUneventful(line), first < last && w.areUneventful(first, last):
	case w.isShown(line) && !w.raised(line) && !w.inList(line):
	case listItem().Match(w.bytes(line)) && w.somewhere(w.around(-1), releaseHeading) && !w.somewhere(w.around(-1), somebody):
	case w.prose && !w.beside && (w.somewhere(w.around(-1), teaching) && !w.tellsOfOneself() || w.somewhere(w.around(-1), otherQuestion)):
	case w.is() == aDocument || w.is() == aSource && w.withinCode(line):
	case w.is() == aSetting && (prose || comment().Match(w.bytes(line))):
	default:
		return false
	}
	return true
}

// isShown looks at a line as it stands, and as it was before it was quoted.
func (w *window) isShown(line int) bool {
	text := w.bytes(line)
	return shownOnly().Match(text) || len(text) > 0 && text[0] == '>' && shownOnly().Match(w.unprefixed(line))
}

// areUneventful tells if each of the lines is, or is a heading, whatever they say as one.
func (w *window) areUneventful(first, last int) bool {
	for line := first; line <= last; line++ {
		if !w.isUneventful(line) && !heading().MatchString(canon(w.unprefixed(line))) {
			return false
		}
	}
	return true
}

var heading = lazy(`^\s*([A-Z][\w.-]*\s*){1,4}$`)

// row is a line of a list that a tool printed: a key and its value, an assignment, a library and its path, an option and
// what it does, a package, a target. A word alone is one, too, where it is not the rest of the line before.
var row = lazy(`^\s*[\w.()/ -]{1,48} : |^\s*[A-Za-z][\w ().-]{0,48}:(\s+\S+){0,2}\s*$|^\s*[A-Za-z_]+=\S*\s*$|\) => /|^\s*(-\w, )?--[\w.-]+(\s|,|$)|^(ii|rc|un)\s|^\s*#?\s*[\w.-]+ = |^[\w-]+:.* ##? `)

// trouble are words of a message, whatever the form of its line.
var trouble = lazy(`(?i)error|fail|fatal|exception|cannot|can.t|could not|unable|denied|refus|not (found|permitted|support)|no such|invalid|missing|unknown|unsupported|killed|abort|crash`)

func (w *window) isRow(line int) bool {
	text := w.bytes(line)
	if trouble().Match(text) {
		return false
	}
	return row().Match(text) || len(bytes.Fields(text)) == 1 && (line == 0 || w.width(line-1) < wrappedFrom)
}

// listLines is how many lines a text has at least in which rows are of a list, and not notes of a person.
const listLines = 25

// ownLine is what `docker info` says of this program, which is a question and nobody's.
var ownLine = []byte("(docker gpu)")

// isVoiceless tells if a text is a list or a log and nothing else: it is long, and nobody says a sentence in it.
func (w *window) isVoiceless() bool {
	if w.voiceless == nil {
		voiceless := len(w.lines) >= listLines && !slices.ContainsFunc(w.lines, func(l textLine) bool {
			text := w.buf[l.start:l.end]
			return !bytes.Contains(text, ownLine) && isSentence(wordsOf(string(text)))
		})
		w.voiceless = &voiceless
	}
	return *w.voiceless
}

// wrappedFrom is the width from which a line may have its rest on the next one, which is no row of its own.
const wrappedFrom = 68

// discontent is what they write who praise something, or ask what to take, on the way to a fault.
const discontent = `\b(fail\w*|crash\w*|errors?|refus\w*|stop(s|ped)|abort\w*|complain\w*|cannot|unable|reject\w*|denied|gone|missing|no longer|not (found|start|load|work|supported|compatible)\w*)\b|n.?t (start|load|work|find|see|compatible|supported)\w*\b`

// generic are causes that need no NVIDIA GPU to strike.
var generic = []ID{"docker-socket-permission", "docker-daemon-not-running", "daemon-json-invalid", "shm-too-small", "host-out-of-memory",
	"arch-mismatch", "macos-unsupported", "engine-too-old", "device-permission-denied", "compose-syntax", "compose-too-old", "gpus-flag-quoting"}

func (s *scanner) ofNVIDIA(entry int) bool {
	return !slices.Contains(generic, s.index.entries[entry].ID)
}

// mereFact is the weight up to which a symptom is a fact of the machine, no fault, and told only where no program says
// what is wrong, whichever it is.
const mereFact = 10

func (w *window) try(h hit) {
	ref := w.index.symptoms[h.symptom]
	if ref.Prose && (!w.prose || w.beside && w.byProgram(h.line)) {
		return
	}
	match := w.match[h.symptom]
	if match == nil {
		match = patternOf(ref.Match, "i")
		w.match[h.symptom] = match
	}
	first, last, text := h.line, h.line, ""
	alone := match.possible(w.onLine(h.line))
	if !alone {
		from, to := h.line-ref.Lines, h.line+ref.Lines
		if ref.Lines == 0 {
			if from, to = w.wrapped(h.line); from == to {
				return
			}
		}
		if !match.possible(w.near(h.line, from, to)) {
			return
		}
	}
	switch {
	case ref.Lines > 0:
		first, last = max(0, h.line-ref.Lines), min(len(w.lines)-1, h.line+ref.Lines)
		if text = w.join(first, last, " "); !w.matches(match, text) {
			return
		}
		first, last = h.line, h.line
	default:
		text = w.canon(h.line)
		if ref.Prose { // what a log puts before a line is not what somebody said
			text = canon(w.unprefixed(h.line))
		}
		if alone && w.matches(match, text) {
			break
		}
		if first, last = w.wrapped(h.line); first == last || !w.joins[h.symptom].due(64) {
			return
		}
		if text = w.join(first, last, ""); w.matches(match, text) {
			break
		}
		if text = w.join(first, last, " "); !w.matches(match, text) {
			return
		}
	}
	if strings.Contains(ref.Match, "(?P<other>") && !differ(match.re(), text) {
		return
	}
	if ref.Unless != "" {
		unless := patternOf(ref.Unless, "i")
		if w.matches(unless, text) {
			return
		}
		if first == last && ref.Lines == 0 && (w.width(h.line) >= unlessFrom || h.line > 0 && w.width(h.line-1) >= unlessFrom) { // what speaks against it may stand in the wrapped rest
			if a, b := w.wrapped(h.line); a < b && w.matches(unless, w.join(a, min(b, h.line+1), "")) {
				return
			}
		}
	}
	beside := false
	if len(ref.With)+len(ref.Absent) > 0 || w.ofNVIDIA(ref.entry) {
		if !w.tried[h.symptom].due(6) {
			return
		}
		around, everywhere := w.around(h.line), w.around(-1)
		if ref.Weight <= mereFact {
			around = everywhere
		}
		if ref.Prose && (w.services[h.line] == otherOutput || w.somewhere(around, contentment) && !w.somewhere(around, discontent) || w.somewhere(around, wantedThing) || w.ofNVIDIA(ref.entry) && w.somewhere(around, intended) || w.somewhere(w.notAside(), document) && !w.somewhere(everywhere, somebody)) {
			return
		}
		if !w.fits(ref.Symptom, around) {
			if !ref.Prose || !w.fitsBesidePasted(ref.Symptom, h.line) {
				return
			}
			beside = true
		}
		if w.ofNVIDIA(ref.entry) && w.somewhere(everywhere, otherVendors) && !w.somewhere(everywhere, nvidia) {
			return
		}
	}
	if ref.Prose && w.isVoiceless() || w.index.entries[ref.entry].ID != healthyID && w.notMet(h.line, first, last, ref.Prose) || (ref.Prose || len(ref.With) > 1) && len(w.lines) >= listLines && w.isRow(h.line) {
		return
	}
	if at := match.re().FindStringIndex(text); at != nil && w.index.entries[ref.entry].ID != healthyID && noneOf().MatchString(text[:at[0]]) {
		return
	}
	weight := ref.Weight
	aside, none := w.isAside(ref.Symptom, h.line, text, match.re())
	if aside {
		if none || w.asides[h.symptom] {
			return
		}
		w.asides[h.symptom], weight = true, min(weight, asideWeight)
	} else {
		if beside {
			weight = min(weight, besideWeight)
		}
		w.found[h.symptom] = true
	}
	w.signs = append(w.signs, sign{
		entry: ref.entry, symptom: ref.symptom, weight: weight, aside: aside, order: w.scanner.lines + w.lines[h.line].number,
		evidence: Evidence{Source: w.source, Line: w.lines[first].number, Text: w.excerpt(first, last, match.re())},
	})
}

var frame = lazy(`File "[^"]+", line \d+, in `)

// noneOf stands before what there is none of: "0 zombie processes", "without any failed pods".
var noneOf = lazy(`(?i)((^|[,;:(] ?)(0|zero)|\b(without( any)?|free of)) $`)

// unlessFrom is the width from which a line may be one of several that were one.
const unlessFrom = 44

// raised tells if a line of source stands below a frame of a traceback, whose message may have been cut off: it did run.
func (w *window) raised(line int) bool {
	return line > 0 && bytes.Contains(w.bytes(line), []byte("raise ")) && frame().Match(w.bytes(line-1))
}

// inList tells if a line is a string in a list of JSON, as tools write it for people to read: no program's source.
func (w *window) inList(line int) bool {
	for i := line - 1; i >= max(0, line-inListMax); i-- {
		text := bytes.TrimSpace(w.bytes(i))
		if !bytes.HasPrefix(text, []byte(`"`)) || !bytes.HasSuffix(text, []byte(`",`)) {
			return len(text) == 1 && text[0] == '[' || bytes.HasPrefix(text, []byte(`"`)) && bytes.HasSuffix(text, []byte(`": [`))
		}
	}
	return false
}

const inListMax = 64

// differ tells if the groups one and other of an expression take different texts.
func differ(re *regexp.Regexp, text string) bool {
	found := re.FindStringSubmatch(text)
	return found != nil && found[re.SubexpIndex("one")] != found[re.SubexpIndex("other")]
}

// fits tells if a symptom's demands on the whole text hold, as far as the window shows it. What it demands of a person's
// words has to be said by one, where there is a log beside them.
func (w *window) fits(s *Symptom, around *setting) bool {
	for _, source := range s.Absent {
		if w.somewhere(around, source) {
			return false
		}
	}
	if s.Prose && w.beside {
		around = w.byPerson()
	}
	for _, source := range s.With {
		if !w.somewhere(around, source) {
			return false
		}
	}
	return true
}

func (w *window) somewhere(in *setting, source string) bool {
	if known, tried := in.known[source]; tried {
		return known
	}
	p := patternOf(source, "im")
	is := p.possible(searched{text: func() string { return in.squashed }}) && (w.matches(p, in.text[0]) || in.text[1] != "" && w.matches(p, in.text[1]))
	in.known[source] = is
	return is
}

// excerptMax is how much of a line is shown as evidence, in characters.
const excerptMax = 400

// excerpt is the very text that was matched; of a long line, the part around the match.
func (w *window) excerpt(first, last int, match *regexp.Regexp) string {
	var parts []string
	for i := first; i <= last; i++ {
		parts = append(parts, readable(w.bytes(i)))
	}
	return shortened(strings.Join(parts, "\n"), match)
}

// readable is a line as it stands, without what moves a cursor.
func readable(line []byte) string {
	text := strings.ToValidUTF8(string(escapes().ReplaceAllFunc(line, func(m []byte) []byte {
		if m[0] == '&' || bytes.HasPrefix(m, []byte(`\u00`)) {
			return m
		}
		return nil
	})), "\ufffd")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == 0 || r == '\r' {
			return -1
		}
		return r
	}, text))
}

// shortened is a text or, of a long one, the part around a match.
func shortened(text string, match *regexp.Regexp) string {
	if utf8.RuneCountInString(text) <= excerptMax {
		return text
	}
	runes := []rune(text)
	from := 0
	if at := match.FindStringIndex(text); at != nil {
		from = max(0, utf8.RuneCountInString(text[:at[0]])-excerptMax/4)
	} else if at := match.FindStringIndex(canon([]byte(text))); at != nil {
		from = max(0, utf8.RuneCountInString(canon([]byte(text))[:at[0]])-excerptMax/4)
	}
	to := min(len(runes), from+excerptMax)
	from = max(0, to-excerptMax)
	out := string(runes[from:to])
	if from > 0 {
		out = "…" + out
	}
	if to < len(runes) {
		out += "…"
	}
	return out
}
