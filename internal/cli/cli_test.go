package cli

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/admin"
	"github.com/pushgate/pushgate/internal/push"
)

func TestRun_SaysHowItIsUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args           string
		code           int
		stdout, stderr string
	}{
		"nothing":                     {"", 2, "", "config check FILE"},
		"help":                        {"--help", 0, "config check FILE", ""},
		"a command that is none":      {"nonsense --x", 2, "", `there is no command "nonsense"`},
		"a flag that is none":         {"--nonsense", 2, "", `there is no command "--nonsense"`},
		"version as a flag":           {"--version", 0, "pushgate ", ""},
		"half a command":              {"config", 2, "", "config import gematik"},
		"half a command, longer":      {"config import", 2, "", "pushgate config: say which"},
		"help for half a command":     {"queue -h", 0, "queue purge", ""},
		"help for a command":          {"queue list -h", 0, "", "-data-dir"},
		"a flag that a command lacks": {"queue list --nonsense", 2, "", "-nonsense"},
		"too many words":              {"queue list 5", 2, "", "usage: pushgate queue list"},
		"no row":                      {"queue retry", 2, "", "needs names, or --all and --app"},
		"every row of every app":      {"queue purge --all", 2, "", "--all needs --app"},
		"rows and all":                {"queue purge 5 --all --app a", 2, "", "not both"},
		"a row that is none":          {"queue show five", 1, "", `"five" is not a row's id`},
		"nobody":                      {"pusher delete", 2, "", "needs --user"},
		"a notification for no app":   {"send --pushkey k", 2, "", "needs --app"},
		"a notification for no phone": {"send --app a", 2, "", "needs --pushkey-file"},
		"an operation that is none":   {"send --app a --pushkey k --operation x", 2, "", `no operation "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := run(t, strings.Fields(c.args)...)
			require.Equal(t, c.code, code, stderr)
			require.Contains(t, stdout, c.stdout)
			require.Contains(t, stderr, c.stderr)
			require.NotEmpty(t, stdout+stderr)
		})
	}
}

func TestArguments_MayStandBeforeAndAfterFlags(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		rest []string
		app  string
		all  bool
	}{
		"":                       {nil, "", false},
		"--app a":                {nil, "a", false},
		"1 2 --app a":            {[]string{"1", "2"}, "a", false},
		"--app a 1 2":            {[]string{"1", "2"}, "a", false},
		"1 --app a 2 --all":      {[]string{"1", "2"}, "a", true},
		"1 --app a -- --all 2":   {[]string{"1", "--all", "2"}, "a", false},
		"-- --app a":             {[]string{"--app", "a"}, "", false},
		"1 --app a --all 2 -- 3": {[]string{"1", "2", "3"}, "a", true},
	} {
		env := Env{Args: strings.Fields(text), Stderr: t.Output()}
		f := newAdminFlags(env, "queue purge", "").acting()
		rest, err := arguments(env, f.fs)
		require.NoError(t, err, text)
		require.Equal(t, want.rest, rest, text)
		require.Equal(t, want.app, f.app, text)
		require.Equal(t, want.all, f.all, text)
	}
}

// TestDocumentation_NamesCommandsThatExist gives every command of the documentation to the process. The context has
// ended and the files are not there: each fails, but none for the way it was typed.
func TestDocumentation_NamesCommandsThatExist(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	line := regexp.MustCompile("(?m)(?:^|`|=/usr/local/bin/)pushgate ((?:[a-z]+ ?)+[^`#\n]*)")
	seen := 0
	for _, file := range []string{"README.md", "deploy/README.md", "deploy/pushgate.service"} {
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(file)))
		require.NoError(t, err)
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			typed := strings.NewReplacer("[", "", "]", "").Replace(m[1])
			for _, one := range alternatives(typed) {
				seen++
				var stderr bytes.Buffer
				code := Run(ctx, Env{Args: strings.Fields(one), Stdin: strings.NewReader(""), Stdout: t.Output(), Stderr: &stderr})
				if one == typed {
					require.Equalf(t, 1, code, "%s: pushgate %s: %s", file, one, stderr.String())
				} else {
					require.Containsf(t, stderr.String(), "pushgate "+one, "%s: pushgate %s", file, one)
				}
			}
		}
	}
	require.Greater(t, seen, 10)
}

// alternatives spells out "queue list|show" as "queue list" and "queue show".
func alternatives(typed string) []string {
	head, tail, more := strings.Cut(typed, "|")
	if !more {
		return []string{typed}
	}
	words := strings.Fields(head)
	var all []string
	for _, last := range append(words[len(words)-1:], strings.Split(strings.Fields(tail)[0], "|")...) {
		all = append(all, strings.Join(append(slices.Clone(words[:len(words)-1]), last), " "))
	}
	return all
}

// runningProcess answers the commands of the admin socket in the folder that it returns.
func runningProcess(t *testing.T, commands map[string]admin.Command) (dataDir string) {
	t.Helper()
	dataDir, err := os.MkdirTemp("", "cli") //nolint:usetesting // a socket's path is short, a test's folder is not
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dataDir) })
	s, err := admin.Listen(t.Context(), dataDir, commands, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return dataDir
}

// answer expects one input and gives one output.
func answer[In any](want In, out any) admin.Command {
	return func(_ context.Context, decode func(any) error) (any, error) {
		var in In
		if err := decode(&in); err != nil {
			return nil, err
		}
		if !reflect.DeepEqual(want, in) {
			return nil, &push.Error{Kind: push.Invalid, Msg: "another question was expected"}
		}
		return out, nil
	}
}

func TestAdminCommands_AskTheRunningProcess(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	rows := admin.Rows{Rows: []admin.Row{{ID: 7, App: "com.example.ios", Device: "d1", Attempts: 2, Accepted: at, Due: at, Deadline: at, InFlight: true, BadgeOnly: true, Trouble: "paused: InvalidProviderToken"}}}
	dead := admin.DeadList{Dead: []admin.Dead{{Seq: 3, App: "com.example.ios", Device: "d2", Since: at, Guarded: true}}}
	people := admin.Pushers{Pushers: []admin.Pusher{{App: "com.example.ios", Gateway: "gw.example.com", Created: at, Updated: at}}}
	dir := runningProcess(t, map[string]admin.Command{
		admin.CommandQueueList:      answer(admin.List{App: "a", After: 5, Limit: 2}, rows),
		admin.CommandQueueShow:      answer(admin.Choice{IDs: []int64{7, 8}}, rows),
		admin.CommandQueueRetry:     answer(admin.Choice{App: "a"}, admin.Done{Count: 4}),
		admin.CommandQueuePurge:     answer(admin.Choice{App: "a", IDs: []int64{7}}, admin.Done{Count: 1}),
		admin.CommandRejectedList:   answer(admin.List{Limit: 100}, dead),
		admin.CommandRejectedForget: answer(admin.Choice{Devices: []string{"d2"}}, admin.Done{Count: 1}),
		admin.CommandPusherList:     answer(admin.Person{User: "@ada:example.com"}, people),
		admin.CommandPusherDelete:   answer(admin.Person{User: "kvnr:X110400000", Device: "D"}, admin.Done{Count: 1}),
	})
	for args, want := range map[string]string{
		"queue list --app a --after 5 --limit 2":           "7   com.example.ios  d1      2         2026-11-21T10:00:00Z  2026-11-21T10:00:00Z  2026-11-21T10:00:00Z  in flight, badge only, app paused: InvalidProviderToken\n",
		"queue show 7 8":                                   "7   com.example.ios",
		"queue show 7 8 --json":                            `"in_flight": true`,
		"queue retry --all --app a":                        "4 due now\n",
		"queue purge 7 --app a":                            "1 deleted, their notifications are lost\n",
		"rejected list":                                    "3    com.example.ios  d2      2026-11-21T10:00:00Z  guarded\n",
		"rejected forget d2":                               "1 forgotten: their next notification asks the provider again\n",
		"pusher list --user @ada:example.com":              "com.example.ios  -        gw.example.com",
		"pusher delete --user kvnr:X110400000 --device D ": "1 removed, with channel choices and keys\n",
	} {
		code, stdout, stderr := run(t, append(strings.Fields(args), "--data-dir", dir)...)
		require.Zerof(t, code, "%s: %s", args, stderr)
		require.Contains(t, stdout, want, args)
	}
	code, _, stderr := run(t, "queue", "list", "--data-dir", dir)
	require.Equal(t, 1, code)
	require.Equal(t, "pushgate queue list: another question was expected\n", stderr)
}

func TestAdminCommands_SayWhereTheyAsked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, _, stderr := run(t, "queue", "list", "--data-dir", dir)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "no pushgate answers at "+filepath.Join(dir, admin.SocketName))
}
