package status

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// TestSyncFailures holds every reason of the kubelet's sync errors to its code, or to the words of another.
func TestSyncFailures(t *testing.T) {
	failed := func(action, target, reason string) kubeletlog.Event {
		return kubeletlog.Event{Message: "x", Failures: []kubeletlog.Failure{{Action: action, Target: target, Reason: reason, Message: "the words"}}}
	}
	alone := func(message string) kubeletlog.Event { return kubeletlog.Event{Message: message} }
	tests := map[string]struct {
		event  kubeletlog.Event
		reason manifest.Reason
		detail string
		says   string
	}{
		"ErrImagePull":               {failed("StartContainer", "c", "ErrImagePull"), ImagePullFailed, "ErrImagePull", "the words"},
		"ImagePullBackOff":           {failed("StartContainer", "c", "ImagePullBackOff"), ImagePullFailed, "ErrImagePull", "the words"},
		"ErrImageNeverPull":          {failed("StartContainer", "c", "ErrImageNeverPull"), ImagePullFailed, "ErrImageNeverPull", "the words"},
		"InvalidImageName":           {failed("StartContainer", "c", "InvalidImageName"), ImagePullFailed, "InvalidImageName", "the words"},
		"ImageInspectError":          {failed("StartContainer", "c", "ImageInspectError"), ImagePullFailed, "ImageInspectError", "the words"},
		"RegistryUnavailable":        {failed("StartContainer", "c", "RegistryUnavailable"), ImagePullFailed, "RegistryUnavailable", "the words"},
		"SignatureValidationFailed":  {failed("StartContainer", "c", "SignatureValidationFailed"), ImagePullFailed, "SignatureValidationFailed", "the words"},
		"CreateContainerConfigError": {failed("StartContainer", "c", "CreateContainerConfigError"), ContainerConfigError, "CreateContainerConfigError", "the words"},
		"CreateContainerError":       {failed("StartContainer", "c", "CreateContainerError"), ContainerStartFailed, "CreateContainerError", "the words"},
		"RunContainerError":          {failed("StartContainer", "c", "RunContainerError"), ContainerStartFailed, "RunContainerError", "the words"},
		"PreCreateHookError":         {failed("StartContainer", "c", "PreCreateHookError"), ContainerStartFailed, "PreCreateHookError", "the words"},
		"PreStartHookError":          {failed("StartContainer", "c", "PreStartHookError"), ContainerStartFailed, "PreStartHookError", "the words"},
		"PostStartHookError":         {failed("StartContainer", "c", "PostStartHookError"), ContainerStartFailed, "PostStartHookError", "the words"},
		"CreatePodSandboxError":      {failed("CreatePodSandbox", "web-node1_default(uid)", "CreatePodSandboxError"), SandboxFailed, "CreatePodSandboxError", "the words"},
		"ConfigPodSandboxError":      {failed("ConfigPodSandbox", "web-node1_default(uid)", "ConfigPodSandboxError"), SandboxFailed, "ConfigPodSandboxError", "the words"},

		"KillPodSandboxError":   {failed("KillPodSandbox", "web-node1_default(uid)", "KillPodSandboxError"), NotReady, "", "the words"},
		"KillContainerError":    {failed("KillContainer", "c", "KillContainerError"), NotReady, "", "the words"},
		"RemoveContainerError":  {failed("RemoveContainer", "c", "RemoveContainerError"), NotReady, "", "the words"},
		"ResizePodInPlaceError": {failed("ResizePodInPlace", "web-node1_default(uid)", "ResizePodInPlaceError"), NotReady, "", "the words"},
		"a reason of tomorrow":  {failed("StartContainer", "c", "TomorrowError"), NotReady, "", "the words"},

		"the network":         {alone("network is not ready: container runtime network not ready: cni plugin not initialized"), SandboxFailed, "NetworkNotReady", "cni plugin"},
		"cgroups":             {alone("failed to ensure that the pod: uid cgroups exist and are correctly applied: no space"), SandboxFailed, "FailedToCreatePodContainer", "no space"},
		"directories":         {alone("making pod data directories: mkdir: read-only file system"), SandboxFailed, "FailedToCreatePodContainer", "read-only"},
		"volumes":             {alone("unmounted volumes=[s], unattached volumes=[], failed to process volumes=[]: context deadline exceeded"), VolumeMountFailed, "FailedMount", "unmounted"},
		"volumes in a sync":   {alone("failed to SyncPod: unmounted volumes=[s], unattached volumes=[]"), VolumeMountFailed, "FailedMount", "unmounted"},
		"an end":              {alone("error killing terminating pod: context deadline exceeded"), NotReady, "", "deadline"},
		"something else":      {alone("failed to SyncPod: something else"), NotReady, "", "something else"},
		"an ID in the words":  {alone("network is not ready: sandbox \"" + strings.Repeat("0123456789abcdef", 4) + "\" has none"), SandboxFailed, "NetworkNotReady", `sandbox "…" has none`},
		"a digest in words":   {alone("something of sha256:" + strings.Repeat("0123456789abcdef", 4)), NotReady, "", "sha256:0123"},
		"a command in a hook": {failed("StartContainer", "c", "PostStartHookError"), ContainerStartFailed, "PostStartHookError", "the words"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := running()
			s.waiting("web", "ContainerCreating", "")
			s.sandboxes = nil
			test.event.Kind, test.event.UID = kubeletlog.SyncFailed, string(s.pods[0].UID)
			s.say(test.event)
			st := find(t, Derive(nil, s.look()), web)
			p := st.Spec.Problems[0]
			if p.Reason != test.reason || p.Detail != test.detail || !strings.Contains(p.Message, test.says) {
				t.Errorf("have %s (%s): %q", p.Reason, p.Detail, p.Message)
			}
		})
	}
	t.Run("several in one error", func(t *testing.T) {
		s := running()
		s.waiting("web", "ContainerCreating", "")
		p := s.pod("web")
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "d", Image: "registry.example/d:1"})
		s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: string(p.UID), Failures: []kubeletlog.Failure{
			{Action: "StartContainer", Target: "c", Reason: "ErrImagePull", Message: "not found"},
			{Action: "StartContainer", Target: "d", Reason: "CreateContainerConfigError", Message: "no such user"}}})
		st := find(t, Derive(nil, s.look()), web)
		if len(st.Spec.Problems) != 2 || st.Spec.Problems[0].Field != "spec.containers{c}" || st.Spec.Problems[1].Field != "spec.containers{d}" {
			t.Errorf("problems: %+v", st.Spec.Problems)
		}
	})
}

// The kubelet's status is ten seconds behind its log.
func TestTheLogIsAhead(t *testing.T) {
	t.Run("of a crash loop", func(t *testing.T) {
		s := tell(t, running())
		s.exited("web", 7, "Error", s.now)
		s.then(time.Second).is(web, ContainerExited)
		s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: string(s.pods[0].UID), Failures: []kubeletlog.Failure{
			{Action: "StartContainer", Target: "c", Reason: "CrashLoopBackOff", Message: "back-off 10s restarting failed container=c pod=web-node1_default(uid)"}}})
		st := s.then(time.Second).is(web, CrashLoopBackOff)
		if want := "back-off 10s restarting failed container=c; container c exited with code 7"; st.Spec.Message != want {
			t.Errorf("have %q, want %q", st.Spec.Message, want)
		}
	})
	t.Run("but what it said before the last exit is old", func(t *testing.T) {
		s := tell(t, running())
		s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: string(s.pods[0].UID), Failures: []kubeletlog.Failure{
			{Action: "StartContainer", Target: "c", Reason: "CrashLoopBackOff", Message: "back-off"}}})
		s.then(time.Second)
		s.exited("web", 7, "Error", s.now)
		s.then(time.Second).is(web, ContainerExited)
	})
	t.Run("a clock that was set back", func(t *testing.T) {
		s := tell(t, running())
		s.say(kubeletlog.Event{At: s.now.Add(time.Hour), Kind: kubeletlog.KubeletStarted})
		s.then(0)
		if have := s.last.memory.newest; have.After(s.now) {
			t.Errorf("the log's newest event is of %s", have)
		}
	})
}

// A failure that has ended is no part of the next one: the same pod may run for weeks in between.
func TestAFailureThatComesBackIsNew(t *testing.T) {
	s := tell(t, running())
	fail := func() {
		s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: string(s.pods[0].UID), Failures: []kubeletlog.Failure{
			{Action: "StartContainer", Target: "c", Reason: "ErrImagePull", Message: "not found"}}})
	}
	fails := func() *StaticPodStatus {
		s.waiting("web", "ErrImagePull", "not found")
		fail()
		return s.then(0).is(web, ImagePullFailed)
	}
	runs, containers := s.pods[0], s.sandboxes[0].Containers
	if since := fails().Spec.Since; !since.Equal(s.now) {
		t.Errorf("since %s, want %s", since, s.now)
	}
	s.after(time.Minute)
	s.pods, s.sandboxes[0].Containers = []*corev1.Pod{runs}, containers
	s.then(0).is(web, "")
	s.then(24*time.Hour).is(web, "")
	st := fails()
	if !st.Spec.Since.Equal(s.now) {
		t.Errorf("since %s, want %s", st.Spec.Since, s.now)
	}
	s.counted(ImagePullFailed, 2)

	// While it lasts the kubelet says it again, now and then.
	since := st.Spec.Since
	for range 5 {
		s.after(5 * time.Minute)
		fail()
		s.then(0)
	}
	if w, _ := s.last.memory.words[string(runs.UID)].find(ImagePullFailed, "c"); !w.First.Equal(since) {
		t.Errorf("first %s, want %s", w.First, since)
	}
}

// A container whose PostStart hook fails runs for a moment each time, and is backed off from: neither is the cause.
func TestHooks(t *testing.T) {
	s := tell(t, running())
	fail := func() {
		s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: string(s.pods[0].UID), Failures: []kubeletlog.Failure{
			{Action: "StartContainer", Target: "c", Reason: hookError, Message: "Exec lifecycle hook ([/bin/sh -c s3cret]) for Container \"c\" failed"}}})
	}
	s.exited("web", 0, "Completed", s.now)
	fail()
	since := s.then(0).is(web, ContainerStartFailed).Spec.Since
	for range 3 {
		c := s.waiting("web", "CrashLoopBackOff", "back-off 10s")
		c.LastTerminationState.Terminated = terminated(0, "Completed", s.now)
		s.then(time.Second).is(web, ContainerStartFailed)
		s.then(20*time.Second).is(web, ContainerStartFailed)
		s.restarted(s.now)
		s.then(0).is(web, ContainerStartFailed)
		s.after(time.Second)
		s.exited("web", 0, "Completed", s.now)
		s.then(0).is(web, ContainerStartFailed)
		c = s.waiting("web", "CrashLoopBackOff", "back-off 20s")
		c.LastTerminationState.Terminated = terminated(0, "Completed", s.now)
		s.then(0).is(web, ContainerStartFailed)
		s.after(time.Second)
		fail()
		st := s.then(0).is(web, ContainerStartFailed)
		if !st.Spec.Since.Equal(since) || strings.Contains(st.Spec.Message, "s3cret") {
			t.Fatalf("since %s: %s", st.Spec.Since, st.Spec.Message)
		}
	}
	s.counted(ContainerStartFailed, 1)
	s.counted(CrashLoopBackOff, 0)
}

// The kubelet's status quotes the commands of hooks as its log does.
func TestCommandsStayInside(t *testing.T) {
	s := running()
	s.waiting("web", hookError, `Exec lifecycle hook ([/bin/sh -c s3cret]) for Container "c" in Pod "web" failed`)
	if text := wire(t, Derive(nil, s.look())); strings.Contains(text, "s3cret") {
		t.Error("it is told")
	}
}

// What the log says of a definition counts where nobody else can see it.
func TestUnseenDefinitions(t *testing.T) {
	said := func(s *scene) *Snapshot {
		s.say(kubeletlog.Event{Kind: kubeletlog.NameDuplicate, Namespace: "default", Pod: "web-node1", Reason: "http"})
		s.say(kubeletlog.Event{Kind: kubeletlog.PriorityIncomplete, Namespace: "default", Pod: "web-node1", Message: "Static pod has priority"})
		return Derive(nil, s.look())
	}
	s := running()
	s.serving, s.document, s.definitions = false, nil, nil
	st := find(t, said(s), web)
	if have := reasons(st); len(have) != 2 || have[0] != manifest.DuplicateName || have[1] != manifest.PriorityIncomplete {
		t.Errorf("problems: %v", have)
	}
	if have := reasons(find(t, said(running()), web)); len(have) != 0 {
		t.Errorf("problems: %v", have)
	}
}

// A failing init container is one problem, in whatever state it is seen.
func TestInitContainersThatFailAgain(t *testing.T) {
	s := running()
	p := s.pod("web")
	p.Status.Phase = corev1.PodPending
	p.Spec.InitContainers = []corev1.Container{{Name: "i", Image: "registry.example/i:1"}}
	s.waiting("web", "PodInitializing", "")
	set := func(at time.Time, state cri.State) {
		s.pod("web").Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "i", ContainerID: "containerd://i",
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: metav1.NewTime(noon.Add(-time.Minute)), FinishedAt: metav1.NewTime(noon)}}}}
		c := cri.Container{ID: "i", Name: "i", State: state, Created: at}
		switch state {
		case cri.Running:
			c.Started = at
		case cri.Exited:
			c.Started, c.Finished, c.ExitCode, c.Reason = at.Add(-time.Second), at, 1, "Error"
		}
		s.box("web").Containers = []cri.Container{c}
	}
	set(noon, cri.Exited)
	st := tell(t, s)
	st.is(web, InitContainerFailed)
	for range 4 {
		for _, state := range []cri.State{cri.Created, cri.Running, cri.Exited} {
			s.after(time.Second)
			set(s.now, state)
			st.then(0).is(web, InitContainerFailed)
		}
	}
	st.counted(InitContainerFailed, 1)
}

// The kubelet's log may tell of a file before it is known which pod is in it: that is one refusal.
func TestARefusedFileThatIsReadLater(t *testing.T) {
	s := tell(t, observing())
	const path = "/etc/kubernetes/manifests/bad.yaml"
	s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, Path: path, Message: "no containers"})
	since := s.then(time.Second).is("file:"+path, manifest.ManifestRejected).Spec.Since
	s.broken("bad", manifest.SourceFile, manifest.ManifestInvalid)
	st := s.then(time.Second).is("default/bad-node1", manifest.ManifestInvalid)
	if p := st.Spec.Problems[1]; p.Reason != manifest.ManifestRejected || !p.Since.Equal(since) {
		t.Errorf("%+v", p)
	}
	s.counted(manifest.ManifestRejected, 1)
}
