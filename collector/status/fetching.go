package status

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// listPath is where the list is on the manifest listener.
const listPath = "/pods"

// configLag is how long a kubelet that came back may be taken to have the configuration of before.
const configLag = 2 * time.Second

// Why the kubelet does not fetch: the Detail of KubeletNotFetching.
const (
	fetchNotConfigured = "NotConfigured" // it has no staticPodURL
	fetchOtherURL      = "OtherURL"      // its staticPodURL is not this exporter's
	fetchUnauthorized  = "Unauthorized"  // it comes without the token, or with another
	fetchSilent        = "Silent"        // it does not come
)

// fetching finds out whether the kubelet still comes for the list. A kubelet that is known to be down is no
// case of it: that it does not fetch either is no news.
func (r *round) fetching() {
	w, set := &r.world, r.o.Manifest
	w.url = r.next.url
	if set == nil || !set.Serving {
		return
	}
	if r.next.servingSince.IsZero() {
		r.next.servingSince = r.now
	}
	if w.kubelet.down() && w.stale == KubeletDown {
		return
	}
	last := r.next.servingSince // a fetch before that was from another process
	if r.next.fetchedNow {
		last = r.next.last
	}
	silent := r.now.Sub(last)
	up := silent // for how long it could have come
	if w.kubelet.up {
		up = min(up, r.now.Sub(w.kubelet.since))
	}
	detail, words := r.unfetched(set)
	switch {
	case detail == fetchUnauthorized && silent >= w.httpCheck+fetchSlack:
	case detail != "" && detail != fetchUnauthorized && (!r.next.fetchedNow || silent >= w.httpCheck+fetchSlack && up >= configLag):
	case up < 3*w.httpCheck:
		return
	}
	p := manifest.Problem{Reason: KubeletNotFetching, Detail: cmp.Or(detail, fetchSilent), Since: r.next.last}
	if p.Since.IsZero() {
		p.Since = r.next.servingSince
	}
	p.Message = "the kubelet has not fetched the list of static pods"
	if !r.next.last.IsZero() {
		p.Message += " since " + r.next.last.Format(time.RFC3339)
	}
	if words == "" {
		words = fmt.Sprintf("though it should every %s", w.httpCheck)
	}
	p.Message += ": " + words
	if n := r.strangers(set); n > 0 {
		p.Message += fmt.Sprintf("; it runs %d pods of a URL that are not of this list: another server feeds it", n)
	}
	w.notFetching = p
}

// unfetched says what keeps the kubelet from fetching, as far as it can be known at once: by its configuration,
// or by what came to the listener. It must be read against the last fetch, which may be younger.
func (r *round) unfetched(set *manifest.Set) (detail, words string) {
	if v := r.o.Kubelet; v != nil && v.Config != nil && r.world.kubelet.up {
		switch raw := v.Config.StaticPodURL; {
		case raw == "":
			return fetchNotConfigured, "its staticPodURL is not set"
		case pointsElsewhere(raw, set.Address):
			return fetchOtherURL, fmt.Sprintf("its staticPodURL is %s, and this exporter serves %s", manifest.MaskURL(raw), servedAt(set.Address))
		}
	}
	if at := plain(set.Fetches.Unauthorized); at.After(r.next.last) && !at.Before(r.now.Add(-3*r.world.httpCheck)) {
		return fetchUnauthorized, "it comes without the token of manifest.token-file, or with another: put it into staticPodURLHeader"
	}
	return "", ""
}

func servedAt(address string) string {
	return "http://" + cmp.Or(address, "…") + listPath
}

// pointsElsewhere reports whether a URL is certainly not that of a listener: a name, or any address, may stand
// for it.
func pointsElsewhere(raw, address string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" {
		return true // the listener speaks neither TLS nor anything else
	}
	if u.Path != listPath {
		return true
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false // it is not known where we listen
	}
	if cmp.Or(u.Port(), "80") != port {
		return true
	}
	theirs, err := netip.ParseAddr(u.Hostname())
	if u.Hostname() == "localhost" {
		theirs, err = netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	ours, ourErr := netip.ParseAddr(host)
	switch {
	case err != nil || ourErr != nil || ours.IsUnspecified() || theirs.IsUnspecified():
		return false
	case ours.IsLoopback() && u.Hostname() == "localhost":
		return false // either family
	}
	return theirs.Unmap() != ours.Unmap()
}

// strangers counts the pods that the kubelet has by URL and that no list of ours has.
func (r *round) strangers(set *manifest.Set) int {
	if !r.world.kubelet.fresh() || set.Document == nil {
		return 0
	}
	ours := map[string]bool{}
	for _, d := range set.Definitions {
		ours[d.Namespace+"/"+d.Name] = true
	}
	n := 0
	for _, p := range r.next.pods {
		if p.source == string(manifest.SourceHTTP) && !hasUID(set.Document.UIDs, p.uid) && !ours[p.namespace+"/"+r.bare(p.name, p.node)] {
			n++
		}
	}
	return n
}

// The sources of the kubelet's pods that it may be waiting for: the Detail of KubeletSourcesNotReady.
const (
	sourceHTTP = "http"
	sourceAPI  = "api"
)

// missingSource says which of its sources the kubelet has yet to see, as far as can be told. It has seen its
// manifest directory within moments of its start, even when that is missing. A list counts as seen when it came
// once, whole and valid; so do the pods of an API server.
func (r *round) missingSource() (detail, words string) {
	const unknown = "its URL has not given a valid list since it started, or it cannot reach its API server"
	set, v := r.o.Manifest, r.o.Kubelet
	configured := v != nil && v.Config != nil
	switch list := r.list(); {
	case set == nil || configured && v.Config.StaticPodURL == "":
	case set.Serving && r.world.notFetching.Reason != "":
		return sourceHTTP, r.world.notFetching.Message
	case set.Serving && set.Document == nil:
		for _, p := range set.Problems {
			if p.Reason == manifest.MassRemovalHeld && p.Level == manifest.Critical {
				return sourceHTTP, p.Message
			}
		}
		return sourceHTTP, "no list is served yet"
	case set.Serving && r.next.url != nil:
		return sourceHTTP, "it refused the list: " + r.next.url.Message
	case list != nil && r.world.list.message != "":
		return sourceHTTP, r.world.list.message
	case list != nil:
		for _, p := range set.Problems {
			if p.Reason == manifest.ManifestUnreadable && p.Path == list.URL {
				return sourceHTTP, p.Message
			}
		}
	}
	if !configured || set == nil {
		return "", unknown
	}
	if v.Config.StaticPodURL == "" || r.hasList() {
		return sourceAPI, "it has what it needs besides, so it cannot reach its API server"
	}
	return "", unknown
}

// hasList reports whether the kubelet has pods by URL, and so has seen a list.
func (r *round) hasList() bool {
	for _, p := range r.next.pods {
		if p.source == string(manifest.SourceHTTP) {
			return true
		}
	}
	return false
}
