package fixes

import (
	"bytes"
	"slices"
)

// A setting is the text in which a symptom's demands on what else is said are to hold. In the log of a compose project
// that is what the same service says, and what stands there without a service: another one's "connection refused" tells
// nothing of this one. Nor does what other programs print between the lines, if it is about neither GPUs nor containers.
type setting struct {
	text     [2]string // as lines, and with wraps undone
	squashed string
	known    map[string]bool // expressions tried on it
}

// around is the setting of a line; of -1, the whole window.
func (w *window) around(line int) *setting {
	if w.services == nil {
		w.services = w.lineServices()
	}
	service := everything
	if line >= 0 {
		service = w.services[line]
	}
	parts := w.parts()
	besides := w.hasAside && line >= 0 && parts[line] != aside // what stands aside says nothing of what does not
	name := service
	if besides {
		name += "!"
	}
	return w.setting(name, func(i int) bool {
		of := w.services[i]
		return !(besides && parts[i] == aside) && (service == everything || service == otherOutput || of == service || of == noService)
	})
}

// byPerson is the setting of what a person may have written beside a log.
func (w *window) byPerson() *setting {
	return w.setting(person, func(i int) bool { return !w.byProgram(i) && w.services[i] != otherOutput })
}

// setting is the one of this name in this window, made of these lines when it is asked for first.
func (w *window) setting(name string, of func(line int) bool) *setting {
	in := w.settings[name]
	if in == nil {
		in = &setting{text: w.wholeText(of), known: map[string]bool{}}
		in.squashed = squash(in.text[0])
		w.settings[name] = in
	}
	return in
}

const (
	noService    = ""
	otherOutput  = "-" // of a program that has to do neither with GPUs nor with containers
	everything   = "*"
	person       = "&"
	mostServices = 32 // in more settings than so many nothing is looked for
	settingMax   = 256 << 10
)

// ofOurs is what has to do with GPUs, with what runs on them, or with containers.
var ofOurs = lazy(`(?i)gpu|nvidia|nvml|nvrm|nouveau|cuda|cudnn|cublas|nccl|nvenc|nvdec|nvlink|\bxid\b|\bmig\b|\bmps\b|\bcdi\b|geforce|tesla|quadro|\b[rg]tx\b|/dev/dri|dxg|wsl|driver|module|dkms|kernel|docker|container|podman|compose|runc|kube|\bpods?\b|torch|tensor|jax|xla|onnx|llama|vllm|model|train|libcu|vram|out of memory|oom|killed|shm|shared memory|bus error|cgroup|apparmor|selinux|avc:|secure ?boot|thermal|throttl|\bpci|vfio|iommu|gsp|firmware|aer:`)

// servicePrefix is docker compose's: the container's name, which ends in its number unless the service gives it another.
var servicePrefix = lazy(`^(?:\x1b\[[\d;]*m)*([A-Za-z][\w.-]{0,62}?)([-_]\d+)? +\|(?: |\x1b|\r?$)`)

// inPart tells if a text is so long that it is seen in part only.
func (w *window) inPart() bool { return w.forgotten || len(w.buf) > settingMax }

// lineServices names the service of each line, where several speak. Of a log so long that it is seen in part only, nobody
// can say who speaks of what: there, as where nobody but one speaks, all lines have one setting.
func (w *window) lineServices() []string {
	together := slices.Repeat([]string{everything}, len(w.lines))
	if w.inPart() {
		return together
	}
	services, lines, numbered := make([]string, len(w.lines)), map[string]int{}, map[string]bool{}
	for i := range w.lines {
		line := w.bytes(i)
		line = line[:min(len(line), 100)]
		if bytes.IndexByte(line, '|') < 2 {
			continue
		}
		if m := servicePrefix().FindSubmatch(line); m != nil {
			services[i] = string(m[1]) + string(m[2])
			lines[services[i]]++
			numbered[services[i]] = numbered[services[i]] || len(m[2]) > 0
		}
	}
	speak := 0
	for name, n := range lines {
		if n > 1 || numbered[name] {
			speak++
		} else {
			lines[name] = 0 // a table's row, more likely
		}
	}
	for i, name := range services {
		if speak < 2 || speak > mostServices || lines[name] == 0 {
			services[i] = noService
		}
		if line := w.bytes(i); services[i] == noService && w.writer(i) == printout && !ofOurs().Match(line) {
			services[i] = otherOutput
		}
	}
	if !slices.ContainsFunc(services, func(name string) bool { return name != noService }) {
		return together
	}
	return services
}
