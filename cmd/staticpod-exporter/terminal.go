package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

const (
	progressDelay    = time.Second
	progressInterval = 250 * time.Millisecond
	eraseLine        = "\r\x1b[K"
	defaultWidth     = 80
)

// isTerminal reports whether somebody may be looking at what is written to w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// coloursOf says whether text on w is in colours: on a terminal that has them, unless NO_COLOR says no.
func coloursOf(w io.Writer) output.Colours {
	return output.Colours(isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

// startProgress tells on w what somebody waits for, once that takes more than a second, if w is a terminal; text is
// asked anew for each time that it is shown. End erases it: before that, nothing else is to be written to w.
func startProgress(w io.Writer, text func() string) (end func()) {
	if !isTerminal(w) {
		return func() {}
	}
	return showProgress(w, text, func() int { return widthOf(w) })
}

// showProgress is startProgress on a terminal that has width columns.
func showProgress(w io.Writer, text func() string, width func() int) (end func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		began, shown := time.Now(), false
		next := time.NewTimer(progressDelay)
		defer next.Stop()
		for {
			select {
			case <-done:
				if shown {
					fmt.Fprint(w, eraseLine)
				}
				return
			case <-next.C:
				line := fmt.Sprintf("%s (%s)", output.Printable(text()), time.Since(began).Truncate(time.Second))
				fmt.Fprint(w, eraseLine, cut(line, width()))
				shown = true
				next.Reset(progressInterval)
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(done)
		<-ended
	})
}

// widthOf is how many columns a terminal has.
func widthOf(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return defaultWidth
}

// cut leaves as much of a line as stays on one of a terminal that has width columns: the end of what goes on in the next
// one could not be erased.
func cut(line string, width int) string {
	if output.Columns(line) < width {
		return line
	}
	end := 0
	for i := range line {
		if output.Columns(line[:i]) > width-2 {
			break
		}
		end = i
	}
	return line[:end] + "…"
}
