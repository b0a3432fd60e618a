package metrics

import (
	dto "github.com/prometheus/client_model/go"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// conditions are those that have a series: the others are steps in between, for which the page and the
// listing are the place.
var conditions = [...]status.ConditionType{status.Valid, status.Accepted, status.Current, status.Ready}

// definitionPart renders what somebody wrote.
func definitionPart(d *status.StaticPod) *part {
	p := &part{}
	definition := label("definition", d.Metadata.ID)
	p.flag(manifestValid, d.Spec.Valid, definition, label("path", d.Spec.Path), label("source", string(d.Spec.Source)))
	p.add(manifestVersion, float64(d.Metadata.Version), definition)
	p.moment(manifestLastChange, d.Metadata.Updated, definition)
	return p
}

// podPart renders what became of it. A status without a pod (a file that cannot be parsed, the node itself)
// gives nothing but problems, which are not rendered here.
func podPart(s *status.StaticPodStatus) *part {
	p := &part{}
	if s.Spec.Pod.Name == "" {
		return p
	}
	namespace, pod := label("namespace", s.Spec.Pod.Namespace), label("pod", s.Spec.Pod.Name)
	uid := label("uid", s.Spec.Pod.UID)

	p.add(info, 1, namespace, pod, uid,
		label("definition", s.Spec.Definition.ID), label("source", string(s.Spec.Definition.Source)))
	if s.Spec.Pod.MirrorUID != "" {
		p.add(mirrorInfo, 1, namespace, pod, uid, label("mirror_uid", s.Spec.Pod.MirrorUID))
	}
	p.flag(ready, s.Spec.Ready, namespace, pod)
	p.flag(stale, s.Spec.Stale, namespace, pod)
	p.add(statusVersion, float64(s.Metadata.Version), namespace, pod)
	if s.Spec.Phase != "" {
		p.add(phase, 1, namespace, pod, label("phase", s.Spec.Phase))
	}
	for _, t := range conditions {
		if c, ok := s.Condition(t); ok && c.Status != status.Unknown {
			p.flag(condition, c.Status == status.True, namespace, pod, label("condition", string(t)))
		}
	}
	seen := make(map[string]bool, len(s.Spec.Containers))
	for _, c := range s.Spec.Containers {
		if !seen[c.Name] {
			seen[c.Name] = true
			p.container(c, namespace, pod)
		}
	}
	return p
}

func (p *part) container(c status.ContainerStatus, namespace, pod *dto.LabelPair) {
	container := label("container", c.Name)
	p.add(containerInfo, 1, namespace, pod, container,
		label("image", bounded(c.Image)), label("image_id", bounded(c.ImageID)), label("container_id", c.ID))
	p.flag(containerReady, c.Ready, namespace, pod, container)
	p.add(containerRestarts, float64(c.RestartCount), namespace, pod, container)
	if c.State != "" {
		p.add(containerState, 1, namespace, pod, container, label("state", c.State))
	}
	if c.LastExit != nil {
		p.add(containerLastExitCode, float64(c.LastExit.Code), namespace, pod, container)
		p.moment(containerLastTerminated, c.LastExit.At, namespace, pod, container)
	}
}
