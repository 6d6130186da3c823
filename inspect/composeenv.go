package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

const (
	visibleDevices     = "NVIDIA_VISIBLE_DEVICES"
	driverCapabilities = "NVIDIA_DRIVER_CAPABILITIES"
	// sentinel stands for whatever the switch's file may say: where it comes out, the file is read.
	sentinel = "docker-gpu-sentinel"
)

// composeEnv is what compose interpolates files with: env as things are, and as if the switch's file
// said sentinel. Reading follows docker compose v5 (facts: cmd/compose/compose.go, toProjectOptions).
type composeEnv struct {
	switchFile string // absolute
	env, asIf  map[string]string
	files      []string // read, in order
	reads      bool     // the switch's file is among them
	wonBy      *Setting // what sets NVIDIA_VISIBLE_DEVICES before the switch's file
}

// shellEnv is the environment of the process as a map.
func (m Machine) shellEnv() map[string]string {
	env := map[string]string{}
	if m.Environ == nil {
		return env
	}
	for _, entry := range m.Environ() {
		if key, value, ok := strings.Cut(entry, "="); ok && key != "" {
			env[key] = value
		}
	}
	return env
}

func newComposeEnv(shell map[string]string, switchFile string) *composeEnv {
	e := &composeEnv{switchFile: switchFile, env: maps.Clone(shell), asIf: maps.Clone(shell)}
	if value, set := shell[visibleDevices]; set {
		e.wonBy = &Setting{Value: value}
	}
	return e
}

// explicitEnvFiles are those of COMPOSE_ENV_FILES, which only the shell can set.
func explicitEnvFiles(shell map[string]string, workDir string) []string {
	var files []string
	for name := range strings.SplitSeq(shell["COMPOSE_ENV_FILES"], ",") {
		if name = strings.TrimSpace(name); name != "" {
			files = append(files, absolute(workDir, name))
		}
	}
	return files
}

// readDefault reads the .env of a folder, unless files were named or that was switched off.
func (e *composeEnv) readDefault(folder string, explicit []string) error {
	if len(explicit) > 0 {
		return e.read(explicit, true)
	}
	if off, err := strconv.ParseBool(e.env["COMPOSE_DISABLE_ENV_FILE"]); err == nil && off {
		return nil
	}
	return e.read([]string{filepath.Join(folder, ".env")}, false)
}

// read merges env files: what is set stays, among the files the later one wins. The switch's file counts
// as read where it is not there yet.
func (e *composeEnv) read(files []string, required bool) error {
	values, asIf := map[string]string{}, map[string]string{}
	for _, file := range files {
		isSwitch := sameFile(file, e.switchFile)
		data, err := readProjectFile(file)
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist) && isSwitch:
			data = nil
		case errors.Is(err, fs.ErrNotExist) && !required, errors.Is(err, errNotRegular) && !required:
			continue
		default:
			return fmt.Errorf("%s: %w", file, err)
		}
		if !slices.Contains(e.files, file) {
			e.files = append(e.files, file)
		}
		switched := data
		if isSwitch {
			e.reads = true
			switched = withSentinel(data)
		}
		if err := merge(values, data, e.env); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := merge(asIf, switched, e.asIf); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if _, set := values[visibleDevices]; set && !isSwitch && asIf[visibleDevices] != sentinel && e.wonBy == nil {
			e.wonBy = &Setting{Value: values[visibleDevices], File: file, Line: envLine(data, visibleDevices)}
		} else if isSwitch && e.wonBy != nil && e.wonBy.File != "" && slices.Contains(files, e.wonBy.File) {
			e.wonBy = nil // an earlier file of the same stage loses
		}
	}
	for key, value := range values {
		if _, set := e.env[key]; !set {
			e.env[key] = value
		}
	}
	for key, value := range asIf {
		if _, set := e.asIf[key]; !set {
			e.asIf[key] = value
		}
	}
	if e.asIf[visibleDevices] == sentinel {
		e.wonBy = nil
	}
	return nil
}

// merge reads an env file with compose's own reader.
func merge(into map[string]string, data []byte, env map[string]string) error {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	values, err := dotenv.UnmarshalBytesWithLookup(data, func(key string) (string, bool) {
		if value, set := env[key]; set {
			return value, true
		}
		value, set := into[key]
		return value, set
	})
	if err != nil {
		return err
	}
	maps.Copy(into, values)
	return nil
}

// withSentinel is an env file with NVIDIA_VISIBLE_DEVICES set to the sentinel where it counts.
func withSentinel(data []byte) []byte {
	statements, err := ScanEnv(data)
	if err != nil {
		return data
	}
	last := LastEnv(statements, visibleDevices)
	switch {
	case last == nil:
		return append(bytes.Clone(data), "\n"+visibleDevices+"="+sentinel+"\n"...)
	case last.Bare:
		return slices.Insert(bytes.Clone(data), last.KeyEnd, []byte("="+sentinel)...)
	}
	return slices.Replace(bytes.Clone(data), last.Start, last.End, []byte(sentinel)...)
}

// readProjectFile reads a regular file of the project, at most 64 MiB of it.
func readProjectFile(path string) ([]byte, error) { return readRegular(path, 64<<20) }

func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	ra, errA := filepath.EvalSymlinks(a)
	rb, errB := filepath.EvalSymlinks(b)
	return errA == nil && errB == nil && ra == rb
}

func absolute(folder, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(folder, name)
}

// envLine is the line on which an env file sets key last: the one that counts. 0 is not found.
func envLine(data []byte, key string) int {
	statements, err := ScanEnv(data)
	if err != nil {
		return 0
	}
	if last := LastEnv(statements, key); last != nil {
		return last.Line
	}
	return 0
}
