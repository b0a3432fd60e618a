package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/spf13/pflag"

	"github.com/staticpod-exporter/staticpod-exporter/observe/fleet"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// ambiguousShown is how many nodes are named of which several exporters tell: two Prometheus servers make it all of them.
const ambiguousShown = 3

// fleetTimeout is what a query over the whole fleet may take: Prometheus itself gives one two minutes by default.
const fleetTimeout = 2 * time.Minute

// fleetOptions say which Prometheus to ask, and how.
type fleetOptions struct {
	prometheus, selector, httpConfig string
}

func (o *fleetOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.prometheus, "prometheus", "", "ask Prometheus, Thanos or Mimir at this URL for all exporters that are scraped there")
	f.StringVarP(&o.selector, "selector", "l", "", `with --prometheus: label matchers of the exporters' targets: 'cluster="eu",job=~"static.*"'`)
	f.StringVar(&o.httpConfig, "http.config.file", "", "with --prometheus: HTTP client configuration as promtool and amtool read it: basic_auth, authorization, tls_config, http_headers")
}

// unused refuses flags that need --prometheus where there is none.
func (o *fleetOptions) unused() error {
	for name, value := range map[string]string{"--selector": o.selector, "--http.config.file": o.httpConfig} {
		if value != "" {
			return usageError{errors.New(name + " goes with --prometheus")}
		}
	}
	return nil
}

// open returns the Prometheus.
func (o *fleetOptions) open() (*fleet.Prometheus, error) {
	selector, err := fleet.ParseSelector(o.selector)
	if err != nil {
		return nil, usageError{err}
	}
	config := promconfig.DefaultHTTPClientConfig
	config.ProxyFromEnvironment = true
	if o.httpConfig != "" {
		read, _, err := promconfig.LoadHTTPConfigFile(o.httpConfig)
		if err != nil {
			// The parser writes what is wrong on lines of their own, below a first one that says nothing.
			return nil, fmt.Errorf("--http.config.file %s: %s", o.httpConfig, strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n  "), "\n ", ";"))
		}
		config = *read
		if config.ProxyURL.URL == nil && config.NoProxy == "" {
			config.ProxyFromEnvironment = true
		}
	}
	client, err := promconfig.NewClientFromConfig(config, program, promconfig.WithUserAgent(program))
	if err != nil {
		return nil, fmt.Errorf("--http.config.file %s: %w", o.httpConfig, err)
	}
	p, err := fleet.New(o.prometheus, client, selector)
	if err != nil {
		return nil, usageError{fmt.Errorf("--prometheus: %w", err)}
	}
	return p, nil
}

// run prints what metrics tell of the resources of a type, or of those with that ID.
func (o *fleetOptions) run(ctx context.Context, kind, id, form string, stdout, stderr io.Writer) error {
	prometheus, err := o.open()
	if err != nil {
		return err
	}
	t := resourceType{name: kind}
	var query func(context.Context) ([]json.RawMessage, fleet.Gaps, error)
	switch kind {
	case "staticpods":
		t.columns, t.row = output.PodColumns, rowOf(timeless(fleet.PodRow))
		query = func(ctx context.Context) ([]json.RawMessage, fleet.Gaps, error) {
			return objectsOf(prometheus.Pods(ctx))
		}
	default:
		t.columns, t.row = output.StatusColumns, rowOf(timeless(fleet.StatusRow))
		query = func(ctx context.Context) ([]json.RawMessage, fleet.Gaps, error) {
			return objectsOf(prometheus.Statuses(ctx))
		}
	}
	p, err := newPrinter(stdout, t, form, false)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	end := startProgress(stderr, func() string { return fmt.Sprintf("waiting for Prometheus at %s", prometheus) })
	objects, gaps, err := query(ctx)
	end()
	if err != nil {
		return err
	}
	shown := 0
	for _, object := range objects {
		if id != "" {
			m, err := metadata(object)
			if err != nil {
				return err
			}
			if m.ID != id {
				continue
			}
		}
		shown++
		if err := p.print("", object); err != nil {
			return err
		}
	}
	if id == "" || shown > 0 {
		err = p.flush()
	}
	err = cmp.Or(err, tellGaps(gaps, stderr))
	if id != "" && shown == 0 {
		fmt.Fprintf(stderr, "%s: none of %d exporters has a %q: staticpod-exporter get %s --prometheus %s lists what they have\n", program, gaps.Nodes, id, kind, prometheus)
		err = cmp.Or(err, error(errIncomplete))
	}
	return err
}

// tellGaps says what an answer lacks; that it lacks something is errIncomplete.
func tellGaps(gaps fleet.Gaps, stderr io.Writer) error {
	var err error
	for _, target := range gaps.Down {
		fmt.Fprintf(stderr, "%s: exporter %s is scraped in vain: nothing is known of its node\n", program, output.Printable(target))
		err = errIncomplete
	}
	for _, warning := range gaps.Warnings {
		fmt.Fprintf(stderr, "%s: Prometheus warns: %s\n", program, output.Printable(warning))
		err = errIncomplete
	}
	for i, node := range gaps.Ambiguous {
		if i == ambiguousShown {
			fmt.Fprintf(stderr, "%s: and so they do of %d more nodes\n", program, len(gaps.Ambiguous)-i)
			break
		}
		fmt.Fprintf(stderr, "%s: several exporters tell of node %s: --selector parts them\n", program, output.Printable(node))
	}
	return err
}

// timeless makes a row of one that has no age.
func timeless[T any](row func(*T, bool) []string) func(*T, bool, time.Time) []string {
	return func(resource *T, wide bool, _ time.Time) []string { return row(resource, wide) }
}

// objectsOf writes the items of an answer as JSON.
func objectsOf[T any](a fleet.Answer[T], err error) ([]json.RawMessage, fleet.Gaps, error) {
	if err != nil {
		return nil, fleet.Gaps{}, err
	}
	objects := make([]json.RawMessage, 0, len(a.Items))
	for _, item := range a.Items {
		object, err := json.Marshal(item)
		if err != nil {
			return nil, fleet.Gaps{}, err
		}
		objects = append(objects, object)
	}
	return objects, a.Gaps, nil
}
