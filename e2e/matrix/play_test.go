package matrix

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// patience is how long anything is waited for, and long how long what is slow. No time is expected: the table tells them.
const patience, long = 90 * time.Second, 4 * time.Minute

// A play is a row with one of its sources.
type play struct {
	*testing.T
	*stage
	view  // of its own, when another exporter is asked
	row   *row
	score score

	source       string
	name         string   // of the pod, as its author calls it
	pod          string   // as the kubelet calls it
	id           string   // of its status
	base         string   // of its file
	dir          string   // $DIR
	address      string   // $ADDRESS
	extra        []string // files besides its own
	undo         func()   // what was done
	restarted    bool     // the kubelet was
	began, cause time.Time
}

// A score is what became of a play.
type score struct {
	story, source, reason string
	found, cleared        time.Duration // 0: not found
}

func (st *stage) play(r *row, source string) *play {
	p := &play{stage: st, view: st.view, row: r, source: source, score: score{story: r.story, source: source, reason: r.reason}}
	p.called(r.name + "-" + source)
	p.base = cmp.Or(r.base, p.base)
	if source == theNode {
		p.id = "node"
	}
	return p
}

// called gives the pod a name.
func (p *play) called(name string) {
	p.name = name
	p.pod = name + "-" + p.node.Name()
	p.id = "default/" + p.pod
	p.base = name + ".yaml"
}

// run plays it.
func (p *play) run() {
	p.began = time.Now()
	p.dir = filepath.Join(p.stage.dir, p.name)
	p.must(os.Mkdir(p.dir, 0o755))
	var err error
	p.address, err = p.free()
	p.must(err)
	p.Cleanup(p.clear)
	r := p.row
	if r.prepare != nil {
		r.prepare(p)
	}
	if r.before != "" {
		cause := time.Now()
		p.put(p.base, r.before)
		p.ready(cause)
	}
	p.cause = time.Now()
	if r.write != "" || r.act == nil {
		p.put(p.base, r.write)
	}
	if r.act != nil {
		r.act(p)
	}
	if r.reason == "" {
		p.quiet()
	} else {
		p.find()
	}
	p.end()
	p.history()
}

// subject is the ID of the status that tells of it.
func (p *play) subject() string {
	if p.row.unnamed {
		return "file:" + p.path(p.base)
	}
	return p.id
}

// find waits for the problem, on /metrics and then as the headline, and looks at what is said.
func (p *play) find() {
	p.Helper()
	subject, reason := p.subject(), p.row.reason
	at, err := p.first(p.Context(), p.cause, p.patience(), func(m exporter.Metrics) error {
		if !problem(m, subject, reason) {
			s, ok := p.status(subject)
			return fmt.Errorf("no %s of %s on /metrics; it is %s", reason, subject, describe(s, ok))
		}
		return nil
	})
	p.must(err)
	p.score.found = at.Sub(p.cause)
	s, err := p.once(p.Context(), p.cause, p.patience(), subject, p.verdict)
	p.must(err)
	for _, o := range s.Spec.Problems {
		p.Logf("%s %s %s: %q (%s:%d %s)", o.Level, o.Reason, o.Detail, o.Message, o.Path, o.Line, o.Field)
	}
}

// verdict compares a status with what the row wants of it.
func (p *play) verdict(s exporter.Status) error {
	r := p.row
	found, ok := s.Problem(r.reason)
	switch level := p.levels[r.reason]; {
	case !ok:
		return fmt.Errorf("there is no %s", r.reason)
	case !r.beside && s.Spec.Reason != r.reason:
		return fmt.Errorf("the headline is not %s", r.reason)
	case found.Level != level:
		return fmt.Errorf("%s is of level %s, not %s", r.reason, found.Level, level)
	case !strings.Contains(found.Message, p.expand(r.words)):
		return fmt.Errorf("%s does not say %q", r.reason, p.expand(r.words))
	case r.detail != "" && found.Detail != r.detail:
		return fmt.Errorf("%s has the detail %q, not %q", r.reason, found.Detail, r.detail)
	case r.field != "" && found.Field != r.field:
		return fmt.Errorf("%s is of the field %q, not %q", r.reason, found.Field, r.field)
	case found.Since.IsZero() || found.Since.After(time.Now()):
		return fmt.Errorf("%s is since %s", r.reason, found.Since)
	case s.Spec.Ready != r.ready:
		return fmt.Errorf("ready is %t", s.Spec.Ready)
	case s.Spec.Stale && p.source != theNode:
		return errors.New("it is stale")
	}
	if line := here(r.write); line > 0 && (found.Line != line || found.Path != p.path(p.base)) {
		return fmt.Errorf("%s is at %s:%d, not at %s:%d", r.reason, found.Path, found.Line, p.path(p.base), line)
	}
	for _, reason := range p.besides() {
		if _, ok := s.Problem(reason); !ok {
			return fmt.Errorf("there is no %s beside it", reason)
		}
	}
	if r.refused != "" && p.source == file {
		if m, ok := s.Problem("ManifestRejected"); !ok || !strings.Contains(m.Message, p.expand(r.refused)) || m.Path != p.path(p.base) {
			return fmt.Errorf("the kubelet's refusal does not say %q of %s", p.expand(r.refused), p.path(p.base))
		}
	}
	return nil
}

// here is the line of a definition that is marked.
func here(definition string) int {
	before, _, ok := strings.Cut(definition, "# HERE")
	if !ok {
		return 0
	}
	return strings.Count(before, "\n") + 1
}

// quiet checks for a while that nothing is said.
func (p *play) quiet() {
	p.Helper()
	await.Always(p, 5*time.Second, "quiet", func(context.Context) error { return nil })
}

// end mends what was wrong, and waits until nothing is left of it.
func (p *play) end() {
	p.Helper()
	subject, reason := p.subject(), p.row.reason
	cause := time.Now()
	switch {
	case p.row.mend != nil:
		p.row.mend(p)
	case reason != "":
		p.put(p.base, pod(sleeps))
	}
	if reason != "" {
		at, err := p.first(p.Context(), cause, p.patience(), func(m exporter.Metrics) error {
			if problem(m, subject, reason) {
				s, ok := p.status(subject)
				return fmt.Errorf("still %s of %s on /metrics; it is %s", reason, subject, describe(s, ok))
			}
			return nil
		})
		p.must(err)
		p.score.cleared = at.Sub(cause)
	}
	if p.row.gone {
		p.absent(p.id)
		return
	}
	if p.row.done {
		return
	}
	p.ready(cause)
	if subject != p.id {
		p.absent(subject)
	}
}

// ready waits until the pod is Ready, without any problem, on /metrics and on /staticpodstatus.
func (p *play) ready(cause time.Time) exporter.Status { return p.isReady(cause, p.id) }

// isReady is ready for another pod. What is no more than worth knowing may be told still, if the row has it.
func (p *play) isReady(cause time.Time, id string) exporter.Status {
	p.Helper()
	namespace, pod, _ := strings.Cut(id, "/")
	_, err := p.first(p.Context(), cause, p.patience(), func(m exporter.Metrics) error {
		ready, ok := m.Value("staticpod_ready", "namespace", namespace, "pod", pod)
		if id != "node" && (!ok || ready != 1) || p.troubled(reasons(m, id)) {
			s, ok := p.status(id)
			return fmt.Errorf("not ready without problems on /metrics; it is %s", describe(s, ok))
		}
		return nil
	})
	p.must(err)
	s, err := p.until(p.Context(), p.patience(), id, func(s exporter.Status, _ bool) error {
		var told []string
		for _, o := range s.Spec.Problems {
			told = append(told, o.Reason)
		}
		if !s.Spec.Ready || p.troubled(told) {
			return errors.New("not ready without problems")
		}
		return nil
	})
	p.must(err)
	return s
}

// troubled reports whether among reasons is one that should not be told of a pod that is ready.
func (p *play) troubled(reasons []string) bool {
	return slices.ContainsFunc(reasons, func(reason string) bool {
		return p.levels[reason] != "info" || !slices.Contains(p.row.also, reason)
	})
}

// absent waits until there is no such status.
func (p *play) absent(id string) {
	p.Helper()
	_, err := p.until(p.Context(), p.patience(), id, func(_ exporter.Status, ok bool) error {
		if ok {
			return errors.New("it still is there")
		}
		return nil
	})
	p.must(err)
}

// history checks what was ever said of the pod: the problem, as often as it was, and nothing that is none.
func (p *play) history() {
	p.Helper()
	times := 0
	least, most := p.row.counted()
	allowed := append([]string{p.row.reason}, append(p.besides(), p.row.also...)...)
	for _, o := range p.of(p.began, p.id, "file:"+p.path(p.base)) {
		switch {
		case o.Reason == p.row.reason:
			times++
			if times > most {
				p.Errorf("once more: %s", o)
			}
		case o.Reason == "WaitingForTermination": // as it is when a pod is replaced
		case o.Reason == "StopPending" && o.Level == "info": // as it is of a file that is removed or renamed
		case o.Reason == "StopPending" && p.source == file && p.row.refused != "": // by a kubelet that reads the mended file first
		case o.Reason == "RolloutStuck" && p.row.reason != "": // as is what lasts
		case !slices.Contains(allowed, o.Reason):
			p.Errorf("was said too: %s", o)
		}
	}
	if p.row.reason != "" && times < least {
		p.Errorf("%s was said %d times, not %d", p.row.reason, times, least)
	}
}

// besides is what must be said besides.
func (p *play) besides() []string {
	if p.row.refused != "" && p.source == file {
		return append([]string{"ManifestRejected"}, p.row.must...)
	}
	return p.row.must
}

// problem reports whether a page has a problem of the status with that ID, of that reason.
func problem(m exporter.Metrics, id, reason string) bool {
	return slices.Contains(reasons(m, id), reason)
}

// reasons are those of the problems that a page has of the status with that ID.
func reasons(m exporter.Metrics, id string) (found []string) {
	labels := map[string]string{}
	switch namespace, pod, _ := strings.Cut(id, "/"); {
	case strings.HasPrefix(id, "file:"):
		labels["definition"] = id
	case id == "node":
		labels["definition"], labels["namespace"], labels["pod"] = "", "", ""
	default:
		labels["namespace"], labels["pod"] = namespace, pod
	}
	for _, series := range m["staticpod_problem_start_timestamp_seconds"].GetMetric() {
		reason, other := "", false
		for _, l := range series.GetLabel() {
			want, asked := labels[l.GetName()]
			other = other || asked && want != l.GetValue()
			if l.GetName() == "reason" {
				reason = l.GetValue()
			}
		}
		if !other {
			found = append(found, reason)
		}
	}
	return found
}

// clear takes away all of the play.
func (p *play) clear() {
	for _, base := range append([]string{p.base}, p.extra...) {
		if err := os.RemoveAll(p.path(base)); err != nil {
			p.Error(err)
		}
	}
	ctx := p.WithoutCancel()
	if p.source == http {
		// Many definitions that vanish at once are kept, unless it is meant.
		if err := p.stage.Reload(ctx); err != nil {
			p.Error(err)
		}
	}
	if p.source == theNode {
		return
	}
	err := await.Until(ctx, p.patience(), func(ctx context.Context) error {
		containers, err := p.node.Containers(ctx)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(containers, func(c node.Container) bool { return c.Pod == p.pod && c.State == "running" }); i >= 0 {
			return fmt.Errorf("left is %+v", containers[i])
		}
		if s, ok := p.stage.status(p.id); ok {
			return fmt.Errorf("left is %s", describe(s, ok))
		}
		return nil
	})
	if err != nil {
		p.Errorf("clearing %s: %v", p.name, err)
	}
}

// put writes a file of the source as it should be done: never half written.
func (p *play) put(base, content string) {
	p.Helper()
	path := p.path(base)
	hidden := filepath.Join(filepath.Dir(path), "."+base)
	p.must(os.WriteFile(hidden, []byte(p.expand(content)), 0o644))
	p.must(os.Rename(hidden, path))
	if base != p.base && !slices.Contains(p.extra, base) {
		p.extra = append(p.extra, base)
	}
}

// remove removes a file of the source.
func (p *play) remove(base string) {
	p.Helper()
	p.must(os.Remove(p.path(base)))
}

// path is where a file of the source is.
func (p *play) path(base string) string {
	dir := map[string]string{file: p.node.ManifestDirectory(), http: p.files, theNode: p.dir}[p.source]
	return filepath.Join(dir, p.expand(base))
}

// expand puts in what is the play's own.
func (p *play) expand(text string) string {
	_, port, _ := strings.Cut(p.address, ":")
	return strings.NewReplacer("$NAME", p.name, "$DIR", p.dir, "$ADDRESS", p.address, "$PORT", port, "$REGISTRY", p.registry.Address()).Replace(text)
}

func (p *play) patience() time.Duration {
	if p.row.slow {
		return long
	}
	return patience
}

func (p *play) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}
