package fleet

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/storage"
)

// Paces of a healthy node: how often its kubelet fetches, and how much it logs.
const (
	fetchInterval  = 20 * time.Second
	linesPerSecond = 0.5
	bytesPerLine   = 180
)

// A node is a target: its pods, what happens to them, and what has been written of it.
type node struct {
	target
	name string
	born time.Time // when its exporter started that ran before the fleet was looked at
	pods []*pod
	life life
	rand *rand.Rand

	fixed    []fixed // what the templates have
	problems map[string]*series
	own      map[string]*series // up and its like
	info     changing           // by version of the exporter
}

// A fixed series is one of a template: its value is that of the template, and rises if it is a counter.
type fixed struct {
	*series
	sample sample
}

// answers writes a scrape at a time.
func (n *node) answers(app storage.Appender, at time.Time) (int, error) {
	n.begin(app, at)
	gone, started := n.life.gone(at, n.born)
	if !gone {
		n.say(at, started)
	}
	samples := float64(len(n.next))
	n.set(n.once("up"), bit(!gone))
	n.set(n.once("scrape_duration_seconds"), 0.003+samples*2e-6*(1+n.rand.Float64()))
	n.set(n.once("scrape_samples_scraped"), samples)
	n.set(n.once("scrape_samples_post_metric_relabeling"), samples)
	n.set(n.once("scrape_series_added"), 0)
	return n.end()
}

func (n *node) once(name string) *series {
	s, ok := n.own[name]
	if !ok {
		s = n.new(name)
		n.own[name] = s
	}
	return s
}

// say writes what an exporter publishes that has run since started.
func (n *node) say(at, started time.Time) {
	version := 0
	for _, e := range n.life.node {
		if e.kind == exporting && !e.end.After(at) {
			version++
		}
	}
	n.set(n.info.get(version), 1)
	began := n.began(started, at)
	rollouts := n.rollouts(started, at)
	collected := !at.Before(started.Add(time.Second)) // before its first collection it has nothing but itself
	for _, f := range n.fixed {
		if collected || !isOurs(f.sample.name) {
			n.set(f.series, n.value(f.sample, at, started, began, rollouts))
		}
	}
	if !collected {
		return
	}
	for _, input := range []string{"manifest", "kubelet", "runtime", "log"} {
		n.set(n.by("staticpod_input_up", "input", input), bit(!n.life.down(input, at)))
		n.set(n.by("staticpod_input_last_success_timestamp_seconds", "input", input), seconds(n.lastSuccess(input, at, started)))
	}
	for i := range n.life.node {
		if e := &n.life.node[i]; e.problem(at) {
			n.set(n.problem("", "", "", e), seconds(e.begin.Add(e.after)))
		}
	}
	unknown := n.life.down("kubelet", at) || n.life.down("runtime", at)
	for _, p := range n.pods {
		p.say(n, n.life.pods[p.index], at, unknown)
	}
}

// lastSuccess is when an input last answered: a collection is due at least every resync interval, and definitions are
// read when the exporter starts.
func (n *node) lastSuccess(input string, at, started time.Time) time.Time {
	if input == "manifest" {
		return started
	}
	last := at.Add(-time.Duration(at.Unix()%10) * time.Second)
	for _, e := range n.life.node {
		if e.kind == blind && e.input == input && e.on(at) {
			last = e.begin
		}
	}
	return last
}

// value is that of a series of a template.
func (n *node) value(s sample, at, started time.Time, began map[string]int, done []time.Duration) float64 {
	age := at.Sub(started).Seconds()
	switch s.name {
	case "process_start_time_seconds":
		return seconds(started)
	case "process_cpu_seconds_total":
		return 0.1 + 0.004*age
	case "go_gc_duration_seconds_sum":
		return 1e-5 * age
	case "go_gc_duration_seconds_count":
		return math.Floor(age / 60)
	case "promhttp_metric_handler_requests_total":
		if s.label("code") == "200" {
			return math.Floor(age / 15)
		}
		return 0
	case "staticpod_definitions":
		if s.label("source") == "http" {
			return float64(len(n.pods))
		}
		return 0
	case "staticpod_exporter_config_last_reload_successful":
		return bit(!n.life.misconfigured(at))
	case "staticpod_input_duration_seconds":
		return s.value * (0.8 + 0.4*n.rand.Float64())
	case "staticpod_kubelet_log_lines_total":
		return math.Floor(linesPerSecond * age)
	case "staticpod_kubelet_log_bytes_total":
		return math.Floor(linesPerSecond*age) * bytesPerLine
	case "staticpod_kubelet_log_lag_bytes":
		return 0
	case "staticpod_kubelet_log_gaps_total":
		return float64(n.count(gap, started, at))
	case "staticpod_kubelet_log_events_total":
		return float64(len(began) + 4*len(done))
	case "staticpod_manifest_fetches_total":
		if s.label("code") == "200" {
			return math.Floor(age / fetchInterval.Seconds())
		}
		return 0
	case "staticpod_manifest_last_fetch_timestamp_seconds":
		return seconds(at.Truncate(fetchInterval))
	case "staticpod_manifest_rejections_total":
		if s.label("stage") == "validation" {
			return float64(began["ManifestInvalid"])
		}
		return 0
	case "staticpod_problems_total":
		return float64(began[s.label("reason")])
	case "staticpod_rollout_duration_seconds_count", "staticpod_rollout_duration_seconds_sum", "staticpod_rollout_duration_seconds_bucket":
		return stageValue(s, done)
	case "staticpod_exporter_telemetry_exported_total":
		return math.Floor(age / 10)
	case "staticpod_exporter_telemetry_failed_total":
		if s.label("signal") == "traces" {
			return math.Floor(n.unheard(started, at).Seconds() / 10)
		}
		return 0
	case "staticpod_exporter_telemetry_dropped_total", "staticpod_exporter_telemetry_queue":
		return 0
	}
	switch {
	case s.counter && isOurs(s.name):
		return 0
	case s.counter:
		return math.Floor(s.value * age / 10)
	case isOurs(s.name):
		return s.value
	}
	return s.value * (0.9 + 0.2*n.rand.Float64())
}

// isOurs reports whether a family is the exporter's own, and not that of any Go process.
func isOurs(name string) bool {
	return len(name) > 10 && name[:10] == "staticpod_" && !(len(name) > 19 && name[:19] == "staticpod_exporter_" && name != "staticpod_exporter_config_last_reload_successful")
}

// stages are how much of a rollout is over at the end of each of its stages; rejected ones have none of the rest.
var stages = map[string]float64{
	"changed": 0.001, "validated": 0.002, "fetched": 0.25, "accepted": 0.3, "sandbox": 0.4, "pull": 0.6, "container": 0.7, "ready": 0.3, "total": 1,
}

func stageValue(s sample, done []time.Duration) float64 {
	share, ok := stages[s.label("stage")]
	if !ok {
		return 0
	}
	bound := math.Inf(1)
	if le := s.label("le"); le != "" && le != "+Inf" {
		bound, _ = strconv.ParseFloat(le, 64)
	}
	count, sum := 0.0, 0.0
	for _, d := range done {
		took := d.Seconds() * share
		if sum += took; took <= bound {
			count++
		}
	}
	if s.name == "staticpod_rollout_duration_seconds_sum" {
		return sum
	}
	return count
}

// began counts, by reason, the problems that began after started and until at.
func (n *node) began(started, at time.Time) map[string]int {
	counts := map[string]int{}
	n.each(func(e *episode) {
		if t := e.begin.Add(e.after); e.reason != "" && t.Before(e.end) && t.After(started) && !t.After(at) {
			counts[e.reason]++
		}
	})
	return counts
}

// rollouts returns how long those took that ended after started and until at.
func (n *node) rollouts(started, at time.Time) []time.Duration {
	var done []time.Duration
	n.each(func(e *episode) {
		if e.kind == rollout && e.end.After(started) && !e.end.After(at) {
			done = append(done, e.end.Sub(e.begin))
		}
	})
	return done
}

func (n *node) count(k kind, started, at time.Time) int {
	count := 0
	n.each(func(e *episode) {
		if e.kind == k && e.begin.After(started) && !e.begin.After(at) {
			count++
		}
	})
	return count
}

// unheard is for how long, since it started, an exporter has sent what did not arrive.
func (n *node) unheard(started, at time.Time) time.Duration {
	var long time.Duration
	for _, e := range n.life.node {
		if e.kind == unheard && e.begin.Before(at) && e.end.After(started) {
			begin, end := e.begin, e.end
			if begin.Before(started) {
				begin = started
			}
			if end.After(at) {
				end = at
			}
			long += end.Sub(begin)
		}
	}
	return long
}

func (n *node) each(f func(*episode)) {
	for i := range n.life.node {
		f(&n.life.node[i])
	}
	for _, all := range n.life.pods {
		for i := range all {
			f(&all[i])
		}
	}
}

func (n *node) by(name, label, value string) *series {
	key := name + value
	s, ok := n.own[key]
	if !ok {
		s = n.new(name, label, value)
		n.own[key] = s
	}
	return s
}

// problem is the series of an episode's problem, of a pod or, with empty names, of the node.
func (n *node) problem(definition, namespace, pod string, e *episode) *series {
	key := definition + "\xff" + e.reason
	s, ok := n.problems[key]
	if !ok {
		s = n.new("staticpod_problem_start_timestamp_seconds", "definition", definition, "namespace", namespace, "pod", pod, "reason", e.reason, "level", e.level)
		n.problems[key] = s
	}
	return s
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// uid is that of a pod's revision: 128 bits in lower-case hex, as the exporter makes them.
func uid(parts ...any) string {
	h := fnv.New128a()
	fmt.Fprint(h, parts...)
	return fmt.Sprintf("%x", h.Sum(nil))
}
