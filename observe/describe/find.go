package describe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// Find returns the static pod that somebody means by id: the ID of a status or of a definition, NAMESPACE/NAME with or
// without the node's name, a file, a UID, or a name where only one namespace has it.
func Find(id string, pods []*status.StaticPod, statuses []*status.StaticPodStatus) (Subject, error) {
	definitions := map[string]*status.StaticPod{}
	for _, d := range pods {
		definitions[d.Metadata.ID] = d
	}
	ways := []func(s *status.StaticPodStatus, d *status.StaticPod) bool{
		func(s *status.StaticPodStatus, _ *status.StaticPod) bool { return s.Metadata.ID == id },
		func(s *status.StaticPodStatus, _ *status.StaticPod) bool { return s.Spec.Definition.ID == id },
		func(s *status.StaticPodStatus, d *status.StaticPod) bool {
			return s.Metadata.ID == id+"-"+s.Node || d != nil && d.Spec.Name != "" && d.Spec.Namespace+"/"+d.Spec.Name == id
		},
		func(s *status.StaticPodStatus, d *status.StaticPod) bool {
			path := strings.TrimPrefix(id, "file:")
			return s.Metadata.ID == "file:"+id || s.Spec.Definition.Path == path || d != nil && d.Spec.Path == path
		},
		func(s *status.StaticPodStatus, _ *status.StaticPod) bool { return s.Spec.Pod.UID == id },
		func(s *status.StaticPodStatus, d *status.StaticPod) bool {
			return s.Spec.Pod.Name == id || s.Spec.Pod.Name == id+"-"+s.Node || d != nil && d.Spec.Name == id
		},
	}
	for _, way := range ways {
		var found []Subject
		for _, s := range statuses {
			d := definitions[s.Spec.Definition.ID]
			if d == nil {
				d = definitions[s.Metadata.ID] // of a file that cannot be parsed
			}
			if id != "" && way(s, d) {
				found = append(found, Subject{Status: s, Definition: d})
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0], nil
		}
		return Subject{}, fmt.Errorf("%q may be any of: %s", id, strings.Join(ids(found), ", "))
	}
	if len(statuses) == 0 {
		return Subject{}, fmt.Errorf("no static pod %q: the node has none", id)
	}
	var all []Subject
	for _, s := range statuses {
		all = append(all, Subject{Status: s})
	}
	return Subject{}, fmt.Errorf("no static pod %q; there are: %s", id, strings.Join(ids(all), ", "))
}

// maxNamed is how many IDs an error names.
const maxNamed = 20

func ids(subjects []Subject) []string {
	var all []string
	for i, s := range subjects {
		if i == maxNamed {
			return append(all, fmt.Sprintf("%d more", len(subjects)-i))
		}
		all = append(all, s.Status.Metadata.ID)
	}
	return all
}

// About reports whether a line of the kubelet's log is about the subject. Paths join by their last element below the
// kubelet's directory: the exporter may see that elsewhere.
func (s Subject) About(e *kubeletlog.Event) bool {
	spec := s.Status.Spec
	if e.UID != "" && spec.Pod.UID != "" {
		return e.UID == spec.Pod.UID
	}
	if e.Pod != "" {
		return e.Pod == spec.Pod.Name && (e.Namespace == "" || e.Namespace == spec.Pod.Namespace)
	}
	if e.Kind == kubeletlog.URLRefused {
		// The kubelet refuses a list as a whole and names none of its pods.
		return slices.ContainsFunc(spec.Problems, func(p manifest.Problem) bool {
			return p.Reason == manifest.ListRejected || p.Reason == manifest.ManifestRejected && spec.Definition.Source == manifest.SourceHTTP
		})
	}
	paths := []string{spec.Definition.Path}
	if s.Definition != nil {
		paths = append(paths, s.Definition.Spec.Path)
	}
	for _, p := range spec.Problems {
		paths = append(paths, p.Path)
	}
	return e.Path != "" && slices.ContainsFunc(paths, func(path string) bool { return path != "" && base(path) == base(e.Path) })
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
