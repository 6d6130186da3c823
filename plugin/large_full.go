//go:build !container

package plugin

import "github.com/spf13/cobra"

// addLarge adds the commands that bring much with them and have no use in a container that is checked.
func addLarge(app *app, cmd *cobra.Command) {
	cmd.AddCommand(newExporterCmd(app, nil))
	cmd.AddCommand(newTopCmd(app, nil))
}
