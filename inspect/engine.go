package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
)

// EngineAPI is what inspect asks of an engine; *client.Client is one.
type EngineAPI interface {
	ServerVersion(context.Context, client.ServerVersionOptions) (client.ServerVersionResult, error)
	Info(context.Context, client.InfoOptions) (client.SystemInfoResult, error)
	ContainerList(context.Context, client.ContainerListOptions) (client.ContainerListResult, error)
	ContainerInspect(context.Context, string, client.ContainerInspectOptions) (client.ContainerInspectResult, error)
	ImageInspect(context.Context, string, ...client.ImageInspectOption) (client.ImageInspectResult, error)
}

// pinger is an engine that can be asked if it answers at all (GET /_ping).
type pinger interface {
	Ping(context.Context, client.PingOptions) (client.PingResult, error)
}

// EngineSource asks the engine for its version and settings (GET /version, GET /info).
var EngineSource = Source{Name: "engine", Read: readEngine}

func readEngine(ctx context.Context, m Machine) (Patch, error) {
	if deadline, ok := ctx.Deadline(); ok { // a little earlier than the collector's, to say still which engine it is that hangs
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-min(time.Until(deadline)/20, 100*time.Millisecond)))
		defer cancel()
	}
	e := &Engine{Context: m.Context, Endpoint: m.Host}
	patch := func(s *Snapshot) { s.Engine = e }
	api, err := dial(ctx, m)
	var version client.ServerVersionResult
	var info client.SystemInfoResult
	var infoErr error
	if c, ok := api.(pinger); ok && err == nil { // once: two questions at the same time would each ask for the version first, one after the other
		_, err = c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	}
	if err == nil {
		var wg sync.WaitGroup
		wg.Go(func() { info, infoErr = api.Info(ctx, client.InfoOptions{}) })
		version, err = api.ServerVersion(ctx, client.ServerVersionOptions{})
		wg.Wait()
	}
	if err == nil && version.Version == "" {
		err = errors.New("what answers there says no version: it is no Docker engine")
	}
	if err != nil {
		e.Unreachable, e.Error, err = whyUnreachable(ctx, m.Host, err)
		return patch, err
	}
	e.Version, e.APIVersionMax = version.Version, version.APIVersion
	if c, ok := api.(interface{ ClientVersion() string }); ok { // what the client and this engine agreed on
		e.APIVersion = c.ClientVersion()
	}
	e.Architecture, e.OSType = version.Arch, version.Os
	for _, component := range version.Components {
		switch component.Name {
		case "containerd":
			e.ContainerdVersion = component.Version
		case "runc":
			e.RuncVersion = component.Version
		}
	}
	if i := info.Info; infoErr == nil && i.ServerVersion == "" && i.OSType == "" && i.DockerRootDir == "" {
		infoErr = errors.New("the answer holds none")
	}
	if infoErr != nil {
		return patch, fmt.Errorf("engine's settings: %w", infoErr)
	}
	e.describe(info.Info)
	host := hostOfEngine(info.Info)
	return func(s *Snapshot) {
		s.Engine = e
		s.Host = host // replaced by what this machine tells of itself, where the engine runs here
	}, nil
}

func dial(ctx context.Context, m Machine) (EngineAPI, error) {
	if m.Dial == nil {
		return nil, errors.New("no engine is set")
	}
	return m.Dial(ctx)
}

// describe takes over the engine's answer to GET /info.
func (e *Engine) describe(info system.Info) {
	e.Name, e.OperatingSystem, e.Kernel, e.RootDir = info.Name, info.OperatingSystem, info.KernelVersion, info.DockerRootDir
	if info.OSType != "" {
		e.OSType = info.OSType
	}
	e.CgroupDriver, e.CgroupVersion, e.DefaultRuntime = info.CgroupDriver, info.CgroupVersion, info.DefaultRuntime
	e.CDIDirs, e.SecurityOptions, e.Warnings = info.CDISpecDirs, info.SecurityOptions, info.Warnings
	if e.CDIDirs == nil && apiAtLeast(e.APIVersionMax, 44) { // from 25.0 on, none means that CDI is off
		e.CDIDirs = []string{}
	}
	e.Containers, e.Running = &info.Containers, &info.ContainersRunning
	e.Runtimes = map[string]Runtime{}
	for name, r := range info.Runtimes {
		e.Runtimes[name] = Runtime{Path: r.Path, Type: r.Type, Args: r.Args}
	}
	e.Features = runningFeatures(info, e.APIVersionMax)
	for _, d := range info.DiscoveredDevices {
		e.DiscoveredDevices = append(e.DiscoveredDevices, DiscoveredDevice{Source: d.Source, ID: d.ID})
	}
	rootless := false
	for _, option := range info.SecurityOptions {
		rootless = rootless || strings.Contains(option, "name=rootless")
	}
	e.Rootless = &rootless
	e.Snap = ptr(strings.HasPrefix(info.DockerRootDir, "/var/snap/docker/"))
	desktop := info.OperatingSystem == "Docker Desktop"
	for _, label := range info.Labels {
		desktop = desktop || strings.HasPrefix(label, "com.docker.desktop.")
	}
	e.Desktop = &desktop
	for _, r := range info.GenericResources {
		switch {
		case r.NamedResourceSpec != nil:
			e.GenericResources = append(e.GenericResources, r.NamedResourceSpec.Kind+"="+r.NamedResourceSpec.Value)
		case r.DiscreteResourceSpec != nil:
			e.GenericResources = append(e.GenericResources, fmt.Sprintf("%s=%d", r.DiscreteResourceSpec.Kind, r.DiscreteResourceSpec.Value))
		}
	}
	if state := string(info.Swarm.LocalNodeState); state != "" && state != "inactive" {
		e.Swarm = &Swarm{State: state, Manager: info.Swarm.ControlAvailable, NodeID: info.Swarm.NodeID}
	}
}

// runningFeatures are the features that the engine shows it runs with, whatever daemon.json says: it lists its CDI
// folders only where CDI is on (API 1.44, engine 25, brought the field), and names containerd's image store.
func runningFeatures(info system.Info, apiVersion string) map[string]bool {
	features := map[string]bool{}
	if minor, ok := strings.CutPrefix(apiVersion, "1."); ok {
		if n, err := strconv.Atoi(minor); err == nil && n >= 44 {
			features["cdi"] = len(info.CDISpecDirs) > 0
		}
	}
	for _, status := range info.DriverStatus {
		if status[0] == "driver-type" {
			features["containerd-snapshotter"] = status[1] == "io.containerd.snapshotter.v1"
		}
	}
	if len(features) == 0 {
		return nil
	}
	return features
}

// hostOfEngine is what the engine tells of the machine it runs on.
func hostOfEngine(info system.Info) *Host {
	h := &Host{Name: info.Name, OS: info.OperatingSystem, Kernel: info.KernelVersion, Architecture: info.Architecture, CPUs: info.NCPU}
	if info.MemTotal > 0 {
		h.MemoryTotalBytes = ptr(uint64(info.MemTotal))
	}
	return h
}

// errLate is a [context.DeadlineExceeded] in words.
var errLate error = lateError{}

type lateError struct{}

func (lateError) Error() string        { return "no answer in time" }
func (lateError) Is(target error) bool { return target == context.DeadlineExceeded }

// whyUnreachable sorts an error of the connection, and says it in the user's words.
func whyUnreachable(ctx context.Context, endpoint string, err error) (reason, text string, wrapped error) {
	var opErr *net.OpError
	plain := err.Error()
	if errors.As(err, &opErr) {
		plain = opErr.Err.Error()
	}
	switch {
	case errors.Is(err, fs.ErrPermission) || strings.Contains(plain, "permission denied"):
		return "denied", "permission denied", fmt.Errorf("%s: %w", endpoint, fs.ErrPermission)
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		return "timeout", "no answer in time", fmt.Errorf("%s: %w", endpoint, errLate)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrNotExist) || strings.Contains(plain, "no such file or directory"):
		return "no-socket", "there is no such socket", fmt.Errorf("%s: there is no such socket", endpoint)
	case strings.Contains(plain, "command [ssh "): // docker's helper for ssh:// says what ssh said
		said := plain
		if _, stderr, ok := strings.Cut(plain, "stderr="); ok && strings.TrimSpace(stderr) != "" {
			said = strings.TrimSpace(stderr)
		}
		said = strings.TrimPrefix(bounded(strings.Join(strings.Fields(said), " ")), "ssh: ")
		return "ssh", said, fmt.Errorf("%s: %s", endpoint, said)
	case errors.Is(err, syscall.ECONNREFUSED) || client.IsErrConnectionFailed(err):
		// The client hides the cause behind its own sentence; the socket itself tells more.
		if strings.HasPrefix(endpoint, "ssh://") { // ssh ended before its words could be read
			return "ssh", "the connection was closed", fmt.Errorf("%s: ssh: the connection was closed", endpoint)
		}
		if address, ok := strings.CutPrefix(endpoint, "tcp://"); ok {
			if conn, dialErr := (&net.Dialer{}).DialContext(ctx, "tcp", address); dialErr != nil {
				var dns *net.DNSError
				switch {
				case errors.As(dialErr, &dns):
					return "no-host", "there is no host of that name", fmt.Errorf("%s: %w", endpoint, dialErr)
				case errors.Is(dialErr, syscall.ENETUNREACH), errors.Is(dialErr, syscall.EHOSTUNREACH):
					return "no-route", "no network leads there", fmt.Errorf("%s: %w", endpoint, dialErr)
				case ctx.Err() != nil:
					return "timeout", "no answer in time", fmt.Errorf("%s: %w", endpoint, errLate)
				}
			} else {
				conn.Close()
			}
		}
		if path, ok := strings.CutPrefix(endpoint, "unix://"); ok {
			if conn, dialErr := (&net.Dialer{}).DialContext(ctx, "unix", path); dialErr != nil {
				if errors.Is(dialErr, fs.ErrPermission) {
					return "denied", "permission denied", fmt.Errorf("%s: %w", endpoint, fs.ErrPermission)
				}
				if errors.Is(dialErr, fs.ErrNotExist) {
					return "no-socket", "there is no such socket", fmt.Errorf("%s: there is no such socket", endpoint)
				}
			} else {
				conn.Close()
			}
		}
		return "not-running", "nothing answers there", fmt.Errorf("%s: nothing answers there", endpoint)
	}
	if len(plain) > 300 {
		plain = plain[:300] + "…"
	}
	return "unknown", plain, fmt.Errorf("%s: %w", endpoint, err)
}

// elsewhereByEndpoint says why the engine behind an endpoint cannot be on this machine, or "".
func elsewhereByEndpoint(context, endpoint string) string {
	if strings.HasPrefix(context, "desktop-") || strings.Contains(endpoint, "/.docker/desktop/") || strings.Contains(endpoint, "/.docker/run/docker.sock") || strings.Contains(endpoint, "dockerDesktop") {
		return "not read: the engine runs in Docker Desktop's virtual machine"
	}
	u, err := url.Parse(endpoint)
	if err != nil || endpoint == "" {
		return ""
	}
	switch u.Scheme {
	case "ssh", "tcp", "http", "https":
		host := u.Hostname()
		if ip := net.ParseIP(host); u.Scheme != "ssh" && (host == "localhost" || ip != nil && ip.IsLoopback()) {
			return ""
		}
		return fmt.Sprintf("not read: the engine runs on another machine (%s://%s)", u.Scheme, host)
	}
	return ""
}

// elsewhereByFacts says by what the engine told of itself that it runs on another machine or kernel, or
// "": a socket can be forwarded. Kernel release and memory are compared, which differ between machines
// and, unlike the host's name, do not between a machine and its containers.
func elsewhereByFacts(s *Snapshot, m Machine) string {
	e := s.Engine
	if e == nil || e.Version == "" {
		return ""
	}
	if m.Seen == nil {
		return elsewhereByKernelAndMemory(s, m.Root)
	}
	about := fmt.Sprint(e.Version, e.Kernel, e.Desktop != nil && *e.Desktop)
	if s.Host != nil && s.Host.MemoryTotalBytes != nil {
		about = fmt.Sprint(about, *s.Host.MemoryTotalBytes)
	}
	return m.Seen.elsewhere(about, func() string { return elsewhereByKernelAndMemory(s, m.Root) })
}

// elsewhereByKernelAndMemory compares them to this machine's.
func elsewhereByKernelAndMemory(s *Snapshot, root Root) string {
	e := s.Engine
	if e.Desktop != nil && *e.Desktop {
		return "not read: the engine runs in Docker Desktop's virtual machine"
	}
	here := root.ReadLine("/proc/sys/kernel/osrelease")
	if e.Kernel != "" && here != "" && e.Kernel != here {
		return fmt.Sprintf("not read: the engine runs on another machine or kernel (%s, this one %s)", e.Kernel, here)
	}
	meminfo, _ := root.ReadFile("/proc/meminfo")
	if memory := memInfo(meminfo, "MemTotal"); memory != nil && s.Host != nil && s.Host.MemoryTotalBytes != nil && *memory != *s.Host.MemoryTotalBytes {
		return "not read: the engine runs on another machine (its memory differs)"
	}
	return ""
}

// apiAtLeast tells if an API version is 1.minor or newer.
func apiAtLeast(version string, minor int) bool {
	_, after, ok := strings.Cut(version, ".")
	n, err := strconv.Atoi(after)
	return ok && err == nil && n >= minor
}
