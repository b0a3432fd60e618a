package output

import (
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// PodColumns is the header of a table of StaticPods.
func PodColumns(wide bool) []string {
	header := []string{"NODE", "NAMESPACE", "TYPE", "ID", "VERSION"}
	if wide {
		header = append(header, "VALID", "SERVED", "SOURCE", "REVISION", "REASON", "AGE", "PATH")
	}
	return header
}

// PodRow is the row of p in a table of StaticPods; AGE is counted to now.
func PodRow(p *status.StaticPod, wide bool, now time.Time) []string {
	row := resource(p.Node, p.Metadata)
	if wide {
		path := p.Spec.Path
		if path != "" && p.Spec.Line > 0 {
			path += ":" + strconv.Itoa(p.Spec.Line)
		}
		reason := ""
		if len(p.Spec.Problems) > 0 {
			reason = string(p.Spec.Problems[0].Reason)
		}
		row = append(row, strconv.FormatBool(p.Spec.Valid), strconv.FormatBool(p.Spec.Served), or(string(p.Spec.Source)),
			revision(p.Spec.Hash), or(reason), age(p.Metadata.Created, now), or(path))
	}
	return row
}

// StatusColumns is the header of a table of StaticPodStatuses.
func StatusColumns(wide bool) []string {
	header := []string{"NODE", "NAMESPACE", "TYPE", "ID", "VERSION", "READY"}
	if wide {
		header = append(header, "PHASE", "SOURCE", "REVISION", "RESTARTS", "REASON", "AGE", "STALE")
	}
	return header
}

// StatusRow is the row of s in a table of StaticPodStatuses; AGE is counted to now.
func StatusRow(s *status.StaticPodStatus, wide bool, now time.Time) []string {
	row := append(resource(s.Node, s.Metadata), string(Ready(s)))
	if wide {
		restarts := 0
		for _, c := range s.Spec.Containers {
			restarts += c.RestartCount
		}
		row = append(row, or(s.Spec.Phase), or(string(s.Spec.Definition.Source)), revision(s.Spec.Definition.Hash),
			strconv.Itoa(restarts), or(string(s.Spec.Reason)), age(s.Metadata.Created, now), strconv.FormatBool(s.Spec.Stale))
	}
	return row
}

// Ready is the status of the condition Ready, which a verdict on no pod (an unreadable file, the node) lacks:
// there it says whether all is well.
func Ready(s *status.StaticPodStatus) status.ConditionStatus {
	if c, ok := s.Condition(status.Ready); ok {
		return c.Status
	}
	if s.Spec.Ready {
		return status.True
	}
	return status.False
}

// Age is how long ago since was, as kubectl writes it: 5m12s, 3d4h.
func Age(since, now time.Time) string { return age(since, now) }

func resource(node string, m status.Metadata) []string {
	return slices.Grow([]string{node, m.Namespace, m.Type, m.ID, strconv.FormatUint(m.Version, 10)}, 8)
}

// revision is the part of a content's hash that tells it from others at a glance.
func revision(hash string) string {
	return or(hash[:min(len(hash), 12)])
}

func age(since, now time.Time) string {
	if since.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(since))
}

func or(s string) string {
	if s == "" {
		return none
	}
	return s
}
