package fleet

import (
	"math/rand/v2"
	"time"
)

// troubles are what pods suffer from in a fleet with something wrong, as often as each is here.
var troubles = []struct{ reason, level string }{
	{"ImagePullFailed", "critical"}, {"ImagePullFailed", "critical"}, {"VolumeMountFailed", "critical"}, {"SandboxFailed", "critical"},
	{"AdmissionRejected", "critical"}, {"NotReady", "warning"}, {"RolloutStuck", "warning"}, {"LivenessFailing", "warning"}, {"OOMKilled", "warning"},
}

// Trouble makes something wrong: from the second half of the time to its end every tenth node has a pod that fails, a
// definition that is refused, an input that is down, a configuration that
// is invalid or a receiver that does not answer, and some exporters are gone.
func (f *Fleet) Trouble() {
	for i, n := range f.nodes {
		r := rand.New(rand.NewPCG(f.o.Seed, 2<<32|uint64(i)))
		begin := f.o.Start.Add(f.o.Length/2 + time.Duration(r.Float64()*float64(f.o.Length/4)))
		e := episode{begin: begin, end: f.end(), pod: len(n.pods) - 1 - r.IntN(max(1, len(n.pods)-4))}
		switch i % 10 {
		case 1:
			what := troubles[r.IntN(len(troubles))]
			e.kind, e.reason, e.level = unready, what.reason, what.level
		case 2:
			e.kind, e.reason, e.level = crashing, "CrashLoopBackOff", "critical"
		case 4:
			e.kind, e.reason, e.level = refused, "ManifestInvalid", "critical"
		case 5:
			e.kind, e.reason, e.level = refusedNew, "ManifestInvalid", "critical"
		case 6:
			e.kind, e.pod, e.input, e.reason, e.level = blind, -1, "log", "LogUnavailable", "warning"
		case 8:
			e.kind, e.pod, e.reason, e.level = misconfigured, -1, "ConfigInvalid", "critical"
		case 9:
			e.kind, e.pod = unheard, -1
		case 7:
			if i%100 == 7 {
				e.kind, e.pod = off, -1
				break
			}
			continue
		default:
			continue
		}
		n.life.add(e)
		n.life.sort()
	}
}
