package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	// The API server ends a watch after this many seconds at the least, and twice as many at the most.
	watchSeconds = 300
	// shortWatch is one that something in between ends at once, again and again.
	shortWatch = time.Second
	// userAgent names the exporter in the API server's audit log.
	userAgent = "staticpod-exporter"
)

var (
	errShortWatch = errors.New("the watch ended at once")
	errSlowWatch  = errors.New("no answer to the watch in time")
)

// follow connects, lists, and watches until that ends. It reports whether the list was got; a nil error is a
// reason to begin anew that is no failure.
func (c *Client) follow(ctx context.Context) (listed bool, err error) {
	// What the libraries log about failures is what their errors say: those are told once, by the collector.
	ctx = klog.NewContext(ctx, logr.Discard())
	text, err := os.ReadFile(c.kubeconfig)
	if err != nil {
		return false, fmt.Errorf("kubeconfig: %w", err)
	}
	pods, err := c.connect(text)
	if err != nil {
		return false, err
	}
	version, err := c.listAll(ctx, pods)
	if err != nil {
		return false, err
	}
	for {
		began := time.Now()
		version, err = c.watch(ctx, pods, version)
		switch {
		case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
			return true, nil
		case err != nil:
			return true, err
		case ctx.Err() != nil:
			return true, nil
		}
		if now, err := os.ReadFile(c.kubeconfig); err == nil && !bytes.Equal(now, text) {
			return true, nil
		}
		if time.Since(began) < shortWatch {
			return true, errShortWatch
		}
	}
}

// connect makes a client of a kubeconfig. Files that it names are relative to it.
func (c *Client) connect(kubeconfig []byte) (metadata.ResourceInterface, error) {
	config, err := c.restConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", c.kubeconfig, err)
	}
	config.UserAgent, config.WarningHandler = userAgent, rest.NoWarnings{}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", c.kubeconfig, err)
	}
	return client.Resource(corev1.SchemeGroupVersion.WithResource("pods")), nil
}

func (c *Client) restConfig(kubeconfig []byte) (*rest.Config, error) {
	parsed, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, errors.New("this is no kubeconfig") // the error may quote what is in it
	}
	for _, a := range parsed.AuthInfos {
		a.LocationOfOrigin = c.kubeconfig
	}
	for _, cluster := range parsed.Clusters {
		cluster.LocationOfOrigin = c.kubeconfig
	}
	if err := clientcmd.ResolveLocalPaths(parsed); err != nil {
		return nil, err
	}
	return clientcmd.NewDefaultClientConfig(*parsed, nil).ClientConfig()
}

// listAll takes all mirror pods, and returns the version of the list.
func (c *Client) listAll(ctx context.Context, pods metadata.ResourceInterface) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	// Version 0 lets the API server answer from memory: the watch brings what that lacks.
	list, err := pods.List(ctx, metav1.ListOptions{FieldSelector: c.selector(), ResourceVersion: "0"})
	if err != nil {
		return "", refused(err)
	}
	var mirrors []*Pod
	for i := range list.Items {
		if p := newPod(&list.Items[i]); p != nil {
			mirrors = append(mirrors, p)
		}
	}
	c.replace(mirrors)
	return list.ResourceVersion, nil
}

func (c *Client) selector() string {
	return fields.OneTermEqualSelector("spec.nodeName", c.node).String()
}

// watch takes changes since a version until the watch ends, and returns the version it got to.
func (c *Client) watch(ctx context.Context, pods metadata.ResourceInterface, version string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(c.timeout, cancel)
	w, err := pods.Watch(ctx, metav1.ListOptions{
		FieldSelector: c.selector(), ResourceVersion: version, AllowWatchBookmarks: true,
		TimeoutSeconds: new(watchSeconds + rand.Int64N(watchSeconds)),
	})
	if !late.Stop() {
		if err == nil {
			w.Stop()
		}
		err = errSlowWatch
	}
	if err != nil {
		return version, refused(err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		if event.Type == watch.Error {
			return version, refused(apierrors.FromObject(event.Object))
		}
		object, ok := event.Object.(*metav1.PartialObjectMetadata)
		if !ok {
			return version, fmt.Errorf("the watch brought a %T", event.Object)
		}
		version = object.ResourceVersion
		switch p := newPod(object); {
		case event.Type == watch.Deleted, p == nil: // or a bookmark, which has no name
			c.drop(name{object.Namespace, object.Name})
		default:
			c.set(p)
		}
	}
	return version, nil
}

// refused tells an API server that does not authorize from one that does not answer. Of a question that got none it
// leaves out what was asked: that differs each time.
func refused(err error) error {
	if unanswered, ok := errors.AsType[*url.Error](err); ok {
		host := "the API server"
		if u, parseErr := url.Parse(unanswered.URL); parseErr == nil {
			host = u.Host
		}
		return fmt.Errorf("%s: %w", host, unanswered.Err)
	}
	if apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) {
		return fmt.Errorf("%w: %w", ErrUnauthorized, err)
	}
	return err
}

// newPod returns nil for a pod that is no mirror.
func newPod(o *metav1.PartialObjectMetadata) *Pod {
	static, mirror := o.Annotations[corev1.MirrorPodAnnotationKey]
	if !mirror {
		return nil
	}
	p := &Pod{
		Namespace: o.Namespace, Name: o.Name, UID: string(o.UID), StaticUID: static,
		Created: o.CreationTimestamp.Time, Generation: o.Generation,
	}
	if o.DeletionTimestamp != nil {
		p.Deleting = o.DeletionTimestamp.Time
	}
	return p
}
