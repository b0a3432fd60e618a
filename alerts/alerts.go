// Package alerts holds the project's Prometheus alerting rules.
package alerts

import "embed"

// FS holds alerts.yaml, a rule file as Prometheus loads it.
//
//go:embed alerts.yaml
var FS embed.FS
