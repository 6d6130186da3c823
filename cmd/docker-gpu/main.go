// Command docker-gpu is the Docker CLI plugin "docker gpu". It runs below the docker CLI and alone.
package main

import (
	"os"

	"github.com/docker-gpu/docker-gpu/plugin"
	"github.com/docker-gpu/docker-gpu/plugin/announce"
)

func main() {
	os.Exit(plugin.Main(announce.Version, os.Args))
}
