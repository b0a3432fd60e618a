package otlp

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc/status"
)

// The services of gRPC.

type traces struct {
	ptraceotlp.UnimplementedGRPCServer
	receiver *Receiver
}

func (t *traces) Export(ctx context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	if err := t.receiver.before(ctx); err != nil {
		return ptraceotlp.NewExportResponse(), err
	}
	return t.receiver.traces(r.Traces())
}

type metrics struct {
	pmetricotlp.UnimplementedGRPCServer
	receiver *Receiver
}

func (m *metrics) Export(ctx context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	if err := m.receiver.before(ctx); err != nil {
		return pmetricotlp.NewExportResponse(), err
	}
	return m.receiver.metrics(r.Metrics())
}

type logs struct {
	plogotlp.UnimplementedGRPCServer
	receiver *Receiver
}

func (l *logs) Export(ctx context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	if err := l.receiver.before(ctx); err != nil {
		return plogotlp.NewExportResponse(), err
	}
	return l.receiver.logs(r.Logs())
}

// traces takes an export and answers it.
func (r *Receiver) traces(export ptrace.Traces) (ptraceotlp.ExportResponse, error) {
	response := ptraceotlp.NewExportResponse()
	if err := r.takeTraces(export); err != nil {
		return response, err
	}
	if rejected, message := r.partly(export.SpanCount()); rejected > 0 || message != "" {
		response.PartialSuccess().SetRejectedSpans(rejected)
		response.PartialSuccess().SetErrorMessage(message)
	}
	return response, nil
}

// metrics takes an export and answers it.
func (r *Receiver) metrics(export pmetric.Metrics) (pmetricotlp.ExportResponse, error) {
	response := pmetricotlp.NewExportResponse()
	if err := r.takeMetrics(export); err != nil {
		return response, err
	}
	if rejected, message := r.partly(export.DataPointCount()); rejected > 0 || message != "" {
		response.PartialSuccess().SetRejectedDataPoints(rejected)
		response.PartialSuccess().SetErrorMessage(message)
	}
	return response, nil
}

// logs takes an export and answers it.
func (r *Receiver) logs(export plog.Logs) (plogotlp.ExportResponse, error) {
	response := plogotlp.NewExportResponse()
	if err := r.takeLogs(export); err != nil {
		return response, err
	}
	if rejected, message := r.partly(export.LogRecordCount()); rejected > 0 || message != "" {
		response.PartialSuccess().SetRejectedLogRecords(rejected)
		response.PartialSuccess().SetErrorMessage(message)
	}
	return response, nil
}

// routes are those of OTLP over HTTP.
func (r *Receiver) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", r.post(func(body []byte) ([]byte, error) {
		request := ptraceotlp.NewExportRequest()
		if err := request.UnmarshalProto(body); err != nil {
			return nil, r.malformed("traces", err)
		}
		response, err := r.traces(request.Traces())
		if err != nil {
			return nil, err
		}
		return response.MarshalProto()
	}))
	mux.HandleFunc("POST /v1/metrics", r.post(func(body []byte) ([]byte, error) {
		request := pmetricotlp.NewExportRequest()
		if err := request.UnmarshalProto(body); err != nil {
			return nil, r.malformed("metrics", err)
		}
		response, err := r.metrics(request.Metrics())
		if err != nil {
			return nil, err
		}
		return response.MarshalProto()
	}))
	mux.HandleFunc("POST /v1/logs", r.post(func(body []byte) ([]byte, error) {
		request := plogotlp.NewExportRequest()
		if err := request.UnmarshalProto(body); err != nil {
			return nil, r.malformed("logs", err)
		}
		response, err := r.logs(request.Logs())
		if err != nil {
			return nil, err
		}
		return response.MarshalProto()
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

// post answers a request with what take makes of its body. An answer that is empty says that all was taken.
func (r *Receiver) post(take func(body []byte) ([]byte, error)) http.HandlerFunc {
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
		var answer []byte
		if err == nil {
			answer, err = take(data)
		}
		if err != nil {
			http.Error(w, status.Convert(err).Message(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(answer) // whom it does not reach asks again
	}
}
