package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/pushgate/pushgate/internal/simulator"
)

// runSimulate serves fake push services for a gateway in another process. It writes credentials that these services
// trust, in the shape operators have them, and says where everything is.
func runSimulate(ctx context.Context, env Env) error {
	fs := newFlags(env, "simulate", "[--dir DIR] [flags]")
	dir := fs.String("dir", "", "folder for the credentials (created); empty makes a throw-away one")
	var o simulator.Options
	fs.StringVar(&o.APNsAddr, "apns", "127.0.0.1:0", "address of APNs")
	fs.StringVar(&o.FCMAddr, "fcm", "127.0.0.1:0", "address of FCM")
	fs.StringVar(&o.OAuthAddr, "oauth", "127.0.0.1:0", "address of Google's token endpoint")
	fs.StringVar(&o.WebPushAddr, "webpush", "127.0.0.1:0", "address of Web Push")
	fs.StringVar(&o.ControlAddr, "control", "127.0.0.1:0", "address of the control API")
	fs.DurationVar(&o.Latency, "latency", 0, "delay of every answer")
	keep := fs.Int("keep", 100_000, "receipts to keep; 0 keeps all, negative none")
	brief := fs.Bool("brief", false, "keep receipts without headers and payloads")
	limit := fs.Uint("streams", 0, "stream limit of every HTTP/2 connection; 0 means 1000")
	quiet := fs.Bool("quiet", false, "do not print a line for each arriving push")
	if _, err := parse(env, fs, 0); err != nil {
		return err
	}
	o.KeepReceipts, o.BriefReceipts, o.StreamLimit = *keep, *brief, uint32(*limit)
	if !*quiet {
		o.OnReceipt = newArrivals(env.Stdout).print
	}
	sim, err := simulator.Start(o)
	if err != nil {
		return err
	}
	defer func() { _ = sim.Close() }()
	folder, cleanup, err := folderFor(*dir)
	if err != nil {
		return err
	}
	defer cleanup()
	creds, err := sim.WriteCredentials(folder)
	if err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	enc := json.NewEncoder(env.Stdout)
	enc.SetIndent("", "  ")
	if err := enc.Encode(simulated{
		APNs: sim.APNsURL(), FCM: sim.FCMURL(), Token: sim.TokenURL(), WebPush: sim.WebPushURL(), Control: sim.ControlURL(), Credentials: creds,
	}); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	<-ctx.Done()
	return nil
}

// simulated is what simulate prints first: where the services are and which credentials they trust.
type simulated struct {
	APNs        string                `json:"apns"`
	FCM         string                `json:"fcm"`
	Token       string                `json:"token"`
	WebPush     string                `json:"webpush"`
	Control     string                `json:"control"`
	Credentials simulator.Credentials `json:"credentials"`
}

// folderFor returns dir, or a throw-away folder with its removal.
func folderFor(dir string) (string, func(), error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", nil, fmt.Errorf("create the folder: %w", err)
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", nil, fmt.Errorf("find the folder: %w", err)
		}
		return abs, func() {}, nil
	}
	tmp, err := os.MkdirTemp("", "pushgate-")
	if err != nil {
		return "", nil, fmt.Errorf("make a throw-away folder: %w", err)
	}
	return tmp, func() { _ = os.RemoveAll(tmp) }, nil
}

// arrivals prints one line for each push that reaches a simulator. The devices are made up, so the line may show what a
// gateway's log never would.
type arrivals struct {
	mu  sync.Mutex
	out io.Writer
}

func newArrivals(out io.Writer) *arrivals { return &arrivals{out: out} }

// shownPayload is how much of a payload fits a readable line.
const shownPayload = 320

// print writes one line. It is called from the simulator's connections.
func (a *arrivals) print(r simulator.Receipt) {
	payload := shown(string(r.Payload), shownPayload)
	word := "delivered"
	if !r.Delivered {
		word = "refused"
		if r.Reason != "" {
			word += " " + r.Reason
		}
	}
	token := shown(r.Token, 12)
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _ = fmt.Fprintf(a.out, "%s  %-7s %s  priority %s  %s  device %s  %s\n",
		r.Time.Format(time.TimeOnly), r.Service, word, orDash(r.Priority), orDash(r.Topic), token, payload)
}

// shown cuts a text to most bytes, on the border of a character, and keeps it on its line.
func shown(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
