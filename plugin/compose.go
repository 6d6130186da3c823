package plugin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// composeOptions are our own flags, and what docker compose is to be run with.
type composeOptions struct {
	mode   fixes.ComposeMode
	print  bool
	global []string // docker compose's flags in front of its command
	rest   []string // its command, and all behind it
	files  inspect.ComposeArgs
	stdin  bool // -f -: the file comes on standard input, which only compose itself can read
}

func newComposeCmd(app *app, runF func(context.Context, *composeOptions) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compose [--gpu on|off|auto] [--print] ARG...",
		Short: "Run docker compose with the GPU where this engine can give one, and the CPU where it cannot",
		Long: "Run docker compose with the same files and a generated override: where the project's switch is on and\n" +
			"the engine can serve it, services that ask for a GPU get it in a way that this engine supports; otherwise\n" +
			"their requests are taken away, so that the same files start on a machine without GPU.\n\n" +
			"  --gpu on|off|auto   Insist on the GPU, do without, or let switch and engine decide (default auto)\n" +
			"  --print             Print the override and run nothing\n\n" +
			"All other arguments are those of docker compose.",
		Example:            "  docker gpu compose up -d\n  docker gpu compose --gpu off -f docker-compose.mcp.yml up\n  docker gpu compose --print",
		DisableFlagParsing: true,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts, help, err := parseCompose(args)
		switch {
		case err != nil:
			return usageError(cmd, "%s", err)
		case help:
			return cmd.Help()
		case runF != nil:
			return runF(cmd.Context(), opts)
		}
		return runCompose(cmd.Context(), app, opts)
	}
	return cmd
}

// composeValueFlags are docker compose's own flags that take a value.
var composeValueFlags = []string{"-f", "--file", "-p", "--project-name", "--profile", "--project-directory", "--workdir", "--env-file", "--ansi", "--progress", "--parallel"}

// parseCompose takes our flags out of the arguments in front of compose's command, and notes those that
// say which files compose reads.
func parseCompose(args []string) (opts *composeOptions, help bool, err error) {
	opts = &composeOptions{mode: fixes.ComposeAuto}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			opts.rest = args[i:]
			break
		}
		flag, value, joined := strings.Cut(arg, "=")
		if !strings.HasPrefix(arg, "--") && len(arg) > 2 && slices.Contains(composeValueFlags, arg[:2]) { // -fFILE
			flag, value, joined = arg[:2], strings.TrimPrefix(arg[2:], "="), true
		}
		switch {
		case flag == "--gpu":
			if !joined {
				if i++; i >= len(args) {
					return nil, false, errors.New("--gpu needs on, off or auto")
				}
				value = args[i]
			}
			opts.mode = fixes.ComposeMode(value)
			if !slices.Contains([]fixes.ComposeMode{fixes.ComposeAuto, fixes.ComposeOn, fixes.ComposeOff}, opts.mode) {
				return nil, false, fmt.Errorf("--gpu is on, off or auto, not %q", value)
			}
			continue
		case arg == "--print":
			opts.print = true
			continue
		case (arg == "--help" || arg == "-h") && len(opts.global) == 0:
			return opts, true, nil
		case slices.Contains(composeValueFlags, flag) && !joined:
			if i+1 >= len(args) { // compose says it better
				opts.global = append(opts.global, arg)
				continue
			}
			i++
			value = args[i]
			opts.global = append(opts.global, flag, value)
		default:
			opts.global = append(opts.global, arg)
		}
		switch flag {
		case "-f", "--file":
			opts.files.Files = append(opts.files.Files, value)
			opts.stdin = opts.stdin || value == "-"
		case "-p", "--project-name":
			opts.files.Name = value
		case "--project-directory", "--workdir":
			opts.files.Folder = value
		case "--env-file":
			opts.files.EnvFiles = append(opts.files.EnvFiles, value)
		}
	}
	return opts, false, nil
}

// withoutProject are the commands of docker compose that read no compose file.
var withoutProject = []string{"", "version", "ls", "help", "completion", "__complete", "__completeNoDesc", "bridge", "alpha"}

func runCompose(ctx context.Context, app *app, opts *composeOptions) error {
	command := ""
	if len(opts.rest) > 0 {
		command = opts.rest[0]
	}
	if !opts.print && (slices.Contains(withoutProject, command) || slices.Contains(opts.rest, "--help")) {
		return app.becomeCompose(slices.Concat(opts.global, opts.rest), nil)
	}
	if opts.stdin {
		return errors.New("docker gpu: compose: a compose file on standard input (-f -) cannot be read before docker compose reads it; write it to a file")
	}
	s := inspect.Collect(ctx, app.machine(app.cli.CurrentContext()), 10*time.Second,
		inspect.ProjectSourceFor(inspect.ProjectOptions{Always: true, Compose: &opts.files}),
		inspect.EngineSource, inspect.HostSource, inspect.DriverSource, inspect.NVMLBriefSource, inspect.ToolkitSource, inspect.CDISource)
	s.Tool = app.tool()
	if s.Project == nil || len(s.Project.Uses) == 0 {
		if opts.print {
			return errors.New("docker gpu: compose: " + projectProblem(s))
		}
		return app.becomeCompose(slices.Concat(opts.global, opts.rest), nil) // it says itself what is wrong
	}
	override, err := fixes.ComposeOverride(s, opts.mode)
	if err != nil {
		return fmt.Errorf("docker gpu: compose: %w", err)
	}
	for _, note := range override.Notes {
		fmt.Fprintln(app.cli.Err(), "docker gpu: "+harmlessName(note))
	}
	if opts.print {
		if override.Content == nil {
			_, err := fmt.Fprintf(app.out(), "# The files need no override: %s.\nservices: {}\n", harmlessName(override.Why))
			return err
		}
		_, err := app.out().Write(override.Content)
		return err
	}
	if override.Content == nil {
		return app.becomeCompose(slices.Concat(opts.global, opts.rest), nil)
	}
	path, err := writeOverride(s.Project, override.Content)
	if err != nil {
		return fmt.Errorf("docker gpu: compose: %w", err)
	}
	if app.cli.Err().IsTerminal() {
		where := "on the CPU"
		if override.GPU {
			where = "with the GPU"
		}
		fmt.Fprintln(app.cli.Err(), harmlessName(fmt.Sprintf("docker gpu: %s: %s (%s)", strings.Join(override.Changed, ", "), where, override.Why)))
	}
	if len(opts.files.Files) > 0 {
		return app.becomeCompose(slices.Concat(opts.global, []string{"-f", path}, opts.rest), nil)
	}
	// Without -f, compose goes on finding .env files as it does; -f would move its project folder.
	var files []string
	for _, file := range s.Project.Uses[0].Files {
		if !filepath.IsAbs(file) {
			file = filepath.Join(s.Project.Folder, file)
		}
		files = append(files, file)
	}
	separator := string(os.PathListSeparator)
	return app.becomeCompose(slices.Concat(opts.global, opts.rest), []string{"COMPOSE_FILE=" + strings.Join(append(files, path), separator), "COMPOSE_PATH_SEPARATOR=" + separator})
}

func projectProblem(s *inspect.Snapshot) string {
	if s.Project == nil || len(s.Project.Problems) == 0 {
		return "no compose file"
	}
	p := s.Project.Problems[0]
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Message)
	}
	return p.Path + ": " + p.Message
}

var noFileName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9_-]+`) })

// writeOverride keeps one override for each set of compose files below the state folder. It stays there:
// docker compose notes its path on the containers and reads it again.
func writeOverride(p *inspect.Project, content []byte) (string, error) {
	use := p.Uses[0]
	sum := sha256.Sum256([]byte(p.Folder + "\x00" + use.Folder + "\x00" + strings.Join(use.Files, "\x00")))
	path := filepath.Join(stateFolder(), "compose", fmt.Sprintf("%s-%x.yml", noFileName().ReplaceAllString(use.Name, "-"), sum[:6]))
	host := fixes.LocalHost{}
	for try := 0; ; try++ {
		old, err := host.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			old = nil
		} else if err != nil {
			return "", err
		}
		if string(old) == string(content) {
			return path, nil
		}
		err = host.Replace(path, old, content, 0o600)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fixes.ErrChanged) || try > 20 {
			return "", err
		}
	}
}
