package fleet

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	none    = "<none>"
	unknown = "<unknown>" // what metrics do not hold
)

// Metadata of a resource, as far as metrics hold it.
type Metadata struct {
	Namespace string    `json:"namespace"`
	Type      string    `json:"type"`
	ID        string    `json:"id"`
	Version   uint64    `json:"version,omitzero"`
	Updated   time.Time `json:"updated,omitzero"`
}

// A Problem of a resource, as far as metrics hold it.
type Problem struct {
	Reason manifest.Reason `json:"reason"`
	Level  manifest.Level  `json:"level"`
	Since  time.Time       `json:"since"`
}

// row begins a row with the columns that all resources have.
func row(node string, m Metadata) []string {
	version := unknown
	if m.Version > 0 {
		version = strconv.FormatUint(m.Version, 10)
	}
	return slices.Grow([]string{node, m.Namespace, m.Type, m.ID, version}, 8)
}

func or(s string) string { return cmp.Or(s, none) }

// ranks are the places of reasons in the order in which they take the headline.
func ranks() map[manifest.Reason]int {
	all := status.Reasons()
	ranks := make(map[manifest.Reason]int, len(all))
	for i, code := range all {
		ranks[code.Reason] = i - len(all) // one that this version does not know comes last
	}
	return ranks
}

// problems returns the problems of each subject, the one that explains the others first.
func (e *exporter) problems() map[subject][]Problem {
	all := map[subject][]Problem{}
	for _, s := range e.series[problemStart] {
		about := e.subject(s)
		all[about] = append(all[about], Problem{manifest.Reason(s.label("reason")), manifest.Level(s.label("level")), s.at()})
	}
	rank := ranks()
	for _, some := range all {
		slices.SortFunc(some, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(rank[a.Reason], rank[b.Reason]), strings.Compare(string(a.Reason), string(b.Reason)))
		})
	}
	return all
}
