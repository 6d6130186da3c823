package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// DaemonConfigSource reads daemon.json, which is not always what the engine runs with, and when the
// engine was started.
var DaemonConfigSource = Source{Name: "daemon.json", Local: true, Read: readDaemonConfig}

func readDaemonConfig(_ context.Context, m Machine) (Patch, error) {
	process, root := findEngine(m)
	var started *time.Time
	if process != nil {
		started = processStart(root, strconv.Itoa(process.PID))
	}
	name := daemonConfigPath(m, process, root)
	f := &ConfigFile{Path: name}
	data, err := root.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err != nil:
		f = nil // neither there nor not there
	case err == nil:
		f.Exists = true
		if info, statErr := root.Stat(name); statErr == nil {
			f.ModifiedAt = ptr(info.ModTime().UTC())
		}
		f.parse(data)
	}
	return func(s *Snapshot) {
		if s.Engine != nil {
			s.Engine.ConfigFile, s.Engine.StartedAt, s.Engine.Process = f, started, process
			seeRuntimes(root, s.Engine)
		}
	}, err
}

// findEngine is [FindEngine] with the root in which the paths lie that the process names: where it was seen in the
// /proc of this process, that is this process's own.
func findEngine(m Machine) (*EngineProcess, Root) {
	process := FindEngine(m.Root, m.Host)
	if process != nil && !m.Root.Exists("/proc/"+strconv.Itoa(process.PID)) {
		return process, "/"
	}
	return process, m.Root
}

// daemonConfigPath is the file that the engine was started with, or where its kind of engine has it.
func daemonConfigPath(m Machine, process *EngineProcess, root Root) string {
	if process != nil {
		if set := process.Flag("config-file"); len(set) > 0 {
			return set[len(set)-1]
		}
	}
	name := "/etc/docker/daemon.json"
	if uid := os.Getuid(); uid > 0 && m.Getenv != nil && strings.Contains(m.Host, "/run/user/"+strconv.Itoa(uid)+"/") {
		config := m.Getenv("XDG_CONFIG_HOME")
		if config == "" {
			config = m.Getenv("HOME") + "/.config"
		}
		return path.Join(config, "docker/daemon.json")
	}
	const snap = "/var/snap/docker/current/config/daemon.json"
	if root.Exists(snap) && !root.Exists(name) {
		return snap
	}
	return name
}

// jsonKind is what a Go type is called in JSON.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Map, reflect.Struct:
		return "object"
	case reflect.Slice:
		return "array"
	case reflect.String:
		return "string"
	}
	return t.Kind().String()
}

// parse reads the file as dockerd does: strictly JSON. Where that fails, place and reason are kept and
// nothing else.
func (f *ConfigFile) parse(data []byte) {
	if len(bytes.TrimSpace(data)) == 0 { // dockerd takes an empty file for {}
		return
	}
	var config struct {
		Runtimes map[string]struct {
			Path string   `json:"path"`
			Type string   `json:"runtimeType"`
			Args []string `json:"runtimeArgs"`
		} `json:"runtimes"`
		DefaultRuntime   string                     `json:"default-runtime"`
		Features         map[string]json.RawMessage `json:"features"`
		CDIDirs          []string                   `json:"cdi-spec-dirs"`
		ExecOpts         []string                   `json:"exec-opts"`
		GenericResources []string                   `json:"node-generic-resources"`
		DataRoot         string                     `json:"data-root"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&config)
	offset := dec.InputOffset()
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the closing brace")
		}
	}
	if err != nil {
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &syntax):
			offset = syntax.Offset
		case errors.As(err, &kind):
			offset, err = kind.Offset, fmt.Errorf("%s is of the kind %s, not %s", kind.Field, kind.Value, jsonKind(kind.Type))
		case errors.Is(err, io.ErrUnexpectedEOF):
			offset, err = int64(len(data)), errors.New("the file ends too early")
		}
		line, column := position(data, offset)
		f.Problem = &FileProblem{Path: f.Path, Line: line, Column: column, Message: strings.TrimPrefix(err.Error(), "json: ")}
		return
	}
	f.DefaultRuntime, f.CDIDirs, f.ExecOpts, f.GenericResources, f.DataRoot = config.DefaultRuntime, config.CDIDirs, config.ExecOpts, config.GenericResources, config.DataRoot
	for name, r := range config.Runtimes {
		if f.Runtimes == nil {
			f.Runtimes = map[string]Runtime{}
		}
		f.Runtimes[name] = Runtime{Path: r.Path, Type: r.Type, Args: r.Args}
	}
	for name, raw := range config.Features {
		var on bool
		if json.Unmarshal(raw, &on) != nil {
			continue // hooks and the like are no switches
		}
		if f.Features == nil {
			f.Features = map[string]bool{}
		}
		f.Features[name] = on
	}
}

// position turns a byte offset, as encoding/json counts it (behind the byte), into line and column.
func position(data []byte, offset int64) (line, column int) {
	at := max(0, min(int(offset)-1, len(data)))
	line = 1 + bytes.Count(data[:at], []byte("\n"))
	return line, at - bytes.LastIndexByte(data[:at], '\n')
}

// processStart is when a process was started: field 22 of /proc/PID/stat, in ticks of 10 ms since boot.
func processStart(root Root, pid string) *time.Time {
	stat := root.ReadLine("/proc/" + pid + "/stat")
	booted := bootTime(root)
	_, rest, ok := strings.Cut(stat[strings.LastIndexByte(stat, ')')+1:], " ")
	fields := strings.Fields(rest)
	if !ok || booted == nil || len(fields) < 20 {
		return nil
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 54)
	if err != nil {
		return nil
	}
	return ptr(booted.Add(time.Duration(ticks) * 10 * time.Millisecond))
}

// seeRuntimes notes of each runtime of the engine whether its binary is there.
func seeRuntimes(root Root, e *Engine) {
	for name, r := range e.Runtimes {
		if r.Path == "" {
			continue
		}
		found := false
		if path.IsAbs(r.Path) {
			found = root.Exists(r.Path)
		} else {
			folders := []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
			known := e.Process != nil && e.Process.PATH != ""
			if known {
				folders = strings.Split(e.Process.PATH, ":")
			}
			for _, folder := range folders {
				found = found || root.Exists(path.Join(folder, r.Path))
			}
			if !found && !known {
				continue // the engine's PATH is its own: not seen is not "missing"
			}
		}
		r.Exists = &found
		e.Runtimes[name] = r
	}
}
