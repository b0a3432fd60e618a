package status

import (
	"cmp"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// compare puts the more causal problem first, and is total.
func (c codes) compare(a, b manifest.Problem) int {
	return cmp.Or(
		cmp.Compare(c.rank(a.Reason), c.rank(b.Reason)),
		strings.Compare(a.Detail, b.Detail),
		strings.Compare(a.Path, b.Path),
		cmp.Compare(a.Line, b.Line),
		strings.Compare(a.Field, b.Field),
		strings.Compare(a.Message, b.Message),
	)
}

// headline puts one reason over the status: the first of its problems, unless nothing critical is known of a
// pod whose status is stale; then it is why it is stale. With no reason, Since is when Ready changed last.
func (r *round) headline(spec *StatusSpec, before past) {
	switch {
	case spec.Stale && (len(spec.Problems) == 0 || spec.Problems[0].Level != manifest.Critical):
		spec.Reason, spec.Message, spec.Since = r.world.stale, r.staleMessage(), r.world.staleSince
		if before.reason == spec.Reason {
			spec.Since = before.since // it lasts, perhaps since before the exporter was restarted
		}
		return
	case len(spec.Problems) > 0:
		p := spec.Problems[0]
		spec.Reason, spec.Message, spec.Since = p.Reason, p.Message, p.Since
		return
	}
	spec.Since = r.now
	if before.reason == "" && !before.since.IsZero() {
		spec.Since = before.since
	}
	for _, c := range spec.Conditions {
		if c.Type == Ready {
			spec.Since = c.LastTransitionTime
		}
	}
}

// staleMessage says why statuses are stale. The error itself is with the node: it may differ each time.
func (r *round) staleMessage() string {
	return "what is shown is old: " + r.next.codes[r.world.stale].Meaning
}
