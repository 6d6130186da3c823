//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The machine that the exporter is measured on: GPUs of the fake driver, containers of the newest engine that were
// given one each, and what holds the GPUs: every container's first process, and a second one of some.
const (
	scrapeGPUs       = 8
	scrapeContainers = 50
	scrapeProcesses  = 64
)

// smiStart is how long the fake nvidia-smi takes. The real one loads the driver's library and asks it for every GPU.
const smiStart = 100 * time.Millisecond

// scrapeMachine is an engine with containers on the fake driver, and the exporter on it.
type scrapeMachine struct {
	driver   []string // environment that lets the exporter load the fake driver
	b        bench
	state    string
	host     string // DOCKER_HOST
	address  string // of the exporter
	exporter *exec.Cmd
	said     bytes.Buffer
}

func (m *scrapeMachine) docker(args ...string) (string, error) {
	out, err := exec.Command(filepath.Join(m.b.folder, "cli", "docker"), append([]string{"-H", m.host}, args...)...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %.300s", err, exit.Stderr)
		}
		return "", fmt.Errorf("docker %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// startContainer starts one with two processes and a GPU of its own.
func (m *scrapeMachine) startContainer(name string, gpu int) error {
	_, err := m.docker("run", "-d", "--name", name, "--network", "none", "--label", "com.docker.compose.project=bench", "--label", "com.docker.compose.service="+name,
		"--device", fmt.Sprint("nvidia.com/gpu=", gpu), "busybox:latest", "sh", "-c", "sleep 36000 & exec sleep 36000")
	return err
}

// layScrapeMachine starts it all. What is returned has to be ended also where there is an error.
func layScrapeMachine(b bench) (*scrapeMachine, error) {
	m := &scrapeMachine{b: b}
	var err error
	if m.state, err = os.MkdirTemp("/tmp", "s"); err != nil {
		return m, err
	}
	run := func(argv ...string) (string, error) {
		out, err := exec.Command(argv[0], argv[1:]...).Output()
		if err != nil {
			return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	if m.driver, err = fakeDriver(b); err != nil {
		return m, err
	}
	if err := m.offerGPUs(); err != nil {
		return m, err
	}
	if m.host, err = run("e2e/engine.sh", "start", "newest", m.state); err != nil {
		return m, err
	}
	if _, err := run("e2e/engine.sh", "image", m.state); err != nil {
		return m, err
	}
	failed := make(chan error, scrapeContainers)
	slots := make(chan struct{}, 4)
	var all sync.WaitGroup
	for i := range scrapeContainers {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			failed <- m.startContainer(fmt.Sprint("worker-", i), i%scrapeGPUs)
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return m, err
		}
	}
	if err := m.placeProcesses(); err != nil {
		return m, err
	}
	return m, m.startExporter()
}

// offerGPUs writes the CDI devices. There are no nodes behind them, which nobody opens here.
func (m *scrapeMachine) offerGPUs() error {
	type edits struct {
		Env []string `json:"env"`
	}
	type device struct {
		Name  string `json:"name"`
		Edits edits  `json:"containerEdits"`
	}
	var devices []device
	for i := range scrapeGPUs {
		devices = append(devices, device{strconv.Itoa(i), edits{[]string{"NVIDIA_VISIBLE_DEVICES=void"}}})
	}
	data, err := json.Marshal(map[string]any{"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices})
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Join(m.state, "cdi"), 0o755), os.WriteFile(filepath.Join(m.state, "cdi", "nvidia.json"), data, 0o644))
}

// placeProcesses lets the driver say that containers' processes hold the GPUs.
func (m *scrapeMachine) placeProcesses() error {
	scenario, err := os.ReadFile("e2e/fakenvml/scenarios/eight-h100.scenario")
	if err != nil {
		return err
	}
	lines := make([]strings.Builder, scrapeGPUs)
	placed := 0
	for i := range scrapeContainers {
		pids, err := m.docker("top", fmt.Sprint("worker-", i), "-eo", "pid")
		if err != nil {
			return err
		}
		most := 1
		if i < scrapeProcesses-scrapeContainers {
			most = 2
		}
		for _, pid := range strings.Fields(pids)[1:][:most] { // below the heading
			fmt.Fprintf(&lines[i%scrapeGPUs], "process %s compute %dMiB sm=%d mem=%d\n", pid, 900+10*i, 1+i%12, i%7)
			placed++
		}
	}
	if placed != scrapeProcesses {
		return fmt.Errorf("%d processes in place of %d", placed, scrapeProcesses)
	}
	for gpu := range lines {
		scenario = fmt.Appendf(scenario, "\ngpu %d\nutil-gpu 60\n%s", gpu, lines[gpu].String())
	}
	return os.WriteFile(filepath.Join(m.b.scratch, "scrape.scenario"), scenario, 0o644)
}

func (m *scrapeMachine) startExporter() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	m.address = l.Addr().String()
	_ = l.Close()
	m.exporter = exec.Command(m.b.plugin, "exporter", "--listen", m.address)
	m.exporter.Env = append(append(os.Environ(), m.driver...), "DOCKER_HOST="+m.host, "HOME="+m.b.scratch, "FAKE_NVML_SCENARIO="+filepath.Join(m.b.scratch, "scrape.scenario"))
	m.exporter.Stderr = &m.said
	if err := m.exporter.Start(); err != nil {
		return err
	}
	want := fmt.Sprintf("the exporter does not show %d containers on their GPUs", scrapeContainers)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		if text, _, err := timedGet("http://"+m.address+"/metrics", ""); err == nil &&
			strings.Count(text, "\ndocker_gpu_container_info{") == scrapeContainers && strings.Count(text, "\ndocker_gpu_container_memory_used_bytes{") == scrapeContainers {
			return nil
		}
	}

	return fmt.Errorf("%s; it said: %s", want, m.said.String())
}

func (m *scrapeMachine) endExporter() {
	if m.exporter != nil && m.exporter.Process != nil {
		_ = m.exporter.Process.Signal(syscall.SIGTERM)
		_ = m.exporter.Wait()
		m.exporter = nil
	}
}

func (m *scrapeMachine) end() {
	m.endExporter()
	if m.host != "" {
		_ = exec.Command("e2e/engine.sh", "stop", m.state).Run()
	}
	_ = os.RemoveAll(m.state)
}

// timedGet asks once and reads the answer to its end, as bytes that came: encoding is what the scraper accepts.
func timedGet(address, encoding string) (string, time.Duration, error) {
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return "", 0, err
	}
	request.Header.Set("Accept-Encoding", "identity")
	if encoding != "" {
		request.Header.Set("Accept-Encoding", encoding)
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
	start := time.Now()
	response, err := scraper.Do(request)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	took := time.Since(start)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", response.Status, data)
	}
	return string(data), took, err
}

var scraper = &http.Client{Timeout: 30 * time.Second}

// minimalExporter starts nvidia-smi for each scrape, as small exporters do.
func minimalExporter(b bench) (*httptest.Server, error) {
	smi := filepath.Join(b.scratch, "nvidia-smi")
	script := fmt.Sprintf("#!/bin/sh\nsleep %g\n", smiStart.Seconds())
	for i := range scrapeGPUs {
		script += fmt.Sprintf("echo '%d, GPU-%d, 60, 41000, 34, 71.42'\n", i, i)
	}
	if err := os.WriteFile(smi, []byte(script), 0o755); err != nil {
		return nil, err
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out, err := exec.Command(smi, "--query-gpu=index,uuid,utilization.gpu,memory.used,temperature.gpu,power.draw", "--format=csv,noheader,nounits").Output()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for line := range strings.Lines(string(out)) {
			f := strings.Split(strings.TrimSpace(line), ", ")
			for i, name := range []string{"utilization", "memory_used", "temperature", "power"} {
				fmt.Fprintf(w, "nvidia_%s{gpu=%q,uuid=%q} %s\n", name, f[0], f[1], f[2+i])
			}
		}
	})), nil
}

// scrapes asks both exporters in turn, so that both meet the same machine. Between two scrapes of ours lies more
// time than it takes an answer for fresh: every one is a collection.
func scrapes(b bench) []row {
	with := fmt.Sprintf("a minimal exporter that starts nvidia-smi (fake, %s) for each", smiStart)
	plain := row{what: fmt.Sprintf("scrape, %d GPUs, %d processes, %d containers", scrapeGPUs, scrapeProcesses, scrapeContainers), with: with, aim: "0.05"}
	packed := row{what: "the same, gzip", with: with, aim: "0.05"}
	fail := func(err error) []row {
		plain.err, packed.err = err, err
		return []row{plain, packed}
	}
	m, err := layScrapeMachine(b)
	defer m.end()
	if err != nil {
		return fail(err)
	}
	minimal, err := minimalExporter(b)
	if err != nil {
		return fail(err)
	}
	defer minimal.Close()
	var ours, zipped, theirs []time.Duration
	for range 2 * rounds {
		for _, ask := range []struct {
			address, encoding string
			times             *[]time.Duration
		}{{"http://" + m.address + "/metrics", "", &ours}, {minimal.URL, "", &theirs}, {"http://" + m.address + "/metrics", "gzip", &zipped}} {
			time.Sleep(250 * time.Millisecond)
			_, took, err := timedGet(ask.address, ask.encoding)
			if err != nil {
				return fail(err)
			}
			*ask.times = append(*ask.times, took)
		}
	}
	plain.ours, plain.theirs, plain.ratio = spread(ours), spread(theirs), median(ours).Seconds()/median(theirs).Seconds()
	packed.ours, packed.theirs, packed.ratio = spread(zipped), spread(theirs), median(zipped).Seconds()/median(theirs).Seconds()
	m.endExporter()
	return append([]row{plain, packed}, m.topAgainstNvtop()...)
}

// spread is the median of times, with the least and the 95th percentile.
func spread(times []time.Duration) string {
	m := median(times) // sorts them
	return fmt.Sprintf("%s (%s to %s)", milliseconds(m), milliseconds(times[0]), milliseconds(times[len(times)*95/100]))
}
