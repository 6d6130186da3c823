package fixes

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	cutHeadMin  = 16 // fewer characters show nothing
	cutTailMin  = 20
	cutPlainMin = 28 // fewer of words that any program may write
)

// telling are words of which one shows that a part of a message is about this program's subject.
var telling = regexp.MustCompile(`nvidia|cuda|nvml|gpu|cdi |nccl|nvenc|encodesession|libcu|libn|\bptx|sm_0|\bxid\b|nvrm|\bmps\b|docker|deploy\.resources|torch|\bmig\b|exec format|vram|fabric|\becc|ggml|/dev/|shared memory|bpf_prog|ldcache|dataloader|device_requests|vfio|\bwsl\b|optix|nouveau|thermal slowdown|kernel image|standard_init|cublas|cudnn|oom-kill|b-frames|avc: denied|compute mode|row remap|remapping|booter load|gsp|sxid|exclusive|hw\b|modprobe|module is rejected|oom_score|total-vm|kernel headers|dkms|/lib/modules`)

// Each message's counts leave out what another cause's message, or a report of another cause or of none, has too.
func TestCutMessages(t *testing.T) {
	if *update {
		countCutMessages(t)
	}
	known := map[string]bool{}
	for _, m := range cutMessages() {
		if _, ok := Knowledge().Entry(m.id); !ok {
			t.Errorf("%s is no cause", m.id)
		}
		if known[string(m.id)+m.text] {
			t.Errorf("twice: %s %s", m.id, m.text)
		}
		known[string(m.id)+m.text] = true
		if m.head == 0 && m.tail == 0 || m.head != 0 && (m.head < cutHeadMin || m.head > len(m.text)-cutMissing) || m.tail != 0 && (m.tail < cutTailMin || m.tail > len(m.text)-cutMissing) {
			t.Errorf("%s %d %d %q: a count is none", m.id, m.head, m.tail, m.text)
		}
		for _, other := range cutMessages() {
			if other.id != m.id && (m.head > 0 && strings.HasPrefix(other.text, m.text[:m.head]) || m.tail > 0 && strings.HasSuffix(other.text, m.text[len(m.text)-m.tail:])) {
				t.Errorf("%q of %s is in %q of %s", m.text, m.id, other.text, other.id)
			}
		}
	}
}

func TestExplainCutMessages(t *testing.T) {
	for text, want := range map[string]ID{
		"standard_init_linux.go:228: exec user proc":                                                     "arch-mismatch",
		"...ny existing device filters attached to the cgroup: bpf_prog_query(BPF_CGROUP_DEVICE) failed": "rootless-no-cgroups",
		"2026-03-03 10:11:12 INFO start\n2026-03-03 10:11:13 ERROR the provided PTX was compiled w…\n":   "cuda-driver-too-old",
		"nvidia-container-cli: requirement error: unsatisfied cond [truncated]":                          "cuda-driver-too-old",
		"services.llm.deploy.resources.reservations value Additional propert":                            "compose-too-old",
		"Unable to read the model\nUnable to write to the index":                                         "",
		"libcublas.so.12": "",
		"amdgpu 0000:03:00.0\nE: DataLoader worker (pid 41) is killed by signal: Bus error. It is possible that da": "shm-too-small",
	} {
		if got := first(ExplainString("", text)); got != want {
			t.Errorf("%q is explained as %q, want %q", text, got, want)
		}
	}
}

// What typesetters, browsers and tools that draw frames make of a message does not change its answer.
func TestExplainTypeset(t *testing.T) {
	const want = "cdi-spec-missing"
	for _, text := range []string{
		"setting up CDI devices‑: unresolvable CDI devices nvidia.com/gpu=all",
		"setting up CDI devices&#58; unresolvable&nbsp;CDI devices nvidia.com&#x2F;gpu&#61;all",
		"**setting** up **CDI** `devices`: **unresolvable** CDI devices nvidia.com/gpu=all",
		"setting up CDI devices： unresolvable\u2028CDI devices nvidia.com/gpu＝all",
		"setting%20up%20CDI%20devices%3A%20unresolvable%20CDI%20devices%20nvidia.com%2Fgpu%3Dall",
		"│ setting up CDI devices: unre │\n│ solvable CDI devices nvidia.co │\n│ m/gpu=all                      │",
		"setting up CDI devices: unresol↵\nvable CDI devices nvidia.com/gpu=all",
		"setting up CDI devices: unresolvable CDI \\\n    devices nvidia.com/gpu=all",
		"setting up CDI devices: unresol…\n…vable CDI devices nvidia.com/gpu=all",
		"> starting the pod now on this machine, and then: setting up C\n> DI devices: unresolvable CDI devices nvidia.com/gpu=all",
		"setting up CDI devices: unresolvable\nCDI devices nvidia.com/gpu=all and see\nhttps://example.com/some/long/page/that/has/no/blank/in/it",
		"{\n  \"lines\": [\n    \"podman run\",\n    \"setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all\"\n  ]\n}",
	} {
		if got := first(ExplainString("", text)); got != want {
			t.Errorf("%q is explained as %q", text, got)
		}
	}
	for text, want := range map[string]string{"ﬁle ﬂow oﬃce": "file flow office", "a − b": "a - b", "** x ** y": "x  y", "*** x": "*** x", "nvidia–smi": "nvidia-smi", "run –gpus": "run –gpus", "50%20": "50%20"} {
		if got := canon([]byte(text)); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func countCutMessages(t *testing.T) {
	type report struct {
		ids  []ID
		text string
	}
	var reports []report
	for _, c := range readCorpus(t, "dev") {
		r := report{ids: append([]ID{c.Expect}, c.Also...)}
		var b strings.Builder
		for line := range strings.Lines(c.Text) {
			b.WriteString(uncounted(canon([]byte(line))))
			b.WriteByte(' ')
		}
		r.text = b.String()
		reports = append(reports, r)
	}
	messages := parseCutMessages(cutMessagesText)
	shared := func(m *cutMessage, part string) bool {
		for _, o := range messages {
			if o.id != m.id && strings.Contains(o.text, part) && o.text != part {
				return true
			}
		}
		if len(part) < cutPlainMin && !telling.MatchString(part) {
			return true
		}
		own, others, none := 0, 0, 0
		for _, r := range reports {
			if !strings.Contains(r.text, part) {
				continue
			}
			switch {
			case r.ids[0] == m.id:
				own++
			case r.ids[0] == "" || r.ids[0] == "healthy":
				none++
			case !slices.Contains(r.ids, m.id):
				others++
			}
		}
		return others*4 > own || none*30 > own
	}
	var out strings.Builder
	i := 0
	for line := range strings.Lines(cutMessagesText) {
		m := &messages[i]
		i++
		head, tail := 0, 0
		from := cutHeadMin
		if file := strings.Index(m.text, ": "); file > 0 && strings.ContainsAny(m.text[:file], "./") && !strings.Contains(m.text[:file], " ") { // a file's name alone says nothing
			from = max(from, file+3)
		}
		for n := from; n <= len(m.text)-cutMissing && head == 0; n++ {
			if !shared(m, m.text[:n]) {
				head = n
			}
		}
		for n := cutTailMin; n <= len(m.text)-cutMissing && tail == 0; n++ {
			if !shared(m, m.text[len(m.text)-n:]) {
				tail = n
			}
		}
		if head == 0 && tail == 0 {
			t.Logf("left out: %s", line)
			continue
		}
		parts := strings.SplitN(line, " ", 4)
		fmt.Fprintf(&out, "%s %d %d %s", parts[0], head, tail, parts[3])
	}
	if err := os.WriteFile("cutmessages.txt", []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	cutMessagesText = out.String()
}
