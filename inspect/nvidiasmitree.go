package inspect

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
)

// smiElement is an element of nvidia-smi's XML.
type smiElement struct {
	name, content string
	id            string // attribute id, of a GPU: its address
	elements      []*smiElement
}

// What a log is at most: one of 16 GPUs has some thousand elements, clocks left out.
const (
	mostSMIElements = 200_000
	mostSMIDepth    = 32
)

// parseSMITree reads the document into a tree. The document type is named in it and never fetched, and
// entities other than XML's own five are errors.
func parseSMITree(data []byte) (*smiElement, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	root := &smiElement{}
	open := []*smiElement{root}
	for count := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		top := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local == "supported_clocks" { // thousands of lines that nobody asked for
				if err := d.Skip(); err != nil {
					return nil, err
				}
				continue
			}
			if count++; count > mostSMIElements || len(open) > mostSMIDepth {
				return nil, errors.New("more elements than any machine has")
			}
			e := &smiElement{name: t.Name.Local}
			for _, a := range t.Attr {
				if a.Name.Local == "id" {
					e.id = a.Value
				}
			}
			top.elements = append(top.elements, e)
			open = append(open, e)
		case xml.EndElement:
			top.content = strings.TrimSpace(top.content)
			open = open[:len(open)-1]
		case xml.CharData:
			top.content += string(t)
		}
	}
	for _, e := range root.elements {
		if e.name == "nvidia_smi_log" {
			return e, nil
		}
	}
	return nil, errors.New("no nvidia_smi_log in its XML")
}

// at is the element that names lead to; an empty one where there is none.
func (e *smiElement) at(names ...string) *smiElement {
	for _, name := range names {
		next := &smiElement{}
		for _, c := range e.elements {
			if c.name == name {
				next = c
				break
			}
		}
		e = next
	}
	return e
}

func (e *smiElement) all(name string) (found []*smiElement) {
	for _, c := range e.elements {
		if c.name == name {
			found = append(found, c)
		}
	}
	return found
}

// text is what an element says, or empty where it says that there is nothing to say.
func (e *smiElement) text(names ...string) string {
	s := e.at(names...).content
	switch strings.Trim(s, "[]") {
	case "N/A", "Not Supported", "Unknown Error", "Insufficient Permissions", "Not Available", "GPU is lost", "GPU requires reset", "Requested functionality has been deprecated":
		return ""
	}
	return s
}

// number is the number at the start of what an element says, its unit aside.
func (e *smiElement) number(names ...string) *float64 {
	word, _, _ := strings.Cut(e.text(names...), " ")
	v, err := strconv.ParseFloat(strings.TrimRight(word, "x%"), 64)
	if err != nil || v < -1e18 || v > 1e18 || v != v {
		return nil
	}
	return &v
}

// whole is a number in another unit, without what is behind the point; nil where T cannot hold it.
func whole[T int | uint32 | uint64](v *float64, by float64) *T {
	if v == nil || *v < 0 {
		return nil
	}
	if t := T(*v * by); math.Abs(float64(t)-*v*by) < 1 {
		return &t
	}
	return nil
}

func (e *smiElement) bytes(names ...string) *uint64   { return whole[uint64](e.number(names...), 1<<20) }
func (e *smiElement) count(names ...string) *uint64   { return whole[uint64](e.number(names...), 1) }
func (e *smiElement) count32(names ...string) *uint32 { return whole[uint32](e.number(names...), 1) }
func (e *smiElement) integer(names ...string) *int    { return whole[int](e.number(names...), 1) }

// first is the number of the first of several names that one thing has had in the course of time.
func (e *smiElement) first(names ...string) *float64 {
	for _, name := range names {
		if v := e.number(name); v != nil {
			return v
		}
	}
	return nil
}

// on reads Enabled and Disabled, Yes and No.
func (e *smiElement) on(names ...string) *bool {
	switch e.text(names...) {
	case "Enabled", "Yes":
		return ptr(true)
	case "Disabled", "No":
		return ptr(false)
	}
	return nil
}
