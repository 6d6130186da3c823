package plugin

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/docker/cli/cli/command"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// The status screen of a manager, and the same block below the containers of ps.
func TestSwarmScreen(t *testing.T) {
	goldenStatus(t, "../fixes/testdata/snapshots/swarm-insufficient-gpus.json", map[string]int{"swarm-80": 80, "swarm-50": 50, "swarm-160": 160})
}

// Names of nodes and services come from others; a swarm without GPUs takes no room.
func TestSwarmViewHarmless(t *testing.T) {
	var out bytes.Buffer
	view := &inspect.SwarmView{
		Nodes:   []inspect.SwarmNode{{Name: "a\x1b[31mda", State: "ready", Availability: "active", GPUs: map[string]inspect.SwarmGPUs{"GPU\n": {Total: 1}}}},
		Waiting: []inspect.SwarmTask{{ID: "qqv0bx7vy8zkzvyvvavrb0vo4", Service: "glo\rbal", GPUs: map[string]int64{"GPU\n": 1}, Message: "no\x07 node"}},
	}
	if err := writeSwarmView(&out, 0, view); err != nil || strings.ContainsAny(out.String(), "\x1b\r\x07") || strings.Count(out.String(), "\n") != 6 {
		t.Errorf("%v %q", err, out.String())
	}
	for _, quiet := range []*inspect.SwarmView{nil, {Nodes: []inspect.SwarmNode{{Name: "ada", GPUs: map[string]inspect.SwarmGPUs{}}}, Waiting: []inspect.SwarmTask{}}} {
		out.Reset()
		if err := writeSwarmView(&out, 80, quiet); err != nil || out.Len() > 0 {
			t.Errorf("%v %q", err, out.String())
		}
	}
}

func TestSwarmFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // of the error; "": none
		opts swarmOptions
	}{
		{[]string{"enable", "--yes", "--allow", "restart", "--default-runtime"}, "", swarmOptions{SwarmOptions: fixes.SwarmOptions{Enable: true, DefaultRuntime: true}, consent: consent{yes: true, allow: []string{"restart"}}}},
		{[]string{"disable", "--dry-run", "--format", "json"}, "", swarmOptions{consent: consent{dryRun: true}, format: "json"}},
		{[]string{"disable", "--default-runtime"}, "unknown flag", swarmOptions{}},
		{[]string{"enable", "--allow", "nonsense"}, "--allow takes restart", swarmOptions{}},
		{[]string{"enable", "--format", "{{.Kind}}"}, "'table' or 'json'", swarmOptions{}},
		{[]string{"enable", "--timeout", "0s"}, "longer than 0", swarmOptions{}},
		{[]string{"enable", "now"}, "takes no arguments", swarmOptions{}},
		{[]string{"engage"}, "takes no arguments", swarmOptions{}},
	} {
		dockerCLI, err := command.NewDockerCli()
		if err != nil {
			t.Fatal(err)
		}
		var got *swarmOptions
		cmd := newSwarmCmd(newApp(dockerCLI, "test"), func(_ context.Context, o *swarmOptions) error { got = o; return nil })
		cmd.SetArgs(c.args)
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetErr(&bytes.Buffer{})
		err = cmd.Execute()
		switch {
		case c.want != "":
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v", c.args, err)
			}
		case err != nil:
			t.Errorf("%v: %v", c.args, err)
		case got.SwarmOptions != c.opts.SwarmOptions || got.yes != c.opts.yes || got.dryRun != c.opts.dryRun || got.format != c.opts.format || !slices.Equal(got.allow, c.opts.allow):
			t.Errorf("%v: %+v", c.args, got)
		}
	}
}
