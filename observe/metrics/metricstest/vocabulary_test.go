package metricstest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	for expr, want := range map[string]names{
		`up`:                            {[]string{"up"}, nil},
		`up{job="a,b}", instance=~"c"}`: {[]string{"up"}, []string{"instance", "job"}},
		`sum by (job) (rate(a_total{x!='\'y'}[5m] offset 1h)) / ignoring (z) b`: {[]string{"a_total", "b"}, []string{"job", "x", "z"}},
		`max without (reason, level) (a) unless on (job) b == 0 and c`:          {[]string{"a", "b", "c"}, []string{"job", "level", "reason"}},
		`count(a) by (pod) > bool 1e3`:                                          {[]string{"a"}, []string{"pod"}},
		`a * on (x) group_left (y) b or vector(0)`:                              {[]string{"a", "b"}, []string{"x", "y"}},
		`a * on () group_right b`:                                               {[]string{"a", "b"}, nil},
		`increase(a[$__rate_interval]) > 0 and b{pod="$pod"}`:                   {[]string{"a", "b"}, []string{"pod"}},
		`absent(a)`: {[]string{"a"}, nil},
		"label_replace(a, \"b\", `c`, \"d\", '(.*)')": {[]string{"a"}, nil},
		`"`: {nil, nil},
		`{`: {nil, nil},
	} {
		if diff := cmp.Diff(want, read(expr), cmp.AllowUnexported(names{})); diff != "" {
			t.Errorf("%s (-want +got): %s", expr, diff)
		}
	}
}

func TestCheck(t *testing.T) {
	v, err := NewVocabulary()
	if err != nil {
		t.Fatal(err)
	}
	for _, expr := range []string{
		`staticpod_ready{namespace="a",instance="b"} == 0 and staticpod_stale == 0`,
		`rate(process_cpu_seconds_total[5m])`,
		`up{job="x"}`,
		`staticpod_exporter_build_info{version="1"}`,
	} {
		if _, err := v.Check(expr); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
	for _, expr := range []string{
		`staticpod_redy`,
		`sum(staticpod_ready, staticpod_redy)`,
		`staticpod_ready{container="a"}`,
		`sum by (node) (staticpod_ready)`,
		`time() - 5`,
		``,
	} {
		if _, err := v.Check(expr); err == nil {
			t.Errorf("%s: no error", expr)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`sum by (job) (rate(a_total{x!='\'y'}[5m] offset 1h)) / ignoring (z) b`)
	f.Add("label_replace(a, \"b\", `c`, \"d\", '(.*)'")
	f.Fuzz(func(t *testing.T, expr string) { read(expr) })
}
