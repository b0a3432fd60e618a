package metrics

import "slices"

// Type is how a family's values behave.
type Type string

// The types. An Info is a gauge that is always 1 and says something by its labels. A Histogram has classic buckets and
// is a native histogram at once.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
	Info      Type = "info"
)

// Stability says what may change about a family between releases.
type Stability string

// The stabilities: the name and labels of a Stable family last for the whole major version, an Alpha one may
// still change in any release.
const (
	Stable Stability = "stable"
	Alpha  Stability = "alpha"
)

// Scope is the thing a family has one series of, or one set of series.
type Scope string

// The scopes. All but PerExporter come from the snapshot; PerExporter is about the process itself.
const (
	PerDefinition Scope = "definition"
	PerPod        Scope = "pod"
	PerContainer  Scope = "container"
	PerProblem    Scope = "problem"
	PerNode       Scope = "node"
	PerExporter   Scope = "exporter"
)

// A Family is an entry of the catalogue: all that is promised about one metric family.
type Family struct {
	Name      string
	Help      string
	Type      Type
	Unit      string // seconds or bytes, as the name says it; "" for a number without one
	OTel      Instrument
	Labels    []string // sorted
	Scope     Scope
	Stability Stability
}

// An Instrument is a family as OpenTelemetry calls it. Prometheus makes the family's own name of it when it receives
// OTLP: with underscores for the dots, and the unit and _total at the end.
type Instrument struct {
	Name string
	Unit string // in UCUM: s, By, or a {note} of what is counted
}

// Catalogue returns every family this package publishes, sorted by name. It leaves out what the Prometheus
// client library says about any Go process (go_, process_, promhttp_).
func Catalogue() []Family { return slices.Clone(catalogue[:]) }

// A family is the place of a Family in the catalogue, and so in the order of names.
type family int

const (
	condition family = iota
	containerInfo
	containerLastExitCode
	containerLastTerminated
	containerReady
	containerRestarts
	containerState
	definitions
	buildInfo
	configLastReload
	telemetryDropped
	telemetryExported
	telemetryFailed
	telemetryWaiting
	info
	inputDuration
	inputLastSuccess
	inputUp
	logBytes
	logEvents
	logGaps
	logLag
	logLines
	logNoise
	manifestFetches
	manifestLastChange
	manifestLastFetch
	manifestRejections
	manifestValid
	manifestVersion
	mirrorInfo
	nodeInfo
	phase
	problemInfo
	problemStart
	problems
	ready
	rolloutDuration
	stale
	statusVersion
	families // how many there are
)

var catalogue = [families]Family{
	condition: {
		Name: "staticpod_condition", Type: Gauge, Scope: PerPod, Stability: Stable,
		OTel:   Instrument{"staticpod.condition", "{condition}"},
		Labels: []string{"condition", "namespace", "pod"},
		Help:   "Whether a step from definition to running pod is done: Valid, Accepted, Current or Ready. Absent while it is unknown or does not apply.",
	},
	containerInfo: {
		Name: "staticpod_container_info", Type: Info, Scope: PerContainer, Stability: Stable,
		OTel:   Instrument{"staticpod.container.info", "{container}"},
		Labels: []string{"container", "container_id", "image", "image_id", "namespace", "pod"},
		Help:   "A container of a static pod: its image as defined, what that resolved to, and the newest attempt at running it.",
	},
	containerLastExitCode: {
		Name: "staticpod_container_last_exit_code", Type: Gauge, Scope: PerContainer, Stability: Stable,
		OTel:   Instrument{"staticpod.container.last_exit_code", "{code}"},
		Labels: []string{"container", "namespace", "pod"},
		Help:   "Exit code of the container's last end. Absent while it has not ended.",
	},
	containerLastTerminated: {
		Name: "staticpod_container_last_terminated_timestamp_seconds", Type: Gauge, Unit: "seconds", Scope: PerContainer, Stability: Stable,
		OTel:   Instrument{"staticpod.container.last_terminated.timestamp", "s"},
		Labels: []string{"container", "namespace", "pod"},
		Help:   "When the container last ended. Absent while it has not ended.",
	},
	containerReady: {
		Name: "staticpod_container_ready", Type: Gauge, Scope: PerContainer, Stability: Stable,
		OTel:   Instrument{"staticpod.container.ready", "{container}"},
		Labels: []string{"container", "namespace", "pod"},
		Help:   "Whether the container is ready.",
	},
	containerRestarts: {
		Name: "staticpod_container_restarts_total", Type: Counter, Scope: PerContainer, Stability: Stable,
		OTel:   Instrument{"staticpod.container.restarts", "{restart}"},
		Labels: []string{"container", "namespace", "pod"},
		Help:   "Restarts of the container within its pod's present incarnation.",
	},
	containerState: {
		Name: "staticpod_container_state", Type: Gauge, Scope: PerContainer, Stability: Stable,
		OTel:   Instrument{"staticpod.container.state", "{container}"},
		Labels: []string{"container", "namespace", "pod", "state"},
		Help:   "The container's present state, always 1: waiting, created, running, exited or unknown.",
	},
	definitions: {
		Name: "staticpod_definitions", Type: Gauge, Scope: PerNode, Stability: Stable,
		OTel:   Instrument{"staticpod.definitions", "{definition}"},
		Labels: []string{"source"},
		Help:   "Static pod definitions of the node by how they reach the kubelet, refused ones included.",
	},
	buildInfo: {
		Name: "staticpod_exporter_build_info", Type: Info, Scope: PerExporter, Stability: Stable,
		OTel:   Instrument{"staticpod.exporter.build.info", "{build}"},
		Labels: []string{"branch", "goarch", "goos", "goversion", "revision", "tags", "version"},
		Help:   "A metric with a constant '1' value labeled by version, revision, branch, goversion from which staticpod_exporter was built, and the goos and goarch for the build.",
	},
	configLastReload: {
		Name: "staticpod_exporter_config_last_reload_successful", Type: Gauge, Scope: PerNode, Stability: Stable,
		OTel: Instrument{"staticpod.exporter.config.last_reload_successful", "{reload}"},
		Help: "Whether the last load of the configuration succeeded. While it is 0 the one before it is in force.",
	},
	telemetryDropped: {
		Name: "staticpod_exporter_telemetry_dropped_total", Type: Counter, Scope: PerExporter, Stability: Alpha,
		OTel:   Instrument{"staticpod.exporter.telemetry.dropped", "{item}"},
		Labels: []string{"signal"},
		Help:   "Spans and log records that were given up before their export, because too many waited for it. There is a series for each signal that is exported: traces, metrics and logs.",
	},
	telemetryExported: {
		Name: "staticpod_exporter_telemetry_exported_total", Type: Counter, Scope: PerExporter, Stability: Alpha,
		OTel:   Instrument{"staticpod.exporter.telemetry.exported", "{item}"},
		Labels: []string{"signal"},
		Help:   "Spans, data points and log records that a receiver of OpenTelemetry took.",
	},
	telemetryFailed: {
		Name: "staticpod_exporter_telemetry_failed_total", Type: Counter, Scope: PerExporter, Stability: Alpha,
		OTel:   Instrument{"staticpod.exporter.telemetry.failed", "{item}"},
		Labels: []string{"signal"},
		Help:   "Spans, data points and log records that did not arrive, or that the receiver refused.",
	},
	telemetryWaiting: {
		Name: "staticpod_exporter_telemetry_queue", Type: Gauge, Scope: PerExporter, Stability: Alpha,
		OTel:   Instrument{"staticpod.exporter.telemetry.queue", "{item}"},
		Labels: []string{"signal"},
		Help:   "Spans and log records that wait for their export, or are being exported. Metrics do not wait: they are read when it is time.",
	},
	info: {
		Name: "staticpod_info", Type: Info, Scope: PerPod, Stability: Stable,
		OTel:   Instrument{"staticpod.info", "{pod}"},
		Labels: []string{"definition", "namespace", "pod", "source", "uid"},
		Help:   "A static pod: the UID the kubelet runs it by and the definition it comes from. Read from memory, as of the last collection: see staticpod_input_last_success_timestamp_seconds.",
	},
	inputDuration: {
		Name: "staticpod_input_duration_seconds", Type: Gauge, Unit: "seconds", Scope: PerNode, Stability: Stable,
		OTel:   Instrument{"staticpod.input.duration", "s"},
		Labels: []string{"input"},
		Help:   "How long the last question to the input took.",
	},
	inputLastSuccess: {
		Name: "staticpod_input_last_success_timestamp_seconds", Type: Gauge, Unit: "seconds", Scope: PerNode, Stability: Stable,
		OTel:   Instrument{"staticpod.input.last_success.timestamp", "s"},
		Labels: []string{"input"},
		Help:   "When the input last answered: the age of what is said from it. Absent while it never has.",
	},
	inputUp: {
		Name: "staticpod_input_up", Type: Gauge, Scope: PerNode, Stability: Stable,
		OTel:   Instrument{"staticpod.input.up", "{input}"},
		Labels: []string{"input"},
		Help:   "Whether a configured input answers: manifest, kubelet, runtime, log or mirror.",
	},
	logBytes: {
		Name: "staticpod_kubelet_log_bytes_total", Type: Counter, Unit: "bytes", Scope: PerNode, Stability: Stable,
		OTel: Instrument{"staticpod.kubelet.log.bytes", "By"},
		Help: "Bytes of the kubelet's log read since the exporter started.",
	},
	logEvents: {
		Name: "staticpod_kubelet_log_events_total", Type: Counter, Scope: PerNode, Stability: Stable,
		OTel: Instrument{"staticpod.kubelet.log.events", "{event}"},
		Help: "Lines of the kubelet's log that said something about a static pod.",
	},
	logGaps: {
		Name: "staticpod_kubelet_log_gaps_total", Type: Counter, Scope: PerNode, Stability: Stable,
		OTel: Instrument{"staticpod.kubelet.log.gaps", "{gap}"},
		Help: "Times that lines of the kubelet's log were lost beyond recovery.",
	},
	logLag: {
		Name: "staticpod_kubelet_log_lag_bytes", Type: Gauge, Unit: "bytes", Scope: PerNode, Stability: Stable,
		OTel: Instrument{"staticpod.kubelet.log.lag", "By"},
		Help: "Bytes of the kubelet's log that are written but not yet read. 0 where that cannot be known: with tcp, udp and stdin.",
	},
	logLines: {
		Name: "staticpod_kubelet_log_lines_total", Type: Counter, Scope: PerNode, Stability: Stable,
		OTel: Instrument{"staticpod.kubelet.log.lines", "{line}"},
		Help: "Lines of the kubelet's log read since the exporter started.",
	},
	logNoise: {
		Name: "staticpod_kubelet_log_noise_total", Type: Counter, Scope: PerNode, Stability: Alpha,
		OTel:   Instrument{"staticpod.kubelet.log.noise", "{line}"},
		Labels: []string{"kind"},
		Help:   "Lines of the kubelet's log that look like trouble, or drown it, and are none: mirror_pod, pods_api, container_gone or directory_missing.",
	},
	manifestFetches: {
		Name: "staticpod_manifest_fetches_total", Type: Counter, Scope: PerNode, Stability: Stable,
		OTel:   Instrument{"staticpod.manifest.fetches", "{request}"},
		Labels: []string{"code"},
		Help:   "Requests for the served document, by whomever, by HTTP status code.",
	},
	manifestLastChange: {
		Name: "staticpod_manifest_last_change_timestamp_seconds", Type: Gauge, Unit: "seconds", Scope: PerDefinition, Stability: Stable,
		OTel:   Instrument{"staticpod.manifest.last_change.timestamp", "s"},
		Labels: []string{"definition"},
		Help:   "When the definition last changed in effect.",
	},
	manifestLastFetch: {
		Name: "staticpod_manifest_last_fetch_timestamp_seconds", Type: Gauge, Unit: "seconds", Scope: PerNode, Stability: Stable,
		OTel: Instrument{"staticpod.manifest.last_fetch.timestamp", "s"},
		Help: "When the kubelet last fetched the served document. Absent while it never has.",
	},
	manifestRejections: {
		Name: "staticpod_manifest_rejections_total", Type: Counter, Scope: PerNode, Stability: Stable,
		OTel:   Instrument{"staticpod.manifest.rejections", "{definition}"},
		Labels: []string{"stage"},
		Help:   "Definitions refused, by who refused them: validation (by the exporter, before the kubelet sees them) or kubelet.",
	},
	manifestValid: {
		Name: "staticpod_manifest_valid", Type: Gauge, Scope: PerDefinition, Stability: Stable,
		OTel:   Instrument{"staticpod.manifest.valid", "{definition}"},
		Labels: []string{"definition", "path", "source"},
		Help:   "Whether the definition, as last read, is valid. While it is 0 an older revision may still be served.",
	},
	manifestVersion: {
		Name: "staticpod_manifest_version", Type: Gauge, Scope: PerDefinition, Stability: Stable,
		OTel:   Instrument{"staticpod.manifest.version", "{version}"},
		Labels: []string{"definition"},
		Help:   "Version of the definition: starts at 1 and rises by one per effective change.",
	},
	mirrorInfo: {
		Name: "staticpod_mirror_info", Type: Info, Scope: PerPod, Stability: Stable,
		OTel:   Instrument{"staticpod.mirror.info", "{pod}"},
		Labels: []string{"mirror_uid", "namespace", "pod", "uid"},
		Help:   "The mirror of a static pod in the API server: kube-state-metrics knows the pod by mirror_uid, the kubelet's own metrics by uid.",
	},
	nodeInfo: {
		Name: "staticpod_node_info", Type: Info, Scope: PerNode, Stability: Stable,
		OTel:   Instrument{"staticpod.node.info", "{node}"},
		Labels: []string{"kubelet_version", "mode", "node", "runtime", "runtime_version"},
		Help:   "The node, and whether the exporter feeds its kubelet (mode serving) or looks on (observing).",
	},
	phase: {
		Name: "staticpod_phase", Type: Gauge, Scope: PerPod, Stability: Stable,
		OTel:   Instrument{"staticpod.phase", "{pod}"},
		Labels: []string{"namespace", "phase", "pod"},
		Help:   "The phase the kubelet gives the pod, always 1. Absent for a pod that the kubelet does not have.",
	},
	problemInfo: {
		Name: "staticpod_problem_info", Type: Info, Scope: PerProblem, Stability: Stable,
		OTel:   Instrument{"staticpod.problem.info", "{problem}"},
		Labels: []string{"definition", "field", "line", "namespace", "path", "pod", "reason"},
		Help:   "Where a problem is that lies in a file: path, line and field. At most 10 places per pod or definition.",
	},
	problemStart: {
		Name: "staticpod_problem_start_timestamp_seconds", Type: Gauge, Unit: "seconds", Scope: PerProblem, Stability: Stable,
		OTel:   Instrument{"staticpod.problem.start.timestamp", "s"},
		Labels: []string{"definition", "level", "namespace", "pod", "reason"},
		Help:   "When a problem began. Present while it lasts; a problem of the node itself has no definition, namespace and pod.",
	},
	problems: {
		Name: "staticpod_problems_total", Type: Counter, Scope: PerNode, Stability: Stable,
		OTel:   Instrument{"staticpod.problems", "{problem}"},
		Labels: []string{"reason"},
		Help:   "Problems that began since the exporter started, by reason.",
	},
	ready: {
		Name: "staticpod_ready", Type: Gauge, Scope: PerPod, Stability: Stable,
		OTel:   Instrument{"staticpod.ready", "{pod}"},
		Labels: []string{"namespace", "pod"},
		Help:   "Whether the static pod is ready. Also 0 while that is unknown: see staticpod_stale.",
	},
	rolloutDuration: {
		Name: "staticpod_rollout_duration_seconds", Type: Histogram, Unit: "seconds", Scope: PerNode, Stability: Alpha,
		OTel:   Instrument{"staticpod.rollout.duration", "s"},
		Labels: []string{"stage"},
		Help:   "How long the stages of rollouts took that were done since the exporter started: changed, validated, fetched, accepted, rejected, sandbox, pull, container, ready, and total from a change to its pod's being ready. Exemplars lead to the trace of the rollout.",
	},
	stale: {
		Name: "staticpod_stale", Type: Gauge, Scope: PerPod, Stability: Stable,
		OTel:   Instrument{"staticpod.stale", "{pod}"},
		Labels: []string{"namespace", "pod"},
		Help:   "Whether part of the evidence for what is said of the pod is old, because an input is down: see staticpod_input_up.",
	},
	statusVersion: {
		Name: "staticpod_status_version", Type: Gauge, Scope: PerPod, Stability: Stable,
		OTel:   Instrument{"staticpod.status.version", "{version}"},
		Labels: []string{"namespace", "pod"},
		Help:   "Version of the pod's StaticPodStatus: rises by one per change of what is said of it.",
	},
}
