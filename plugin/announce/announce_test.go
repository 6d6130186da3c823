package announce

import (
	"encoding/json"
	"testing"

	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/google/go-cmp/cmp"
)

// docker reads what this package writes by hand, and finds the command that it knows by name.
func TestDockerReadsIt(t *testing.T) {
	var m metadata.Metadata
	if err := json.Unmarshal([]byte(JSON()), &m); err != nil {
		t.Fatal(err)
	}
	want := metadata.Metadata{SchemaVersion: SchemaVersion, Vendor: Vendor, Version: Version, ShortDescription: ShortDescription, URL: URL}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	if command != metadata.MetadataSubcommandName {
		t.Errorf("docker asks by %q", metadata.MetadataSubcommandName)
	}
}
