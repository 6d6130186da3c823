package inspect

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
)

var condaLine = lazily(`^\+[^:]*::(pytorch|cudatoolkit|cuda-cudart|cudnn|nccl|tensorflow|tensorflow-gpu|jaxlib)-([0-9][^-]*)-(\S+)$`)

// conda reads what conda noted of its own doings; a package's build string names its CUDA.
func (r *softwareReader) conda(ctx context.Context) {
	for _, prefix := range []string{"/opt/conda", "/opt/miniconda3", "/root/miniconda3"} {
		file := prefix + "/conda-meta/history"
		last := map[string]Software{} // a later line replaces an earlier one
		for line := range strings.Lines(r.text(ctx, file)) {
			m := condaLine.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				continue
			}
			name := map[string]string{"cudatoolkit": "cuda-runtime", "cuda-cudart": "cuda-runtime", "tensorflow-gpu": "tensorflow", "jaxlib": "jax"}[m[1]]
			if name == "" {
				name = m[1]
			}
			s := Software{Name: name, Version: m[2], Path: file, From: "package"}
			if name == "cuda-runtime" {
				s.CUDA = MajorMinor(m[2])
			}
			if c := condaBuildCUDA.FindStringSubmatch(m[3]); c != nil {
				s.CUDA = c[1]
			}
			if strings.Contains(m[3], "cpu") && s.CUDA == "" {
				s.CPUOnly = ptr(true)
			}
			last[name] = s
		}
		for _, s := range last {
			r.add(s)
		}
	}
}

var condaBuildCUDA = lazily(`cuda_?(\d+\.\d+)`)

// pythonFolders are the folders that hold Python packages.
func (r *softwareReader) pythonFolders(ctx context.Context, env []string, workDir string) []string {
	prefixes := []string{"/usr/local", "/usr", "/opt/conda", "/opt/venv", "/venv", "/app/.venv", "/opt/miniconda3", "/root/miniconda3", "/root/.local"}
	for _, key := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if value, set := variable(env, key); set && path.IsAbs(value) {
			prefixes = append(prefixes, path.Clean(value))
		}
	}
	search, _ := variable(env, "PATH")
	for folder := range strings.SplitSeq(search, ":") {
		if prefix, ok := strings.CutSuffix(strings.TrimSuffix(folder, "/"), "/bin"); ok && path.IsAbs(prefix) {
			prefixes = append(prefixes, path.Clean(prefix))
		}
	}
	if path.IsAbs(workDir) && workDir != "/" {
		prefixes = append(prefixes, path.Join(workDir, ".venv"), path.Join(workDir, "venv"))
	}
	slices.Sort(prefixes)
	prefixes = slices.Compact(prefixes)
	var mu sync.Mutex
	var folders []string
	slots := make(chan struct{}, inspectAtOnce)
	var wg sync.WaitGroup
	look := func(folder string) {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if r.exists(ctx, folder) {
				mu.Lock()
				folders = append(folders, folder)
				mu.Unlock()
			}
		})
	}
	for _, prefix := range prefixes[:min(len(prefixes), 32)] {
		if !r.exists(ctx, prefix+"/lib") {
			continue
		}
		look(prefix + "/lib/python3/dist-packages")
		for _, minor := range r.pythonMinors(ctx, prefix) {
			for _, kind := range []string{"site-packages", "dist-packages"} {
				look(fmt.Sprintf("%s/lib/python3.%d/%s", prefix, minor, kind))
			}
		}
	}
	wg.Wait()
	slices.Sort(folders)
	return folders
}

// pythonMinors are the versions 3.N that may be below a prefix: the one that its python3 leads to, or all
// that are in use, since the engine lists no folders.
func (r *softwareReader) pythonMinors(ctx context.Context, prefix string) []int {
	if resolved, _, err := r.files.stat(ctx, prefix+"/bin/python3"); err == nil {
		var minor int
		if _, err := fmt.Sscanf(path.Base(resolved), "python3.%d", &minor); err == nil {
			return []int{minor}
		}
	}
	var minors []int
	for minor := 6; minor <= 15; minor++ {
		minors = append(minors, minor)
	}
	return minors
}

// python reads the frameworks of one folder from their own version files.
func (r *softwareReader) python(ctx context.Context, folder string) {
	for _, known := range pythonVersions {
		file := path.Join(folder, known.file)
		text := r.text(ctx, file)
		if text == "" {
			continue
		}
		s := Software{Name: known.name, Path: file}
		if m := known.version.FindStringSubmatch(text); m != nil {
			s.Version = m[1]
		}
		known.detail(r, ctx, folder, text, &s)
		r.add(s)
	}
	for _, header := range []string{"nvidia/cudnn/include/cudnn_version.h", "nvidia/nccl/include/nccl.h"} {
		r.header(ctx, path.Join(folder, header))
	}
	file := path.Join(folder, "nvidia/cuda_runtime/include/cuda_runtime_api.h")
	for _, m := range defineLine.FindAllStringSubmatch(r.text(ctx, file), -1) {
		if m[1] == "CUDART_VERSION" { // 12040 is 12.4
			var v int
			if _, err := fmt.Sscanf(m[2], "%d", &v); err == nil {
				version := fmt.Sprintf("%d.%d", v/1000, v%1000/10)
				r.add(Software{Name: "cuda-runtime", Version: version, CUDA: version, Path: file})
			}
		}
	}
}

var quotedVersion = lazily(`(?m)^(?:__version__|_version)\s*(?::\s*\w+\s*)?=\s*['"]([^'"]+)['"]`)

// pythonVersions are the files in which the frameworks say what they are.
var pythonVersions = []struct {
	name    string
	file    string
	version *lazyPattern
	detail  func(r *softwareReader, ctx context.Context, folder, text string, s *Software)
}{
	{"pytorch", "torch/version.py", quotedVersion, func(_ *softwareReader, _ context.Context, _, text string, s *Software) {
		if m := torchCUDA.FindStringSubmatch(text); m != nil {
			s.CUDA = m[1]
			s.CPUOnly = ptr(m[1] == "" && !torchHIP.MatchString(text))
		}
	}},
	{"tensorflow", "tensorflow/python/platform/build_info.py", lazily(`'version':\s*'([^']+)'`), func(r *softwareReader, ctx context.Context, folder, text string, s *Software) {
		if m := isCUDABuild.FindStringSubmatch(text); m != nil {
			s.CPUOnly = ptr(m[1] == "False")
		}
		if m := buildInfoCUDA.FindStringSubmatch(text); m != nil {
			s.CUDA = m[1]
		}
		for _, header := range []string{"version.h", "release_version.h"} {
			defined := map[string]string{}
			for _, m := range defineLine.FindAllStringSubmatch(r.text(ctx, path.Join(folder, "tensorflow/include/tensorflow/core/public", header)), -1) {
				defined[m[1]] = m[2]
			}
			if defined["TF_MAJOR_VERSION"] != "" {
				s.Version = defined["TF_MAJOR_VERSION"] + "." + defined["TF_MINOR_VERSION"] + "." + defined["TF_PATCH_VERSION"]
			}
		}
	}},
	{"jax", "jaxlib/version.py", quotedVersion, func(r *softwareReader, ctx context.Context, folder, _ string, s *Software) {
		for _, major := range []string{"11", "12", "13"} {
			if r.exists(ctx, path.Join(folder, "jax_cuda"+major+"_plugin")) || r.exists(ctx, path.Join(folder, "jax_plugins/xla_cuda"+major)) {
				s.CUDA = major + ".0"
			}
		}
		if s.CUDA == "" && !r.exists(ctx, path.Join(folder, "jaxlib/cuda")) {
			s.CPUOnly = ptr(true)
		}
	}},
	{"onnxruntime", "onnxruntime/capi/build_and_package_info.py", quotedVersion, func(_ *softwareReader, _ context.Context, _, text string, s *Software) {
		if m := ortCUDA.FindStringSubmatch(text); m != nil {
			s.CUDA = m[1]
		}
		if m := ortPackage.FindStringSubmatch(text); m != nil {
			s.CPUOnly = ptr(m[1] == "onnxruntime")
		}
	}},
	{"tensorrt", "tensorrt/__init__.py", quotedVersion, func(*softwareReader, context.Context, string, string, *Software) {}},
}
