package fixes

import (
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// A text is what somebody said: a container's log, its health check, the engine on why it did not start.
type text struct {
	source    string
	container *inspect.Container
	text      string
}

// explainTexts explains what was said with the same table as `docker gpu explain`. Where the facts of now
// rule a cause out, an old message of it is doubtful and only related.
func explainTexts(s *inspect.Snapshot, scope Scope, ruledOut map[ID]bool, found []Finding) (said, doubtful []Finding) {
	for _, t := range texts(s, scope) {
		e := ExplainString(t.source, t.text)
		for i, f := range slices.Concat(e.Findings, e.Related) {
			if f.ID == "healthy" || f.ID == "not-gpu-related" {
				continue
			}
			for e := range f.Evidence {
				f.Evidence[e].Source, f.Evidence[e].Line = t.source, 0
			}
			if t.container != nil {
				f.Container = t.container.Name
			}
			if t.container != nil && f.ID == "gpu-not-requested" && driverInside(t.container) {
				f = notLoaded(t.container, f)
				if f.ID == "gpu-not-requested" || i > 0 || !recent(s, t.container) && !scope.Has(t.container) { // it did ask
					doubtful = append(doubtful, f)
				} else {
					said = append(said, f)
				}
				continue
			}
			explained := false
			for _, g := range found {
				explained = explained || g.ID == f.ID || explains(g.ID, f.ID) && (g.Container == "" || g.Container == f.Container)
			}
			switch {
			case explained: // the facts know its cause, under which it is folded
				said = append(said, f)
			case i > 0 || ruledOut[f.ID] || t.container != nil && !recent(s, t.container) && !scope.Has(t.container):
				doubtful = append(doubtful, f)
			default:
				said = append(said, f)
			}
		}
	}
	return said, doubtful
}

// driverInside tells if a container was given GPUs together with the driver's libraries: of --privileged and single
// devices there are the nodes alone.
func driverInside(c *inspect.Container) bool {
	return slices.ContainsFunc(c.Grant.By, func(by string) bool {
		return by == inspect.ByGPUs || by == inspect.ByCDI || by == inspect.ByRuntime || by == inspect.ByDefaultRuntime
	})
}

var driverLibraryUnfound = lazy(`lib(cuda|nvidia-ml)\.so[.0-9]*\W{0,3} cannot open shared object file`)

// notLoaded is what it means when a program in a container that was given the driver's libraries finds none: they are
// there, and its loader does not know the folder. Seen where the image's /etc/ld.so.conf has no "include
// /etc/ld.so.conf.d/*.conf", in which the toolkit names it. Any other message comes back as it was.
func notLoaded(c *inspect.Container, f Finding) Finding {
	said := slices.ContainsFunc(f.Evidence, func(e Evidence) bool { return driverLibraryUnfound().MatchString(e.Text) })
	if !said || len(c.Grant.Capabilities) > 0 && !slices.Contains(c.Grant.Capabilities, "compute") && !slices.Contains(c.Grant.Capabilities, "all") {
		return f
	}
	loader := NewFinding("ldconfig-missing", append(f.Evidence, ofContainer(c, "GPU and driver libraries given by %s", strings.Join(c.Grant.By, ", ")))...)
	loader.Container = c.Name
	loader.Title = "The container's loader does not find the driver's libraries"
	loader.Cause = "The container was given the GPU and the driver's libraries, and its loader's cache does not have their folder: ldconfig did not run in it, or its image's /etc/ld.so.conf leaves out /etc/ld.so.conf.d."
	loader.Steps = []string{
		"See whether the container's loader knows the library: docker exec " + c.Name + " ldconfig -p",
		"See in which folder the library is: docker exec " + c.Name + " find / -name 'libcuda.so*'",
		"Name that folder to the loader when the container is started: -e LD_LIBRARY_PATH=/usr/local/nvidia/lib64",
	}
	loader.Question = ""
	return loader
}

// mostEngineLines are the last lines of the engine's log that are read for why it stopped.
const mostEngineLines = 40

// texts are those of the containers that have to do with a GPU or were asked about, and the
// engine's log where it is away.
func texts(s *inspect.Snapshot, scope Scope) []text {
	var all []text
	if e := s.Engine; e != nil && e.Version == "" && len(s.EngineLog) > 0 { // why it stopped
		var lines []string
		for _, line := range s.EngineLog[max(0, len(s.EngineLog)-mostEngineLines):] {
			lines = append(lines, line.Text)
		}
		all = append(all, text{"engine log", nil, strings.Join(lines, "\n")})
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		if !ConcernsGPU(c) && !scope.Has(c) {
			continue
		}
		if c.Error != "" && c.State != "running" {
			all = append(all, text{"container " + c.Name + ": error", c, c.Error})
		}
		if c.Output == nil {
			continue
		}
		if len(c.Output.Health) > 0 && c.Health == "unhealthy" {
			all = append(all, text{"container " + c.Name + ": health check", c, c.Output.Health[len(c.Output.Health)-1]})
		}
		if len(c.Output.Log) > 0 {
			all = append(all, text{"container " + c.Name + ": log", c, strings.Join(c.Output.Log, "\n")})
		}
	}
	return all
}
