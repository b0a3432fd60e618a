// Package fleet tells of the static pods of many nodes by asking Prometheus, or what answers as it does, for the metrics of
// their exporters.
//
// Its contract: one query per answer; what metrics do not hold is absent and never made up; exporters that are scraped in
// vain are named.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// rememberedFor is how far back an exporter that cannot be scraped now is known to have been one, as PromQL writes it.
const rememberedFor = "1d"

// A Prometheus answers for all exporters that it scrapes, or for those that a selector matches.
type Prometheus struct {
	url      *url.URL
	api      v1.API
	selector Selector
}

// New returns the Prometheus at address, a URL up to and without /api/v1, which is asked by client.
func New(address string, client *http.Client, selector Selector) (*Prometheus, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// It may hold a password: it is not repeated.
		return nil, errors.New("the address of Prometheus is no URL such as http://prometheus:9090")
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/api/v1")
	c, err := api.NewClient(api.Config{Address: u.String(), Client: client})
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	return &Prometheus{url: u, api: v1.NewAPI(c), selector: selector}, nil
}

// String is its URL without a password.
func (p *Prometheus) String() string { return p.url.Redacted() }

// An Answer is what there is to say of resources of one kind.
type Answer[T any] struct {
	Items []*T // sorted by node and ID
	Gaps
}

// Gaps say what an answer may lack.
type Gaps struct {
	// Nodes is how many exporters have told of themselves.
	Nodes int
	// Down are the exporters that are scraped in vain, by their labels: {instance="node3:10058", job="…"}.
	Down []string
	// Ambiguous names the nodes of which more than one exporter tells, each with their labels.
	Ambiguous []string
	// Warnings are Prometheus' own, such as that a store behind it did not answer.
	Warnings []string
}

// Statuses asks for all StaticPodStatuses.
func (p *Prometheus) Statuses(ctx context.Context) (Answer[Status], error) {
	f, err := p.ask(ctx, statusFamilies)
	if err != nil {
		return Answer[Status]{}, err
	}
	a := Answer[Status]{Gaps: f.gaps}
	for _, e := range f.exporters {
		a.Items = append(a.Items, e.statuses()...)
	}
	slices.SortStableFunc(a.Items, func(x, y *Status) int {
		return cmp.Or(strings.Compare(x.Node, y.Node), strings.Compare(x.Metadata.ID, y.Metadata.ID))
	})
	return a, nil
}

// Pods asks for all StaticPods.
func (p *Prometheus) Pods(ctx context.Context) (Answer[Pod], error) {
	f, err := p.ask(ctx, podFamilies)
	if err != nil {
		return Answer[Pod]{}, err
	}
	a := Answer[Pod]{Gaps: f.gaps}
	for _, e := range f.exporters {
		a.Items = append(a.Items, e.pods()...)
	}
	slices.SortStableFunc(a.Items, func(x, y *Pod) int {
		return cmp.Or(strings.Compare(x.Node, y.Node), strings.Compare(x.Metadata.ID, y.Metadata.ID))
	})
	return a, nil
}

// query asks for the families, and for the exporters that are scraped in vain: targets that have told of a node within a
// day, or are of a job of which all targets that can be scraped do.
func (p *Prometheus) query(families []string) string {
	target := "up" + p.selector.String()
	sure, labels := p.selector.onSeries()
	wanted := sure.with(`__name__=~"` + strings.Join(families, "|") + `"`)
	if sure != p.selector {
		wanted = "(" + wanted + " and on (" + strings.Join(append([]string{"job", "instance"}, labels...), ", ") + ") " + target + ")"
	}
	down, node := target+" == 0", nodeInfo+sure.String()
	return wanted +
		" or (" + down + " and on (job, instance) last_over_time(" + node + "[" + rememberedFor + "]))" +
		" or (" + down + " and on (job) (count by (job) (" + node + ") >= count by (job) (up" + sure.String() + " == 1)))"
}

func (p *Prometheus) ask(ctx context.Context, families []string) (*found, error) {
	value, warnings, _, err := p.api.Query(ctx, p.query(families), time.Time{})
	if err != nil {
		return nil, p.explain(err)
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("%s does not answer as Prometheus does: a %s and no vector", p, value.Type())
	}
	f := sift(vector)
	for _, w := range warnings {
		f.gaps.Warnings = append(f.gaps.Warnings, w)
	}
	if len(f.exporters) == 0 && len(f.gaps.Down) == 0 {
		among := ""
		if p.selector != "" {
			among = " among " + p.selector.String()
		}
		return nil, fmt.Errorf("%s has no metrics of an exporter%s: does it scrape them, and is --selector what they are labelled with?", p, among)
	}
	return f, nil
}

// explain says what to try.
func (p *Prometheus) explain(err error) error {
	if e, ok := errors.AsType[*v1.Error](err); ok {
		switch {
		case strings.HasSuffix(e.Msg, ": 401"), strings.HasSuffix(e.Msg, ": 403"):
			return fmt.Errorf("%s refuses us (%s): --http.config.file names a file with basic_auth, authorization or tls_config", p, e.Msg)
		case strings.HasSuffix(e.Msg, ": 404"):
			return fmt.Errorf("%s has no /api/v1/query below it: Mimir's is below /prometheus, Thanos' is that of its querier", p)
		case e.Type == v1.ErrBadData:
			return fmt.Errorf("%s does not understand the query: %s", p, e.Msg)
		case e.Type == v1.ErrBadResponse:
			return fmt.Errorf("%s does not answer as Prometheus does: %s", p, e.Msg)
		}
		said, _, _ := strings.Cut(strings.TrimSpace(e.Detail), "\n")
		return fmt.Errorf("%s: %s: %.200s", p, e.Msg, said)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which may hold a password
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("prometheus not reachable at %s: connection refused: is it running there?", p)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("prometheus at %s: no answer in time", p)
	}
	return fmt.Errorf("prometheus not reachable at %s: %w", p, err)
}
