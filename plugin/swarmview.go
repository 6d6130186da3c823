package plugin

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// writeSwarmView shows the GPUs that the nodes of a swarm offer, placed and free, and the tasks that wait for one.
// Where the swarm has nothing to do with GPUs it writes nothing.
func writeSwarmView(out io.Writer, width int, v *inspect.SwarmView) error {
	if v == nil {
		return nil
	}
	var rows [][]string
	for _, n := range v.Nodes {
		for _, kind := range slices.Sorted(maps.Keys(n.GPUs)) {
			g := n.GPUs[kind]
			free := strconv.FormatInt(g.Total-g.Placed, 10)
			if !fixes.TakesTasks(n) {
				free = "–" // those that are left can be had by nobody
			}
			rows = append(rows, []string{harmlessName(n.Name), harmlessName(nodeState(n)), harmlessName(kind),
				strconv.FormatInt(g.Total, 10), strconv.FormatInt(g.Placed, 10), free})
		}
	}
	var b strings.Builder
	if len(rows) > 0 {
		b.WriteString("\n")
		columns := []column{{title: "SWARM NODE", keep: keepAlways, least: 12}, {title: "STATE", keep: 80}, {title: "RESOURCE", keep: 90, least: 10},
			{title: "GPUS", keep: keepAlways, right: true}, {title: "PLACED", keep: keepAlways, right: true}, {title: "FREE", keep: keepAlways, right: true}}
		if err := writeTable(&b, width, columns, rows); err != nil {
			return err
		}
	}
	if len(v.Waiting) > 0 {
		b.WriteString("\n")
		columns := []column{{title: "WAITING TASK", keep: keepAlways, least: 12}, {title: "WANTS", keep: keepAlways, least: 10}, {title: "WHY", keep: 90, least: 20}}
		rows = rows[:0]
		for _, t := range v.Waiting {
			rows = append(rows, []string{harmlessName(fixes.TaskName(t)), harmlessName(fixes.WantedGPUs(t)), harmlessName(t.Message)})
		}
		if err := writeTable(&b, width, columns, rows); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(out, b.String())
	return err
}

// nodeState is "ready", "ready, drain", "down".
func nodeState(n inspect.SwarmNode) string {
	if n.Availability == "" || n.Availability == "active" {
		return n.State
	}
	return n.State + ", " + n.Availability
}
