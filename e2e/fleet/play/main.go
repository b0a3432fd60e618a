// The play command writes the data of a Prometheus that has scraped a fleet for some hours, as package fleet plays it,
// with something wrong in it. What it wrote it says in JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/tsdb"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/fleet"
)

// Rules are evaluated as often as their results can be missed at most: an instant query looks back for five minutes.
const judged = 4 * time.Minute

// Alerts look back for an hour.
const alerted = 75 * time.Minute

func main() {
	repository := flag.String("repository", "../..", "a checkout of the project")
	directory := flag.String("data", "", "where to write: the data directory of a Prometheus")
	o := fleet.Options{}
	flag.StringVar(&o.Job, "job", "edge", "the job of the targets")
	flag.IntVar(&o.Nodes, "nodes", 20, "how many")
	flag.IntVar(&o.Pods, "pods", 20, "static pods of each")
	flag.Uint64Var(&o.Seed, "seed", 1, "what happens is drawn from it")
	flag.DurationVar(&o.Interval, "interval", time.Minute, "between two scrapes")
	past := flag.Duration("past", 6*time.Hour, "how much there is before now")
	future := flag.Duration("future", 30*time.Minute, "how much there is after now, for a Prometheus that looks at it")
	flag.Parse()
	o.Repository, o.Length = *repository, *past+*future
	now := time.Now().Truncate(time.Second)
	o.Start = now.Add(-*past)
	written, err := play(context.Background(), o, *directory, now)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(written)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "play:", err)
		os.Exit(1)
	}
}

// written is what there is in the data.
type written struct {
	Series    int      // of one scrape of all nodes, the largest
	Samples   int      // of all scrapes
	Instances []string // the targets
}

func play(ctx context.Context, o fleet.Options, directory string, now time.Time) (written, error) {
	f, err := fleet.New(o)
	if err != nil {
		return written{}, err
	}
	f.Ordinary()
	f.Trouble()
	db, err := tsdb.Open(directory, slog.New(slog.DiscardHandler), nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		return written{}, fmt.Errorf("data: %w", err)
	}
	records, err := fleet.NewJudge(ctx, db, filepath.Join(o.Repository, "alerts", "rules.yaml"))
	if err != nil {
		return written{}, err
	}
	alerts, err := fleet.NewJudge(ctx, db, filepath.Join(o.Repository, "alerts", "alerts.yaml"))
	if err != nil {
		return written{}, err
	}
	w := written{Instances: f.Instances()}
	last := o.Start
	for at := o.Start; at.Before(o.Start.Add(o.Length)); at = at.Add(o.Interval) {
		series, err := f.Scrape(ctx, db, at)
		if err != nil {
			return w, err
		}
		w.Series = max(w.Series, series)
		w.Samples += series
		next := at.Add(o.Interval)
		if next.Sub(last) < judged || next.After(now) {
			continue
		}
		last = next
		if err := records.Evaluate(ctx, next); err != nil {
			return w, err
		}
		if next.After(now.Add(-alerted)) {
			if err := alerts.Evaluate(ctx, next); err != nil {
				return w, err
			}
		}
	}
	return w, db.Close()
}
