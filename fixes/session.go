package fixes

import (
	"regexp"
	"slices"
	"strings"
)

// Reports hold what commands printed. Often no line of that is a message, and yet two of them together tell the cause: the
// kernel that runs and the one that the module was built for, the group of a device and the groups of a user. A session is
// a text read as commands and their outputs; compare.go draws the conclusions.

// issued is a command with the lines that it printed.
type issued struct {
	line    int // where the command stands
	command string
	out     []int // lines that are not blank
	inside  bool  // in a container
	ended   bool  // another prompt or the end of a code block follows: nothing is cut off
}

type session struct {
	*window
	lines    []string // as expressions see them, without quote marks
	commands []issued
	of       []int // by line, the command that printed it or stands there, -1 where there is none
}

// prompt is what a shell prints before a command.
var prompt = lazy(`^(?:\([\w.-]+\) ?)?(?:(?:[\w.-]+@[\w.-]+[^$#%>]{0,60}|\[[\w.-]+@[^\]]{1,60}\] ?|(?:PS )?[A-Z]:[^>]{0,60}|PS|[~/][\w/.-]{0,40} ?|root)?[$%>❯»➜] ?|(?:[\w.-]+@[\w.-]+[^$#%>]{0,60}|\[[\w.-]+@[^\]]{1,60}\] ?)# ?|\+ )(.*)$`)

// bareCommand is a line that is a command without its prompt, or with that of root, which is a comment's sign as well.
var bareCommand = lazy(`^(?:# ?)?((?:sudo )?(?:uname|lsmod|dkms|mokutil|lspci|modinfo|groups|ls|stat|docker|podman|kubectl|nvidia-smi|nvidia-ctk|systemctl|dpkg|rpm|apt-cache|snap|free|df|fuser|ps|pgrep|cat|grep|which|command|getent|getenforce|file|wsl|ldconfig|ldd|egrep|lshw|ubuntu-drivers|readlink|whoami|printenv|jq|head|find)( +[-|/.~<>&$\w*(^+%{]\S*)+|(?:id|groups|whoami|lsmod|nvidia-smi|uname -\w+|docker info|docker ps))$`)

var quoteMarks = lazy(`^(?:> ?)+`)

func (w *window) session() *session {
	s := &session{window: w, lines: make([]string, len(w.lines)), of: make([]int, len(w.lines))}
	for i := range w.lines {
		text := canon(w.bytes(i))
		s.lines[i], s.of[i] = text, -1
		if strings.HasPrefix(strings.TrimSpace(string(w.bytes(i))), "```") {
			s.end()
			continue
		}
		command, is := "", false
		if m := prompt().FindStringSubmatch(text); m != nil {
			command, is = m[1], true
		} else if m := bareCommand().FindStringSubmatch(text); m != nil {
			command, is = m[1], true
		}
		if strings.HasPrefix(text, "> ") && !bareCommand().MatchString(command) { // mail, or the rest of a command
			s.lines[i], is = quoteMarks().ReplaceAllString(text, ""), false
			if m := prompt().FindStringSubmatch(s.lines[i]); m != nil {
				command, is = m[1], true
			}
		}
		switch {
		case is:
			s.end()
			s.commands = append(s.commands, issued{line: i, command: strings.TrimSpace(command), inside: containerPrompt().MatchString(text) || insideCommand().MatchString(command)})
			s.of[i] = len(s.commands) - 1
		case len(s.commands) > 0 && !s.commands[len(s.commands)-1].ended && s.lines[i] != "":
			last := &s.commands[len(s.commands)-1]
			last.out = append(last.out, i)
			s.of[i] = len(s.commands) - 1
		}
	}
	return s
}

func (s *session) end() {
	if n := len(s.commands); n > 0 {
		s.commands[n-1].ended = true
	}
}

// asking are the commands that match.
func (s *session) asking(command *regexp.Regexp) []*issued {
	var all []*issued
	for i := range s.commands {
		if command.MatchString(s.commands[i].command) {
			all = append(all, &s.commands[i])
		}
	}
	return all
}

// silent is a command that matches and printed nothing, nil where there is none.
func (s *session) silent(command *regexp.Regexp) *issued {
	for _, a := range s.asking(command) {
		if counts().MatchString(a.command) && len(a.out) > 0 && s.lines[a.out[0]] == "0" {
			return a
		}
		if a.ended && (len(a.out) == 0 || len(a.out) == 1 && nothingFound().MatchString(s.lines[a.out[0]])) {
			return a
		}
	}
	return nil
}

// nothingFound is what grep -c, whereis and which print where there is nothing.
var nothingFound = lazy(`^0$|^[\w.-]+:$|(?:^|which: )no \S+ in \(|^\S+ not found$`)

// counts are commands that print one figure.
var counts = lazy(`\bgrep (?:-\w+ )*-\w*c|\| *wc -l$`)

// fact is something that a line says.
type fact struct {
	line int
	text string
}

// facts are what the first group of an expression takes in each line.
func (s *session) facts(re *regexp.Regexp) []fact {
	var all []fact
	for i, text := range s.lines {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			all = append(all, fact{i, m[1]})
		}
	}
	return all
}

// printed are what the first group of an expression takes in each line that a command printed.
func (s *session) printed(command, re *regexp.Regexp) []fact {
	var all []fact
	for _, a := range s.asking(command) {
		for _, i := range a.out {
			for _, m := range re.FindAllStringSubmatch(s.lines[i], -1) {
				all = append(all, fact{i, m[1]})
			}
		}
	}
	return all
}

// has is a line that matches, -1 where there is none.
func (s *session) has(re *regexp.Regexp) int {
	for i, text := range s.lines {
		if re.MatchString(text) {
			return i
		}
	}
	return -1
}

var insideCommand = lazy(`\b(docker|podman|nerdctl|kubectl|compose|singularity|apptainer|enroot)\b.* (run|exec)\b|^(srun|chroot) `)

// containerPrompt is that of a shell in a container, whose host name is the container's short ID.
var containerPrompt = lazy(`^(?:\([\w.-]+\) ?)?\[?[\w.-]+@[0-9a-f]{12}\b`)

// inside tells if a line was printed in a container.
func (s *session) inside(line int) bool {
	return s.of[line] >= 0 && s.commands[s.of[line]].inside
}

// tell says that lines show a cause.
func (s *session) tell(id ID, weight int, lines ...int) {
	for _, line := range lines {
		if line >= 0 {
			s.show(id, weight, line, anything())
		}
	}
}

// refute says that what is there is as it has to be, whatever patterns make of the same lines.
func (s *session) refute(id ID) {
	s.signs = slices.DeleteFunc(s.signs, func(sign sign) bool {
		return s.index.entries[sign.entry].ID == id && sign.evidence.Source == s.source && sign.weight <= refutedMax
	})
}

// refutedMax is the weight up to which a pattern may have taken two healthy outputs for a fault.
const refutedMax = 76

var anything = lazy(`^`)
