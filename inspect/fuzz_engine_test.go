package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
)

// mostInput bounds the input of a fuzz target: nothing here gets interesting by length alone.
const mostInput = 64 << 10

// ends runs read and fails where it does not come to an end. The time is no measure of speed: it is what
// nobody waits for, on a machine however slow.
func ends(t *testing.T, read func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		read()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("does not end within a minute")
	}
}

// holdData fails where v is not plain data: it is valid text of bounded length and comes back from JSON as it went.
func holdData[T any](t *testing.T, v T) {
	t.Helper()
	eachString(reflect.ValueOf(&v), "", "", func(field, text string) {
		if len(text) > mostText {
			t.Errorf("%s holds %d bytes", field, len(text))
		}
		if !utf8.ValidString(text) {
			t.Errorf("%s holds %q, which is no text", field, text)
		}
	})
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back T
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	again, err := json.Marshal(back)
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("%s\ncomes back as\n%s, %v", data, again, err)
	}
}

// knownWays are all that Grant.By may say.
var knownWays = []string{ByGPUs, ByCDI, ByRuntime, ByDefaultRuntime, ByDevice, ByDXG, ByCgroupRule, ByVolumeMounts, BySwarm, ByPrivileged}

const inspectSeed = `{"Id":"` + "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1" + `","Created":"2026-11-25T10:00:00Z","Name":"/trainer","Image":"sha256:1",
"State":{"Status":"running","Running":true,"Pid":7,"ExitCode":0,"StartedAt":"2026-11-25T10:00:01.5Z","Health":{"Status":"healthy","Log":[null,{"Output":"ok"}]}},
"HostConfig":{"Runtime":"nvidia","Privileged":true,"DeviceRequests":[{"Driver":"","Count":-1,"Capabilities":[["gpu","compute"]]},{"Driver":"cdi","DeviceIDs":["nvidia.com/gpu=0"]}],
"Devices":[{"PathOnHost":"/dev/nvidia0","PathInContainer":"/dev/x"}],"DeviceCgroupRules":["c 195:* rmw"],"CapAdd":["SYS_ADMIN"],"PidMode":"host","IpcMode":"host","ShmSize":67108864,"Memory":1},
"Mounts":[{"Source":"/var/run/docker.sock","Destination":"/var/run/nvidia-container-devices/all"}],
"Config":{"Image":"acme/train","User":"1000","Env":["NVIDIA_VISIBLE_DEVICES=all","NVIDIA_REQUIRE_CUDA=cuda>=12","CUDA_VERSION=12.8","DOCKER_RESOURCE_NVIDIA-GPU=GPU-1"],"Labels":{"com.docker.compose.project":"p"}}}`

// Whatever an engine says of a container: it is refused, or becomes plain data with grants that have a name.
func FuzzDescribeContainer(f *testing.F) {
	f.Add([]byte(inspectSeed))
	f.Add([]byte(`{"Id":"x","State":null,"Config":null,"HostConfig":{"DeviceRequests":[{"Count":9}],"Devices":[{}]},"Mounts":[{}]}`))
	f.Add([]byte(`{"message":"no such container"}`))
	f.Add([]byte(strings.Replace(inspectSeed, "1000", strings.Repeat("é", 3000), 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var lean leanContainer
		if lean.decode(data) != nil {
			return
		}
		answer := lean.full()
		c := describeContainer(answer)
		output, _ := describeOutput(answer, time.Unix(0, 0))
		c.Output = output
		s := &Snapshot{Containers: []Container{c}, Engine: &Engine{Runtimes: map[string]Runtime{"nvidia": {Path: "nvidia-container-runtime"}}, DefaultRuntime: "runc"},
			GPUs: []GPU{{Index: 0, UUID: "GPU-1", Minor: ptr(0)}, {Index: 1, UUID: "GPU-2"}}}
		resolve(s, false)
		c = s.Containers[0]
		for _, by := range c.Grant.By {
			if !contains(knownWays, by) {
				t.Errorf("granted by %q", by)
			}
		}
		if len(c.Grant.By) == 0 && len(c.Grant.GPUs) > 0 {
			t.Errorf("%v without a way to them", c.Grant.GPUs)
		}
		if c.Privileged && !contains(c.Grant.By, ByPrivileged) {
			t.Error("privileged, and no grant says so")
		}
		holdData(t, c)
	})
}

func contains(list []string, one string) bool {
	for _, text := range list {
		if text == one {
			return true
		}
	}
	return false
}

// A list of containers is read whole or not at all: what was cut off is not taken for "there are no more".
func FuzzDecodeContainers(f *testing.F) {
	for _, seed := range []string{`[]`, `[{"Id":"a","Names":["/b","/c/d"],"State":"running","Labels":{"x":"y"},"Ports":1}]`, `[{"Id":"a"}`, `[`, `null`, `{"message":"x"}`, `[{}]`, `[{"Id":"a"},]`, `[{"Id":"a"}]x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var read []Container
		err := decodeContainers(bytes.NewReader(data), func(item container.Summary) { read = append(read, containerListed(item)) })
		if err != nil {
			return
		}
		var whole []json.RawMessage
		dec := json.NewDecoder(bytes.NewReader(data))
		if err := dec.Decode(&whole); err != nil {
			t.Fatalf("%q is no whole list (%v), and was read as one of %d", data, err, len(read))
		}
		if len(whole) != len(read) {
			t.Errorf("%d of %d were read", len(read), len(whole))
		}
		for _, c := range read {
			if c.ID == "" {
				t.Error("a container without id")
			}
			holdData(t, c)
		}
	})
}

// What an engine tells of itself becomes plain data, and never a contradiction.
func FuzzDescribeEngine(f *testing.F) {
	f.Add([]byte(`{"Name":"ada","ServerVersion":"28.5.2","Containers":3,"ContainersRunning":1,"DefaultRuntime":"runc","Runtimes":{"nvidia":{"path":"x","runtimeArgs":["a"]}},"CgroupVersion":"2","CDISpecDirs":["/etc/cdi"],
"SecurityOptions":["name=rootless"],"Labels":["com.docker.desktop.x"],"MemTotal":1024,"NCPU":2,"DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]],
"GenericResources":[{"DiscreteResourceSpec":{"Kind":"gpu","Value":2}},{"NamedResourceSpec":{"Kind":"gpu","Value":"GPU-1"}},{}],"Swarm":{"LocalNodeState":"active","ControlAvailable":true},"DiscoveredDevices":[{"Source":"cdi","ID":"nvidia.com/gpu=0"}]}`), "1.44")
	f.Add([]byte(`{}`), "")
	f.Add([]byte(`{"DriverStatus":[["",""]],"MemTotal":-1}`), "1.")
	f.Fuzz(func(t *testing.T, data []byte, version string) {
		var info system.Info
		if json.Unmarshal(data, &info) != nil {
			return
		}
		e := &Engine{APIVersionMax: version}
		e.describe(info)
		if e.Swarm != nil && e.Swarm.State == "" {
			t.Error("in a swarm in no state")
		}
		host := hostOfEngine(info)
		if host.MemoryTotalBytes != nil && *host.MemoryTotalBytes > 1<<63 {
			t.Errorf("%d bytes of memory", *host.MemoryTotalBytes)
		}
		if _, err := json.Marshal([]any{e, host}); err != nil {
			t.Error(err)
		}
		_ = elsewhereByEndpoint(info.Name, info.Name)
	})
}

// oneContainerEngine answers every question with the same container.
type oneContainerEngine struct {
	EngineAPI
	container container.InspectResponse
	known     bool
}

func (e oneContainerEngine) ContainerInspect(context.Context, string, client.ContainerInspectOptions) (client.ContainerInspectResult, error) {
	if !e.known {
		return client.ContainerInspectResult{}, cerrdefs.ErrNotFound
	}
	return client.ContainerInspectResult{Container: e.container}, nil
}

func (oneContainerEngine) ImageInspect(context.Context, string, ...client.ImageInspectOption) (client.ImageInspectResult, error) {
	return client.ImageInspectResult{}, cerrdefs.ErrNotFound
}

// Whatever stream of events an engine sends: who follows it is told of starts alone, once each, and of no more than was said.
func FuzzEngineEvents(f *testing.F) {
	f.Add([]byte(`{"Type":"container","Action":"create","Actor":{"ID":"a"},"timeNano":1}{"Type":"container","Action":"start","Actor":{"ID":"a","Attributes":{"name":"x","image":"y"}},"timeNano":2}{"Action":"die","Actor":{"ID":"a"}}{"Action":"destroy","Actor":{"ID":"a"}}`), []byte(inspectSeed), true)
	f.Add([]byte(`{"Action":"start"}{"Action":"health_status: healthy","Actor":{"ID":"a"}}{"Action":"rename"}`), []byte(`{"Id":"a"}`), false)
	f.Fuzz(func(t *testing.T, stream, about []byte, known bool) {
		if len(stream)+len(about) > mostInput {
			return
		}
		var lean leanContainer
		if lean.decode(about) != nil {
			return
		}
		answer := lean.full()
		api := oneContainerEngine{container: answer, known: known}
		now := time.Unix(1000, 0)
		told, starts := 0, 0
		watch := NewContainerWatch(Machine{Now: time.Now})
		follow := &follower{machine: Machine{Now: func() time.Time { return now }}, timeout: time.Minute, facts: &Snapshot{Engine: &Engine{}}, told: map[string]time.Time{}, made: map[string]*Container{},
			each: func(h Happening) error {
				told++
				if h.Container == nil || h.At.IsZero() {
					t.Errorf("%+v", h)
				}
				if h.Container != nil {
					holdData(t, *h.Container)
				}
				return nil
			}}
		for dec := json.NewDecoder(bytes.NewReader(stream)); ; {
			var message events.Message
			if dec.Decode(&message) != nil {
				break
			}
			if message.Action == events.ActionStart {
				starts++
			}
			watch.note(message)
			if err := follow.event(t.Context(), api, message); err != nil {
				t.Fatal(err)
			}
		}
		if told > starts {
			t.Errorf("told of %d starts, there were %d", told, starts)
		}
	})
}

// logEngine gives the same bytes as any container's log.
type logEngine struct{ log []byte }

func (e logEngine) ContainerLogs(context.Context, string, client.ContainerLogsOptions) (client.ContainerLogsResult, error) {
	return io.NopCloser(bytes.NewReader(e.log)), nil
}

// A container's log is read as far as it goes, framed or not, within its bounds.
func FuzzContainerLog(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x06hello\n\x02\x00\x00\x00\x00\x00\x00\x04oh\r\n"), false)
	f.Add([]byte("CUDA error\nsecond\xff"), true)
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\xff\xffx"), false)
	f.Fuzz(func(t *testing.T, log []byte, tty bool) {
		var c container.InspectResponse
		c.Config = &container.Config{Tty: tty}
		lines, _ := tail(t.Context(), logEngine{log}, c)
		size := 0
		for _, line := range lines {
			size += len(line)
			if len(line) > mostLogWidth || strings.Contains(line, "\n") || line == "" {
				t.Errorf("%d bytes: %.100q", len(line), line)
			}
			if tty && !bytes.Contains(log, []byte(line)) {
				t.Errorf("%q was never logged", line)
			}
		}
		if size > mostLogBytes {
			t.Errorf("%d bytes of log", size)
		}
	})
}

// A child's line is an answer or an error, and what it becomes is plain data in which nothing is counted twice.
func FuzzNVMLAnswer(f *testing.F) {
	f.Add([]byte(`{"driver":{"version":"570.86.15","cudaVersion":"12.8"},"gpus":[{"index":0,"uuid":"GPU-1","name":"NVIDIA H100","pciBusId":"0000:17:00.0","processes":[{"pid":7,"memoryUsedBytes":1},{"pid":7}],"mig":{"enabled":true,"devices":[{"index":0,"processes":[{"pid":7,"memoryUsedBytes":1}]}]}}]}`))
	f.Add([]byte(`{"absent":"libnvidia-ml.so.1 is not installed","gpus":null}`))
	f.Add([]byte(`{"driver":{"nvmlError":"Driver Not Loaded","nvmlReturn":9},"gpus":null}`))
	f.Add([]byte("{half"))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) > mostInput {
			return
		}
		answer, err := decodeNVML(line)
		if err != nil {
			return
		}
		m := Machine{Root: "/nowhere", Now: time.Now, Run: func(context.Context, ...string) ([]byte, error) { return nil, ErrAbsent }}
		patch, err := readNVMLBy(t.Context(), m, func(context.Context) (*NVMLAnswer, error) { return answer, nil })
		s := &Snapshot{SchemaVersion: 1, Containers: []Container{{ID: idA}}, Driver: &Driver{GPUs: []ProcGPU{{BusID: "0000:17:00.0", Model: "x"}}}}
		if patch != nil {
			patch(s)
		}
		resolve(s, false)
		if err == nil && s.GPUs == nil {
			t.Errorf("%s: no GPUs and no reason why", line)
		}
		seen := 0
		eachProcess(s.GPUs, func(UsageProcess, *GPUProcess) { seen++ })
		held := 0
		for _, c := range s.Containers {
			if c.Usage != nil {
				held += len(c.Usage.Processes)
			}
		}
		if host := HostUsage(s); host != nil {
			held += len(host.Processes)
		} else if seen > 0 && held == 0 {
			held = seen // no GPU lists its processes: nothing is told of them
		}
		if held != seen {
			t.Errorf("%d processes, %d are told of", seen, held)
		}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Snapshot
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
	})
}

// Of the device nodes asked for, the child's words tell each once at most, and of no others.
func FuzzReadOpened(f *testing.F) {
	f.Add([]byte(`{"path":"/dev/nvidia0"}` + "\n" + `{"path":"/dev/nvidiactl","error":"EPERM"}` + "\n{\n"))
	f.Add([]byte(`{"path":"/etc/shadow"}` + "\n" + `{"path":"/dev/nvidia0"}` + "\n" + `{"path":"/dev/nvidia0"}`))
	f.Fuzz(func(t *testing.T, said []byte) {
		paths := []string{"/dev/nvidia0", "/dev/nvidiactl"}
		told := map[string]int{}
		readOpened(bytes.NewReader(said), paths, func(o DeviceOpen) { told[o.Path]++ })
		for path, times := range told {
			if times > 1 || !contains(paths, path) {
				t.Errorf("%d times %q", times, path)
			}
		}
	})
}

func TestDecodeContainers(t *testing.T) {
	for _, c := range []struct {
		name, text, want string // want: the error, empty for none
		count            int
	}{
		{"none", "[]", "", 0},
		{"one", `[{"Id":"a"}]`, "", 1},
		{"cut behind an element", `[{"Id":"a"}`, "unexpected EOF", 1},
		{"cut behind the bracket", `[`, "unexpected EOF", 0},
		{"cut within an element", `[{"Id":"a`, "unexpected EOF", 0},
		{"nothing", ``, "EOF", 0},
		{"null", `null`, "is no list", 0},
		{"an error in its place", `{"message":"x"}`, "is no list", 0},
		{"no id", `[{"message":"x"}]`, "without id", 0},
		{"of text", `["a"]`, "without id", 0},
	} {
		count := 0
		err := decodeContainers(strings.NewReader(c.text), func(container.Summary) { count++ })
		if count != c.count || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d containers, %v; want %d, %q", c.name, count, err, c.count, c.want)
		}
	}
	if diff := cmp.Diff(mostText, len(bounded(strings.Repeat("é", mostText)))); diff != "" {
		t.Error(diff)
	}
}
