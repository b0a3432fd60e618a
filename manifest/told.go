package manifest

import "maps"

// told is what a Store was told of the node. The next load takes it in: whoever tells it looks at the node for everybody
// and must not wait for a load, whose directories may hang.
type told struct {
	kubelet Kubelet
	running Running // nil while it is not known
	verdict Verdict
}

// acted is as much of the state as tells whether what is told matters.
type acted struct {
	lost           bool
	served, judged string
}

func actedOn(s *state) acted { return acted{s.lost, s.Served, s.Judged} }

// SetKubelet tells what is known of the kubelet; a change is followed by a load.
func (s *Store) SetKubelet(k Kubelet) {
	if s.options.Serving {
		k.Feed = Feed{} // it is fed by us, or should be
	}
	s.mu.Lock()
	same := s.told.kubelet.equal(k)
	s.told.kubelet = k
	s.mu.Unlock()
	s.feeder.follow(k.Feed)
	if !same {
		s.reloadSoon()
	}
}

// SetRunning tells what runs on the node. It matters while the state is lost.
func (s *Store) SetRunning(r Running) {
	s.mu.Lock()
	matters := s.acted.lost && !maps.Equal(s.told.running, r) || s.told.running == nil
	s.told.running = r
	s.mu.Unlock()
	if matters {
		s.reloadSoon()
	}
}

// Judge takes the kubelet's verdict on the served document.
func (s *Store) Judge(v Verdict) {
	s.mu.Lock()
	s.told.verdict = v
	if v.Accepted {
		s.accepted = v.Revision
	}
	matters := v.Revision != "" && v.Revision == s.acted.served && v.id() != s.acted.judged
	s.mu.Unlock()
	if matters {
		s.reloadSoon()
	}
}

// hear takes in what was told since the load before. The caller holds loading.
func (s *Store) hear() {
	s.mu.Lock()
	told := s.told
	s.mu.Unlock()
	if !s.kubelet.sameRules(told.kubelet) {
		s.validator = NewValidator(Rules{Node: s.Node(), Standalone: told.kubelet.Standalone, FeatureGates: told.kubelet.FeatureGates})
	}
	s.kubelet, s.running = told.kubelet, told.running
	v, next := told.verdict, judge(s.state, told.verdict, told.running)
	if next == s.state {
		return
	}
	s.state = next
	if v.Accepted {
		s.log.Debug("the kubelet accepted the list", "revision", v.Revision)
	} else {
		s.log.Warn("the kubelet refused the list", "revision", v.Revision, "err", v.Message)
	}
}
