package otlp

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc/status"
)

// The services of gRPC.

type traces struct {
	ptraceotlp.UnimplementedGRPCServer
	receiver *Receiver
}

func (t *traces) Export(ctx context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	err := t.receiver.before(ctx)
	if err == nil {
		err = t.receiver.takeTraces(r.Traces())
	}
	return ptraceotlp.NewExportResponse(), err
}

type metrics struct {
	pmetricotlp.UnimplementedGRPCServer
	receiver *Receiver
}

func (m *metrics) Export(ctx context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	err := m.receiver.before(ctx)
	if err == nil {
		err = m.receiver.takeMetrics(r.Metrics())
	}
	return pmetricotlp.NewExportResponse(), err
}

type logs struct {
	plogotlp.UnimplementedGRPCServer
	receiver *Receiver
}

func (l *logs) Export(ctx context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	err := l.receiver.before(ctx)
	if err == nil {
		err = l.receiver.takeLogs(r.Logs())
	}
	return plogotlp.NewExportResponse(), err
}

// routes are those of OTLP over HTTP.
func (r *Receiver) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", r.post(func(body []byte) error {
		request := ptraceotlp.NewExportRequest()
		if err := request.UnmarshalProto(body); err != nil {
			return r.malformed("traces", err)
		}
		return r.takeTraces(request.Traces())
	}))
	mux.HandleFunc("POST /v1/metrics", r.post(func(body []byte) error {
		request := pmetricotlp.NewExportRequest()
		if err := request.UnmarshalProto(body); err != nil {
			return r.malformed("metrics", err)
		}
		return r.takeMetrics(request.Metrics())
	}))
	mux.HandleFunc("POST /v1/logs", r.post(func(body []byte) error {
		request := plogotlp.NewExportRequest()
		if err := request.UnmarshalProto(body); err != nil {
			return r.malformed("logs", err)
		}
		return r.takeLogs(request.Logs())
	}))
	mux.HandleFunc("/", func(w http.ResponseWriter, request *http.Request) {
		r.refused(fmt.Errorf("%s %s is no request of OTLP", request.Method, request.URL.Path))
		http.NotFound(w, request)
	})
	return mux
}

func (r *Receiver) malformed(signal string, err error) error {
	err = fmt.Errorf("%s: %w", signal, err)
	r.refused(err)
	return err
}

// post answers a request by what take makes of its body. An answer that is empty says that all was taken.
func (r *Receiver) post(take func(body []byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		if err := r.before(request.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		var body io.Reader = request.Body
		if request.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			body = unzipped
		}
		data, err := io.ReadAll(body)
		if err == nil && request.Header.Get("Content-Type") != "application/x-protobuf" {
			err = fmt.Errorf("Content-Type %q", request.Header.Get("Content-Type"))
		}
		if err == nil {
			err = take(data)
		}
		if err != nil {
			http.Error(w, status.Convert(err).Message(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}
}
