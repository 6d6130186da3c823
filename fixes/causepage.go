package fixes

import (
	"fmt"
	"strings"
)

// CausePage is a root cause for people to read, in Markdown: what `docker gpu explain ID` prints and
// docs/causes/ID.md holds.
func CausePage(e Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n`%s` · %s · playbook `%s`\n\n%s\n", e.Title, e.ID, e.Severity, e.Playbook, e.Cause)
	if e.Question != "" {
		fmt.Fprintf(&b, "\n**To be sure:** %s\n", e.Question)
	}
	b.WriteString("\n## What to do\n\n")
	for _, s := range e.Steps {
		platform := ""
		if s.Platform != "" {
			platform = " (" + s.Platform + ")"
		}
		fmt.Fprintf(&b, "- %s%s\n", s.Text, platform)
		if s.Command != "" {
			fmt.Fprintf(&b, "\n      %s\n\n", s.Command)
		}
	}
	trimmed := strings.TrimRight(b.String(), "\n") + "\n"
	b.Reset()
	b.WriteString(trimmed)
	if len(e.Explains) > 0 {
		b.WriteString("\n## Can look like\n\n")
		for _, id := range e.Explains {
			title := string(id)
			if other, ok := Knowledge().Entry(id); ok {
				title = other.Title
			}
			fmt.Fprintf(&b, "- [%s](%s.md)\n", title, id)
		}
	}
	if e.Since != "" {
		fmt.Fprintf(&b, "\nHolds for: %s\n", e.Since)
	}
	fmt.Fprintf(&b, "\nMore: <%s>\n", e.Docs)
	return b.String()
}
