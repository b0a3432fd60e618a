package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	sigsjson "sigs.k8s.io/json"
)

// A JSONPath writes what a template finds in resources.
type JSONPath struct {
	w       io.Writer
	actions []action
}

// NewJSONPath returns a JSONPath on w. A template of one expression writes each result on a line of its own, objects and
// lists as indented JSON, as talosctl does; one of several expressions and text writes them one after the other,
// as kubectl does, and ends the line. Without braces it is an expression.
func NewJSONPath(w io.Writer, template string) (*JSONPath, error) {
	if template == "" {
		return nil, fmt.Errorf("jsonpath: the template is empty: try {.metadata.id}")
	}
	if !strings.Contains(template, "{") {
		template = "{." + strings.TrimPrefix(template, ".") + "}"
	}
	actions, err := parseTemplate(template)
	if err != nil {
		return nil, fmt.Errorf("jsonpath: %w", err)
	}
	return &JSONPath{w: w, actions: actions}, nil
}

// Write writes what the template finds in the JSON object of one resource. What a resource does not have is no error.
func (p *JSONPath) Write(object []byte) error {
	var resource any
	// Whole numbers stay whole: restarts of 1e+06 are nobody's.
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(object, &resource); err != nil {
		return fmt.Errorf("resource: %w", err)
	}
	var b bytes.Buffer
	if only := p.actions[0]; len(p.actions) == 1 && only.path != nil && !only.ranges {
		results, err := only.results(resource)
		if err != nil {
			return fmt.Errorf("jsonpath: %w", err)
		}
		for _, result := range results {
			if err := writeResult(&b, result); err != nil {
				return err
			}
		}
	} else {
		if err := writeAll(&b, p.actions, resource); err != nil {
			return fmt.Errorf("jsonpath: %w", err)
		}
		if !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(p.w, PrintableText(b.String()))
	return err
}

func writeResult(b *bytes.Buffer, result reflect.Value) error {
	if !result.IsValid() || !result.CanInterface() {
		b.WriteString("null\n")
		return nil
	}
	switch v := result.Interface().(type) {
	case map[string]any, []any:
		indented, err := json.MarshalIndent(v, "", "    ")
		if err != nil {
			return fmt.Errorf("jsonpath: %w", err)
		}
		b.Write(indented)
	case nil:
		b.WriteString("null")
	default:
		fmt.Fprint(b, v)
	}
	b.WriteByte('\n')
	return nil
}
