//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// soak scrapes the exporter once a second for so long, while containers with a GPU come and go on the engine, and
// tells what the exporter and its NVML child held of the machine meanwhile.
func soak(b bench, long time.Duration) error {
	m, err := layScrapeMachine(b)
	defer m.end()
	if err != nil {
		return err
	}
	done := make(chan struct{})
	type churned struct {
		started int
		err     error
	}
	churn := make(chan churned, 1)
	go func() {
		var c churned
		defer func() { churn <- c }()
		const together = 4
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
			if c.err = m.startContainer(fmt.Sprint("guest-", c.started), c.started%scrapeGPUs); c.err != nil {
				return
			}
			c.started++
			if c.started > together {
				if _, c.err = m.docker("rm", "-f", fmt.Sprint("guest-", c.started-together-1)); c.err != nil {
					return
				}
			}
		}
	}()
	pid := m.exporter.Process.Pid
	var held []holding
	var took []time.Duration
	start := time.Now()
	first := processorSeconds(pid)
	for at := start; time.Since(start) < long; at = at.Add(time.Second) {
		time.Sleep(time.Until(at))
		_, t, err := timedGet("http://"+m.address+"/metrics", "gzip")
		if err != nil {
			close(done)
			<-churn
			return err
		}
		took = append(took, t)
		held = append(held, holds(pid))
	}
	close(done)
	c := <-churn
	used := processorSeconds(pid) - first
	if c.err != nil {
		return c.err
	}
	time.Sleep(time.Second)
	text, _, err := timedGet("http://"+m.address+"/metrics", "")
	if err != nil {
		return err
	}
	var guests []string
	for _, match := range regexp.MustCompile(`container="(guest-\d+)"`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(guests, match[1]) {
			guests = append(guests, match[1])
		}
	}
	slices.Sort(guests)
	running, err := m.docker("ps", "--filter", "name=guest-", "--format", "{{.Names}}")
	if err != nil {
		return err
	}
	fmt.Printf("%d scrapes in %s, %d containers came and all but %d went; %s a scrape\n", len(took), time.Since(start).Round(time.Second), c.started, len(strings.Fields(running)), spread(took))
	names := strings.Fields(running)
	slices.Sort(names)
	fmt.Printf("guests in the metrics: %v; on the engine: %v\n", guests, names)
	fmt.Printf("processor: %.2f s of exporter and NVML child, %.2f %% of one\n", used, 100*used/time.Since(start).Seconds())
	fmt.Println("            START       LEAST        MOST         END")
	for _, what := range []struct {
		name  string
		value func(holding) int
	}{
		{"memory KiB", func(h holding) int { return h.resident }}, {"child KiB", func(h holding) int { return h.child }},
		{"files", func(h holding) int { return h.files }}, {"threads", func(h holding) int { return h.threads }},
	} {
		var all []int
		for _, h := range held {
			all = append(all, what.value(h))
		}
		fmt.Printf("%-11s%7d%12d%12d%12d\n", what.name, all[0], slices.Min(all), slices.Max(all), all[len(all)-1])
	}
	old, err := m.goroutines()
	if err != nil {
		return err
	}
	m.said.Reset()
	if len(names) > 0 {
		if _, err := m.docker(append([]string{"rm", "-f"}, names...)...); err != nil {
			return err
		}
	}
	if err := m.startExporter(); err != nil {
		return err
	}
	fresh, err := m.goroutines()
	if err != nil {
		return err
	}
	m.exporter = nil
	fmt.Printf("goroutines: %d at the end, %d of a fresh exporter\n", old, fresh)
	return nil
}

// goroutines ends the exporter, which then tells them all.
func (m *scrapeMachine) goroutines() (int, error) {
	m.said.Reset()
	if err := m.exporter.Process.Signal(syscall.SIGQUIT); err != nil {
		return 0, err
	}
	_ = m.exporter.Wait()
	n := len(regexp.MustCompile(`(?m)^goroutine \d+ .*\[`).FindAll(m.said.Bytes(), -1))
	if n == 0 {
		return 0, errors.New("the exporter told of no goroutine when it was ended")
	}
	return n, nil
}

// holding is what a process and its child hold of the machine.
type holding struct{ resident, child, files, threads int }

func holds(pid int) holding {
	h := holding{resident: statusOf(pid, "VmRSS"), threads: statusOf(pid, "Threads")}
	if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
		h.files = len(entries)
	}
	for _, child := range childrenOf(pid) {
		h.child += statusOf(child, "VmRSS")
	}
	return h
}

func statusOf(pid int, key string) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if name, value, _ := strings.Cut(line, ":"); name == key {
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			return n
		}
	}
	return 0
}

func childrenOf(pid int) []int {
	var children []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		for _, field := range bytes.Fields(data) {
			if n, err := strconv.Atoi(string(field)); err == nil {
				children = append(children, n)
			}
		}
	}
	return children
}

// processorSeconds are those of a process and of the children that it has now or had.
func processorSeconds(pid int) float64 {
	sum := 0.0
	for _, p := range append(childrenOf(pid), pid) {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		_, rest, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		for i := 11; i < 15 && i < len(fields); i++ { // utime, stime, cutime, cstime: hundredths
			n, _ := strconv.ParseFloat(fields[i], 64)
			sum += n / 100
		}
	}
	return sum
}
