package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	yaml "go.yaml.in/yaml/v3"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A configDocument is the part of a configuration file that holds keys.
type configDocument struct {
	path      string
	keys      []byte // YAML of the keys alone: without machine.pods and what Talos has beside it
	positions map[string]position
}

type position struct{ line, column int }

// talosKeys stand beside machine in a Talos machine configuration.
var talosKeys = []string{"version", "debug", "persist", "cluster"}

// readConfigDocument finds the keys of a configuration file and refuses those that do not exist or have the
// wrong shape. Documents with a kind of their own, as Talos has them, are not ours.
func readConfigDocument(path string, data []byte, flags *pflag.FlagSet) (configDocument, error) {
	d := configDocument{path: path, positions: map[string]position{}}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var ours *yaml.Node
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return d, yamlError(path, err)
		}
		root := document.Content[0]
		if child(root, "kind") != nil && child(root, "apiVersion") != nil {
			continue
		}
		if root.Tag == "!!null" {
			continue
		}
		if root.Kind != yaml.MappingNode {
			return d, d.errorAt(root, "", "a configuration is a mapping of keys")
		}
		if ours != nil {
			return d, d.errorAt(root, "", "a second configuration document: one file holds one")
		}
		ours = root
	}
	if ours == nil {
		return d, nil
	}
	if err := d.check(ours, "", flags); err != nil {
		return d, err
	}
	var err error
	d.keys, err = yaml.Marshal(withoutPods(ours))
	return d, err
}

// check walks the keys below prefix.
func (d *configDocument) check(node *yaml.Node, prefix string, flags *pflag.FlagSet) error {
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		key := prefix + name.Value
		if seen[key] {
			return d.errorAt(name, key, "given twice")
		}
		seen[key] = true
		switch {
		case key == "machine":
			if value.Kind != yaml.MappingNode && value.Tag != "!!null" {
				return d.errorAt(value, key, "is a mapping that holds pods")
			}
			continue
		case prefix == "" && slices.Contains(talosKeys, key) && child(node, "machine") != nil:
			continue
		}
		d.positions[key] = position{name.Line, name.Column}
		if flag := flags.Lookup(key); flag != nil && isKey(key) {
			if err := d.checkValue(key, value, flag.Value.Type()); err != nil {
				return err
			}
			continue
		}
		if !isGroup(key, flags) {
			known := keyNames(flags)
			if value.Kind == yaml.MappingNode {
				known = groupNames(flags)
			}
			return d.errorAt(name, key, "no such key"+didYouMean(key, known))
		}
		if value.Tag == "!!null" {
			continue
		}
		if value.Kind != yaml.MappingNode {
			return d.errorAt(value, key, "is a group of keys: "+strings.Join(groupKeys(key, flags), ", "))
		}
		if err := d.check(value, key+".", flags); err != nil {
			return err
		}
	}
	return nil
}

// checkValue refuses a value that the key's type cannot hold.
func (d *configDocument) checkValue(key string, value *yaml.Node, kind string) error {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	scalar := value.Kind == yaml.ScalarNode
	switch kind {
	case "stringSlice":
		if value.Kind != yaml.SequenceNode && !scalar {
			return d.errorAt(value, key, "is a list of strings")
		}
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode {
				return d.errorAt(item, key, "is a list of strings")
			}
		}
	case "bool":
		if _, err := strconv.ParseBool(value.Value); err != nil || !scalar {
			return d.errorAt(value, key, "is true or false")
		}
	case "duration":
		if _, err := time.ParseDuration(value.Value); err != nil || !scalar {
			return d.errorAt(value, key, "is a duration such as 60s or 2m30s")
		}
	default:
		if !scalar {
			return d.errorAt(value, key, "is a string")
		}
	}
	return nil
}

func (d *configDocument) errorAt(node *yaml.Node, field, message string) error {
	return &manifest.ConfigError{Path: d.path, Line: node.Line, Column: node.Column, Field: field, Message: message}
}

// withoutPods leaves the keys of a configuration: machine and its Talos neighbours are read elsewhere.
func withoutPods(root *yaml.Node) *yaml.Node {
	keys := *root
	keys.Content = nil
	for i := 0; i+1 < len(root.Content); i += 2 {
		if name := root.Content[i].Value; name == "machine" || slices.Contains(talosKeys, name) {
			continue
		}
		keys.Content = append(keys.Content, root.Content[i], root.Content[i+1])
	}
	return &keys
}

func child(node *yaml.Node, name string) *yaml.Node {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i+1]
		}
	}
	return nil
}

func keyNames(flags *pflag.FlagSet) map[string]string {
	names := map[string]string{"machine": "machine"}
	flags.VisitAll(func(f *pflag.Flag) {
		if isKey(f.Name) {
			names[f.Name] = f.Name
		}
	})
	return names
}

// groupNames are the names that hold keys: manifest, web, web.config.
func groupNames(flags *pflag.FlagSet) map[string]string {
	groups := map[string]string{"machine": "machine"}
	for key := range keyNames(flags) {
		for i := strings.LastIndexByte(key, '.'); i > 0; i = strings.LastIndexByte(key[:i], '.') {
			groups[key[:i]] = key[:i]
		}
	}
	return groups
}

func isGroup(key string, flags *pflag.FlagSet) bool { return len(groupKeys(key, flags)) > 0 }

func groupKeys(group string, flags *pflag.FlagSet) []string {
	var keys []string
	for name := range keyNames(flags) {
		if strings.HasPrefix(name, group+".") {
			keys = append(keys, name)
		}
	}
	slices.Sort(keys)
	return keys
}

// didYouMean names the nearest of the known names, when one is near enough to be meant.
func didYouMean(name string, known map[string]string) string {
	best, distance := "", len(name)/3+2
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %s?", best)
}

// editDistance is Levenshtein's, over bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			next := min(row[j]+1, row[j-1]+1, diagonal)
			if a[i-1] != b[j-1] {
				next = min(row[j]+1, row[j-1]+1, diagonal+1)
			}
			diagonal, row[j] = row[j], next
		}
	}
	return row[len(b)]
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// yamlError turns the parser's "yaml: line 3: …" into a position.
func yamlError(path string, err error) error {
	message := err.Error()
	line := 0
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = strings.TrimPrefix(message, m[0])
	}
	return &manifest.ConfigError{Path: path, Line: line, Message: "not YAML: " + strings.TrimPrefix(message, "yaml: ")}
}
