package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/staticpod-exporter/staticpod-exporter/alerts"
)

// Whatever is put around a rule file or a dashboard, what it holds stays the same.
func TestAssetsKeepWhatTheyHold(t *testing.T) {
	for _, kind := range []string{"alerts", "rules"} {
		plain := asset(t, kind)
		var want, spec struct{ Groups []map[string]yaml.Node }
		decode(t, plain, &want)
		var rule struct {
			Kind     string
			Metadata struct{ Namespace string }
			Spec     yaml.Node
		}
		decode(t, asset(t, kind, "--format=prometheusrule", "--namespace=watch"), &rule)
		if err := rule.Spec.Decode(&spec); err != nil {
			t.Fatal(err)
		}
		if rule.Kind != "PrometheusRule" || rule.Metadata.Namespace != "watch" || len(want.Groups) == 0 || flat(t, spec) != flat(t, want) {
			t.Errorf("%s: the PrometheusRule %s/%s holds other rules", kind, rule.Metadata.Namespace, rule.Kind)
		}
		if got := configMap(t, asset(t, kind, "--format=configmap"))["staticpod-"+kind+".yaml"]; got != plain {
			t.Errorf("%s: the ConfigMap holds\n%s", kind, got)
		}
	}
	names, err := dashboardNames()
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(asset(t, "dashboards", "--format=configmap"), "\n---\n")
	if len(documents) != len(names) {
		t.Fatalf("%d ConfigMaps for %v", len(documents), names)
	}
	for i, name := range names {
		plain := asset(t, "dashboards", name)
		if !json.Valid([]byte(plain)) {
			t.Errorf("%s is not JSON", name)
		}
		if got := configMap(t, documents[i])["staticpod-"+name+".json"]; strings.TrimSpace(got) != strings.TrimSpace(plain) {
			t.Errorf("the ConfigMap of %s holds another dashboard", name)
		}
	}
}

func TestAlertsAreFitted(t *testing.T) {
	const here, there = `namespace=~"kube-system"`, `namespace=~"edge|kube-.*"`
	plain := asset(t, "alerts")
	fitted := asset(t, "alerts", "--page-namespaces=edge|kube-.*", "--grafana-url=https://grafana.example.com/g/")
	if n := strings.Count(plain, here); n == 0 || strings.Count(fitted, there) != n || strings.Contains(fitted, `~"kube-system"`) {
		t.Errorf("%d places name the namespaces, %d were fitted", n, strings.Count(fitted, there))
	}
	const link = "dashboard_url: https://grafana.example.com/g/d/staticpod-"
	if strings.Count(fitted, link) != strings.Count(plain, "dashboard_url: ") {
		t.Error("some links to dashboards are as they were")
	}
	for _, o := range []alerts.Options{
		{PageNamespaces: "("}, {PageNamespaces: `a"}`}, {PageNamespaces: "a\nb"}, {PageNamespaces: `a\`},
		{GrafanaURL: "grafana"}, {GrafanaURL: "ftp://grafana"}, {GrafanaURL: "https://grafana/?a=b"}, {GrafanaURL: "https://grafana/{{"},
	} {
		if _, err := alerts.Alerts(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func asset(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), append([]string{"assets"}, args...), &out, &errs); code != exitOK {
		t.Fatalf("assets %v: exit code %d: %s", args, code, &errs)
	}
	return out.String()
}

func configMap(t *testing.T, text string) map[string]string {
	t.Helper()
	var m struct {
		Kind string
		Data map[string]string
	}
	decode(t, text, &m)
	if m.Kind != "ConfigMap" {
		t.Errorf("a %s", m.Kind)
	}
	return m.Data
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

func flat(t *testing.T, groups struct{ Groups []map[string]yaml.Node }) string {
	t.Helper()
	out, err := yaml.Marshal(groups)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
