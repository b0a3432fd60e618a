// Package telemetry tests what the exporter sends by OpenTelemetry: that strict and real receivers take all of it over
// both protocols, that it is what a scrape shows, and that a receiver which is down, slow or wrong is nobody's trouble
// but its own.
package telemetry
