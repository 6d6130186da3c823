package inspect

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Whatever kubectl says: each part is read whole or is unknown with its reason, and what pods hold is counted once.
func FuzzCluster(f *testing.F) {
	for _, seed := range []string{
		`{"items":[{"metadata":{"name":"n1","labels":{"a":"b"}},"spec":{"unschedulable":true,"taints":[{"key":"nvidia.com/gpu","effect":"NoSchedule"}]},"status":{"capacity":{"nvidia.com/gpu":"2","cpu":"8"},"allocatable":{"nvidia.com/gpu":"2","nvidia.com/mig-1g.10gb":"-1"},"conditions":[{"type":"Ready","status":"True"}]}}]}`,
		`{"items":[{"metadata":{"name":"p","namespace":"d","creationTimestamp":"2026-11-25T10:00:00Z"},"spec":{"nodeName":"n1","runtimeClassName":"nvidia","nodeSelector":{"a":"b"},"containers":[{"name":"c","image":"x","resources":{"limits":{"nvidia.com/gpu":"1"}},"env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"all"}]}],"initContainers":[{"name":"i","restartPolicy":"Always","resources":{"requests":{"nvidia.com/gpu":"9223372036854775807"}}}],"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]}]}}}},"status":{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","message":"0/1 nodes"}],"containerStatuses":[{"name":"c","state":{"waiting":{"reason":"x"}},"lastState":{"terminated":{"exitCode":1}}}]}}]}`,
		`{"items":[{"metadata":{"name":"nvidia-device-plugin-daemonset"},"spec":{"template":{"spec":{"containers":[{"image":"nvcr.io/nvidia/k8s-device-plugin:v0.18.2"}]}}},"status":{"desiredNumberScheduled":1,"numberReady":0}}]}`,
		`{"items":[{"type":"Warning","reason":"Failed","message":"x","handler":"nvidia"}]}`,
		`{"items":null}`, `{}`, `null`, `[]`, `{"items":[null]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > mostInput {
			return
		}
		run := func(context.Context, ...string) ([]byte, error) { return data, nil }
		c := ReadCluster(t.Context(), run, ClusterQuery{Pod: "p"}, time.Unix(0, 0))
		for _, part := range []struct {
			name    string
			unknown bool
		}{{"nodes", c.Nodes == nil}, {"pods", c.Pods == nil}, {"runtime-classes", c.RuntimeClasses == nil}, {"daemon-sets", c.DaemonSets == nil}} {
			for _, r := range c.Sources {
				if r.Name == part.name && (r.Error != "") != part.unknown {
					t.Errorf("%s: unknown %t, error %q", part.name, part.unknown, r.Error)
				}
			}
		}
		for _, n := range c.Nodes {
			for resource := range n.InUse {
				if !isNVIDIA(resource) {
					t.Errorf("%q is in use", resource)
				}
			}
		}
		for i := range c.Pods {
			ReadPod(t.Context(), run, ClusterQuery{}, &c.Pods[i])
			if len(c.Pods[i].Requests) == 0 && c.Pods[i].Name != "p" {
				t.Errorf("%+v asks for nothing", c.Pods[i])
			}
		}
		holdText(t, c)
	})
}

// fuzzedRegistry answers with whatever it is to answer: the manifest first, then the blobs.
type fuzzedRegistry struct{ manifest, blob atomic.Pointer[[]byte] }

func (r *fuzzedRegistry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	switch {
	case strings.Contains(request.URL.Path, "/manifests/"):
		kind := "application/vnd.oci.image.manifest.v1+json"
		if strings.Contains(string(*r.manifest.Load()), `"manifests"`) {
			kind = "application/vnd.oci.image.index.v1+json"
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(*r.manifest.Load())
	case strings.Contains(request.URL.Path, "/blobs/"):
		_, _ = w.Write(*r.blob.Load())
	}
}

// Whatever a registry answers: it is refused in words, or is an image whose figures are none below zero.
func FuzzRegistry(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":-5,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}]}`), []byte(`{}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"platform":{"os":"linux","architecture":"amd64"}}]}`), []byte(`{"os":"linux"}`))
	f.Add([]byte(`{"manifests":[{}]}`), []byte(`null`))
	f.Add([]byte(`<html>`), []byte(``))
	var registry fuzzedRegistry
	server := httptest.NewServer(&registry)
	f.Cleanup(server.Close)
	reference := strings.TrimPrefix(server.URL, "http://") + "/acme/train:1"
	f.Fuzz(func(t *testing.T, manifest, blob []byte) {
		registry.manifest.Store(&manifest)
		registry.blob.Store(&blob)
		i, err := ImageFromRegistry(t.Context(), "/nowhere", reference, "linux/amd64", authn.NewMultiKeychain())
		if err == nil && (i == nil || i.Layers == nil) {
			t.Errorf("%+v", i)
		}
		if err != nil && !strings.Contains(err.Error(), "acme/train") {
			t.Errorf("of which image: %v", err)
		}
		if i != nil {
			if i.PullBytes != nil && *i.PullBytes < 0 {
				t.Errorf("%d bytes to pull", *i.PullBytes)
			}
			holdText(t, i)
		}
	})
}

// endless never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A registry that never ends is left, however much it says: nothing is kept of it beyond a bound.
func TestEndlessRegistry(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/manifests/"):
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			_, _ = io.WriteString(w, `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":1099511627776,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}`)
		case strings.Contains(r.URL.Path, "/blobs/"):
			_, _ = io.Copy(w, io.LimitReader(endless{}, 1<<40))
		}
	}))
	defer server.Close()
	_, err := ImageFromRegistry(t.Context(), "/nowhere", strings.TrimPrefix(server.URL, "http://")+"/acme/train:1", "linux/amd64", authn.NewMultiKeychain())
	if err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("%v", err)
	}
}
