package metrics

import (
	"slices"
	"strconv"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// maxPlaces is how many series of problemInfo a pod or definition may have: a manifest with a thousand
// misspelt fields is one problem, not a thousand series.
const maxPlaces = 10

// A subject is what a problem is about; the zero subject is the node.
type subject struct{ definition, namespace, pod string }

// A trouble is a problem as staticpod_problem_start_timestamp_seconds tells them apart.
type trouble struct {
	subject
	reason manifest.Reason
	level  manifest.Level
}

// A place is where a problem is, as staticpod_problem_info tells them apart.
type place struct {
	subject
	reason      manifest.Reason
	path, field string
	line        int
}

// A problemSet gathers those of a whole snapshot, so that many which look alike as labels make one series.
type problemSet struct {
	at       time.Time // of the snapshot
	troubles []trouble // in the order they were met
	started  map[trouble]time.Time
	places   []place // likewise
	placed   map[place]bool
	count    map[subject]int // of places
}

// problems adds the problems of s to p.
func (p *part) problems(s *status.Snapshot) {
	set := problemSet{at: s.At, started: map[trouble]time.Time{}, placed: map[place]bool{}, count: map[subject]int{}}
	spoken := make(map[string]bool, len(s.Statuses))
	told := make(map[[2]string][]manifest.Problem) // by namespace and pod
	for _, st := range s.Statuses {
		spec := &st.Spec
		if spec.Definition.ID != "" {
			spoken[spec.Definition.ID] = true
		}
		if len(spec.Problems) == 0 {
			continue
		}
		if spec.Pod.Name != "" {
			told[[2]string{spec.Pod.Namespace, spec.Pod.Name}] = spec.Problems
		}
		on := subject{spec.Definition.ID, spec.Pod.Namespace, spec.Pod.Name}
		for _, problem := range spec.Problems {
			set.add(on, problem, st.Metadata.Updated)
		}
	}
	// A definition can have no status of its own: that of its pod speaks for another one of the same name.
	for _, d := range s.Pods {
		if spoken[d.Metadata.ID] {
			continue
		}
		on := subject{definition: d.Metadata.ID, namespace: d.Spec.Namespace}
		if d.Spec.Name != "" {
			on.pod = d.Spec.Name + "-" + s.Node
		}
		for _, problem := range d.Spec.Problems {
			if !slices.ContainsFunc(told[[2]string{on.namespace, on.pod}], problem.Same) {
				set.add(on, problem, d.Metadata.Updated)
			}
		}
	}

	for _, t := range set.troubles {
		p.moment(problemStart, set.started[t],
			label("definition", t.definition), label("namespace", t.namespace), label("pod", t.pod),
			label("reason", string(t.reason)), label("level", string(t.level)))
	}
	for _, at := range set.places {
		line := ""
		if at.line > 0 {
			line = strconv.Itoa(at.line)
		}
		p.add(problemInfo, 1,
			label("definition", at.definition), label("namespace", at.namespace), label("pod", at.pod),
			label("reason", string(at.reason)),
			label("path", at.path), label("line", line), label("field", at.field))
	}
}

// add takes problem in; updated stands in for a beginning that nobody knows.
func (set *problemSet) add(on subject, problem manifest.Problem, updated time.Time) {
	since := problem.Since
	if since.IsZero() {
		since = updated
	}
	if since.IsZero() {
		since = set.at
	}
	t := trouble{on, problem.Reason, problem.Level}
	if earliest, ok := set.started[t]; !ok {
		set.troubles = append(set.troubles, t)
		set.started[t] = since
	} else if since.Before(earliest) {
		set.started[t] = since
	}
	// What is wrong with the node's configuration may lie in a flag or a variable, which is its field.
	if problem.Path == "" && (on != subject{} || problem.Field == "") {
		return
	}
	at := place{on, problem.Reason, problem.Path, bounded(problem.Field), problem.Line}
	if !set.placed[at] && set.count[on] < maxPlaces {
		set.placed[at] = true
		set.count[on]++
		set.places = append(set.places, at)
	}
}
