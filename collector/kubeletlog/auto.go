package kubeletlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// An auto finds the log where a distribution keeps it, and brings it from there. While it is nowhere, and
// when it goes away from where it was, auto looks again.
type auto struct {
	to         *Follower
	candidates []candidate
	retry      time.Duration
	pace       pace      // of a file
	current    transport // nil while there is none
}

// A candidate is a place where the log may be.
type candidate struct {
	source source
	keeper string // which distribution keeps it there
}

func newAuto(to *Follower) *auto {
	return &auto{to: to, candidates: wellKnown(), retry: 5 * time.Second, pace: defaultPace()}
}

// wellKnown lists where distributions keep the kubelet's log, in the order that auto tries them. Files come
// first: only who wants the kubelet's log there makes one, while a unit of the journal has entries as soon
// as it was started once.
func wellKnown() []candidate {
	file := func(path, keeper string) candidate {
		return candidate{source{scheme: schemeFile, name: path, path: path}, keeper}
	}
	unit := func(name, keeper string) candidate {
		j := journalSource{unit: name}
		return candidate{source{scheme: schemeJournald, name: j.String(), journal: j}, keeper}
	}
	return []candidate{
		file("/var/lib/rancher/rke2/agent/logs/kubelet.log", "RKE2"),
		file("/var/lib/rancher/k3s/agent/logs/kubelet.log", "k3s, with a log file for its kubelet"),
		file("/var/log/kubelet.log", "Talos, and units with StandardError=append:"),
		unit(defaultUnit, "kubeadm and most others"),
		unit("k3s.service", "k3s, a server"),
		unit("k3s-agent.service", "k3s, an agent"),
		file("/var/log/k3s.log", "k3s under OpenRC, or with --log"),
	}
}

// run reads the log until ctx ends, wherever it is.
func (a *auto) run(ctx context.Context) {
	for ctx.Err() == nil {
		chosen, why := a.choose(ctx, "")
		if chosen == nil {
			a.to.report(fmt.Errorf("kubelet log: it is in none of the places where distributions keep it (name its place with kubelet.log): %s", why))
			wait(ctx, a.retry)
			continue
		}
		a.to.log.Info("Kubelet log found", "source", chosen.source.name, "keeper", chosen.keeper, "passed_over", why)
		a.current = chosen.source.transport(a.to, nil)
		elsewhere := func(ctx context.Context) bool {
			other, _ := a.choose(ctx, chosen.source.name)
			return other != nil
		}
		switch t := a.current.(type) {
		case *tail:
			t.elsewhere = elsewhere
			t.pace = a.pace
		case *journal:
			t.elsewhere = elsewhere
		}
		a.current.run(ctx)
		if ctx.Err() == nil {
			a.end()
			a.to.log.Info("Kubelet log is gone from where it was", "source", chosen.source.name)
		}
	}
}

func (a *auto) end() {
	if a.current != nil {
		a.current.end()
		a.current = nil
	}
}

// choose returns the first candidate at which the log is, other than the one named except, and why those
// before it were passed over.
func (a *auto) choose(ctx context.Context, except string) (chosen *candidate, why string) {
	var reasons []string
	for i := range a.candidates {
		c := &a.candidates[i]
		if c.source.name == except {
			continue
		}
		err := c.source.probe(ctx)
		if err == nil {
			return c, strings.Join(reasons, "; ")
		}
		reasons = append(reasons, c.source.name+": "+err.Error())
	}
	return nil, strings.Join(reasons, "; ")
}

// probe returns why the log is not there. A file that nobody has written to since the node booted is left
// over from something else.
func (s source) probe(ctx context.Context) error {
	if s.scheme == schemeJournald {
		ok, err := s.journal.has(ctx)
		if err == nil && !ok {
			err = errors.New("no entry since the node booted")
		}
		return err
	}
	info, err := os.Stat(s.path)
	switch {
	case err != nil:
		return unpath(err)
	case !info.Mode().IsRegular():
		return errNotAFile
	case info.ModTime().Before(bootTime()):
		return errors.New("not written to since the node booted")
	}
	return nil
}

// unpath takes the path out of an error of which it is known.
func unpath(err error) error {
	if e, ok := err.(*os.PathError); ok {
		return e.Err
	}
	return err
}

// bootTime is when the node booted, zero when that cannot be known.
func bootTime() time.Time {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(info.Uptime)*time.Second - time.Minute) // and a margin for a clock that was set
}
