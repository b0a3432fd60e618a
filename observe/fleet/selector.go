package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
)

// A Selector is label matchers, as PromQL has them between its braces; "" matches all.
type Selector string

var matcher = regexp.MustCompile(`^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,"'{}]+)\s*(?:,|$)`)

// ParseSelector reads label matchers, with the braces or without, and with the quotes or, where there is no doubt about
// where a value ends, without.
func ParseSelector(text string) (Selector, error) {
	rest := strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(rest, "{"); ok {
		if rest, ok = strings.CutSuffix(inner, "}"); !ok {
			return "", fmt.Errorf("selector %q: the brace does not end", text)
		}
	}
	var matchers []string
	for strings.TrimSpace(rest) != "" {
		m := matcher.FindStringSubmatch(rest)
		if m == nil {
			return "", fmt.Errorf(`selector: %q is no label matcher, such as cluster="eu" or instance=~"node1.*"`, strings.TrimSpace(rest))
		}
		value := m[3]
		if value[0] != '"' && value[0] != '\'' {
			value = strconv.Quote(value)
		}
		matchers = append(matchers, m[1]+m[2]+value)
		rest = rest[len(m[0]):]
	}
	return Selector(strings.Join(matchers, ",")), nil
}

// String is the selector with its braces, "" when it matches all.
func (s Selector) String() string {
	if s == "" {
		return ""
	}
	return "{" + string(s) + "}"
}

// onSeries are those of the matchers that mean the same on any series of a target as on its up, and the names of their
// labels. What the exporter has a label for as well is the target's on up alone.
func (s Selector) onSeries() (sure Selector, labels []string) {
	var matchers []string
	for rest := string(s); rest != ""; {
		m := matcher.FindStringSubmatch(rest)
		if !isOwn(model.LabelName(strings.TrimPrefix(m[1], exportedPrefix))) {
			matchers = append(matchers, m[1]+m[2]+m[3])
			labels = append(labels, m[1])
		}
		rest = rest[len(m[0]):]
	}
	slices.Sort(labels)
	return Selector(strings.Join(matchers, ",")), slices.Compact(labels)
}

// with is the selector, braces and all, with one matcher more.
func (s Selector) with(matcher string) string {
	if s != "" {
		matcher += "," + string(s)
	}
	return "{" + matcher + "}"
}
