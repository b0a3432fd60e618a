package metrics

import (
	"maps"
	"slices"
	"strconv"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// nodePart renders what belongs to no pod, and every problem.
func nodePart(s *status.Snapshot) *part {
	p := &part{}
	p.add(nodeInfo, 1, label("node", s.Info.Node), label("mode", s.Info.Mode),
		label("kubelet_version", s.Info.KubeletVersion),
		label("runtime", s.Info.Runtime), label("runtime_version", s.Info.RuntimeVersion))
	p.definitions(s.Pods)
	p.problems(s)
	p.problemCounts(s.ProblemsTotal)
	p.inputs(s.Inputs)
	if s.Observation != nil {
		p.observation(s.Observation, s.ProblemsTotal[manifest.ManifestRejected])
	}
	return p
}

func (p *part) definitions(pods []*status.StaticPod) {
	count := map[manifest.Source]int{manifest.SourceFile: 0, manifest.SourceHTTP: 0}
	for _, d := range pods {
		count[d.Spec.Source]++
	}
	for _, source := range slices.Sorted(maps.Keys(count)) {
		p.add(definitions, float64(count[source]), label("source", string(source)))
	}
}

// problemCounts renders how often each reason was met, those never met with 0.
func (p *part) problemCounts(met map[manifest.Reason]uint64) {
	count := maps.Clone(met)
	if count == nil {
		count = map[manifest.Reason]uint64{}
	}
	for _, code := range status.Reasons() {
		count[code.Reason] += 0
	}
	for _, reason := range slices.Sorted(maps.Keys(count)) {
		p.add(problems, float64(count[reason]), label("reason", string(reason)))
	}
}

func (p *part) inputs(states []collector.InputState) {
	for _, in := range states {
		if !in.Configured {
			continue
		}
		input := label("input", string(in.Input))
		p.flag(inputUp, in.Up, input)
		p.moment(inputLastSuccess, in.LastSuccess, input)
		p.add(inputDuration, in.Duration.Seconds(), input)
	}
}

// observation renders what the inputs count themselves; refused is how often the kubelet was met refusing one
// definition. The store knows only of those that it served: of files in the kubelet's directory the log tells.
func (p *part) observation(o *collector.Observation, refused uint64) {
	if o.Input(collector.InputLog).Configured {
		p.add(logLines, float64(o.LogStats.Lines))
		p.add(logBytes, float64(o.LogStats.Bytes))
		p.add(logEvents, float64(o.LogStats.Events))
		p.add(logGaps, float64(o.LogStats.Gaps))
		p.add(logLag, float64(o.LogStats.Lag))
		for kind, count := range o.LogStats.Noise.All() {
			p.add(logNoise, float64(count), label("kind", kind))
		}
	}
	set := o.Manifest
	if set == nil {
		return
	}
	p.flag(configLastReload, set.LastReload)
	rejections := map[string]uint64{"kubelet": 0, "validation": 0}
	maps.Copy(rejections, set.Rejections)
	rejections["kubelet"] = max(rejections["kubelet"], refused)
	for _, stage := range slices.Sorted(maps.Keys(rejections)) {
		p.add(manifestRejections, float64(rejections[stage]), label("stage", stage))
	}
	if set.Serving {
		p.fetches(set.Fetches)
	}
}

// fetches renders who fetched the document. The answers that every kubelet meets in the end are there from 0.
func (p *part) fetches(f manifest.Fetches) {
	codes := map[int]uint64{200: 0, 401: 0, 503: 0}
	maps.Copy(codes, f.ByCode)
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		p.add(manifestFetches, float64(codes[code]), label("code", strconv.Itoa(code)))
	}
	if last, ok := f.Last(); ok {
		p.moment(manifestLastFetch, last.At)
	}
}
