package main

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

// samples are three definitions, of which one is broken.
//
//go:embed samples/*.yaml
var samples embed.FS

const (
	defaultWeb    = "127.0.0.1:10058"
	settleTimeout = 30 * time.Second // for all three samples to be where they will stay
	redrawPeriod  = time.Second
	messageWidth  = 120
)

// scene is what there is to show, by what this machine allows.
type scene struct {
	node     *node.Node // nil when there is none of ours
	parent   string     // where the exporter's directory goes; "" is the machine's temporary one
	manifest string     // manifest.listen; "" observes
	token    string     // of the kubelet, for that
	pods     string     // the directory of the samples; "" when the machine's own pods are shown
	options  exporter.Options
	settled  func(statuses map[string]exporter.Status) error
}

// run shows the exporter at work: on a node of its own, as an observer of the machine's kubelet, or, where
// there can be no node, on the definitions alone.
func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	var s scene
	flags := flag.NewFlagSet("node run", flag.ContinueOnError)
	flags.StringVar(&s.options.Binary, "exporter", "bin/staticpod-exporter", "the exporter's program")
	flags.StringVar(&s.options.Web, "web", "", "address for metrics, listings and the page (default: "+defaultWeb+", or a free port when that one is taken)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.options.Web == "" {
		if l, err := net.Listen("tcp", defaultWeb); err == nil {
			s.options.Web = defaultWeb
			l.Close()
		}
	}
	if found, ok := node.HostKubelet(); ok {
		fmt.Fprintf(progress, "This machine has a kubelet of its own (%s): the exporter observes it, and feeds it nothing.\n", found)
		if os.Geteuid() != 0 {
			fmt.Fprintln(progress, "Without root it may not read the kubelet's and the runtime's sockets nor all of their files: expect inputs that are down.")
		}
		s.settled = settledAnyhow
		return s.show(ctx, out, progress)
	}

	s.token = rand.Text()
	if s.manifest, err = exporter.FreeAddress(); err != nil {
		return err
	}
	if unable := s.startNode(ctx, progress); ctx.Err() != nil {
		return nil
	} else if unable != nil {
		fmt.Fprintf(progress, "No node: %v.\nThe exporter serves and judges three sample definitions all the same; no kubelet fetches them.\n", unable)
		if os.Geteuid() != 0 {
			fmt.Fprintln(progress, "As root, this command starts a real kubelet and containerd on loopback and shows these definitions run.")
		}
		s.settled = settledWithoutNode
		// Nothing runs here, and nobody could tell the exporter so: without this it would hold its first
		// list back, lest a pod run whose definition is the broken one.
		s.options.Flags = append(s.options.Flags, "--allow-mass-removal")
		return s.show(ctx, out, progress)
	}
	defer func() {
		fmt.Fprintln(progress, "taking the node down")
		err = errors.Join(err, s.node.Close())
	}()
	s.parent = s.node.Directory() // and goes with it, also when this process is killed
	s.settled = settledOnNode
	s.options.Flags = append(s.options.Flags, exporter.NodeFlags(s.node)...)
	return s.show(ctx, out, progress)
}

// startNode starts the node that is to run the samples, or says why it cannot.
func (s *scene) startNode(ctx context.Context, progress io.Writer) error {
	if err := node.Check(); err != nil {
		return err
	}
	built, err := programs.Ensure(ctx, progress)
	if err != nil {
		return err
	}
	began := time.Now()
	s.node, err = node.Start(ctx, node.Options{
		Programs: built, Progress: progress,
		ManifestURL: "http://" + s.manifest + "/pods", ManifestURLHeader: map[string][]string{"Authorization": {"Bearer " + s.token}},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "The node %s is up (%s).\n", s.node.Name(), time.Since(began).Round(100*time.Millisecond))
	return nil
}

// feed lays out the samples below dir, and tells the exporter to serve them.
func (s *scene) feed(dir string) error {
	content, err := fs.Sub(samples, "samples")
	if err != nil {
		return err
	}
	s.pods = filepath.Join(dir, "pods.d")
	token := filepath.Join(dir, "token")
	s.options.Manifest = s.manifest
	s.options.Flags = append(s.options.Flags, "--manifest.files="+s.pods+"/*.yaml", "--manifest.token-file="+token)
	return errors.Join(os.CopyFS(s.pods, content), os.WriteFile(token, []byte(s.token), 0o600))
}

// show runs the exporter, prints what it says of every pod, and prints it again when that changes.
func (s *scene) show(ctx context.Context, out, progress io.Writer) (err error) {
	dir, err := os.MkdirTemp(s.parent, "staticpod-run-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if s.manifest != "" {
		if err := s.feed(dir); err != nil {
			return err
		}
	}
	log, err := os.Create(filepath.Join(dir, "exporter.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.options.Log, s.options.StateDirectory = log, filepath.Join(dir, "state")
	e, err := exporter.New(s.options)
	if err != nil {
		return err
	}
	defer e.Stop(context.WithoutCancel(ctx))
	began := time.Now()
	if err := e.Start(ctx); err != nil {
		return explain(ctx, err, log)
	}
	var last string
	for tick := time.NewTicker(redrawPeriod / 10); ; {
		statuses, err := e.Statuses(ctx)
		settled := err == nil && s.settled(statuses) == nil
		if late := time.Since(began) > settleTimeout; (settled || late) && last == "" {
			if err == nil {
				err = s.settled(statuses)
			}
			if err != nil {
				fmt.Fprintf(progress, "After %s this is not yet how it should be: %v\n", settleTimeout, err)
			}
			tick.Reset(redrawPeriod)
			defer tick.Stop()
			last = "nothing"
		}
		if now := versions(statuses); last != "" && now != last && statuses != nil {
			if err := s.draw(ctx, e, statuses, out); err != nil {
				return explain(ctx, err, log)
			}
			if last == "nothing" {
				s.address(e, out)
			}
			last = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !e.Running() {
			return explain(ctx, errors.New("the exporter ended"), log)
		}
	}
}

// draw prints the table of the exporter's own command line, and under it each problem with all that is known of it.
func (s *scene) draw(ctx context.Context, e *exporter.Exporter, statuses map[string]exporter.Status, out io.Writer) error {
	table, err := e.Run(ctx, "get", "staticpodstatus", "--output=wide", "--address="+e.URL())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s", table)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	some := false
	for _, id := range slices.Sorted(maps.Keys(statuses)) {
		for _, p := range statuses[id].Spec.Problems {
			if !some {
				fmt.Fprint(w, "\nPROBLEM OF\tREASON\tLEVEL\tFILE\tFIELD\tMESSAGE\n")
				some = true
			}
			file := "-"
			if p.Path != "" {
				file = p.Path
			}
			if p.Line > 0 {
				file = fmt.Sprintf("%s:%d", p.Path, p.Line)
			}
			field := p.Field
			if field == "" {
				field = "-"
			}
			message, _, _ := strings.Cut(p.Message, "\n")
			if letters := []rune(message); len(letters) > messageWidth {
				message = string(letters[:messageWidth]) + "…"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", id, p.Reason, p.Level, file, field, message)
		}
	}
	return w.Flush()
}

// address says where to look further.
func (s *scene) address(e *exporter.Exporter, out io.Writer) {
	fmt.Fprintf(out, "\n  page      %[1]s/\n  verdicts  %[1]s/staticpodstatus\n  metrics   %[1]s/metrics\n", e.URL())
	if s.pods != "" {
		fmt.Fprintf(out, "\nEdit the files in %s and see what happens. ", s.pods)
	}
	fmt.Fprintf(out, "Ctrl-C ends it and leaves nothing behind.\n")
}

// explain adds to an error what the exporter logged. Being interrupted is no error.
func explain(ctx context.Context, err error, log *os.File) error {
	if ctx.Err() != nil {
		return nil
	}
	said, readErr := os.ReadFile(log.Name())
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return fmt.Errorf("%w; its log ends:\n%s", err, said[max(0, len(said)-4<<10):])
}

// versions tells one state of the table from another.
func versions(statuses map[string]exporter.Status) string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(statuses)) {
		fmt.Fprintf(&b, "%s %d %v\n", id, statuses[id].Metadata.Version, statuses[id].Metadata.Created)
	}
	return b.String()
}

// settledOnNode is two pods Ready and the third's mistake found.
func settledOnNode(statuses map[string]exporter.Status) error {
	for _, name := range []string{"hello", "lines"} {
		if s, ok := of(statuses, name); !ok || !s.Spec.Ready {
			return fmt.Errorf("the pod %s is not ready: %s", name, s.Spec.Reason)
		}
	}
	return brokenFound(statuses)
}

// settledWithoutNode is the mistake found and the kubelet known to be absent.
func settledWithoutNode(statuses map[string]exporter.Status) error {
	if err := brokenFound(statuses); err != nil {
		return err
	}
	for _, s := range statuses {
		if _, ok := s.Problem("KubeletDown"); ok {
			return nil
		}
	}
	return errors.New("nobody says that there is no kubelet")
}

func settledAnyhow(map[string]exporter.Status) error { return nil }

func brokenFound(statuses map[string]exporter.Status) error {
	s, _ := of(statuses, "broken")
	if _, ok := s.Problem("ManifestInvalid"); !ok {
		return errors.New("the mistake in broken.yaml is not found")
	}
	return nil
}

// of returns the status of the pod that a sample names, whatever the node's name.
func of(statuses map[string]exporter.Status, name string) (exporter.Status, bool) {
	for id, s := range statuses {
		if strings.HasPrefix(id, "default/"+name+"-") || id == "default/"+name {
			return s, true
		}
	}
	return exporter.Status{}, false
}
