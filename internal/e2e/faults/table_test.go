package faults

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// row is one fault of the matrix.
type row struct {
	id, name string
	engines  []engine // in the short form; the full form takes every engine that makes sense
	more     []engine
	run      func(*rig)
}

// result is a line of the table.
type result struct {
	id, name     string
	engine       engine
	ran, ok      bool
	promised     int // devices answered 2xx
	refused      int // requests answered 503
	cut          int // requests without an answer
	lost         int
	duplicates   int
	bound        int
	falseRejects int
	first        time.Duration
	recovery     time.Duration
	note         string
}

// atOnce is how many rows run at a time: they mostly wait.
const atOnce = 4

var (
	sqliteOnly   = []engine{onSQLite}
	postgresOnly = []engine{onPostgres}
	both         = []engine{onSQLite, onPostgres}
)

// TestFaults runs the matrix and prints it as one table.
func TestFaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("minutes; the long run has it")
	}
	var (
		mu      sync.Mutex
		results []*result
		all     sync.WaitGroup
		slots   = make(chan struct{}, atOnce)
	)
	for _, r := range matrix() {
		for _, e := range pick(r.engines, append(r.engines, r.more...)) {
			res := &result{id: r.id, name: r.name, engine: e, lost: -1}
			mu.Lock()
			results = append(results, res)
			mu.Unlock()
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				t.Run(r.id+" "+string(e), func(t *testing.T) {
					x := &rig{T: t, engine: e, result: result{id: r.id, name: r.name, engine: e, lost: -1}}
					defer func() {
						x.result.ran = true
						x.result.ok = !t.Failed()
						if t.Skipped() && x.result.note == "" {
							x.result.note = "not run"
						}
						mu.Lock()
						*res = x.result
						mu.Unlock()
					}()
					r.run(x)
				})
			})
		}
	}
	all.Wait()
	show(results)
}

// show writes the table. Times are for people; nothing depends on them.
func show(results []*result) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "fault\tstore\tpromised\t503\tcut\tlost\tduplicates\tfalse rejects\tfirst\trecovery\t")
	for _, r := range results {
		if !r.ran {
			continue // left out by -run
		}
		dup := fmt.Sprint(r.duplicates)
		if r.bound > 0 {
			dup = fmt.Sprintf("%d (<= %d)", r.duplicates, r.bound)
		}
		fmt.Fprintf(w, "%s %s\t%s\t%d\t%d\t%d\t%d\t%s\t%d\t%s\t%s\t%s\n", r.id, r.name, r.engine, r.promised, r.refused, r.cut, r.lost, dup, r.falseRejects,
			short(r.first), short(r.recovery), strings.TrimSpace(r.note+failed(r)))
	}
	_ = w.Flush()
	fmt.Fprintln(os.Stdout, "\n"+text.String())
}

func failed(r *result) string {
	if r.ok {
		return ""
	}
	return " FAILED"
}

func short(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(10 * time.Millisecond).String()
}
