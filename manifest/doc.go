// Package manifest owns what should run: it loads the node's static pod definitions, proves each with the
// kubelet's own rules, remembers the last valid revision of every one, and serves them to the kubelet.
//
// Its contract: a rejected definition never hurts another, a bad edit never stops a running pod, and the
// served document changes only when what should run does.
package manifest
