package output

import (
	"slices"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A Colour says what to think of a text.
type Colour string

// The colours, as the numbers of a terminal's attributes.
const (
	Plain    Colour = ""
	Good     Colour = "32" // green
	Doubtful Colour = "33" // yellow
	Bad      Colour = "31" // red
	Heading  Colour = "1"  // bold
	Aside    Colour = "2"  // faint
)

// Colours says whether there are any: false leaves every text as it is.
type Colours bool

// Paint returns text in a colour.
func (c Colours) Paint(colour Colour, text string) string {
	if !c || colour == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(colour) + "m" + text + "\x1b[0m"
}

// ColourOf is the colour of a level of problems.
func ColourOf(level manifest.Level) Colour {
	switch level {
	case manifest.Critical:
		return Bad
	case manifest.Warning:
		return Doubtful
	}
	return Plain
}

// colourOf is the colour of a cell below a heading of the tables of this package.
func colourOf(heading, cell string) Colour {
	switch heading + "=" + cell {
	case "READY=True", "*=+", "STATUS=SANDBOX_READY", "STATUS=CONTAINER_RUNNING":
		return Good
	case "READY=False", "VALID=false", "*=-", "PHASE=Failed", "REASON=Error", "REASON=OOMKilled", "REASON=StartError":
		return Bad
	case "READY=Unknown", "STALE=true", "PHASE=Pending", "PHASE=Unknown", "STATUS=SANDBOX_NOTREADY", "STATUS=CONTAINER_UNKNOWN":
		return Doubtful
	}
	if heading == "REASON" {
		all := status.Reasons()
		if i := slices.IndexFunc(all, func(c status.Code) bool { return string(c.Reason) == cell }); i >= 0 {
			return ColourOf(all[i].Level)
		}
	}
	return Plain
}
