package inspect

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"
)

var idA, idB, idC = strings.Repeat("a1", 32), strings.Repeat("b2", 32), strings.Repeat("c3", 32)

// processMachine has one GPU with the processes, an engine with the containers, and /proc below root.
func processMachine(root Root, engine EngineAPI, pids ...int) Machine {
	return Machine{
		Root: root, Host: "unix:///sim", Now: time.Now,
		Dial: func(context.Context) (EngineAPI, error) { return engine, nil },
		NVML: func(context.Context) (*NVMLAnswer, error) {
			g := GPU{Processes: []GPUProcess{}}
			for _, pid := range pids {
				g.Processes = append(g.Processes, GPUProcess{PID: pid, Kinds: []string{"compute"}, MemoryUsedBytes: ptr(uint64(1 << 30))})
			}
			return &NVMLAnswer{GPUs: []GPU{g}}, nil
		},
	}
}

// listEngine is an engine with containers; hidden ones are not in its list, as those that start after it.
type listEngine struct {
	EngineAPI
	running, hidden []Container
	top             map[string][]string // PIDs by container
	asked           []string            // ids that /top was asked for
}

func (e *listEngine) ServerVersion(context.Context, client.ServerVersionOptions) (client.ServerVersionResult, error) {
	return client.ServerVersionResult{Version: "28.5.2"}, nil
}

func (e *listEngine) Info(context.Context, client.InfoOptions) (client.SystemInfoResult, error) {
	return client.SystemInfoResult{}, nil
}

func (e *listEngine) ContainerList(context.Context, client.ContainerListOptions) (client.ContainerListResult, error) {
	var list client.ContainerListResult
	for _, c := range e.running {
		list.Items = append(list.Items, container.Summary{ID: c.ID, Names: []string{"/" + c.Name}, State: "running"})
	}
	return list, nil
}

func (e *listEngine) ContainerInspect(_ context.Context, id string, _ client.ContainerInspectOptions) (client.ContainerInspectResult, error) {
	for _, c := range append(e.running, e.hidden...) {
		if c.ID == id {
			return client.ContainerInspectResult{Container: container.InspectResponse{ID: id, Name: "/" + c.Name,
				State: &container.State{Status: "running", Running: true, Pid: c.PID}, HostConfig: &container.HostConfig{}}}, nil
		}
	}
	return client.ContainerInspectResult{}, fmt.Errorf("no such container: %s: %w", id, cerrdefs.ErrNotFound)
}

func (e *listEngine) ContainerTop(_ context.Context, id string, _ client.ContainerTopOptions) (client.ContainerTopResult, error) {
	e.asked = append(e.asked, id)
	answer := client.ContainerTopResult{Titles: []string{"PID"}}
	for _, pid := range e.top[id] {
		answer.Processes = append(answer.Processes, []string{pid})
	}
	return answer, nil
}

// owners says whose the processes are: the container's name, "host", or "?" where /proc showed nothing.
func owners(s *Snapshot) map[int]string {
	names := map[string]string{}
	for _, c := range s.Containers {
		names[c.ID] = c.Name
	}
	found := map[int]string{}
	eachProcess(s.GPUs, func(_ UsageProcess, p *GPUProcess) {
		switch {
		case p.ContainerID != "":
			found[p.PID] = names[p.ContainerID]
		case p.Gone:
			found[p.PID] = "gone"
		case p.Cgroup == "":
			found[p.PID] = "?"
		default:
			found[p.PID] = "host"
		}
	})
	return found
}

func TestProcessesOfRecordedTrees(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/proc.txtar")
	if err != nil {
		t.Fatal(err)
	}
	trees := map[string]bool{}
	folder := t.TempDir()
	for _, f := range archive.Files {
		tree, _, _ := strings.Cut(f.Name, "/")
		trees[tree] = true
		writeFile(t, filepath.Join(folder, f.Name), string(f.Data))
	}
	if len(trees) < 15 {
		t.Fatalf("only %d trees", len(trees))
	}
	for tree := range trees {
		t.Run(tree, func(t *testing.T) {
			engine := &listEngine{running: []Container{{ID: idA, Name: "trainer", PID: 4001}, {ID: idB, Name: "other", PID: 9}}}
			s := Collect(t.Context(), processMachine(Root(filepath.Join(folder, tree)), engine, 4001, 4002), time.Minute,
				EngineSource, ContainersSource(false), NVMLSource, ProcessesSource)
			if diff := cmp.Diff(map[int]string{4001: "trainer", 4002: "host"}, owners(s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(engine.asked) > 0 {
				t.Errorf("the engine was asked for processes though /proc tells: %q", engine.asked)
			}
		})
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeProcess(t *testing.T, root string, pid int, comm, cgroup string, started int) {
	t.Helper()
	writeFile(t, fmt.Sprintf("%s/proc/%d/stat", root, pid), fmt.Sprintf("%d (%s) S 1 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 %d 0 0\n", pid, comm, started))
	writeFile(t, fmt.Sprintf("%s/proc/%d/cgroup", root, pid), cgroup)
}

// The engine's word counts where /proc has none.
func TestProcessesByTheEngine(t *testing.T) {
	trainer := []Container{{ID: idA, Name: "trainer", PID: 4000}}
	for _, c := range []struct {
		name   string
		tree   func(root string)
		engine *listEngine
		want   string
		asks   int
	}{
		{"hidden /proc", func(string) {}, &listEngine{running: trainer, top: map[string][]string{idA: {"4000", "4001"}}}, "trainer", 1},
		{"rootless without systemd", func(root string) {
			writeProcess(t, root, 4000, "sh", "0::/user.slice/user-1000.slice/session-2.scope\n", 10)
			writeProcess(t, root, 4001, "python", "0::/user.slice/user-1000.slice/session-2.scope\n", 11)
		}, &listEngine{running: trainer, top: map[string][]string{idA: {"4001"}}}, "trainer", 1},
		{"of the host, /proc tells", func(root string) {
			writeProcess(t, root, 4000, "sh", "0::/docker/"+idA+"\n", 10)
			writeProcess(t, root, 4001, "Xorg", "0::/user.slice\n", 11)
		}, &listEngine{running: trainer}, "host", 0},
		{"a container younger than the list", func(root string) {
			writeProcess(t, root, 4001, "python", "0::/docker/"+idB+"\n", 11)
		}, &listEngine{running: trainer, hidden: []Container{{ID: idB, Name: "younger", PID: 4001}}}, "younger", 0},
		{"a container that died meanwhile", func(root string) {
			writeProcess(t, root, 4001, "python", "0::/docker/"+idB+" (deleted)\n", 11)
		}, &listEngine{running: trainer}, "host", 0},
		{"nobody knows it", func(string) {}, &listEngine{running: trainer}, "?", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			c.tree(root)
			s := Collect(t.Context(), processMachine(Root(root), c.engine, 4001), time.Minute, EngineSource, ContainersSource(false), NVMLSource, ProcessesSource)
			if got := owners(s)[4001]; got != c.want {
				t.Errorf("the process is %s's, want %s: %+v", got, c.want, s.Sources)
			}
			if len(c.engine.asked) != c.asks {
				t.Errorf("the engine was asked for %d lists of processes, want %d", len(c.engine.asked), c.asks)
			}
			if c.want == "younger" && (s.Containers[1].Usage == nil || *s.Containers[1].Usage.MemoryUsedBytes != 1<<30) {
				t.Errorf("its memory is not counted: %+v", s.Containers[1].Usage)
			}
		})
	}
}

// A process that started after NVML's answer has only the number of the one that NVML saw.
func TestProcessIDReused(t *testing.T) {
	root := t.TempDir()
	writeProcess(t, root, 4001, "cron", "0::/docker/"+idA+"\n", 100*60+5) // 60.05 s after boot
	writeProcess(t, root, 4002, "python", "0::/docker/"+idA+"\n", 100*59)
	engine := &listEngine{running: []Container{{ID: idA, Name: "trainer", PID: 4002}}, top: map[string][]string{idA: {"4001", "4002"}}}
	m := processMachine(Root(root), engine, 4001, 4002)
	m.Booted = func() (time.Duration, bool) { return time.Minute, true }
	s := Collect(t.Context(), m, time.Minute, EngineSource, ContainersSource(false), NVMLSource, ProcessesSource)
	if diff := cmp.Diff(map[int]string{4001: "gone", 4002: "trainer"}, owners(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Between two readings the PID may have become another process's; an old answer is then no answer.
func TestProcessesSeenAnew(t *testing.T) {
	root := t.TempDir()
	m := processMachine(Root(root), nil)
	m.Seen = &ProcessesSeen{}
	look := func() GPUProcess {
		gpus := []GPU{{Processes: []GPUProcess{{PID: 4001}}}, {Processes: []GPUProcess{{PID: 4001}}}}
		seeProcesses(m, gpus)
		if diff := cmp.Diff(gpus[0], gpus[1]); diff != "" {
			t.Errorf("the same process on two GPUs differs:\n%s", diff)
		}
		return gpus[0].Processes[0]
	}
	writeProcess(t, root, 4001, "python", "0::/docker/"+idA+"\n", 500)
	if p := look(); p.Name != "python" || ContainerIDs(p.Cgroup)[0] != idA {
		t.Errorf("%+v", p)
	}
	writeProcess(t, root, 4001, "trtexec", "0::/docker/"+idB+"\n", 500) // exec keeps the start; no process changes its container
	if p := look(); p.Name != "trtexec" || ContainerIDs(p.Cgroup)[0] != idA {
		t.Errorf("%+v", p)
	}
	writeProcess(t, root, 4001, "ffmpeg", "0::/docker/"+idB+"\n", 900)
	if p := look(); p.Name != "ffmpeg" || ContainerIDs(p.Cgroup)[0] != idB {
		t.Errorf("%+v", p)
	}
	seeProcesses(m, nil)
	if len(m.Seen.known) != 0 {
		t.Errorf("what NVML no longer lists is still remembered: %+v", m.Seen.known)
	}
}

func TestParseStat(t *testing.T) {
	tail := " S 1 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 4711 0 0\n"
	for _, c := range []struct {
		name, text, comm string
		started          uint64
		ok               bool
	}{
		{"plain", "7 (python)" + tail, "python", 4711, true},
		{"brackets and blanks", "7 (a) R 1 (b c)" + tail, "a) R 1 (b c", 4711, true},
		{"line end in the name", "7 (a\nb)" + tail, "a\nb", 4711, true},
		{"empty", "", "", 0, false},
		{"cut", "7 (python) S 1 1", "", 0, false},
		{"no number", "7 (python) S 1 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 x 0", "", 0, false},
		{"brackets turned round", ")7(" + tail, "", 0, false},
	} {
		if comm, started, ok := parseStat([]byte(c.text)); comm != c.comm || started != c.started || ok != c.ok {
			t.Errorf("%s: %q %d %t", c.name, comm, started, ok)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (a\nb) S 1 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 4711 0 0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if comm, _, ok := parseStat(data); ok && !strings.Contains(string(data), "("+comm+")") {
			t.Errorf("%q gives the name %q", data, comm)
		}
	})
}

func FuzzProcessCgroup(f *testing.F) {
	f.Add([]byte("5:devices:/docker/" + idA + "\n0::/\n"))
	f.Add([]byte("0::/system.slice/docker-" + idA + ".scope\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := processCgroup(data)
		if !strings.Contains(string(data), path) {
			t.Errorf("%q gives the path %q", data, path)
		}
		for line := range strings.Lines(string(data)) { // a line that names a container is never passed over for one that does not
			if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 && len(ContainerIDs(parts[2])) > 0 && len(ContainerIDs(path)) == 0 {
				t.Errorf("%q: %q names no container", data, path)
			}
		}
	})
}

// A process of which /proc says nothing may be any container's until the engine was asked: a container that was
// granted its GPU uses an unknown amount then, and not none.
func TestUsageIsUnknownWhileAProcessHasNoOwner(t *testing.T) {
	bytes := uint64(1 << 30)
	for _, test := range []struct {
		name    string
		sources []Reading
		process GPUProcess
		known   bool
	}{
		{"nobody asked", nil, GPUProcess{PID: 7, MemoryUsedBytes: &bytes}, false},
		{"the engine did not answer", []Reading{{Name: "processes", Error: "no answer within 10s", TimedOut: true}}, GPUProcess{PID: 7, MemoryUsedBytes: &bytes}, false},
		{"the engine was asked", []Reading{{Name: "processes"}}, GPUProcess{PID: 7, MemoryUsedBytes: &bytes}, true},
		{"/proc says whose it is", nil, GPUProcess{PID: 7, MemoryUsedBytes: &bytes, Cgroup: "/user.slice"}, true},
		{"it has ended", nil, GPUProcess{PID: 7, MemoryUsedBytes: &bytes, Gone: true}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &Snapshot{
				Sources:    test.sources,
				GPUs:       []GPU{{Index: 0, Processes: []GPUProcess{test.process}}},
				Containers: []Container{{ID: idA, State: "running", Grant: Grant{By: []string{"privileged"}}}},
			}
			attribute(s, map[string]int{idA: 0}, ContainerIDs)
			if used := s.Containers[0].Usage.MemoryUsedBytes; (used != nil) != test.known {
				t.Errorf("memory known: %t, want %t", used != nil, test.known)
			}
		})
	}
}

// Whatever runs where: what containers and host use on a GPU adds up to what its processes hold, and no
// process is counted twice, MIG devices included.
func TestUsageAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Snapshot{
			Containers: []Container{{ID: idA, State: "running"}, {ID: idB, State: "running"}},
			Sources:    []Reading{{Name: ProcessesSource.Name}},
		}
		want := map[int]uint64{}
		pid := 100
		draw := func() GPUProcess {
			pid++
			bytes := rapid.Uint64Range(0, 1<<36).Draw(t, "bytes")
			cgroup := rapid.SampledFrom([]string{"", "/user.slice", "/docker/" + idA, "/docker/" + idB, "/docker/" + idC, "/docker/" + idA + "/docker/" + idC}).Draw(t, "cgroup")
			return GPUProcess{PID: pid, MemoryUsedBytes: &bytes, Cgroup: cgroup}
		}
		for g := range rapid.IntRange(0, 4).Draw(t, "gpus") {
			gpu := GPU{Index: g, Processes: []GPUProcess{}}
			for range rapid.IntRange(0, 5).Draw(t, "processes") {
				p := draw()
				want[g] += *p.MemoryUsedBytes
				gpu.Processes = append(gpu.Processes, p)
			}
			if rapid.Bool().Draw(t, "mig") {
				gpu.MIG = &MIG{Enabled: true}
				for d := range rapid.IntRange(0, 3).Draw(t, "devices") {
					device := MIGDevice{Index: d, Processes: []GPUProcess{}}
					for range rapid.IntRange(0, 3).Draw(t, "processes") {
						p := draw()
						want[g] += *p.MemoryUsedBytes
						device.Processes = append(device.Processes, p)
						if rapid.Bool().Draw(t, "privileged") { // then the GPU itself lists it too
							gpu.Processes = append(gpu.Processes, p)
						}
					}
					gpu.MIG.Devices = append(gpu.MIG.Devices, device)
				}
			}
			s.GPUs = append(s.GPUs, gpu)
		}
		resolve(s, false)
		resolve(s, false) // what a second look adds is nothing
		got, total := map[int]uint64{}, uint64(0)
		count := func(u *Usage) {
			if u == nil {
				return
			}
			for _, p := range u.Processes {
				got[p.GPU] += *p.MemoryUsedBytes
			}
			total += *u.MemoryUsedBytes
		}
		for _, c := range s.Containers {
			count(c.Usage)
		}
		count(HostUsage(s))
		for g := range s.GPUs {
			if got[g] != want[g] {
				t.Errorf("GPU %d: lines add up to %d, its processes hold %d", g, got[g], want[g])
			}
			total -= want[g]
		}
		if total != 0 {
			t.Errorf("the sums differ from the lines by %d", total)
		}
	})
}

func TestUsageUnknown(t *testing.T) {
	known := []GPUProcess{{PID: 7, MemoryUsedBytes: ptr(uint64(5)), Cgroup: "/docker/" + idA}}
	for _, c := range []struct {
		name string
		gpus []GPU
		want *uint64
	}{
		{"no NVML", nil, nil},
		{"known", []GPU{{Index: 0, Processes: known}, {Index: 1}}, ptr(uint64(5))},
		{"processes of the GPU not listed", []GPU{{Index: 0}, {Index: 1, Processes: known}}, nil},
		{"memory of one process not known, as on WSL2", []GPU{{Index: 0, Processes: append(known, GPUProcess{PID: 8, Cgroup: "/docker/" + idA})}}, nil},
		{"MIG without permission on the GPU", []GPU{{Index: 0, MIG: &MIG{Enabled: true, Devices: []MIGDevice{{Processes: known}}}}}, ptr(uint64(5))},
		{"MIG device not listed", []GPU{{Index: 0, Processes: []GPUProcess{}, MIG: &MIG{Enabled: true, Devices: []MIGDevice{{Processes: known}, {Index: 1}}}}}, nil},
		{"idle", []GPU{{Index: 0, Processes: []GPUProcess{}}}, ptr(uint64(0))},
	} {
		s := &Snapshot{GPUs: c.gpus, Containers: []Container{{ID: idA, Asks: Asks{DeviceRequests: []DeviceRequest{{Driver: "nvidia", DeviceIDs: []string{"0"}, Capabilities: [][]string{{"gpu"}}}}}}}}
		resolve(s, false)
		var got *uint64
		if u := s.Containers[0].Usage; u != nil {
			got = u.MemoryUsedBytes
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
