package telemetry

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/otlp"
)

// journal keeps what an exporter logs.
type journal struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.Write(b)
}

func (j *journal) count(words ...string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for line := range strings.Lines(j.lines.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			n++
		}
	}
	return n
}

// An observer is an exporter whose one input is a kubelet's log that the test writes.
type observer struct {
	*exporter.Exporter
	log      *journal
	kubelets *os.File
	lines    int
}

func observe(t testing.TB, env ...string) *observer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubelet.log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	o := &observer{log: &journal{}, kubelets: file}
	o.Exporter = launch(t, o.log, []string{"--kubelet.endpoint=", "--kubelet.pods-socket=", "--cri.endpoint=", "--kubelet.manifest-directory=", "--kubelet.log=file://" + path}, env...)
	return o
}

// write has the kubelet say that it refuses another file, and returns its path.
func (o *observer) write(t testing.TB) string {
	t.Helper()
	path := fmt.Sprintf("/manifests/%d.yaml", o.lines)
	o.lines++
	line := fmt.Sprintf(`{"ts":%f,"caller":"config/file.go:187","msg":"Could not process manifest file","path":%q,"err":"invalid pod: [spec.containers: Required value]"}`+"\n",
		float64(time.Now().UnixMicro())/1000, path)
	if _, err := io.WriteString(o.kubelets, line); err != nil {
		t.Fatal(err)
	}
	return path
}

// refuse is write, and returns how long that takes to be on /metrics.
func (o *observer) refuse(t testing.TB) time.Duration {
	t.Helper()
	began := time.Now()
	path := o.write(t)
	for {
		response, err := http.Get(o.URL() + "/metrics?name[]=staticpod_problem_info")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		if bytes.Contains(body, fmt.Appendf(nil, "path=%q", path)) {
			return took
		}
		if took > await.Patience {
			t.Fatal("it is never seen")
		}
	}
}

func (o *observer) value(t testing.TB, family string, labels ...string) float64 {
	t.Helper()
	m, err := o.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, _ := m.Value(family, labels...)
	return v
}

// certificate is one for loopback that signs itself.
func certificate(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "receiver"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func listen(t *testing.T, o otlp.Options) *otlp.Receiver {
	t.Helper()
	r, err := otlp.Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

const (
	rounds = 60
	queue  = 32
)

// A receiver that is down, slow, wrong or refuses takes nothing from the collections: a line of the kubelet's log is
// on /metrics as soon as without any, memory is bounded, what was lost is counted, and it is said once.
func TestTrouble(t *testing.T) {
	var mended atomic.Bool
	own, _ := certificate(t)
	_, others := certificate(t)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, others, 0o600); err != nil {
		t.Fatal(err)
	}
	nobody, err := exporter.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	refusing := listen(t, otlp.Options{Before: func(context.Context) error {
		if mended.Load() {
			return nil
		}
		return status.Error(codes.PermissionDenied, "not today")
	}})
	slow := listen(t, otlp.Options{Before: func(ctx context.Context) error {
		<-ctx.Done() // longer than anybody waits
		return ctx.Err()
	}})
	secret := listen(t, otlp.Options{TLS: &tls.Config{Certificates: []tls.Certificate{own}}})

	impatient := append(slices.Clone(quick), "OTEL_EXPORTER_OTLP_TIMEOUT=300", "OTEL_METRIC_EXPORT_INTERVAL=500",
		fmt.Sprintf("OTEL_BSP_MAX_QUEUE_SIZE=%d", queue), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=8", fmt.Sprintf("OTEL_BLRP_MAX_QUEUE_SIZE=%d", queue))
	off := observe(t)
	troubles := map[string]*observer{}
	for _, protocol := range []string{otlp.GRPC, otlp.HTTP} {
		troubles["down, "+protocol] = observe(t, slices.Concat(impatient, []string{"OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol, "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + nobody})...)
		troubles["slow, "+protocol] = observe(t, slices.Concat(impatient, slow.Environment(protocol), []string{"OTEL_EXPORTER_OTLP_TIMEOUT=5000"})...)
		troubles["refusing, "+protocol] = observe(t, slices.Concat(impatient, refusing.Environment(protocol))...)
		troubles["wrong certificate, "+protocol] = observe(t, slices.Concat(impatient, secret.Environment(protocol), []string{"OTEL_EXPORTER_OTLP_CERTIFICATE=" + authority})...)
	}
	took := map[string][]time.Duration{}
	for range rounds { // one after the other: they share the machine's good and bad moments
		took["off"] = append(took["off"], off.refuse(t))
		for name, o := range troubles {
			took[name] = append(took[name], o.refuse(t))
		}
	}
	median := func(name string) time.Duration {
		slices.Sort(took[name])
		return took[name][len(took[name])/2]
	}
	resident := off.value(t, "process_resident_memory_bytes")
	for name, o := range troubles {
		t.Run(name, func(t *testing.T) {
			if ratio := float64(median(name)) / float64(median("off")); ratio > 2 {
				t.Errorf("a line is seen in %s, without export in %s: %.2f times", median(name), median("off"), ratio)
			} else {
				t.Logf("timing %.2f, memory %.2f of those without export", ratio, o.value(t, "process_resident_memory_bytes")/resident)
			}
			if ratio := o.value(t, "process_resident_memory_bytes") / resident; ratio > 2 {
				t.Errorf("memory is %.2f times that without export", ratio)
			}
			for _, signal := range []string{"traces", "logs"} {
				await.Nil(t, signal+" fail", func(ctx context.Context) error {
					m, err := o.Metrics(ctx)
					if err != nil {
						return err
					}
					failed, _ := m.Value("staticpod_exporter_telemetry_failed_total", "signal", signal)
					waiting, _ := m.Value("staticpod_exporter_telemetry_queue", "signal", signal)
					if waiting > queue {
						return fmt.Errorf("%v wait", waiting)
					}
					if failed == 0 {
						return errors.New("none has failed")
					}
					return nil
				})
			}
			for _, signal := range []string{"traces", "logs", "metrics"} {
				if n := o.log.count("telemetry cannot be exported", "signal="+signal); n > 1 || n == 0 && signal != "metrics" {
					t.Errorf("that %s fail is said %d times", signal, n)
				}
			}
			if n := o.log.count("telemetry is exported again"); n > 0 {
				t.Errorf("it is said %d times to work", n)
			}
		})
	}
	for _, protocol := range []string{otlp.GRPC, otlp.HTTP} {
		if v := troubles["slow, "+protocol].value(t, "staticpod_exporter_telemetry_dropped_total", "signal", "traces"); v == 0 {
			t.Errorf("slow, %s: nothing was dropped of a queue of %d", protocol, queue)
		}
		if n := troubles["slow, "+protocol].log.count("telemetry is dropped", "signal=traces"); n != 1 {
			t.Errorf("slow, %s: it is said %d times that the queue is full", protocol, n)
		}
	}
	mended.Store(true)
	for _, protocol := range []string{otlp.GRPC, otlp.HTTP} {
		o := troubles["refusing, "+protocol]
		t.Run("mended, "+protocol, func(t *testing.T) {
			o.refuse(t)
			await.Nil(t, "it is said once of each signal", func(context.Context) error {
				var err error
				for _, signal := range []string{"traces", "logs", "metrics"} {
					if n := o.log.count("telemetry is exported again", "signal="+signal); n != 1 {
						err = errors.Join(err, fmt.Errorf("%s: %d times", signal, n))
					}
				}
				return err
			})
		})
	}
	if err := refusing.Refused(); err != nil {
		t.Error(err)
	}
}
