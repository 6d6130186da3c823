//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() {
	commands["freeport"] = freePortCommand
	commands["scraped"] = scrapedCommand
	commands["dashboard"] = dashboardCommand
}

// freePortCommand: "freeport NAME" sets NAME to a TCP port that nothing listens on.
func freePortCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	ts.Check(l.Close())
}

func get(address string) (string, error) {
	client := http.Client{Timeout: 20 * time.Second}
	response, err := client.Get(address)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, data)
	}
	return string(data), err
}

// scrapedCommand: "[!] scraped URL TEXT... [> FILE]" asks until the answer has (or, with !, has not) all of the texts,
// for a minute at most.
func scrapedCommand(ts *testscript.TestScript, neg bool, args []string) {
	file := ""
	if n := len(args); n > 2 && args[n-2] == ">" {
		file, args = args[n-1], args[:n-2]
	}
	if len(args) < 2 {
		ts.Fatalf("usage: [!] scraped URL TEXT... [> FILE]")
	}
	last := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		text, err := get(args[0])
		if err != nil {
			last = err.Error()
			continue
		}
		last = text
		right := true
		for _, want := range args[1:] {
			right = right && strings.Contains(text, want) != neg
		}
		if right {
			if file != "" {
				ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
			}
			return
		}
	}
	ts.Fatalf("%s never had what was wanted; its last answer:\n%s", args[0], last)
}

// maybeEmpty are the dashboard's panels about what is not the case on a well machine that is in no swarm.
var maybeEmpty = map[string]bool{"Held and idle": true, "Swarm: GPUs offered, placed and free": true, "Swarm: tasks that wait for a GPU": true}

// dashboardCommand: "dashboard PROMETHEUS" asks Prometheus every query of the shipped dashboard. None may be refused,
// and all must come to give data within a minute: rates need a while.
func dashboardCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: dashboard PROMETHEUS")
	}
	data, err := os.ReadFile(filepath.Join("..", "examples", "monitoring", "dashboard.json"))
	ts.Check(err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	ts.Check(json.Unmarshal(data, &dashboard))
	if len(dashboard.Panels) < 10 {
		ts.Fatalf("%d panels", len(dashboard.Panels))
	}
	variables := strings.NewReplacer("$host", ".*", "$gpu", ".*", "$container", ".*")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			query := variables.Replace(target.Expr)
			var answer struct {
				Data struct {
					Result []struct{ Value [2]any }
				}
			}
			for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
				text, err := get(args[0] + "/api/v1/query?query=" + url.QueryEscape(query))
				if err != nil {
					ts.Fatalf("%s: %s: %v", panel.Title, query, err)
				}
				ts.Check(json.Unmarshal([]byte(text), &answer))
				if len(answer.Data.Result) > 0 || maybeEmpty[panel.Title] {
					break
				}
				if time.Now().After(end) {
					ts.Fatalf("%s: %s gives no data", panel.Title, query)
				}
			}
			first := any("-")
			if len(answer.Data.Result) > 0 {
				first = answer.Data.Result[0].Value[1]
			}
			ts.Logf("%-32s %3d series, first %v", panel.Title, len(answer.Data.Result), first)
		}
	}
}
