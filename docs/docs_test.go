package docs

import (
	"slices"
	"testing"
)

func TestRunbooksAreWhole(t *testing.T) {
	n := 0
	for _, stage := range Stages() {
		if stage.Name == "" || stage.Intro == "" {
			t.Errorf("stage %q has the introduction %q", stage.Name, stage.Intro)
		}
		for _, r := range stage.Runbooks {
			n++
			if r.Reason == "" || r.Meaning == "" || r.SeenBy == "" || r.Kubelet == "" || r.Remedy == "" {
				t.Errorf("%s: %+v", r.Reason, r)
			}
			if found, ok := Find(r.Reason); !ok || found != r {
				t.Errorf("%s is not found", r.Reason)
			}
		}
	}
	if n < 50 {
		t.Errorf("%d runbooks", n)
	}
	if _, ok := Find("NoSuchReason"); ok {
		t.Error("a reason that does not exist is found")
	}
}

func TestSpans(t *testing.T) {
	for _, test := range []struct {
		text string
		want []Span
	}{
		{"", nil},
		{"words", []Span{{"words", false}}},
		{"*critical.* It is.", []Span{{"critical. It is.", false}}},
		{"see `a*b` and [the rest](other.md#part), [once](x)", []Span{{"see ", false}, {"a*b", true}, {" and the rest, once", false}}},
		{"`all`", []Span{{"all", true}}},
		{"an [open bracket", []Span{{"an [open bracket", false}}},
	} {
		if got := Spans(test.text); !slices.Equal(got, test.want) {
			t.Errorf("%q: %+v, not %+v", test.text, got, test.want)
		}
	}
}
