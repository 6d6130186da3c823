//go:build linux

// Command soak runs `docker gpu top` and `docker gpu exporter` for a long time on the fake driver's eight GPUs and an
// engine on which containers come and go, and fails where their memory, threads or descriptors grow.
package main

import (
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker-gpu/docker-gpu/e2e/fakenvml"
	"github.com/docker-gpu/docker-gpu/e2e/pane"
)

func main() {
	plugin := flag.String("plugin", "bin/docker-gpu", "the `FILE` to soak")
	last := flag.Duration("for", 30*time.Minute, "how long")
	every := flag.Duration("every", time.Minute, "between two samples")
	out := flag.String("out", "", "CSV `FILE` of the samples")
	flag.Parse()
	if err := soak(*plugin, *last, *every, *out); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// sample is one look at a process and its children: those that read NVML come and go with it.
type sample struct {
	minute                                        float64
	what                                          string
	rssKiB, threads, descriptors, children, ticks int
}

func soak(plugin string, last, every time.Duration, out string) error {
	plugin, err := filepath.Abs(plugin)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if _, err := fakenvml.Build(folder); err != nil {
		return err
	}
	w := &world{containers: map[string]int{}, folder: folder, scenario: filepath.Join(folder, "soak.scenario")}
	if w.base, err = os.ReadFile(fakenvml.Scenario("eight-h100")); err != nil {
		return err
	}
	defer w.endJobs()
	if w.engine, err = startEngine(filepath.Join(folder, "e.sock"), w); err != nil {
		return err
	}
	defer func() { _ = w.engine.Close() }()
	if err := w.churn(); err != nil {
		return err
	}
	environ := append(os.Environ(), append(fakenvml.Env(folder, w.scenario), "DOCKER_HOST=unix://"+filepath.Join(folder, "e.sock"), "HOME="+folder, "TERM=xterm-256color")...)

	address, err := freeAddress()
	if err != nil {
		return err
	}
	exporter := exec.Command(plugin, "exporter", "--listen", address)
	exporter.Env, exporter.Stderr = environ, os.Stderr
	if err := exporter.Start(); err != nil {
		return err
	}
	defer func() { _ = exporter.Process.Kill(); _ = exporter.Wait() }()

	top, err := pane.Start(filepath.Join(folder, "tmux"), environ, plugin+" top --interval 1s")
	if err != nil {
		return err
	}
	defer top.Close()

	var samples []sample
	start := time.Now()
	next := start.Add(every)
	scrapes, failed, shown := 0, 0, 0
	for tick := time.NewTicker(time.Second); time.Since(start) < last; <-tick.C {
		if err := w.churn(); err != nil {
			return err
		}
		if body, err := scrape(address); err != nil || !strings.Contains(body, "DCGM_FI_DEV_GPU_TEMP") {
			failed++
		} else {
			scrapes++
			shown += strings.Count(body, "\ndocker_gpu_container_info{")
		}
		if time.Now().Before(next) {
			continue
		}
		next = next.Add(every)
		for what, pid := range map[string]int{"exporter": exporter.Process.Pid, "top": top.PID} {
			s, err := look(pid)
			if err != nil {
				screen, _ := top.Screen()
				return fmt.Errorf("%s ended: %w\n%s", what, err, screen)
			}
			s.minute, s.what = time.Since(start).Minutes(), what
			samples = append(samples, s)
		}
	}
	screen, err := top.Screen()
	if err != nil || !strings.Contains(screen, "GPU") {
		return fmt.Errorf("top shows nothing at the end: %w\n%s", err, screen)
	}
	if out != "" {
		if err := write(out, samples); err != nil {
			return err
		}
	}
	fmt.Printf("%d containers came and went, %d processes; %d scrapes, %d failed, %.1f containers shown in each\n", w.made, w.jobsMade, scrapes, failed, float64(shown)/float64(max(1, scrapes)))
	if failed > 2 || shown == 0 { // the first may come before the exporter listens
		err = errors.New("the exporter did not answer as it should")
	}
	return errors.Join(err, flat(samples))
}

// flat compares the last third of the samples with the second, behind the warming-up, by medians.
func flat(samples []sample) error {
	var errs []error
	for _, what := range []string{"exporter", "top"} {
		var of []sample
		for _, s := range samples {
			if s.what == what {
				of = append(of, s)
			}
		}
		if len(of) < 6 {
			errs = append(errs, fmt.Errorf("%s: %d samples are too few to tell", what, len(of)))
			continue
		}
		third := len(of) / 3
		for _, figure := range []struct {
			name string
			of   func(sample) int
			may  func(before int) int
		}{
			{"resident KiB", func(s sample) int { return s.rssKiB }, func(before int) int { return before + before/10 }},
			{"threads", func(s sample) int { return s.threads }, func(before int) int { return before + 4 }},
			{"descriptors", func(s sample) int { return s.descriptors }, func(before int) int { return before + max(4, before/5) }}, // of processes that come and go
		} {
			before, after := median(of[third:2*third], figure.of), median(of[len(of)-third:], figure.of)
			fmt.Printf("%-9s %-13s %8d first %8d second third %8d last third %8d last\n", what, figure.name, figure.of(of[0]), before, after, figure.of(of[len(of)-1]))
			if after > figure.may(before) {
				errs = append(errs, fmt.Errorf("%s: %s grew from %d to %d", what, figure.name, before, after))
			}
		}
		first, end := of[0], of[len(of)-1]
		fmt.Printf("%-9s %-13s %8.2f %% of one processor\n", what, "time", float64(end.ticks-first.ticks)/(end.minute-first.minute)/60)
	}
	return errors.Join(errs...)
}

func median(samples []sample, of func(sample) int) int {
	var values []int
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func write(name string, samples []sample) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := csv.NewWriter(f)
	_ = w.Write([]string{"minute", "process", "residentKiB", "threads", "descriptors", "children"})
	for _, s := range samples {
		_ = w.Write([]string{fmt.Sprintf("%.2f", s.minute), s.what, strconv.Itoa(s.rssKiB), strconv.Itoa(s.threads), strconv.Itoa(s.descriptors), strconv.Itoa(s.children)})
	}
	w.Flush()
	return w.Error()
}

// look adds up a process and its children.
func look(pid int) (sample, error) {
	s, err := lookAt(pid)
	if err != nil {
		return s, err
	}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for child := range strings.FieldsSeq(string(children)) {
			number, _ := strconv.Atoi(child)
			if c, err := lookAt(number); err == nil {
				s.rssKiB, s.threads, s.descriptors, s.children, s.ticks = s.rssKiB+c.rssKiB, s.threads+c.threads, s.descriptors+c.descriptors, s.children+1, s.ticks+c.ticks
			}
		}
	}
	return s, nil
}

func lookAt(pid int) (sample, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return sample{}, err
	}
	number := func(key string) int {
		_, rest, _ := strings.Cut(string(status), "\n"+key+":")
		line, _, _ := strings.Cut(rest, "\n")
		n, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")))
		return n
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return sample{}, err
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat)[strings.LastIndexByte(string(stat), ')')+1:])
	ticks := 0
	if len(fields) > 12 {
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		ticks = user + system
	}
	return sample{rssKiB: number("VmRSS"), threads: number("Threads"), descriptors: len(descriptors), ticks: ticks}, nil
}

func scrape(address string) (string, error) {
	client := http.Client{Timeout: 20 * time.Second}
	answer, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// job is a process that holds memory of a GPU, by its own word.
type job struct {
	cmd  *exec.Cmd
	gpu  int
	line string
}

// churn ends one in four containers and makes others, up to 40, and likewise processes on GPUs, up to 24.
func (w *world) churn() error {
	w.mu.Lock()
	for id := range w.containers {
		if rand.IntN(4) == 0 {
			delete(w.containers, id)
			w.happened = append(w.happened, happening{"die", id}, happening{"destroy", id})
		}
	}
	for len(w.containers) < 40 && rand.IntN(6) > 0 {
		w.made++
		id := fmt.Sprintf("%064x", 0xa000000+w.made)
		w.containers[id] = w.made
		w.happened = append(w.happened, happening{"create", id}, happening{"start", id})
	}
	w.mu.Unlock()
	w.tell()
	var stay []job
	for _, j := range w.jobs {
		if rand.IntN(4) == 0 {
			_ = j.cmd.Process.Kill()
			_ = j.cmd.Wait()
		} else {
			stay = append(stay, j)
		}
	}
	for len(stay) < 24 && rand.IntN(6) > 0 {
		cmd := exec.Command("sleep", "86400")
		if err := cmd.Start(); err != nil {
			return err
		}
		w.jobsMade++
		stay = append(stay, job{cmd, rand.IntN(8), fmt.Sprintf("process %d compute %dMiB sm=%d mem=1 enc=0 dec=0\n", cmd.Process.Pid, 100+rand.IntN(4000), rand.IntN(100))})
	}
	w.jobs = stay
	text := string(w.base)
	for gpu := range 8 {
		text += fmt.Sprintf("\ngpu %d\nutil-gpu %d\ntemp %d\n", gpu, rand.IntN(101), 30+rand.IntN(50))
		for _, j := range w.jobs {
			if j.gpu == gpu {
				text += j.line
			}
		}
	}
	return fakenvml.Write(w.scenario, text)
}

func (w *world) endJobs() {
	for _, j := range w.jobs {
		_ = j.cmd.Process.Kill()
		_ = j.cmd.Wait()
	}
}
