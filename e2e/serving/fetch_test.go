package serving

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// A kubelet that looks elsewhere is told from one that is down: both run on what they had.
func notFetching(s *scene) {
	s.write("web.yaml", pod("web", sleeps))
	s.ready(s.start(), "web")
	before := s.containers()

	s.node.Kubelet.Stop(s.Context())
	cause := time.Now()
	s.begun(cause, finding{"node", "KubeletDown"})
	status := s.reads(s.id("web"), "KubeletDown")
	if !status.Spec.Stale || status.Spec.Ready || status.Condition("Ready") != "Unknown" || len(status.Spec.Containers) != 1 || status.Spec.Containers[0].State != "running" {
		s.Errorf("a status without a kubelet: %+v", status.Spec)
	}
	s.remains("a kubelet that is down is not blamed for not fetching", func() error {
		if p, ok := s.status(s.id("web")).Problem("KubeletNotFetching"); ok {
			return errors.New(p.Message)
		}
		return nil
	})
	s.undisturbed(before)

	elsewhere, err := exporter.FreeAddress()
	s.must(err)
	s.withKubelet(func(o *node.Options) { o.ManifestURL = "http://" + elsewhere + "/pods" })
	cause = time.Now()
	why(s, s.headline(cause, s.id("web"), "KubeletNotFetching"), "OtherURL", elsewhere)
	s.undisturbed(before)

	s.must(s.restartKubelet(s.Context(), s.ordinary))
	cause = time.Now()
	s.ended(cause, finding{s.id("web"), "KubeletNotFetching"})
	s.ready(cause, "web")
	s.fetched(3, "200")
	s.undisturbed(before)

	s.withKubelet(func(o *node.Options) { o.ManifestURL = "" })
	cause = time.Now()
	why(s, s.headline(cause, s.id("web"), "KubeletNotFetching"), "NotConfigured", "staticPodURL is not set")
}

// why asks what keeps the kubelet from fetching.
func why(s *scene, status exporter.Status, detail, words string) {
	s.Helper()
	if p, _ := status.Problem("KubeletNotFetching"); p.Detail != detail || !strings.Contains(p.Message, words) {
		s.Errorf("it does not fetch because of %q, not %s: %s", p.Detail, detail, p.Message)
	}
}

// The list is for those who know the token, which may change.
func bearerToken(s *scene) {
	token := filepath.Join(filepath.Dir(s.config), "token")
	s.must(os.WriteFile(token, []byte(secret+"\n"), 0o600))
	s.Configure(func(o *exporter.Options) { o.Flags = append(o.Flags, "--manifest.token-file="+token) })
	s.write("web.yaml", pod("web", sleeps))
	s.ready(s.start(), "web")
	before := s.containers()
	if code, body := s.document(); code != http.StatusUnauthorized {
		s.Errorf("without the token: %d %s", code, body)
	}

	s.must(os.WriteFile(token, []byte("another"), 0o600))
	cause := time.Now()
	why(s, s.headline(cause, s.id("web"), "KubeletNotFetching"), "Unauthorized", "without the token")
	s.undisturbed(before)
	s.must(os.WriteFile(token, []byte(secret), 0o600))
	cause = time.Now()
	s.ended(cause, finding{s.id("web"), "KubeletNotFetching"})
	s.fetched(2, "200")
	s.undisturbed(before)
}
