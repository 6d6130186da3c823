//go:build container

package plugin

import (
	"fmt"

	"github.com/spf13/cobra"
)

// addLarge stands for the commands that are not in the small build for containers, and says so.
func addLarge(_ *app, cmd *cobra.Command) {
	for _, name := range []string{"exporter", "top"} {
		cmd.AddCommand(&cobra.Command{Use: name, Hidden: true, DisableFlagParsing: true, RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("docker gpu: %s is not in this build, which is for containers: use the whole docker-gpu", name)
		}})
	}
}
