package fixes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// corpusCase is one report and the answer that it must get. See testdata/corpus/README.md.
type corpusCase struct {
	ID     string // EXPECT/NAME, the same in every run
	Expect ID     // the first finding; "" where none may be given
	Also   []ID   // answers that the text leaves open; "" for none at all
	Basis  string // where the facts come from
	Text   string // the report in the form that the case asks for
	plain  string // the report before any form was put on
}

// notGPURelated is the file of the reports that must get no finding at all.
const notGPURelated = "not-gpu-related"

// readCorpus reads all cases of one part: dev, which authors of symptoms look at, or held, which is only
// scored.
func readCorpus(tb testing.TB, part string) []corpusCase {
	tb.Helper()
	return readCases(tb, filepath.Join("testdata", "corpus", part))
}

// readCases reads all cases of one folder.
func readCases(tb testing.TB, folder string) []corpusCase {
	tb.Helper()
	var all []corpusCase
	files, err := fs.Glob(os.DirFS(folder), "*.cases")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no files of cases in %s: %v", folder, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			tb.Fatal(err)
		}
		cases, err := parseCases(strings.TrimSuffix(name, ".cases"), string(text))
		if err != nil {
			tb.Fatalf("%s: %v", filepath.Join(folder, name), err)
		}
		all = append(all, cases...)
	}
	return all
}

// parseCases reads the cases of one file: a line "@@ NAME", headers, an empty line, the report.
func parseCases(id, text string) ([]corpusCase, error) {
	var cases []corpusCase
	for i, block := range strings.Split("\n"+text, "\n@@ ") {
		if i == 0 {
			if strings.TrimSpace(block) != "" {
				return nil, fmt.Errorf("text before the first case: %q", block)
			}
			continue
		}
		head, report, found := strings.Cut(block, "\n\n")
		if !found {
			return nil, fmt.Errorf("case %q has no empty line between its headers and its text", head)
		}
		name, headers, _ := strings.Cut(head, "\n")
		c := corpusCase{ID: id + "/" + strings.TrimSpace(name), Expect: ID(id)}
		if id == notGPURelated {
			c.Expect = ""
		}
		var forms []string
		for line := range strings.Lines(headers) {
			key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
			switch {
			case ok && key == "basis":
				c.Basis = value
			case ok && key == "also":
				for _, other := range strings.Split(value, ",") {
					other = strings.TrimSpace(other)
					if other == "none" {
						other = ""
					}
					c.Also = append(c.Also, ID(other))
				}
			case ok && key == "form":
				forms = strings.Split(value, ",")
			default:
				return nil, fmt.Errorf("case %s: not a header: %q", c.ID, line)
			}
		}
		c.plain = strings.TrimRight(report, "\n") + "\n"
		c.Text = c.plain
		for _, form := range forms {
			put, ok := corpusForms[strings.TrimSpace(form)]
			if !ok {
				return nil, fmt.Errorf("case %s: no form %q", c.ID, form)
			}
			c.Text = put(c.Text)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// corpusForms are the ways in which users paste what a program wrote.
var corpusForms = map[string]func(string) string{
	"wrap80":  func(text string) string { return hardWrap(text, 80) },
	"wrap120": func(text string) string { return hardWrap(text, 120) },
	"crlf":    func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") },
	"quote":   func(text string) string { return eachLine(text, "> ", "") },
	"ansi":    func(text string) string { return eachLine(text, "\x1b[1m\x1b[31m", "\x1b[0m") },
	"escapes": strings.NewReplacer(`\e`, "\x1b", `\r`, "\r", `\0`, "\x00").Replace,
	"compose": func(text string) string { return eachLine(text, "worker-1     | ", "") },
	"swarm":   func(text string) string { return eachLine(text, "stack_worker.1.x2b9qk@node7    | ", "") },
	"journald": func(text string) string {
		return eachLine(text, "Nov 25 10:41:07 hektor dockerd[1187]: ", "")
	},
	"kubectl": func(text string) string {
		return eachLine(text, "2025-11-25T10:41:07.318845126Z stderr F ", "")
	},
	"docker-logs": func(text string) string { return eachLine(text, "2025-11-25T10:41:07.318845126Z ", "") },
	"json": func(text string) string {
		return jsonLines(text, func(line string) any {
			return map[string]string{"log": line + "\n", "stream": "stderr", "time": "2025-11-25T10:41:07.318845126Z"}
		})
	},
	"jsonlog": func(text string) string {
		return jsonLines(text, func(line string) any {
			return map[string]any{"level": "error", "ts": 1764067267.31, "caller": "runner/exec.go:118", "msg": line}
		})
	},
	"progress": func(text string) string {
		return "Pulling layers:   3%\rPulling layers:  41%\rPulling layers:  97%\rPulling layers: 100%\n" + text
	},
	"utf16": func(text string) string {
		out := []byte{0xff, 0xfe}
		for _, unit := range utf16.Encode([]rune(text)) {
			out = append(out, byte(unit), byte(unit>>8))
		}
		return string(out)
	},
	"among":       func(text string) string { return otherServicesBefore + text + otherServicesAfter },
	"among-units": func(text string) string { return otherUnitsBefore + text + otherUnitsAfter },
	"among-lines": func(text string) string { return otherLinesBefore + text + otherLinesAfter },
}

func eachLine(text, before, after string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(before + strings.TrimSuffix(line, "\n") + after + "\n")
	}
	return b.String()
}

// hardWrap breaks lines as a terminal or a form field does: at the column, in the middle of words.
func hardWrap(text string, columns int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		runes := []rune(strings.TrimSuffix(line, "\n"))
		for len(runes) > columns {
			b.WriteString(string(runes[:columns]) + "\n")
			runes = runes[columns:]
		}
		b.WriteString(string(runes) + "\n")
	}
	return b.String()
}

func jsonLines(text string, object func(line string) any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for line := range strings.Lines(text) {
		if err := e.Encode(object(strings.TrimSuffix(line, "\n"))); err != nil {
			panic(err)
		}
	}
	return b.String()
}

// otherServicesBefore and otherServicesAfter are what stands around a message in the log of a whole
// machine or project. None of it has to do with a GPU.
const (
	otherServicesBefore = `gateway-1    | 10.0.4.12 - - [25/Nov/2025:10:40:58 +0000] "GET /healthz HTTP/1.1" 200 2 "-" "kube-probe/1.31"
db-1         | 2025-11-25 10:40:59.120 UTC [27] LOG:  checkpoint starting: time
cache-1      | 1:M 25 Nov 2025 10:40:59.803 * 100 changes in 300 seconds. Saving...
cache-1      | 1:M 25 Nov 2025 10:40:59.804 * Background saving started by pid 41
mail-1       | postfix/smtpd[331]: warning: hostname host-7.example.net does not resolve to address 203.0.113.7
gateway-1    | 2025/11/25 10:41:00 [error] 29#29: *5521 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.4.1, upstream: "http://172.20.0.9:8000/v1/models"
db-1         | 2025-11-25 10:41:02.772 UTC [27] LOG:  checkpoint complete: wrote 41 buffers (0.3%); 0 WAL file(s) added, 0 removed
queue-1      | 2025-11-25 10:41:03.001 [info] <0.812.0> accepting AMQP connection 172.20.0.5:51544 -> 172.20.0.6:5672
`
	otherServicesAfter = `queue-1      | 2025-11-25 10:41:09.440 [warning] <0.812.0> closing AMQP connection <0.812.0> (172.20.0.5:51544 -> 172.20.0.6:5672): client unexpectedly closed TCP connection
gateway-1    | 10.0.4.12 - - [25/Nov/2025:10:41:13 +0000] "GET /healthz HTTP/1.1" 200 2 "-" "kube-probe/1.31"
db-1         | 2025-11-25 10:41:14.018 UTC [91] ERROR:  duplicate key value violates unique constraint "jobs_pkey"
db-1         | 2025-11-25 10:41:14.018 UTC [91] DETAIL:  Key (id)=(5512) already exists.
cache-1      | 1:M 25 Nov 2025 10:41:15.101 * Background saving terminated with success
`
)

// corpusParts are the two halves: authors of symptoms look at dev and never at held.
var corpusParts = []string{"dev", "held"}

func TestCorpusIsWellFormed(t *testing.T) {
	count, inPart := map[ID]int{}, map[string]string{}
	negative := 0
	for _, part := range corpusParts {
		names := map[string]bool{}
		for _, c := range readCorpus(t, part) {
			if names[c.ID] {
				t.Errorf("%s: two cases are called %s", part, c.ID)
			}
			names[c.ID] = true
			if c.Basis == "" {
				t.Errorf("%s: %s does not say where its facts come from", part, c.ID)
			}
			if slices.Contains(c.Also, c.Expect) {
				t.Errorf("%s: %s names its own answer among the others", part, c.ID)
			}
			// One thread must not be on both sides, or the held part would not be unseen.
			for thread := range strings.FieldsSeq(c.Basis) {
				thread = strings.TrimRight(thread, ";,()")
				if !strings.Contains(thread, "#") {
					continue
				}
				if other, ok := inPart[thread]; ok && other != part {
					t.Errorf("%s: %s rests on %s, which %s uses too", part, c.ID, thread, other)
				}
				inPart[thread] = part
			}
			count[c.Expect]++
			if c.Expect == "" || c.Expect == "healthy" {
				negative++
			}
		}
	}
	for id, n := range count {
		if n < 4 {
			t.Errorf("%s has %d cases, want at least 4", id, n)
		}
	}
	if total := len(inPart); total < 100 {
		t.Errorf("only %d threads", total)
	}
	if negative < 90 {
		t.Errorf("%d cases without a fault, want at least 90", negative)
	}
}

// The same of a machine's journal, and of a program's own output.
const (
	otherUnitsBefore = `Nov 25 10:40:41 hektor systemd[1]: Starting apt-daily.service - Daily apt download activities...
Nov 25 10:40:43 hektor sshd[20117]: Accepted publickey for deploy from 10.0.4.12 port 51822 ssh2: ED25519 SHA256:3vJ0m
Nov 25 10:40:43 hektor systemd-logind[901]: New session 411 of user deploy.
Nov 25 10:40:52 hektor systemd[1]: apt-daily.service: Deactivated successfully.
Nov 25 10:40:58 hektor NetworkManager[877]: <warn>  [1764067258.0911] dhcp4 (eno2): request timed out
Nov 25 10:41:01 hektor CRON[20161]: (root) CMD (/usr/local/bin/backup.sh >/dev/null 2>&1)
Nov 25 10:41:03 hektor postfix/smtp[20170]: 4F2A: to=<ops@example.net>, relay=none, delay=30, status=deferred (connect to mx.example.net[203.0.113.25]:25: Connection timed out)
`
	otherUnitsAfter = `Nov 25 10:41:12 hektor smartd[915]: Device: /dev/sda [SAT], SMART Usage Attribute: 190 Airflow_Temperature_Cel changed from 71 to 70
Nov 25 10:41:15 hektor snapd[933]: storehelpers.go:916: cannot refresh: snap has no updates available
Nov 25 10:41:20 hektor kernel: [UFW BLOCK] IN=eno1 OUT= MAC=3c:ec:ef SRC=198.51.100.7 DST=10.0.4.2 LEN=40 PROTO=TCP SPT=43211 DPT=23
Nov 25 10:41:22 hektor systemd[1]: backup.service: Main process exited, code=exited, status=1/FAILURE
Nov 25 10:41:22 hektor systemd[1]: backup.service: Failed with result 'exit-code'.
`
	otherLinesBefore = `INFO:     10.0.4.12:51544 - "GET /healthz HTTP/1.1" 200 OK
[2025-11-25 10:40:59 +0000] [31] [INFO] Booting worker with pid: 31
2025-11-25 10:41:00,114 WARNING urllib3.connectionpool Retrying (Retry(total=2)) after connection broken by 'ReadTimeoutError'
npm warn deprecated glob@7.2.3: Glob versions prior to v9 are no longer supported
  File "/usr/lib/python3.11/site-packages/requests/adapters.py", line 507, in send
    raise ReadTimeout(e, request=request)
requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='api.example.net', port=443): Read timed out. (read timeout=10)
`
	otherLinesAfter = `2025-11-25 10:41:09,440 INFO scheduler job "nightly" missed by 0:00:03
[2025-11-25 10:41:13 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:31)
Step 7/12 : RUN pip install --no-cache-dir -r requirements.txt
 ---> Using cache
ERROR: pip's dependency resolver does not currently take into account all the packages that are installed.
`
)
