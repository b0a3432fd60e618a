// Package logshape gives the lines of a kubelet's log the shapes in which they reach a reader: as Talos ships them, as
// a container runtime writes them, and as entries of a real journal.
package logshape

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Talos returns a line as Talos ships it, in its format json_lines: the error is appended to the message and raises
// the level, and the time has another name. A line that is no JSON is a message.
func Talos(line []byte) []byte {
	line = bytes.TrimRight(line, "\r\n")
	record := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	level, at := "info", time.Now()
	if err := decoder.Decode(&record); err != nil {
		record = map[string]any{"msg": string(line)}
	}
	if ts, ok := record["ts"].(json.Number); ok {
		if ms, err := strconv.ParseFloat(ts.String(), 64); err == nil {
			at = time.UnixMicro(int64(ms * 1000))
			delete(record, "ts")
		}
	}
	if err, ok := record["err"]; ok {
		record["msg"] = fmt.Sprintf("%v: %v", record["msg"], err)
		delete(record, "err")
		level = "warn"
	}
	record["talos-level"], record["talos-service"], record["talos-time"] = level, "kubelet", at.UTC().Format(time.RFC3339Nano)
	shipped, err := json.Marshal(record)
	if err != nil { // of what was decoded from JSON nothing cannot be encoded
		panic(err)
	}
	return append(shipped, '\n')
}

// Container returns a line as a container runtime logs it, in pieces of at most limit bytes: 16 KiB by default there.
func Container(line []byte, limit int) []byte {
	line = bytes.TrimRight(line, "\r\n")
	var out bytes.Buffer
	for {
		n, tag := min(limit, len(line)), "F"
		if n < len(line) {
			tag = "P"
		}
		fmt.Fprintf(&out, "%s stderr %s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z07:00"), tag, line[:n])
		if line = line[n:]; len(line) == 0 {
			return out.Bytes()
		}
	}
}

// Follow hands every line of the file at path, from its first on, to each, until ctx ends or each fails.
func Follow(ctx context.Context, path string, each func(line []byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var rest []byte
	block := make([]byte, 64<<10)
	for {
		n, _ := file.Read(block) // at the end there is nothing yet
		rest = append(rest, block[:n]...)
		for {
			line, after, whole := bytes.Cut(rest, []byte("\n"))
			if !whole {
				break
			}
			if err := each(line); err != nil {
				return err
			}
			rest = after
		}
		if n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
