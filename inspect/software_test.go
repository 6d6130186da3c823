package inspect

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/rogpeppe/go-internal/txtar"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

// fileTree answers as an engine's archive call does: folders on the way are resolved within the
// container, the last link is told, what is not there is "not found". A file whose text is "-> TARGET" is
// a link, one that ends in "size N" has that size.
type fileTree struct {
	files map[string]string
	fail  error
}

func (f fileTree) ContainerStatPath(_ context.Context, _ string, o client.ContainerStatPathOptions) (client.ContainerStatPathResult, error) {
	if f.fail != nil {
		return client.ContainerStatPathResult{}, f.fail
	}
	name := path.Clean(o.Path)
	text, ok := f.files[name]
	if !ok {
		for other := range f.files {
			if name == "/" || strings.HasPrefix(other, name+"/") {
				return client.ContainerStatPathResult{Stat: container.PathStat{Name: name, Mode: fs.ModeDir | 0o755}}, nil
			}
		}
		return client.ContainerStatPathResult{}, fmt.Errorf("could not find the file %s: %w", name, cerrdefs.ErrNotFound)
	}
	stat := container.PathStat{Name: path.Base(name), Size: int64(len(text)), Mode: 0o644}
	if target, ok := strings.CutPrefix(strings.TrimSpace(text), "-> "); ok {
		stat.Mode |= fs.ModeSymlink
		if stat.LinkTarget = target; !path.IsAbs(target) {
			stat.LinkTarget = path.Join(path.Dir(name), target)
		}
	}
	return client.ContainerStatPathResult{Stat: stat}, nil
}

func (f fileTree) CopyFromContainer(_ context.Context, _ string, o client.CopyFromContainerOptions) (client.CopyFromContainerResult, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	text, ok := f.files[path.Clean(o.SourcePath)]
	if !ok {
		if err := w.WriteHeader(&tar.Header{Name: path.Base(o.SourcePath) + "/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			return client.CopyFromContainerResult{}, err
		}
	} else if err := errors.Join(w.WriteHeader(&tar.Header{Name: path.Base(o.SourcePath), Typeflag: tar.TypeReg, Size: int64(len(text)), Mode: 0o644}), func() error { _, err := io.WriteString(w, text); return err }()); err != nil {
		return client.CopyFromContainerResult{}, err
	}
	return client.CopyFromContainerResult{Content: io.NopCloser(&b)}, w.Close()
}

// Every archive of testdata/containers is a container: its files, its environment in the comment, and in
// the file "want" what is found there.
func TestReadSoftware(t *testing.T) {
	names, err := filepath.Glob("testdata/containers/*.txtar")
	if err != nil || len(names) < 12 {
		t.Fatalf("%d containers: %v", len(names), err)
	}
	for _, file := range names {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tree, want, at := fileTree{files: map[string]string{}}, "", -1
			for i, f := range archive.Files {
				if f.Name == "want" {
					want, at = string(f.Data), i
					continue
				}
				tree.files["/"+f.Name] = string(f.Data)
			}
			var env []string
			for line := range strings.Lines(string(archive.Comment)) {
				if line = strings.TrimSpace(line); strings.Contains(line, "=") && !strings.HasPrefix(line, "#") {
					env = append(env, line)
				}
			}
			found, err := ReadSoftware(t.Context(), tree, "c", env, "/app")
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, s := range found.Software {
				cpu := ""
				if s.CPUOnly != nil && *s.CPUOnly {
					cpu = " cpu-only"
				}
				fmt.Fprintf(&b, "%s %s cuda=%s%s %s\n", s.Name, s.Version, s.CUDA, cpu, s.Path)
			}
			if l := found.DriverLibrary; l != nil {
				fmt.Fprintf(&b, "driver library %s %s\n", l.Version, l.Path)
			}
			for _, u := range found.Unread {
				fmt.Fprintf(&b, "unread %s\n", u)
			}
			if *updateGolden && at >= 0 {
				archive.Files[at].Data = []byte(b.String())
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadSoftwareOfAContainerThatIsGone(t *testing.T) {
	_, err := ReadSoftware(t.Context(), fileTree{fail: fmt.Errorf("no such container: %w", cerrdefs.ErrNotFound)}, "c", nil, "")
	if err == nil {
		t.Error("a container that is gone has files")
	}
}

func FuzzReadSoftware(f *testing.F) {
	f.Add("__version__ = '2.3.0+cu121'\ncuda: Optional[str] = '12.1'\n", "Package: libcudnn9-cuda-12\nStatus: install ok installed\nVersion: 9.1.0-1\n", "PATH=/opt/x/bin:/usr/bin")
	f.Fuzz(func(t *testing.T, version, packages, env string) {
		found, err := ReadSoftware(t.Context(), fileTree{files: map[string]string{
			"/usr/lib/python3/dist-packages/torch/version.py": version, "/usr/lib/python3/dist-packages/tensorflow/python/platform/build_info.py": version,
			"/usr/local/cuda/version.json": version, "/usr/include/nccl.h": version, "/var/lib/dpkg/status": packages, "/opt/conda/conda-meta/history": packages}}, "c", []string{env}, env)
		if err != nil || found.Software == nil {
			t.Errorf("%+v, %v", found, err)
		}
	})
}
