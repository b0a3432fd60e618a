package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/service"
)

// An Alertmanager is Debian's, on loopback, in a scratch directory.
type Alertmanager struct {
	*service.Service
	// Address is HOST:PORT, for alertmanagers of a Prometheus.
	Address string

	directory, amtool string
}

// NewAlertmanager returns an Alertmanager that does not run yet. config is its configuration, in YAML; directory must
// exist, and is the caller's to remove.
func NewAlertmanager(ctx context.Context, config, directory string, progress io.Writer) (*Alertmanager, error) {
	root, err := programs.EnsureDebian(ctx, progress, "prometheus-alertmanager")
	if err != nil {
		return nil, err
	}
	address, err := exporter.FreeAddress()
	if err != nil {
		return nil, err
	}
	a := &Alertmanager{Address: address, directory: directory, amtool: filepath.Join(root, "usr/bin/amtool")}
	if err := os.WriteFile(a.config(), []byte(config), 0o644); err != nil {
		return nil, fmt.Errorf("alertmanager: %w", err)
	}
	log := &tail{}
	a.Service = service.New(service.Options{
		Name: "alertmanager",
		Command: func() (*exec.Cmd, error) {
			cmd := exec.Command(filepath.Join(root, "usr/bin/prometheus-alertmanager"),
				"--config.file="+a.config(),
				"--storage.path="+filepath.Join(directory, "notices"),
				"--web.listen-address="+address,
				"--cluster.listen-address=")
			cmd.Stdout, cmd.Stderr = log, log
			return cmd, nil
		},
		Ready: a.ready,
		Tail:  log.String,
	})
	return a, nil
}

func (a *Alertmanager) config() string { return filepath.Join(a.directory, "alertmanager.yml") }

func (a *Alertmanager) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.Address+"/-/ready", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("alertmanager: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("alertmanager: %s", res.Status)
	}
	return nil
}

// Check has amtool check its configuration.
func (a *Alertmanager) Check(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, a.amtool, "check-config", a.config()).CombinedOutput(); err != nil {
		return fmt.Errorf("amtool: %w\n%s", err, out)
	}
	return nil
}

// An Alert is what an Alertmanager notifies a webhook of.
type Alert struct {
	Receiver    string
	Status      string // firing or resolved
	Labels      map[string]string
	Annotations map[string]string
	At          time.Time // when it came
}

// A Webhook is told of alerts, and remembers all of it.
type Webhook struct {
	server *httptest.Server

	mu   sync.Mutex
	told []Alert
	bad  error
}

// NewWebhook returns one that listens on loopback until closed.
func NewWebhook() *Webhook {
	w := &Webhook{}
	w.server = httptest.NewServer(w)
	return w
}

// URL returns where it is told.
func (w *Webhook) URL() string { return w.server.URL }

// Close stops it from listening.
func (w *Webhook) Close() { w.server.Close() }

// ServeHTTP takes a notification.
func (w *Webhook) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	now := time.Now()
	var notification struct {
		Receiver string
		Alerts   []Alert
	}
	err := json.NewDecoder(r.Body).Decode(&notification)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.bad = fmt.Errorf("webhook: %w", err)
		return
	}
	for _, alert := range notification.Alerts {
		alert.Receiver, alert.At = notification.Receiver, now
		w.told = append(w.told, alert)
	}
}

// Told returns all that it was told, in order, an alert as often as it was told.
func (w *Webhook) Told() ([]Alert, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Alert(nil), w.told...), w.bad
}
