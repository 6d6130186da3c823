package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// KernelLogSource reads the kernel log's lines about GPUs, memory and denied access.
var KernelLogSource = Source{Name: "kernel-log", Local: true, Read: readKernelLog}

// mostLogLines bounds what is kept of the kernel log; the newest are kept.
const mostLogLines = 500

func readKernelLog(ctx context.Context, m Machine) (Patch, error) {
	text, stamp, err := kernelRing(m.Root)
	if err != nil {
		for _, name := range []string{"/var/log/kern.log", "/var/log/messages", "/var/log/syslog"} {
			data, fileErr := m.Root.ReadFile(name)
			if fileErr == nil {
				text, stamp, err = string(data), fileStamp(m.Now()), nil
				break
			}
			if errors.Is(err, fs.ErrNotExist) { // one that is there and not read says more
				err = fileErr
			}
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("kernel log: %w", ErrAbsent)
	}
	if err != nil {
		return nil, fmt.Errorf("kernel log: %w", err)
	}
	lines := []LogLine{}
	booted := bootTime(m.Root)
	for line := range strings.Lines(text) {
		at, line := stamp(line)
		if at != nil && booted != nil && at.Before(booted.Add(-time.Minute)) { // files keep what earlier boots said
			continue
		}
		if l, ok := parseKernelLine(strings.TrimSpace(line)); ok {
			l.At = at
			lines = append(lines, l)
		}
	}
	lines = lines[max(0, len(lines)-mostLogLines):]
	return func(s *Snapshot) { s.KernelLog = lines }, nil
}

// parseKernelLine keeps a line that concerns GPUs and says of what kind it is. A Xid reads
//
//	NVRM: Xid (PCI:0000:17:00): 79, pid=1234, name=python, GPU has fallen off the bus.
//
// (https://docs.nvidia.com/deploy/xid-errors).
func parseKernelLine(line string) (LogLine, bool) {
	if len(line) > 2000 {
		line = line[:2000]
	}
	l := LogLine{Text: line}
	lower := strings.ToLower(line)
	switch {
	case strings.Contains(line, "NVRM: Xid"):
		l.Kind = "xid"
		_, rest, _ := strings.Cut(line, "Xid (")
		where, rest, _ := strings.Cut(rest, "): ")
		l.BusID = strings.TrimPrefix(where, "PCI:")
		digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
		if number, err := strconv.Atoi(digits); err == nil {
			l.Xid = &number
		}
		if _, pid, ok := strings.Cut(rest, "pid="); ok {
			pid = strings.Trim(pid, "'")
			l.PID, _ = strconv.Atoi(pid[:len(pid)-len(strings.TrimLeft(pid, "0123456789"))])
		}
	case strings.Contains(line, "NVRM:"), strings.Contains(lower, "nvidia: "), strings.Contains(lower, "nvidia-nvlink"), strings.Contains(line, "nvidia-modeset:"), strings.Contains(line, "nvidia_uvm:"):
		l.Kind = "nvrm"
	case strings.Contains(lower, "nouveau "):
		l.Kind = "nouveau"
	case strings.Contains(line, "Out of memory: Killed process"), strings.Contains(line, "oom-kill:"), strings.Contains(line, "Memory cgroup out of memory"):
		l.Kind = "oom"
	case strings.Contains(line, `apparmor="DENIED"`):
		l.Kind = "apparmor"
	case strings.Contains(line, "avc:") && strings.Contains(line, "denied"):
		l.Kind = "selinux"
	case strings.Contains(line, "module") && (strings.Contains(lower, "key is rejected") || strings.Contains(lower, "unsigned module") || strings.Contains(lower, "key was rejected")):
		l.Kind = "module"
	case strings.Contains(line, "dxgk:"), strings.Contains(line, "dxgkio_"):
		l.Kind = "dxg"
	default:
		return LogLine{}, false
	}
	return l, true
}

// fileStamp reads the time that a line of a log file begins with, as syslog daemons write it:
// "2026-11-25T10:00:00.123456+00:00 ada kernel: …" or, without a year and in local time, "Nov 25 10:00:00 ada kernel: …".
func fileStamp(now time.Time) func(string) (*time.Time, string) {
	return func(line string) (*time.Time, string) {
		if word, _, ok := strings.Cut(line, " "); ok {
			if at, err := time.Parse(time.RFC3339Nano, word); err == nil {
				return ptr(at.UTC()), line
			}
		}
		const form = time.Stamp // Jan _2 15:04:05
		if len(line) < len(form) {
			return nil, line
		}
		at, err := time.ParseInLocation(form, line[:len(form)], now.Location())
		if err != nil {
			return nil, line
		}
		at = at.AddDate(now.Year(), 0, 0) // it was parsed as of the year 0
		if at.After(now.Add(24 * time.Hour)) {
			at = at.AddDate(-1, 0, 0)
		}
		return ptr(at.UTC()), line
	}
}

// parseKmsg reads a record of /dev/kmsg, "priority,sequence,microseconds,flags;text", whose clock starts at boot.
func parseKmsg(record string, booted *time.Time) (*time.Time, string) {
	head, text, ok := strings.Cut(record, ";")
	if !ok {
		return nil, record
	}
	fields := strings.Split(head, ",")
	if len(fields) < 3 || booted == nil {
		return nil, text
	}
	micro, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return nil, text
	}
	return ptr(booted.Add(time.Duration(micro) * time.Microsecond)), text
}
