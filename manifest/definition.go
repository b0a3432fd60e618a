package manifest

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Source is how a definition reaches the kubelet, in the words of the annotation kubernetes.io/config.source.
type Source string

// The sources of static pods.
const (
	SourceHTTP Source = "http" // served by URL
	SourceFile Source = "file" // read by the kubelet from its manifest directory
)

// A Definition is one static pod as somebody wrote it. It is immutable once in a Set.
type Definition struct {
	// ID is <namespace>-<name> as in Talos, with ~2, ~3 … where two identities collide, or file:<path> for
	// a file that cannot be parsed.
	ID string
	// Namespace ("default" when absent) and Name as written, without the node's name; empty when unparsed.
	Namespace, Name string
	Source          Source
	Path            string // the file it was read from
	Line            int    // where its document begins, from 1

	Version          uint64 // starts at 1, +1 per effective change
	Created, Updated time.Time
	// Changed is when the content as last read was written, also one that tells no pod's name: the change time of
	// its file, which a rename moves too, or when it was read where that is not known.
	Changed time.Time
	// Judged is when that content was first read and judged.
	Judged time.Time

	// Hash identifies the content as last read: the full lower-case hex SHA-256 that UID is taken from.
	Hash string
	// UID is the pod's UID on this node: that of the revision served, when one is, else that of the content
	// as last read. For file definitions it is what the kubelet is predicted to generate.
	UID types.UID
	// Served is whether a revision of it is in the document given to the kubelet (or lies in its directory);
	// Valid is whether the content as last read is. Served and not Valid means that an older revision is kept.
	Served, Valid bool
	// Pod is the revision served, else the content as last read, defaulted as the kubelet does and with the
	// author's own name; nil when it could not be decoded. Read only.
	Pod      *corev1.Pod
	Problems []Problem
}

// Key is the identity of the definition: namespace/name, or its ID when it has no name.
func (d *Definition) Key() string {
	if d.Name == "" {
		return d.ID
	}
	return d.Namespace + "/" + d.Name
}

// A Set is everything that should run on the node, at one moment. It is immutable.
type Set struct {
	Node string
	At   time.Time // when the sources were last read
	// Unread is set until they were read for the first time: that there are no Definitions says nothing then.
	Unread bool
	// Serving is whether the exporter feeds the kubelet (manifest.listen is set).
	Serving bool
	// Definitions are sorted by namespace, name, source and path; unparsed files come last, by path.
	Definitions []*Definition
	Document    *Document // nil in observing mode and before the first load
	// Directory is how the kubelet's own manifest directory was found.
	Directory Directory
	// List is what somebody else serves the kubelet, in observing mode; nil when nothing is known of such a list.
	List *List
	// Address is what the manifest listener is bound to, HOST:PORT; "" in observing mode.
	Address string
	// Problems belong to no definition: ConfigInvalid, MassRemovalHeld, ListRejected, ManifestUnreadable.
	Problems []Problem
	Fetches  Fetches
	// Rejections counts definitions refused since start, by stage: "validation" or "kubelet".
	Rejections map[string]uint64
	// LastReload is whether the last load of the configuration succeeded.
	LastReload bool
}

// A Directory is how the kubelet's manifest directory was found when it was last read.
type Directory struct {
	Path  string // as the kubelet calls it; "" when none is observed
	State DirectoryState
}

// DirectoryState says what is known of a directory.
type DirectoryState string

// The states. A directory that cannot be read proves nothing, one that is missing has the kubelet stop its pods.
const (
	DirectoryRead       DirectoryState = "read"
	DirectoryMissing    DirectoryState = "missing"
	DirectoryUnreadable DirectoryState = "unreadable"
)

// A List is what another server gives the kubelet at its staticPodURL, as read by the exporter. It is immutable.
type List struct {
	URL      string    // with its credentials and query masked
	Revision string    // lower-case hex SHA-256 of the body last read; "" before the first
	At       time.Time // when this body was first read
	// UIDs of the pods in it, as the kubelet would give them; "" for what cannot be told, such as a pod that does
	// not decode, or the whole body.
	UIDs []types.UID
	// Refusal is why the kubelet would refuse the body as a whole, naming the culprit; "" when it would not.
	Refusal string
}

// A Document is the list served to the kubelet. It is immutable.
type Document struct {
	Revision string // lower-case hex SHA-256 of Bytes
	Bytes    []byte // JSON v1.PodList
	UIDs     []types.UID
	At       time.Time // when it was first served
}

// A Fetch is one GET of the document.
type Fetch struct {
	At       time.Time
	Revision string // "" unless Code is 200
	Code     int
	Kubelet  bool // by the kubelet: the token when one is set, else a Go-http-client user agent
}

// Fetches is who fetched what.
type Fetches struct {
	Recent []Fetch        // the kubelet's last 32, oldest first
	ByCode map[int]uint64 // every request since start
	// Unauthorized is when something that calls itself as the kubelet does last came without the token.
	Unauthorized time.Time
}

// Last returns the kubelet's last fetch.
func (f Fetches) Last() (Fetch, bool) {
	if len(f.Recent) == 0 {
		return Fetch{}, false
	}
	return f.Recent[len(f.Recent)-1], true
}

// A Verdict is the kubelet's own judgement of a served document, found by collector/status and handed back
// to the Store, which isolates the culprit of a refused one.
type Verdict struct {
	Revision string
	Accepted bool
	Message  string // the kubelet's words when refused
	At       time.Time
}
