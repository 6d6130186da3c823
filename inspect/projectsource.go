package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// ProjectSource finds the project that the working directory lies in, what its switch,
// NVIDIA_VISIBLE_DEVICES in .devcontainer/.env, says, and which of its services use a GPU. It is read
// where the user is, wherever the engine runs.
var ProjectSource = ProjectSourceFor(ProjectOptions{})

// ProjectOptions say more closely which project is meant.
type ProjectOptions struct {
	EnvFile string // the switch's file; empty: .devcontainer/.env of the project
	Always  bool   // where there is no compose file or dev container, the working directory is the project
	// Compose reads the files of one run of docker compose, and nothing else of the project.
	Compose *ComposeArgs
}

// ComposeArgs are the flags of docker compose that say which files it reads.
type ComposeArgs struct {
	Files    []string // -f
	Folder   string   // --project-directory
	EnvFiles []string // --env-file
	Name     string   // -p
}

// ProjectSourceFor is the ProjectSource with options.
func ProjectSourceFor(o ProjectOptions) Source {
	return Source{Name: "project", Read: func(ctx context.Context, m Machine) (Patch, error) { return readProject(ctx, m, o) }}
}

// switchName is the switch's file in a project.
const switchName = ".devcontainer/.env"

// maxOtherFiles bounds the compose files that are looked at beside those that compose reads by itself.
const maxOtherFiles = 8

func readProject(ctx context.Context, m Machine, o ProjectOptions) (Patch, error) {
	from := m.WorkDir
	if o.Compose != nil && len(o.Compose.Files) > 0 {
		from = filepath.Dir(absolute(m.WorkDir, o.Compose.Files[0]))
	}
	folder := projectFolder(from)
	if folder == "" {
		if !o.Always {
			return nil, fmt.Errorf("no compose file or dev container: %w", ErrAbsent)
		}
		folder = m.WorkDir
		if top := repositoryTop(m.WorkDir); top != "" {
			folder = top
		}
	}
	r := &projectReader{m: m, shell: m.shellEnv(), p: &Project{Name: filepath.Base(folder), Folder: folder}}
	r.switchFile = filepath.Join(folder, switchName)
	if o.EnvFile != "" {
		r.switchFile = absolute(m.WorkDir, o.EnvFile)
	}
	if value, set := r.shell[visibleDevices]; set {
		r.p.ShellVisibleDevices = &value
	}
	err := r.readSwitch()
	if o.Compose != nil {
		r.readRun(ctx, *o.Compose)
	} else {
		r.readUses(ctx)
	}
	r.relative()
	return func(s *Snapshot) { s.Project = r.p }, err
}

type projectReader struct {
	m          Machine
	shell      map[string]string
	switchFile string
	p          *Project
	devs       []*devcontainer
	seen       map[string]bool // compose files that were read in some way: named, included, extended
}

func (r *projectReader) problem(p FileProblem) { r.p.Problems = append(r.p.Problems, p) }

// readSwitch reads what the switch's file says now.
func (r *projectReader) readSwitch() error {
	r.p.EnvFile = &EnvFile{Path: r.switchFile}
	data, err := readProjectFile(r.switchFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", r.switchFile, err)
	}
	r.p.EnvFile.Exists = true
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	values, err := dotenv.UnmarshalBytesWithLookup(data, func(key string) (string, bool) {
		value, set := r.shell[key]
		return value, set
	})
	if err != nil {
		line := 0
		if _, scanErr := ScanEnv(data); scanErr != nil {
			err = scanErr
		}
		if m := linePattern.FindStringSubmatch(err.Error()); m != nil {
			_, _ = fmt.Sscan(m[1], &line)
		}
		r.problem(FileProblem{Path: r.switchFile, Line: line, Message: err.Error()})
		return nil
	}
	r.p.VisibleDevices = setting(values, data, visibleDevices, r.switchFile)
	r.p.DriverCapabilities = setting(values, data, driverCapabilities, r.switchFile)
	return nil
}

func setting(values map[string]string, data []byte, key, file string) *Setting {
	value, set := values[key]
	if !set {
		return nil
	}
	return &Setting{Value: value, File: file, Line: envLine(data, key)}
}

// readUses reads the compose files in each way in which they are used, and the dev containers.
func (r *projectReader) readUses(ctx context.Context) {
	r.seen = map[string]bool{}
	first := ""
	if files, env, err := r.defaultFiles(); err != nil {
		r.problem(FileProblem{Path: "COMPOSE_FILE", Message: err.Error()})
	} else if len(files) > 0 {
		r.use(ctx, UseCompose, files, env, nil)
		r.note(files...)
		first = files[0]
	}
	for _, path := range devcontainerFiles(r.p.Folder) {
		data, err := readProjectFile(path)
		if err == nil {
			var d *devcontainer
			if d, err = parseDevcontainer(path, data); err == nil {
				r.devs = append(r.devs, d)
			}
		}
		if r.p.Devcontainer == "" {
			r.p.Devcontainer = path
		}
		if err != nil {
			r.problem(devcontainerProblem(path, err))
		}
	}
	for _, d := range r.devs {
		files := d.composeFiles(r.p.Folder, r.shell)
		if len(files) == 0 {
			if s := d.container(r.p.Folder, r.switchFile, r.shell); s != nil {
				r.p.Services = append(r.p.Services, *s)
			}
			continue
		}
		env := newComposeEnv(r.shell, r.switchFile)
		if err := env.readDefault(filepath.Dir(files[0]), explicitEnvFiles(r.shell, r.m.WorkDir)); err != nil {
			r.problem(FileProblem{Path: files[0], Message: err.Error()})
			continue
		}
		r.use(ctx, UseDevcontainer, files, env, d)
		r.note(files...)
	}
	others := 0
	for _, file := range composeNames(r.p.Folder) {
		if real, err := filepath.EvalSymlinks(file); err != nil || r.seen[real] || others >= maxOtherFiles {
			continue
		}
		if slices.Contains(defaultNames, filepath.Base(file)) && len(r.p.Uses) > 0 && filepath.Dir(file) == filepath.Dir(first) {
			continue // compose takes the first default name that is there, and overlooks this one
		}
		others++
		env := newComposeEnv(r.shell, r.switchFile)
		if env.readDefault(filepath.Dir(file), explicitEnvFiles(r.shell, r.m.WorkDir)) == nil {
			r.use(ctx, UseFile, []string{file}, env, nil)
		}
	}
	r.dropRepeated()
}

func (r *projectReader) note(files ...string) {
	for _, file := range files {
		if real, err := filepath.EvalSymlinks(file); err == nil && r.seen != nil {
			r.seen[real] = true
		}
	}
}

// use loads files that are read together. A file beside the others that cannot stand alone is an overlay
// for `-f`, and no problem, unless it is all there is.
func (r *projectReader) use(ctx context.Context, by string, files []string, env *composeEnv, d *devcontainer) {
	for _, file := range files {
		if !slices.Contains(r.p.ComposeFiles, file) {
			r.p.ComposeFiles = append(r.p.ComposeFiles, file)
		}
	}
	r.load(ctx, by, env.env["COMPOSE_PROJECT_NAME"], filepath.Dir(files[0]), files, env, d)
}

func (r *projectReader) load(ctx context.Context, by, name, folder string, files []string, env *composeEnv, d *devcontainer) {
	l, err := loadCompose(ctx, name, folder, files, env)
	if err != nil {
		if by != UseFile || len(r.p.Uses) == 0 && len(r.devs) == 0 {
			r.problem(problemOf(err, files))
		}
		return
	}
	l.use.By = by
	r.p.Uses = append(r.p.Uses, l.use)
	if len(r.p.Uses) == 1 {
		r.p.Name = l.use.Name
	}
	services := l.services(len(r.p.Uses) - 1)
	for file := range l.files.nodes { // what is included or extended is no project of its own
		r.note(file)
	}
	if d != nil {
		services = r.devService(services, d)
	}
	r.p.Services = append(r.p.Services, services...)
}

// readRun reads what one run of docker compose reads.
func (r *projectReader) readRun(ctx context.Context, args ComposeArgs) {
	explicit := explicitEnvFiles(r.shell, r.m.WorkDir)
	if len(args.EnvFiles) > 0 {
		explicit = nil
		for _, file := range args.EnvFiles {
			explicit = append(explicit, absolute(r.m.WorkDir, file))
		}
	}
	var files []string
	for _, file := range args.Files {
		files = append(files, absolute(r.m.WorkDir, file))
	}
	folder := r.m.WorkDir
	switch {
	case args.Folder != "":
		folder = absolute(r.m.WorkDir, args.Folder)
	case len(files) > 0:
		folder = filepath.Dir(files[0])
	}
	env := newComposeEnv(r.shell, r.switchFile)
	if err := env.readDefault(folder, explicit); err != nil {
		r.problem(FileProblem{Path: folder, Message: err.Error()})
		return
	}
	if len(files) == 0 {
		if files = composeFileVariable(env.env, r.m.WorkDir); len(files) == 0 {
			files = defaultComposeFiles(folder, "/")
		}
	}
	if len(files) == 0 {
		r.problem(FileProblem{Path: folder, Message: "no compose file"})
		return
	}
	if args.Folder == "" {
		folder = filepath.Dir(files[0])
	}
	if err := env.readDefault(folder, explicit); err != nil {
		r.problem(FileProblem{Path: folder, Message: err.Error()})
		return
	}
	name := args.Name
	if name == "" {
		name = env.env["COMPOSE_PROJECT_NAME"]
	}
	r.p.ComposeFiles = files
	r.load(ctx, UseCompose, name, folder, files, env, nil)
}

// devService adds to the dev container's own service what devcontainer.json changes of it.
func (r *projectReader) devService(services []GPUService, d *devcontainer) []GPUService {
	i := slices.IndexFunc(services, func(s GPUService) bool { return s.Name == d.Service })
	s := GPUService{Name: d.Service, Use: len(r.p.Uses) - 1, By: []string{}, File: d.path, Line: d.line("/service")}
	if i >= 0 {
		s = services[i]
	}
	before := len(s.By)
	changed := d.environment(&s, r.p.Folder, r.shell)
	d.rest(&s)
	s.Kind = KindDevcontainer
	switch {
	case i >= 0:
		services[i] = s
	case changed || len(s.By) > before:
		services = append(services, s)
	}
	return services
}

func devcontainerProblem(path string, err error) FileProblem {
	p := FileProblem{Path: path, Message: err.Error()}
	if m := linePattern.FindStringSubmatch(p.Message); m != nil {
		_, _ = fmt.Sscan(m[1], &p.Line)
	}
	p.Message = strings.TrimPrefix(p.Message, "hujson: ")
	return p
}

// dropRepeated leaves one of the services that two uses read from the same files with the same outcome.
func (r *projectReader) dropRepeated() {
	type key struct {
		name, by       string
		follows, would bool
		at             Setting
		alone          bool
	}
	seen := map[key]bool{}
	r.p.Services = slices.DeleteFunc(r.p.Services, func(s GPUService) bool {
		k := key{name: s.Name, by: strings.Join(s.By, ","), follows: s.Follows, would: s.WouldFollow, alone: s.Use < 0, at: Setting{File: s.File, Line: s.Line}}
		if len(s.Requests) > 0 {
			k.at = Setting{File: s.Requests[0].File, Line: s.Requests[0].Line}
		}
		if s.VisibleDevices != nil {
			k.at = *s.VisibleDevices
		}
		if seen[k] {
			return true
		}
		seen[k] = true
		return false
	})
}

// relative shortens all paths below the project's folder.
func (r *projectReader) relative() {
	short := func(path *string) {
		if rel, err := filepath.Rel(r.p.Folder, *path); err == nil && filepath.IsAbs(*path) && rel != ".." && !strings.HasPrefix(rel, "../") {
			*path = filepath.ToSlash(rel)
		}
	}
	all := func(paths []string) []string {
		paths = slices.Clone(paths)
		for i := range paths {
			short(&paths[i])
		}
		return paths
	}
	place := func(s *Setting) {
		if s != nil {
			short(&s.File)
		}
	}
	p := r.p
	p.ComposeFiles = all(p.ComposeFiles)
	short(&p.Devcontainer)
	short(&p.EnvFile.Path)
	place(p.VisibleDevices)
	place(p.DriverCapabilities)
	for i := range p.Problems {
		short(&p.Problems[i].Path)
		p.Problems[i].Message = strings.ReplaceAll(p.Problems[i].Message, p.Folder+"/", "")
	}
	for i := range p.Uses {
		u := &p.Uses[i]
		u.Files, u.EnvFiles = all(u.Files), all(u.EnvFiles)
		short(&u.Folder)
		place(u.Overridden)
	}
	for i := range p.Services {
		s := &p.Services[i]
		short(&s.File)
		place(s.VisibleDevices)
		place(s.DriverCapabilities)
		for j := range s.Requests {
			short(&s.Requests[j].File)
		}
	}
}
