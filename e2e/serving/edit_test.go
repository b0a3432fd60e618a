package serving

import (
	"os"
	"path/filepath"
	"time"
)

// An edit that makes a running pod's definition invalid stops nothing, not even over the exporter's death. Mending
// it rolls out once. Removing a definition stops its pod and no other.
func badEdit(s *scene) {
	for _, name := range []string{"web", "db", "cache"} {
		s.write(name+".yaml", pod(name, sleeps))
	}
	s.ready(s.start(), "cache", "db", "web")
	before, others := s.containers(), s.containers("cache", "db")
	served := s.definition("default-web")

	cause := s.write("web.yaml", pod("web", emptied))
	status := s.headline(cause, s.id("web"), "ManifestInvalid")
	if _, kept := status.Problem("LastRevisionKept"); !kept || !status.Spec.Ready || status.Condition("Valid") != "False" || status.Condition("Ready") != "True" {
		s.Errorf("a pod that runs on its last valid revision: %+v", status.Spec)
	}
	s.fetched(3, "200")
	s.undisturbed(before)
	for _, name := range []string{"cache", "db"} {
		if status := s.status(s.id(name)); !status.Spec.Ready || len(status.Spec.Problems) > 0 {
			s.Errorf("%s, whose definition is fine: %+v", name, status.Spec)
		}
	}

	s.Kill()
	cause = s.start()
	status = s.headline(cause, s.id("web"), "ManifestInvalid")
	s.fetched(3, "200")
	s.undisturbed(before)
	if after := s.definition("default-web"); after.Spec.UID != served.Spec.UID || !after.Spec.Served || after.Spec.Valid {
		s.Errorf("the definition after kill -9: %+v, before the edit %+v", after, served)
	}

	// Half an edit is no edit: what stays served is the last valid revision and no other.
	cause = s.write("web.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  na")
	s.headline(cause, s.id("web"), "ManifestMalformed")
	s.fetched(2, "200")
	s.undisturbed(before)

	cause = s.write("web.yaml", pod("web", runs("sleep", "25h")))
	s.ended(cause, finding{s.id("web"), "ManifestMalformed"}, finding{s.id("web"), "LastRevisionKept"})
	mended := s.definition("default-web")
	if mended.Spec.UID == served.Spec.UID || !mended.Spec.Valid || len(mended.Spec.Problems) > 0 || mended.Metadata.Version <= served.Metadata.Version {
		s.Errorf("the mended definition: %+v", mended)
	}
	s.rolledOut(cause, "web")
	after := s.containers()
	s.fetched(3, "200")
	s.undisturbed(after) // once
	s.undisturbed(others, "cache", "db")

	cause = s.remove("db.yaml")
	s.gone(cause, "db")
	s.fetched(2, "200")
	s.undisturbed(others[:1], "cache")
	if now := s.containers(); len(now) != 2 {
		s.Errorf("after the removal of db there run %+v", now)
	}
}

// A file or a directory that cannot be read says nothing about what shall run: everything does on.
func unreadableSource(s *scene) {
	for _, name := range []string{"north", "south", "west"} {
		s.write(name+".yaml", pod(name, sleeps))
	}
	s.ready(s.start(), "north", "south", "west")
	before := s.containers()

	path := filepath.Join(s.files, "north.yaml")
	s.remove("north.yaml")
	s.must(os.Symlink("nowhere", path))
	cause := time.Now()
	status := s.headline(cause, s.id("north"), "ManifestUnreadable")
	if p := status.Spec.Problems[0]; p.Path != path {
		s.Errorf("a dangling link: %+v", p)
	}
	s.fetched(3, "200")
	s.undisturbed(before)
	s.remove("north.yaml")
	cause = s.write("north.yaml", pod("north", sleeps))
	s.ended(cause, finding{s.id("north"), "ManifestUnreadable"})
	s.undisturbed(before)

	s.must(os.Rename(s.files, s.files+".away"))
	cause = time.Now()
	all := []finding{{s.id("north"), "ManifestUnreadable"}, {s.id("south"), "ManifestUnreadable"}, {s.id("west"), "ManifestUnreadable"}}
	s.begun(cause, all...)
	s.fetched(3, "200")
	s.undisturbed(before)
	s.Kill() // the next one never saw the directory
	cause = s.start()
	s.begun(cause, all...)
	s.fetched(3, "200")
	s.undisturbed(before)
	s.must(os.Rename(s.files+".away", s.files))
	cause = time.Now()
	s.ended(cause, all...)
	s.fetched(3, "200")
	s.undisturbed(before)
}
