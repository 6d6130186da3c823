package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// EngineLogSource reads the lines of the engine's log that concern GPUs, runtimes and its configuration:
// from the journal through journalctl, else from the file that other init systems write.
var EngineLogSource = Source{Name: "engine-log", Local: true, Read: readEngineLog}

// engineLogWords are what a line must speak of to be kept.
var engineLogWords = []string{"nvidia", "gpu", "cuda", "cdi", "device driver", "daemon.json", "configuration", "runtime", "failed to start", "libnvidia"}

func readEngineLog(ctx context.Context, m Machine) (Patch, error) {
	var text string
	err := fmt.Errorf("engine log: %w", ErrAbsent)
	if m.Run != nil && (m.Root == "/" || m.Root == "") && m.Root.Exists("/run/systemd/system") {
		var out []byte
		out, err = m.Run(ctx, "journalctl", "--quiet", "--no-pager", "--boot", "--lines=3000", "--output=cat",
			"--unit=docker.service", "--unit=snap.docker.dockerd.service")
		text = string(out)
	}
	if err != nil || text == "" {
		for _, name := range []string{"/var/log/docker.log", "/var/log/docker/docker.log", "/var/log/upstart/docker.log"} {
			data, fileErr := m.Root.ReadFile(name)
			if fileErr == nil {
				text, err = string(data), nil
				break
			}
			if !errors.Is(fileErr, fs.ErrNotExist) {
				err = fmt.Errorf("engine log: %w", fileErr)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	lines := []LogLine{}
	for line := range strings.Lines(text) {
		if l, ok := parseEngineLine(strings.TrimSpace(line)); ok {
			lines = append(lines, l)
		}
	}
	lines = lines[max(0, len(lines)-mostLogLines):]
	return func(s *Snapshot) { s.EngineLog = lines }, nil
}

// parseEngineLine keeps a line of dockerd's log that a GPU may have a part in.
func parseEngineLine(line string) (LogLine, bool) {
	if len(line) > 2000 {
		line = strings.ToValidUTF8(line[:2000], "")
	}
	lower := strings.ToLower(line)
	for _, word := range engineLogWords {
		if strings.Contains(lower, word) {
			return LogLine{Kind: "engine", Text: line}, true
		}
	}
	return LogLine{}, false
}
