package inspect

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func testImage(t testing.TB, layers int, arch string, env ...string) v1.Image {
	t.Helper()
	image, err := random.Image(1024, int64(layers))
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Env = "linux", arch, env
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func push(t testing.TB, host, repository string, what remote.Taggable, opts ...remote.Option) string {
	t.Helper()
	ref, err := name.ParseReference(host + "/" + repository)
	if err != nil {
		t.Fatal(err)
	}
	switch what := what.(type) {
	case v1.Image:
		err = remote.Write(ref, what, opts...)
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, what, opts...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

var cudaEnv = []string{"PATH=/usr/local/cuda/bin", "NVARCH=x86_64", "NVIDIA_REQUIRE_CUDA=cuda>=12.4 brand=tesla,driver>=470,driver<471", "NV_CUDA_COMPAT_PACKAGE=cuda-compat-12-4",
	"CUDA_VERSION=12.4.1", "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility", "NV_CUDNN_VERSION=9.1.0.70-1", "SECRET=do-not-keep"}

func TestImageFromRegistry(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: testImage(t, 3, "amd64", cudaEnv...), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: testImage(t, 2, "arm64", "CUDA_VERSION=11.0"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}},
		mutate.IndexAddendum{Add: testImage(t, 1, "unknown"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}})
	multi := push(t, host, "cuda:12.4", index)
	single := push(t, host, "cpu:1", testImage(t, 500, "amd64"))
	huge := push(t, host, "huge:1", testImage(t, 1, "amd64", "BIG="+strings.Repeat("x", 5<<20), "CUDA_VERSION=12.0"))

	read := func(reference, platform string) (*Image, error) {
		return ImageFromRegistry(t.Context(), Root(t.TempDir()), reference, platform, authn.DefaultKeychain)
	}
	i, err := read(multi, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	all, capabilities := "all", "compute,utility"
	want := &Image{Reference: multi, Source: "registry", Digest: i.Digest, Platform: "linux/amd64", Platforms: []string{"linux/amd64", "linux/arm64/v8"}, PullBytes: i.PullBytes, Layers: ptr(3),
		CUDAVersion: "12.4.1", Require: map[string]string{"NVIDIA_REQUIRE_CUDA": "cuda>=12.4 brand=tesla,driver>=470,driver<471"}, VisibleDevices: &all, Capabilities: &capabilities,
		CompatPackage: "cuda-compat-12-4", Versions: map[string]string{"cudnn": "9.1.0.70-1"}}
	if diff := cmp.Diff(want, i); diff != "" {
		t.Error(diff)
	}
	if *i.PullBytes < 3*1024 {
		t.Errorf("%d bytes to pull", *i.PullBytes)
	}
	if i, err = read(multi, "linux/arm64"); err != nil || !i.Legacy || i.CUDAVersion != "11.0" {
		t.Errorf("arm64: %+v, %v", i, err)
	}
	if i, err = read(single, "linux/amd64"); err != nil || *i.Layers != 500 || i.CUDAVersion != "" {
		t.Errorf("500 layers: %+v, %v", i, err)
	}
	if i, err = read(huge, "linux/amd64"); err != nil || i.CUDAVersion != "12.0" {
		t.Errorf("5 MB of environment: %v", err)
	}
	for _, c := range []struct {
		name, reference, platform string
		want                      error
	}{
		{"no such platform", multi, "linux/s390x", ErrNoPlatform},
		{"no such platform, single", single, "linux/arm64", ErrNoPlatform},
		{"no such image", host + "/nothing:1", "linux/amd64", ErrImageNotFound},
		{"nobody there", "127.0.0.1:1/x:1", "linux/amd64", ErrRegistryAway},
	} {
		if _, err := read(c.reference, c.platform); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := read("Not An Image", ""); err == nil || !strings.Contains(err.Error(), "is no image reference") {
		t.Error(err)
	}
}

type password struct{ user, password string }

func (p password) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: p.user, Password: p.password}, nil
}

// A registry with a password and a certificate of its own, found where the engine looks for it.
func TestImageFromPrivateRegistry(t *testing.T) {
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, secret, _ := r.BasicAuth(); user != "ada" || secret != "lovelace" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	reference := push(t, host, "cuda:1", testImage(t, 1, "amd64", cudaEnv...), remote.WithTransport(server.Client().Transport), remote.WithAuth(&authn.Basic{Username: "ada", Password: "lovelace"}))
	root := t.TempDir()
	folder := filepath.Join(root, "etc/docker/certs.d", host)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(folder, "ca.crt"), cert, 0o644); err != nil {
		t.Fatal(err)
	}
	if i, err := ImageFromRegistry(t.Context(), Root(root), reference, "linux/amd64", password{"ada", "lovelace"}); err != nil || i.CUDAVersion != "12.4.1" {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := ImageFromRegistry(t.Context(), Root(root), reference, "linux/amd64", password{"ada", "wrong"}); !errors.Is(err, ErrImageForbidden) {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := ImageFromRegistry(t.Context(), Root(t.TempDir()), reference, "linux/amd64", password{"ada", "lovelace"}); !errors.Is(err, ErrCertificate) {
		t.Errorf("unknown certificate: %v", err)
	}
}

// A registry that answers nonsense or nothing costs a sentence.
func TestImageFromBrokenRegistry(t *testing.T) {
	stop := make(chan struct{})
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"nonsense", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>welcome</html>") }, "registry"},
		{"error", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) }, "answers with an error"},
		{"silence", func(w http.ResponseWriter, r *http.Request) { <-stop }, "does not answer in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			ctx := t.Context()
			if c.name == "silence" {
				short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
				ctx = short
			}
			_, err := ImageFromRegistry(ctx, Root(t.TempDir()), strings.TrimPrefix(server.URL, "http://")+"/x:1", "linux/amd64", authn.DefaultKeychain)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if c.name == "silence" {
				close(stop)
			}
			server.Close()
		})
	}
}

func TestImageFromArchive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag("local/cuda:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(file, tag, testImage(t, 2, "amd64", cudaEnv...)); err != nil {
		t.Fatal(err)
	}
	i, err := ImageFromArchive(file)
	if err != nil || i.CUDAVersion != "12.4.1" || i.Platform != "linux/amd64" || *i.Layers != 2 || !IsImageArchive(file) {
		t.Errorf("%+v, %v", i, err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no archive"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ImageFromArchive(text); err == nil || IsImageArchive(text) || IsImageArchive(t.TempDir()) {
		t.Errorf("a text is taken for an archive: %v", err)
	}
}
