package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/prometheus/prometheus/storage"
)

// Options say what fleet is wanted. Repository, Nodes, Start and Length must be given.
type Options struct {
	Repository string // a checkout, whose golden scrapes are the template
	Job        string // "edge" by default
	Nodes      int
	Pods       int // of each node; 20 by default
	// ControlPlanes is how many of the nodes have pods of a control plane, in kube-system. One in twenty by default, and one at least.
	ControlPlanes int
	Seed          uint64
	Start         time.Time
	Length        time.Duration
	Interval      time.Duration            // between two scrapes of a node; 15 s by default
	Keep          func(family string) bool // which families are written; all by default
}

// A Fleet is many nodes and all that happens to them from Start for Length.
type Fleet struct {
	o     Options
	nodes []*node
}

// New returns a fleet to which nothing happens.
func New(o Options) (*Fleet, error) {
	if o.Pods == 0 {
		o.Pods = 20
	}
	if o.ControlPlanes == 0 {
		o.ControlPlanes = max(1, o.Nodes/20)
	}
	if o.Interval == 0 {
		o.Interval = 15 * time.Second
	}
	if o.Job == "" {
		o.Job = "edge"
	}
	if o.Keep == nil {
		o.Keep = func(string) bool { return true }
	}
	t, err := readTemplate(o.Repository)
	if err != nil {
		return nil, err
	}
	f := &Fleet{o: o}
	for i := range o.Nodes {
		f.nodes = append(f.nodes, newNode(o, t, i))
	}
	return f, nil
}

func newNode(o Options, t *template, i int) *node {
	name := fmt.Sprintf("node-%04d", i)
	n := &node{
		target: target{job: o.Job, instance: name + ":10058", keep: o.Keep},
		name:   name,
		rand:   rand.New(rand.NewPCG(o.Seed, uint64(i))),
		own:    map[string]*series{}, problems: map[string]*series{},
	}
	n.born = o.Start.Add(-time.Duration(float64(72*time.Hour) * n.rand.Float64()))
	for _, s := range append(t.node, t.process...) {
		switch s.name {
		case "staticpod_input_up", "staticpod_input_last_success_timestamp_seconds": // which change
		case "staticpod_exporter_build_info":
			n.info.make = func(version int) *series {
				return n.new(s.name, replaced(s.labels, "version", fmt.Sprintf("1.%d.0", version))...)
			}
		case "staticpod_node_info":
			n.fixed = append(n.fixed, fixed{n.new(s.name, replaced(s.labels, "node", name)...), s})
		default:
			if series := n.new(s.name, s.labels...); series != nil {
				n.fixed = append(n.fixed, fixed{series, s})
			}
		}
	}
	n.life.pods = make([][]episode, o.Pods)
	for j := range o.Pods {
		namespace, app := appName(j, i < o.ControlPlanes)
		n.pods = append(n.pods, newPod(n, j, namespace, app, 1+j%3/2))
	}
	return n
}

func replaced(pairs []string, name, value string) []string {
	pairs = append([]string(nil), pairs...)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == name {
			pairs[i+1] = value
		}
	}
	return pairs
}

// Scrape writes one scrape of each node, all of which begin within the interval that begins at the given time. It returns
// how many series they have.
func (f *Fleet) Scrape(ctx context.Context, db storage.Appendable, at time.Time) (int, error) {
	app := db.Appender(ctx)
	total := 0
	for i, n := range f.nodes {
		offset := time.Duration(i) * f.o.Interval / time.Duration(len(f.nodes))
		series, err := n.answers(app, at.Add(offset))
		if err != nil {
			app.Rollback()
			return 0, fmt.Errorf("%s: %w", n.instance, err)
		}
		total += series
	}
	return total, app.Commit()
}

// Instances returns the targets, in order.
func (f *Fleet) Instances() []string {
	var all []string
	for _, n := range f.nodes {
		all = append(all, n.instance)
	}
	return all
}
