package kubelet

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// A Header is an HTTP header with credentials. However it is printed, logged or marshalled, only the names
// in it are shown; to send it, convert it.
type Header map[string][]string

// String lists the names.
func (h Header) String() string {
	return "[" + strings.Join(slices.Sorted(maps.Keys(h)), " ") + "]"
}

// Format writes the names, whatever the verb.
func (h Header) Format(f fmt.State, _ rune) { fmt.Fprint(f, h.String()) }

// Format writes c with no more of the header than its names. Without it, a verb that does not fit a field
// prints the field as it is.
func (c Config) Format(f fmt.State, _ rune) {
	type fields Config
	fmt.Fprintf(f, "%+v", fields(c))
}

// LogValue is the names.
func (h Header) LogValue() slog.Value { return slog.StringValue(h.String()) }

// MarshalJSON writes the list of names.
func (h Header) MarshalJSON() ([]byte, error) {
	return json.Marshal(append([]string{}, slices.Sorted(maps.Keys(h))...))
}
