package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli-plugins/hooks"
	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/docker-gpu/docker-gpu/fixes"
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

// answerHook prints what the docker CLI is to show under a command that failed, or nothing. It never
// fails, never waits and never prints half an answer: whatever is odd gives silence.
func answerHook(out io.Writer, input string, failure func(context.Context) string) int {
	answer := make(chan []byte, 1)
	go func() {
		defer func() {
			if recover() != nil {
				answer <- nil
			}
		}()
		answer <- hookAnswer(input, failure)
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

func hookAnswer(input string, failure func(context.Context) string) []byte {
	if len(input) > mostHookInput {
		return nil
	}
	var request hooks.Request
	if json.Unmarshal([]byte(input), &request) != nil || request.CommandError == "" || !slices.Contains(fixes.HookedCommands, request.RootCmd) {
		return nil // a command that went well has no error
	}
	text := request.CommandError
	if saysNothing(text) { // compose and containers that ran tell the CLI their exit code only
		if request.RootCmd == "exec" {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), hookTime*3/4)
		defer cancel()
		text = failure(ctx)
	}
	hint, ok := fixes.HintFor(text, request.Flags)
	if !ok {
		return nil
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
	return strings.HasPrefix(text, "exited with code ") || strings.HasPrefix(text, "exit status ")
}

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

// lastFailure is what the engine said of the container that failed to start just now; "" where there is
// none, or it does not answer in time.
func lastFailure(ctx context.Context) string {
	if host := os.Getenv(client.EnvOverrideHost); host != "" && !strings.HasPrefix(host, "unix://") {
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
	list, err := api.ContainerList(ctx, client.ContainerListOptions{All: true, Limit: 8})
	if err != nil {
		return ""
	}
	for _, c := range list.Items {
		if c.State != container.StateCreated && c.State != container.StateExited {
			continue
		}
		inspected, err := api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
		if err != nil || inspected.Container.State == nil || inspected.Container.State.Error == "" {
			continue
		}
		at := inspected.Container.Created
		if c.State == container.StateExited {
			at = inspected.Container.State.FinishedAt
		}
		if t, err := time.Parse(time.RFC3339Nano, at); err == nil && time.Since(t) < time.Minute {
			return inspected.Container.State.Error
		}
	}
	return ""
}
