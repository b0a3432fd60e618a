package status

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// memory is what Derive remembers besides what a Snapshot shows. Like the Snapshot it is immutable: the next
// one shares what did not change, and what changes is copied first.
type memory struct {
	latches
	codes  codes
	limits Limits
	world  world
	// entries is what each status was derived from, by its ID.
	entries map[string]*entry
	// records is what a former process knew of statuses that this one has not derived yet; forgotten at
	// recordsEnd, because by then every input had its chance.
	records    map[string]record
	recordsEnd time.Time
	// servingSince is when this process first saw the store serve.
	servingSince time.Time
	fetchedNow   bool // the kubelet has fetched from this process

	// The facts of the last view of each kind, so that an unchanged view or pod is not read again.
	view       *kubelet.View
	pods       []*podFacts // in the order of view
	podByKey   map[podKey]*podFacts
	listed     map[string]bool // the UIDs of pods
	runtime    *cri.View
	sandboxes  []*cri.Sandbox // in the order of runtime
	sandboxIDs map[string]*cri.Sandbox

	// undefined are the pods of the manifest directory that have no file there: since when, by UID.
	undefined map[string]time.Time

	// definitions are what was made of those of the last Set.
	definitions map[*manifest.Definition]defined

	// firstList is when the first list of another server was read by this process: it may be older than that.
	firstList time.Time

	// What has to be written changed when changes did, soon when laps did, and at once when refusals did.
	changes, laps, refusals uint64
}

// defined is the wire form of a definition, and the names of its status and pod.
type defined struct {
	pod      *StaticPod
	id, name string
}

// podKey tells apart what the kubelet may list under one UID by mistake.
type podKey struct{ uid, namespace, name string }

// An entry is a status with its evidence. It is immutable.
type entry struct {
	status   *StaticPodStatus
	evidence evidence
	ends     []ending // of those of its sandboxes that the kubelet does not have
	history  history
	sight    sight
	until    time.Time // when the status would change by itself; zero for never
}

// A record is what survives of a status in the state file.
type record struct {
	Version    uint64             `json:"version"`
	Created    time.Time          `json:"created"`
	Updated    time.Time          `json:"updated"`
	Digest     string             `json:"digest"` // of the spec without Observed
	UID        string             `json:"uid,omitempty"`
	Since      time.Time          `json:"since"`
	Ready      bool               `json:"ready"`
	Reason     manifest.Reason    `json:"reason,omitempty"`
	Problems   []manifest.Problem `json:"problems,omitempty"`
	Conditions []Condition        `json:"conditions,omitempty"`
	History    history            `json:"history,omitzero"`
	Rollout    *Rollout           `json:"rollout,omitempty"`
	Sight      sight              `json:"sight,omitzero"`
	// Pod and Definition are those of a rollout that goes on, for when it has no status any more.
	Pod        PodRef        `json:"pod,omitzero"`
	Definition DefinitionRef `json:"definition,omitzero"`
}

// latches are the refusals and words of the kubelet that have to be remembered because it says them once,
// and when it fetched what.
type latches struct {
	fetches []fetchMark             // each change of the revision that the kubelet fetches, oldest first
	fetched map[types.UID]time.Time // when the kubelet first fetched a list with this UID
	last    time.Time               // of the kubelet's fetches
	waiting time.Time               // when the kubelet started that has yet to take a list; zero when it has, or needs none
	url     *urlRefusal             // nil when the list is not refused
	files   map[string]*fileRefusal // by base name
	words   map[string]*podWords    // by UID
	mirrors mirrors
	ended   []EndedRollout
	missing map[string]time.Time // UIDs that run and that the kubelet does not have: since when
	ending  map[string]time.Time // of those that it was seen to give up: when their grace period is over
	newest  time.Time            // newest event of the log
}

// fetchMark is the first fetch of a revision after another one.
type fetchMark struct {
	At       time.Time `json:"at"`
	Revision string    `json:"revision"`
	Refused  bool      `json:"refused,omitempty"` // by our own validation
}

// urlRefusal is a list that the kubelet refused. It is immutable.
type urlRefusal struct {
	At       time.Time `json:"at"`
	Revision string    `json:"revision,omitempty"` // "" when it is not known which
	Message  string    `json:"message"`
	// UIDs are the http pods that the kubelet had when the refusal was read, for observing mode.
	UIDs []string `json:"uids,omitempty"`
}

// fileRefusal is a file that the kubelet refused, at every relist since First. It is immutable.
type fileRefusal struct {
	Path    string    `json:"path"` // as the kubelet sees it
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Message string    `json:"message"`
	Seen    bool      `json:"seen"` // a definition of that file was there
}

// podWords is what the log says of one pod. It is immutable.
type podWords struct {
	Namespace string    `json:"namespace,omitempty"`
	Pod       string    `json:"pod,omitempty"`
	Denied    *denial   `json:"denied,omitempty"`
	Failures  []failure `json:"failures,omitempty"`
	Pulls     []pull    `json:"pulls,omitempty"` // the last of each container
	Last      time.Time `json:"last"`
}

// denial is an admission that was refused.
type denial struct {
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
}

// failure is a step that the kubelet says it could not do for a pod, again and again since First; or, of
// ImagePullSlow, one that it is at since then.
type failure struct {
	Reason    manifest.Reason `json:"reason"`           // "" for words that no code fits
	Detail    string          `json:"detail,omitempty"` // the kubelet's own reason
	Container string          `json:"container,omitempty"`
	First     time.Time       `json:"first"`
	Last      time.Time       `json:"last"`
	Message   string          `json:"message"`
	Times     int             `json:"times,omitempty"` // of a probe, in a row
	Killed    time.Time       `json:"killed,omitzero"` // of a probe: when the kubelet last had to act on it
}

// pull is what the log says of the image of a container. Begun is zero of one that was there already.
type pull struct {
	Container string    `json:"container"`
	Begun     time.Time `json:"begun,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`
}

// A history is what has to be remembered of the former incarnations of a pod.
type history struct {
	UID     string `json:"uid,omitempty"`     // of the incarnation that was seen last
	Sandbox string `json:"-"`                 // of it, in this process: that nodes are restarted is no news
	Hash    string `json:"hash,omitempty"`    // of the definition that it was made from
	Path    string `json:"path,omitempty"`    // of that
	Kubelet string `json:"kubelet,omitempty"` // its version

	// The rollout of a content of the definition: its hash and its change, since when, and whether it is done.
	Rollout string    `json:"rollout,omitempty"`
	Changed time.Time `json:"changed,omitzero"`
	Begun   time.Time `json:"begun,omitzero"`
	Settled bool      `json:"settled,omitempty"`

	// The time in which images were pulled: for which UID, how long, since when again, and until when before that.
	PulledFor   string        `json:"pulledFor,omitempty"`
	Pulled      time.Duration `json:"pulled,omitempty"`
	Pulling     time.Time     `json:"pulling,omitzero"`
	PulledUntil time.Time     `json:"pulledUntil,omitzero"`

	Lost time.Time `json:"lost,omitzero"` // when the kubelet was first seen not to have the pod any more

	Recreated time.Time `json:"recreated,omitzero"` // when the incarnation came without a change of the definition
	How       string    `json:"how,omitempty"`
}
