package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/mirror"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
	"github.com/staticpod-exporter/staticpod-exporter/observe/telemetry"
	"github.com/staticpod-exporter/staticpod-exporter/observe/web"
)

func newServeCommand() *cobra.Command {
	var allowMassRemoval bool
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve static pods to the kubelet and publish what becomes of them",
		Long: `Serve feeds the kubelet the static pods of the configuration (manifest.listen), watches the kubelet, the
container runtime and the kubelet's log, and publishes the verdict on every static pod: /metrics, /staticpods,
/staticpodstatus and a page on web.listen-address.

With manifest.listen "" it only observes: something else feeds the kubelet.

SIGHUP and POST /-/reload load everything anew, deliberately: removals that were held back happen then.
SIGTERM and SIGINT end it; the pods run on.`,
		Example: `  # feed the kubelet whose staticPodURL is http://127.0.0.1:959/pods
  staticpod-exporter serve --manifest.files '/etc/staticpod-exporter/pods.d/*.yaml'

  # look on at what kubeadm, RKE2, k3s or Talos feed it
  staticpod-exporter serve --manifest.listen ""`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			configuration, bad, err := start(loader{flags: c.Flags()})
			if err != nil {
				return err
			}
			log, err := newLogger(configuration.inForce.Log, c.ErrOrStderr())
			if err != nil {
				return err
			}
			configuration.log = log
			if bad != nil {
				log.Error("the configuration cannot be used: running with the last good one", "err", bad)
			}
			return serve(c.Context(), configuration, allowMassRemoval, log)
		},
	}
	registerConfigFlags(command.Flags())
	command.Flags().BoolVar(&allowMassRemoval, "allow-mass-removal", false, "remove pods at the first load although all, or more than 30 %, would go")
	return command
}

// newLogger makes the one logger of the process; klog's lines, from the Kubernetes libraries, go there too.
func newLogger(c LogConfig, out io.Writer) (*slog.Logger, error) {
	level, format := promslog.NewLevel(), promslog.NewFormat()
	if err := errors.Join(level.Set(c.Level), format.Set(c.Format)); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	log := promslog.New(&promslog.Config{Level: level, Format: format, Writer: out})
	klog.SetSlogLogger(log)
	return log, nil
}

// serve builds the pipeline in the order that data flows through it and runs it until ctx ends. It is one
// straight line on purpose: it is the map of the program.
func serve(ctx context.Context, c *configuration, allowMassRemoval bool, log *slog.Logger) error {
	config := c.inForce

	// What is exported by OpenTelemetry, of all that follows. A mistake there costs the export, and not the node its pods.
	settings, err := telemetry.ReadSettings(os.Getenv)
	flaws := flaws(err)
	if err != nil {
		log.Error("the OTEL_ variables cannot be used: running without the signals that they are about", "err", err)
	}
	node, err := nodeOf(config.Config)
	if err != nil {
		return err
	}
	exports, err := telemetry.New(ctx, telemetry.Options{
		Settings: settings, Node: node, Version: version.Version, Console: os.Stdout, Logger: log,
	})
	if err != nil {
		log.Error("telemetry is not exported in full", "err", err)
	}
	defer func(log *slog.Logger) { // that is not exported
		if err := exports.Close(ctx); err != nil {
			log.Warn("stopping", "err", err)
		}
	}(log)
	if config.Log.OTel {
		log = exports.Log(log)
		klog.SetSlogLogger(log)
	}
	log.Info("starting", "version", version.Info(), "config", config.Path, "mode", mode(config))

	// What should run.
	store, err := manifest.Open(manifest.Options{
		Node:             config.Node,
		Serving:          config.Manifest.Listen != "",
		StateDirectory:   config.Manifest.StateDirectory,
		TokenFile:        config.Manifest.TokenFile,
		Load:             c.sources,
		Flaws:            flaws,
		AllowMassRemoval: allowMassRemoval,
		Logger:           log,
	})
	if err != nil {
		return fmt.Errorf("definitions: %w", err)
	}
	facts := &kubeletFacts{config: config.Config, store: store}
	facts.tell(nil)

	// What does run, seen from up to four sides.
	inputs, err := openInputs(config.Config, store.Node(), exports.Traces(), log)
	if err != nil {
		return err
	}
	defer inputs.close()

	// The verdict.
	poll := collector.New(inputs.options(store, config.Config, exports.Traces(), log))
	statuses := status.NewTracker(status.Limits{RolloutDeadline: config.Kubelet.RolloutDeadline})
	remembered := filepath.Join(config.Manifest.StateDirectory, "status.json")
	if err := statuses.Restore(remembered); err != nil {
		log.Warn("statuses are judged afresh", "err", err)
	}

	// Everyone who wants to know.
	publisher := metrics.New(metrics.Options{Log: log, Telemetry: exports.Signals, Exemplars: exports.Traces() != nil})
	if err := exports.Metrics(ctx, publisher); err != nil {
		log.Error("metrics are not exported", "err", err)
	}
	rollouts := exports.NewRollouts(filepath.Join(config.Manifest.StateDirectory, "rollouts.json"))
	pages := web.New(web.Options{
		Latest: statuses.Latest, Changed: statuses.Changed, Metrics: publisher.Handler(),
		Reload: store.Reload, Live: alive(statuses, time.Now()),
		ConfigFile: config.Web.Config.File, Version: version.Version, Logger: log,
	})

	// The sockets, before anything runs: what cannot be had is known now.
	listeners, err := listen(ctx, config.Config)
	if err != nil {
		return err
	}

	g, ctx := errgroup.WithContext(ctx)
	if listeners.manifest != nil {
		store.SetAddress(listeners.manifest.Addr().String())
		g.Go(func() error { return serveManifests(ctx, store, listeners.manifest) })
		log.Info("serving static pods to the kubelet", "url", "http://"+listeners.manifest.Addr().String()+"/pods")
	}
	g.Go(func() error { return store.Run(ctx) })
	inputs.run(ctx, g)
	g.Go(func() error {
		return poll.Run(ctx, func(ctx context.Context, o *collector.Observation) {
			s := statuses.Observe(o)
			publisher.Observe(s)
			rollouts.Observe(ctx, s)
			exports.Observe(ctx, s)
			facts.tell(s)
		})
	})
	g.Go(func() error { return statuses.Persist(ctx, remembered, log) })
	g.Go(func() error { return rollouts.Run(ctx) })
	g.Go(func() error { return web.Serve(ctx, pages, listeners.web, config.Web.Config.File, log) })
	g.Go(func() error { return reloadOnHangup(ctx, store, log) })
	g.Go(func() error { return notify(ctx, log) })
	err = g.Wait()
	if saved := statuses.Save(remembered); err == nil { // what was judged last, while all else ended: the log is not read again
		err = saved
	}
	log.Info("stopped; the pods run on")
	return err
}

// flaws are what is wrong in the environment, and so until a restart.
func flaws(environment error) []error {
	var flaws []error
	wrong, _ := errors.AsType[telemetry.WrongVariables](environment)
	for _, v := range wrong {
		flaws = append(flaws, &manifest.ConfigError{Field: v.Name, Message: v.Why})
	}
	return flaws
}

// inputs are the sides from which the node is seen; nil for one that is not configured.
type inputs struct {
	kubelet *kubelet.Client
	runtime *cri.Client
	log     *kubeletlog.Follower
	mirrors *mirror.Client
}

func openInputs(config Config, node string, traces trace.TracerProvider, log *slog.Logger) (inputs, error) {
	var in inputs
	var err error
	if config.Kubelet.Endpoint != "" || config.Kubelet.PodsSocket != "" {
		k := config.Kubelet
		if in.kubelet, err = kubelet.New(kubelet.Options{
			Endpoint: k.Endpoint, PodsSocket: k.PodsSocket,
			CAFile: k.CAFile, CertFile: k.CertFile, KeyFile: k.KeyFile, TokenFile: k.TokenFile,
			ServerName: k.ServerName, InsecureSkipVerify: k.InsecureSkipVerify, TracerProvider: traces, Logger: log,
		}); err != nil {
			return in, fmt.Errorf("kubelet: %w", err)
		}
	}
	if config.CRI.Endpoint != "" {
		if in.runtime, err = cri.New(cri.Options{Endpoint: config.CRI.Endpoint, TracerProvider: traces, Logger: log}); err != nil {
			return in, fmt.Errorf("cri: %w", err)
		}
	}
	if config.Kubelet.Log != "" {
		if in.log, err = kubeletlog.Follow(kubeletlog.Options{
			Path: config.Kubelet.Log, StateDirectory: config.Manifest.StateDirectory, Stdin: os.Stdin, Logger: log,
		}); err != nil {
			return in, fmt.Errorf("kubelet log: %w", err)
		}
	}
	if config.Mirror.Kubeconfig != "" {
		if in.mirrors, err = mirror.New(mirror.Options{Kubeconfig: config.Mirror.Kubeconfig, Node: node}); err != nil {
			return in, err
		}
	}
	return in, nil
}

// options hands the inputs that there are to the collector. A nil pointer must not become an interface.
func (in inputs) options(store *manifest.Store, config Config, traces trace.TracerProvider, log *slog.Logger) collector.Options {
	o := collector.Options{Manifests: store, ResyncInterval: config.Kubelet.ResyncInterval, TracerProvider: traces, Logger: log}
	if in.kubelet != nil {
		o.Kubelet = in.kubelet
	}
	if in.runtime != nil {
		o.Runtime = in.runtime
	}
	if in.log != nil {
		o.Log = in.log
	}
	if in.mirrors != nil {
		o.Mirrors = in.mirrors
	}
	return o
}

func (in inputs) run(ctx context.Context, g *errgroup.Group) {
	if in.kubelet != nil {
		g.Go(func() error { return in.kubelet.Run(ctx) })
	}
	if in.runtime != nil {
		g.Go(func() error { return in.runtime.Run(ctx) })
	}
	if in.log != nil {
		g.Go(func() error { return in.log.Run(ctx) })
	}
	if in.mirrors != nil {
		g.Go(func() error { return in.mirrors.Run(ctx) })
	}
}

func (in inputs) close() {
	if in.runtime != nil {
		_ = in.runtime.Close() // the process ends
	}
}

// sockets are what the exporter listens on.
type sockets struct {
	manifest net.Listener // nil in observing mode
	web      []net.Listener
}

// listen takes the sockets that systemd holds for us, by name, and opens the others.
func listen(ctx context.Context, config Config) (sockets, error) {
	var s sockets
	held, err := activation.ListenersWithNames()
	if err != nil {
		return s, fmt.Errorf("systemd sockets: %w", err)
	}
	if config.Manifest.Listen != "" {
		if named := held["manifest"]; len(named) > 0 {
			s.manifest = named[0]
		} else if s.manifest, err = new(net.ListenConfig).Listen(ctx, "tcp", config.Manifest.Listen); err != nil {
			switch {
			case errors.Is(err, os.ErrPermission):
				err = fmt.Errorf("%w (a port below 1024 needs root, CAP_NET_BIND_SERVICE, or a systemd socket named manifest)", err)
			case errors.Is(err, syscall.EADDRINUSE):
				err = fmt.Errorf("%w (whoever listens there feeds the kubelet: ss -ltnp names it)", err)
			}
			return s, fmt.Errorf("manifest.listen: %w", err)
		}
	}
	if config.Web.SystemdSocket {
		for name, listeners := range held {
			if name != "manifest" {
				s.web = append(s.web, listeners...)
			}
		}
		if len(s.web) == 0 {
			return s, errors.New("web.systemd-socket: systemd passed no socket")
		}
		return s, nil
	}
	s.web, err = web.Listen(ctx, config.Web.ListenAddress)
	return s, err
}

// serveManifests answers the kubelet until ctx ends.
func serveManifests(ctx context.Context, store *manifest.Store, l net.Listener) error {
	server := store.NewServer()
	stopped := context.AfterFunc(ctx, func() {
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(bound) // a fetch that takes longer is asked again
	})
	defer stopped()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("manifest listener: %w", err)
	}
	return nil
}

// reloadOnHangup reloads at SIGHUP.
func reloadOnHangup(ctx context.Context, store *manifest.Store, log *slog.Logger) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
			if err := store.Reload(ctx); err != nil {
				log.Error("the configuration cannot be used: the last good one stays", "err", err)
			} else {
				log.Info("reloaded")
			}
		}
	}
}

// notify tells systemd that the service is up and, when it asks for that, that it lives.
func notify(ctx context.Context, log *slog.Logger) error {
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		log.Warn("systemd cannot be told that the service is up", "err", err)
	}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog) // systemd restarts us if it does not hear
		}
	}
}

// alive says that the pipeline still gives verdicts: it has one every ten seconds at least.
func alive(statuses *status.Tracker, started time.Time) func() error {
	const patience = time.Minute
	return func() error {
		last := started
		if s := statuses.Latest(); s != nil {
			last = s.At
		}
		if silent := time.Since(last); silent > patience {
			return fmt.Errorf("no verdict for %s", silent.Round(time.Second))
		}
		return nil
	}
}

func mode(config loaded) string {
	if config.Manifest.Listen == "" {
		return "observing"
	}
	return "serving"
}
