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
