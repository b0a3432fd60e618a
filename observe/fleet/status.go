package fleet

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A Status is what metrics hold of a StaticPodStatus. It has the same shape, without what they do not hold.
type Status struct {
	Node     string     `json:"node"`
	Metadata Metadata   `json:"metadata"`
	Spec     StatusSpec `json:"spec"`
}

// StatusSpec says what became of a static pod.
type StatusSpec struct {
	Pod        PodRef          `json:"pod,omitzero"`
	Definition DefinitionRef   `json:"definition,omitzero"`
	Ready      bool            `json:"ready"`
	Phase      string          `json:"phase"`
	Reason     manifest.Reason `json:"reason"`
	Stale      bool            `json:"stale"`
	Conditions []Condition     `json:"conditions"`
	Problems   []Problem       `json:"problems"`
	Containers []Container     `json:"containers"`
}

// PodRef names the pod the kubelet runs.
type PodRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	MirrorUID string `json:"mirrorUid"`
}

// DefinitionRef names the definition it comes from.
type DefinitionRef struct {
	ID      string          `json:"id"`
	Version uint64          `json:"version,omitzero"`
	Source  manifest.Source `json:"source"`
	Path    string          `json:"path,omitzero"`
}

// A Condition is one step and whether it is done.
type Condition struct {
	Type   status.ConditionType   `json:"type"`
	Status status.ConditionStatus `json:"status"`
}

// A Container of a static pod.
type Container struct {
	Name         string `json:"name"`
	Image        string `json:"image"`
	ImageID      string `json:"imageId"`
	ID           string `json:"id"`
	State        string `json:"state"`
	Ready        bool   `json:"ready"`
	RestartCount int    `json:"restartCount"`
}

// StatusRow is the row of s in a table of StaticPodStatuses.
func StatusRow(s *Status, wide bool) []string {
	cells := append(row(s.Node, s.Metadata), string(s.ready()))
	if wide {
		restarts := 0
		for _, c := range s.Spec.Containers {
			restarts += c.RestartCount
		}
		revision := unknown
		if s.Spec.Definition.ID == "" {
			revision = none
		}
		cells = append(cells, or(s.Spec.Phase), or(string(s.Spec.Definition.Source)), revision,
			strconv.Itoa(restarts), or(string(s.Spec.Reason)), unknown, strconv.FormatBool(s.Spec.Stale))
	}
	return cells
}

// ready is the condition Ready, which verdicts on no pod lack.
func (s *Status) ready() status.ConditionStatus {
	for _, c := range s.Spec.Conditions {
		if c.Type == status.Ready {
			return c.Status
		}
	}
	if s.Spec.Ready {
		return status.True
	}
	return status.False
}

// statuses are the verdicts of one exporter: on its pods, on files in which there is no pod, on the node.
func (e *exporter) statuses() []*Status {
	problems := e.problems()
	node := problems[subject{}]
	var all []*Status
	for _, info := range e.series[podInfo] {
		all = append(all, e.podStatus(info, problems, node))
	}
	for _, valid := range e.series[manifestValid] {
		if id := valid.label("definition"); strings.HasPrefix(id, "file:") {
			s := e.newStatus(id, problems[subject{definition: id}])
			s.Spec.Definition = e.definition(id)
			s.Spec.Ready = valid.value == 1
			all = append(all, s)
		}
	}
	s := e.newStatus(status.NodeID, node)
	s.Spec.Ready = !slices.ContainsFunc(node, func(p Problem) bool { return p.Level == manifest.Critical })
	return append(all, s)
}

func (e *exporter) newStatus(id string, problems []Problem) *Status {
	s := &Status{
		Node:     e.node,
		Metadata: Metadata{Namespace: status.Namespace, Type: status.TypeStaticPodStatus, ID: id},
		Spec:     StatusSpec{Conditions: []Condition{}, Problems: append([]Problem{}, problems...), Containers: []Container{}},
	}
	if len(problems) > 0 {
		s.Spec.Reason = problems[0].Reason
	}
	return s
}

func (e *exporter) podStatus(info series, problems map[subject][]Problem, node []Problem) *Status {
	namespace, pod, id := info.label("namespace"), info.label("pod"), info.label("definition")
	s := e.newStatus(namespace+"/"+pod, problems[subject{namespace, pod, id}])
	spec := &s.Spec
	spec.Pod = PodRef{Namespace: namespace, Name: pod, UID: info.label("uid")}
	for _, m := range e.of(mirrorInfo, namespace, pod) {
		spec.Pod.MirrorUID = m.label("mirror_uid")
	}
	spec.Definition = e.definition(id)
	spec.Definition.Source = cmp.Or(manifest.Source(info.label("source")), spec.Definition.Source)
	for _, v := range e.of(statusVersion, namespace, pod) {
		s.Metadata.Version = uint64(v.value)
	}
	spec.Ready = is(e.of(podReady, namespace, pod))
	spec.Stale = is(e.of(podStale, namespace, pod))
	for _, p := range e.of(podPhase, namespace, pod) {
		spec.Phase = p.label("phase")
	}
	spec.Conditions = e.conditions(namespace, pod)
	spec.Containers = e.containers(namespace, pod)
	if spec.Stale && (len(spec.Problems) == 0 || spec.Problems[0].Level != manifest.Critical) && len(node) > 0 {
		spec.Reason = node[0].Reason // why what is said is old
	}
	return s
}

func (e *exporter) conditions(namespace, pod string) []Condition {
	known := e.of(podCondition, namespace, pod)
	conditions := []Condition{}
	for _, t := range []status.ConditionType{status.Valid, status.Accepted, status.Ready, status.Current} {
		i := slices.IndexFunc(known, func(s series) bool { return s.label("condition") == string(t) })
		switch {
		case i >= 0 && known[i].value == 1:
			conditions = append(conditions, Condition{t, status.True})
		case i >= 0:
			conditions = append(conditions, Condition{t, status.False})
		case t == status.Ready: // which each pod has
			conditions = append(conditions, Condition{t, status.Unknown})
		}
	}
	return conditions
}

// definition returns what there is to say of a definition by its ID.
func (e *exporter) definition(id string) DefinitionRef {
	d := DefinitionRef{ID: id}
	for _, s := range e.series[manifestValid] {
		if s.label("definition") == id {
			d.Source, d.Path = manifest.Source(s.label("source")), s.label("path")
		}
	}
	for _, s := range e.series[manifestVersion] {
		if s.label("definition") == id {
			d.Version = uint64(s.value)
		}
	}
	return d
}

func (e *exporter) containers(namespace, pod string) []Container {
	containers := []Container{}
	for _, info := range e.of(containerInfo, namespace, pod) {
		c := Container{Name: info.label("container"), Image: info.label("image"), ImageID: info.label("image_id"), ID: info.label("container_id")}
		for _, s := range e.of(containerReady, namespace, pod) {
			c.Ready = c.Ready || s.label("container") == c.Name && s.value == 1
		}
		for _, s := range e.of(containerRestarts, namespace, pod) {
			if s.label("container") == c.Name {
				c.RestartCount = int(s.value)
			}
		}
		for _, s := range e.of(containerState, namespace, pod) {
			if s.label("container") == c.Name {
				c.State = s.label("state")
			}
		}
		containers = append(containers, c)
	}
	slices.SortFunc(containers, func(a, b Container) int { return strings.Compare(a.Name, b.Name) })
	return containers
}

func is(some []series) bool {
	return slices.ContainsFunc(some, func(s series) bool { return s.value == 1 })
}
