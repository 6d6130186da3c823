package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli-plugins/hooks"
	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// hookTime is all that answering a hook may take: it stands between a user's failed command and the prompt.
const hookTime = 240 * time.Millisecond

// mostHookInput bounds what is read of an error: more of it is nothing that a person sees.
const mostHookInput = 256 << 10

// hookCall is the hook's input where args are those of one: docker-gpu gpu docker-cli-plugin-hooks JSON.
func hookCall(args []string) (input string, ok bool) {
	if len(args) > 1 && args[1] == name {
		args = args[1:]
	}
	if len(args) < 2 || args[1] != metadata.HookSubcommandName {
		return "", false
	}
	if len(args) == 3 {
		input = args[2]
	}
	return input, true
}

// failureFunc asks the engine for the failure of a command that told the CLI none; "": there is none.
type failureFunc func(context.Context, hooks.Request) string

// devicesFunc are the names of the CDI devices that the engine of this machine can know; nil: they are not known.
type devicesFunc func(context.Context) []string

// engineElsewhere tells if the environment names an engine that is not of this machine.
func engineElsewhere() bool {
	host := os.Getenv(client.EnvOverrideHost)
	return host != "" && !strings.HasPrefix(host, "unix://")
}

// localDevices reads them from the specifications' files.
func localDevices(ctx context.Context) []string {
	if engineElsewhere() {
		return nil
	}
	s := inspect.Collect(ctx, inspect.Machine{Root: "/", Host: client.DefaultDockerHost, Now: time.Now}, hookTime/4, inspect.CDISource)
	if s.CDI == nil {
		return nil
	}
	return s.CDI.Devices
}

// answerHook prints what the docker CLI is to show under a command that failed, or nothing. It never
// fails, never waits and never prints half an answer: whatever is odd gives silence.
func answerHook(out io.Writer, input string, failure failureFunc, devices devicesFunc) int {
	answer := make(chan []byte, 1)
	go func() {
		defer func() {
			if recover() != nil {
				answer <- nil
			}
		}()
		answer <- hookAnswer(input, failure, devices)
	}()
	select {
	case data := <-answer:
		if len(data) > 0 {
			_, _ = out.Write(data)
		}
	case <-time.After(hookTime):
	}
	return 0
}

func hookAnswer(input string, failure failureFunc, devices devicesFunc) []byte {
	if len(input) > mostHookInput {
		return nil
	}
	var request hooks.Request
	if json.Unmarshal([]byte(input), &request) != nil || request.CommandError == "" || !slices.Contains(fixes.HookedCommands, request.RootCmd) {
		return nil // a command that went well has no error
	}
	text := request.CommandError
	if saysNothing(text) {
		if request.RootCmd != "start" && request.RootCmd != "compose up" {
			return nil // the container ran: what its program says is its own
		}
		ctx, cancel := context.WithTimeout(context.Background(), hookTime*3/4)
		defer cancel()
		text = failure(ctx, request)
	}
	hint, ok := fixes.HintFor(text, request.Flags)
	if !ok {
		return nil
	}
	if hint.ID == "cdi-spec-missing" {
		ctx, cancel := context.WithTimeout(context.Background(), hookTime/4)
		defer cancel()
		hint = hint.Given(text, devices(ctx))
	}
	data, err := json.Marshal(hooks.Response{Type: hooks.NextSteps, Template: hookTemplate(hint)})
	if err != nil {
		return nil
	}
	return append(data, '\n')
}

// saysNothing tells an error of the CLI's own making, which holds an exit code and no words.
func saysNothing(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasPrefix(text, "exited with code ") || strings.HasPrefix(text, "exit status ") || strings.HasPrefix(text, notStarted)
}

// notStarted is what docker start ends with; the cause goes to the terminal alone.
const notStarted = "failed to start containers: "

// hookTemplate is the text that the CLI prints: it reads it as a template of its own, so that braces
// which are meant as such have to be written in its language.
func hookTemplate(h fixes.Hint) string {
	lines := []string{
		fmt.Sprintf("%s (%s)", h.Title, h.ID),
		h.Cause,
		"Next: " + h.Next,
	}
	if h.Next != "docker gpu diagnose" {
		lines = append(lines, "More: docker gpu explain "+string(h.ID))
	}
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(harmlessName(line), "{{", `{{"{{"}}`)
	}
	return strings.Join(lines, "\n")
}

// lastFailure is what the engine said of the container that failed to start just now: of those that docker
// start names, or of the compose project around the working directory. "" where there is none, or the engine does not
// answer in time. Another container's failure is never told.
func lastFailure(ctx context.Context, request hooks.Request) string {
	if engineElsewhere() {
		return "" // another machine's engine does not answer in time
	}
	dockerCLI, err := command.NewDockerCli(command.WithBaseContext(ctx), command.WithCombinedStreams(io.Discard))
	if err != nil {
		return ""
	}
	if err := dockerCLI.Initialize(flags.NewClientOptions()); err != nil || !strings.HasPrefix(dockerCLI.DockerEndpoint().Host, "unix://") {
		return ""
	}
	api := dockerCLI.Client()
	said := func(id string) string {
		c, err := api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err != nil || c.Container.State == nil {
			return ""
		}
		return c.Container.State.Error
	}
	if names, ok := strings.CutPrefix(request.CommandError, notStarted); ok {
		for name := range strings.SplitSeq(names, ", ") {
			if text := said(strings.TrimSpace(name)); text != "" {
				return text
			}
		}
		return ""
	}
	const folder = "com.docker.compose.project.working_dir"
	list, err := api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", folder)})
	if err != nil {
		return ""
	}
	here, _ := os.Getwd()
	for _, c := range list.Items {
		if c.State != container.StateCreated && c.State != container.StateExited || !inFolder(here, c.Labels[folder]) {
			continue
		}
		if text := said(c.ID); text != "" {
			return text
		}
	}
	// A container that could not even be made left nothing to ask about: what the file asks for may tell.
	if info, err := api.Info(ctx, client.InfoOptions{}); err == nil && asksForRuntime(here) {
		if _, ok := info.Info.Runtimes["nvidia"]; !ok {
			return "unknown or invalid runtime name: nvidia"
		}
	}
	return ""
}

// inFolder tells if a path is a folder or below it.
func inFolder(path, folder string) bool {
	rest, err := filepath.Rel(folder, path)
	return err == nil && folder != "" && rest != ".." && !strings.HasPrefix(rest, "../")
}

var nvidiaRuntime = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)^\s+runtime:\s*["']?nvidia["']?\s*(#.*)?$`) })

// asksForRuntime tells if the compose file of a folder, or of one above it, asks for the runtime nvidia.
func asksForRuntime(folder string) bool {
	for {
		for _, name := range []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"} {
			data, err := fixes.LocalHost{}.ReadFile(filepath.Join(folder, name))
			if err == nil {
				return len(data) <= mostHookInput && nvidiaRuntime().Match(data)
			}
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return false
		}
		folder = parent
	}
}
