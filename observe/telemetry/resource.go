package telemetry

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// newResource describes the exporter and its node; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME have the last word. With an
// error it says what it can.
func newResource(ctx context.Context, o Options) (*resource.Resource, error) {
	machine, _ := os.ReadFile("/etc/machine-id") // missing in most containers
	r, err := resource.New(ctx,
		resource.WithSchemaURL(semconv.SchemaURL),
		resource.WithTelemetrySDK(),
		resource.WithAttributes(
			semconv.ServiceName("staticpod-exporter"),
			semconv.ServiceVersion(o.Version),
			semconv.ServiceInstanceID(instance(strings.TrimSpace(string(machine)), o.Node)),
			semconv.K8SNodeName(o.Node)),
		resource.WithFromEnv())
	if err != nil {
		return r, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return r, nil
}

// instances is the name space that the semantic conventions give to derived values of service.instance.id.
var instances = uuid.MustParse("4d63009a-8d0f-11ee-aad7-4c796ed8e320")

// instance tells the exporters of nodes apart. It is the same over restarts, because series and their owner's identity
// shall go on; the machine's own ID is in it because two clusters may give one name to nodes of theirs.
func instance(machine, node string) string {
	return uuid.NewSHA1(instances, []byte(machine+"/"+node)).String()
}
