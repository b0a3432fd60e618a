package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

//go:embed page.html
var pageTemplate string

//go:embed page.css
var pageStyle string

// A page is the template and the policy under which a browser shows it.
type page struct {
	template *template.Template
	policy   string
}

func newPage() *page {
	sum := sha256.Sum256([]byte(pageStyle))
	return &page{
		template: template.Must(template.New("page").Parse(pageTemplate)),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}
}

func (p *page) execute(v view) ([]byte, error) {
	v.Style = template.CSS(pageStyle)
	var b bytes.Buffer
	if err := p.template.Execute(&b, v); err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return b.Bytes(), nil
}

// A view is what the page shows. Observed is false before the first snapshot.
type view struct {
	Title, Version string
	Style          template.CSS
	Observed       bool
	Detail         bool // of one resource
	Node           string
	Facts          []string // about the node
	At             moment
	Problems       []problemView // of the node
	Inputs         []inputView
	Pods           []podView
}

// A moment is a point in time and how long before the snapshot it was.
type moment struct {
	Known           bool
	Time, Text, Age string
}

type inputView struct {
	Name, State, Class, Error string
	Last                      moment
}

type podView struct {
	ID, Href     string
	State, Class string
	Stale        bool
	Phase        string
	Reason       string
	Message      string
	Since        moment
	Where        string
	Problems     []problemView // but for the headline
	Conditions   []conditionView
	Containers   []containerView
}

type problemView struct {
	Reason, Level, Message, Where string
	Since                         moment
}

type conditionView struct {
	Type, Status, Reason, Message string
	Since                         moment
}

type containerView struct {
	Name, Kind, Image, State string
	Restarts                 int
	LastExit                 string
}

// overview is the page of the whole node.
func overview(s *status.Snapshot, version string) view {
	return look(s, version, func(*status.StaticPodStatus) bool { return true })
}

// detail is the page of the verdict named id, or of those on the definition named id.
func detail(s *status.Snapshot, version, kind, id string) view {
	v := look(s, version, func(verdict *status.StaticPodStatus) bool {
		return kind == status.TypeStaticPodStatus && verdict.Metadata.ID == id ||
			kind == status.TypeStaticPod && verdict.Spec.Definition.ID == id
	})
	v.Title, v.Detail = id, true
	return v
}

// look returns the view of the verdicts that want picks; those on the node are in it always.
func look(s *status.Snapshot, version string, want func(*status.StaticPodStatus) bool) view {
	v := view{Title: "Static pods on " + s.Node, Version: version, Observed: true, Node: s.Node, At: at(s.At, s.At)}
	runtime := strings.TrimSpace(s.Info.Runtime + " " + s.Info.RuntimeVersion)
	for _, fact := range []string{strings.TrimSpace("kubelet " + s.Info.KubeletVersion), runtime, s.Info.Mode} {
		if fact != "" && fact != "kubelet" {
			v.Facts = append(v.Facts, fact)
		}
	}
	for _, input := range s.Inputs {
		v.Inputs = append(v.Inputs, lookInput(input, s.At))
	}
	definitions := make(map[string]*status.StaticPod, len(s.Pods))
	for _, p := range s.Pods {
		definitions[p.Metadata.ID] = p
	}
	for _, verdict := range s.Statuses {
		if verdict.Metadata.ID == status.NodeID {
			v.Problems = lookProblems(verdict.Spec.Problems, s.At)
			continue
		}
		if want(verdict) {
			v.Pods = append(v.Pods, lookPod(verdict, definitions[verdict.Spec.Definition.ID], s.At))
		}
	}
	return v
}

func lookInput(i collector.InputState, now time.Time) inputView {
	v := inputView{Name: string(i.Input), State: "up", Class: "good", Error: i.Err, Last: at(i.LastSuccess, now)}
	switch {
	case !i.Configured:
		v.State, v.Class = "not configured", "unknown"
	case !i.Up:
		v.State, v.Class = "down", "bad"
	}
	return v
}

func lookPod(s *status.StaticPodStatus, definition *status.StaticPod, now time.Time) podView {
	v := podView{
		ID: s.Metadata.ID, Href: (&url.URL{Path: "/staticpodstatus/" + s.Metadata.ID}).EscapedPath(),
		Stale: s.Spec.Stale, Phase: s.Spec.Phase, Reason: string(s.Spec.Reason), Message: s.Spec.Message, Since: at(s.Spec.Since, now),
		Where: s.Spec.Definition.Path,
	}
	switch output.Ready(s) {
	case status.True:
		v.State, v.Class = "Ready", "good"
	case status.Unknown:
		v.State, v.Class = "Unknown", "unknown"
	default:
		v.State, v.Class = "Not ready", "bad"
	}
	if definition != nil {
		v.Where = where(definition.Spec.Path, definition.Spec.Line, "")
	}
	headline := true
	for _, p := range s.Spec.Problems {
		if headline && p.Reason == s.Spec.Reason {
			headline = false
			if p.Path != "" {
				v.Where = where(p.Path, p.Line, p.Field)
			}
			continue
		}
		v.Problems = append(v.Problems, lookProblems([]manifest.Problem{p}, now)...)
	}
	for _, c := range s.Spec.Conditions {
		v.Conditions = append(v.Conditions, conditionView{string(c.Type), string(c.Status), c.Reason, c.Message, at(c.LastTransitionTime, now)})
	}
	for _, c := range s.Spec.Containers {
		container := containerView{Name: c.Name, Kind: c.Kind, Image: c.Image, State: c.State, Restarts: c.RestartCount}
		if c.Reason != "" {
			container.State += " (" + c.Reason + ")"
		}
		if c.LastExit != nil {
			container.LastExit = fmt.Sprintf("code %d %s", c.LastExit.Code, c.LastExit.Reason)
		}
		v.Containers = append(v.Containers, container)
	}
	return v
}

func lookProblems(problems []manifest.Problem, now time.Time) []problemView {
	views := make([]problemView, 0, len(problems))
	for _, p := range problems {
		views = append(views, problemView{string(p.Reason), string(p.Level), p.Message, where(p.Path, p.Line, p.Field), at(p.Since, now)})
	}
	return views
}

// where is file:line and the field.
func where(path string, line int, field string) string {
	if path != "" && line > 0 {
		path += ":" + strconv.Itoa(line)
	}
	if path != "" && field != "" {
		path += " "
	}
	return path + field
}

func at(t, now time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	t = t.UTC()
	return moment{Known: true, Time: t.Format(time.RFC3339), Text: t.Format("2006-01-02 15:04:05 UTC"), Age: output.Age(t, now)}
}
