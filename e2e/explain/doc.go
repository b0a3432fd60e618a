// Package explain asks validate, describe and diagnose about a real node: what is well, what is refused, what crashes,
// and what about the exporter's surroundings is broken.
package explain
