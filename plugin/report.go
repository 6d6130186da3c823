package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli/version"
	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type reportOptions struct {
	reading
	output      string
	html        string
	recording   string
	includeLogs bool
	show        bool
}

// supportReport is the file that `docker gpu report` writes: all that another person needs to judge this
// machine, redacted. Every command with --from reads its snapshot.
type supportReport struct {
	SchemaVersion int               `json:"schemaVersion"`
	Kind          string            `json:"kind"` // report
	TakenAt       time.Time         `json:"takenAt"`
	Tool          *inspect.Tool     `json:"tool,omitempty"`
	Contents      []string          `json:"contents"` // what is inside, in words
	Replaced      map[string]int    `json:"replaced"` // how many different names became stand-ins, by kind
	Versions      map[string]string `json:"versions"`
	Verdict       fixes.Verdict     `json:"verdict"`
	Findings      []fixes.Finding   `json:"findings"`
	Related       []fixes.Finding   `json:"related,omitempty"`
	Unexamined    []fixes.ID        `json:"unexamined,omitempty"`
	Snapshot      *inspect.Snapshot `json:"snapshot"`
}

func newReportCmd(app *app, runF func(context.Context, *reportOptions) error) *cobra.Command {
	opts := &reportOptions{}
	cmd := &cobra.Command{
		Use:   "report [OPTIONS]",
		Short: "Write a redacted support bundle, or a page for people",
		Long: "Write one file that holds what is known of this machine: facts, findings, the GPU lines of the logs of the kernel,\n" +
			"the engine and the containers, versions. Host and user names, home folders, addresses, values of the environment other\n" +
			"than NVIDIA's, labels, command lines and tokens are replaced by stand-ins before anything is written.\n" +
			"Nothing is sent anywhere. Another machine reads the file by: docker gpu diagnose --from FILE",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			switch {
			case opts.show && (opts.output != "" || opts.html != ""):
				return usageError(cmd, "--show writes no file: leave out --output and --html")
			case opts.recording != "" && opts.html == "":
				return usageError(cmd, "--recording is drawn in the page that --html FILE writes")
			case opts.format != "" && opts.format != "table" && opts.format != "json":
				return usageError(cmd, "--format of report is 'table' or 'json'")
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runReport(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&opts.output, "output", "o", "", "Write the report to `FILE` ('-' for standard output; default docker-gpu-report-TIME.json)")
	flags.StringVar(&opts.html, "html", "", "Write a page for people to `FILE`")
	flags.StringVar(&opts.recording, "recording", "", "Draw the curves of `FILE`, which 'docker gpu top --record' wrote")
	flags.BoolVar(&opts.includeLogs, "include-logs", false, "Keep the last lines of the logs of GPU containers whole, not only those about GPUs")
	flags.BoolVar(&opts.show, "show", false, "Print the report, write nothing")
	return cmd
}

// reportSources are all that diagnose reads, and more.
func reportSources() []inspect.Source {
	return append(diagnoseSources(inspect.NVMLSource, nil), inspect.EngineLogSource, inspect.TopologySource)
}

// gpuWords are what a line of a container's log must speak of to be in a report that was not asked to
// hold the logs.
var gpuWords = []string{"nvidia", "nvml", "cuda", "cudnn", "cublas", "gpu", "tensor", "torch", "libcu", "driver", "out of memory", "oom",
	"shm", "shared memory", "bus error", "nccl", "vulkan", "egl", "opencl", "nvenc", "encode"}

// gpuLinesOnly takes out of the containers' logs what is not about a GPU.
func gpuLinesOnly(s *inspect.Snapshot) {
	about := func(line string) bool {
		line = strings.ToLower(line)
		return slices.ContainsFunc(gpuWords, func(word string) bool { return strings.Contains(line, word) })
	}
	for i := range s.Containers {
		if o := s.Containers[i].Output; o != nil {
			o.Log = slices.DeleteFunc(slices.Clone(o.Log), func(line string) bool { return !about(line) })
		}
	}
}

func runReport(ctx context.Context, app *app, opts *reportOptions) error {
	s, err := opts.snapshot(ctx, app, reportSources()...)
	if err != nil {
		return err
	}
	r := inspect.NewRedactor(s, identity())
	if !opts.includeLogs {
		gpuLinesOnly(s)
	}
	rep := buildReport(r, s, app.tool())
	var data bytes.Buffer
	if err := writeJSON(&data, rep, "  "); err != nil {
		return err
	}
	if opts.show || opts.output == "-" {
		_, err := app.out().Write(data.Bytes())
		return err
	}
	written := []wroteFile{}
	if opts.html != "" {
		curves, err := readCurves(opts.recording, r)
		if err != nil {
			return err
		}
		var page bytes.Buffer
		if err := writeReportPage(&page, rep, curves); err != nil {
			return err
		}
		if opts.html == "-" {
			_, err := app.out().Write(page.Bytes())
			return err
		}
		if err := writeReportFile(opts.html, page.Bytes()); err != nil {
			return err
		}
		written = append(written, wroteFile{opts.html, page.Len()})
	}
	if opts.html == "" || opts.output != "" {
		name := opts.output
		if name == "" {
			name = "docker-gpu-report-" + rep.TakenAt.UTC().Format("20060102T150405Z") + ".json"
		}
		if err := writeReportFile(name, data.Bytes()); err != nil {
			return err
		}
		written = append(written, wroteFile{name, data.Len()})
	}
	if opts.format == "json" {
		return writeJSON(app.out(), map[string]any{"schemaVersion": inspect.SchemaVersion, "files": written, "contents": rep.Contents, "replaced": rep.Replaced}, "  ")
	}
	return sayReport(app, rep, written)
}

type wroteFile struct {
	Path  string `json:"path"`
	Bytes int    `json:"bytes"`
}

func writeReportFile(name string, data []byte) error {
	if err := fixes.WriteOutput(name, data); err != nil {
		hint := ""
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			hint = "\nname another place: --output FILE"
		}
		return fmt.Errorf("docker gpu: the report could not be written: %w%s", err, hint)
	}
	return nil
}

// buildReport judges the redacted facts, so that the findings are those that --from will show elsewhere.
func buildReport(r *inspect.Redactor, s *inspect.Snapshot, tool *inspect.Tool) *supportReport {
	clean := r.Snapshot(s)
	rep := &supportReport{SchemaVersion: inspect.SchemaVersion, Kind: "report", TakenAt: s.TakenAt, Tool: tool, Snapshot: clean, Verdict: fixes.Judge(clean)}
	d := fixes.Diagnose(clean, fixes.Scope{})
	rep.Findings, rep.Related, rep.Unexamined = d.Findings, d.Related, d.Unexamined
	rep.Versions = reportVersions(clean)
	rep.Contents = reportContents(rep)
	rep.Replaced = r.Replaced()
	return rep
}

func reportVersions(s *inspect.Snapshot) map[string]string {
	v := map[string]string{"docker CLI libraries": strings.TrimPrefix(version.Version, "unknown-version")}
	set := func(name, value string) {
		if value != "" {
			v[name] = value
		}
	}
	if v["docker CLI libraries"] == "" {
		delete(v, "docker CLI libraries")
	}
	if t := s.Tool; t != nil {
		set("docker gpu", t.Version)
	}
	if h := s.Host; h != nil {
		set("operating system", h.OS)
		set("kernel", h.Kernel)
	}
	if d := s.Driver; d != nil {
		set("driver", d.Version)
		set("kernel module", strings.TrimSpace(d.ModuleVersion+" "+d.ModuleFlavor))
		set("CUDA of the driver", d.CUDAVersion)
	}
	if e := s.Engine; e != nil {
		set("engine", e.Version)
		set("engine API", e.APIVersion)
		set("containerd", e.ContainerdVersion)
		set("runc", e.RuncVersion)
	}
	if t := s.Toolkit; t != nil {
		set("NVIDIA Container Toolkit", t.Version)
	}
	return v
}

// reportContents says what is inside.
func reportContents(rep *supportReport) []string {
	s := rep.Snapshot
	var parts []string
	add := func(there bool, what string) {
		if there {
			parts = append(parts, what)
		}
	}
	add(s.Host != nil, "host")
	add(s.Driver != nil, "driver")
	add(s.Engine != nil, "engine")
	add(s.Toolkit != nil, "toolkit")
	add(s.CDI != nil, "CDI")
	add(s.Project != nil, "project")
	add(s.GPUs != nil, fixes.Counted(len(s.GPUs), "GPU"))
	add(s.Containers != nil, fixes.Counted(len(s.Containers), "container"))
	contents := []string{"facts: " + strings.Join(parts, ", "), "findings: " + fixes.Counted(len(rep.Findings), "finding")}
	if s.KernelLog != nil || s.EngineLog != nil {
		contents = append(contents, fmt.Sprintf("logs: %s of the kernel, %s of the engine", fixes.Counted(len(s.KernelLog), "line"), fixes.Counted(len(s.EngineLog), "line")))
	}
	lines := 0
	for _, c := range s.Containers {
		if c.Output != nil {
			lines += len(c.Output.Log)
		}
	}
	if lines > 0 {
		contents = append(contents, fixes.Counted(lines, "line")+" of containers' logs")
	}
	return append(contents, "versions: "+fixes.Counted(len(rep.Versions), "program"))
}

func sayReport(app *app, rep *supportReport, written []wroteFile) error {
	var b strings.Builder
	from := ""
	for _, w := range written {
		fmt.Fprintf(&b, "Wrote %s (%s)\n", harmlessName(w.Path), units.HumanSize(float64(w.Bytes)))
		if !strings.HasSuffix(w.Path, ".html") && !strings.HasSuffix(w.Path, ".htm") {
			from = w.Path
		}
	}
	b.WriteString("\nInside:\n")
	for _, c := range rep.Contents {
		fmt.Fprintf(&b, "  %s\n", c)
	}
	var replaced []string
	for _, kind := range slices.Sorted(maps.Keys(rep.Replaced)) {
		replaced = append(replaced, fmt.Sprintf("%d %s", rep.Replaced[kind], kind))
	}
	if len(replaced) > 0 {
		fmt.Fprintf(&b, "Replaced by stand-ins: %s\n", strings.Join(replaced, ", "))
	}
	fmt.Fprintf(&b, "\nVerdict: %s\n", harmlessName(rep.Verdict.Text))
	if from != "" {
		fmt.Fprintf(&b, "\nRead it before you pass it on. Elsewhere: docker gpu diagnose --from %s\n", harmlessName(from))
	}
	_, err := fmt.Fprint(app.out(), b.String())
	return err
}

// identity is who and where docker gpu runs: names that a report must not hold.
func identity() inspect.Identity {
	var id inspect.Identity
	if name, err := os.Hostname(); err == nil {
		id.Hosts = append(id.Hosts, name)
	}
	if u, err := user.Current(); err == nil {
		id.Users = append(id.Users, u.Username)
		id.Homes = append(id.Homes, u.HomeDir)
	}
	for _, name := range []string{"USER", "LOGNAME", "SUDO_USER"} {
		if u := os.Getenv(name); u != "" && u != "root" {
			id.Users = append(id.Users, u)
		}
	}
	return id
}
