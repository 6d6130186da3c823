//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// onEngine measures on a real engine with 100 containers that run and sleep.
func onEngine(b bench) []row {
	const containers = 100
	docker := filepath.Join(b.folder, "cli", "docker")
	ps := row{what: fmt.Sprintf("ps, %d containers", containers), with: "docker ps -q | xargs docker inspect", aim: "0.5"}
	diagnose := row{what: fmt.Sprintf("diagnose, %d containers", containers), with: "docker info, ps and inspect of each", aim: "–"}
	fail := func(err error) []row {
		ps.err, diagnose.err = err, err
		return []row{ps, diagnose}
	}
	state, err := os.MkdirTemp("/tmp", "b")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(state)
	run := func(argv ...string) (string, error) {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s: %w: %.200s", filepath.Base(argv[0]), err, out)
		}
		return strings.TrimSpace(string(out)), nil
	}
	host, err := run("e2e/engine.sh", "start", "newest", state)
	if err != nil {
		return fail(err)
	}
	defer run("e2e/engine.sh", "stop", state) //nolint:errcheck // what is left is named by engine.sh itself
	if _, err := run("e2e/engine.sh", "image", state); err != nil {
		return fail(err)
	}
	for range containers {
		if _, err := run(docker, "-H", host, "run", "-d", "--network", "none", "busybox:latest", "sleep", "3600"); err != nil {
			return fail(err)
		}
	}
	mine := func(args ...string) []string {
		return append([]string{"env", "DOCKER_HOST=" + host, "HOME=" + b.scratch, "sh", "-c", `"$@" >/dev/null || [ $? = 1 ]`, "sh", b.plugin}, args...)
	}
	shell := func(script string) []string {
		return []string{"env", "DOCKER_HOST=" + host, "HOME=" + b.scratch, "sh", "-c", script, docker}
	}
	for _, m := range []struct {
		row    *row
		rounds int
		ours   []string
		theirs []string
	}{
		{&ps, 20, mine("ps"), shell(`"$0" ps -q | xargs "$0" inspect >/dev/null`)},
		{&diagnose, 3, mine("diagnose"), shell(`"$0" info >/dev/null && "$0" ps -aq | xargs -n 1 "$0" inspect >/dev/null`)},
	} {
		a, o, err := sideBySideTimes(m.rounds, m.ours, m.theirs)
		m.row.ours, m.row.theirs, m.row.ratio, m.row.err = milliseconds(a), milliseconds(o), a.Seconds()/o.Seconds(), err
	}
	return []row{ps, diagnose}
}
