package manifest

import (
	"testing"
	"time"
)

// What the store is told comes from whoever looks at the node: that one must go on when a directory of definitions hangs.
func TestWhoTellsTheStoreWaitsForNoLoad(t *testing.T) {
	b := newBench(t)
	b.write("web.yaml", pod("web", "1"))
	revision := b.until("web is served", func(s *Set) bool { return s.Document != nil && len(s.Document.UIDs) == 1 }).Document.Revision
	b.stop()
	hangs, goOn := make(chan struct{}), make(chan struct{})
	b.start(func(o *Options) {
		load := o.Load
		o.Load = func() (Sources, error) {
			select {
			case <-hangs:
			default:
				close(hangs)
				<-goOn
			}
			return load()
		}
	})
	<-hangs
	told := make(chan struct{})
	go func() {
		defer close(told)
		b.SetKubelet(Kubelet{Directory: t.TempDir()})
		b.SetRunning(Running{"default/web": "1"})
		b.Judge(Verdict{Revision: revision, Accepted: true, At: time.Now()})
	}()
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Error("it waits")
	}
	close(goOn)
	<-told
	b.until("the kubelet's directory is read", func(s *Set) bool { return s.Directory.State == DirectoryRead })
	b.loading.Lock()
	defer b.loading.Unlock()
	if e := b.Store.state.Entries["default/web"]; e.Accepted == nil || b.Store.running["default/web"] != "1" {
		t.Errorf("accepted %v, running %v", e.Accepted, b.Store.running)
	}
}
