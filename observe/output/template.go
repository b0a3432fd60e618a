package output

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

// An action is a part of a template: text, an expression in braces, or a range with all up to its end. The library knows
// expressions; its own ranges work once only.
type action struct {
	text   string
	path   *jsonpath.JSONPath // nil for text
	direct bool               // the path takes no index of more than one thing
	ranges bool
	body   []action // of a range
}

// parseTemplate takes a template apart.
func parseTemplate(template string) ([]action, error) {
	actions, rest, err := parseActions(template, false)
	if err == nil && rest != "" {
		err = errors.New("not in range, nothing to end")
	}
	return actions, err
}

// parseActions returns the actions up to the end of the template or, within a range, up to that of the range.
func parseActions(template string, within bool) (actions []action, rest string, err error) {
	for template != "" {
		text, after, found := strings.Cut(template, "{")
		if text != "" {
			actions = append(actions, action{text: text})
		}
		if !found {
			template = ""
			break
		}
		expression, err := firstExpression("{" + after)
		if err != nil {
			return nil, "", err
		}
		template = after[len(expression)-1:]
		inner := strings.TrimSpace(expression[1 : len(expression)-1])
		if inner == "end" {
			if !within {
				return nil, expression, nil
			}
			return actions, template, nil
		}
		a := action{}
		if over, ok := strings.CutPrefix(inner, "range"); ok && strings.TrimLeft(over, " .[@$") != over {
			a.ranges = true
			expression = "{" + over + "}"
		}
		if a.path, a.direct, err = parseExpression(expression); err != nil {
			return nil, "", err
		}
		if a.ranges {
			if a.body, template, err = parseActions(template, true); err != nil {
				return nil, "", err
			}
		}
		actions = append(actions, a)
	}
	if within {
		return nil, "", errors.New("a range has no {end}")
	}
	return actions, "", nil
}

// firstExpression returns the expression at the beginning of a template with its braces. There may be braces in it.
func firstExpression(template string) (string, error) {
	for i := range template {
		if template[i] != '}' {
			continue
		}
		if _, err := jsonpath.Parse("output", template[:i+1]); err == nil {
			return template[:i+1], nil
		}
	}
	_, err := jsonpath.Parse("output", template)
	return "", err
}

func parseExpression(expression string) (path *jsonpath.JSONPath, direct bool, err error) {
	parsed, err := jsonpath.Parse("output", expression)
	if err != nil {
		return nil, false, err
	}
	direct = true
	many := false
	for _, node := range parsed.Root.Nodes[0].(*jsonpath.ListNode).Nodes {
		switch node := node.(type) {
		case *jsonpath.IdentifierNode:
			return nil, false, fmt.Errorf("unrecognized identifier %s", node.Name)
		case *jsonpath.ArrayNode:
			direct = direct && !many
			many = many || !node.Params[1].Derived
		case *jsonpath.WildcardNode, *jsonpath.RecursiveNode, *jsonpath.FilterNode, *jsonpath.UnionNode:
			many = true
		}
	}
	path = jsonpath.New("output").AllowMissingKeys(true)
	return path, direct, path.Parse(expression)
}

// results are what an expression finds. An index into a list that is too short finds nothing; where other lists may be
// long enough, the library does not say what they have, so there it is an error.
func (a *action) results(data any) ([]reflect.Value, error) {
	if data == nil {
		data = (*any)(nil) // of which the library can tell that it has nothing
	}
	groups, err := a.path.FindResults(data)
	if err != nil && a.direct && strings.HasPrefix(err.Error(), "array index out of bounds") {
		return nil, nil
	}
	return slices.Concat(groups...), err
}

// writeAll writes what actions find one after the other.
func writeAll(b *bytes.Buffer, actions []action, data any) error {
	for i := range actions {
		a := &actions[i]
		if a.path == nil {
			b.WriteString(a.text)
			continue
		}
		results, err := a.results(data)
		if err != nil {
			return err
		}
		if !a.ranges {
			if err := a.path.PrintResults(b, results); err != nil {
				return err
			}
			continue
		}
		for _, result := range results {
			var item any
			if result.IsValid() {
				item = result.Interface()
			}
			if err := writeAll(b, a.body, item); err != nil {
				return err
			}
		}
	}
	return nil
}
