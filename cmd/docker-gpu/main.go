// Command docker-gpu is the Docker CLI plugin "docker gpu". It runs below the docker CLI and alone.
package main

import (
	"os"

	"github.com/docker-gpu/docker-gpu/plugin"
)

// version is set by the linker: -ldflags "-X main.version=…".
var version = "dev"

func main() {
	os.Exit(plugin.Main(version, os.Args))
}
