package serving

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// A scene is one scenario's own: an exporter with its definitions and its state, on a node without pods.
type scene struct {
	*testing.T
	*stage
	*exporter.Exporter
	files  string // the directory of definitions
	config string // the configuration file
	state  string // the state directory
	log    string // what the exporter logs
}

// enter sets the scene. The exporter does not run yet.
func (st *stage) enter(t *testing.T) *scene {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	s := &scene{T: t, stage: st, files: at("pods.d"), config: at("config.yaml"), state: at("state"), log: at("exporter.log")}
	// What the kubelet said before is another story.
	st.scenes++
	s.must(st.node.KubeletLog().Rotate(fmt.Sprintf("-before-%d", st.scenes)))
	s.must(os.Mkdir(s.files, 0o755))
	log, err := os.Create(s.log)
	s.must(err)
	s.Exporter, err = exporter.New(exporter.Options{
		Binary: st.binary, Manifest: st.address, StateDirectory: s.state, ConfigFile: s.config, Flags: exporter.NodeFlags(st.node), Log: log,
	})
	s.must(err)
	s.configure("")
	t.Cleanup(func() {
		s.Stop(context.Background())
		log.Close()
		s.leave()
		st.clear(t)
	})
	return s
}

// leave looks at what the exporter logged.
func (s *scene) leave() {
	said, err := os.ReadFile(s.log)
	if err != nil {
		s.Error(err)
	}
	for _, alarm := range []string{"panic: ", "DATA RACE"} {
		if strings.Contains(string(said), alarm) {
			s.Errorf("the exporter's log has %q", alarm)
		}
	}
	if s.Failed() {
		s.Logf("the exporter's log ends:\n%s", said[max(0, len(said)-8<<10):])
		s.Log(s.node.LogTail())
	}
}

// must fails the scene with an error of something that is no part of its story.
func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// configure writes the configuration file: where the definitions are, and from its third line on what else it
// shall say.
func (s *scene) configure(more string) (cause time.Time) {
	s.Helper()
	content := fmt.Sprintf("manifest:\n  files: [%q]\n%s", s.files+"/*.yaml", more)
	s.must(os.WriteFile(s.config, []byte(content), 0o644))
	return time.Now()
}

// start starts the exporter.
func (s *scene) start() (cause time.Time) {
	s.Helper()
	cause = time.Now()
	s.must(s.Start(s.Context()))
	return cause
}

// stop stops the exporter.
func (s *scene) stop() { s.Stop(s.Context()) }

// write writes a definition's file, as an editor does that knows nothing better.
func (s *scene) write(name, content string) (cause time.Time) {
	s.Helper()
	s.must(os.WriteFile(filepath.Join(s.files, name), []byte(content), 0o644))
	return time.Now()
}

// remove removes definitions' files.
func (s *scene) remove(names ...string) (cause time.Time) {
	s.Helper()
	for _, name := range names {
		s.must(os.Remove(filepath.Join(s.files, name)))
	}
	return time.Now()
}

// withKubelet gives the node, until the scene ends, a kubelet with other options.
func (s *scene) withKubelet(change func(*node.Options)) {
	s.Helper()
	s.Cleanup(func() {
		s.Stop(context.Background())
		if err := s.restartKubelet(context.Background(), s.ordinary); err != nil {
			s.Error(err)
		}
	})
	s.must(s.restartKubelet(s.Context(), change))
}

// containers asks the runtime for the running containers of pods, or of all when none is named.
func (s *scene) containers(names ...string) []node.Container {
	s.Helper()
	all, err := s.node.Containers(s.Context())
	s.must(err)
	return slices.DeleteFunc(running(all), func(c node.Container) bool {
		return len(names) > 0 && !slices.Contains(names, strings.TrimSuffix(c.Pod, "-"+s.node.Name()))
	})
}

// definition returns a definition by its ID.
func (s *scene) definition(id string) exporter.StaticPod {
	s.Helper()
	pods, err := s.StaticPods(s.Context())
	s.must(err)
	return pods[id]
}

// status returns a status by its ID.
func (s *scene) status(id string) exporter.Status {
	s.Helper()
	statuses, err := s.Statuses(s.Context())
	s.must(err)
	return statuses[id]
}

// document asks for the list as anybody may.
func (s *scene) document() (code int, body string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, "http://"+s.address+"/pods", nil)
	s.must(err)
	req.Header.Set("User-Agent", "somebody") // or it counted as the kubelet's
	res, err := http.DefaultClient.Do(req)
	s.must(err)
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	s.must(err)
	return res.StatusCode, string(content)
}
