package inspect

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Software is a part of the CUDA stack found in a container's files.
type Software struct {
	Name    string   `json:"name"` // cuda-runtime, nvcc, cudnn, tensorrt, trtexec, nccl, pytorch, tensorflow, jax, onnxruntime
	Version string   `json:"version,omitempty"`
	CUDA    string   `json:"cuda,omitempty"`    // CUDA version it was built with
	CPUOnly *bool    `json:"cpuOnly,omitempty"` // built without CUDA; nil: not known
	Archs   []string `json:"archs,omitempty"`   // compute capabilities that it has code for, where it says so
	Path    string   `json:"path"`
	From    string   `json:"from"` // file, package
}

// ContainerSoftware is what a container's files tell. DriverLibrary is a driver's libcuda.so.VERSION that
// the image itself brings; NVIDIA's runtime mounts the host's instead.
type ContainerSoftware struct {
	Container     string     `json:"container"`
	Image         string     `json:"image,omitempty"`
	Software      []Software `json:"software"`
	DriverLibrary *Library   `json:"driverLibrary,omitempty"`
	Unread        []string   `json:"unread,omitempty"` // what could not be read, and why
}

// FilesAPI is how an engine shows a container's files (GET and HEAD /containers/ID/archive): nothing is
// written into the container, nothing runs in it, and it may be stopped.
type FilesAPI interface {
	ContainerStatPath(context.Context, string, client.ContainerStatPathOptions) (client.ContainerStatPathResult, error)
	CopyFromContainer(context.Context, string, client.CopyFromContainerOptions) (client.CopyFromContainerResult, error)
}

// containerFiles reads single files of a container.
type containerFiles struct {
	api FilesAPI
	id  string
}

// mostOfFile bounds one file: the package list of a large image has 5 MiB.
const mostOfFile = 16 << 20

// stat follows links, which the engine resolves within the container; a circle of them ends after a few.
func (c containerFiles) stat(ctx context.Context, name string) (resolved string, size int64, err error) {
	for range 8 {
		answer, err := c.api.ContainerStatPath(ctx, c.id, client.ContainerStatPathOptions{Path: name})
		if cerrdefs.IsNotFound(err) {
			return "", 0, fs.ErrNotExist
		}
		if err != nil {
			return "", 0, err
		}
		if answer.Stat.Mode&fs.ModeSymlink == 0 {
			return name, answer.Stat.Size, nil
		}
		if answer.Stat.LinkTarget == "" || answer.Stat.LinkTarget == name {
			return "", 0, fmt.Errorf("%s: a link that leads nowhere: %w", name, fs.ErrNotExist)
		}
		name = path.Clean("/" + answer.Stat.LinkTarget)
	}
	return "", 0, fmt.Errorf("%s: links in a circle: %w", name, fs.ErrNotExist)
}

func (c containerFiles) read(ctx context.Context, name string) ([]byte, error) {
	resolved, size, err := c.stat(ctx, name)
	if err != nil {
		return nil, err
	}
	if size > mostOfFile {
		return nil, fmt.Errorf("%s: is larger than 16 MiB", name)
	}
	answer, err := c.api.CopyFromContainer(ctx, c.id, client.CopyFromContainerOptions{SourcePath: resolved})
	if cerrdefs.IsNotFound(err) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	defer answer.Content.Close()
	archive := tar.NewReader(answer.Content)
	header, err := archive.Next()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if header.Typeflag != tar.TypeReg {
		return nil, fmt.Errorf("%s: %w", name, errNotRegular)
	}
	return io.ReadAll(io.LimitReader(archive, mostOfFile))
}

// ReadSoftware looks through the places where CUDA's parts and the frameworks are installed by pip, conda,
// apt and in NVIDIA's own images. env is the container's configured environment, workDir its working folder.
func ReadSoftware(ctx context.Context, api FilesAPI, id string, env []string, workDir string) (*ContainerSoftware, error) {
	r := &softwareReader{files: containerFiles{api, id}, found: &ContainerSoftware{Software: []Software{}}}
	if _, _, err := r.files.stat(ctx, "/"); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	for _, look := range []func(context.Context){r.cudaToolkit, r.headers, r.packages, r.conda, r.driverLibrary} {
		wg.Go(func() { look(ctx) })
	}
	wg.Go(func() {
		for _, folder := range r.pythonFolders(ctx, env, workDir) {
			r.python(ctx, folder)
		}
	})
	wg.Wait()
	r.found.tidy()
	return r.found, ctx.Err()
}

type softwareReader struct {
	files containerFiles
	mu    sync.Mutex
	found *ContainerSoftware
}

func (r *softwareReader) add(s Software) {
	if s.From == "" {
		s.From = "file"
	}
	s.Version, s.CUDA = bounded(s.Version), bounded(s.CUDA)
	r.mu.Lock()
	r.found.Software = append(r.found.Software, s)
	r.mu.Unlock()
}

// text reads a file; what is not there is no news, anything else is told.
func (r *softwareReader) text(ctx context.Context, name string) string {
	data, err := r.files.read(ctx, name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotRegular) && ctx.Err() == nil {
			r.mu.Lock()
			r.found.Unread = append(r.found.Unread, bounded(fmt.Sprintf("%s: %s", name, err)))
			r.mu.Unlock()
		}
		return ""
	}
	return string(data)
}

func (r *softwareReader) exists(ctx context.Context, name string) bool {
	_, _, err := r.files.stat(ctx, name)
	return err == nil
}

var (
	jsonCUDA   = lazily(`"(cuda_cudart|cuda_nvcc)"\s*:\s*\{[^}]*"version"\s*:\s*"([0-9.]+)"`)
	textCUDA   = lazily(`CUDA Version ([0-9.]+)`)
	defineLine = lazily(`(?m)^\s*#\s*define\s+(\w+)\s+"?([0-9]+)`)
)

// cudaToolkit reads /usr/local/cuda: version.json since CUDA 11.1, version.txt before.
func (r *softwareReader) cudaToolkit(ctx context.Context) {
	const file = "/usr/local/cuda/version.json"
	versions := map[string]string{}
	if text := r.text(ctx, file); text != "" {
		for _, m := range jsonCUDA.FindAllStringSubmatch(text, -1) {
			versions[m[1]] = m[2]
		}
		if v := versions["cuda_cudart"]; v != "" {
			r.add(Software{Name: "cuda-runtime", Version: v, CUDA: MajorMinor(v), Path: file})
		}
	} else if m := textCUDA.FindStringSubmatch(r.text(ctx, "/usr/local/cuda/version.txt")); m != nil {
		r.add(Software{Name: "cuda-runtime", Version: m[1], CUDA: MajorMinor(m[1]), Path: "/usr/local/cuda/version.txt"})
		versions["cuda_nvcc"] = m[1]
	}
	for _, nvcc := range []string{"/usr/local/cuda/bin/nvcc", "/usr/bin/nvcc"} {
		if r.exists(ctx, nvcc) {
			r.add(Software{Name: "nvcc", Version: versions["cuda_nvcc"], CUDA: MajorMinor(versions["cuda_nvcc"]), Path: nvcc})
			break
		}
	}
	for _, tool := range []string{"/usr/src/tensorrt/bin/trtexec", "/opt/tensorrt/bin/trtexec", "/usr/local/tensorrt/bin/trtexec", "/usr/local/bin/trtexec", "/usr/bin/trtexec"} {
		if r.exists(ctx, tool) {
			r.add(Software{Name: "trtexec", Path: tool})
			break
		}
	}
}

// MajorMinor is 12.4 of 12.4.1, or "" of what is no version.
func MajorMinor(version string) string {
	major, rest, ok := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	if !ok || !isDigits(major) || !isDigits(minor) {
		return ""
	}
	return major + "." + minor
}

// headers reads the versions that C headers define.
func (r *softwareReader) headers(ctx context.Context) {
	for _, folder := range []string{"/usr/include", "/usr/include/x86_64-linux-gnu", "/usr/include/aarch64-linux-gnu", "/usr/local/cuda/include", "/usr/local/tensorrt/include", "/usr/local/include"} {
		for _, header := range []string{"cudnn_version.h", "nccl.h", "NvInferVersion.h"} {
			r.header(ctx, path.Join(folder, header))
		}
	}
}

// headerVersions are the macros of a header that make up a version.
var headerVersions = map[string]struct {
	name   string
	macros []string
}{
	"cudnn_version.h":  {"cudnn", []string{"CUDNN_MAJOR", "CUDNN_MINOR", "CUDNN_PATCHLEVEL"}},
	"nccl.h":           {"nccl", []string{"NCCL_MAJOR", "NCCL_MINOR", "NCCL_PATCH"}},
	"NvInferVersion.h": {"tensorrt", []string{"NV_TENSORRT_MAJOR", "NV_TENSORRT_MINOR", "NV_TENSORRT_PATCH"}},
}

func (r *softwareReader) header(ctx context.Context, name string) {
	known, text := headerVersions[path.Base(name)], r.text(ctx, name)
	defined := map[string]string{}
	for _, m := range defineLine.FindAllStringSubmatch(text, -1) {
		defined[m[1]] = m[2]
	}
	var parts []string
	for _, macro := range known.macros {
		value := defined[macro]
		if value == "" { // TensorRT 10 names its numbers anew: NV_TENSORRT_MAJOR is TRT_MAJOR_ENTERPRISE
			value = defined[strings.Replace(macro, "NV_TENSORRT_", "TRT_", 1)+"_ENTERPRISE"]
		}
		if value != "" {
			parts = append(parts, value)
		}
	}
	if len(parts) > 0 {
		r.add(Software{Name: known.name, Version: strings.Join(parts, "."), Path: name})
	}
}

// debianPackages are those that name a part: cudnn of libcudnn9-cuda-12, cuda-cudart-12-4, …
var debianPackages = []struct {
	name    string
	pattern *lazyPattern
}{
	{"cuda-runtime", lazily(`^cuda-cudart-(\d+)-(\d+)$`)},
	{"nvcc", lazily(`^cuda-nvcc-(\d+)-(\d+)$`)},
	{"cudnn", lazily(`^libcudnn\d+(-cuda-\d+)?$`)},
	{"nccl", lazily(`^libnccl2$`)},
	{"tensorrt", lazily(`^libnvinfer\d+$`)},
}

var plusCUDA = lazily(`\+cuda(\d+\.\d+)`)

// packages reads dpkg's list.
func (r *softwareReader) packages(ctx context.Context) {
	const file = "/var/lib/dpkg/status"
	for paragraph := range strings.SplitSeq(r.text(ctx, file), "\n\n") {
		name, version := "", ""
		for line := range strings.Lines(paragraph) {
			if value, ok := strings.CutPrefix(line, "Package: "); ok {
				name = strings.TrimSpace(value)
			} else if value, ok := strings.CutPrefix(line, "Version: "); ok {
				version = strings.TrimSpace(value)
			}
		}
		if !strings.Contains(paragraph, "Status: install ok installed") {
			continue
		}
		for _, p := range debianPackages {
			m := p.pattern.FindStringSubmatch(name)
			if m == nil {
				continue
			}
			s := Software{Name: p.name, Path: name, From: "package"}
			s.Version, _, _ = strings.Cut(version, "-")
			if len(m) > 2 {
				s.CUDA = m[1] + "." + m[2]
			} else if c := plusCUDA.FindStringSubmatch(version); c != nil {
				s.CUDA = c[1]
			}
			r.add(s)
		}
	}
}

var (
	torchCUDA     = lazily(`(?m)^cuda\s*(?::[^=\n]*)?=\s*(?:None|['"]([0-9.]+)['"])`)
	torchHIP      = lazily(`(?m)^hip\s*(?::[^=\n]*)?=\s*['"]`)
	isCUDABuild   = lazily(`['"]is_cuda_build['"]\s*[,:]\s*(True|False)`)
	buildInfoCUDA = lazily(`['"]cuda_version['"]\s*[,:]\s*['"]([0-9.]+)['"]`)
	ortCUDA       = lazily(`(?m)^cuda_version\s*=\s*['"]([0-9.]+)['"]`)
	ortPackage    = lazily(`(?m)^package_name\s*=\s*['"]([^'"]+)['"]`)
)

// driverLibrary looks for a driver library that the image brings. Where NVIDIA's runtime mounts the
// host's over it, an empty file stands in the container's own files.
func (r *softwareReader) driverLibrary(ctx context.Context) {
	for _, folder := range []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"} {
		resolved, size, err := r.files.stat(ctx, path.Join(folder, "libcuda.so.1"))
		if err != nil || size == 0 {
			continue
		}
		_, version, _ := strings.Cut(path.Base(resolved), "libcuda.so.")
		if strings.Contains(version, ".") && !strings.Contains(resolved, "/compat/") {
			r.mu.Lock()
			r.found.DriverLibrary = &Library{Name: "libcuda.so.1", Path: bounded(resolved), Version: bounded(version)}
			r.mu.Unlock()
			return
		}
	}
}

// softwareOrder is that of the screen.
var softwareOrder = []string{"cuda-runtime", "nvcc", "cudnn", "nccl", "tensorrt", "trtexec", "pytorch", "tensorflow", "jax", "onnxruntime"}

// tidy sorts, and joins what a package and a file tell of the same thing.
func (c *ContainerSoftware) tidy() {
	slices.SortStableFunc(c.Software, func(a, b Software) int {
		if d := slices.Index(softwareOrder, a.Name) - slices.Index(softwareOrder, b.Name); d != 0 {
			return d
		}
		if d := strings.Compare(a.From, b.From); d != 0 { // file before package
			return d
		}
		return strings.Compare(a.Path, b.Path)
	})
	var kept []Software
	for _, s := range c.Software {
		at := slices.IndexFunc(kept, func(k Software) bool {
			return k.Name == s.Name && (k.Version == s.Version || strings.HasPrefix(k.Version, s.Version+".") || strings.HasPrefix(s.Version, k.Version+".") || k.Version == "" && k.From != s.From)
		})
		if at < 0 {
			kept = append(kept, s)
			continue
		}
		if kept[at].CUDA == "" {
			kept[at].CUDA = s.CUDA
		}
		if len(s.Version) > len(kept[at].Version) {
			kept[at].Version = s.Version
		}
	}
	c.Software = kept
	if c.Software == nil {
		c.Software = []Software{}
	}
	slices.Sort(c.Unread)
}
