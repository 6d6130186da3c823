//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker-gpu/docker-gpu/e2e/fakenvml"
	"github.com/docker-gpu/docker-gpu/e2e/pane"
)

// viewed is how long both programs are looked at, a frame a second.
const viewed = time.Minute

// topAgainstNvtop lets top and nvtop run side by side, each in a terminal of 160 × 50, and compares what they took of the
// processors, start-up included: where the figures of all GPUs and processes change each second, and where they stand
// still.
func (m *scrapeMachine) topAgainstNvtop() []row {
	var rows []row
	for _, moves := range []bool{true, false} {
		what := "stand still"
		if moves {
			what = "change each second"
		}
		r := row{what: fmt.Sprintf("top for %s, %d GPUs, %d processes, %d containers; figures %s", viewed, scrapeGPUs, scrapeProcesses, scrapeContainers, what), with: "nvtop", aim: "1.0"}
		ours, theirs, err := m.view(moves)
		if r.err = err; err == nil {
			r.ours, r.theirs, r.ratio = fmt.Sprintf("%.0f ms", 1000*ours), fmt.Sprintf("%.0f ms", 1000*theirs), ours/theirs
		}
		rows = append(rows, r)
	}
	return rows
}

func (m *scrapeMachine) view(moves bool) (ours, theirs float64, err error) {
	scenario := filepath.Join(m.b.scratch, "scrape.scenario")
	base, err := os.ReadFile(scenario)
	if err != nil {
		return 0, 0, err
	}
	environ := append(append(os.Environ(), m.driver...), "DOCKER_HOST="+m.host, "HOME="+m.b.scratch, "TERM=xterm-256color", "FAKE_NVML_SCENARIO="+scenario)
	var panes [2]*pane.Pane
	for i, program := range []string{m.b.plugin + " top --interval 1s", "nvtop --delay 10"} { // tenths of a second
		if panes[i], err = pane.Start(filepath.Join(m.b.scratch, fmt.Sprint("tmux", i, moves)), environ, program); err != nil {
			return 0, 0, err
		}
		defer panes[i].Close()
	}
	end := time.Now().Add(viewed)
	for tick := 1; time.Now().Before(end); tick++ {
		time.Sleep(time.Second)
		if !moves {
			continue
		}
		text := string(base)
		for i := range scrapeGPUs {
			text += fmt.Sprintf("\ngpu %d\nutil-gpu %d\npower %d\ntemp %d\nmemory-used %d MiB\n", i, (tick*13+i*29)%101, 300+(tick*7+i)%400, 40+(tick+i)%40, 4000+(tick*31+i)%900)
		}
		text = strings.ReplaceAll(text, " mem=", fmt.Sprintf(" enc=%d mem=", tick%50))
		if err := fakenvml.Write(scenario, text); err != nil {
			return 0, 0, err
		}
	}
	if ours, err = onProcessors(panes[0].PID); err == nil {
		theirs, err = onProcessors(panes[1].PID)
	}
	return ours, theirs, errors.Join(err, fakenvml.Write(scenario, string(base)))
}

// onProcessors is how many seconds the threads of a process and of its children ran (proc_pid_schedstat: nanoseconds;
// what [processorSeconds] reads is in hundredths of a second).
func onProcessors(pid int) (seconds float64, err error) {
	for _, p := range append(childrenOf(pid), pid) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p))
		if err != nil || p == pid && len(threads) == 0 {
			return 0, fmt.Errorf("process %d has ended: %w", pid, err)
		}
		for _, thread := range threads {
			data, _ := os.ReadFile(thread) // of a thread that has ended meanwhile, nothing
			if fields := strings.Fields(string(data)); len(fields) > 0 {
				n, err := strconv.ParseFloat(fields[0], 64)
				if err != nil {
					return 0, fmt.Errorf("%s: %w", thread, err)
				}
				seconds += n / 1e9
			}
		}
	}
	return seconds, nil
}
