package fixes

import (
	"bytes"
)

var (
	// What programs begin their lines with themselves: a time, a level, a place in their source.
	programStarts = lazy(`^\s*(\[?\d{4}[-/]\d\d[-/]\d\d[T ]|\[?\d\d:\d\d:\d\d|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d |\d{1,3}(\.\d{1,3}){3} |\[?(INFO|WARN(ING)?|ERROR|DEBUG|CRITICAL|FATAL|TRACE|NOTICE|info|warn(ing)?|error|debug|fatal)\b\]?[: \t]|npm |yarn |Step \d+/\d+|#\d+ |--->|File "|at [\w.$<>]+\(|Traceback |raise |return |[\w.]+\.\w*(Error|Exception|Warning|Timeout)\b:?|(Get|Hit|Ign|Err):\d+ |time=|level=|\{")`)
	// Servers' own forms, wherever they begin.
	serverLines = lazy(`\b(GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH) \S+ HTTP/[\d.]+"? [1-4]\d\d\b|\[(error|warn|notice|crit|alert)\] \d+#\d+:` +
		`|(^|\| )(\S+ \S+ )?(\w+ )?\[\d+\] (\S+@\S+ )?(LOG|ERROR|DETAIL|HINT|STATEMENT|FATAL|WARNING|CONTEXT): |\b\d+:[MSCX] \d{1,2} \w{3} \d{4} ` +
		`|\[\w+\] <\d+\.\d+\.\d+>|\[(Note|Warning|ERROR|System)\] \[MY-\d+\]|\((kafka|org\.apache)\.|\[o\.e\.\w` +
		`|\b(postfix/\w+|sshd|CRON|crond?|dovecot|named|ntpd|chronyd|avahi-daemon|NetworkManager|systemd-(logind|resolved|networkd|timesyncd))(\[\d+\])?: `)
)

// who wrote a line, as far as it shows
const (
	anybody  = iota + 1
	logged   // a program, most likely: a journal or a runtime put a prefix before it
	printout // a program: it has a form that programs give their lines themselves
)

// writer is who wrote a line.
func (w *window) writer(line int) int8 {
	l := &w.lines[line]
	if l.writer == 0 {
		raw := w.bytes(line)
		text := bytes.TrimSpace(raw)
		switch {
		case programStarts().Match(raw) || serverLines().Match(raw):
			l.writer = printout
		case len(text) > 0 && text[0] != '>' && w.prefix(line) > 0: // people quote with it
			l.writer = logged
		default:
			l.writer = anybody
		}
	}
	return l.writer
}

// byProgram tells if a program wrote a line, no person.
func (w *window) byProgram(line int) bool { return w.writer(line) != anybody }
