// Package cri sees what the container runtime runs: the sandboxes and containers of static pods, and on demand of
// others, and their events. It only reads.
package cri

import "time"

// A View is everything the runtime has of static pods, at one moment. It is immutable.
type View struct {
	At               time.Time
	Runtime, Version string    // "containerd", "2.4.2"
	Sandboxes        []Sandbox // sorted by namespace, name, creation
}

// A Sandbox is one incarnation of a pod.
type Sandbox struct {
	ID              string
	Namespace, Name string // the pod's, with the node's name
	UID             string
	Source          string // annotation kubernetes.io/config.source: file or http
	Attempt         uint32
	Ready           bool
	Created         time.Time
	Containers      []Container // every attempt the runtime still has, oldest first
}

// State of a container, in the words of StaticPodStatus.
type State string

// The states of a container.
const (
	Created State = "created"
	Running State = "running"
	Exited  State = "exited"
	Unknown State = "unknown"
)

// A Container is one attempt at running a container of a pod.
type Container struct {
	ID                         string // without the runtime's scheme
	Name                       string
	Image                      string // as the author wrote it
	ImageID                    string // what it resolved to
	State                      State
	RestartCount               int
	PID                        int       // 0 when it does not run or the runtime does not say
	Created, Started, Finished time.Time // zero when it did not happen
	ExitCode                   int
	Reason                     string // Completed, Error, OOMKilled, StartError
	Message                    string // at most 1 KiB
	LogPath                    string
}
