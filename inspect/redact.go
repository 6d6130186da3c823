package inspect

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Redactor takes out of facts and texts what names people and machines: host and user names, home
// folders, addresses, values of the environment other than NVIDIA's, labels, command lines, tokens. The
// same name always becomes the same stand-in (host-1, user-2), in every field and in every text, so that
// what belongs together is still seen to belong together.
//
// It works the safe way round: a string field is replaced whole unless a rule of redactRules lets it
// through, and a rule lets through only values of its own shape. A field that is new to the Snapshot is
// therefore replaced until somebody writes a rule for it.
type Redactor struct {
	stands map[string]string // lower-cased name → stand-in
	taken  map[string]bool   // strings of the Snapshot that look like stand-ins: never given to another
	counts map[string]int
	known  []knownName // names to look for in running text, longest first
}

type knownName struct{ name, kind string }

// Identity is what the caller knows of who and where it is, and what the Snapshot may not say.
type Identity struct {
	Hosts []string
	Users []string
	Homes []string
}

// NewRedactor learns the names that the Snapshot holds. The Snapshot is not changed.
func NewRedactor(s *Snapshot, identity Identity) *Redactor {
	r := &Redactor{stands: map[string]string{}, taken: map[string]bool{}, counts: map[string]int{}}
	eachString(reflect.ValueOf(s), "", "", func(_, text string) {
		if _, _, ok := standIn(text); ok {
			r.taken[text] = true
		}
	})
	for _, h := range identity.Hosts {
		r.learn("host", h)
	}
	for _, u := range identity.Users {
		r.learn("user", u)
	}
	for _, home := range identity.Homes {
		if folder := home[strings.LastIndexAny(home, `/\`)+1:]; folder != "root" {
			r.learn("user", folder)
		}
	}
	eachString(reflect.ValueOf(s), "", "", func(field, text string) {
		switch field {
		case "Host.Name", "Engine.Name":
			r.learn("host", text)
		case "User.Groups":
			r.learn("user", text)
		case "Container.Name":
			r.learn("container", text)
		case "Container.Image":
			if repository, _ := splitImage(text); !publicImage.MatchString(repository) {
				r.learn("image", repository)
			}
		case "Container.ComposeProject", "Project.Name":
			r.learn("project", text)
		case "Container.ComposeService", "GPUService.Name":
			r.learn("service", text)
		case "Engine.Context":
			if text != "default" && text != "desktop-linux" {
				r.learn("context", text)
			}
		}
		for _, m := range homeFolder.FindAllStringSubmatch(text, -1) {
			r.learn("user", m[1])
		}
	})
	slices.SortStableFunc(r.known, func(a, b knownName) int { return len(b.name) - len(a.name) })
	return r
}

// learn makes a name known in running text, too. Words of the trade stay: a container named "cuda" must
// not turn every error about CUDA into one about container-1.
func (r *Redactor) learn(kind, name string) {
	name = strings.TrimSpace(name)
	if kind == "host" {
		if short, _, dotted := strings.Cut(name, "."); dotted && !isDigits(strings.ReplaceAll(name, ".", "")) && len(short) > 2 {
			r.remember(kind, short)
			r.stands[strings.ToLower(name)] = r.stand(kind, short)
		}
	}
	r.remember(kind, name)
}

func (r *Redactor) remember(kind, name string) {
	lower := strings.ToLower(name)
	if len(name) < 3 || isDigits(name) || plainWords()[lower] || slices.ContainsFunc(r.known, func(k knownName) bool { return k.name == lower }) {
		return
	}
	if _, _, already := standIn(name); already {
		return
	}
	r.known = append(r.known, knownName{lower, kind})
}

// stand is the stand-in of a name; names that are stand-ins already stay.
func (r *Redactor) stand(kind, name string) string {
	if name == "" {
		return ""
	}
	if _, _, already := standIn(name); already {
		return name
	}
	key := strings.ToLower(name)
	if s, ok := r.stands[key]; ok {
		return s
	}
	for _, k := range r.known {
		if k.name == key {
			kind = k.kind
			break
		}
	}
	for {
		r.counts[kind]++
		s := kind + "-" + strconv.Itoa(r.counts[kind])
		if kind == "id" { // ids keep their form: a cgroup's path is still read as one
			s = strings.Repeat("0", 64-len(strconv.Itoa(r.counts[kind]))) + strconv.Itoa(r.counts[kind])
		}
		if !r.taken[s] {
			r.stands[key] = s
			return s
		}
	}
}

// Replaced counts the different names that were replaced so far, by kind.
func (r *Redactor) Replaced() map[string]int {
	counts := map[string]int{}
	for _, s := range r.stands {
		if kind, _, ok := standIn(s); ok {
			counts[kind]++
		}
	}
	return counts
}

// standIn takes a stand-in apart.
func standIn(s string) (kind string, number int, ok bool) {
	if len(s) == 64 && strings.HasPrefix(s, "00000000000000000000") && isDigits(s) {
		number, err := strconv.Atoi(s)
		return "id", number, err == nil
	}
	kind, digits, ok := strings.Cut(s, "-")
	if !ok || !standKinds()[kind] || !isDigits(digits) || len(digits) > 6 || digits[0] == '0' {
		return "", 0, false
	}
	number, err := strconv.Atoi(digits)
	return kind, number, err == nil
}

// Snapshot is a redacted copy of s.
func (r *Redactor) Snapshot(s *Snapshot) *Snapshot {
	return r.copy(reflect.ValueOf(s), "", "").Interface().(*Snapshot)
}

var timeType = reflect.TypeFor[time.Time]()

// copy copies a value, strings replaced by the rule of the field they stand in. field is "Type.Field",
// for keys of maps "Type.Field[key]".
func (r *Redactor) copy(v reflect.Value, owner, field string) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return v
		}
		inner := r.copy(v.Elem(), owner, field)
		if v.Kind() == reflect.Interface {
			out := reflect.New(v.Type()).Elem()
			out.Set(inner)
			return out
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(inner)
		return out
	case reflect.Struct:
		if v.Type() == timeType {
			return v
		}
		out := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.PkgPath != "" && !f.Anonymous {
				continue // not exported: no part of the JSON
			}
			out.Field(i).Set(r.copy(v.Field(i), v.Type().Name(), v.Type().Name()+"."+f.Name))
		}
		return out
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return reflect.MakeSlice(v.Type(), 0, 0) // raw bytes: nothing is known of what they hold
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(r.copy(v.Index(i), owner, field))
		}
		return out
	case reflect.Array:
		out := reflect.New(v.Type()).Elem()
		for i := range v.Len() {
			out.Index(i).Set(r.copy(v.Index(i), owner, field))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeMap(v.Type())
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			out.SetMapIndex(r.copy(key, owner, field+"[key]"), r.copy(v.MapIndex(key), owner, field))
		}
		return out
	case reflect.String:
		out := reflect.New(v.Type()).Elem()
		out.SetString(r.field(field, v.String()))
		return out
	}
	return v
}

func (r *Redactor) field(field, text string) string {
	if text == "" {
		return ""
	}
	if rule, ok := redactRules()[field]; ok {
		return rule(r, text)
	}
	return r.stand("redacted", text)
}

// eachString calls visit for every string of v, with the field that it stands in.
func eachString(v reflect.Value, owner, field string, visit func(field, text string)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			eachString(v.Elem(), owner, field, visit)
		}
	case reflect.Struct:
		if v.Type() == timeType {
			return
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.PkgPath == "" || f.Anonymous {
				eachString(v.Field(i), v.Type().Name(), v.Type().Name()+"."+f.Name, visit)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			eachString(v.Index(i), owner, field, visit)
		}
	case reflect.Map:
		for _, key := range slices.SortedFunc(maps.Keys(mapOf(v)), strings.Compare) {
			visit(field+"[key]", key)
			eachString(mapOf(v)[key], owner, field, visit)
		}
	case reflect.String:
		visit(field, v.String())
	}
}

func mapOf(v reflect.Value) map[string]reflect.Value {
	m := make(map[string]reflect.Value, v.Len())
	for it := v.MapRange(); it.Next(); {
		m[it.Key().String()] = it.Value()
	}
	return m
}
