package plugin

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/cli/cli/command/formatter"
)

// psRow is what a template of --format sees of a line: texts under the names of `docker ps`, beside the
// values under their JSON names.
type psRow struct {
	formatter.HeaderContext
	psLine
	trunc bool
}

func newPsHeader() psRow {
	r := psRow{}
	r.Header = formatter.SubHeaderContext{
		"Context": "CONTEXT", "ID": "CONTAINER ID", "Name": "NAME", "Names": "NAMES", "Image": "IMAGE", "State": "STATE", "Status": "STATUS",
		"GrantedBy": "GRANTED BY", "GPUs": "GPUS", "Capabilities": "CAPABILITIES", "Memory": "MEMORY", "Util": "UTIL", "Processes": "PROCESSES",
		"Project": "PROJECT", "Service": "SERVICE", "Labels": "LABELS",
	}
	return r
}

func (r *psRow) ID() string {
	if r.psLine.ID == nil {
		return ""
	}
	if r.trunc {
		return harmlessName(formatter.TruncateID(*r.psLine.ID))
	}
	return harmlessName(*r.psLine.ID)
}

func (r *psRow) Name() string { return r.psLine.Name }

func (r *psRow) Names() string { return r.psLine.Name }

func (r *psRow) Image() string { return orEmpty(r.psLine.Image) }

func (r *psRow) State() string { return orEmpty(r.psLine.State) }

func (r *psRow) Project() string { return orEmpty(r.ComposeProject) }

func (r *psRow) Service() string { return orEmpty(r.ComposeService) }

func (r *psRow) Capabilities() string { return strings.Join(r.Grant.Capabilities, ",") }

// Status is the state with the health beside it.
func (r *psRow) Status() string {
	status := r.State()
	if c := r.container; c != nil && c.Health != "" {
		status += " (" + c.Health + ")"
	}
	return status
}

// GrantedBy is how the container got its GPUs, as its user wrote it.
func (r *psRow) GrantedBy() string {
	if r.container == nil {
		return ""
	}
	if len(r.Grant.By) == 0 {
		return "?" // it holds a GPU, and nothing of its configuration says why
	}
	return grantText(r.container.Grant)
}

func (r *psRow) GPUs() string {
	switch {
	case r.container == nil || len(r.Grant.GPUs) == 0 && r.Grant.GPUs != nil && len(r.Grant.By) == 0:
		return r.usedGPUs()
	case len(r.Grant.GPUs) == 0:
		return "?"
	}
	return strings.Join(r.Grant.GPUs, ",")
}

// usedGPUs are those that the processes hold.
func (r *psRow) usedGPUs() string {
	var indexes []string
	for _, p := range r.Usage.Processes {
		if index := strconv.Itoa(p.GPU); !slices.Contains(indexes, index) {
			indexes = append(indexes, index)
		}
	}
	return strings.Join(indexes, ",")
}

func (r *psRow) Memory() string { return memoryText(r.Usage.MemoryUsedBytes) }

func (r *psRow) Util() string {
	if r.Usage.GPUUtilPercent == nil {
		return ""
	}
	return fmt.Sprintf("%d%%", *r.Usage.GPUUtilPercent)
}

// Processes counts each process once, however many GPUs it holds.
func (r *psRow) Processes() string {
	if r.Usage.Processes == nil {
		return ""
	}
	pids := map[int]bool{}
	for _, p := range r.Usage.Processes {
		pids[p.PID] = true
	}
	return strconv.Itoa(len(pids))
}

// Labels are all of the container's as `docker ps` writes them.
func (r *psRow) Labels() string {
	if r.container == nil {
		return ""
	}
	var all []string
	for key, value := range r.container.Labels {
		all = append(all, key+"="+value)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// Label is the value of one label.
func (r *psRow) Label(name string) string {
	if r.container == nil {
		return ""
	}
	return r.container.Labels[name]
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// memoryText is a size for people: "38.9 GiB", "0", or nothing where it is not known.
func memoryText(v *uint64) string {
	switch {
	case v == nil:
		return ""
	case *v == 0:
		return "0"
	}
	return bytesText(*v)
}

// writePsTemplate is docker's own formatter, with "table" in front or without. A template that asks for
// names it does not have is tried once more on the names of the JSON.
func writePsTemplate(out io.Writer, format string, trunc bool, lines []psLine) error {
	var buf bytes.Buffer
	header := newPsHeader()
	c := formatter.Context{Output: &buf, Format: formatter.Format(format), Trunc: trunc}
	err := c.Write(&header, func(write func(formatter.SubContext) error) error {
		for _, line := range lines {
			row := &psRow{HeaderContext: header.HeaderContext, psLine: line, trunc: trunc}
			if err := write(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		for _, line := range lines {
			if again := writeTemplate(&buf, strings.TrimPrefix(format, "table "), line); again != nil {
				return fmt.Errorf("--format: %w", err)
			}
		}
	}
	_, err = io.WriteString(out, harmlessText(buf.String()))
	return err
}
