package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// limits are the bare senders and the bare edge, measured in this run.
type limits struct {
	apns, fcm bareResult
	echo      result // JSON over Gin, 1 KB
}

// result is one measured row.
type result struct {
	perSecond      float64       // notifications answered well
	cpu            float64       // microseconds of the server's CPU per notification
	gc             float64       // share of that CPU that collects garbage
	peak           float64       // MB
	p50, p99, p999 time.Duration // from the intended send time where there is a rate
	failed         int64
	// capacity is what the same process answered per second just before, when it was driven at twice that.
	capacity float64
	answered int64 // notifications, with those of the warm-up
	last     int64 // number of the last request
}

// limits measures what nobody can beat: the SDKs alone, and a server that only decodes and answers.
func (r *rig) limits(ctx context.Context, d time.Duration) (limits, error) {
	stub, err := r.spawn(ctx, "stub", "-dir", r.dir)
	if err != nil {
		return limits{}, err
	}
	defer stub.stop()
	var l limits
	for kind, into := range map[string]*bareResult{"apns": &l.apns, "fcm": &l.fcm} {
		out, err := exec.CommandContext(ctx, r.self, "bare", "-kind", kind, "-url", stub.url, "-ca", r.file("stub-ca.pem"), "-key", r.file("apns.p8"), "-for", d.String()).Output()
		if err != nil {
			return l, fmt.Errorf("bare %s: %w", kind, err)
		}
		if err := json.Unmarshal(out, into); err != nil {
			return l, fmt.Errorf("bare %s: %w", kind, err)
		}
	}
	echo, err := r.spawn(ctx, "echo")
	if err != nil {
		return l, err
	}
	defer echo.stop()
	l.echo, err = r.drive(ctx, echo, workload{path: pathMatrix, batch: 1, provider: "apns", workers: 100, body: matrixBody}, d, 0)
	return l, err
}

// measure runs one workload against a fresh gateway and a fresh stub.
func (r *rig) measure(ctx context.Context, w workload, d time.Duration) (result, error) {
	stub, err := r.spawn(ctx, "stub", "-dir", r.dir, "-latency", w.latency.String())
	if err != nil {
		return result{}, err
	}
	defer stub.stop()
	gw, err := r.gateway(ctx, stub, w.scene)
	if err != nil {
		return result{}, err
	}
	defer gw.stop()
	down, err := r.set(ctx, gw, w.scene)
	if down != nil {
		defer down()
	}
	if err != nil {
		return result{}, err
	}
	var full result
	if w.overload {
		if full, err = r.drive(ctx, gw, w, d, 0); err != nil {
			return full, err
		}
		w.rate = int(2 * full.perSecond)
	}
	if r.profile != "" {
		defer r.writeProfile(ctx, gw, w, d)()
	}
	res, err := r.drive(ctx, gw, w, d, full.last)
	if err != nil {
		return res, err
	}
	res.capacity = full.perSecond
	return res, r.arrived(ctx, stub, full.answered+res.answered)
}

// arrived holds what was answered with 200 against what the stub received: a rate of lost notifications would be worth
// nothing. Each is to a device of its own, and the stub takes all, so nothing may be missing.
func (r *rig) arrived(ctx context.Context, stub *child, answered int64) error {
	ca, err := os.ReadFile(r.file("stub-ca.pem"))
	if err != nil {
		return fmt.Errorf("ask the stub: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	text, err := r.get(ctx, client, stub.url+"/received")
	if err != nil {
		return fmt.Errorf("ask the stub: %w", err)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err != nil || n < answered {
		return fmt.Errorf("%d notifications were answered, the stub received %s", answered, text)
	}
	return nil
}

// drive warms up for a fifth of the time, then measures. Requests are numbered from after on.
func (r *rig) drive(ctx context.Context, target *child, w workload, d time.Duration, after int64) (result, error) {
	var seq atomic.Int64
	seq.Store(after)
	warm, err := load(ctx, target.callers, w, d/5, &seq)
	if err != nil {
		return result{}, err
	}
	before, err := r.spent(ctx, target)
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	samples, err := load(ctx, target.callers, w, d, &seq)
	if err != nil {
		return result{}, err
	}
	took := time.Since(began)
	now, err := r.spent(ctx, target)
	if err != nil {
		return result{}, err
	}
	n := float64(len(samples.latencies) * w.batch)
	if n == 0 {
		return result{}, errors.New("nothing was answered")
	}
	res := result{
		perSecond: n / took.Seconds(), cpu: (now.cpu - before.cpu).Seconds() * 1e6 / n, peak: peakMB(target.pid()),
		gc: (now.gc - before.gc) / (now.cpu - before.cpu).Seconds(), failed: samples.failed,
		answered: int64((len(warm.latencies) + len(samples.latencies)) * w.batch), last: seq.Load(),
	}
	if w.overload && w.rate > 0 {
		res.perSecond = float64(samples.inTime*w.batch) / d.Seconds()
	}
	slices.Sort(samples.latencies)
	at := func(q float64) time.Duration { return samples.latencies[int(q*float64(len(samples.latencies)-1))] }
	res.p50, res.p99, res.p999 = at(.5), at(.99), at(.999)
	return res, nil
}

// spent is what a process has used of the machine so far.
type spent struct {
	cpu time.Duration
	gc  float64 // seconds
}

func (r *rig) spent(ctx context.Context, target *child) (spent, error) {
	cpu, err := cpuOf(target.pid())
	if err != nil || target.admin == "" {
		return spent{cpu: cpu}, err
	}
	text, err := r.get(ctx, r.http, target.admin+"/metrics")
	if err != nil {
		return spent{}, fmt.Errorf("read metrics: %w", err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "go_cpu_classes_gc_total_cpu_seconds_total "); ok {
			gc, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return spent{cpu: cpu, gc: gc}, err
		}
	}
	return spent{}, errors.New("read metrics: no time of the garbage collector")
}

// get reads a small text.
func (r *rig) get(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	return string(text), err
}
