package plugin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

func TestParseCompose(t *testing.T) {
	for _, c := range []struct {
		args, global, rest string
		mode               fixes.ComposeMode
		files              inspect.ComposeArgs
	}{
		{"up -d", "", "up -d", "auto", inspect.ComposeArgs{}},
		{"--gpu off up --gpu on", "", "up --gpu on", "off", inspect.ComposeArgs{}},
		{"-f a.yml --gpu=on --file=b.yml -fc.yml up", "-f a.yml --file=b.yml -fc.yml", "up", "on", inspect.ComposeArgs{Files: []string{"a.yml", "b.yml", "c.yml"}}},
		{"-p x --profile gpu --project-directory /p --env-file e1 --env-file=e2 run -f web", "-p x --profile gpu --project-directory /p --env-file e1 --env-file=e2", "run -f web", "auto",
			inspect.ComposeArgs{Name: "x", Folder: "/p", EnvFiles: []string{"e1", "e2"}}},
		{"--compatibility --ansi never --dry-run config", "--compatibility --ansi never --dry-run", "config", "auto", inspect.ComposeArgs{}},
		{"", "", "", "auto", inspect.ComposeArgs{}},
	} {
		opts, help, err := parseCompose(strings.Fields(c.args))
		if err != nil || help {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		if got := strings.Join(opts.global, " "); got != c.global || strings.Join(opts.rest, " ") != c.rest || opts.mode != c.mode {
			t.Errorf("%q: %q %q %s", c.args, opts.global, opts.rest, opts.mode)
		}
		if diff := cmp.Diff(c.files, opts.files); diff != "" {
			t.Errorf("%q: %s", c.args, diff)
		}
	}
	for args, want := range map[string]string{"--gpu": "needs on, off or auto", "--gpu maybe up": "not \"maybe\""} {
		if _, _, err := parseCompose(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, help, _ := parseCompose([]string{"--help"}); !help {
		t.Error("--help is docker compose's")
	}
}
