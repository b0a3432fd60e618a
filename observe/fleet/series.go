package fleet

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// The metric families that are asked for. A test holds their names and labels against those that are published.
const (
	nodeInfo      = "staticpod_node_info"
	podInfo       = "staticpod_info"
	mirrorInfo    = "staticpod_mirror_info"
	podReady      = "staticpod_ready"
	podStale      = "staticpod_stale"
	podPhase      = "staticpod_phase"
	podCondition  = "staticpod_condition"
	statusVersion = "staticpod_status_version"
	problemStart  = "staticpod_problem_start_timestamp_seconds"

	manifestValid   = "staticpod_manifest_valid"
	manifestVersion = "staticpod_manifest_version"
	manifestChange  = "staticpod_manifest_last_change_timestamp_seconds"

	containerInfo     = "staticpod_container_info"
	containerReady    = "staticpod_container_ready"
	containerRestarts = "staticpod_container_restarts_total"
	containerState    = "staticpod_container_state"
)

var statusFamilies = []string{
	nodeInfo, podInfo, mirrorInfo, podReady, podStale, podPhase, podCondition, statusVersion, problemStart,
	manifestValid, manifestVersion, containerInfo, containerReady, containerRestarts, containerState,
}

var podFamilies = []string{nodeInfo, podInfo, problemStart, manifestValid, manifestVersion, manifestChange}

// isOwn reports whether a label is one that the exporter itself puts on series of these families. All others are the
// target's.
func isOwn(name model.LabelName) bool {
	switch name {
	case "condition", "container", "container_id", "definition", "image", "image_id", "kubelet_version", "level", "mirror_uid", "mode",
		"namespace", "node", "path", "phase", "pod", "reason", "runtime", "runtime_version", "source", "state", "uid":
		return true
	}
	return false
}

// found is one answer of Prometheus, sorted by exporter.
type found struct {
	exporters []*exporter // in the order of their labels
	gaps      Gaps
}

// An exporter is one target and the series that came from it.
type exporter struct {
	node   string // as it calls its node; else as the target is called
	target model.Metric
	name   string              // the labels of the target
	series map[string][]series // by family
	// own are the namespace and the pod that the target itself is, which stick to series that have none.
	ownNamespace, ownPod string
}

// A series is a sample without the labels of its target.
type series struct {
	labels map[string]string
	value  float64
}

func (s series) label(name string) string { return s.labels[name] }

// at is the value as a moment.
func (s series) at() time.Time { return time.UnixMilli(int64(s.value * 1000)).UTC() }

// sift takes a vector apart.
func sift(vector model.Vector) *found {
	f := &found{}
	byTarget := map[model.Fingerprint][]*exporter{}
	for _, sample := range vector {
		family := string(sample.Metric[model.MetricNameLabel])
		target, s := split(sample)
		if family == "up" || family == "" {
			f.gaps.Down = append(f.gaps.Down, target.String())
			continue
		}
		hash := target.FastFingerprint()
		i := slices.IndexFunc(byTarget[hash], func(e *exporter) bool { return e.target.Equal(target) })
		if i < 0 {
			i = len(byTarget[hash])
			byTarget[hash] = append(byTarget[hash], &exporter{target: target, name: target.String(), series: map[string][]series{}})
		}
		e := byTarget[hash][i]
		e.series[family] = append(e.series[family], s)
		if family == nodeInfo {
			e.node = s.label("node")
			e.ownNamespace, e.ownPod = s.label("namespace"), s.label("pod")
		}
	}
	slices.Sort(f.gaps.Down)
	for _, some := range byTarget {
		f.exporters = append(f.exporters, some...)
	}
	slices.SortFunc(f.exporters, func(a, b *exporter) int { return strings.Compare(a.name, b.name) })
	told := map[string][]string{}
	for _, e := range f.exporters {
		if e.node == "" {
			e.node = string(e.target[model.InstanceLabel])
		}
		told[e.node] = append(told[e.node], e.name)
	}
	f.gaps.Nodes = len(f.exporters)
	for _, node := range slices.Sorted(maps.Keys(told)) {
		if names := told[node]; len(names) > 1 {
			f.gaps.Ambiguous = append(f.gaps.Ambiguous, node+": "+strings.Join(names, ", "))
		}
	}
	return f
}

const exportedPrefix = "exported_"

// split parts the labels of a sample into those of its target and those of the exporter. Where both have one, Prometheus
// kept the exporter's as exported_NAME, unless it was told to honour it.
func split(sample *model.Sample) (model.Metric, series) {
	target := model.Metric{}
	s := series{labels: map[string]string{}, value: float64(sample.Value)}
	exported := false
	for name, value := range sample.Metric {
		own, ok := strings.CutPrefix(string(name), exportedPrefix)
		switch {
		case isOwn(name):
			s.labels[string(name)] = string(value)
		case ok && isOwn(model.LabelName(own)):
			exported = true
		case name != model.MetricNameLabel:
			target[name] = value
		}
	}
	if exported {
		for name, value := range sample.Metric {
			if own, ok := strings.CutPrefix(string(name), exportedPrefix); ok && isOwn(model.LabelName(own)) {
				s.labels[own] = string(value)
			}
		}
	}
	return target, s
}

// A subject is the pod that a series is about, or the definition where there is no pod; the zero subject is the node.
type subject struct{ namespace, pod, definition string }

// subject returns whom a problem is about.
func (e *exporter) subject(s series) subject {
	about := subject{s.label("namespace"), s.label("pod"), s.label("definition")}
	if strings.HasPrefix(about.definition, "file:") {
		return subject{definition: about.definition} // there is no pod in it
	}
	if about.definition == "" && about.pod != "" && about.pod == e.ownPod && about.namespace == e.ownNamespace {
		return subject{} // those are the target's own labels, on a series that has none
	}
	return about
}

// of returns the series of a family that are about a pod.
func (e *exporter) of(family, namespace, pod string) []series {
	var about []series
	for _, s := range e.series[family] {
		if s.label("namespace") == namespace && s.label("pod") == pod {
			about = append(about, s)
		}
	}
	return about
}
