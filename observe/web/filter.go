package web

import (
	"net/url"
	"slices"
	"strings"
)

// A filter says which static pods are shown. It is in the URL, so that it can be kept and passed on.
type filter struct {
	Text  string // each of its words is found
	State class  // "" is any
}

// filterOf reads ?q= and ?state=; a state that is no class is none.
func filterOf(query url.Values) filter {
	f := filter{Text: strings.TrimSpace(query.Get("q"))}
	if c := class(query.Get("state")); slices.Contains(classes(), c) {
		f.State = c
	}
	return f
}

func (f filter) shows(r *row) bool {
	if f.State != "" && r.class != f.State {
		return false
	}
	for _, word := range strings.Fields(strings.ToLower(f.Text)) {
		if !strings.Contains(r.text, word) {
			return false
		}
	}
	return true
}

func (f filter) href() string {
	query := make(url.Values)
	if f.Text != "" {
		query.Set("q", f.Text)
	}
	if f.State != "" {
		query.Set("state", string(f.State))
	}
	if len(query) == 0 {
		return "/"
	}
	return "/?" + query.Encode()
}

// A count is how many static pods are of a class, and leads to these.
type count struct {
	Class class // "" is any
	Label string
	N     int
	Href  string
	On    bool // these are shown
}

// counts returns the count of all and of each class, as they are next to f.
func counts(numbers map[class]int, f filter) []count {
	all := count{Label: "All", Href: filter{Text: f.Text}.href(), On: f.State == ""}
	counts := make([]count, 0, len(classes())+1)
	for _, c := range classes() {
		label := strings.ToUpper(string(c[:1])) + string(c[1:])
		if c == fine {
			label = "OK"
		}
		all.N += numbers[c]
		counts = append(counts, count{Class: c, Label: label, N: numbers[c], Href: filter{f.Text, c}.href(), On: f.State == c})
	}
	return slices.Insert(counts, 0, all)
}
