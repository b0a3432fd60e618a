// Package alerts holds the project's rules for Prometheus: alerts on the static pods of a fleet, and records for its
// dashboards.
package alerts

import (
	"embed"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// FS holds alerts.yaml and rules.yaml, rule files as Prometheus loads them.
//
//go:embed alerts.yaml rules.yaml
var FS embed.FS

// Options fit the alerts to a place. The zero value leaves them as they are.
type Options struct {
	// PageNamespaces is an expression (RE2, anchored) for the namespaces whose pods page one by one: kube-system.
	PageNamespaces string
	// GrafanaURL comes before the paths of dashboards in annotations: https://grafana.example.com.
	GrafanaURL string
}

// pages is how alerts.yaml names the namespaces that page, behind =~ or !~.
const pages = `~"kube-system"`

// Alerts returns alerts.yaml, fitted. The error is a mistake in o.
func Alerts(o Options) (string, error) {
	content, err := FS.ReadFile("alerts.yaml")
	if err != nil {
		return "", err
	}
	text := string(content)
	if o.PageNamespaces != "" {
		if _, err := regexp.Compile(o.PageNamespaces); err != nil {
			return "", fmt.Errorf("namespaces that page: %w", err)
		}
		// Nothing of an expression for names needs quoting, and what does would end the one around it.
		if strings.ContainsAny(o.PageNamespaces, "\"\\\n") {
			return "", errors.New("namespaces that page: a name holds neither quotes nor backslashes")
		}
		text = strings.ReplaceAll(text, pages, `~"`+o.PageNamespaces+`"`)
	}
	if o.GrafanaURL != "" {
		u, err := url.Parse(o.GrafanaURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || strings.ContainsAny(o.GrafanaURL, " #{}") {
			return "", fmt.Errorf("URL %q of Grafana is not like https://grafana.example.com", o.GrafanaURL)
		}
		text = strings.ReplaceAll(text, "dashboard_url: /d/", "dashboard_url: "+strings.TrimSuffix(o.GrafanaURL, "/")+"/d/")
	}
	return text, nil
}

// Records returns rules.yaml.
func Records() (string, error) {
	content, err := FS.ReadFile("rules.yaml")
	return string(content), err
}
