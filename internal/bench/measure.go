package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	peak           float64       // MB
	p50, p99, p999 time.Duration // from the intended send time where there is a rate
	failed         int64
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
	l.echo, err = r.drive(ctx, echo, workload{path: pathMatrix, batch: 1, provider: "apns", workers: 100, body: matrixBody}, d)
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
	res, err := r.drive(ctx, gw, w, d)
	if err != nil {
		return res, err
	}
	return res, r.arrived(ctx, stub, res)
}

// arrived compares what was answered with what the stub received: a rate of lost notifications would be worth nothing.
func (r *rig) arrived(ctx context.Context, stub *child, res result) error {
	out, err := exec.CommandContext(ctx, "curl", "-sk", stub.url+"/received").Output()
	if err != nil {
		return nil // without curl the check is left out; the e2e tests count exactly
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil || float64(n) < res.perSecond {
		return errors.New("the stub received fewer notifications than were answered")
	}
	return nil
}

// drive warms up for a fifth of the time, then measures.
func (r *rig) drive(ctx context.Context, target *child, w workload, d time.Duration) (result, error) {
	var seq atomic.Int64
	if _, err := r.load(ctx, target.url, w, d/5, &seq); err != nil {
		return result{}, err
	}
	before, err := cpuOf(target.pid())
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	samples, err := r.load(ctx, target.url, w, d, &seq)
	if err != nil {
		return result{}, err
	}
	took := time.Since(began)
	after, err := cpuOf(target.pid())
	if err != nil {
		return result{}, err
	}
	n := float64(len(samples.latencies) * w.batch)
	if n == 0 {
		return result{}, errors.New("nothing was answered")
	}
	slices.Sort(samples.latencies)
	at := func(q float64) time.Duration { return samples.latencies[int(q*float64(len(samples.latencies)-1))] }
	return result{
		perSecond: n / took.Seconds(), cpu: (after - before).Seconds() * 1e6 / n, peak: peakMB(target.pid()),
		p50: at(.5), p99: at(.99), p999: at(.999), failed: samples.failed,
	}, nil
}

// samples are the answers of one load.
type samples struct {
	latencies []time.Duration
	failed    int64
}

func (r *rig) load(ctx context.Context, url string, w workload, d time.Duration, seq *atomic.Int64) (samples, error) {
	if w.rate > 0 {
		return r.open(ctx, url, w, d, seq)
	}
	return r.closed(ctx, url, w, d, seq)
}

// closed sends from a fixed number of workers as fast as answers come: capacity.
func (r *rig) closed(ctx context.Context, url string, w workload, d time.Duration, seq *atomic.Int64) (samples, error) {
	end := time.Now().Add(d)
	per := make([]samples, w.workers)
	var all sync.WaitGroup
	for i := range per {
		all.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				began := time.Now()
				if r.post(ctx, url, w, seq.Add(1)) != nil {
					per[i].failed++
					continue
				}
				per[i].latencies = append(per[i].latencies, time.Since(began))
			}
		})
	}
	all.Wait()
	var sum samples
	for _, s := range per {
		sum.latencies, sum.failed = append(sum.latencies, s.latencies...), sum.failed+s.failed
	}
	return sum, ctx.Err()
}

// open sends at fixed times whether answers come or not, and measures from the intended time: a stall of the server is
// seen by every notification that should have been sent meanwhile.
func (r *rig) open(ctx context.Context, url string, w workload, d time.Duration, seq *atomic.Int64) (samples, error) {
	var mu sync.Mutex
	var sum samples
	var all sync.WaitGroup
	gap := time.Second * time.Duration(w.batch) / time.Duration(w.rate)
	began := time.Now()
	for i := 0; time.Duration(i)*gap < d && ctx.Err() == nil; i++ {
		intended := began.Add(time.Duration(i) * gap)
		time.Sleep(time.Until(intended))
		all.Go(func() {
			err := r.post(ctx, url, w, seq.Add(1))
			took := time.Since(intended)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				sum.failed++
				return
			}
			sum.latencies = append(sum.latencies, took)
		})
	}
	all.Wait()
	return sum, ctx.Err()
}

func (r *rig) post(ctx context.Context, url string, w workload, seq int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+w.path, strings.NewReader(w.body(w, seq)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}
