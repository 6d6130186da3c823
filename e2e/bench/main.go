//go:build unix

// Command bench measures docker gpu on this machine against what its users have today, side by side in one run, and
// prints one table of ratios. Figures of two machines, or of two runs, are not to be compared; ratios are.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// rounds is how often each program is started; the median counts.
const rounds = 30

// bench is where the things lie that are measured.
type bench struct {
	plugin  string // the binary under test
	folder  string // what e2e/setup.sh laid
	scratch string
}

// row is a line of the table. Without With it is a figure that has an aim of its own.
type row struct {
	what, ours, with, theirs string
	ratio                    float64
	aim                      string
	err                      error // why it could not be measured
}

// measures are all lines, in the order in which they are printed.
var measures = []func(bench) row{
	startUp("docker-compose", "1.0, better 0.7"),
	startUp("docker-buildx", "1.0"),
	againstSlowestSource("status"),
	againstSlowestSource("diagnose"),
	statusMemory,
	explainAgainstGrep("explain, log of 32 MiB", trainingLine, "2.0"),
	explainAgainstGrep("explain, 32 MiB about GPUs that are well", "gpu container %d: CUDA memory of device %d: 0.%04d GiB used, driver loaded, nvidia runtime not failed, limit %d", "–"),
	hookAnswer,
	disableAgainstCompose,
	size,
	staticSize,
}

func main() {
	write := flag.String("write", "", "also write the table as a page to this file")
	scrape := flag.Bool("scrape", false, "measure the exporter's scrapes alone")
	soaking := flag.Duration("soak", 0, "scrape the exporter once a second for so long, containers coming and going, and nothing else")
	flag.Parse()
	b, err := lay()
	if err == nil {
		defer os.RemoveAll(b.scratch)
		table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "MEASURED\tDOCKER GPU\tAGAINST\t\tRATIO\tAIM, AT MOST")
		if *soaking > 0 {
			if err = soak(b, *soaking); err == nil {
				return
			}
			os.RemoveAll(b.scratch)
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		var rows []row
		if *scrape {
			rows = scrapes(b)
		} else {
			for _, measure := range measures {
				rows = append(rows, measure(b))
			}
			rows = append(rows, onEngine(b)...)
			rows = append(rows, scrapes(b)...)
		}
		for _, r := range rows {
			switch {
			case r.err != nil:
				fmt.Fprintf(table, "%s\t–\t%s\tnot measured: %v\t\t%s\n", r.what, r.with, r.err, r.aim)
			default:
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.2f\t%s\n", r.what, r.ours, r.with, r.theirs, r.ratio, r.aim)
			}
		}
		err = table.Flush()
		var grown []curve
		for _, measure := range curves {
			c := measure(b)
			grown = append(grown, c)
			fmt.Printf("\n%s by %s\n", c.what, c.axis)
			for _, p := range c.points {
				fmt.Printf("%8d  %s  %.0f MiB", p.size, milliseconds(p.ours), p.peakMiB)
				if p.theirs > 0 {
					fmt.Printf("  %s %s", c.with, milliseconds(p.theirs))
				}
				fmt.Println()
			}
			if c.err != nil {
				fmt.Println("not measured further:", c.err)
			}
		}
		if err == nil && *write != "" {
			version, _ := exec.Command(b.plugin, "version").Output()
			err = errors.Join(os.WriteFile(*write, []byte(page(strings.TrimSpace(string(version)), rows, grown)), 0o644),
				os.WriteFile(filepath.Join(filepath.Dir(*write), "growth.svg"), []byte(growthPicture(grown)), 0o644))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func lay() (bench, error) {
	plugin, err := filepath.Abs("bin/docker-gpu")
	if err != nil {
		return bench{}, err
	}
	if _, err := os.Stat(plugin); err != nil {
		return bench{}, fmt.Errorf("%w: run `make build` first, and this from the repository's folder", err)
	}
	folder, err := exec.Command("e2e/setup.sh", "--path").Output()
	if err != nil {
		return bench{}, fmt.Errorf("e2e/setup.sh --path: %w", err)
	}
	scratch, err := os.MkdirTemp("", "bench")
	if err != nil {
		return bench{}, err
	}
	// What is measured is laid as `make install` lays it. The linker writes its file in one piece, and the kernel then maps
	// it into whoever runs it in larger pieces than are used: 7 MiB more of the same file are resident.
	installed := filepath.Join(scratch, "docker-gpu")
	if out, err := exec.Command("install", "-m", "755", plugin, installed).CombinedOutput(); err != nil {
		return bench{}, fmt.Errorf("install: %w: %s", err, out)
	}
	return bench{installed, strings.TrimSpace(string(folder)), scratch}, nil
}

// startUp: docker asks each plugin for its metadata at every `docker --help`.
func startUp(other, aim string) func(bench) row {
	return func(b bench) row {
		theirs := filepath.Join(b.folder, "cli-plugins", other)
		r := row{what: "start-up, metadata", with: other, aim: aim}
		if _, err := os.Stat(theirs); err != nil {
			r.err = errors.New("it is not built: e2e/setup.sh --with-buildx")
			return r
		}
		const question = "docker-cli-plugin-metadata"
		mine, other, err := sideBySide([]string{b.plugin, question}, []string{theirs, question})
		r.ours, r.theirs, r.ratio, r.err = milliseconds(mine), milliseconds(other), mine.Seconds()/other.Seconds(), err
		return r
	}
}

// sideBySide starts two programs in turn, so that both meet the same machine, and returns the medians.
func sideBySide(a, b []string) (time.Duration, time.Duration, error) {
	return sideBySideTimes(rounds, a, b)
}

func sideBySideTimes(times int, a, b []string) (time.Duration, time.Duration, error) {
	var as, bs []time.Duration
	for range times {
		for _, run := range []struct {
			argv  []string
			times *[]time.Duration
		}{{a, &as}, {b, &bs}} {
			start := time.Now()
			if err := exec.Command(run.argv[0], run.argv[1:]...).Run(); err != nil {
				return 0, 0, fmt.Errorf("%s: %w", run.argv[0], err)
			}
			*run.times = append(*run.times, time.Since(start))
		}
	}
	return median(as), median(bs), nil
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

// againstSlowestSource: sources are read side by side, so that the slowest one is what the user waits for. The engine
// here takes 300 ms for every answer; status says how long its sources took.
func againstSlowestSource(command string) func(bench) row {
	return func(b bench) row {
		r := row{what: command + ", an engine that is slow", with: "the slowest source", aim: "1.2"}
		host, stop, err := slowEngine(b.scratch, 300*time.Millisecond)
		if err != nil {
			r.err = err
			return r
		}
		defer stop()
		timed := func(command string) ([]byte, time.Duration, error) {
			cmd := exec.Command(b.plugin, command, "--format", "json")
			cmd.Env = append(os.Environ(), "DOCKER_HOST="+host, "DOCKER_CONTEXT=", "HOME="+b.scratch)
			start := time.Now()
			out, err := cmd.Output()
			took := time.Since(start)
			if command == "diagnose" && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 1 { // it found something
				err = nil
			}
			return out, took, err
		}
		var walls, slowests []time.Duration
		for range 5 {
			out, wall, err := timed("status")
			var answer struct {
				Sources []struct{ TookSeconds float64 }
			}
			if err = errors.Join(err, json.Unmarshal(out, &answer)); err == nil && command != "status" {
				_, wall, err = timed(command)
			}
			if err != nil {
				r.err = err
				return r
			}
			slowest := 0.0
			for _, source := range answer.Sources {
				slowest = max(slowest, source.TookSeconds)
			}
			walls, slowests = append(walls, wall), append(slowests, time.Duration(slowest*float64(time.Second)))
		}
		mine, theirs := median(walls), median(slowests)
		r.ours, r.theirs, r.ratio = milliseconds(mine), milliseconds(theirs), mine.Seconds()/theirs.Seconds()
		return r
	}
}

// slowEngine answers as an engine without containers, late.
func slowEngine(folder string, delay time.Duration) (host string, stop func(), err error) {
	socket := filepath.Join(folder, "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		time.Sleep(delay)
		w.Header().Set("Api-Version", "1.47")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(request.URL.Path, "/containers/json"):
			fmt.Fprint(w, "[]")
		case strings.HasSuffix(request.URL.Path, "/version"):
			fmt.Fprint(w, `{"Version":"27.5.1","ApiVersion":"1.47","Os":"linux","Arch":"amd64"}`)
		default:
			fmt.Fprint(w, "{}")
		}
	})}
	go func() { _ = server.Serve(l) }()
	return "unix://" + socket, func() { _ = server.Close() }, nil
}

// statusMemory is the largest resident set of `status`, its child included, against that of `docker compose version`.
func statusMemory(b bench) row {
	r := row{what: "status, memory", with: "docker compose version", aim: "–"}
	resident := func(argv ...string) (float64, error) {
		cmd := exec.Command(argv[0], argv[1:]...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Env = &out, append(os.Environ(), "HOME="+b.scratch, "DOCKER_CONFIG="+b.scratch)
		if err := cmd.Run(); err != nil {
			return 0, fmt.Errorf("%s: %w", argv[0], err)
		}
		return float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024, nil // KiB on Linux
	}
	mine, err := resident(b.plugin, "status")
	theirs, otherErr := resident(filepath.Join(b.folder, "cli-plugins", "docker-compose"), "version")
	r.ours, r.theirs, r.ratio, r.err = fmt.Sprintf("%.0f MiB", mine), fmt.Sprintf("%.0f MiB", theirs), mine/theirs, errors.Join(err, otherErr)
	return r
}

func size(b bench) row {
	r := row{what: "binary, stripped", with: "docker-compose", aim: "45 MB"}
	mine, err := os.Stat(b.plugin)
	theirs, otherErr := os.Stat(filepath.Join(b.folder, "cli-plugins", "docker-compose"))
	if r.err = errors.Join(err, otherErr); r.err != nil {
		return r
	}
	r.ours, r.theirs = fmt.Sprintf("%.1f MB", float64(mine.Size())/1e6), fmt.Sprintf("%.1f MB", float64(theirs.Size())/1e6)
	r.ratio = float64(mine.Size()) / float64(theirs.Size())
	return r
}
