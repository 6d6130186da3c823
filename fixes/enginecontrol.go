package fixes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// EngineControl is what steps ask of the engine beside the Host; *client.Client is one.
type EngineControl interface {
	Info(context.Context, client.InfoOptions) (client.SystemInfoResult, error)
	ImageInspect(context.Context, string, ...client.ImageInspectOption) (client.ImageInspectResult, error)
	ContainerInspect(context.Context, string, client.ContainerInspectOptions) (client.ContainerInspectResult, error)
	ContainerCreate(context.Context, client.ContainerCreateOptions) (client.ContainerCreateResult, error)
	ContainerRename(context.Context, string, client.ContainerRenameOptions) (client.ContainerRenameResult, error)
	ContainerStart(context.Context, string, client.ContainerStartOptions) (client.ContainerStartResult, error)
	ContainerStop(context.Context, string, client.ContainerStopOptions) (client.ContainerStopResult, error)
	ContainerUpdate(context.Context, string, client.ContainerUpdateOptions) (client.ContainerUpdateResult, error)
	ContainerRemove(context.Context, string, client.ContainerRemoveOptions) (client.ContainerRemoveResult, error)
	NetworkConnect(context.Context, string, client.NetworkConnectOptions) (client.NetworkConnectResult, error)
}

// EngineHost is a Host that also takes back what was done to an engine. The journal keeps such an undoing
// as a command of docker gpu's own, which no other program could carry out as carefully:
//
//	docker-gpu undo reload-engine ENDPOINT
//	docker-gpu undo restart-engine ENDPOINT
//	docker-gpu undo restore-container ENDPOINT ID NAME RESTART-POLICY RUNNING
type EngineHost struct {
	Host
	Root inspect.Root // where /proc is looked at for the engine
	Dial func(endpoint string) (EngineControl, error)
}

// Run carries out the commands above itself, all others by the Host below.
func (h EngineHost) Run(ctx context.Context, argv ...string) ([]byte, error) {
	if len(argv) < 4 || argv[0] != "docker-gpu" || argv[1] != "undo" {
		return h.Host.Run(ctx, argv...)
	}
	endpoint := argv[3]
	switch {
	case argv[2] == "reload-engine" || argv[2] == "restart-engine":
		control, err := h.Dial(endpoint)
		if err != nil {
			return nil, err
		}
		e := engineService{Control: control, Endpoint: endpoint, Root: h.Root, Restart: argv[2] == "restart-engine"}
		err = e.renew(ctx, h.Host, nil)
		if errors.Is(err, errUnseen) {
			if _, down := control.Info(ctx, client.InfoOptions{}); down != nil {
				return nil, nil // it does not run: it reads the file when it starts
			}
		}
		return nil, err
	case argv[2] == "restore-container" && len(argv) == 8:
		control, err := h.Dial(endpoint)
		if err != nil {
			return nil, err
		}
		return nil, restoreContainer(ctx, control, argv[4], argv[5], argv[6], argv[7] == "running")
	}
	return nil, fmt.Errorf("this docker gpu cannot carry out %q: update it", strings.Join(argv, " "))
}

// engineService makes a running engine take over its configuration: by SIGHUP, which leaves containers
// alone, or by a restart, both through what manages it.
type engineService struct {
	Control  EngineControl
	Endpoint string
	Root     inspect.Root
	Process  *inspect.EngineProcess // nil: looked for when it is needed
	Restart  bool
	// Wait bounds how long the engine may take; 0: 20 seconds for a reload, 2 minutes for a restart.
	Wait time.Duration
}

// errUnseen is returned where the engine's process cannot be found.
var errUnseen = errors.New("the engine's process cannot be seen from here")

func (e engineService) find() (*inspect.EngineProcess, error) {
	if p := inspect.FindEngine(e.Root, e.Endpoint); p != nil {
		return p, nil
	}
	if e.Process != nil {
		return e.Process, nil
	}
	return nil, errUnseen
}

// reloadCommand and restartCommand are what is run, as it is shown; nil: stopped and started by its own
// command line, because nothing manages it.
func reloadCommand(p *inspect.EngineProcess) []string {
	switch p.ManagedBy {
	case "systemd":
		return []string{"systemctl", "reload", p.Unit}
	case "systemd-user":
		return []string{"systemctl", "--user", "reload", p.Unit}
	case "openrc":
		return []string{"rc-service", p.Unit, "reload"}
	}
	return []string{"kill", "-HUP", strconv.Itoa(p.PID)}
}

func restartCommand(p *inspect.EngineProcess) []string {
	switch p.ManagedBy {
	case "systemd":
		return []string{"systemctl", "restart", p.Unit}
	case "systemd-user":
		return []string{"systemctl", "--user", "restart", p.Unit}
	case "openrc":
		return []string{"rc-service", p.Unit, "restart"}
	case "snap":
		return []string{"snap", "restart", "docker"}
	}
	return nil
}

// renew has the engine read its configuration and waits until it shows what is wanted; nil is content
// with an engine that answers.
func (e engineService) renew(ctx context.Context, h Host, want func(system.Info) bool) error {
	p, err := e.find()
	if err != nil {
		return err
	}
	wait := e.Wait
	if e.Restart {
		if wait == 0 {
			wait = 2 * time.Minute
		}
		if argv := restartCommand(p); argv != nil {
			_, err = h.Run(ctx, argv...)
		} else {
			err = restartByHand(ctx, h, p)
		}
	} else {
		if wait == 0 {
			wait = 20 * time.Second
		}
		_, err = h.Run(ctx, reloadCommand(p)...)
	}
	if err != nil {
		return err
	}
	return e.await(ctx, wait, want)
}

func (e engineService) await(ctx context.Context, wait time.Duration, want func(system.Info) bool) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		info, err := e.Control.Info(ctx, client.InfoOptions{})
		if err == nil && (want == nil || want(info.Info)) {
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("the engine does not answer: %w", err)
			}
			return fmt.Errorf("the engine did not take it over within %s", wait)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// restartByHand ends an engine that nothing manages and starts it again with its own command line,
// environment and log.
func restartByHand(ctx context.Context, h Host, p *inspect.EngineProcess) error {
	if p.Executable == "" {
		return fmt.Errorf("what started the engine (process %d) cannot be seen: restart it yourself", p.PID)
	}
	pid := strconv.Itoa(p.PID)
	environ, err := h.ReadFile("/proc/" + pid + "/environ")
	if err != nil {
		return fmt.Errorf("the engine's environment cannot be read, so it is not restarted: %w", err)
	}
	if _, err := h.Run(ctx, "start-stop-daemon", "--help"); err != nil {
		return fmt.Errorf("nothing that is known here manages the engine, and there is no start-stop-daemon: restart process %s yourself", pid)
	}
	start := []string{"env", "-i"}
	for entry := range strings.SplitSeq(string(environ), "\x00") {
		if strings.Contains(entry, "=") {
			start = append(start, entry)
		}
	}
	start = append(start, "start-stop-daemon", "--start", "--background", "--pidfile", p.PIDFile, "--exec", p.Executable)
	if p.LogFile != "" {
		start = append(start, "--output", p.LogFile)
	}
	start = append(append(start, "--"), p.Args...)
	if _, err := h.Run(ctx, "kill", "-TERM", pid); err != nil {
		return err
	}
	// From here on it is seen through, whatever the caller's context says: an engine that was stopped and
	// not started again is worse than a late answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 90*time.Second)
	defer cancel()
	for {
		if _, err := h.Run(ctx, "kill", "-0", pid); err != nil && ctx.Err() == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the engine (process %s) does not end", pid)
		case <-time.After(100 * time.Millisecond):
		}
	}
	if _, err := h.Run(ctx, start...); err != nil {
		reason := err.Error() // without the command line, which holds the engine's environment
		if at := strings.LastIndex(reason, "exit status"); at >= 0 {
			reason = reason[at:]
		} else {
			reason = "the program could not be run"
		}
		return fmt.Errorf("the engine could not be started again (%s): start it as before: %s %s", reason, p.Executable, strings.Join(p.Args, " "))
	}
	return nil
}

// EngineConfigStep edits the engine's daemon.json, has the engine check it and take it over. Where the
// engine refuses, the old file comes back by itself.
type EngineConfigStep struct {
	FileStep
	Service engineService
	Want    func(system.Info) bool // what the engine shows once it has taken the change over
	Keys    []string               // the keys of the file that are set: the engine may have them as flags
}

// Describe tells the harm and, where it is one command, how the engine takes it over.
func (s *EngineConfigStep) Describe() Description {
	d := s.FileStep.Describe()
	d.Harm = HarmReload
	if s.Service.Restart {
		d.Harm = HarmRestart
	}
	return d
}

// flagsOf are dockerd's flags for keys of daemon.json: it refuses to start with both.
var flagsOf = map[string][]string{
	"runtimes": {"add-runtime"}, "default-runtime": {"default-runtime"}, "cdi-spec-dirs": {"cdi-spec-dir"},
	"node-generic-resources": {"node-generic-resource"}, "exec-opts": {"exec-opt"}, "features": {"feature"},
}

// Preview needs the step where the file or the running engine lacks it.
func (s *EngineConfigStep) Preview(ctx context.Context, h Host) (Preview, error) {
	p, err := s.FileStep.Preview(ctx, h)
	if err != nil {
		return p, err
	}
	if process := s.Service.Process; process != nil && p.Needed {
		for _, key := range s.Keys {
			for _, flag := range flagsOf[key] {
				if values := process.Flag(flag); len(values) > 0 {
					return p, fmt.Errorf("the engine is started with --%s=%s and refuses to start with %q in %s, too: change it where the engine's command line stands%s",
						flag, values[0], key, s.Path, unitHint(process))
				}
			}
		}
	}
	if !p.Needed && s.Want != nil {
		info, err := s.Service.Control.Info(ctx, client.InfoOptions{})
		if err != nil {
			return p, fmt.Errorf("the engine does not answer: %w", err)
		}
		if s.Want(info.Info) {
			return p, nil
		}
		data, err := readOrNil(h, s.Path)
		if err != nil {
			return p, err
		}
		p.Needed = true
		p.Record = Record{Path: s.Path, Existed: data != nil, Before: data, Exists: data != nil, After: data}
	}
	how := "reload-engine"
	process, err := s.Service.find()
	if err != nil {
		return p, err
	}
	command := reloadCommand(process)
	if s.Service.Restart {
		how, command = "restart-engine", restartCommand(process)
	}
	p.Note = "then, where it changed: " + strings.Join(command, " ")
	if command == nil {
		p.Note = fmt.Sprintf("then the engine (process %d) is ended and started again with its own command line", process.PID)
	}
	if s.Note != "" {
		p.Note = s.Note + "; " + p.Note
	}
	p.Record.Undo = [][]string{{"docker-gpu", "undo", how, s.Service.Endpoint}}
	return p, nil
}

func unitHint(p *inspect.EngineProcess) string {
	if p.Unit == "" {
		return ""
	}
	return " (" + p.Unit + ")"
}

// Apply writes, checks, and has the engine take over.
func (s *EngineConfigStep) Apply(ctx context.Context, h Host, p Preview) (Record, error) {
	r := p.Record
	changes := !sameFile(r.before(), r.after())
	if changes {
		if err := r.write(h); err != nil {
			return r, err
		}
	}
	err := s.validate(ctx, h)
	if err == nil {
		if err = s.Service.renew(ctx, h, s.Want); err == nil {
			return r, nil
		}
	}
	if !changes || ctx.Err() != nil { // what the user broke off is not taken back unasked
		return r, err
	}
	back := r
	back.Existed, back.Before, back.Exists, back.After = r.Exists, r.After, r.Existed, r.Before
	if restoreErr := back.write(h); restoreErr != nil {
		return r, fmt.Errorf("%w; and the old %s could not be put back: %w", err, s.Path, restoreErr)
	}
	for _, folder := range slices.Backward(r.Made) {
		_ = h.RemoveFolder(folder)
	}
	if restoreErr := s.Service.renew(ctx, h, nil); restoreErr != nil {
		return r, fmt.Errorf("%w; the old %s is back, but: %w", err, s.Path, restoreErr)
	}
	return r, fmt.Errorf("%w; the old %s is back", err, s.Path)
}

// validate asks the engine's own program, with the engine's own flags, whether it would start with the
// file. Engines before 23.0 have no such check.
func (s *EngineConfigStep) validate(ctx context.Context, h Host) error {
	p, err := s.Service.find()
	if err != nil || p.Executable == "" {
		return nil
	}
	help, err := h.Run(ctx, p.Executable, "--help")
	if err != nil || !strings.Contains(string(help), "--validate") {
		return nil
	}
	argv := append([]string{p.Executable, "--validate"}, p.Args...)
	if len(p.Flag("config-file")) == 0 {
		argv = append(argv, "--config-file", s.Path)
	}
	if _, err := h.Run(ctx, argv...); err != nil {
		text := err.Error()
		if at := strings.LastIndex(text, "unable to configure"); at >= 0 {
			text = text[at:]
		}
		return fmt.Errorf("the engine would not start with it: %s", text)
	}
	return nil
}

// Verify reads file and engine again.
func (s *EngineConfigStep) Verify(ctx context.Context, h Host) error {
	if err := s.FileStep.Verify(ctx, h); err != nil {
		return err
	}
	wait := s.Service.Wait
	if wait == 0 {
		wait = 20 * time.Second
	}
	return s.Service.await(ctx, wait, s.Want)
}

// DialEngine connects to a local endpoint, as the journal names it.
func DialEngine(endpoint string) (EngineControl, error) {
	if !strings.HasPrefix(endpoint, "unix://") && !strings.HasPrefix(endpoint, "npipe://") {
		return nil, fmt.Errorf("%s is not the engine of this machine", endpoint)
	}
	return inspect.EngineClient(endpoint, client.WithHost(endpoint))
}

// onPath tells if a program is in one of the folders of a search path.
func onPath(root, searchPath, name string) bool {
	for folder := range strings.SplitSeq(searchPath, ":") {
		if info, err := os.Stat(filepath.Join(root, folder, name)); folder != "" && err == nil && !info.IsDir() {
			return true
		}
	}
	return false
}
