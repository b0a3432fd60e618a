// Package get holds what an operator sees of real nodes by the command get: a watch while a pod comes, breaks, mends and
// goes, and a fleet, asked directly and by a real Prometheus.
package get
