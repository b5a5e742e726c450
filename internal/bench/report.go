package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// margin is how much a ratio may grow before -check fails.
const margin = 1.25

// report is the one table.
type report struct {
	out    io.Writer
	limits limits
	rows   []row
}

type row struct {
	workload
	result
}

func newReport(out io.Writer, l limits) *report { return &report{out: out, limits: l} }

func (r *report) add(w workload, res result) { r.rows = append(r.rows, row{w, res}) }

// bare is the CPU of the bare sender for a row's provider.
func (r *report) bare(w workload) float64 {
	if w.provider == "fcm" {
		return r.limits.fcm.CPU
	}
	return r.limits.apns.CPU
}

// ratio is the result: CPU per notification relative to the bare sender in the same run.
func (r *report) ratio(one row) float64 { return one.cpu / r.bare(one.workload) }

func (r *report) print() {
	t := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "work\tprovider\tlatency\tper second\tCPU us each\tratio to bare\tGC\tp50\tp99\tp99.9\tpeak MB\tfailed\t")
	l := r.limits
	_, _ = fmt.Fprintf(t, "limit: bare sender\tapns\t0s\t%.0f\t%.1f\t1.00\t\t\t\t\t\t\t\n", l.apns.Rate, l.apns.CPU)
	_, _ = fmt.Fprintf(t, "limit: bare sender\tfcm\t0s\t%.0f\t%.1f\t1.00\t\t\t\t\t\t\t\n", l.fcm.Rate, l.fcm.CPU)
	_, _ = fmt.Fprintf(t, "limit: JSON echo over Gin\t-\t-\t%.0f\t%.1f\t%.2f\t\t%s\t%s\t%s\t%.0f\t%d\t\n",
		l.echo.perSecond, l.echo.cpu, l.echo.cpu/l.apns.CPU, short(l.echo.p50), short(l.echo.p99), short(l.echo.p999), l.echo.peak, l.echo.failed)
	for _, one := range r.rows {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%.1f\t%.2f\t%.0f %%\t%s\t%s\t%s\t%.0f\t%d\t\n", one.name, one.provider, one.latency, one.perSecond, one.cpu,
			r.ratio(one), 100*one.gc, short(one.p50), short(one.p99), short(one.p999), one.peak, one.failed)
	}
	_ = t.Flush()
	for _, one := range r.rows {
		if one.capacity > 0 {
			_, _ = fmt.Fprintf(r.out, "%s: goodput %.0f/s at %.0f/s offered, %.0f %% of the capacity\n", one.name, one.perSecond, 2*one.capacity, 100*one.perSecond/one.capacity)
		}
	}
}

func short(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + "ms"
}

// compare holds the ratios against committed ones, lines of "name provider ratio" with blanks in names as underscores.
func (r *report) compare(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the committed ratios: %w", err)
	}
	want := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || strings.HasPrefix(line, "#") {
			continue
		}
		ratio, err := strconv.ParseFloat(f[2], 64)
		if err != nil {
			return fmt.Errorf("read the committed ratios: %w", err)
		}
		want[f[0]+" "+f[1]] = ratio
	}
	var problems []error
	for _, one := range r.rows {
		key := strings.ReplaceAll(one.name, " ", "_") + " " + one.provider
		committed, ok := want[key]
		if got := r.ratio(one); ok && got > committed*margin {
			problems = append(problems, fmt.Errorf("%s costs %.2f times a bare sender, committed %.2f", key, got, committed))
		}
	}
	return errors.Join(problems...)
}
