package oracle

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// A site is a value in a tree, with the type that the kubelet decodes it into.
type site struct {
	kind  reflect.Type // nil where nothing is known there
	path  string
	name  string // the key it is under
	value any
	set   func(any)
	unset func()
}

// sites lists the values of a tree, from the root down.
func sites(root tree) []site {
	kind := reflect.TypeFor[corev1.Pod]()
	if root["kind"] == "PodList" {
		kind = reflect.TypeFor[corev1.PodList]()
	}
	var found []site
	var walk func(s site)
	walk = func(s site) {
		found = append(found, s)
		for s.kind != nil && s.kind.Kind() == reflect.Pointer {
			s.kind = s.kind.Elem()
		}
		switch value := s.value.(type) {
		case tree:
			for _, key := range slices.Sorted(maps.Keys(value)) {
				walk(site{
					kind: under(s.kind, key), path: s.path + "." + key, name: key, value: value[key],
					set: func(v any) { value[key] = v }, unset: func() { delete(value, key) },
				})
			}
		case []any:
			for i := range value {
				walk(site{
					kind: under(s.kind, ""), path: fmt.Sprintf("%s[%d]", s.path, i), name: s.name, value: value[i],
					set: func(v any) { value[i] = v }, unset: func() { s.set(slices.Delete(slices.Clone(value), i, i+1)) },
				})
			}
		}
	}
	walk(site{kind: kind, value: root, set: func(any) {}, unset: func() {}})
	return found
}

// under is the type of what lies in a type under a key, or in a list; nil when it has none.
func under(kind reflect.Type, key string) reflect.Type {
	switch {
	case kind == nil:
		return nil
	case kind.Kind() == reflect.Slice || kind.Kind() == reflect.Map:
		return kind.Elem()
	case kind.Kind() == reflect.Struct && !isLeaf(kind):
		return fieldsOf(kind)[key]
	}
	return nil
}

// isLeaf reports whether a struct decodes itself.
func isLeaf(kind reflect.Type) bool {
	return reflect.PointerTo(kind).Implements(reflect.TypeFor[json.Unmarshaler]())
}

// fieldsOf are the fields of a struct by their names in JSON.
func fieldsOf(kind reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(kind) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}

// mutate changes one thing in a tree.
func (m *maker) mutate(root tree) {
	all := sites(root)
	s := pick(m, all[1:])
	if m.IntN(3) > 0 { // most of a tree are leaves, most mistakes are higher up
		s = pick(m, all[1:1+len(all[1:])*2/3+1])
	}
	did := func(format string, args ...any) { m.done = append(m.done, fmt.Sprintf(format, args...)) }
	switch m.IntN(21) {
	case 0, 1:
		s.unset()
		did("without %s", s.path)
	case 2:
		s.set(m.wrongType())
		did("another type at %s", s.path)
	case 3:
		s.set(nil)
		did("null at %s", s.path)
	case 4:
		s.set(m.value(s.kind, s.name, 0))
		did("another value at %s", s.path)
	case 5:
		m.transplant(s, did)
	case 6, 7, 8, 9:
		m.add(all, did)
	case 10:
		m.misspell(all, did)
	case 11:
		m.repeat(all, did)
	case 12:
		m.number(all, did)
	case 13, 14:
		m.string(all, did)
	case 15:
		s.set(verbatim(pick(m, tokens)))
		did("a bare token at %s", s.path)
	case 16:
		m.twice(all, did)
	case 17:
		m.abuse(root, did)
	case 18:
		m.reference(root, did)
	case 19:
		m.volume(root, did)
	case 20:
		put(root, []string{"metadata", "name"}, pick(m, []string{"shared", "common", "popular"}))
		did("the name of another")
	}
}

// ofType picks a site whose value is of a type.
func ofType[V any](m *maker, all []site) (site, V, bool) {
	of := slices.DeleteFunc(slices.Clone(all), func(s site) bool { _, ok := s.value.(V); return !ok })
	if len(of) == 0 {
		var none V
		return site{}, none, false
	}
	s := pick(m, of)
	return s, s.value.(V), true
}

// add gives some object a field that its type knows.
func (m *maker) add(all []site, did func(string, ...any)) {
	for range 10 {
		s, object, ok := ofType[tree](m, all)
		if !ok {
			return
		}
		kind := s.kind
		for kind != nil && kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		if kind == nil || kind.Kind() != reflect.Struct || isLeaf(kind) {
			continue
		}
		fields := fieldsOf(kind)
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(fields)), func(name string) bool { _, there := object[name]; return there })
		if len(names) == 0 {
			continue
		}
		name := pick(m, names)
		object[name] = m.value(fields[name], name, 0)
		did("with %s.%s", s.path, name)
		return
	}
}

// transplant puts in what another seed has of the same type.
func (m *maker) transplant(s site, did func(string, ...any)) {
	if s.kind == nil {
		return
	}
	other := pick(m, m.corpus.seeds)
	root := m.parsed(other)
	if root == nil {
		return
	}
	same := slices.DeleteFunc(sites(root), func(o site) bool { return o.kind != s.kind })
	if len(same) == 0 {
		return
	}
	from := pick(m, same)
	s.set(from.value)
	did("%s of %s at %s", from.path, other.name, s.path)
}

// misspell renames a key, or moves it to where it does not belong.
func (m *maker) misspell(all []site, did func(string, ...any)) {
	s, object, ok := ofType[tree](m, all)
	if !ok || len(object) == 0 {
		return
	}
	key := pick(m, slices.Sorted(maps.Keys(object)))
	wrong := pick(m, []string{key + "s", strings.ToUpper(key[:min(1, len(key))]) + key[min(1, len(key)):], strings.TrimSuffix(key, "s"), "x-" + key, strings.ToLower(key), " " + key})
	value := copied(object[key]) // it may go below itself
	if m.IntN(2) == 0 {
		delete(object, key)
	}
	if target, other, ok := ofType[tree](m, all); ok && m.IntN(3) == 0 {
		other[key] = value
		did("%s.%s in %s", s.path, key, target.path)
		return
	}
	object[wrong] = value
	did("%s.%s as %q", s.path, key, wrong)
}

// repeat puts an element into its list again, or the list in another order.
func (m *maker) repeat(all []site, did func(string, ...any)) {
	s, list, ok := ofType[[]any](m, all)
	if !ok || len(list) == 0 {
		return
	}
	list = slices.Clone(list)
	if m.IntN(3) == 0 {
		m.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		s.set(list)
		did("%s in another order", s.path)
		return
	}
	s.set(append(list, copied(pick(m, list))))
	did("twice in %s", s.path)
}

func (m *maker) number(all []site, did func(string, ...any)) {
	if s, _, ok := ofType[json.Number](m, all); ok {
		number := pick(m, numbers)
		s.set(json.Number(number))
		did("%s at %s", number, s.path)
	}
}

func (m *maker) string(all []site, did func(string, ...any)) {
	if s, text, ok := ofType[string](m, all); ok {
		s.set(m.badString(text))
		did("another string at %s", s.path)
	}
}

// twice writes a key a second time with another value.
func (m *maker) twice(all []site, did func(string, ...any)) {
	s, object, ok := ofType[tree](m, all)
	if !ok || len(object) == 0 {
		return
	}
	key := pick(m, slices.Sorted(maps.Keys(object)))
	object[again(key)] = m.value(under(s.kind, key), key, 0)
	did("%s.%s twice", s.path, key)
}

// abuse writes into metadata, or beside the spec, what is not the author's to say.
func (m *maker) abuse(root tree, did func(string, ...any)) {
	at, value, _ := strings.Cut(pick(m, abuses), " ")
	put(root, strings.Split(at, "/"), decoded(value))
	did("%s is %s", at, value)
}

// reference makes a container or the pod refer to an object of the API.
func (m *maker) reference(root tree, did func(string, ...any)) {
	at, value, _ := strings.Cut(pick(m, references), " ")
	put(root, strings.Split(at, "/"), decoded(value))
	did("a reference: %s is %s", at, value)
}

// volume adds a volume of some kind, or a container's field.
func (m *maker) volume(root tree, did func(string, ...any)) {
	source := pick(m, volumes)
	volume := decoded(source).(tree)
	volume["name"] = pick(m, []string{"added", "added", "added", "Added", ""})
	put(root, []string{"spec", "volumes", "+"}, volume)
	did("a volume %s", source)
}

// put sets what lies at a path of keys, * for the first element and + for a new one of a list, as far as the tree
// has such places.
func put(at any, path []string, value any) {
	object, ok := at.(tree)
	if !ok {
		return
	}
	key := strings.ReplaceAll(path[0], "~", "/") // as some keys of maps are
	if len(path) == 1 {
		object[key] = value
		return
	}
	switch path[1] {
	case "+":
		list, _ := object[key].([]any)
		object[key] = append(slices.Clone(list), value)
	case "*":
		if list, ok := object[key].([]any); ok && len(list) > 0 {
			put(list[0], path[2:], value)
		}
	default:
		if object[key] == nil {
			object[key] = tree{}
		}
		put(object[key], path[1:], value)
	}
}

// copied is a deep copy of a tree.
func copied(value any) any {
	switch v := value.(type) {
	case tree:
		c := tree{}
		for key := range v {
			c[key] = copied(v[key])
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i := range v {
			c[i] = copied(v[i])
		}
		return c
	}
	return value
}
