package inspect

import (
	"archive/tar"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is what an image's configuration says of the GPU that it wants. It is read from the engine, from
// a registry without pulling, or from an archive of `docker save`.
type Image struct {
	Reference      string            `json:"reference"`
	Source         string            `json:"source"`             // engine, registry, archive
	Digest         string            `json:"digest,omitempty"`   // of the manifest, in a registry
	Platform       string            `json:"platform,omitempty"` // linux/amd64
	Platforms      []string          `json:"platforms,omitempty"`
	PullBytes      *int64            `json:"pullBytes,omitempty"` // compressed layers and configuration: what a pull transfers at most
	SizeBytes      *int64            `json:"sizeBytes,omitempty"` // on disk
	Layers         *int              `json:"layers,omitempty"`
	CUDAVersion    string            `json:"cudaVersion,omitempty"` // CUDA_VERSION
	Legacy         bool              `json:"legacyImage,omitempty"` // CUDA_VERSION set, NVIDIA_REQUIRE_CUDA not
	Require        map[string]string `json:"require,omitempty"`     // NVIDIA_REQUIRE_*
	DisableRequire bool              `json:"disableRequire,omitempty"`
	VisibleDevices *string           `json:"visibleDevices,omitempty"`
	Capabilities   *string           `json:"driverCapabilities,omitempty"`
	CompatPackage  string            `json:"compatPackage,omitempty"` // cuda-compat-12-8: forward compatibility comes with the image
	Versions       map[string]string `json:"versions,omitempty"`      // cudnn, nccl, tensorrt, pytorch, …: as the environment says
}

// Why an image could not be read.
var (
	ErrImageNotFound  = errors.New("there is no such image")
	ErrNoPlatform     = errors.New("the image is not made for this platform")
	ErrImageForbidden = errors.New("the registry refuses: log in with docker login, or the image does not exist")
	ErrRegistryAway   = errors.New("the registry cannot be reached")
	ErrCertificate    = errors.New("the registry's certificate is not trusted")
)

// versionVariables are those by which public images say what they contain.
var versionVariables = []struct{ variable, what string }{
	{"NV_CUDNN_VERSION", "cudnn"}, {"CUDNN_VERSION", "cudnn"}, {"NCCL_VERSION", "nccl"}, {"NV_LIBNCCL_PACKAGE_VERSION", "nccl"},
	{"TENSORRT_VERSION", "tensorrt"}, {"TRT_VERSION", "tensorrt"}, {"PYTORCH_VERSION", "pytorch"}, {"PYTORCH_BUILD_VERSION", "pytorch"},
	{"TENSORFLOW_VERSION", "tensorflow"}, {"CUDA_DRIVER_VERSION", "built-with-driver"}, {"JAX_VERSION", "jax"}, {"TRITON_SERVER_VERSION", "triton-server"},
}

// describe takes what concerns GPUs from an image's environment.
func (i *Image) describe(env []string) {
	get := func(key string) string { value, _ := variable(env, key); return value }
	i.CUDAVersion = get("CUDA_VERSION")
	i.CompatPackage = get("NV_CUDA_COMPAT_PACKAGE")
	for _, entry := range env {
		key, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(key, "NVIDIA_REQUIRE_") {
			if i.Require == nil {
				i.Require = map[string]string{}
			}
			i.Require[key] = get(key)
		}
	}
	i.Legacy = i.CUDAVersion != "" && i.Require["NVIDIA_REQUIRE_CUDA"] == ""
	i.DisableRequire, _ = strconv.ParseBool(get("NVIDIA_DISABLE_REQUIRE"))
	if value, set := variable(env, "NVIDIA_VISIBLE_DEVICES"); set {
		i.VisibleDevices = &value
	}
	if value, set := variable(env, "NVIDIA_DRIVER_CAPABILITIES"); set {
		i.Capabilities = &value
	}
	for _, v := range versionVariables {
		if value := get(v.variable); value != "" && i.Versions[v.what] == "" {
			if i.Versions == nil {
				i.Versions = map[string]string{}
			}
			i.Versions[v.what] = value
		}
	}
}

// ImageFromEngine reads an image that the engine has. platform is empty for the engine's own choice.
func ImageFromEngine(ctx context.Context, api EngineAPI, reference, platform string) (*Image, error) {
	var opts []client.ImageInspectOption
	if platform != "" {
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			return nil, err
		}
		opts = append(opts, client.ImageInspectWithPlatform(&ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}))
	}
	answer, err := api.ImageInspect(ctx, reference, opts...)
	if cerrdefs.IsNotFound(err) {
		return nil, fmt.Errorf("%s: %w", reference, ErrImageNotFound)
	}
	if err != nil {
		return nil, err
	}
	i := &Image{Reference: reference, Source: "engine", Platform: join(answer.Os, answer.Architecture, answer.Variant), SizeBytes: &answer.Size}
	if layers := len(answer.RootFS.Layers); layers > 0 {
		i.Layers = &layers
	}
	if answer.Config != nil {
		i.describe(answer.Config.Env)
	}
	return i, nil
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "/")
}

// ImageFromRegistry reads an image's manifest and configuration from its registry: a few kilobytes,
// nothing is pulled. Certificates are taken from where the engine has them, /etc/docker/certs.d.
func ImageFromRegistry(ctx context.Context, root Root, reference, platform string, keys authn.Keychain) (*Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, fmt.Errorf("%q is no image reference: %w", reference, err)
	}
	opts := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(keys), remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithTransport(boundedTransport{registryTransport(root, ref.Context().RegistryStr())})}
	descriptor, err := remote.Get(ref, opts...)
	if err != nil {
		return nil, registryError(ctx, reference, ref.Context().RegistryStr(), err)
	}
	i := &Image{Reference: reference, Source: "registry", Digest: descriptor.Digest.String()}
	var image v1.Image
	if descriptor.MediaType.IsIndex() {
		image, err = i.choose(descriptor, platform)
	} else {
		image, err = descriptor.Image()
	}
	if err != nil {
		return i, registryError(ctx, reference, ref.Context().RegistryStr(), err)
	}
	if err := i.take(image); err != nil {
		return i, registryError(ctx, reference, ref.Context().RegistryStr(), err)
	}
	if platform != "" && i.Platform != "" && !samePlatform(i.Platform, platform) {
		i.Platforms = []string{i.Platform}
		return i, fmt.Errorf("%s: %w: it has %s, not %s", reference, ErrNoPlatform, i.Platform, platform)
	}
	return i, nil
}

// choose picks the image for a platform out of an index.
func (i *Image) choose(descriptor *remote.Descriptor, platform string) (v1.Image, error) {
	index, err := descriptor.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var chosen *v1.Hash
	for _, m := range manifest.Manifests {
		if m.Platform == nil || m.Platform.OS == "unknown" { // attestations
			continue
		}
		p := join(m.Platform.OS, m.Platform.Architecture, m.Platform.Variant)
		i.Platforms = append(i.Platforms, p)
		if chosen == nil && samePlatform(p, platform) {
			chosen = &m.Digest
		}
	}
	if chosen == nil {
		return nil, fmt.Errorf("%w: it has %s, not %s", ErrNoPlatform, strings.Join(i.Platforms, ", "), platform)
	}
	return index.Image(*chosen)
}

// samePlatform compares without a variant where one of the two has none: linux/arm64 is linux/arm64/v8.
func samePlatform(a, b string) bool {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	n := min(len(as), len(bs))
	return n >= 2 && slices.Equal(as[:n], bs[:n])
}

// take reads manifest and configuration.
func (i *Image) take(image v1.Image) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	layers := len(manifest.Layers)
	i.Layers = &layers
	size, known := manifest.Config.Size, manifest.Config.Size >= 0
	for _, layer := range manifest.Layers {
		known = known && layer.Size >= 0 && size+layer.Size >= size
		size += layer.Size
	}
	if known {
		i.PullBytes = &size
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	i.Platform = join(config.OS, config.Architecture, config.Variant)
	i.describe(config.Config.Env)
	return nil
}

// mostRegistryAnswer bounds what is read of one answer: manifests and configurations have some kilobytes, whatever
// size a manifest claims.
const mostRegistryAnswer = 16 << 20

var errRegistryTooMuch = errors.New("the registry's answer is larger than 16 MiB")

type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := t.RoundTripper.RoundTrip(request)
	if err == nil {
		answer.Body = boundedBody{&allowance{answer.Body, mostRegistryAnswer, mostRegistryAnswer, errRegistryTooMuch}, answer.Body}
	}
	return answer, err
}

type boundedBody struct {
	io.Reader
	io.Closer
}

// registryTransport trusts what the engine trusts for a registry, and uses its client certificate.
func registryTransport(root Root, registry string) http.RoundTripper {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	folder := path.Join("/etc/docker/certs.d", registry)
	entries, err := root.ReadDir(folder)
	if err != nil {
		return t
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	for _, entry := range entries {
		switch file := path.Join(folder, entry.Name()); path.Ext(file) {
		case ".crt":
			if data, err := root.ReadFile(file); err == nil {
				pool.AppendCertsFromPEM(data)
			}
		case ".cert":
			cert, certErr := root.ReadFile(file)
			key, keyErr := root.ReadFile(strings.TrimSuffix(file, ".cert") + ".key")
			if certErr == nil && keyErr == nil {
				if pair, err := tls.X509KeyPair(cert, key); err == nil {
					t.TLSClientConfig.Certificates = append(t.TLSClientConfig.Certificates, pair)
				}
			}
		}
	}
	return t
}

// registryError sorts what a registry answered.
func registryError(ctx context.Context, reference, registry string, err error) error {
	var answer *transport.Error
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		return fmt.Errorf("%s: %w: put its authority into /etc/docker/certs.d/%s/ca.crt: %w", reference, ErrCertificate, registry, untrusted)
	case errors.Is(err, ErrNoPlatform), errors.Is(err, errRegistryTooMuch):
		return fmt.Errorf("%s: %w", reference, err)
	case errors.As(err, &answer):
		switch answer.StatusCode {
		case http.StatusNotFound:
			return fmt.Errorf("%s: %w", reference, ErrImageNotFound)
		case http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Errorf("%s: %w", reference, ErrImageForbidden)
		}
		return fmt.Errorf("%s: the registry %s answers with an error: %w", reference, registry, err)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: the registry %s does not answer in time: %w", reference, registry, ctx.Err())
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%s: the registry %s answers nonsense: %w", reference, registry, err)
	}
	return fmt.Errorf("%s: %s: %w: %w", reference, registry, ErrRegistryAway, err)
}

// ImageFromArchive reads an archive that `docker save` wrote.
func ImageFromArchive(file string) (*Image, error) {
	image, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		return nil, fmt.Errorf("%s is no archive of docker save: %w", file, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	layers := len(config.RootFS.DiffIDs)
	i := &Image{Reference: file, Source: "archive", Platform: join(config.OS, config.Architecture, config.Variant), Layers: &layers}
	i.describe(config.Config.Env)
	return i, nil
}

// IsImageArchive tells if a path is a file that begins like a tar archive.
func IsImageArchive(file string) bool {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = tar.NewReader(io.LimitReader(f, 1<<20)).Next()
	return err == nil
}
