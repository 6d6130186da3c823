package inspect

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
)

// inspectAtOnce bounds the questions that one engine is asked at the same time.
const inspectAtOnce = 16

// ContainersSource asks the engine for its running containers, or for all, and how each of them came to
// a GPU (GET /containers/json, GET /containers/ID/json, GET /images/ID/json).
func ContainersSource(all bool) Source { return ContainersWanted(all, nil) }

// ContainersWanted is [ContainersSource], but asks only for those containers in full that are wanted by
// what the engine's list says of them: id, name, image, state, labels. Of the others the Snapshot holds
// no more than that, so that their processes are theirs.
func ContainersWanted(all bool, wanted func(*Container) bool) Source {
	return Source{Name: "containers", Read: func(ctx context.Context, m Machine) (Patch, error) {
		api, err := dial(ctx, m)
		if err != nil {
			_, _, err = whyUnreachable(ctx, m.Host, err)
			return nil, err
		}
		engine := reader(m, api)
		defer engine.close()
		var list []Container
		if err := engine.list(ctx, all, func(item container.Summary) { list = append(list, containerListed(item)) }); err != nil {
			_, _, err = whyUnreachable(ctx, m.Host, err)
			return nil, err
		}
		containers, err := describeListed(ctx, engine, &imageVariables{api: api}, list, wanted)
		if err != nil && ctx.Err() != nil {
			return nil, ctx.Err() // too late, and a list with holes is none
		}
		return func(s *Snapshot) { s.Containers = containers }, err
	}}
}

// describeListed asks for those of the list in full that are wanted (nil: all), a few at once. What went
// away since it was listed is left out; the first other failure is returned beside what could be read.
func describeListed(ctx context.Context, engine engineReader, images *imageVariables, list []Container, wanted func(*Container) bool) ([]Container, error) {
	gone, errs := make([]bool, len(list)), make([]error, len(list))
	describe := func(i int) {
		c := &list[i]
		answer, err := engine.inspect(ctx, c.ID)
		if err != nil {
			gone[i] = true
			if !cerrdefs.IsNotFound(err) { // else it went away between the two questions
				errs[i] = err
			}
			return
		}
		status := c.Status
		*c = describeContainer(answer)
		c.Status = status
		if c.Asks.VisibleDevices != nil {
			value, known := images.visible(ctx, answer.Image)
			c.Asks.VisibleFromImage = known && value == *c.Asks.VisibleDevices
		}
	}
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(inspectAtOnce, len(list)) {
		wg.Go(func() {
			for i := range next {
				describe(i)
			}
		})
	}
	for i := range list {
		if wanted == nil || wanted(&list[i]) {
			next <- i
		}
	}
	close(next)
	wg.Wait()
	containers := make([]Container, 0, len(list))
	var failed error
	for i := range list {
		if !gone[i] {
			containers = append(containers, list[i])
		}
		if errs[i] != nil && failed == nil {
			failed = errs[i]
		}
	}
	if failed != nil && len(containers) == 0 {
		return nil, failed // there are some, of which nothing is known
	}
	return containers, failed
}

// containerListed is what GET /containers/json tells of a container.
func containerListed(item container.Summary) Container {
	c := Container{ID: bounded(item.ID), Image: bounded(item.Image), ImageID: bounded(item.ImageID), State: bounded(string(item.State)), Status: bounded(item.Status)}
	for _, name := range item.Names { // /NAME; a link of another container is /OTHER/NAME
		if plain := strings.TrimPrefix(name, "/"); c.Name == "" || !strings.Contains(plain, "/") {
			c.Name = bounded(plain)
		}
	}
	c.labels(item.Labels)
	return c
}

// mostLabels bounds the labels that are kept of one container.
const mostLabels = 64

func (c *Container) labels(labels map[string]string) {
	c.ComposeProject, c.ComposeService = bounded(labels["com.docker.compose.project"]), bounded(labels["com.docker.compose.service"])
	c.Labels = make(map[string]string, min(len(labels), mostLabels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if len(c.Labels) < mostLabels {
			c.Labels[bounded(key)] = bounded(labels[key])
		}
	}
}

// imageVariables asks for NVIDIA_VISIBLE_DEVICES of an image once, however many containers it has.
type imageVariables struct {
	api   EngineAPI
	mu    sync.Mutex
	known map[string]func() (string, bool)
}

func (v *imageVariables) visible(ctx context.Context, image string) (string, bool) {
	v.mu.Lock()
	if v.known == nil {
		v.known = map[string]func() (string, bool){}
	}
	ask, ok := v.known[image]
	if !ok {
		ask = sync.OnceValues(func() (string, bool) {
			answer, err := v.api.ImageInspect(ctx, image)
			if err != nil || answer.Config == nil {
				return "", false
			}
			value, set := variable(answer.Config.Env, "NVIDIA_VISIBLE_DEVICES")
			return value, set
		})
		v.known[image] = ask
	}
	v.mu.Unlock()
	return ask()
}

// variable is the value of a variable in a list of KEY=value; the last one counts.
func variable(env []string, key string) (value string, set bool) {
	for _, entry := range env {
		if rest, ok := strings.CutPrefix(entry, key+"="); ok {
			value, set = bounded(rest), true
		}
	}
	return value, set
}

// mostText bounds every string that an engine, an image or a user of it chose.
const mostText = 4096

func bounded(s string) string {
	if len(s) <= mostText {
		return s
	}
	at := mostText
	for at > mostText-utf8.UTFMax && !utf8.RuneStart(s[at]) { // not amidst a character
		at--
	}
	return s[:at]
}

// mostListed bounds every list that a container is made with: what grants are made of is compared with one another.
const mostListed = 1024

// boundedAll bounds a list and each text of it. It is the list itself that it changes.
func boundedAll[T ~string](list []T) []T {
	list = list[:min(len(list), mostListed)]
	for i := range list {
		list[i] = T(bounded(string(list[i])))
	}
	return list
}

// containerDevices is the folder whose mounts ask for GPUs, where the toolkit's configuration lets them.
const containerDevices = "/var/run/nvidia-container-devices/"

func describeContainer(answer container.InspectResponse) Container {
	c := Container{ID: bounded(answer.ID), Name: bounded(strings.TrimPrefix(answer.Name, "/")), ImageID: bounded(answer.Image)}
	if created, err := time.Parse(time.RFC3339Nano, answer.Created); err == nil {
		c.CreatedAt = &created
	}
	if state := answer.State; state != nil {
		c.State, c.Error, c.PID = bounded(string(state.Status)), bounded(state.Error), state.Pid
		if !state.Running {
			c.ExitCode, c.OOMKilled = ptr(state.ExitCode), ptr(state.OOMKilled)
		}
		if started, err := time.Parse(time.RFC3339Nano, state.StartedAt); err == nil && !started.IsZero() {
			c.StartedAt = &started
		}
		if state.Health != nil && state.Health.Status != "none" {
			c.Health = bounded(string(state.Health.Status))
		}
	}
	a := &c.Asks
	if config := answer.Config; config != nil {
		c.Image, a.User = bounded(config.Image), bounded(config.User)
		c.labels(config.Labels)
		if value, set := variable(config.Env, "NVIDIA_VISIBLE_DEVICES"); set {
			a.VisibleDevices = &value
		}
		if value, set := variable(config.Env, "NVIDIA_DRIVER_CAPABILITIES"); set {
			a.DriverCapabilities = &value
		}
		a.CUDAVersion, _ = variable(config.Env, "CUDA_VERSION")
		for _, entry := range config.Env { // no other value of the environment is kept
			key, value, _ := strings.Cut(entry, "=")
			switch {
			case strings.HasPrefix(key, "NVIDIA_REQUIRE_"):
				a.Require = with(a.Require, bounded(key), bounded(value))
			case strings.HasPrefix(key, "DOCKER_RESOURCE_"):
				a.GenericResources = with(a.GenericResources, bounded(key), bounded(value))
			}
		}
		_, requires := a.Require["NVIDIA_REQUIRE_CUDA"]
		a.LegacyImage = a.CUDAVersion != "" && !requires
	}
	if host := answer.HostConfig; host != nil {
		c.Runtime, c.Privileged = bounded(host.Runtime), host.Privileged
		for _, r := range host.DeviceRequests[:min(len(host.DeviceRequests), mostListed)] {
			for _, all := range r.Capabilities {
				boundedAll(all)
			}
			a.DeviceRequests = append(a.DeviceRequests, DeviceRequest{Driver: bounded(r.Driver), Count: r.Count, DeviceIDs: boundedAll(r.DeviceIDs), Capabilities: r.Capabilities})
		}
		for _, d := range host.Devices[:min(len(host.Devices), mostListed)] {
			name := d.PathOnHost
			if d.PathInContainer != "" && d.PathInContainer != name {
				name += ":" + d.PathInContainer
			}
			a.Devices = append(a.Devices, bounded(name))
		}
		a.DeviceCgroupRules, a.CapAdd, a.SecurityOpt = boundedAll(host.DeviceCgroupRules), boundedAll(host.CapAdd), boundedAll(host.SecurityOpt)
		a.PidMode, a.IpcMode = bounded(string(host.PidMode)), bounded(string(host.IpcMode))
		if host.ShmSize > 0 {
			a.ShmSizeBytes = ptr(uint64(host.ShmSize))
		}
		if host.Memory > 0 {
			a.MemoryLimitBytes = ptr(uint64(host.Memory))
		}
	}
	for _, mount := range answer.Mounts {
		if name, ok := strings.CutPrefix(mount.Destination, containerDevices); ok && len(a.VolumeMountDevices) < mostListed {
			a.VolumeMountDevices = append(a.VolumeMountDevices, bounded(name))
		}
		if strings.HasSuffix(mount.Source, "/docker.sock") {
			a.DockerSocket = true
		}
	}
	return c
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}
