package plugin

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/cli/cli/command/formatter"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/inspect"
)

type migOptions struct {
	reading
	quiet bool
}

// migLine is one line of `mig ls --format json`: a MIG device, which is a GPU to a container.
type migLine struct {
	GPU               int      `json:"gpu"`
	Index             int      `json:"index"`
	UUID              string   `json:"uuid,omitempty"`
	Profile           string   `json:"profile,omitempty"`
	GPUName           string   `json:"gpuName,omitempty"`
	GPUInstanceID     *int     `json:"gpuInstanceId,omitempty"`
	ComputeInstanceID *int     `json:"computeInstanceId,omitempty"`
	MemoryTotalBytes  *uint64  `json:"memoryTotalBytes,omitempty"`
	MemoryUsedBytes   *uint64  `json:"memoryUsedBytes,omitempty"`
	Multiprocessors   *int     `json:"multiprocessors,omitempty"`
	Processes         *int     `json:"processes,omitempty"` // how many; nil: not known
	Names             migNames `json:"names"`
}

// migNames are the ways to name the device. CDIListed says if a CDI specification has it; nil: not known.
type migNames struct {
	Device         string `json:"device"`         // GPU:INDEX
	GPUs           string `json:"gpus"`           // of docker run --gpus
	Compose        string `json:"compose"`        // in device_ids
	CDI            string `json:"cdi"`            // of --device, and in compose's devices
	VisibleDevices string `json:"visibleDevices"` // NVIDIA_VISIBLE_DEVICES
	CDIListed      *bool  `json:"cdiListed,omitempty"`
}

func newMIGCmd(app *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mig",
		Short: "Show MIG devices and how to name them to Docker",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return usageError(cmd, "unknown command %q", args[0])
		},
	}
	cmd.AddCommand(newMIGListCmd(app, nil))
	return cmd
}

func newMIGListCmd(app *app, runF func(context.Context, *migOptions) error) *cobra.Command {
	opts := &migOptions{}
	cmd := &cobra.Command{
		Use:     "ls [OPTIONS]",
		Aliases: []string{"list"},
		Short:   "List MIG devices: profile, memory, UUID, and their names for --gpus, compose and CDI",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runMIGList(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd)
	cmd.Flags().BoolVarP(&opts.quiet, "quiet", "q", false, "Only display UUIDs")
	return cmd
}

func runMIGList(ctx context.Context, app *app, opts *migOptions) error {
	s, err := opts.snapshot(ctx, app, inspect.EngineSource, inspect.BareHostSource, inspect.DriverSource, inspect.NVMLBriefSource, inspect.CDISource)
	if err != nil {
		return err
	}
	table := !opts.quiet && (opts.format == "" || opts.format == "table")
	none, err := missingGPUs(s)
	if err != nil {
		return err
	}
	if none != "" {
		if table {
			_, err = fmt.Fprintln(app.out(), none)
		}
		return err
	}
	lines := migLines(s)
	switch {
	case opts.quiet && opts.format == "":
		for _, line := range lines {
			if _, err := fmt.Fprintln(app.out(), harmlessName(line.UUID)); err != nil {
				return err
			}
		}
		return nil
	case opts.format == "json":
		for _, line := range lines {
			if err := writeJSON(app.out(), line, ""); err != nil {
				return err
			}
		}
		return nil
	case !table:
		return writeMIGTemplate(app.out(), opts.format, lines)
	}
	return writeMIG(app.out(), opts.width(app), s, lines)
}

func migLines(s *inspect.Snapshot) []migLine {
	var lines []migLine
	for _, g := range s.GPUs {
		if g.MIG == nil {
			continue
		}
		for _, d := range g.MIG.Devices {
			device := fmt.Sprintf("%d:%d", g.Index, d.Index)
			line := migLine{GPU: g.Index, Index: d.Index, UUID: d.UUID, Profile: d.Profile, GPUName: g.Name, GPUInstanceID: d.GPUInstanceID, ComputeInstanceID: d.ComputeInstanceID,
				MemoryTotalBytes: d.MemoryTotalBytes, MemoryUsedBytes: d.MemoryUsedBytes, Multiprocessors: d.Multiprocessors,
				Names: migNames{Device: device, GPUs: `"device=` + device + `"`, Compose: device, CDI: "nvidia.com/gpu=" + device, VisibleDevices: device}}
			if d.Processes != nil {
				line.Processes = new(int)
				*line.Processes = len(d.Processes)
			}
			if s.CDI != nil {
				byUUID := "nvidia.com/gpu=" + d.UUID
				listed := slices.Contains(s.CDI.Devices, line.Names.CDI)
				if !listed && slices.Contains(s.CDI.Devices, byUUID) { // specifications can be made with UUIDs as names
					line.Names.CDI, listed = byUUID, true
				}
				line.Names.CDIListed = &listed
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func writeMIG(out io.Writer, width int, s *inspect.Snapshot, lines []migLine) error {
	var b strings.Builder
	if len(lines) > 0 {
		columns := []column{
			{title: "DEVICE", keep: keepAlways},
			{title: "PROFILE", keep: keepAlways},
			{title: "MEMORY", keep: 95, right: true},
			{title: "USED", keep: 90, right: true},
			{title: "SMS", keep: 40, right: true},
			{title: "PROCESSES", keep: 50, right: true},
			{title: "GPU", keep: 30, least: 12},
			{title: "UUID", keep: keepAlways},
			{title: "CDI", keep: 60},
		}
		var rows [][]string
		for _, line := range lines {
			r := migRow{migLine: line}
			rows = append(rows, []string{r.Device(), harmlessName(line.Profile), r.Memory(), r.Used(), numberText(line.Multiprocessors), r.Processes(), harmlessName(line.GPUName), harmlessName(line.UUID), harmlessName(r.CDI())})
		}
		if err := writeTable(out, width, columns, rows); err != nil {
			return err
		}
		b.WriteByte('\n')
		writeMIGNames(&b, lines[0])
	}
	writeMIGStates(&b, s, len(lines) > 0)
	_, err := io.WriteString(out, b.String())
	return err
}

// writeMIGNames shows how a device is named to Docker; one stands for all.
func writeMIGNames(b *strings.Builder, line migLine) {
	n := line.Names
	fmt.Fprintf(b, "Name a device by its number or its UUID; for %s:\n", n.Device)
	fmt.Fprintf(b, "  docker run  --gpus '%s'\n", n.GPUs)
	fmt.Fprintf(b, "  compose     gpus: [{driver: nvidia, device_ids: [%q]}]\n", n.Compose)
	fmt.Fprintf(b, "  CDI         --device %s\n", harmlessName(n.CDI))
	if n.CDIListed != nil && !*n.CDIListed {
		b.WriteString("              which is in no CDI specification yet; one that has it:\n" +
			"              nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml\n")
	}
	fmt.Fprintf(b, "  variable    NVIDIA_VISIBLE_DEVICES=%s\n", n.VisibleDevices)
}

// writeMIGStates says of each kind of GPU that has no devices why that is so.
func writeMIGStates(b *strings.Builder, s *inspect.Snapshot, any bool) {
	var empty, off, pending []string
	for _, g := range s.GPUs {
		index := strconv.Itoa(g.Index)
		switch {
		case g.MIG == nil:
		case g.MIG.Enabled && len(g.MIG.Devices) == 0:
			empty = append(empty, index)
		case !g.MIG.Enabled:
			off = append(off, index)
		}
		if g.MIG != nil && g.MIG.Enabled != g.MIG.PendingEnabled {
			pending = append(pending, index)
		}
	}
	if any && len(empty)+len(pending) > 0 {
		b.WriteByte('\n')
	}
	if len(empty) > 0 {
		fmt.Fprintf(b, "%s in MIG mode, without instances: no container can use %s.\nThe profiles that fit: nvidia-smi mig -i %s -lgip\n",
			gpuList(empty, "is", "are"), itOrThem(empty), strings.Join(empty, ","))
	}
	if len(pending) > 0 {
		fmt.Fprintf(b, "%s another MIG mode with the next reset.\n", gpuList(pending, "takes", "take"))
	}
	switch {
	case any || len(empty) > 0:
	case len(off) > 0:
		fmt.Fprintf(b, "No GPU here is in MIG mode.\n%s be divided: nvidia-smi -i %s -mig 1\n", gpuList(off, "can", "can"), strings.Join(off, ","))
	default:
		fmt.Fprintf(b, "No GPU here can be divided (MIG): %s.\n", harmlessName(s.GPUs[0].Name))
	}
}

// gpuList is "GPU 3 is" or "GPUs 0, 1 are".
func gpuList(indexes []string, one, several string) string {
	if len(indexes) == 1 {
		return "GPU " + indexes[0] + " " + one
	}
	return "GPUs " + strings.Join(indexes, ", ") + " " + several
}

func itOrThem(indexes []string) string {
	if len(indexes) == 1 {
		return "it"
	}
	return "them"
}

// migRow is what a template of --format sees of a line.
type migRow struct {
	formatter.HeaderContext
	migLine
}

func (r *migRow) Device() string    { return r.Names.Device }
func (r *migRow) CDI() string       { return r.Names.CDI }
func (r *migRow) Processes() string { return numberText(r.migLine.Processes) }

func (r *migRow) Memory() string { return size(r.MemoryTotalBytes) }
func (r *migRow) Used() string   { return size(r.MemoryUsedBytes) }

func size(v *uint64) string {
	if v == nil {
		return ""
	}
	return bytesText(*v)
}

func writeMIGTemplate(out io.Writer, format string, lines []migLine) error {
	var b strings.Builder
	header := migRow{HeaderContext: formatter.HeaderContext{Header: formatter.SubHeaderContext{
		"GPU": "GPU", "Index": "INDEX", "Device": "DEVICE", "UUID": "UUID", "Profile": "PROFILE", "GPUName": "GPU NAME", "Memory": "MEMORY", "Used": "USED",
		"Multiprocessors": "SMS", "Processes": "PROCESSES", "CDI": "CDI",
	}}}
	c := formatter.Context{Output: &b, Format: formatter.Format(format)}
	err := c.Write(&header, func(write func(formatter.SubContext) error) error {
		for _, line := range lines {
			if err := write(&migRow{HeaderContext: header.HeaderContext, migLine: line}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil { // as docker inspect does it: names of the JSON
		b.Reset()
		for _, line := range lines {
			if again := writeTemplate(&b, strings.TrimPrefix(format, "table "), line); again != nil {
				return fmt.Errorf("--format: %w", err)
			}
		}
	}
	_, err = io.WriteString(out, harmlessText(b.String()))
	return err
}
