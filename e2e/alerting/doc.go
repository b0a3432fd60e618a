// Package alerting follows an alert from a cause on a real node to the webhook of a receiver: through the exporter, a real
// Prometheus with the rules that the exporter prints, and a real Alertmanager with the routes and inhibitions of
// docs/runbooks.md.
package alerting
