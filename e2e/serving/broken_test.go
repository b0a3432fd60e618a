package serving

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
)

// Served as they are, one broken definition keeps all of a list from running, and the kubelet says so once. Served
// by the exporter the others run, and the broken one is named wherever somebody may look.
func oneBrokenOfThree(s *scene) {
	one, two, broken := pod("one", sleeps), pod("two", sleeps), pod("broken", emptied)

	stop := s.serveRaw(s.T, list(one, two, broken))
	await.Nil(s, "the kubelet's refusal, and then its own denial", func(context.Context) error {
		switch log, err := os.ReadFile(s.node.KubeletLog().Path()); {
		case err != nil:
			return err
		case !regexp.MustCompile(`(?s)Failed to read pods from URL[^\n]*invalid pod: \[spec.containers: Required value\].*Successfully read pods from URL`).Match(log):
			return errors.New("not logged")
		}
		return nil
	})
	s.remains("nothing of the refused list runs", func() error {
		pods, err := s.node.Pods(s.Context())
		if err == nil && len(pods)+len(s.containers()) > 0 {
			err = fmt.Errorf("the kubelet has %d pods, and there run %+v", len(pods), s.containers())
		}
		return err
	})
	log, err := os.ReadFile(s.node.KubeletLog().Path())
	s.must(err)
	if n := strings.Count(string(log), "spec.containers: Required value"); n != 1 {
		s.Errorf("the kubelet complained %d times, expected once", n)
	}
	if strings.Contains(string(log), "broken") {
		s.Error("the kubelet named the pod: then half of what this project does were not needed")
	}
	stop()

	s.write("one.yaml", one)
	s.write("two.yaml", two)
	s.write("broken.yaml", broken)
	cause := s.start()
	status := s.headline(cause, s.id("broken"), "ManifestInvalid")
	s.ready(cause, "one", "two")

	path, line, field := filepath.Join(s.files, "broken.yaml"), emptiedLine, "spec.containers"
	if p := status.Spec.Problems[0]; p.Path != path || p.Line != line || p.Field != field || !strings.Contains(p.Message, "Required value") {
		s.Errorf("/staticpodstatus says of the broken definition %+v", p)
	}
	pods, err := s.StaticPods(s.Context())
	s.must(err)
	if d := pods["default-broken"].Spec; d.Valid || d.Served || len(d.Problems) != 1 || d.Problems[0].Path != path || d.Problems[0].Line != line || d.Problems[0].Field != field {
		s.Errorf("/staticpods says of the broken definition %+v", d)
	}
	metrics, err := s.Metrics(s.Context())
	s.must(err)
	if _, ok := metrics.Value("staticpod_problem_info", "definition", "default-broken", "pod", "broken-node1", "reason", "ManifestInvalid", "path", path, "line", fmt.Sprint(line), "field", field); !ok {
		s.Errorf("/metrics says %v", metrics["staticpod_problem_info"])
	}
	if v, ok := metrics.Value("staticpod_manifest_valid", "definition", "default-broken"); !ok || v != 0 {
		s.Errorf("staticpod_manifest_valid of the broken definition is %v, %v", v, ok)
	}
	page, err := s.Get(s.Context(), "/")
	s.must(err)
	for _, word := range []string{"ManifestInvalid", fmt.Sprintf("%s:%d", path, line), field} {
		if !strings.Contains(string(page), word) {
			s.Errorf("the page lacks %q", word)
		}
	}
	table, err := s.Exporter.Run(s.Context(), "get", "staticpodstatus", "--output=wide", "--address="+s.URL())
	s.must(err)
	s.Logf("staticpod-exporter get staticpodstatus -o wide:\n%s", table)
	for _, row := range []string{`default/broken-node1 .* False .* ManifestInvalid `, `default/one-node1 .* True .*Running`, `default/two-node1 .* True .*Running`} {
		if !regexp.MustCompile(row).MatchString(table) {
			s.Errorf("the table lacks %s", row)
		}
	}

	// What the kubelet said of somebody else's list is none of this list's business.
	if statuses, err := s.Statuses(s.Context()); err != nil || !statuses["node"].Spec.Ready {
		s.Errorf("the node: %+v, %v", statuses["node"].Spec.Problems, err)
	}
}
