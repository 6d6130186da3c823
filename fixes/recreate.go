package fixes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// RecreateStep makes a container anew with another setting that cannot be changed on one that exists:
// same name, image, command, environment, mounts, networks, labels, restart policy. The old one is
// stopped, keeps its files, and stays under another name until the user removes it; should the new one
// not start, the old one is back.
type RecreateStep struct {
	Description
	Control   EngineControl
	Endpoint  string
	Container string // name or id
	// Change is what is to be different, and returns whether it is anything.
	Change func(*container.Config, *container.HostConfig) bool
	// Differs says the change in a line for the plan: "ShmSize 64 MiB → 8 GiB".
	Differs string
	Settle  time.Duration // how long the new one must stay up; 0: 3 seconds
	// MAC is the address that the container was given by --mac-address; nil: the engine is asked.
	MAC func(ctx context.Context, id string) (network.HardwareAddr, error)
}

// keptSuffix is what the old container's name gets.
const keptSuffix = "-before-docker-gpu"

// Describe tells that a container restarts.
func (s *RecreateStep) Describe() Description {
	d := s.Description
	d.Harm, d.Undoes = HarmRestart, true
	return d
}

// Preview inspects the container.
func (s *RecreateStep) Preview(ctx context.Context, _ Host) (Preview, error) {
	old, err := s.Control.ContainerInspect(ctx, s.Container, client.ContainerInspectOptions{})
	if err != nil {
		return Preview{}, fmt.Errorf("container %s: %w", s.Container, err)
	}
	c := old.Container
	config, host, err := copyConfig(c)
	if err != nil {
		return Preview{}, err
	}
	if !s.Change(config, host) {
		return Preview{}, nil
	}
	name := strings.TrimPrefix(c.Name, "/")
	switch {
	case c.HostConfig.AutoRemove:
		return Preview{}, fmt.Errorf("container %s was started with --rm and goes away when it is stopped: start it anew with the other setting", name)
	case c.Config.Labels["com.docker.compose.project"] != "":
		return Preview{}, fmt.Errorf("container %s is compose's: change its service in the compose file, then docker compose up -d", name)
	case c.Config.Labels["com.docker.swarm.service.name"] != "":
		return Preview{}, fmt.Errorf("container %s is a Swarm service's: docker service update %s", name, c.Config.Labels["com.docker.swarm.service.name"])
	}
	if lost := lostSettings(old.Raw, config, host); len(lost) > 0 {
		return Preview{}, fmt.Errorf("container %s has settings that this docker gpu cannot carry over (%s): start it anew yourself, with the other setting", name, strings.Join(lost, ", "))
	}
	if _, err := s.Control.ContainerInspect(ctx, name+keptSuffix, client.ContainerInspectOptions{}); err == nil {
		return Preview{}, keptAlready(name + keptSuffix)
	}
	running := "stopped"
	if c.State != nil && c.State.Running {
		running = "running"
	}
	policy := string(c.HostConfig.RestartPolicy.Name)
	if policy == "" {
		policy = "no"
	}
	if n := c.HostConfig.RestartPolicy.MaximumRetryCount; n > 0 {
		policy = fmt.Sprintf("%s:%d", policy, n)
	}
	return Preview{
		Needed: true,
		Diff:   s.Differs,
		Note:   fmt.Sprintf("the old container stays, stopped, as %s%s; files written in it outside its volumes are not carried over", name, keptSuffix),
		Record: Record{Undo: [][]string{{"docker-gpu", "undo", "restore-container", s.Endpoint, c.ID, name, policy, running}}},
	}, nil
}

// copyConfig is a container's configuration as it is given to create another.
func copyConfig(c container.InspectResponse) (*container.Config, *container.HostConfig, error) {
	if c.Config == nil || c.HostConfig == nil {
		return nil, nil, errors.New("the engine does not tell the container's configuration")
	}
	config, host := *c.Config, *c.HostConfig
	config.Env, config.Labels = slices.Clone(config.Env), maps.Clone(config.Labels)
	host.DeviceRequests, host.Mounts = slices.Clone(host.DeviceRequests), slices.Clone(host.Mounts)
	host.ContainerIDFile = ""
	if len(c.ID) >= 12 && config.Hostname == c.ID[:12] { // what the engine gave it, not the user
		config.Hostname = ""
	}
	for _, m := range c.Mounts { // volumes without a name of the user's: their data is the container's
		if m.Type == "volume" && m.Name != "" && !mounted(&host, m.Destination) {
			host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeVolume, Source: m.Name, Target: m.Destination, ReadOnly: !m.RW})
		}
	}
	return &config, &host, nil
}

// mounted tells if a place is mounted by what the user said.
func mounted(host *container.HostConfig, destination string) bool {
	if len(host.VolumesFrom) > 0 {
		return true // it may come from there; a second mount would be refused
	}
	for _, b := range host.Binds {
		if parts := strings.Split(b, ":"); len(parts) > 1 && parts[1] == destination {
			return true
		}
	}
	for _, m := range host.Mounts {
		if m.Target == destination {
			return true
		}
	}
	return host.Tmpfs[destination] != ""
}

// networks are the endpoints as they are asked for: what the engine itself added (addresses that it
// chose, the short id as a name) is left out.
func networks(c container.InspectResponse) map[string]*network.EndpointSettings {
	asked := map[string]*network.EndpointSettings{}
	if c.NetworkSettings == nil {
		return asked
	}
	for name, e := range c.NetworkSettings.Networks {
		if e == nil {
			continue
		}
		n := &network.EndpointSettings{Links: e.Links, DriverOpts: e.DriverOpts, GwPriority: e.GwPriority}
		if e.IPAMConfig != nil && (e.IPAMConfig.IPv4Address.IsValid() || e.IPAMConfig.IPv6Address.IsValid() || len(e.IPAMConfig.LinkLocalIPs) > 0) {
			n.IPAMConfig = e.IPAMConfig
		}
		for _, alias := range e.Aliases {
			if len(c.ID) < 12 || alias != c.ID[:12] {
				n.Aliases = append(n.Aliases, alias)
			}
		}
		asked[name] = n
	}
	return asked
}

// Apply creates the new container beside the old, then changes over.
func (s *RecreateStep) Apply(ctx context.Context, _ Host, p Preview) (Record, error) {
	r := p.Record
	inspected, err := s.Control.ContainerInspect(ctx, s.Container, client.ContainerInspectOptions{})
	if err != nil {
		return r, err
	}
	c := inspected.Container
	config, host, err := copyConfig(c)
	if err != nil {
		return r, err
	}
	s.Change(config, host)
	name := strings.TrimPrefix(c.Name, "/")
	wasRunning := c.State != nil && c.State.Running
	if image, err := s.Control.ImageInspect(ctx, config.Image); err != nil || image.ID != c.Image {
		config.Image = c.Image // the tag has moved to another image since: the container keeps its own
	}
	asked := networks(c)
	first := &network.NetworkingConfig{}
	mode := string(c.HostConfig.NetworkMode)
	mac := s.MAC
	if mac == nil {
		mac = func(ctx context.Context, id string) (network.HardwareAddr, error) {
			return askedMAC(ctx, s.Endpoint, id)
		}
	}
	for candidate, e := range asked { // engines before API 1.44 take one network at creation
		if candidate == mode || mode == "default" && candidate == "bridge" {
			if address, err := mac(ctx, c.ID); err == nil { // an engine that does not tell has lost it, too
				e.MacAddress = address
			}
			if len(e.MacAddress) > 0 || e.IPAMConfig != nil || len(e.Aliases) > 0 || len(e.Links) > 0 || len(e.DriverOpts) > 0 {
				first.EndpointsConfig = map[string]*network.EndpointSettings{candidate: e}
			}
			delete(asked, candidate)
			break
		}
	}
	if mode == "host" || mode == "none" || strings.HasPrefix(mode, "container:") {
		asked = nil
	}
	takeBack := func(cause error) (Record, error) {
		background, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		undo := r.Undo[0]
		if err := restoreContainer(background, s.Control, undo[4], undo[5], undo[6], undo[7] == "running"); err != nil {
			return r, fmt.Errorf("%w; and the old container could not be brought back: %w", cause, err)
		}
		return r, fmt.Errorf("%w; the old container is back", cause)
	}
	if err := rename(ctx, s.Control, c.ID, name+keptSuffix); err != nil {
		return r, err
	}
	created, err := s.Control.ContainerCreate(ctx, client.ContainerCreateOptions{Config: config, HostConfig: host, NetworkingConfig: first, Name: name})
	if err != nil {
		return takeBack(fmt.Errorf("the new container could not be made: %w", err))
	}
	for _, n := range slices.Sorted(maps.Keys(asked)) {
		if _, err := s.Control.NetworkConnect(ctx, n, client.NetworkConnectOptions{Container: created.ID, EndpointConfig: asked[n]}); err != nil {
			return takeBack(fmt.Errorf("the new container could not be connected to the network %s: %w", n, err))
		}
	}
	// The old one must not come back by itself beside the new one.
	if _, err := s.Control.ContainerUpdate(ctx, c.ID, client.ContainerUpdateOptions{RestartPolicy: &container.RestartPolicy{Name: "no"}}); err != nil {
		return takeBack(err)
	}
	if !wasRunning {
		return r, nil
	}
	if _, err := s.Control.ContainerStop(ctx, c.ID, client.ContainerStopOptions{}); err != nil {
		return takeBack(fmt.Errorf("the old container could not be stopped: %w", err))
	}
	if _, err := s.Control.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		return takeBack(fmt.Errorf("the new container does not start: %w", err))
	}
	if err := s.settle(ctx, created.ID); err != nil {
		return takeBack(err)
	}
	return r, nil
}

// settle waits a little: a container that ends at once did not really start.
func (s *RecreateStep) settle(ctx context.Context, id string) error {
	wait := s.Settle
	if wait == 0 {
		wait = 3 * time.Second
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
	}
	now, err := s.Control.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	switch {
	case err != nil:
		return err
	case now.Container.State == nil || now.Container.State.Running && !now.Container.State.Restarting:
		return nil
	case now.Container.State.ExitCode == 0 && !now.Container.State.Restarting:
		return nil // it had little to do
	}
	return fmt.Errorf("the new container ended at once with exit code %d", now.Container.State.ExitCode)
}

// Verify looks whether the container of this name has the change.
func (s *RecreateStep) Verify(ctx context.Context, h Host) error {
	p, err := s.Preview(ctx, h)
	if err != nil {
		return err
	}
	if p.Needed {
		return fmt.Errorf("container %s does not have the change", s.Container)
	}
	return nil
}

// rename says what stands in the way.
func rename(ctx context.Context, control EngineControl, id, name string) error {
	if _, err := control.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name}); err != nil {
		if cerrdefs.IsConflict(err) {
			return keptAlready(name)
		}
		return err
	}
	return nil
}

func keptAlready(name string) error {
	return fmt.Errorf("there is a container %s already, from an earlier time: docker rm %s", name, name)
}

// lostSettings are the keys of a container's configuration, as the engine tells it, that our types do not
// know and that say something: a container made anew would be without them.
func lostSettings(raw json.RawMessage, config *container.Config, host *container.HostConfig) []string {
	var told struct{ Config, HostConfig map[string]any }
	if json.Unmarshal(raw, &told) != nil {
		return nil
	}
	lost := []string{}
	for _, part := range []struct {
		told  map[string]any
		known any
	}{{told.Config, config}, {told.HostConfig, host}} {
		known := map[string]any{}
		if text, err := json.Marshal(part.known); err != nil || json.Unmarshal(text, &known) != nil {
			continue
		}
		for key, value := range part.told {
			if _, ok := known[key]; !ok && saysSomething(value) && !slices.Contains(derived, key) {
				lost = append(lost, key)
			}
		}
	}
	slices.Sort(lost)
	return lost
}

// derived are keys that the engine fills in from others, and what only other systems have.
var derived = []string{"Hostname", "ContainerIDFile", "ConsoleSize", "Isolation"}

func saysSomething(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// askedMAC is what --mac-address said. Engines tell that no longer since API 1.44, but still to those who ask
// as older clients do.
func askedMAC(ctx context.Context, endpoint, id string) (mac network.HardwareAddr, err error) {
	older, err := inspect.EngineClient(endpoint, client.WithHost(endpoint), client.WithAPIVersion("1.43"))
	if err != nil {
		return nil, err
	}
	defer older.Close()
	inspected, err := older.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, err
	}
	var told struct {
		Config struct{ MacAddress network.HardwareAddr }
	}
	err = json.Unmarshal(inspected.Raw, &told)
	return told.Config.MacAddress, err
}

// restoreContainer brings an old container back under its name, from wherever the change-over stopped:
// before it began, in the middle, or after its end. What stands under the name goes, unless it is the old
// container itself.
func restoreContainer(ctx context.Context, control EngineControl, id, name, policy string, running bool) error {
	old, err := control.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return fmt.Errorf("the old container is gone, so the new one stays: %w", err)
	}
	if strings.TrimPrefix(old.Container.Name, "/") != name {
		now, err := control.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
		switch {
		case cerrdefs.IsNotFound(err):
		case err != nil:
			return err
		case now.Container.ID != id:
			if now.Container.State != nil && now.Container.State.Running {
				if _, err := control.ContainerStop(ctx, now.Container.ID, client.ContainerStopOptions{}); err != nil {
					return err
				}
			}
			if _, err := control.ContainerRemove(ctx, now.Container.ID, client.ContainerRemoveOptions{Force: true}); err != nil && !cerrdefs.IsNotFound(err) {
				return err
			}
		}
		if err := rename(ctx, control, id, name); err != nil {
			return err
		}
	}
	kind, count, _ := strings.Cut(policy, ":")
	p := container.RestartPolicy{Name: container.RestartPolicyMode(kind)}
	if _, err := fmt.Sscanf(count, "%d", &p.MaximumRetryCount); count != "" && err != nil {
		return fmt.Errorf("restart policy %q: %w", policy, err)
	}
	if _, err := control.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{RestartPolicy: &p}); err != nil {
		return err
	}
	if running && (old.Container.State == nil || !old.Container.State.Running) {
		if _, err := control.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
			return err
		}
	}
	return nil
}
