//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/docker-gpu/docker-gpu/fixes"
)

// explainAgainstGrep: logs of 32 MiB with one message in them, against grep for as many fixed texts: the very ones that
// the search looks for. grep finds lines; explain reads wrapped and coloured ones too, weighs them and names a cause.
func explainAgainstGrep(what, line, aim string) func(bench) row {
	return func(b bench) row {
		r := row{what: what, with: "grep -F -f, as many texts", aim: aim}
		file := filepath.Join(b.scratch, "train.log")
		patterns, known, err := searchTexts(b)
		if r.err = errors.Join(err, writeTrainingLog(file, 32<<20, line)); r.err != nil {
			return r
		}
		mine, theirs, err := sideBySideTimes(5, []string{b.plugin, "explain", file}, grepFor(patterns, file))
		r.ours, r.theirs, r.ratio, r.err = milliseconds(mine), milliseconds(theirs), mine.Seconds()/theirs.Seconds(), err
		r.with = fmt.Sprintf("grep -F -f, the search's own %d texts", known)
		return r
	}
}

// trainingLine is what a healthy training log repeats: epoch, step, loss, tokens a second.
const trainingLine = "epoch=%d step=%d loss=0.%04d lr=3e-4 tokens/s=%d"

// writeTrainingLog writes so many bytes of a line as trainingLine, and one message behind them.
func writeTrainingLog(file string, size int, line string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for i, written := 0, 0; written < size; i++ {
		n, _ := fmt.Fprintf(w, "2026-11-25T12:%02d:%02d.%06dZ INFO trainer "+line+"\n", i/60%60, i%60, i%1000000, i/1000, i, i%10000, 41000+i%977)
		written += n
	}
	_, _ = w.WriteString("RuntimeError: CUDA error: out of memory\n")
	return errors.Join(w.Flush(), f.Close())
}

// searchTexts writes the texts that the search of explain looks for, for grep, and counts them.
func searchTexts(b bench) (file string, count int, err error) {
	texts := fixes.SearchedTexts()
	if len(texts) < 1000 {
		return "", 0, fmt.Errorf("only %d texts are searched for", len(texts))
	}
	file = filepath.Join(b.scratch, "patterns")
	return file, len(texts), os.WriteFile(file, []byte(strings.Join(texts, "\n")+"\n"), 0o600)
}

// grepFor counts the lines that have one of the texts. Into /dev/null grep would stop at its first match.
func grepFor(patterns, file string) []string {
	return []string{"sh", "-c", `count=$(grep -c -F -f "$0" "$1") || true`, patterns, file}
}

// hookAnswer is what stands between a failed command and the prompt.
func hookAnswer(b bench) row {
	r := row{what: "hook after a failed docker run", with: "docker --version", aim: "–"}
	call := `{"RootCmd":"run","Flags":{"gpus":""},"CommandError":"docker: Error response from daemon: could not select device driver \"\" with capabilities: [[gpu]]"}`
	mine, theirs, err := sideBySide([]string{b.plugin, "gpu", "docker-cli-plugin-hooks", call}, []string{filepath.Join(b.folder, "cli", "docker"), "--version"})
	r.ours, r.theirs, r.ratio, r.err = milliseconds(mine), milliseconds(theirs), mine.Seconds()/theirs.Seconds(), err
	return r
}

// disableAgainstCompose: both read the project's compose files whole; disable also reads the file it edits, and says
// what follows it.
func disableAgainstCompose(b bench) row {
	r := row{what: "disable, project of 20 services", with: "docker compose config -q", aim: "–"}
	project := filepath.Join(b.scratch, "project")
	var compose strings.Builder
	compose.WriteString("services:\n")
	for i := range 20 {
		fmt.Fprintf(&compose, "  s%d:\n    image: acme/s%d\n    runtime: nvidia\n    environment:\n      NVIDIA_VISIBLE_DEVICES: ${NVIDIA_VISIBLE_DEVICES:-all}\n", i, i)
	}
	if r.err = errors.Join(os.MkdirAll(filepath.Join(project, ".devcontainer"), 0o700), os.WriteFile(filepath.Join(project, ".devcontainer", "compose.yaml"), []byte(compose.String()), 0o600)); r.err != nil {
		return r
	}
	folder := filepath.Join(project, ".devcontainer")
	away := "DOCKER_HOST=unix://" + filepath.Join(b.scratch, "no.sock")
	mine, theirs, err := sideBySideTimes(15, []string{"env", "-C", folder, away, b.plugin, "disable"},
		[]string{"env", "-C", folder, away, filepath.Join(b.folder, "cli-plugins", "docker-compose"), "config", "-q"})
	r.ours, r.theirs, r.ratio, r.err = milliseconds(mine), milliseconds(theirs), mine.Seconds()/theirs.Seconds(), err
	return r
}

// staticSize is the binary that goes into images as their HEALTHCHECK.
func staticSize(bench) row {
	r := row{what: "static binary for containers", with: "25 MB", theirs: "25.0 MB", aim: "1.0"}
	info, err := os.Stat(filepath.Join("bin", "docker-gpu-static"))
	if err != nil {
		r.err = errors.New("it is not built: make static")
		return r
	}
	r.ours, r.ratio = fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), float64(info.Size())/25e6
	return r
}

// here tells of the machine what a reader of figures needs to know.
func here(version string) string {
	cpu := "unknown processor"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(data), "model name"); ok {
			line, _, _ := strings.Cut(after, "\n")
			cpu = strings.Trim(line, " \t:")
		}
	}
	system := runtime.GOOS
	if out, err := exec.Command("uname", "-sr").Output(); err == nil {
		system = strings.TrimSpace(string(out))
	}
	load := ""
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = ", load average " + strings.Fields(string(data))[0] + " when it ended"
	}
	return fmt.Sprintf("Measured %s by `make bench` on %d cores of %s, %s/%s, %s%s; %s.", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), cpu, runtime.GOOS, runtime.GOARCH, system, load, version)
}

// page is the table as docs/performance.md.
func page(version string, rows []row, grown []curve) string {
	var b strings.Builder
	b.WriteString("# Performance\n\nRatios of docker gpu to what would be typed or started instead, side by side in one run; times are medians. Below 1 is\nfaster or smaller. Figures of two machines are not to be compared, ratios are.\n\n")
	b.WriteString("| measured | docker gpu | against | | ratio | aim, at most |\n| --- | ---: | --- | ---: | ---: | --- |\n")
	for _, r := range rows {
		if r.err != nil {
			fmt.Fprintf(&b, "| %s | – | %s | not measured: %s | – | %s |\n", r.what, r.with, strings.ReplaceAll(r.err.Error(), "\n", " "), r.aim)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.2f | %s |\n", r.what, r.ours, strings.ReplaceAll(r.with, "|", `\|`), r.theirs, r.ratio, r.aim)
	}
	b.WriteString("\n" + here(version) + "\n" + growthPage(grown))
	return b.String()
}
