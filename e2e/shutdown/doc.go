// Package shutdown shows what is said of the pods of a node that is shut down. No machine is: the kubelet hears of it
// from a login manager of the tests' own, on a message bus of its own.
package shutdown
