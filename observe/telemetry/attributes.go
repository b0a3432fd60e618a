package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
)

// The attributes for which OpenTelemetry has no word. What it has one for is called k8s., file. or error.type.
const (
	definitionIDKey       = attribute.Key("staticpod.definition.id")
	definitionVersionKey  = attribute.Key("staticpod.definition.version")
	definitionSourceKey   = attribute.Key("staticpod.definition.source")   // http or file
	definitionRevisionKey = attribute.Key("staticpod.definition.revision") // its hash
	outcomeKey            = attribute.Key("staticpod.rollout.outcome")
	stepKey               = attribute.Key("staticpod.rollout.step")
	problemReasonKey      = attribute.Key("staticpod.problem.reason")
	problemLevelKey       = attribute.Key("staticpod.problem.level")
	problemDetailKey      = attribute.Key("staticpod.problem.detail")   // a sub-code
	problemDurationKey    = attribute.Key("staticpod.problem.duration") // of one that is over, in seconds
	statusIDKey           = attribute.Key("staticpod.status.id")
	problemMessageKey     = attribute.Key("staticpod.problem.message")
	problemLineKey        = attribute.Key("staticpod.problem.line")
	problemFieldKey       = attribute.Key("staticpod.problem.field")
	linkKey               = attribute.Key("staticpod.link") // of links: previous or collection
)
