package inspect

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// planted are secrets of every kind, and running texts that hold them as errors and logs do.
var planted = []struct{ name, secret, text string }{
	{"GitHub token", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "pull failed for ghp_16C7e42F292c6912E7710c838347Ae178B4a: denied"},
	{"AWS key", "AKIAIOSFODNN7EXAMPLE", "using AKIAIOSFODNN7EXAMPLE for the bucket"},
	{"AWS secret", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"},
	{"JSON web token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P", "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"},
	{"opaque token", "Zx81QpLm09TtRrEeWwQq77", "header X-Key Zx81QpLm09TtRrEeWwQq77 refused"},
	{"hexadecimal key", "9f86d081884c7d659a2feaa0c55ad015", "key 9f86d081884c7d659a2feaa0c55ad015 expired"},
	{"sha256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "no such container: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
	{"private key", "MIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo", "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo\n-----END RSA PRIVATE KEY-----"},
	{"password by flag", "correct-horse-9!", "exec: docker login --password correct-horse-9! failed"},
	{"password by colon", "Tr0ub4dor&3x", `config: "password": "Tr0ub4dor&3x"`},
	{"environment value", "blueberry", "could not set DB_FLAVOUR=blueberry in the container"},
	{"quoted environment value", "two words", `env WANDB_NAME="two words" is too long`},
	{"e-mail", "grace.hopper@navy.example.org", "mail grace.hopper@navy.example.org about it"},
	{"IPv4", "10.23.45.67", "dial tcp 10.23.45.67:2376: connect: connection refused"},
	{"public IPv4", "203.0.113.77", "lookup gpu on 203.0.113.77: no such host"},
	{"IPv6", "2001:db8:85a3::8a2e:370:7334", "dial tcp [2001:db8:85a3::8a2e:370:7334]:2376: i/o timeout"},
	{"link-local IPv6", "fe80::1ff:fe23:4567:890a", "ping fe80::1ff:fe23:4567:890a%eth0"},
	{"MAC", "3c:22:fb:9a:10:5e", "eth0 has 3c:22:fb:9a:10:5e"},
	{"host name", "lovelace-ws7", "Get http://lovelace-ws7/info: EOF"},
	{"domain", "lovelace.math.corp", "lookup lovelace.math.corp: no such host"},
	{"user in a path", "alovelace", "open /home/alovelace/.docker/config.json: permission denied"},
	{"folder of a home", "thesis-drafts", "stat /home/alovelace/thesis-drafts/run.py: no such file"},
	{"Windows home", "babbage", `open C:\Users\babbage\.docker\config.json: denied`},
	{"path elsewhere", "merger-with-acme", "stat /srv/merger-with-acme/weights.bin: no such file or directory"},
	{"URL with credentials", "s3cr3tpw", "Get https://deploy:s3cr3tpw@registry.acme.corp/v2/: 401"},
	{"user of a URL", "deploybot", "ssh: ssh://deploybot@gpu-box: handshake failed"},
	{"query of a URL", "sig=abcdef", "Get https://acme.blob.example.com/x?sig=abcdef: 403"},
	{"database URL", "hunter2", "connect postgres://app:hunter2@db:5432/prod"},
	{"command line", "/opt/acme/bin/train --lr 3e-4", `apparmor="DENIED" comm="/opt/acme/bin/train --lr 3e-4"`},
	{"killed process", "acme_trainer", "Out of memory: Killed process 4711 (acme_trainer) total-vm:1kB"},
	{"process of a Xid", "acme_infer", "NVRM: Xid (PCI:0000:17:00): 31, pid=1234, name=acme_infer, Ch 00000008"},
	{"private repository", "acme/merger", "fetch https://github.com/acme/merger/settings failed"},
	{"cookie", "a1b2c3d4e5", "Set-Cookie: session_token=a1b2c3d4e5; Path=/"},
	{"Hugging Face token", "hf_AbCdEfGhIjKlMnOpQrStUvWx", "401 for hf_AbCdEfGhIjKlMnOpQrStUvWx"},
	{"machine id", "4b825dc6-42cb-6eb9-a060-e54bf8d69288", "machine 4b825dc6-42cb-6eb9-a060-e54bf8d69288 booted"},
}

// fill puts text into every string, key and value of v.
func fill(v reflect.Value, text string, count *int) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*time.Time]() {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, count)
	case reflect.Struct:
		if v.Type() == timeType {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), text, count)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text, count)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), text, count)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, text, count)
		fill(value, text, count)
		v.SetMapIndex(key, value)
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(text))
			*count++
		}
	case reflect.String:
		v.SetString(text)
		*count++
	}
}

// Every field of the Snapshot, those of tomorrow too, gets every secret, alone and inside a text. None
// may be found in what the redactor lets through.
func TestNoPlantedSecretSurvives(t *testing.T) {
	fields, plants := 0, 0
	for _, p := range planted {
		for _, text := range []string{p.secret, p.text} {
			s := &Snapshot{}
			fields = 0
			fill(reflect.ValueOf(s).Elem(), text, &fields)
			plants += fields
			out, err := json.Marshal(NewRedactor(s, Identity{}).Snapshot(s))
			if err != nil {
				t.Fatal(err)
			}
			quoted, _ := json.Marshal(p.secret)
			for _, secret := range []string{p.secret, strings.Trim(string(quoted), `"`)} {
				if at := strings.Index(strings.ToLower(string(out)), strings.ToLower(secret)); at >= 0 {
					t.Errorf("%s: %q survives: …%s…", p.name, text, out[max(0, at-80):min(len(out), at+80)])
				}
			}
		}
	}
	if fields < 150 {
		t.Errorf("only %d fields were filled", fields)
	}
	t.Logf("%d secrets planted in %d fields", plants, fields)
}

// A text in a log or an error, where no field tells what it is.
func TestRedactText(t *testing.T) {
	s := &Snapshot{Host: &Host{Name: "lovelace-ws7"}, Containers: []Container{{Name: "trainer", Image: "registry.acme.corp/nn:7"}, {Name: "cuda"}}}
	r := NewRedactor(s, Identity{Users: []string{"ada"}})
	for _, p := range planted {
		if got := NewRedactor(s, Identity{}).Text(p.text); strings.Contains(strings.ToLower(got), strings.ToLower(p.secret)) {
			t.Errorf("%s: %q", p.name, got)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"container trainer lost its GPU", "container container-1 lost its GPU"},
		{"CUDA error: cuda is busy", "CUDA error: cuda is busy"},
		{"ada ran it; Ada again; adamant not", "user-1 ran it; user-1 again; adamant not"},
		{"at LOVELACE-WS7.", "at host-1."},
		{"NVRM: GPU Board Serial Number: 1652824099999", "NVRM: GPU Board Serial Number: serial-1"},
		{"Serial Number                         : 1652824099999", "Serial Number                         : serial-1"},
	} {
		got := r.Text(c.in)
		if mask(got) != mask(c.want) {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
	// Messages by which a cause is known stay as they are.
	for _, text := range []string{
		`could not select device driver "" with capabilities: [[gpu]]`,
		"failed to discover GPU vendor from CDI: no known GPU vendor found",
		"CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=0",
		"nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory: unknown",
		"error running prestart hook #0: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'\nnvidia-container-cli: mount error: stat failed: /dev/nvidia-uvm: no such file or directory",
		"NVRM: Xid (PCI:0000:17:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
		"NVRM: API mismatch: the client has the version 570.86.15, but this kernel module has the version 570.124.06",
		"Failed to initialize NVML: Driver/library version mismatch",
		`exec: "nvidia-container-runtime": executable file not found in $PATH`,
		"unsatisfied condition: cuda>=12.8, please update your driver to a newer version, or use an earlier cuda container",
		"Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
		"bpf_prog_query(BPF_CGROUP_DEVICE) failed: operation not permitted",
		"ldcache error: open failed: /sbin/ldconfig.real: no such file or directory",
		"torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 79.15 GiB total capacity)",
		"undefined symbol: _ZN3c104cuda9SetDeviceEi",
		"NVIDIA_VISIBLE_DEVICES=void",
		"nvidia 0000:17:00.0: probe with driver nvidia failed with error -1",
		"dial unix /var/run/docker.sock: connect: permission denied",
		"GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c: unknown device",
		"listen on 127.0.0.1:9400",
		"see https://github.com/moby/moby/issues/51111.",
		"https://docs.nvidia.com/deploy/xid-errors",
	} {
		if got := r.Text(text); got != text {
			t.Errorf("a message is not to be changed:\n%s\n%s", text, got)
		}
	}
}

// mask hides which number a stand-in got.
func mask(s string) string {
	return strings.NewReplacer("1", "#", "2", "#", "3", "#", "4", "#").Replace(s)
}

func TestRedactKeepsWhatTellsTheCause(t *testing.T) {
	data, err := os.ReadFile("../examples/snapshots/eight-gpus.json")
	if err != nil {
		t.Fatal(err)
	}
	var s Snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	r := NewRedactor(&s, Identity{})
	got := r.Snapshot(&s)
	for i, g := range s.GPUs {
		g.Processes, got.GPUs[i].Processes = nil, nil
		if diff := cmp.Diff(g, got.GPUs[i]); diff != "" {
			t.Errorf("GPU %d: %s", i, diff)
		}
	}
	if diff := cmp.Diff(s.Driver, got.Driver); diff != "" {
		t.Error(diff)
	}
	if got.Host.Name != "host-1" || got.Engine.Name != got.Host.Name && s.Engine.Name == s.Host.Name {
		t.Errorf("host %q, engine %q", got.Host.Name, got.Engine.Name)
	}
	for i, c := range s.Containers {
		if diff := cmp.Diff(c.Grant.By, got.Containers[i].Grant.By); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(c.Grant.GPUs, got.Containers[i].Grant.GPUs); diff != "" {
			t.Error(diff)
		}
		if c.Usage != nil && len(c.Usage.Processes) > 0 && got.Containers[i].ID != got.Containers[i].Usage.Processes[0].ContainerID {
			t.Errorf("container %d: its processes name another id", i)
		}
	}
	// What was redacted once stays as it is.
	again := NewRedactor(got, Identity{}).Snapshot(got)
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("redacting twice changes:\n%s", diff)
	}
}

func TestRedactSameNameSameStandIn(t *testing.T) {
	id := strings.Repeat("ab12", 16)
	s := &Snapshot{
		Host:   &Host{Name: "gpu7.lab.acme.corp", User: &User{Groups: []string{"video", "grace"}}},
		Engine: &Engine{Name: "gpu7", Context: "lab", Endpoint: "ssh://grace@gpu7.lab.acme.corp", RootDir: "/home/grace/docker", Error: "ssh grace@gpu7: refused; container-1 was there"},
		Containers: []Container{{ID: id, Name: "container-1", Image: "grace/net:dev"}, {Name: "mine", Labels: map[string]string{"owner": "grace"}},
			{Name: "user-7"}},
		GPUs: []GPU{{Processes: []GPUProcess{{PID: 7, Cgroup: "/system.slice/docker-" + id + ".scope", ContainerID: id}}}},
	}
	r := NewRedactor(s, Identity{})
	got := r.Snapshot(s)
	host, user := got.Host.Name, got.Host.User.Groups[1]
	if got.Engine.Name != host || got.Engine.Endpoint != "ssh://"+user+"@"+host || !strings.Contains(got.Engine.Error, user+"@"+host) || got.Engine.RootDir != "/home/"+user+"/docker" {
		t.Errorf("host %s, user %s: %+v", host, user, got.Engine)
	}
	if got.Containers[0].Name != "container-1" || got.Containers[1].Name == "container-1" {
		t.Errorf("a container that is really named container-1 must not meet another: %q, %q", got.Containers[0].Name, got.Containers[1].Name)
	}
	if got.Containers[1].Labels[keyOf(got.Containers[1].Labels)] != user {
		t.Errorf("labels %v, user %s", got.Containers[1].Labels, user)
	}
	p := got.GPUs[0].Processes[0]
	if ids := ContainerIDs(p.Cgroup); len(ids) != 1 || ids[0] != got.Containers[0].ID || p.ContainerID != ids[0] {
		t.Errorf("the process lost its container: %+v, %s", p, got.Containers[0].ID)
	}
}

func keyOf(m map[string]string) string {
	for k := range m {
		return k
	}
	return ""
}

// Another type with fields that no rule knows: they are replaced.
func TestUnknownFieldsAreReplaced(t *testing.T) {
	r := NewRedactor(&Snapshot{}, Identity{})
	type novel struct {
		Words []string
		Any   any
		Raw   json.RawMessage
	}
	got := r.copy(reflect.ValueOf(novel{[]string{"plain"}, "text", json.RawMessage(`"x"`)}), "", "").Interface().(novel)
	if got.Words[0] == "plain" || got.Any == "text" || len(got.Raw) != 0 {
		t.Errorf("%+v", got)
	}
}

func FuzzRedactText(f *testing.F) {
	for _, p := range planted {
		f.Add(p.text)
	}
	s := &Snapshot{Host: &Host{Name: "lovelace-ws7"}}
	f.Fuzz(func(t *testing.T, text string) {
		r := NewRedactor(s, Identity{})
		once := r.Text(text)
		if strings.ContainsRune(once, markOpen) || strings.ContainsRune(once, markClose) {
			t.Errorf("a mark is left in %q", once)
		}
		if planted := "ghp_16C7e42F292c6912E7710c838347Ae178B4a"; strings.Contains(r.Text(fmt.Sprintf("%s %s ", text, planted)), planted) {
			t.Errorf("the token survives behind %q", text)
		}
	})
}
