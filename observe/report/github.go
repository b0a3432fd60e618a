package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// GitHub writes the report as commands of GitHub's workflows, which become annotations of the lines they are about.
func (r *Report) GitHub(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.Problems {
		command := "notice"
		switch p.Level {
		case manifest.Critical:
			command = "error"
		case manifest.Warning:
			command = "warning"
		}
		path, _ := r.relative(p.Path)
		if p.Path == Stdin {
			path = p.Path
		}
		fmt.Fprintf(&b, "::%s file=%s", command, property.Replace(path))
		if p.Line > 0 {
			fmt.Fprintf(&b, ",line=%d,col=%d", p.Line, max(p.Column, 1))
		}
		fmt.Fprintf(&b, ",title=%s::%s\n", property.Replace(string(p.Reason)), data.Replace(words(p)+"\n"+remedy(p.Reason)))
	}
	for _, u := range r.Unreadable {
		fmt.Fprintf(&b, "::error title=not readable::%s\n", data.Replace(u.Error))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// What the data of a command, and a property of it, cannot hold as it is.
var (
	data     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)
