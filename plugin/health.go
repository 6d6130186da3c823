package plugin

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// openCommand is the hidden command by which the binary opens device nodes in a process of its own.
const openCommand = "__open"

type healthOptions struct {
	reading
	containers []string
	require    bool
	warnOnly   bool
	inside     bool
}

// healthAnswer is what `health --format json` prints. Status is the worst of the containers'.
type healthAnswer struct {
	SchemaVersion int                `json:"schemaVersion"`
	Status        fixes.HealthStatus `json:"status"`
	Inside        bool               `json:"inside"` // the container that docker gpu runs in was checked
	Findings      []fixes.Finding    `json:"findings"`
	Containers    []containerHealth  `json:"containers"`
}

type containerHealth struct {
	Container string `json:"container,omitempty"`
	ID        string `json:"id,omitempty"`
	fixes.Health
	Problem string `json:"problem,omitempty"` // why it could not be checked
}

func newHealthCmd(app *app, runF func(context.Context, *healthOptions) error) *cobra.Command {
	o := &healthOptions{}
	cmd := &cobra.Command{
		Use:   "health [OPTIONS] [CONTAINER...]",
		Short: "Check that the GPUs a container should have are there and answer",
		Long: "Check that the GPUs a container should have are there and answer.\n\n" +
			"In a container without arguments: that container; it needs no engine, no shell and no nvidia-smi, so a\n" +
			"static docker-gpu in the image can be its HEALTHCHECK. Elsewhere: the containers named, else all running\n" +
			"ones that have a GPU or ask for one. A container in which no GPU is expected passes.",
		Example: "  docker gpu health trainer\n  HEALTHCHECK CMD [\"docker-gpu\", \"health\"]",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.containers = args
			if err := o.check(cmd); err != nil {
				return err
			}
			if o.inside && len(args) > 0 {
				return usageError(cmd, "--inside checks the container around docker gpu, and takes no arguments")
			}
			if o.inside && o.from != "" {
				return usageError(cmd, "--inside and --from exclude each other")
			}
			if runF != nil {
				return runF(cmd.Context(), o)
			}
			return runHealth(cmd.Context(), app, o)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return containerNames(cmd.Context(), app, args), cobra.ShellCompDirectiveNoFileComp
		},
	}
	o.addFlags(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.require, "require", false, "Fail too where no GPU is expected")
	flags.BoolVar(&o.warnOnly, "warn-only", false, "Report what is wrong and exit 0")
	flags.BoolVar(&o.inside, "inside", false, "Check the container around docker gpu, whatever it looks like from here")
	return cmd
}

func runHealth(ctx context.Context, app *app, o *healthOptions) error {
	answer, err := o.answer(ctx, app)
	if err != nil {
		return err
	}
	answer.sum(o.require)
	switch o.format {
	case "", "table":
		err = writeHealth(app.out(), o.width(app), answer)
	case "json":
		err = writeJSON(app.out(), answer, "  ")
	default:
		err = writeTemplate(app.out(), o.template(), answer)
	}
	if err == nil && answer.Status == fixes.Unhealthy && !o.warnOnly {
		err = errFound
	}
	return err
}

func (o *healthOptions) answer(ctx context.Context, app *app) (*healthAnswer, error) {
	answer := &healthAnswer{SchemaVersion: inspect.SchemaVersion, Containers: []containerHealth{}}
	if len(o.containers) == 0 && o.from == "" {
		m := app.machine(app.cli.CurrentContext())
		if _, around := inspect.ContainerAround(m.Root); o.inside || around {
			s := inspect.Collect(ctx, insideOf(m), o.timeout, insideSources()...)
			answer.Inside = true
			answer.Containers = append(answer.Containers, containerHealth{Health: fixes.HealthInside(s)})
			return answer, nil
		}
	}
	s, err := o.snapshot(ctx, app, o.outsideSources()...)
	if err != nil {
		return nil, err
	}
	if s.Inside != nil && len(o.containers) == 0 { // a snapshot that was taken inside
		answer.Inside = true
		answer.Containers = append(answer.Containers, containerHealth{Health: fixes.HealthInside(s)})
		return answer, nil
	}
	if s.Containers == nil {
		return nil, o.cannotList(ctx, app, s)
	}
	warnSources(app.cli.Err(), "", s)
	chosen, err := chooseContainers(s, o.containers)
	if err != nil {
		return nil, err
	}
	for _, c := range chosen {
		h := containerHealth{Container: c.Name, ID: c.ID}
		if c.State != "running" && c.State != "paused" {
			h.Health = fixes.Health{Status: fixes.Unhealthy, Because: []string{}, Findings: []fixes.Finding{}}
			h.Problem = notRunning(c)
		} else {
			h.Health = fixes.HealthOutside(s, c)
		}
		if len(o.containers) > 0 || h.Expected || o.require {
			answer.Containers = append(answer.Containers, h)
		}
	}
	return answer, nil
}

// insideOf is the machine as it is seen from within a container: no engine, and everything here is local,
// whatever DOCKER_HOST says.
func insideOf(m inspect.Machine) inspect.Machine {
	m.Host, m.Context, m.Dial, m.Run = "", "", nil, nil
	return m
}

// insideSources: NVML only where this build can load it. nvidia-smi is never started: it takes longer than
// a health check may.
func insideSources() []inspect.Source {
	sources := []inspect.Source{inspect.InsideSource, inspect.DriverSource}
	if inspect.NVMLBuilt {
		sources = append(sources, inspect.NVMLBriefSource)
	}
	return sources
}

func (o *healthOptions) outsideSources() []inspect.Source {
	named := func(c *inspect.Container) bool {
		return len(o.containers) == 0 || slices.ContainsFunc(o.containers, func(name string) bool { return namedBy(c, name) })
	}
	return []inspect.Source{
		inspect.EngineSource, inspect.ContainersWanted(len(o.containers) > 0, named), inspect.DeviceNodesSource, inspect.DriverSource,
		inspect.NVMLBriefSource, inspect.ToolkitConfigSource, inspect.InsidesSource(named),
	}
}

// namedBy: by name, or by the id or its beginning.
func namedBy(c *inspect.Container, name string) bool {
	return c.Name == strings.TrimPrefix(name, "/") || strings.HasPrefix(c.ID, name)
}

// chooseContainers finds the containers by name, as docker does; all running ones where none is named.
func chooseContainers(s *inspect.Snapshot, names []string) ([]*inspect.Container, error) {
	var chosen []*inspect.Container
	if len(names) == 0 {
		for i := range s.Containers {
			if s.Containers[i].State == "running" {
				chosen = append(chosen, &s.Containers[i])
			}
		}
		return chosen, nil
	}
	for _, name := range names {
		var exact, prefixed []*inspect.Container
		for i := range s.Containers {
			c := &s.Containers[i]
			switch {
			case c.ID == name || c.Name == strings.TrimPrefix(name, "/"):
				exact = append(exact, c)
			case namedBy(c, name):
				prefixed = append(prefixed, c)
			}
		}
		switch {
		case len(exact) > 0:
			chosen = append(chosen, exact[0])
		case len(prefixed) == 1:
			chosen = append(chosen, prefixed[0])
		case len(prefixed) > 1:
			return nil, fmt.Errorf("docker gpu: %q is the beginning of %d container ids: give more of it", name, len(prefixed))
		default:
			return nil, fmt.Errorf("docker gpu: no such container: %s", name)
		}
	}
	return chosen, nil
}

func notRunning(c *inspect.Container) string {
	text := "it is not running"
	if c.State != "" {
		text += " (" + c.State
		if c.ExitCode != nil && c.State == "exited" {
			text += fmt.Sprintf(" with %d", *c.ExitCode)
		}
		text += ")"
	}
	return text
}

// sum makes one answer of those of the containers.
func (a *healthAnswer) sum(require bool) {
	a.Status, a.Findings = fixes.Skipped, []fixes.Finding{}
	for i := range a.Containers {
		c := &a.Containers[i]
		if require && c.Status == fixes.Skipped {
			f := fixes.NewFinding("gpu-not-requested", fixes.Evidence{Source: "--require", Text: "no GPU was given to this container, and nothing in it asks for one"})
			f.Container = c.Container
			c.Status, c.Findings = fixes.Unhealthy, append(c.Findings, f)
		}
		a.Findings = append(a.Findings, c.Findings...)
		switch {
		case c.Status == fixes.Unhealthy:
			a.Status = fixes.Unhealthy
		case c.Status == fixes.Healthy && a.Status == fixes.Skipped:
			a.Status = fixes.Healthy
		}
	}
	if require && len(a.Containers) == 0 {
		a.Status = fixes.Unhealthy
		a.Findings = append(a.Findings, fixes.NewFinding("gpu-not-requested", fixes.Evidence{Source: "--require", Text: "no running container has a GPU or asks for one"}))
	}
}

func writeHealth(out io.Writer, width int, a *healthAnswer) error {
	var b strings.Builder
	if len(a.Containers) == 0 {
		sign := "–"
		if a.Status == fixes.Unhealthy {
			sign = "✗"
		}
		writeText(&b, width, sign+" ", "No running container has a GPU or asks for one: nothing to check.")
	}
	for _, c := range a.Containers {
		who := "this container"
		if c.Container != "" {
			who = harmlessName(c.Container)
		}
		switch c.Status {
		case fixes.Skipped:
			writeText(&b, width, "– ", who+": no GPU is expected: skipped")
		case fixes.Healthy:
			text := who + ": the GPU is there and answers"
			if len(c.Devices) > 0 {
				text = fmt.Sprintf("%s: %s there and open", who, strings.Join(c.Devices, ", "))
			} else if c.Devices == nil && len(c.NotSeen) > 0 {
				text = who + ": nothing speaks against its GPU"
			}
			writeText(&b, width, "✓ ", fmt.Sprintf("%s (expected by %s)", harmlessName(text), harmlessName(strings.Join(c.Because, ", "))))
		default:
			if c.Problem != "" {
				writeText(&b, width, "✗ ", who+": "+harmlessName(c.Problem))
			}
			for _, f := range c.Findings {
				writeText(&b, width, "✗ ", fmt.Sprintf("%s: %s: %s", who, f.ID, f.Title))
				for _, e := range f.Evidence {
					writeText(&b, width, "  ", harmlessName(e.Source+": "+e.Text))
				}
				if len(f.Steps) > 0 {
					writeText(&b, width, "  ", "Next: "+harmlessName(f.Steps[0]))
				}
			}
		}
		for _, text := range c.NotSeen {
			writeText(&b, width, "  ", "not seen: "+harmlessName(text))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
