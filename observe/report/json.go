package report

import (
	"io"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// JSON writes the report as one JSON object.
func (r *Report) JSON(w io.Writer) error {
	type problem struct {
		Reason  manifest.Reason `json:"reason"`
		Level   manifest.Level  `json:"level"`
		Message string          `json:"message"`
		Detail  string          `json:"detail,omitempty"`
		Path    string          `json:"path"`
		Line    int             `json:"line,omitempty"`
		Column  int             `json:"column,omitempty"`
		Field   string          `json:"field,omitempty"`
		Remedy  string          `json:"remedy,omitempty"`
		Help    string          `json:"help"`
	}
	report := struct {
		Files      int          `json:"files"`
		Critical   int          `json:"critical"`
		Warnings   int          `json:"warnings"`
		Pods       []Pod        `json:"pods"`
		Problems   []problem    `json:"problems"`
		Unreadable []Unreadable `json:"unreadable"`
	}{
		Files: r.Files, Critical: r.Count(manifest.Critical), Warnings: r.Count(manifest.Warning),
		Pods: append([]Pod{}, r.Pods...), Problems: []problem{}, Unreadable: append([]Unreadable{}, r.Unreadable...),
	}
	for _, p := range r.Problems {
		report.Problems = append(report.Problems, problem{p.Reason, p.Level, p.Message, p.Detail, p.Path, p.Line, p.Column, p.Field,
			remedy(p.Reason), helpURI(p.Reason)})
	}
	return output.Encode(w, report)
}
