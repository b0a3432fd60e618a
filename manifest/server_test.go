package manifest

import (
	"net/http/httptest"
	"testing"
)

// A list that the kubelet fetched twice and did not take is given to it in other bytes, so that it decodes it
// again and says what is wrong with it.
func TestKubeletThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	b := newBench(t)
	b.write("web.yaml", pod("web", "1"))
	document := b.until("web is served", func(s *Set) bool { return s.Document != nil && len(s.Document.UIDs) == 1 }).Document
	const kubelet, other = "Go-http-client/1.1", "curl/8"
	ask := func(agent string) string {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/pods", nil)
		r.Header.Set("User-Agent", agent)
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, r)
		if server := w.Header().Get("Server"); server != ServerName {
			t.Errorf("it calls itself %q", server)
		}
		return w.Body.String()
	}
	same, again := string(document.Bytes), string(document.Bytes)+"\n"
	for i, step := range []struct{ agent, want string }{
		{kubelet, same}, {other, same}, {kubelet, same}, {other, same}, {kubelet, again}, {other, same}, {kubelet, again},
	} {
		if got := ask(step.agent); got != step.want {
			t.Fatalf("request %d, of %s: got %q, want %q", i, step.agent, got, step.want)
		}
	}
	for _, f := range b.Current().Fetches.Recent {
		if f.Revision != document.Revision {
			t.Errorf("the other bytes are another revision: %+v", f)
		}
	}

	b.Judge(Verdict{Revision: document.Revision, Accepted: true})
	if got := ask(kubelet); got != same {
		t.Errorf("the kubelet took it and gets %q", got)
	}

	b.write("db.yaml", pod("db", "1"))
	next := b.until("db is served", func(s *Set) bool { return len(s.Document.UIDs) == 2 }).Document
	for i, want := range []string{string(next.Bytes), string(next.Bytes), string(next.Bytes) + "\n"} {
		if got := ask(kubelet); got != want {
			t.Errorf("fetch %d of the next list: got %q, want %q", i, got, want)
		}
	}
}
