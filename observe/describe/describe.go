// Package describe tells all of one static pod on a page, from cause to effect: what was defined, what the kubelet
// made of it, what runs, how the last rollout went, what is wrong and what to do about it.
//
// Its contract: the page says nothing that its evidence does not say, and dates what it says; whatever a value holds,
// it cannot steer a terminal.
package describe

import (
	"fmt"
	"io"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// A Subject is what is known of one static pod.
type Subject struct {
	Status     *status.StaticPodStatus
	Definition *status.StaticPod // nil when none is to be seen
	// Log are the kubelet's lines about it; LogNote says why there are none when that is not the kubelet's silence.
	Log     []kubeletlog.Line
	LogNote string
	Now     time.Time
}

// Write writes the page.
func Write(w io.Writer, s Subject, colours output.Colours) error {
	p := &page{colours: colours, now: s.Now}
	p.head(s)
	if s.Status.Metadata.ID != status.NodeID {
		p.definition(s)
		p.pod(s.Status.Spec.Pod)
		p.conditions(s.Status.Spec.Conditions)
		p.containers(s.Status.Spec.Containers)
		p.rollout(s.Status.Spec.Rollout)
	}
	p.problems(s.Status.Spec)
	if s.Status.Metadata.ID != status.NodeID {
		p.log(s)
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// head is who it is about, and the verdict.
func (p *page) head(s Subject) {
	spec := s.Status.Spec
	switch name := s.name(); {
	case s.Status.Metadata.ID == status.NodeID:
		p.field("Node", s.Status.Node)
	case name == "":
		p.field("ID", s.Status.Metadata.ID)
		p.field("Node", s.Status.Node)
	default:
		p.field("Name", name)
		p.field("Namespace", s.namespace())
		p.field("Node", s.Status.Node)
	}
	verdict, colour := "no problem", output.Good
	switch {
	case spec.Reason != "":
		verdict, colour = string(spec.Reason), output.ColourOf(levelOf(spec))
	case !spec.Ready:
		verdict, colour = "not ready", output.Doubtful
	case s.Status.Metadata.ID != status.NodeID:
		verdict = "ready"
	}
	p.painted(0, "Verdict", p.paint(colour, verdict)+p.since(spec.Since))
	if spec.Message != "" {
		p.text(labelColumns, spec.Message)
	}
	if s.Status.Metadata.ID == status.NodeID {
		return
	}
	p.field("Phase", or(spec.Phase, "none: the kubelet does not have the pod"))
	if spec.Stale {
		p.painted(0, "Stale", p.paint(output.Doubtful, "part of the evidence is old: "+p.observed(spec.Observed)))
	}
}

// name is the pod's as its author wrote it, else as the kubelet has it.
func (s Subject) name() string {
	if s.Definition != nil && s.Definition.Spec.Name != "" {
		return s.Definition.Spec.Name
	}
	return s.Status.Spec.Pod.Name
}

func (s Subject) namespace() string {
	if s.Definition != nil && s.Definition.Spec.Namespace != "" {
		return s.Definition.Spec.Namespace
	}
	return s.Status.Spec.Pod.Namespace
}

// levelOf is the level of the headline.
func levelOf(spec status.StatusSpec) manifest.Level {
	for _, p := range spec.Problems {
		if p.Reason == spec.Reason {
			return p.Level
		}
	}
	for _, c := range status.Reasons() {
		if c.Reason == spec.Reason {
			return c.Level
		}
	}
	return manifest.Critical
}

func (p *page) observed(o status.Observed) string {
	words := ""
	for _, seen := range []struct {
		input string
		at    time.Time
	}{{"manifest", o.Manifest}, {"kubelet", o.Kubelet}, {"runtime", o.Runtime}, {"log", o.Log}, {"mirror", o.Mirror}} {
		if seen.at.IsZero() {
			continue
		}
		if words != "" {
			words += ", "
		}
		words += seen.input + " " + output.Age(seen.at, p.now) + " ago"
	}
	return or(words, "no input has told of it")
}

// definition is what somebody wrote.
func (p *page) definition(s Subject) {
	p.heading("Definition")
	ref := s.Status.Spec.Definition
	if s.Definition == nil {
		where := "none is to be seen"
		if ref.Source != "" {
			where += fmt.Sprintf("; the kubelet has the pod by %s", sourceWords(ref.Source))
		}
		p.item("ID", or(ref.ID, where))
		return
	}
	d := s.Definition
	path := d.Spec.Path
	if path != "" && d.Spec.Line > 0 {
		path = fmt.Sprintf("%s:%d", path, d.Spec.Line)
	}
	p.item("ID", d.Metadata.ID)
	p.item("File", or(path, "unknown"))
	p.item("Source", sourceWords(d.Spec.Source))
	p.item("Version", fmt.Sprintf("%d%s", d.Metadata.Version, p.ago(", changed", d.Metadata.Updated)))
	if d.Spec.Hash != "" {
		p.item("Revision", d.Spec.Hash[:min(12, len(d.Spec.Hash))])
	}
	p.item("Valid", yes(d.Spec.Valid))
	served := yes(d.Spec.Served)
	switch {
	case d.Spec.Served && !d.Spec.Valid && d.Spec.Source == manifest.SourceHTTP:
		served = "an earlier revision, which is valid"
	case d.Spec.Source == manifest.SourceFile:
		served = "by the kubelet's own reading of the file"
	}
	p.item("Served", served)
	for i, c := range d.Spec.Containers {
		label := ""
		if i == 0 {
			label = "Containers"
		}
		p.item(label, c.Name+" from "+c.Image)
	}
}

func sourceWords(source manifest.Source) string {
	switch source {
	case manifest.SourceHTTP:
		return "http (staticPodURL)"
	case manifest.SourceFile:
		return "file (staticPodPath)"
	}
	return or(string(source), "unknown")
}

// pod is the one the kubelet runs.
func (p *page) pod(pod status.PodRef) {
	if pod.Name == "" {
		return
	}
	p.heading("Pod")
	p.item("Name", pod.Namespace+"/"+pod.Name)
	p.item("UID", or(pod.UID, "unknown"))
	if pod.MirrorUID != "" {
		p.item("Mirror", "UID "+pod.MirrorUID)
	}
}

// conditions are the steps from the definition to a running pod.
func (p *page) conditions(conditions []status.Condition) {
	if len(conditions) == 0 {
		return
	}
	p.heading("Conditions")
	for _, c := range conditions {
		colour := map[status.ConditionStatus]output.Colour{status.True: output.Good, status.False: output.Bad}[c.Status]
		if c.Status == status.Unknown {
			colour = output.Doubtful
		}
		words := p.paint(colour, string(c.Status)) + p.since(c.LastTransitionTime)
		if c.Reason != "" {
			words += ", " + output.Printable(c.Reason)
		}
		p.painted(itemIndent, string(c.Type), words)
		if c.Message != "" {
			p.text(itemColumns, c.Message)
		}
	}
}

// containers are what runs of the pod.
func (p *page) containers(containers []status.ContainerStatus) {
	if len(containers) == 0 {
		return
	}
	p.heading("Containers")
	for _, c := range containers {
		kind := c.Kind
		if kind == status.KindApp {
			kind = "container"
		}
		p.line(itemIndent, p.paint(output.Heading, c.Name)+" ("+output.Printable(kind)+")")
		p.sub("Image", c.Image)
		state, colour := c.State, output.Plain
		switch {
		case c.State == status.StateRunning && c.Ready:
			colour = output.Good
		case c.State == status.StateRunning:
			state, colour = state+", not ready", output.Doubtful
		case c.State == status.StateWaiting, c.State == status.StateExited && c.Kind != status.KindInit:
			colour = output.Bad
		}
		if c.Reason != "" {
			state += ", " + c.Reason
		}
		state = p.paint(colour, state)
		if c.State == status.StateRunning {
			state += p.since(c.StartedAt)
			if c.PID > 0 {
				state += fmt.Sprintf(", PID %d", c.PID)
			}
		}
		p.painted(subIndent, "State", state)
		p.sub("Restarts", fmt.Sprint(c.RestartCount))
		if e := c.LastExit; e != nil {
			words := fmt.Sprintf("code %d", e.Code)
			if e.Reason != "" {
				words += " (" + e.Reason + ")"
			}
			p.sub("Last exit", words+p.ago(",", e.At))
		}
		if c.ID != "" {
			p.sub("ID", c.ID[:min(12, len(c.ID))])
		}
	}
}
