package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/inspect"
)

type topoOptions struct{ reading }

// topoAnswer is what `topo --format json` prints. Links has each pair of GPUs once.
type topoAnswer struct {
	SchemaVersion int        `json:"schemaVersion"`
	GPUs          []topoGPU  `json:"gpus"`
	Links         []topoLink `json:"links"`
}

type topoGPU struct {
	Index        int           `json:"index"`
	UUID         string        `json:"uuid,omitempty"`
	Name         string        `json:"name,omitempty"`
	PCIBusID     string        `json:"pciBusId,omitempty"`
	CPUAffinity  string        `json:"cpuAffinity,omitempty"`
	NUMAAffinity string        `json:"numaAffinity,omitempty"`
	GPUNUMANode  *int          `json:"gpuNumaNode,omitempty"`
	PCIe         *inspect.PCIe `json:"pcie,omitempty"`
	NVLinks      *topoNVLinks  `json:"nvlinks,omitempty"` // nil: it has none
	Error        string        `json:"error,omitempty"`
}

// topoNVLinks counts the NVLinks of a GPU. Version is NVLink's generation.
type topoNVLinks struct {
	Count   int  `json:"count"`
	Active  int  `json:"active"`
	Version *int `json:"version,omitempty"`
}

// topoLink is the way between two GPUs. Type is what `nvidia-smi topo -m` shows: NV18 where NVLinks join
// them, else the level of the way over PCIe.
type topoLink struct {
	A       int    `json:"a"`
	B       int    `json:"b"`
	Type    string `json:"type,omitempty"`  // absent: not known
	Level   string `json:"level,omitempty"` // PIX, PXB, PHB, NODE, SYS
	NVLinks int    `json:"nvlinks,omitempty"`
	Version *int   `json:"nvlinkVersion,omitempty"`
}

func newTopoCmd(app *app, runF func(context.Context, *topoOptions) error) *cobra.Command {
	opts := &topoOptions{}
	cmd := &cobra.Command{
		Use:   "topo [OPTIONS]",
		Short: "Show how the GPUs are wired: NVLink, PCIe, processors and memory nodes",
		Long: "Show how the GPUs are wired: which are joined by NVLink, what the way between them over PCIe passes,\n" +
			"the processors and the memory node nearest to each, and the PCIe link it has now and could have.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runTopo(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd)
	return cmd
}

func runTopo(ctx context.Context, app *app, opts *topoOptions) error {
	s, err := opts.snapshot(ctx, app, inspect.EngineSource, inspect.BareHostSource, inspect.DriverSource, inspect.TopologySource)
	if err != nil {
		return err
	}
	none, err := missingGPUs(s)
	if err != nil {
		return err
	}
	if none != "" && (opts.format == "" || opts.format == "table") {
		_, err := fmt.Fprintln(app.out(), none)
		return err
	}
	answer := topology(s)
	switch opts.format {
	case "", "table":
		return writeTopo(app.out(), opts.width(app), s, answer)
	case "json":
		return writeJSON(app.out(), answer, "  ")
	}
	return writeTemplate(app.out(), opts.template(), answer)
}

// missingGPUs says in a sentence that there are no GPUs, which is an ordinary case, or why they could not be
// read, which is an error. It is empty where there are some.
func missingGPUs(s *inspect.Snapshot) (string, error) {
	if len(s.GPUs) > 0 {
		return "", nil
	}
	for _, r := range s.Sources {
		if r.Name != "nvml" && r.Name != "topology" {
			continue
		}
		switch {
		case r.Error != "":
			return "", fmt.Errorf("docker gpu: the GPUs could not be read: %s\nNext: docker gpu diagnose", r.Error)
		case r.Absent && s.Host != nil && len(s.Host.PCI) > 0:
			return "", fmt.Errorf("docker gpu: there is an NVIDIA GPU here (%s), but its driver cannot be asked: %s\nNext: docker gpu diagnose", s.Host.PCI[0].BusID, r.Note)
		case r.Absent:
			return "No NVIDIA GPU here.", nil
		case s.GPUs != nil:
			return "The NVIDIA driver has no GPU here.", nil
		case r.Note != "":
			return "", fmt.Errorf("docker gpu: the GPUs could not be read: %s", r.Note)
		}
	}
	if s.GPUs != nil {
		return "No NVIDIA GPU here.", nil
	}
	return "", errors.New("docker gpu: the snapshot does not tell of GPUs: it was taken without asking for them")
}

func topology(s *inspect.Snapshot) topoAnswer {
	answer := topoAnswer{SchemaVersion: inspect.SchemaVersion, GPUs: []topoGPU{}, Links: []topoLink{}}
	at := map[int]int{}
	for _, g := range s.GPUs {
		at[g.Index] = len(answer.GPUs)
		answer.GPUs = append(answer.GPUs, topoGPU{Index: g.Index, UUID: g.UUID, Name: g.Name, PCIBusID: g.PCIBusID, PCIe: g.PCIe, NVLinks: countNVLinks(g), Error: g.Error})
	}
	levels := map[[2]int]string{}
	if t := s.Topology; t != nil {
		for _, p := range t.GPUs {
			if i, ok := at[p.Index]; ok {
				g := &answer.GPUs[i]
				g.CPUAffinity, g.NUMAAffinity, g.GPUNUMANode = p.CPUAffinity, p.NUMAAffinity, p.GPUNUMANode
			}
		}
		for _, p := range t.Pairs {
			levels[[2]int{min(p.A, p.B), max(p.A, p.B)}] = p.Level
		}
	}
	for i, a := range s.GPUs {
		for _, b := range s.GPUs[i+1:] {
			l := topoLink{A: a.Index, B: b.Index, Level: levels[[2]int{min(a.Index, b.Index), max(a.Index, b.Index)}], NVLinks: inspect.NVLinksBetween(a, b)}
			l.Type = l.Level
			if l.NVLinks > 0 {
				l.Type = "NV" + strconv.Itoa(l.NVLinks)
				l.Version = answer.GPUs[i].NVLinks.Version
			}
			answer.Links = append(answer.Links, l)
		}
	}
	return answer
}

func countNVLinks(g inspect.GPU) *topoNVLinks {
	if len(g.NVLinks) == 0 {
		return nil
	}
	n := &topoNVLinks{Count: len(g.NVLinks)}
	for _, l := range g.NVLinks {
		if l.Active != nil && *l.Active {
			n.Active++
			if n.Version == nil {
				n.Version = l.Version
			}
		}
	}
	return n
}

// legend explains the types of the matrix, in the order of their speed.
var legend = []struct{ kind, means string }{
	{"NV#", "joined by # NVLinks, directly or through NVSwitches"},
	{"PIX", "over PCIe, through one switch at most"},
	{"PXB", "over PCIe, through several switches, not through the host bridge"},
	{"PHB", "over PCIe, through the host bridge of the processor"},
	{"NODE", "over PCIe and between host bridges of one NUMA node"},
	{"SYS", "over PCIe and the link between NUMA nodes"},
	{"?", "not known"},
}

func writeTopo(out io.Writer, width int, s *inspect.Snapshot, answer topoAnswer) error {
	if len(answer.GPUs) > 1 {
		if err := writeMatrix(out, width, answer); err != nil {
			return err
		}
		if s.Topology == nil {
			if _, err := fmt.Fprintln(out, "This snapshot was taken without the wiring: only NVLinks are known."); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
	}
	columns := []column{
		{title: "GPU", keep: keepAlways},
		{title: "NAME", keep: 60, least: 12},
		{title: "PCI", keep: 30},
		{title: "PCIE NOW", keep: keepAlways},
		{title: "PCIE MAX", keep: 90},
		{title: "NVLINK", keep: 80},
		{title: "CPU AFFINITY", keep: 70, least: 12},
		{title: "NUMA", keep: 75},
		{title: "GPU NUMA", keep: 20},
		{title: "ERROR", keep: keepAlways, least: 12},
	}
	var rows [][]string
	for _, g := range answer.GPUs {
		row := []string{strconv.Itoa(g.Index), harmlessName(g.Name), harmlessName(g.PCIBusID), "", "", "", harmlessName(g.CPUAffinity), harmlessName(g.NUMAAffinity), numberText(g.GPUNUMANode), harmlessName(g.Error)}
		if p := g.PCIe; p != nil {
			row[3], row[4] = pcieLink(p.Generation, p.Width), pcieLink(p.GenerationMax, p.WidthMax)
		}
		if n := g.NVLinks; n != nil {
			row[5] = fmt.Sprintf("%d of %d", n.Active, n.Count)
			if n.Active == n.Count {
				row[5] = strconv.Itoa(n.Count)
			}
			if n.Version != nil {
				row[5] += fmt.Sprintf(" × gen %d", *n.Version)
			}
		}
		rows = append(rows, row)
	}
	return writeTable(out, width, columns, rows)
}

// writeMatrix prints what joins each GPU to each, in as many blocks of columns as the width asks for, and
// explains the types that occur.
func writeMatrix(out io.Writer, width int, answer topoAnswer) error {
	types := map[[2]int]string{}
	seen := map[string]bool{}
	for _, l := range answer.Links {
		kind := harmlessName(l.Type)
		if kind == "" {
			kind = "?"
		}
		types[[2]int{l.A, l.B}], types[[2]int{l.B, l.A}] = kind, kind
		if l.NVLinks > 0 {
			kind = "NV#"
		}
		seen[kind] = true
	}
	label := func(g topoGPU) string { return "GPU" + strconv.Itoa(g.Index) }
	wide := len(label(answer.GPUs[len(answer.GPUs)-1])) + 2
	block := len(answer.GPUs)
	if width > 0 {
		block = max(1, min(block, width/wide-1))
	}
	for from := 0; from < len(answer.GPUs); from += block {
		part := answer.GPUs[from:min(from+block, len(answer.GPUs))]
		columns := []column{{keep: keepAlways, visible: true}}
		for _, g := range part {
			columns = append(columns, column{title: label(g), keep: keepAlways})
		}
		var rows [][]string
		for _, a := range answer.GPUs {
			row := []string{label(a)}
			for _, b := range part {
				kind := types[[2]int{a.Index, b.Index}]
				if a.Index == b.Index {
					kind = "X"
				}
				row = append(row, kind)
			}
			rows = append(rows, row)
		}
		if err := writeTable(out, width, columns, rows); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
	}
	var b strings.Builder
	for _, l := range legend {
		if seen[l.kind] {
			fmt.Fprintf(&b, "%-5s %s\n", l.kind, l.means)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// pcieLink is a PCIe link by generation and lanes: gen 5 x16.
func pcieLink(generation, width *int) string {
	if generation == nil && width == nil {
		return ""
	}
	text := "gen ?"
	if generation != nil {
		text = fmt.Sprintf("gen %d", *generation)
	}
	if width != nil {
		text += fmt.Sprintf(" x%d", *width)
	}
	return text
}

func numberText(v *int) string {
	if v == nil {
		return ""
	}
	return strconv.Itoa(*v)
}
