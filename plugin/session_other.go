//go:build !unix

package plugin

import "os/exec"

func ownSession(*exec.Cmd) {}
