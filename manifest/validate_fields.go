package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"
)

// fieldTypes give the fields of every struct that a pod is made of, by their names in JSON. Types that decode
// themselves, such as quantities, are leaves and not in it.
type fieldTypes map[reflect.Type]map[string]reflect.Type

func podFields() fieldTypes {
	s := fieldTypes{}
	s.add(reflect.TypeFor[corev1.Pod]())
	return s
}

func (s fieldTypes) add(t reflect.Type) {
	t = element(t)
	if _, known := s[t]; known || t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return
	}
	fields := map[string]reflect.Type{}
	s[t] = fields
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = f.Type
			s.add(f.Type)
		}
	}
}

// element is what a pointer, list or map is made of in the end.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t
}

// unknown finds the fields of a pod's tree that the kubelet drops silently.
func (s fieldTypes) unknown(tree map[string]any) []Problem {
	var problems []Problem
	var walk func(t reflect.Type, tree any, path string, above []reflect.Type)
	walk = func(t reflect.Type, tree any, path string, above []reflect.Type) {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch value := tree.(type) {
		case []any:
			for i, v := range value {
				if t.Kind() == reflect.Slice {
					walk(t.Elem(), v, fmt.Sprintf("%s[%d]", path, i), above)
				}
			}
		case map[string]any:
			fields := s[t]
			for _, key := range slices.Sorted(maps.Keys(value)) {
				switch next, known := fields[key]; {
				case t.Kind() == reflect.Map:
					walk(t.Elem(), value[key], join(path, key), above)
				case fields == nil:
				case known:
					walk(next, value[key], join(path, key), append(above[:len(above):len(above)], t))
				default:
					problems = append(problems, Problem{Reason: UnknownField, Level: Warning, Field: join(path, key),
						Message: clip(fmt.Sprintf("unknown field %q", join(path, key)) + s.hint(key, t, above))})
				}
			}
		}
	}
	walk(reflect.TypeFor[corev1.Pod](), tree, "", nil)
	return problems
}

// hint says which field was meant: one with a similar name, or this very name further up, where a wrong
// indentation took it from.
func (s fieldTypes) hint(name string, t reflect.Type, above []reflect.Type) string {
	best, distance := "", max(1, len(name)/3)+1
	for _, known := range slices.Sorted(maps.Keys(s[t])) {
		if d := editDistance(strings.ToLower(name), strings.ToLower(known)); d < distance {
			best, distance = known, d
		}
	}
	if best != "" {
		return fmt.Sprintf(": did you mean %q?", best)
	}
	for _, parent := range slices.Backward(above) {
		if _, known := s[parent][name]; known {
			return fmt.Sprintf(": did you mean %q of the %s it is part of?", name, strings.ToLower(strings.TrimSuffix(parent.Name(), "Spec")))
		}
	}
	return ""
}

// editDistance counts the letters to insert, delete, replace or swap with their neighbour.
func editDistance(a, b string) int {
	if max(len(a), len(b)) > 64 {
		return 64
	}
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// A misfit is a place where a tree does not fit its type.
type misfit struct{ field, words string }

// misfits finds the places that keep a tree from being decoded, as deep as they lie.
func (s fieldTypes) misfits(t reflect.Type, tree any, path string) []misfit {
	err := kjson.UnmarshalCaseSensitivePreserveInts(appendCanonical(nil, tree), reflect.New(t).Interface())
	if err == nil {
		return nil
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var found []misfit
	switch value := tree.(type) {
	case []any:
		for i, v := range value {
			if t.Kind() == reflect.Slice {
				found = append(found, s.misfits(t.Elem(), v, fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if t.Kind() == reflect.Map {
				found = append(found, s.misfits(t.Elem(), value[key], join(path, key))...)
			} else if next, ok := s[t][key]; ok {
				found = append(found, s.misfits(next, value[key], join(path, key))...)
			}
		}
	}
	if len(found) == 0 {
		return []misfit{{path, err.Error()}}
	}
	return found
}
