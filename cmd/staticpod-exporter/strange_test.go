package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// runs runs the program in this process, to its end.
func runs(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, told strings.Builder
	code = run(t.Context(), args, &out, &told)
	return code, out.String(), told.String()
}

func answering(t *testing.T, code int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// Who interrupts diagnose is told no findings that the interruption made.
func TestDiagnoseInterrupted(t *testing.T) {
	for _, form := range []string{"text", "json"} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var out, told strings.Builder
		code := run(ctx, []string{"diagnose", "-o", form, "--kubelet.endpoint=http://127.0.0.1:1"}, &out, &told)
		if code != exitError || out.String() != "" || !strings.Contains(told.String(), "interrupted") {
			t.Errorf("%s: exit code %d, %q, %q", form, code, out.String(), told.String())
		}
	}
}

// Whatever a server says and files are called, it does not reach the terminal as it is.
func TestNothingSteersTheTerminal(t *testing.T) {
	const evil = "\x1b]0;pwned\a\u009b2J"
	dir := t.TempDir()
	if err := errors.Join(os.Symlink("nowhere", filepath.Join(dir, evil+".yaml")), os.WriteFile(filepath.Join(dir, "config.yaml"), []byte("\""+`\e]0;pwned\a`+"\": 1\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	prometheus := answering(t, http.StatusUnprocessableEntity, `{"status":"error","errorType":"execution","error":"`+`\u001b]0;pwned\u0007`+"\u009b2J"+`"}`)
	html := answering(t, http.StatusBadGateway, evil)
	for _, args := range [][]string{
		{"validate", dir + "/" + evil + ".yaml"},
		{"validate", dir},
		{"validate", "--as-directory", dir},
		{"validate", dir + "/missing" + evil},
		{"check-config", "--config.file", dir + "/config.yaml"},
		{"get", "sps", "--prometheus", prometheus},
		{"get", "sps", "--prometheus", html},
		{"get", "sps", "--address", html},
		{"get", "sps", evil, "--address", answering(t, http.StatusOK, "{")},
		{"describe", evil, "--address", html},
	} {
		code, stdout, stderr := runs(t, args...)
		if code == exitOK || !strings.Contains(stdout+stderr, ":") {
			t.Errorf("%q: exit code %d, %q", args, code, stdout+stderr)
		}
		for _, s := range []string{stdout, stderr} {
			if output.PrintableText(s) != s {
				t.Errorf("%q: %q", args, s)
			}
		}
	}
}

// What the kubelet does not read to its end has no line to be looked at.
func TestValidateOfAFileThatIsTooLong(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "long.yaml")
	if err := os.WriteFile(path, []byte("# "+strings.Repeat("x", 10<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := runs(t, "validate", path); code != exitError || stdout != path+": critical: it is 10 MiB or longer: the kubelet refuses it [ManifestMalformed]\n" {
		t.Errorf("exit code %d, %.300q", code, stdout)
	}
	if code, stdout, stderr := runs(t, "validate", "--as-directory", dir); code != exitError || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, "10 MiB") {
		t.Errorf("exit code %d, %.300q, %.300q", code, stdout, stderr)
	}
}

// What is no resource is not taken for one without anything in it.
func TestAnswersThatAreNoResources(t *testing.T) {
	nothing := answering(t, http.StatusOK, `{"items":[null]}`)
	null := answering(t, http.StatusOK, "null")
	for _, args := range [][]string{
		{"get", "sps", "--address", nothing},
		{"get", "sp", "-o", "json", "--address", nothing},
		{"get", "sp", "-o", "yaml", "--address", answering(t, http.StatusOK, `{"items":["a"]}`)},
		{"get", "sp", "a", "--address", null},
		{"get", "sps", "--address", null},
		{"get", "sps", "--address", answering(t, http.StatusOK, `{"status":"ok"}`)},
		{"describe", "a", "--address", nothing},
	} {
		code, stdout, stderr := runs(t, args...)
		if code != exitError || stdout != "" || !strings.Contains(stderr, "does not answer as a staticpod-exporter does") {
			t.Errorf("%q: exit code %d, %q, %q", args, code, stdout, stderr)
		}
	}
}
