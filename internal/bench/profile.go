package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// writeProfile records where the CPU goes while a row is measured, and what the heap holds at its end. The profiles are
// for reading; a row that is profiled costs a little more than it should.
func (r *rig) writeProfile(ctx context.Context, gw *child, w workload, d time.Duration) (wait func()) {
	name := strings.Map(func(c rune) rune {
		if c == ' ' || c == ',' || c == '/' {
			return '_'
		}
		return c
	}, w.name+" "+w.provider+" "+w.latency.String())
	var both sync.WaitGroup
	fetch := func(path, suffix string) {
		text, err := r.get(ctx, r.http, gw.admin+path)
		if err == nil {
			err = os.WriteFile(filepath.Join(r.profile, name+suffix), []byte(text), 0o600)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: profile:", err)
		}
	}
	both.Go(func() { fetch("/debug/pprof/profile?seconds="+strconv.Itoa(int(d.Seconds())), ".cpu") })
	return func() {
		both.Wait()
		fetch("/debug/pprof/heap", ".heap")
		fetch("/debug/pprof/allocs", ".allocs")
	}
}
