// Package fleet plays the exporters of many nodes, as a Prometheus that scrapes them would store them, and has
// Prometheus' own code judge them by the project's rules at the played time.
//
// What a node publishes is shaped by the golden scrapes of observe/metrics and by one of a real process; what happens to
// it (rollouts, reboots, upgrades, failures) is drawn from a seed, so that a fleet is the same in every run.
package fleet
