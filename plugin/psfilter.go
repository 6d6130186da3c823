package plugin

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/cli/opts"
	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// filters are the values of --filter by key. As with `docker ps`, one of the values of a key has to match,
// and every key; of labels all have to match.
type filters = client.Filters

var psFilterKeys = []string{"name", "gpu", "grant", "project", "label"}

// grantWays are the values that --filter grant= takes.
var grantWays = []string{inspect.ByGPUs, inspect.ByCDI, inspect.ByRuntime, inspect.ByDefaultRuntime, inspect.ByDevice, inspect.ByDXG,
	inspect.ByCgroupRule, inspect.ByVolumeMounts, inspect.BySwarm, inspect.ByPrivileged}

func checkPsFilter(cmd *cobra.Command, filter opts.FilterOpt) error {
	for key, values := range filter.Value() {
		if !slices.Contains(psFilterKeys, key) {
			return usageError(cmd, "--filter: unknown key %q; there are %s", key, strings.Join(psFilterKeys, ", "))
		}
		for value := range values {
			switch {
			case value == "":
				return usageError(cmd, "--filter %s= needs a value", key)
			case key == "grant" && !slices.Contains(grantWays, strings.TrimLeft(value, "-")):
				return usageError(cmd, "--filter: nothing is granted by %q; there are %s", value, strings.Join(grantWays, ", "))
			case key == "name":
				if _, err := regexp.Compile(value); err != nil {
					return usageError(cmd, "--filter name=%s: %s", value, err)
				}
			}
		}
	}
	return nil
}

// psWanted applies the filters that the engine's list alone can answer: name, project and label. A name
// is an expression that matches anywhere in it, with or without the leading slash, as in docker.
func psWanted(f filters, c *inspect.Container) bool {
	for label := range f["label"] {
		key, value, valued := strings.Cut(label, "=")
		if has, ok := c.Labels[key]; !ok || valued && has != value {
			return false
		}
	}
	if len(f["project"]) > 0 && !f["project"][c.ComposeProject] {
		return false
	}
	if len(f["name"]) == 0 {
		return true
	}
	for pattern := range f["name"] {
		if c.Name == pattern || "/"+c.Name == pattern {
			return true
		}
		if expr, err := regexp.Compile(pattern); err == nil && (expr.MatchString(c.Name) || expr.MatchString("/"+c.Name)) {
			return true
		}
	}
	return false
}

func matchesGrant(f filters, c *inspect.Container) bool {
	if len(f["grant"]) == 0 {
		return true
	}
	for way := range f["grant"] {
		if slices.Contains(c.Grant.By, strings.TrimLeft(way, "-")) {
			return true
		}
	}
	return false
}

// matchesGPU: a GPU by index, a MIG device by GPU:INDEX, either by UUID. A container that was given all
// GPUs was given this one; a GPU stands for its MIG devices too.
func matchesGPU(f filters, s *inspect.Snapshot, c *inspect.Container) bool {
	if len(f["gpu"]) == 0 {
		return true
	}
	for wanted := range f["gpu"] {
		index := gpuIndex(s, wanted)
		for _, given := range slices.Concat(c.Grant.GPUs, c.Grant.UUIDs) {
			whole, _, _ := strings.Cut(given, ":")
			if given == "all" || given == wanted || given == index || whole == index {
				return true
			}
		}
		if c.Usage == nil {
			continue
		}
		for _, p := range c.Usage.Processes {
			if processOn(index, p) {
				return true
			}
		}
	}
	return false
}

func matchesProcess(f filters, s *inspect.Snapshot, p inspect.UsageProcess) bool {
	for wanted := range f["gpu"] {
		if wanted == "all" || processOn(gpuIndex(s, wanted), p) {
			return true
		}
	}
	return false
}

func processOn(index string, p inspect.UsageProcess) bool {
	gpu := strconv.Itoa(p.GPU)
	return gpu == index || p.MIGDevice != nil && gpu+":"+strconv.Itoa(*p.MIGDevice) == index
}

// gpuIndex is the index of a GPU named by UUID, or the name itself.
func gpuIndex(s *inspect.Snapshot, name string) string {
	for _, g := range s.GPUs {
		if g.UUID == name && name != "" {
			return strconv.Itoa(g.Index)
		}
		if g.MIG == nil {
			continue
		}
		for _, d := range g.MIG.Devices {
			if d.UUID == name && name != "" {
				return strconv.Itoa(g.Index) + ":" + strconv.Itoa(d.Index)
			}
		}
	}
	return name
}
