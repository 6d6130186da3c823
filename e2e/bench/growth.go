//go:build unix

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker-gpu/docker-gpu/e2e/simengine"
)

// curve is how a command's time grows with what it has to read.
type curve struct {
	what, axis, with string // with: what would be typed instead; empty where there is no such thing
	points           []point
	err              error // why the rest could not be measured
}

type point struct {
	size         int
	ours, theirs time.Duration // theirs is 0 without with
	peakMiB      float64       // of ours; 0: not known
}

// curves are measured by `make bench` after the table.
var curves = []func(bench) curve{psByContainers, statusByGPUs, psByProcesses, explainBySize}

// measurePoint runs ours and, where there is one, theirs in turn, and ours once more for its memory.
func measurePoint(size, times int, env, ours, theirs []string) (point, error) {
	p := point{size: size}
	var mine, other []time.Duration
	run := func(argv []string, stderr *bytes.Buffer) (time.Duration, error) {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), env...)
		var said bytes.Buffer
		cmd.Stderr = cmp.Or(stderr, &said)
		start := time.Now()
		if err := cmd.Run(); err != nil {
			return 0, fmt.Errorf("%s: %w: %.300s", strings.Join(argv, " "), err, said.String())
		}
		return time.Since(start), nil
	}
	for range times {
		took, err := run(ours, nil)
		if err != nil {
			return p, err
		}
		mine = append(mine, took)
		if theirs == nil {
			continue
		}
		if took, err = run(theirs, nil); err != nil {
			return p, err
		}
		other = append(other, took)
	}
	p.ours = median(mine)
	if theirs != nil {
		p.theirs = median(other)
	}
	// GNU time stands between, because a child's peak counts that of the process it was forked from.
	if gnuTime, err := exec.LookPath("time"); err == nil {
		var said bytes.Buffer
		if _, err := run(append([]string{gnuTime, "-f", "%M"}, ours...), &said); err == nil {
			words := strings.Fields(said.String())
			if kib, err := strconv.ParseFloat(words[len(words)-1], 64); err == nil {
				p.peakMiB = kib / 1024
			}
		}
	}
	return p, nil
}

func psByContainers(b bench) curve {
	c := curve{what: "ps", axis: "running containers", with: "docker ps -q | xargs docker inspect"}
	docker := filepath.Join(b.folder, "cli", "docker")
	for _, n := range []int{10, 100, 1000, 10000} {
		host, stop, err := crowdedEngine(b.scratch, n)
		if err != nil {
			c.err = err
			return c
		}
		p, err := measurePoint(n, times(n, 1000), []string{"DOCKER_HOST=" + host, "DOCKER_CONTEXT=", "HOME=" + b.scratch},
			[]string{b.plugin, "ps", "-q"}, []string{"sh", "-c", `"$0" ps -q --no-trunc | xargs "$0" inspect >/dev/null`, docker})
		stop()
		if err != nil {
			c.err = err
			return c
		}
		c.points = append(c.points, p)
	}
	return c
}

// times is how often a point is measured: less often where once takes long.
func times(size, large int) int {
	if size > large {
		return 3
	}
	return 7
}

// crowdedImages is of how many images so many containers are.
const crowdedImages = 7

// crowdedEngine answers as an engine with n running containers that have a GPU by the nvidia runtime.
func crowdedEngine(folder string, n int) (host string, stop func(), err error) {
	socket := filepath.Join(folder, "crowd.sock")
	id := func(i int) string { return fmt.Sprintf("%064x", i+1) }
	var list bytes.Buffer
	list.WriteByte('[')
	for i := range n {
		if i > 0 {
			list.WriteByte(',')
		}
		fmt.Fprintf(&list, `{"Id":%q,"Names":["/job-%d"],"Image":"acme/train:%d","ImageID":"sha256:%s","Command":"python train.py","Created":1764000000,"Ports":[],"Labels":{"com.docker.compose.project":"p%d","com.docker.compose.service":"train"},"State":"running","Status":"Up 2 hours","HostConfig":{"NetworkMode":"none"},"Mounts":[]}`,
			id(i), i, i%crowdedImages, id(i%crowdedImages), i%50)
	}
	list.WriteByte(']')
	engine, err := simengine.Start(socket, "1.47", func(w http.ResponseWriter, _ *http.Request, path string) bool {
		at, inspects := strings.CutSuffix(strings.TrimPrefix(path, "/containers/"), "/json")
		number, err := strconv.ParseInt(at, 16, 64)
		switch {
		case path == "/containers/json":
			_, _ = w.Write(list.Bytes())
		case inspects && err == nil:
			fmt.Fprintf(w, `{"Id":%q,"Created":"2026-11-24T10:00:00Z","Path":"python","Args":["train.py"],"State":{"Status":"running","Running":true,"Pid":%d,"StartedAt":"2026-11-24T10:00:01Z"},"Image":"sha256:%s","Name":"/job-%d","HostConfig":{"Runtime":"nvidia","NetworkMode":"none","ShmSize":67108864,"CgroupParent":"","Devices":[],"DeviceRequests":null,"RestartPolicy":{"Name":"no"}},"GraphDriver":{"Name":"overlay2","Data":{"LowerDir":"/var/lib/docker/overlay2/%s/diff","MergedDir":"/var/lib/docker/overlay2/%s/merged"}},"Mounts":[],"Config":{"Hostname":"h","Env":["PATH=/usr/local/bin:/usr/bin:/bin","NVIDIA_VISIBLE_DEVICES=all","NVIDIA_DRIVER_CAPABILITIES=compute,utility"],"Cmd":["python","train.py"],"Image":"acme/train:1","Labels":{"com.docker.compose.project":"p","com.docker.compose.service":"train"}},"NetworkSettings":{"Networks":{"none":{"EndpointID":"","NetworkID":""}}}}`,
				at, 4000000+number, id(int(number-1)%crowdedImages), number-1, at, at)
		case path == "/version":
			fmt.Fprint(w, `{"Version":"27.5.1","ApiVersion":"1.47","MinAPIVersion":"1.24","Os":"linux","Arch":"amd64"}`)
		case path == "/info":
			fmt.Fprintf(w, `{"ID":"bench","Containers":%d,"ContainersRunning":%d,"Driver":"overlay2","CgroupDriver":"systemd","CgroupVersion":"2","ServerVersion":"27.5.1","OperatingSystem":"Debian","OSType":"linux","Architecture":"x86_64","DockerRootDir":"/var/lib/docker","Name":"bench","Runtimes":{"nvidia":{"path":"nvidia-container-runtime"},"runc":{"path":"runc"}},"DefaultRuntime":"runc","SecurityOptions":[]}`, n, n)
		default:
			return false
		}
		return true
	})
	if err != nil {
		return "", nil, err
	}
	return "unix://" + socket, func() { _ = engine.Close() }, nil
}

// statusByGPUs and psByProcesses read the fake driver, whose own time for a call is small beside the process that asks.
func statusByGPUs(b bench) curve {
	c := curve{what: "status", axis: "GPUs"}
	env, err := fakeDriver(b)
	if err != nil {
		c.err = err
		return c
	}
	for _, n := range []int{1, 2, 4, 8, 16} {
		scenario := filepath.Join(b.scratch, "gpus.scenario")
		if err = os.WriteFile(scenario, scenarioOf(n, nil), 0o600); err != nil {
			break
		}
		var p point
		if p, err = measurePoint(n, 9, append(env, "FAKE_NVML_SCENARIO="+scenario), []string{b.plugin, "status"}, nil); err != nil {
			break
		}
		c.points = append(c.points, p)
	}
	c.err = err
	return c
}

func psByProcesses(b bench) curve {
	c := curve{what: "ps", axis: "GPU processes on 8 GPUs"}
	env, err := fakeDriver(b)
	if err != nil {
		c.err = err
		return c
	}
	host, stop, err := crowdedEngine(b.scratch, 50)
	if err != nil {
		c.err = err
		return c
	}
	defer stop()
	var sleeping []*exec.Cmd
	defer func() {
		for _, cmd := range sleeping {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	env = append(env, "DOCKER_HOST="+host, "DOCKER_CONTEXT=", "HOME="+b.scratch)
	for _, n := range []int{1, 10, 100, 1000} {
		for len(sleeping) < n {
			cmd := exec.Command("sleep", "3600")
			if c.err = cmd.Start(); c.err != nil {
				return c
			}
			sleeping = append(sleeping, cmd)
		}
		scenario := filepath.Join(b.scratch, "processes.scenario")
		if c.err = os.WriteFile(scenario, scenarioOf(8, sleeping), 0o600); c.err != nil {
			return c
		}
		p, err := measurePoint(n, 9, append(env, "FAKE_NVML_SCENARIO="+scenario), []string{b.plugin, "ps"}, nil)
		if c.err = err; err != nil {
			return c
		}
		c.points = append(c.points, p)
	}
	return c
}

// fakeDriver builds the fake NVML library, once, and returns the environment that lets programs load it.
func fakeDriver(b bench) ([]string, error) {
	folder := filepath.Join(b.scratch, "nvml")
	if _, err := os.Stat(folder); err != nil {
		if out, err := exec.Command("e2e/fakenvml/build.sh", folder).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("e2e/fakenvml/build.sh: %w: %.300s", err, out)
		}
	}
	return []string{"LD_LIBRARY_PATH=" + folder, "DOCKER_GPU_NVML_LIBRARY=" + filepath.Join(folder, "libnvidia-ml.so.1")}, nil
}

func scenarioOf(gpus int, processes []*exec.Cmd) []byte {
	var b bytes.Buffer
	b.WriteString("driver 570.86.15\ncuda 12.8\nname NVIDIA H100 80GB HBM3\nmemory-total 81559 MiB\nmemory-reserved 551 MiB\nmemory-used 40000 MiB\nutil-gpu 50\ntemp 55\npower 400\npower-limit 700\n")
	for g := range gpus {
		fmt.Fprintf(&b, "gpu %d\n", g)
		for i := g; i < len(processes); i += gpus {
			fmt.Fprintf(&b, "process %d compute 64MiB sm=1\n", processes[i].Process.Pid)
		}
	}
	return b.Bytes()
}

// explainBySize: a training log with one message at its end.
func explainBySize(b bench) curve {
	c := curve{what: "explain", axis: "MB of log", with: "grep -F -f, as many texts"}
	patterns, _, err := searchTexts(b)
	if err != nil {
		c.err = err
		return c
	}
	file := filepath.Join(b.scratch, "growing.log")
	defer os.Remove(file)
	for _, n := range []int{1, 10, 100, 1000} {
		if c.err = writeTrainingLog(file, n*1000*1000, trainingLine); c.err != nil {
			return c
		}
		p, err := measurePoint(n, times(n, 10), nil, []string{b.plugin, "explain", file}, grepFor(patterns, file))
		if c.err = err; err != nil {
			return c
		}
		c.points = append(c.points, p)
	}
	return c
}

// growthPage is the curves as tables below a picture.
func growthPage(all []curve) string {
	var b strings.Builder
	b.WriteString("\n## How it grows\n\n![time against size, both axes logarithmic, a panel a command](growth.svg)\n")
	for _, c := range all {
		fmt.Fprintf(&b, "\n### %s by %s\n\n", c.what, c.axis)
		if c.with == "" {
			fmt.Fprintf(&b, "| %s | docker gpu %s | memory |\n| ---: | ---: | ---: |\n", c.axis, c.what)
		} else {
			fmt.Fprintf(&b, "| %s | docker gpu %s | memory | %s | ratio |\n| ---: | ---: | ---: | ---: | ---: |\n", c.axis, c.what, strings.ReplaceAll(c.with, "|", `\|`))
		}
		for _, p := range c.points {
			memory := "–"
			if p.peakMiB > 0 {
				memory = fmt.Sprintf("%.0f MiB", p.peakMiB)
			}
			fmt.Fprintf(&b, "| %d | %s | %s |", p.size, milliseconds(p.ours), memory)
			if c.with != "" {
				fmt.Fprintf(&b, " %s | %.2f |", milliseconds(p.theirs), p.ours.Seconds()/p.theirs.Seconds())
			}
			b.WriteString("\n")
		}
		if c.err != nil {
			fmt.Fprintf(&b, "\nNot measured further: %s\n", strings.ReplaceAll(c.err.Error(), "\n", " "))
		}
	}
	return b.String()
}
