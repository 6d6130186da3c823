package plugin

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// A page is made from the command itself, so that what is written about it stays what it does.

// Commands is docker with gpu below it, for those who make pages and completions of it. It is not to be run.
func Commands(version string) (*cobra.Command, error) {
	dockerCLI, err := command.NewDockerCli()
	if err != nil {
		return nil, err
	}
	docker := &cobra.Command{Use: "docker"}
	docker.AddCommand(newRootCmd(newApp(dockerCLI, version)))
	return docker, nil
}

// WriteCompletion writes the script by which a shell completes docker-gpu where it runs without docker. Below docker
// it is docker's own completion that asks.
func WriteCompletion(out io.Writer, shell string) error {
	program := &cobra.Command{Use: "docker-gpu"}
	switch shell {
	case "bash":
		return program.GenBashCompletionV2(out, true)
	case "zsh":
		return program.GenZshCompletion(out)
	case "fish":
		return program.GenFishCompletion(out, true)
	case "powershell":
		return program.GenPowerShellCompletionWithDesc(out)
	}
	return fmt.Errorf("docker gpu: completion is written for bash, zsh, fish and powershell, not for %q", shell)
}

// Documented lists cmd and all below it that a user is to know of, in the order of their names.
func Documented(cmd *cobra.Command) []*cobra.Command {
	if cmd.Hidden {
		return nil
	}
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		all = append(all, Documented(sub)...)
	}
	return all
}

// PageName is the name of a command's page without its ending: docker-gpu-mig-ls.
func PageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

const (
	exitWell   = "all is well"
	exitFailed = "the command failed"
)

// exits are the meanings of the codes 0 and 1, where they are others than usual.
var exits = map[string][2]string{
	"docker gpu status":       {"it could answer, whatever the answer", exitFailed},
	"docker gpu explain":      {"it could answer, whatever the answer", exitFailed},
	"docker gpu diagnose":     {"no warning and no error was found", "something was found, or the command failed"},
	"docker gpu k8s diagnose": {"no warning and no error was found", "something was found, or the command failed"},
	"docker gpu audit":        {"nothing of severity warning or above was found", "something was, or the command failed"},
	"docker gpu health":       {"the GPUs that are expected are there and answer, or none is expected", "they are not, or the command failed"},
	"docker gpu check":        {"the image will run here", "it will not, or the command failed"},
	"docker gpu fix":          {"nothing is left to mend, or the change was taken back", "something is left, or a step failed"},
	"docker gpu enable":       {"the file says what was asked, even where nothing reads it", exitFailed},
	"docker gpu disable":      {"the file says what was asked, even where nothing reads it", exitFailed},
	"docker gpu k8s test":     {"the pod ran and saw its GPU", "it did not"},
}

// passedOn are the commands that end with the exit code of the docker command that they start.
var passedOn = map[string]string{"docker gpu run": "docker run", "docker gpu compose": "docker compose"}

// answers are what commands print with --format json: the value names its fields; lines: one object a line.
var answers = map[string]struct {
	value any
	lines bool
}{
	"docker gpu status":          {value: statusAnswer{}},
	"docker gpu diagnose":        {value: diagnoseAnswer{}},
	"docker gpu explain":         {value: diagnoseAnswer{}},
	"docker gpu k8s diagnose":    {value: diagnoseAnswer{}},
	"docker gpu k8s":             {value: clusterAnswer{}},
	"docker gpu fix":             {value: fixAnswer{}},
	"docker gpu ps":              {value: psLine{}, lines: true},
	"docker gpu top":             {value: inspect.Snapshot{}, lines: true},
	"docker gpu health":          {value: healthAnswer{}},
	"docker gpu check":           {value: checkAnswer{}},
	"docker gpu audit":           {value: diagnoseAnswer{}},
	"docker gpu topo":            {value: topoAnswer{}},
	"docker gpu mig ls":          {value: migLine{}, lines: true},
	"docker gpu pick":            {value: fixes.Candidate{}, lines: true},
	"docker gpu enable":          {value: switchAnswer{}},
	"docker gpu disable":         {value: switchAnswer{}},
	"docker gpu hooks install":   {value: hooksAnswer{}},
	"docker gpu hooks uninstall": {value: hooksAnswer{}},
	"docker gpu hooks status":    {value: hooksAnswer{}},
}

// CommandPage is the page of a command, in Markdown.
func CommandPage(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n", cmd.CommandPath(), sentence(cmd.Short))
	usage := cmd.UseLine()
	if cmd.HasAvailableSubCommands() && !strings.HasSuffix(usage, "COMMAND") {
		usage += " COMMAND"
	}
	code(&b, strings.ReplaceAll(usage, " [flags]", ""))
	if long := strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(cmd.Long, cmd.Short), ".")); long != "" {
		b.WriteString(prose(long))
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "Also known as: `%s`\n\n", strings.Join(cmd.Aliases, "`, `"))
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("## Commands\n\n")
		for _, sub := range cmd.Commands() {
			if !sub.Hidden {
				fmt.Fprintf(&b, "- [`%s`](%s.md): %s\n", sub.CommandPath(), PageName(sub), sub.Short)
			}
		}
		b.WriteString("\n")
	}
	if cmd.Example != "" {
		b.WriteString("## Examples\n\n")
		code(&b, unindent(cmd.Example))
	}
	options(&b, cmd)
	exitCodes(&b, cmd)
	if answer, ok := answers[cmd.CommandPath()]; ok {
		what := "One object"
		if answer.lines {
			what = "One object a line"
		}
		fmt.Fprintf(&b, "## JSON\n\n%s; a field that is missing or null is not known. `?` marks fields that may be missing,\n`[]` lists, `{}` objects by name. The whole of a Snapshot stands in `docker gpu status --format json`.\n\n", what)
		var fields strings.Builder
		jsonFields(&fields, reflect.TypeOf(answer.value), 0)
		code(&b, strings.TrimRight(fields.String(), "\n"))
	}
	if cmd.Parent().HasParent() {
		fmt.Fprintf(&b, "Above: [`%s`](%s.md)\n", cmd.Parent().CommandPath(), PageName(cmd.Parent()))
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// IndexPage leads to all pages below docs.
func IndexPage(gpu *cobra.Command) string {
	var b strings.Builder
	b.WriteString(`# docker gpu: pages

This page, those of the commands and those of the causes are made from the program and held current by its tests.

## Guides

- [The switch](switch.md): what enable and disable reach in a project, and what they cannot
- [Mending](fix.md): plan, questions, journal and undo
- [Who has GPU access](audit.md): the review, its policy, and following grants as they happen
- [Adding](adding.md) a failure, a source, a step, a command
- [The bench](../e2e/README.md): real engines and NVIDIA's real toolkit on a fake driver
- [Performance](performance.md): ratios to what would be typed instead
- [Security](../SECURITY.md): who is trusted with what

## Commands

`)
	for _, cmd := range Documented(gpu) {
		fmt.Fprintf(&b, "- [%s](commands/%s.md): %s\n", cmd.CommandPath(), PageName(cmd), cmd.Short)
	}
	b.WriteString("\n## Causes\n\n`docker gpu explain ID` prints the same page.\n")
	playbook := ""
	for _, e := range fixes.Knowledge().Entries {
		if e.Playbook != playbook {
			playbook = e.Playbook
			fmt.Fprintf(&b, "\n### %s\n\n", playbook)
		}
		fmt.Fprintf(&b, "- [%s](causes/%s.md): %s\n", e.ID, e.ID, e.Title)
	}
	return b.String()
}

func sentence(s string) string { return strings.TrimSuffix(s, ".") + "." }

func code(b *strings.Builder, text string) { fmt.Fprintf(b, "```\n%s\n```\n\n", text) }

// prose is a command's long text: indented parts of it are lists that keep their lines.
func prose(long string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(long, "\n\n") {
		if strings.HasPrefix(part, "  ") {
			code(&b, unindent(part))
			continue
		}
		b.WriteString(strings.NewReplacer("<", `\<`, "*", `\*`).Replace(part) + "\n\n")
	}
	return b.String()
}

func unindent(s string) string {
	return strings.TrimPrefix(strings.ReplaceAll(s, "\n  ", "\n"), "  ")
}

func options(b *strings.Builder, cmd *cobra.Command) {
	rows := 0
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if rows++; rows == 1 {
			b.WriteString("## Options\n\n| option | default | meaning |\n| --- | --- | --- |\n")
		}
		kind, usage := pflag.UnquoteUsage(f)
		option := "--" + f.Name
		if f.Shorthand != "" {
			option = "-" + f.Shorthand + ", " + option
		}
		if f.NoOptDefVal != "" && kind != "" {
			option += "[=" + kind + "]"
		} else if kind != "" {
			option += " " + kind
		}
		standard := ""
		if !slices.Contains([]string{"", "false", "0", "0s", "[]", "-1"}, f.DefValue) {
			standard = "`" + f.DefValue + "`"
			if d, err := time.ParseDuration(f.DefValue); err == nil && f.Value.Type() == "duration" {
				standard = "`" + shortDuration(d) + "`"
			}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", option, standard, strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`).Replace(usage))
	})
	if rows > 0 {
		b.WriteString("\n")
	}
}

// shortDuration is 1m where Go writes 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func exitCodes(b *strings.Builder, cmd *cobra.Command) {
	if cmd.HasAvailableSubCommands() && answers[cmd.CommandPath()].value == nil {
		return
	}
	b.WriteString("## Exit codes\n\n")
	if of, ok := passedOn[cmd.CommandPath()]; ok {
		fmt.Fprintf(b, "Those of `%s`; 1 where it could not be started, 125 for a command line that it cannot take.\n\n", of)
		return
	}
	meaning, ok := exits[cmd.CommandPath()]
	if !ok {
		meaning = [2]string{exitWell, exitFailed}
	}
	fmt.Fprintf(b, "| code | meaning |\n| --- | --- |\n| 0 | %s |\n| 1 | %s |\n| 125 | the command line is wrong; nothing was done |\n\n", meaning[0], meaning[1])
}

// jsonFields lists the fields of a struct's JSON, and below them those of the answer's own parts.
func jsonFields(b *strings.Builder, t reflect.Type, depth int) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, opts, _ := strings.Cut(field.Tag.Get("json"), ",")
		inner, mark := elements(field.Type)
		if name == "-" || !field.IsExported() && !field.Anonymous {
			continue
		}
		if field.Anonymous && name == "" {
			if inner.Kind() == reflect.Struct {
				jsonFields(b, inner, depth)
			}
			continue
		}
		if strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero") {
			name += "?"
		}
		fmt.Fprintf(b, "%s%-*s %s%s\n", strings.Repeat("  ", depth), max(0, 28-2*depth), name, jsonKind(inner), mark)
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() && depth < 1 {
			jsonFields(b, inner, depth+1)
		}
	}
}

// elements is what a list, a map or a pointer holds, and how that is marked.
func elements(t reflect.Type) (reflect.Type, string) {
	mark := ""
	for {
		switch t.Kind() {
		case reflect.Pointer:
			t = t.Elem()
		case reflect.Slice, reflect.Array:
			t, mark = t.Elem(), mark+"[]"
		case reflect.Map:
			t, mark = t.Elem(), mark+"{}"
		default:
			return t, mark
		}
	}
}

func jsonKind(t reflect.Type) string {
	if t == reflect.TypeFor[time.Time]() {
		return "time"
	}
	switch t.Kind() {
	case reflect.Struct:
		return "object"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Interface:
		return "any"
	}
	return "number"
}
