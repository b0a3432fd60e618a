// Package monitoring runs a real Prometheus on loopback, in a scratch directory, that scrapes what its test names.
package monitoring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/service"
)

const tailLines = 30

// Options say what Prometheus is wanted. Config and Directory must be given.
type Options struct {
	// Config is its configuration, in YAML.
	Config string
	// Directory holds its configuration and its data. It must exist, and is the caller's to remove.
	Directory string
	// Flags come after those that say where it listens and stores: --web.enable-otlp-receiver.
	Flags []string
	// Patience is how long it may take to read its data at a start; 0 is 3 minutes.
	Patience time.Duration
	// Binary is found, or built, by programs.EnsurePrometheus when it is "".
	Binary string
	// Progress hears what takes time; nobody by default.
	Progress io.Writer
}

// A Prometheus is one installation: its program runs or not, on the same port and data.
type Prometheus struct {
	*service.Service
	// API asks it what its HTTP API answers: queries, targets, rules, alerts, exemplars.
	API v1.API

	address, directory string
	log                *tail
}

// New returns a Prometheus that does not run yet.
func New(ctx context.Context, o Options) (*Prometheus, error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Binary == "" {
		var err error
		if o.Binary, err = programs.EnsurePrometheus(ctx, o.Progress); err != nil {
			return nil, err
		}
	}
	address, err := exporter.FreeAddress()
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(api.Config{Address: "http://" + address})
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	p := &Prometheus{API: v1.NewAPI(client), address: address, directory: o.Directory, log: &tail{}}
	if err := p.configure(o.Config); err != nil {
		return nil, err
	}
	p.Service = service.New(service.Options{
		Name: "prometheus",
		Command: func() (*exec.Cmd, error) {
			cmd := exec.Command(o.Binary, append([]string{
				"--config.file=" + p.configFile(),
				"--storage.tsdb.path=" + filepath.Join(o.Directory, "data"),
				"--web.listen-address=" + address,
				"--web.enable-lifecycle",
			}, o.Flags...)...)
			cmd.Stdout, cmd.Stderr = p.log, p.log
			return cmd, nil
		},
		Ready:    p.ready,
		Patience: o.Patience,
		Tail:     p.log.String,
	})
	return p, nil
}

// URL returns where it answers: http://127.0.0.1:PORT.
func (p *Prometheus) URL() string { return "http://" + p.address }

// Log returns the end of its log, for the message of a test that failed.
func (p *Prometheus) Log() string { return p.log.String() }

// Configure gives it another configuration, which it follows when this returns.
func (p *Prometheus) Configure(ctx context.Context, config string) error {
	if err := p.configure(config); err != nil || !p.Running() {
		return err
	}
	return p.ask(ctx, http.MethodPost, "/-/reload")
}

func (p *Prometheus) configure(config string) error {
	if err := os.WriteFile(p.configFile(), []byte(config), 0o644); err != nil {
		return fmt.Errorf("prometheus: %w", err)
	}
	return nil
}

func (p *Prometheus) configFile() string { return filepath.Join(p.directory, "prometheus.yml") }

func (p *Prometheus) ready(ctx context.Context) error { return p.ask(ctx, http.MethodGet, "/-/ready") }

func (p *Prometheus) ask(ctx context.Context, method, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.URL()+path, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("prometheus: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	return errors.Join(fmt.Errorf("prometheus: %s: %s: %s", path, res.Status, bytes.TrimSpace(body)), err)
}

// Query asks for an instant vector, as of now.
func (p *Prometheus) Query(ctx context.Context, query string) (model.Vector, error) {
	value, warnings, err := p.API.Query(ctx, query, time.Now())
	if err != nil {
		return nil, fmt.Errorf("prometheus: %s: %w", query, err)
	}
	if len(warnings) > 0 {
		return nil, fmt.Errorf("prometheus: %s: warnings: %s", query, strings.Join(warnings, "; "))
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("prometheus: %s: a %s and no vector", query, value.Type())
	}
	return vector, nil
}

// Metrics returns what it publishes of itself, without what has labels.
func (p *Prometheus) Metrics(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL()+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("prometheus: /metrics: %s", res.Status), err)
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	return values, nil
}

// ScrapeConfig returns a configuration that scrapes targets, each HOST:PORT, once a second.
func ScrapeConfig(job string, targets ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n")
	fmt.Fprintf(&b, "scrape_configs:\n- job_name: %q\n  static_configs:\n  - targets:\n", job)
	for _, target := range targets {
		fmt.Fprintf(&b, "    - %q\n", target)
	}
	return b.String()
}

// A tail keeps the last lines of what is written to it.
type tail struct {
	mu    sync.Mutex
	lines []string
	rest  string
}

func (t *tail) Write(content []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.SplitAfter(t.rest+string(content), "\n")
	t.rest = lines[len(lines)-1]
	t.lines = append(t.lines, lines[:len(lines)-1]...)
	t.lines = append([]string(nil), t.lines[max(0, len(t.lines)-tailLines):]...)
	return len(content), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "") + t.rest
}
