package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// readSnapshot reads a file that `status --format json` or `report` wrote; "-" is standard input.
func readSnapshot(path string, stdin io.Reader) (*inspect.Snapshot, error) {
	return readFrom[inspect.Snapshot](path, stdin, "snapshot", "docker gpu status --format json")
}

// readFrom reads what --from names: a record of an earlier look at a machine or a cluster, alone or in a
// report. make is the command that writes one.
func readFrom[T any](path string, stdin io.Reader, what, make string) (*T, error) {
	const most = 256 << 20
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("docker gpu: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("docker gpu: %s: %w", path, err)
	case len(data) > most:
		return nil, fmt.Errorf("docker gpu: %s: larger than 256 MiB: not a %s", path, what)
	}
	var head struct {
		SchemaVersion *int            `json:"schemaVersion"`
		Snapshot      json.RawMessage `json:"snapshot"` // of a report
	}
	if err := json.Unmarshal(data, &head); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("docker gpu: %s is not a %s: not JSON at byte %d: %w", path, what, syntax.Offset, err)
		}
		return nil, fmt.Errorf("docker gpu: %s is not a %s: %w", path, what, err)
	}
	switch {
	case head.SchemaVersion == nil || *head.SchemaVersion < 1:
		return nil, fmt.Errorf("docker gpu: %s is not a %s: it has no schemaVersion\nmake one with: %s", path, what, make)
	case *head.SchemaVersion > inspect.SchemaVersion:
		return nil, fmt.Errorf("docker gpu: %s is a %s of schema version %d, this docker gpu reads up to %d: update docker gpu", path, what, *head.SchemaVersion, inspect.SchemaVersion)
	}
	if len(head.Snapshot) > 0 {
		data = head.Snapshot
	}
	record := new(T)
	if err := json.Unmarshal(data, record); err != nil {
		return nil, fmt.Errorf("docker gpu: %s is a damaged %s: %w", path, what, err)
	}
	return record, nil
}
