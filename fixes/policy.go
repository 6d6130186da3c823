package fixes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// Policy says which containers may have a GPU: those that at least one rule allows.
type Policy struct {
	Version int    `yaml:"version"`
	Allow   []Rule `yaml:"allow"`
}

// Rule allows GPU access to the containers that all of its selectors match, within all of its limits.
// A selector or limit that is absent matches everything, but privileges: those must be allowed by name.
// Patterns are those of file names: * and ? stand for what they stand for there, * for slashes too.
type Rule struct {
	Name string `yaml:"name"`

	Images     []string          `yaml:"images"`     // patterns of the image as it was asked for
	Projects   []string          `yaml:"projects"`   // patterns of the compose project
	Containers []string          `yaml:"containers"` // patterns of the container's name
	Labels     map[string]string `yaml:"labels"`     // label: pattern
	Users      []string          `yaml:"users"`      // user or user:group that the container runs as; root is ""

	GPUs         []string `yaml:"gpus"`         // GPUs that it may have: index, UUID, GPU:INDEX, MIG-UUID
	MaxGPUs      *int     `yaml:"maxGPUs"`      // how many it may have
	Capabilities []string `yaml:"capabilities"` // driver capabilities that it may have
	Grants       []string `yaml:"grants"`       // ways that it may come to them: gpus, cdi, runtime, …
	Privileged   bool     `yaml:"privileged"`   // whether it may be privileged
}

// mostPolicy bounds a policy file.
const mostPolicy = 1 << 20

// grantWays are the values that grants may have.
var grantWays = []string{inspect.ByGPUs, inspect.ByCDI, inspect.ByRuntime, inspect.ByDefaultRuntime, inspect.ByDevice, inspect.ByDXG, inspect.ByCgroupRule, inspect.ByVolumeMounts, inspect.BySwarm, inspect.ByPrivileged}

// ParsePolicy reads a policy strictly: an unknown key, a wrong kind of value or a pattern that is none is
// an error that names its line.
func ParsePolicy(data []byte) (*Policy, error) {
	if len(data) > mostPolicy {
		return nil, errors.New("is larger than 1 MiB")
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var p Policy
	if err := dec.Decode(&p); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("is empty; docker gpu audit --print-policy prints an example")
		}
		return nil, plainYAML(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one document")
	}
	if p.Version != 1 {
		return nil, fmt.Errorf("version is %d; this docker gpu reads version 1", p.Version)
	}
	for i, r := range p.Allow {
		where := fmt.Sprintf("allow[%d]", i)
		if r.Name != "" {
			where = fmt.Sprintf("rule %q", r.Name)
		}
		patterns := slices.Concat(r.Images, r.Projects, r.Containers, r.Users)
		for _, pattern := range r.Labels {
			patterns = append(patterns, pattern)
		}
		for _, pattern := range patterns {
			if _, err := path.Match(pattern, ""); err != nil {
				return nil, fmt.Errorf("%s: %q is not a pattern: %w", where, pattern, err)
			}
		}
		for _, way := range r.Grants {
			if !slices.Contains(grantWays, way) {
				return nil, fmt.Errorf("%s: grants: there is no way %q; there are %s", where, way, strings.Join(grantWays, ", "))
			}
		}
		if r.MaxGPUs != nil && *r.MaxGPUs < 0 {
			return nil, fmt.Errorf("%s: maxGPUs is %d, less than 0", where, *r.MaxGPUs)
		}
	}
	return &p, nil
}

// plainYAML says a decoder's error in the user's words: "line 3: unknown key colour".
func plainYAML(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(text, "unmarshal errors:"), "construct errors:"))
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if where, field, ok := strings.Cut(line, ": field "); ok {
			if field, _, ok = strings.Cut(field, " not found in type "); ok {
				line = where + ": unknown key " + field
			}
		}
		line = strings.ReplaceAll(strings.ReplaceAll(line, "fixes.Policy", "a policy"), "fixes.Rule", "a rule")
		lines = append(lines, line)
	}
	return fmt.Errorf("%s", strings.Join(lines, "; "))
}

// Judgement is what a policy says of one container's GPU access.
type Judgement struct {
	Approved bool     `json:"approved"`
	Rule     string   `json:"rule,omitempty"`    // the rule that allows it
	Reasons  []string `json:"reasons,omitempty"` // why none does
}

// Judge holds a container's GPU access against the rules.
func (p *Policy) Judge(c *inspect.Container, gpus int) Judgement {
	var reasons []string
	for i, r := range p.Allow {
		name := r.Name
		if name == "" {
			name = fmt.Sprintf("allow[%d]", i)
		}
		if !r.selects(c) {
			continue
		}
		exceeded := r.exceeds(c, gpus)
		if len(exceeded) == 0 {
			return Judgement{Approved: true, Rule: name}
		}
		reasons = append(reasons, name+": "+strings.Join(exceeded, ", "))
	}
	if reasons == nil {
		reasons = []string{"no rule is about this container"}
	}
	return Judgement{Reasons: reasons}
}

func (r *Rule) selects(c *inspect.Container) bool {
	if !matchAny(r.Images, c.Image) || !matchAny(r.Projects, c.ComposeProject) || !matchAny(r.Containers, c.Name) || !matchAny(r.Users, c.Asks.User) {
		return false
	}
	for label, pattern := range r.Labels {
		if value, set := c.Labels[label]; !set || !match(pattern, value) {
			return false
		}
	}
	return true
}

// exceeds lists the limits of the rule that a container goes beyond. GPUs that could not be resolved to
// indexes are held against the names as they were asked for.
func (r *Rule) exceeds(c *inspect.Container, gpus int) []string {
	var over []string
	if c.Privileged && !r.Privileged {
		over = append(over, "is privileged")
	}
	if r.GPUs != nil && !slices.Contains(r.GPUs, "all") {
		for _, gpu := range c.Grant.GPUs {
			if !slices.Contains(r.GPUs, gpu) && !slices.ContainsFunc(c.Grant.UUIDs, func(uuid string) bool {
				return len(c.Grant.GPUs) == len(c.Grant.UUIDs) && slices.Contains(r.GPUs, uuid) && c.Grant.UUIDs[slices.Index(c.Grant.GPUs, gpu)] == uuid
			}) {
				over = append(over, "GPU "+gpu+" is not among its GPUs")
			}
		}
	}
	if r.MaxGPUs != nil {
		has := len(c.Grant.GPUs)
		if slices.Contains(c.Grant.GPUs, "all") {
			has = max(gpus, 1)
		}
		if has > *r.MaxGPUs {
			over = append(over, fmt.Sprintf("has %d GPUs, %d are allowed", has, *r.MaxGPUs))
		}
	}
	if r.Capabilities != nil && !slices.Contains(r.Capabilities, "all") {
		for _, capability := range c.Grant.Capabilities {
			if !slices.Contains(r.Capabilities, capability) {
				over = append(over, "capability "+capability+" is not allowed")
			}
		}
	}
	if r.Grants != nil {
		for _, way := range c.Grant.By {
			if !slices.Contains(r.Grants, way) {
				over = append(over, "access by "+way+" is not allowed")
			}
		}
	}
	return over
}

func matchAny(patterns []string, text string) bool {
	return patterns == nil || slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, text) })
}

// match is path.Match with a * that stands for slashes too: an image's name has them.
func match(pattern, text string) bool {
	const slash = "\x00"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(text, "/", slash))
	return err == nil && ok
}

// unapproved are the containers with GPU access that no rule allows.
func unapproved(s *inspect.Snapshot, p *Policy) []Finding {
	var found []Finding
	for i := range s.Containers {
		c := &s.Containers[i]
		if !holds(s, c) {
			continue
		}
		if j := p.Judge(c, len(s.GPUs)); !j.Approved {
			found = append(found, inContainer("audit-unapproved", c, ofContainer(c, "%s (%s)", strings.Join(c.Grant.Detail, ", "), c.Image), saw("policy", "%s", strings.Join(j.Reasons, "; "))))
		}
	}
	return found
}

// ExamplePolicy is what `audit --print-policy` prints: a policy to start from.
const ExamplePolicy = `# Who may have a GPU: docker gpu audit --policy FILE
# A container is approved if at least one rule allows it. A rule is about the containers that all of its
# selectors match; it allows them what lies within all of its limits. What a rule does not mention does not
# matter to it, but privileges: those must be allowed by name. Unknown keys are refused.
version: 1
allow:
  - name: training
    # Selectors. Patterns: * is any text, ? any one character.
    images: ["registry.example.com/ml/*", "nvcr.io/nvidia/pytorch:*"]
    projects: ["k8s-plugin", "train-*"]    # compose projects
    # containers: ["trainer-*"]            # names
    # labels: {team: "ml-*"}               # label: pattern; all of them
    # users: ["1000", "1000:1000"]         # as the container runs; "" is the image's own or root
    # Limits.
    gpus: ["0", "1"]                       # index, GPU-<uuid>, 0:1 or MIG-<uuid>; "all"
    maxGPUs: 2
    capabilities: [compute, utility]       # driver capabilities; [all]
    grants: [gpus, cdi, runtime]           # ways to a GPU: gpus cdi runtime default-runtime device dxg
                                           # device-cgroup-rule volume-mounts swarm privileged

  - name: monitoring
    images: ["*/docker-gpu:*", "nvcr.io/nvidia/k8s/dcgm-exporter:*"]
    capabilities: [utility]
`
