package manifest

// A Validator proves definitions as the kubelet of one node would. It remembers its verdicts, so that a
// document that did not change is not validated again. It is safe for concurrent use.
type Validator struct {
	rules Rules
}

// Rules are what a verdict depends on besides the document itself.
type Rules struct {
	Node         string          // the node's name; lower-cased, as the kubelet does
	Standalone   bool            // the kubelet has no API server: runtimeClassName crashes it
	FeatureGates map[string]bool // the kubelet's, from /configz; unknown and locked ones are passed over
}

// NewValidator returns a Validator for the node of rules.
func NewValidator(rules Rules) *Validator { return &Validator{rules: rules} }

// File reads one file of the given form and proves what it defines. No candidates mean a file that is wholly
// valid and defines nothing. A file that cannot be read in part gives, besides the definitions that could, at
// most one candidate without a name, which carries the problems of the file itself.
func (v *Validator) File(path string, data []byte, form Form) []*Candidate { return nil }

// Sweep ends a full load: verdicts that were not asked for since the Sweep before are forgotten.
func (v *Validator) Sweep() {}

// Directory proves what the kubelet's manifest directory dir holds, or its one manifest file.
func (v *Validator) Directory(dir string) ([]*Candidate, error) { return nil, nil }
