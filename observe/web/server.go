package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
)

// Times that bound what a connection may cost.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 5 * time.Second
	maxHeaderBytes    = 64 << 10
)

// Listen listens on TCP addresses, as host:port with either part empty, on all of them or on none.
func Listen(ctx context.Context, addresses []string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range addresses {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			for _, l := range listeners {
				err = errors.Join(err, l.Close())
			}
			return nil, fmt.Errorf("web.listen-address: %w", err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// CheckConfig reads an exporter-toolkit web configuration file, "" for none, and all that it names.
func CheckConfig(file string) error {
	if err := web.Validate(file); err != nil {
		return fmt.Errorf("web.config.file: %w", err)
	}
	return nil
}

// SpeaksTLS reports whether a web configuration file, "" for none, has TLS spoken.
func SpeaksTLS(file string) (bool, error) {
	if file == "" {
		return false, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return false, fmt.Errorf("web.config.file: %w", err)
	}
	var config struct {
		TLS web.TLSConfig `yaml:"tls_server_config"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		return false, fmt.Errorf("web.config.file: %w", err)
	}
	return config.TLS.IsEnabled(), nil
}

// Serve serves next on listeners, which it closes, until ctx ends; requests then have five seconds to end,
// watches end at once. With a web configuration file the exporter-toolkit adds TLS and authentication; it
// reads the file again as it changes. Serve returns nil after ctx has ended, else why it could not go on.
func Serve(ctx context.Context, next http.Handler, listeners []net.Listener, configFile string, log *slog.Logger) error {
	if err := CheckConfig(configFile); err != nil {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		running sync.WaitGroup
		errs    = make(chan error, len(listeners))
	)
	for _, l := range listeners {
		// One server for each listener: the toolkit changes the server it is given.
		server := &http.Server{
			Handler:           next,
			BaseContext:       func(net.Listener) context.Context { return ctx },
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what strangers send is no event of ours
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
		}
		running.Go(func() {
			<-ctx.Done()
			bound, stop := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
			defer stop()
			if err := server.Shutdown(bound); err != nil {
				_ = server.Close() // whoever is left had his time
			}
		})
		running.Go(func() {
			defer cancel() // one that ends, ends all
			err := web.Serve(l, server, &web.FlagConfig{WebConfigFile: &configFile}, log)
			if !errors.Is(err, http.ErrServerClosed) {
				errs <- fmt.Errorf("web %s: %w", l.Addr(), errors.Join(err, l.Close()))
			}
		})
	}
	<-ctx.Done()
	running.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}
