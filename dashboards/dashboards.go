// Package dashboards holds the project's Grafana dashboards.
package dashboards

import "embed"

// FS holds one file per dashboard, in Grafana's classic JSON as it is imported and provisioned.
//
//go:embed *.json
var FS embed.FS
