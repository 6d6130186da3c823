// Package announce tells docker what plugin this is, before the rest of the program is initialised.
//
// docker asks every plugin for its metadata at each `docker --help` and `docker info`, and most of what a Go program
// of this size does until then is to initialise packages that the answer does not need (the JSON schemas of compose
// files above all). Go initialises packages in the order of their import paths as far as their imports allow
// (https://go.dev/ref/spec#Program_initialization), so that this one, which imports next to nothing, comes before
// them. It must stay that way: a scenario holds it.
package announce

import (
	"os"
	"strconv"
)

// Version is set by the linker: -ldflags "-X github.com/docker-gpu/docker-gpu/plugin/announce.Version=…".
var Version = "dev"

// What docker shows of the plugin.
const (
	SchemaVersion    = "0.1.0"
	Vendor           = "docker gpu"
	ShortDescription = "Can my containers use the GPU, which ones do, why not, and how do I fix it"
	URL              = "https://github.com/docker-gpu/docker-gpu"
)

// command is docker's question; its name stands in cli-plugins/metadata, which is not imported for that.
const command = "docker-cli-plugin-metadata"

func init() {
	if len(os.Args) > 1 && os.Args[1] == command {
		if _, err := os.Stdout.WriteString(JSON()); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// JSON is the answer.
func JSON() string {
	return `{"SchemaVersion":` + strconv.Quote(SchemaVersion) + `,"Vendor":` + strconv.Quote(Vendor) +
		`,"Version":` + strconv.Quote(Version) + `,"ShortDescription":` + strconv.Quote(ShortDescription) +
		`,"URL":` + strconv.Quote(URL) + "}\n"
}
