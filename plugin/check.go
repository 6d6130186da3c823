package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/go-units"
	"github.com/google/go-containerregistry/pkg/authn"
	registryname "github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type checkOptions struct {
	reading
	subject  string
	kind     string // image, container; empty: whichever there is
	platform string
	driver   string
	cuda     string
	archs    []string
}

// checkAnswer is what `check --format json` prints.
type checkAnswer struct {
	SchemaVersion int                     `json:"schemaVersion"`
	Image         *inspect.Image          `json:"image,omitempty"`
	Container     string                  `json:"container,omitempty"`
	Driver        *inspect.Driver         `json:"driver,omitempty"`
	GPUs          []fixes.GPUCheck        `json:"gpus,omitempty"`
	Software      []fixes.SoftwareVerdict `json:"software,omitempty"`
	Unread        []string                `json:"unread,omitempty"`
	Findings      []fixes.Finding         `json:"findings"`
	Notes         []string                `json:"notes,omitempty"`

	wantsGPU bool
	snapshot *inspect.Snapshot
}

func newCheckCmd(app *app, runF func(context.Context, *checkOptions) error) *cobra.Command {
	opts := &checkOptions{}
	cmd := &cobra.Command{
		Use:   "check [OPTIONS] IMAGE|CONTAINER",
		Short: "Say if an image will run on this driver and these GPUs, or what of CUDA a container has",
		Long: "Say before pulling if an image's CUDA requirements are met by this driver and these GPUs, with every\n" +
			"alternative compared; or list which of CUDA, nvcc, cuDNN, TensorRT, NCCL, PyTorch, TensorFlow, JAX and\n" +
			"ONNX Runtime a container has, and which of them can use the GPU here. IMAGE may also be a file that\n" +
			"docker save wrote. Exit code 1 where something will not run.",
		Example: "  docker gpu check nvidia/cuda:12.8.1-runtime-ubuntu24.04\n" +
			"  docker gpu check --driver 535.104.05 --gpu-arch 8.6 pytorch/pytorch\n" +
			"  docker gpu check trainer",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return usageError(cmd, "check takes one IMAGE or CONTAINER")
			}
			opts.subject = args[0]
			if err := opts.validate(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runCheck(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&opts.kind, "type", "", "What the argument is: 'image' or 'container'; whichever there is by default")
	flags.StringVar(&opts.platform, "platform", "", "Platform of the image, such as linux/arm64")
	flags.StringVar(&opts.driver, "driver", "", "Ask for another driver `VERSION`, such as 535.104.05")
	flags.StringVar(&opts.cuda, "cuda", "", "Newest CUDA `VERSION` of that driver, where it is not known")
	flags.StringSliceVar(&opts.archs, "gpu-arch", nil, "Ask for GPUs of another compute capability, such as 8.6")
	_ = cmd.RegisterFlagCompletionFunc("type", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"image", "container"}, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (o *checkOptions) validate(cmd *cobra.Command) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "image", "container"}, o.kind) {
		return usageError(cmd, "--type is image or container, not %q", o.kind)
	}
	if o.platform != "" && (strings.Count(o.platform, "/") < 1 || strings.Count(o.platform, "/") > 2) {
		return usageError(cmd, "--platform is OS/ARCHITECTURE, such as linux/arm64, not %q", o.platform)
	}
	for flag, versions := range map[string][]string{"--driver": {o.driver}, "--cuda": {o.cuda}, "--gpu-arch": o.archs} {
		for _, version := range versions {
			if strings.Trim(version, "0123456789.") != "" || strings.HasPrefix(version, ".") {
				return usageError(cmd, "%s is a dotted number, not %q", flag, version)
			}
		}
	}
	return nil
}

func runCheck(ctx context.Context, app *app, opts *checkOptions) error {
	machine := app.machine(app.cli.CurrentContext())
	s, err := opts.machine(ctx, app)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, opts.timeout)
	defer cancel()
	answer, err := look(limited, app, machine, s, opts)
	if err != nil {
		return err
	}
	if err := answer.write(app, opts); err != nil {
		return err
	}
	for _, f := range answer.Findings {
		if f.Severity.WarningOrWorse() {
			return cli.StatusError{StatusCode: 1}
		}
	}
	return nil
}

// machine is what the image is held against: this machine, another one's snapshot, or what the flags say.
func (o *checkOptions) machine(ctx context.Context, app *app) (*inspect.Snapshot, error) {
	s, err := o.snapshot(ctx, app, inspect.EngineSource, inspect.HostSource, inspect.DriverSource, inspect.NVMLBriefSource, inspect.ToolkitSource)
	if err != nil {
		return nil, err
	}
	if o.driver != "" {
		cuda := o.cuda
		if cuda == "" {
			cuda = fixes.CUDAOfDriver(o.driver)
		}
		s.Driver = &inspect.Driver{Version: o.driver, CUDAVersion: cuda}
		if s.Host != nil {
			s.Host.PCI = nil
		}
	}
	if len(o.archs) > 0 {
		s.GPUs = nil
		for i, arch := range o.archs {
			s.GPUs = append(s.GPUs, inspect.GPU{Index: i, ComputeCapability: arch})
		}
	}
	return s, nil
}

// look finds what the argument names, and judges it.
func look(ctx context.Context, app *app, machine inspect.Machine, s *inspect.Snapshot, opts *checkOptions) (*checkAnswer, error) {
	answer := &checkAnswer{SchemaVersion: inspect.SchemaVersion, Driver: s.Driver, Findings: []fixes.Finding{}, snapshot: s}
	api, engineErr := machine.Dial(ctx)
	if opts.kind != "image" && engineErr == nil {
		found, err := answer.container(ctx, api, s, opts.subject)
		switch {
		case found || err != nil && opts.kind == "container":
			return answer, err
		case opts.kind == "container":
			return nil, fmt.Errorf("docker gpu: there is no container %q", opts.subject)
		}
	} else if opts.kind == "container" {
		return nil, fmt.Errorf("docker gpu: no engine to ask for the container %q: %w", opts.subject, engineErr)
	}
	image, err := readImage(ctx, app, machine, api, s, opts)
	switch {
	case errors.Is(err, inspect.ErrNoPlatform):
		answer.Image = image
		answer.Findings = append(answer.Findings, fixes.NewFinding("arch-mismatch", fixes.Evidence{Source: "registry", Text: err.Error()}))
		return answer, nil
	case errors.Is(err, inspect.ErrImageNotFound) && strings.HasPrefix(strings.TrimPrefix(opts.subject, "docker.io/"), "nvidia/cuda"):
		answer.Findings = append(answer.Findings, fixes.NewFinding("image-tag-removed", fixes.Evidence{Source: "registry", Text: err.Error()}))
		return answer, nil
	case err != nil:
		return nil, fmt.Errorf("docker gpu: %w", err)
	}
	checked := fixes.CheckImage(s, image)
	answer.Image, answer.GPUs, answer.Findings, answer.Notes, answer.wantsGPU = image, checked.GPUs, checked.Findings, checked.Notes, checked.WantsGPU
	return answer, nil
}

// container reads a container's files, if there is one of that name.
func (a *checkAnswer) container(ctx context.Context, api inspect.EngineAPI, s *inspect.Snapshot, subject string) (bool, error) {
	inspected, err := api.ContainerInspect(ctx, subject, client.ContainerInspectOptions{})
	if cerrdefs.IsNotFound(err) || err != nil && !cerrdefs.IsNotFound(err) && strings.ContainsAny(subject, "/:@") {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("docker gpu: %w", err)
	}
	files, ok := api.(inspect.FilesAPI)
	if !ok {
		return false, errors.New("docker gpu: this engine shows no files")
	}
	var env []string
	workDir := ""
	if config := inspected.Container.Config; config != nil {
		env, workDir = config.Env, config.WorkingDir
	}
	software, err := inspect.ReadSoftware(ctx, files, inspected.Container.ID, env, workDir)
	if software == nil {
		return true, fmt.Errorf("docker gpu: container %s: %w", subject, err)
	}
	software.Container = strings.TrimPrefix(inspected.Container.Name, "/")
	a.Container, a.Unread, a.wantsGPU = software.Container, software.Unread, true
	a.Software, a.Findings = fixes.CheckSoftware(s, software)
	if err != nil {
		a.Unread = append(a.Unread, fmt.Sprintf("the engine did not show all files in time: %s", err))
	}
	return true, nil
}

// readImage asks the engine first, then the registry.
func readImage(ctx context.Context, app *app, machine inspect.Machine, api inspect.EngineAPI, s *inspect.Snapshot, opts *checkOptions) (*inspect.Image, error) {
	if inspect.IsImageArchive(opts.subject) {
		return inspect.ImageFromArchive(opts.subject)
	}
	if info, err := os.Stat(opts.subject); err == nil && (info.IsDir() || strings.HasPrefix(opts.subject, ".") || strings.HasPrefix(opts.subject, "/")) {
		return nil, fmt.Errorf("%s is no archive of docker save", opts.subject)
	}
	if api != nil {
		image, err := inspect.ImageFromEngine(ctx, api, opts.subject, opts.platform)
		if err == nil {
			return image, nil
		}
	}
	platform := opts.platform
	if platform == "" {
		platform = "linux/amd64"
		if s.Engine != nil && s.Engine.Architecture != "" {
			platform = "linux/" + s.Engine.Architecture
		} else if s.Host != nil && s.Host.Architecture == "aarch64" {
			platform = "linux/arm64"
		}
	}
	stop := app.progress(ctx, "asking the registry for "+harmlessName(opts.subject))
	defer stop()
	return inspect.ImageFromRegistry(ctx, machine.Root, opts.subject, platform, credentials{app.cli.ConfigFile()})
}

// progress says on a terminal what takes longer than a second, and takes it away again.
func (a *app) progress(ctx context.Context, doing string) (stop func()) {
	done := make(chan struct{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-done:
		case <-ctx.Done():
		case <-time.After(time.Second):
			if a.cli.Err().IsTerminal() {
				fmt.Fprintf(a.cli.Err(), "%s…", doing)
				<-done
				fmt.Fprint(a.cli.Err(), "\r\x1b[K")
			}
		}
	}()
	return func() { close(done); <-gone }
}

// credentials are docker's own: config.json and its helpers.
type credentials struct{ file *configfile.ConfigFile }

func (c credentials) Resolve(target authn.Resource) (authn.Authenticator, error) {
	key := target.RegistryStr()
	if key == registryname.DefaultRegistry {
		key = authn.DefaultAuthKey
	}
	auth, err := c.file.GetAuthConfig(key)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", key, err)
	}
	if auth.Username == "" && auth.Auth == "" && auth.IdentityToken == "" && auth.RegistryToken == "" {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: auth.Username, Password: auth.Password, Auth: auth.Auth, IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken}), nil
}

func (a *checkAnswer) write(app *app, opts *checkOptions) error {
	switch {
	case opts.format == "json":
		return writeJSON(app.out(), a, "  ")
	case opts.template() != "":
		return writeTemplate(app.out(), opts.template(), a)
	}
	var b strings.Builder
	width := opts.width(app)
	if a.Image != nil {
		writeImage(&b, width, a)
	}
	if a.Container != "" {
		if err := writeSoftware(&b, width, a); err != nil {
			return err
		}
	}
	for _, note := range slices.Concat(a.Notes, a.Unread) {
		writeText(&b, width, "! ", harmlessName(note))
	}
	b.WriteByte('\n')
	a.writeVerdict(&b, width)
	_, err := io.WriteString(app.out(), b.String())
	return err
}

func writeImage(b *strings.Builder, width int, a *checkAnswer) {
	i := a.Image
	size := ""
	switch {
	case i.PullBytes != nil && i.Layers != nil:
		size = fmt.Sprintf("%s to pull in %s", bytesText(*i.PullBytes), fixes.Counted(*i.Layers, "layer"))
	case i.SizeBytes != nil:
		size = bytesText(*i.SizeBytes) + " on disk"
	}
	legacy := ""
	if i.Legacy {
		legacy = "legacy image: gets every GPU where the variable is unset"
	}
	versions := []string{i.CUDAVersion}
	for _, what := range slices.Sorted(maps.Keys(i.Versions)) {
		versions = append(versions, what+" "+i.Versions[what])
	}
	asks := []string{}
	if i.VisibleDevices != nil {
		asks = append(asks, "NVIDIA_VISIBLE_DEVICES="+*i.VisibleDevices)
	}
	if i.Capabilities != nil {
		asks = append(asks, "NVIDIA_DRIVER_CAPABILITIES="+*i.Capabilities)
	}
	for _, line := range [][2]string{
		{"Image", parts(i.Reference, i.Platform, "from the "+i.Source, size)},
		{"CUDA", parts(append(versions, i.CompatPackage, legacy)...)},
		{"Asks for", parts(asks...)},
		{"Driver", driverLine(a.snapshot)},
	} {
		if line[1] != "" {
			b.WriteString(shorten(fmt.Sprintf("%-9s %s", line[0], line[1]), width) + "\n")
		}
	}
	for _, g := range a.GPUs {
		if len(g.Requirements) == 0 {
			continue
		}
		if g.Index == nil && len(a.unknown()) > 0 && width > 0 { // nothing to hold it against: the demand alone
			for _, r := range g.Requirements {
				first, _, _ := strings.Cut(r.Value, " ")
				b.WriteString(shorten(fmt.Sprintf("%-9s %s", "Demands", harmlessName(r.Variable+"="+first)), width) + "\n")
			}
			continue
		}
		title := "No GPU visible"
		if g.Index != nil {
			title = fmt.Sprintf("GPU %d", *g.Index)
		}
		b.WriteString("\n" + shorten(parts(title, g.Name, labelled("compute capability ", g.Arch), g.Brand), width) + "\n")
		for _, r := range g.Requirements {
			writeRequirement(b, width, r)
		}
	}
}

func writeRequirement(b *strings.Builder, width int, r fixes.Requirement) {
	b.WriteString(shorten(fmt.Sprintf("  %s %s", metSign(r.Satisfied), harmlessName(r.Variable)), width) + "\n")
	if r.Invalid != "" {
		writeText(b, width, "    ", harmlessName(r.Invalid))
	}
	others := 0
	for _, alternative := range r.Alternatives {
		if width > 0 && alternative.Satisfied == fixes.MetNo && otherBrand(alternative) {
			others++
			continue
		}
		var have []string
		for _, c := range alternative.Conditions {
			if c.Have != "" && !slices.Contains(have, c.Property+" "+c.Have) {
				have = append(have, c.Property+" "+c.Have)
			}
		}
		b.WriteString(shorten(fmt.Sprintf("    %s %s   (%s)", metSign(alternative.Satisfied), harmlessName(alternative.Text), orNotKnown(strings.Join(have, ", "))), width) + "\n")
	}
	if others > 0 {
		b.WriteString(fmt.Sprintf("    ✗ %s for other brands (--no-trunc shows them)\n", fixes.Counted(others, "alternative")))
	}
}

// otherBrand tells if an alternative is for another brand of GPU.
func otherBrand(a fixes.Alternative) bool {
	return slices.ContainsFunc(a.Conditions, func(c fixes.Condition) bool { return c.Property == "brand" && c.Satisfied == fixes.MetNo })
}

func orNotKnown(s string) string {
	if s == "" {
		return "here: not known"
	}
	return "here: " + harmlessName(s)
}

func metSign(m fixes.Met) string {
	return map[fixes.Met]string{fixes.MetYes: "✓", fixes.MetNo: "✗", fixes.MetUnknown: "?"}[m]
}

func writeSoftware(b *strings.Builder, width int, a *checkAnswer) error {
	b.WriteString(shorten("Container "+harmlessName(a.Container), width) + "\n")
	if line := driverLine(a.snapshot); line != "" {
		b.WriteString(shorten("Driver    "+line, width) + "\n")
	}
	if len(a.Software) == 0 {
		return nil
	}
	b.WriteString("\n")
	columns := []column{{title: "SOFTWARE", keep: keepAlways}, {title: "VERSION", keep: keepAlways, least: 8}, {title: "CUDA", keep: 80}, {title: "USES THE GPU HERE", keep: keepAlways, least: 20}, {title: "FOUND IN", keep: 10, least: 16}}
	var rows [][]string
	for _, v := range a.Software {
		uses := metSign(v.Runs)
		if v.Why != "" {
			uses += " " + harmlessName(v.Why)
		}
		rows = append(rows, []string{v.Name, harmlessName(v.Version), harmlessName(v.CUDA), uses, harmlessName(v.Path)})
	}
	return writeTable(b, width, columns, rows)
}

// writeVerdict writes the last line: what will happen, and what to type.
func (a *checkAnswer) writeVerdict(b *strings.Builder, width int) {
	for _, f := range a.Findings {
		writeFinding(b, width, f)
	}
	if len(a.Findings) > 0 {
		return
	}
	unknown := a.unknown()
	switch {
	case a.Image != nil && !a.wantsGPU:
		writeText(b, width, "– ", "This image asks for no GPU.")
	case len(unknown) > 0:
		writeText(b, width, "? ", fmt.Sprintf("The requirements could not be held against this machine: not known is %s. Name a driver by --driver, or read another machine by --from.", strings.Join(unknown, ", ")))
	case a.Container != "" && slices.ContainsFunc(a.Software, func(v fixes.SoftwareVerdict) bool { return v.Runs == fixes.MetNo }):
		writeText(b, width, "– ", "No NVIDIA GPU here: this container computes on the CPU.")
	case a.Image != nil:
		writeText(b, width, "✓ ", "This driver and these GPUs meet what the image asks for.")
	case len(a.Software) == 0:
		writeText(b, width, "– ", "No part of CUDA and no framework was found in this container.")
	default:
		writeText(b, width, "✓ ", "Nothing found in this container stands against this driver and these GPUs.")
	}
}

// unknown are the properties that a requirement hangs on and that are not known here.
func (a *checkAnswer) unknown() []string {
	var names []string
	for _, g := range a.GPUs {
		for _, r := range g.Requirements {
			if r.Satisfied != fixes.MetUnknown {
				continue
			}
			for _, alternative := range r.Alternatives {
				for _, c := range alternative.Conditions {
					if c.Have == "" && !slices.Contains(names, c.Property) {
						names = append(names, c.Property)
					}
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

// bytesText is a size in binary units, as docker gpu shows memory.
func bytesText[T int64 | uint64](n T) string {
	return units.CustomSize("%.1f %s", float64(n), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"})
}
