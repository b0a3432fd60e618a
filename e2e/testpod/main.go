// Command testpod is the one program of the images that the real node runs. It is static and small, and does
// on command what a pod under test has to do: serve, sleep, exit, print, take memory, or nothing at all.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const usage = `testpod does one thing, named by its first argument:

  pause                  waits for SIGTERM
  sleep DURATION         waits that long, or for SIGTERM, and exits 0
  exit CODE [DURATION]   exits with that code, after that long
  stubborn               ignores SIGTERM
  memory MIB             takes that much memory and waits
  lines N [DURATION]     prints N lines, that long apart, then waits
  count FILE N CODE DURATION
                         counts on from the number in FILE for N lines, that long apart, every hundredth of them long,
                         leaves the last number there, and exits with that code
  serve ADDRESS [DURATION]
                         HTTP, after that long: GET /ready and /live answer 200 or 503, as POST /ready/off,
                         /ready/on, /live/off and /live/on left them; POST /exit/CODE exits; GET / says who it is
  get URL                exits 0 when that URL answers 200
`

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	if err := run(os.Args[1:], stop); err != nil {
		fmt.Fprintln(os.Stderr, "testpod:", err)
		if errors.Is(err, errUsage) {
			fmt.Fprint(os.Stderr, usage)
		}
		if code, ok := errors.AsType[exitCode](err); ok {
			os.Exit(int(code))
		}
		os.Exit(2)
	}
}

var errUsage = errors.New("no such thing to do")

// exitCode is an error that asks for an exit code of its own.
type exitCode int

func (c exitCode) Error() string { return "exit " + strconv.Itoa(int(c)) }

func run(args []string, stop <-chan os.Signal) error {
	if len(args) == 0 {
		return errUsage
	}
	verb, args := args[0], args[1:]
	switch {
	case verb == "pause" && len(args) == 0:
		reap(stop)
		return nil
	case verb == "sleep" && len(args) == 1:
		return sleep(args[0], stop)
	case verb == "exit" && (len(args) == 1 || len(args) == 2):
		code, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		if len(args) == 2 {
			if err := sleep(args[1], stop); err != nil {
				return err
			}
		}
		if code == 0 {
			return nil
		}
		return exitCode(code)
	case verb == "stubborn" && len(args) == 0:
		for range stop {
			fmt.Println("testpod: a signal, ignored")
		}
		return nil
	case verb == "memory" && len(args) == 1:
		mib, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		held := make([]byte, mib<<20)
		for i := 0; i < len(held); i += 4096 {
			held[i] = 1
		}
		fmt.Println("testpod: holds", mib, "MiB")
		<-stop
		fmt.Println("testpod: held", len(held)>>20, "MiB")
		return nil
	case verb == "lines" && (len(args) == 1 || len(args) == 2):
		return lines(args, stop)
	case verb == "count" && len(args) == 4:
		return count(args, stop)
	case verb == "serve" && (len(args) == 1 || len(args) == 2):
		return serve(args[0], strings.Join(args[1:], ""), stop)
	case verb == "get" && len(args) == 1:
		return get(args[0])
	}
	return fmt.Errorf("%q: %w", os.Args[1:], errUsage)
}

func sleep(text string, stop <-chan os.Signal) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	select {
	case <-time.After(d):
	case <-stop:
	}
	return nil
}

// reap waits for SIGTERM and for orphans, as the first process of a pod's sandbox must.
func reap(stop <-chan os.Signal) {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for {
		select {
		case <-stop:
			return
		case <-children:
			for {
				pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
				if pid <= 0 || err != nil {
					break
				}
			}
		}
	}
}

func lines(args []string, stop <-chan os.Signal) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	for i := range n {
		fmt.Fprintln(out, "line", i+1)
		if len(args) == 2 {
			if err := out.Flush(); err != nil {
				return err
			}
			if err := sleep(args[1], stop); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	<-stop
	return nil
}

func count(args []string, stop <-chan os.Signal) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	code, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	apart, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	content, err := os.ReadFile(args[0])
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	last, _ := strconv.Atoi(string(content)) // none yet is 0
	asked := false
	for i := 0; i < n && !asked; i++ {
		last++
		line := "count " + strconv.Itoa(last)
		if last%100 == 0 {
			line += strings.Repeat(" and on", 6000) // longer than a container runtime writes at once
		}
		fmt.Println(line)
		select {
		case <-stop:
			asked = true
		case <-time.After(apart):
		}
	}
	if err := os.WriteFile(args[0], []byte(strconv.Itoa(last)), 0o644); err != nil {
		return err
	}
	os.Exit(code) // without a word of its own
	return nil
}

func serve(address, after string, stop <-chan os.Signal) error {
	if after != "" {
		d, err := time.ParseDuration(after)
		if err != nil {
			return err
		}
		select {
		case <-time.After(d):
		case <-stop:
			return nil
		}
	}
	mux := http.NewServeMux()
	for _, name := range []string{"ready", "live"} {
		var off atomic.Bool
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, _ *http.Request) {
			if off.Load() {
				http.Error(w, "switched off", http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintln(w, "ok")
		})
		mux.HandleFunc("POST /"+name+"/on", func(http.ResponseWriter, *http.Request) { off.Store(false) })
		mux.HandleFunc("POST /"+name+"/off", func(http.ResponseWriter, *http.Request) { off.Store(true) })
	}
	mux.HandleFunc("POST /exit/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		os.Exit(code)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		host, _ := os.Hostname()
		fmt.Fprintln(w, "testpod on", host, "process", os.Getpid())
	})
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	fmt.Println("testpod: serves on", address)
	select {
	case err := <-failed:
		return err
	case <-stop:
		return server.Close()
	}
}

func get(url string) error {
	client := &http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(os.Stdout, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return exitCode(1)
	}
	return nil
}
