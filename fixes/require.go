package fixes

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// What an image demands of driver and GPU stands in its NVIDIA_REQUIRE_* variables. All of them must
// hold; within one, blanks separate alternatives and commas join conditions; it is evaluated once for
// each GPU that the container would see, and once without a GPU where it would see none. The rules are
// those of libnvidia-container's src/cli/dsl.c, which is what decides in the toolkit's legacy mode; CDI
// and jit-cdi never check.

// Verdict of a requirement's parts: met, not met, or not known because the value is not.
type Met int

// The three answers; libnvidia-container counts an unknown value as met.
const (
	MetUnknown Met = iota
	MetNo
	MetYes
)

// MarshalJSON writes true, false or null.
func (m Met) MarshalJSON() ([]byte, error) {
	return []byte(map[Met]string{MetUnknown: "null", MetNo: "false", MetYes: "true"}[m]), nil
}

// Requirement is one NVIDIA_REQUIRE_* variable held against one GPU.
type Requirement struct {
	Variable     string        `json:"variable"`
	Value        string        `json:"value"`
	Satisfied    Met           `json:"satisfied"`
	Invalid      string        `json:"invalid,omitempty"` // why the rules refuse the expression; the start fails on it
	Alternatives []Alternative `json:"alternatives"`
}

// Alternative is what stands between two blanks: conditions that must all hold.
type Alternative struct {
	Text       string      `json:"text"`
	Satisfied  Met         `json:"satisfied"`
	Conditions []Condition `json:"conditions"`
}

// Condition is one comparison, with the value that it was compared with; Have is empty where that is not
// known.
type Condition struct {
	Text      string `json:"text"`
	Property  string `json:"property"`
	Operator  string `json:"operator"`
	Want      string `json:"want"`
	Have      string `json:"have,omitempty"`
	Satisfied Met    `json:"satisfied"`
}

// RequireFacts are the values that conditions are held against: CUDA version of the driver, driver
// version, compute capability and brand of the GPU. An empty one is not known.
type RequireFacts struct{ CUDA, Driver, Arch, Brand string }

// factsOf are the values of one GPU of a Snapshot; gpu nil is "no GPU visible".
func factsOf(s *inspect.Snapshot, gpu *inspect.GPU) RequireFacts {
	var f RequireFacts
	if d := s.Driver; d != nil {
		f.CUDA, f.Driver = d.CUDAVersion, d.ModuleVersion
		if f.Driver == "" {
			f.Driver = d.Version
		}
	}
	if gpu != nil {
		f.Arch, f.Brand = gpu.ComputeCapability, gpu.Brand
	}
	return f
}

var errExpression = errors.New("invalid expression")

// EvaluateRequirement holds one variable's value against facts. All alternatives are evaluated, to be
// shown; an invalid one makes the whole invalid only where libnvidia-container would come to it: it
// stops at the first alternative that holds, and within one at the first condition that does not.
func EvaluateRequirement(variable, value string, facts RequireFacts) Requirement {
	r := Requirement{Variable: variable, Value: value, Satisfied: MetYes, Alternatives: []Alternative{}}
	decided := false // an alternative held: what follows is not looked at
	for text := range strings.SplitSeq(value, " ") {
		if text == "" {
			continue
		}
		a := Alternative{Text: text, Satisfied: MetYes, Conditions: []Condition{}}
		conditions := 0
		for part := range strings.SplitSeq(text, ",") {
			if part == "" {
				continue
			}
			conditions++
			c, err := evaluateCondition(part, facts)
			if err != nil {
				if !decided && a.Satisfied != MetNo && r.Invalid == "" {
					r.Invalid = fmt.Sprintf("%s: %s", part, err)
				}
				c.Satisfied = MetNo
			}
			a.Conditions = append(a.Conditions, c)
			switch {
			case c.Satisfied == MetNo:
				a.Satisfied = MetNo
			case c.Satisfied == MetUnknown && a.Satisfied == MetYes:
				a.Satisfied = MetUnknown
			}
		}
		if conditions == 0 { // nothing but commas: no condition, and no alternative
			continue
		}
		r.Alternatives = append(r.Alternatives, a)
		decided = decided || a.Satisfied != MetNo
	}
	if len(r.Alternatives) > 0 {
		r.Satisfied = MetNo
		for _, a := range r.Alternatives {
			if a.Satisfied == MetYes || a.Satisfied == MetUnknown && r.Satisfied == MetNo {
				r.Satisfied = a.Satisfied
			}
		}
	}
	if r.Invalid != "" {
		r.Satisfied = MetNo
	}
	return r
}

// operators in the order in which dsl.c tries them. It compares only as many characters as the
// expression has, so a lone "!" is "!=".
var operators = []string{"=", "!=", "<", "<=", ">", ">="}

func evaluateCondition(text string, facts RequireFacts) (Condition, error) {
	c := Condition{Text: text}
	at := strings.IndexAny(text, "<>=!")
	if at <= 0 {
		return c, fmt.Errorf("%w: no property and operator", errExpression)
	}
	rest := text[at:]
	length := len(rest) - len(strings.TrimLeft(rest, "<>=!"))
	i := slices.IndexFunc(operators, func(op string) bool { return strings.HasPrefix(op, rest[:length]) })
	c.Property, c.Want = strings.ToLower(text[:at]), rest[length:]
	if i < 0 {
		return c, fmt.Errorf("%w: no operator %q", errExpression, rest[:length])
	}
	c.Operator = operators[i]
	if c.Want == "" {
		return c, fmt.Errorf("%w: nothing to compare with", errExpression)
	}
	switch c.Property {
	case "cuda":
		c.Have = facts.CUDA
	case "driver":
		c.Have = facts.Driver
	case "arch":
		c.Have = facts.Arch
	case "brand":
		if c.Have = facts.Brand; c.Operator != "=" && c.Operator != "!=" && c.Have != "" {
			return c, fmt.Errorf("%w: brand knows = and != only", errExpression)
		}
	default:
		return c, fmt.Errorf("%w: unknown property %q", errExpression, c.Property)
	}
	if c.Have == "" {
		return c, nil
	}
	if c.Property == "brand" {
		c.Satisfied = met(strings.EqualFold(c.Have, c.Want) == (c.Operator == "="))
		return c, nil
	}
	holds, err := compareRequired(c.Have, c.Operator, c.Want)
	c.Satisfied = met(holds)
	return c, err
}

func met(yes bool) Met {
	if yes {
		return MetYes
	}
	return MetNo
}

// compareRequired compares dotted numbers as dsl.c does: number by number, trailing zeros count for
// nothing, anything but digits and dots is refused.
func compareRequired(have, operator, want string) (bool, error) {
	for _, v := range []string{have, want} {
		if strings.Trim(v, "0123456789.") != "" || strings.HasPrefix(v, ".") {
			return false, fmt.Errorf("%w: %q is no version", errExpression, v)
		}
	}
	order := compareDotted(single(have), single(want))
	switch operator {
	case "=":
		return order == 0, nil
	case "!=":
		return order != 0, nil
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	}
	return order >= 0, nil
}

// single takes repeated dots as one, as dsl.c skips them.
func single(version string) string {
	return strings.Join(strings.FieldsFunc(version, func(r rune) bool { return r == '.' }), ".")
}

// Requirements evaluates all variables of an image for one GPU (nil: none visible), sorted by name. A
// legacy CUDA image, which has none, demands its CUDA_VERSION.
func Requirements(image *inspect.Image, facts RequireFacts) []Requirement {
	found := []Requirement{}
	if image.DisableRequire {
		return found
	}
	var names []string
	for name := range image.Require {
		if !strings.HasPrefix(name, "NVIDIA_REQUIRE_JETPACK") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		found = append(found, EvaluateRequirement(name, image.Require[name], facts))
	}
	if image.Legacy {
		if v := inspect.MajorMinor(image.CUDAVersion); v != "" {
			found = append(found, EvaluateRequirement("CUDA_VERSION", "cuda>="+v, facts))
		}
	}
	return found
}
