package node

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLogFileHoldsWholeLinesOverRotations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubelet.log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	write := func(s string) {
		t.Helper()
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("wrote %d of %q: %v", n, s, err)
		}
	}
	expect := func(suffix, want string) {
		t.Helper()
		if got, err := os.ReadFile(path + suffix); string(got) != want || err != nil {
			t.Errorf("%q holds %q, not %q (%v)", suffix, got, want, err)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	write("one\ntw")
	expect("", "one\n")
	do(l.Rotate(".1"))
	write("o\n")
	expect(".1", "one\n")
	expect("", "two\n")
	do(l.Rename(".2"))
	write("three\n")
	do(l.Reopen())
	write("four\n")
	expect(".2", "two\nthree\n")
	expect("", "four\n")
	do(l.CopyTruncate(".3"))
	write("five\n")
	expect(".3", "four\n")
	expect("", "five\n")
	write("six\n")
	if got := l.Tail(6); got != "six\n" {
		t.Errorf("the tail is %q", got)
	}
	if got := l.Tail(100); got != "five\nsix\n" {
		t.Errorf("the whole tail is %q", got)
	}
}
