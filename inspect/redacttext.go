package inspect

import (
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// What running text (errors, log lines) is searched for. RE2 has no look-around: where a match must not
// touch its neighbours, the pattern takes them in groups.
var (
	homeFolder  = lazily(`(?:/home/|/Users/|/var/home/|[A-Za-z]:\\+Users\\+)([^/\\\s:"',;()<>]+)`)
	privateKey  = lazily(`(?s)-----BEGIN [A-Z ]*(?:PRIVATE KEY|CERTIFICATE)[A-Z ]*-----.*?(?:-----END [A-Z ]*-----|$)`)
	urlUser     = lazily(`\b([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s/@"']+)@`)
	urlQuery    = lazily(`(\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s?"']+)\?[^\s"']+`)
	webAddress  = lazily(`\b(https?://)([A-Za-z0-9.-]+)(:\d+)?(/[^\s"'?#)\]]*)?`)
	knownPages  = lazily(`^/(?:NVIDIA|moby|docker|opencontainers|containerd|kubernetes|cncf-tags|compose-spec|devcontainers|docker-gpu)/[A-Za-z0-9/_.#-]{1,120}$`)
	email       = lazily(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)
	userAtHost  = lazily(`\b([A-Za-z_][A-Za-z0-9._-]*)@([A-Za-z0-9][A-Za-z0-9.-]*)`)
	tokenPrefix = lazily(`\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk-|pk-|rk_|AKIA|ASIA|AIza|hf_|npm_|dckr_(?:pat|oat)_|nvapi-|pypi-|ya29\.|dop_v1_|SG\.|shpat_|eyJ[A-Za-z0-9_-]{8,}\.)[A-Za-z0-9_.=+/-]{8,}`)
	scheme      = lazily(`(?i)\b(bearer|basic|digest)(\s+)([A-Za-z0-9._~+/=-]{8,})`)
	secretValue = lazily(`(?i)([a-z0-9_.-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|cookie|authorization))(["']?\s*[:=]\s*|\s+)("[^"]*"|'[^']*'|[^\s"',;&]+)`)
	environment = lazily(`\b([A-Z][A-Z0-9_]{1,63})(=)("[^"]*"|'[^']*'|[^\s"',;\]]+)`)
	commandArg  = lazily(`\b(comm|exe|cmd|cmdline|name|task|profile|proctitle|command|task_memcg|oom_memcg|hostname)(=)("[^"]*"|'[^']*'|[^\s,;]+)`)
	serial      = lazily(`(?i)\b(serial(?: number| no\.?)?)(\s*[:=]\s*)([a-z0-9][a-z0-9-]{4,})`)
	killed      = lazily(`(Killed process \d+ \()([^)]*)(\))`)
	hexID       = lazily(`\b[0-9a-f]{64}\b`)
	hexToken    = lazily(`\b[0-9a-fA-F]{32,}\b`)
	uuidText    = lazily(`(?i)(?:\b(GPU|MIG|MIG-GPU)-)?\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	longRun     = lazily(`[A-Za-z0-9+/]{40,}={0,2}|[A-Za-z0-9]{20,}`)
	macAddress  = lazily(`\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b|\b[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}\b|\b[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\b`)
	addressV4   = lazily(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`)
	addressV6   = lazily(`[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,8}(?:\d{0,3}(?:\.\d{1,3}){3})?(?:%[A-Za-z0-9_.-]+)?`)
	domainName  = lazily(`(?i)\b(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:com|org|net|edu|gov|mil|int|io|dev|ai|app|cloud|info|biz|eu|de|fr|nl|uk|ch|at|it|es|pl|se|no|fi|dk|be|cz|ru|cn|jp|kr|in|br|ca|us|au|local|localdomain|lan|internal|intranet|intern|corp|private|home|example|test|invalid|arpa|cluster)\b`)
	filePath    = lazily(`(^|[\s"'=:(\[{,<>])((?:~[A-Za-z0-9_.-]*|[A-Za-z]:)?[/\\][^\s"',;:()\[\]{}<>=*]+)`)
)

// publicDomains are names of vendors and registries, which say nothing of who uses them.
var publicDomains = lazily(`(?i)(?:^|\.)(?:nvidia\.com|nvcr\.io|docker\.(?:com|io)|github\.(?:com|io)|githubusercontent\.com|ghcr\.io|quay\.io|gcr\.io|k8s\.io|kubernetes\.io|pytorch\.org|tensorflow\.org|debian\.org|ubuntu\.com|fedoraproject\.org|opensuse\.org|redhat\.com|microsoft\.com|python\.org|pypi\.org|kernel\.org|freedesktop\.org|opencontainers\.org|cncf\.io|mcr\.microsoft\.com|huggingface\.co)$`)

// lazyPattern is a regular expression that is compiled when it is first used: of the hundreds here most
// commands need none, and all of them together would cost every start of the program milliseconds.
type lazyPattern struct {
	get func() *regexp.Regexp
}

func lazily(text string) *lazyPattern {
	return &lazyPattern{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

func (p *lazyPattern) MatchString(s string) bool            { return p.get().MatchString(s) }
func (p *lazyPattern) FindStringSubmatch(s string) []string { return p.get().FindStringSubmatch(s) }
func (p *lazyPattern) FindStringIndex(s string) []int       { return p.get().FindStringIndex(s) }
func (p *lazyPattern) FindAllStringSubmatch(s string, n int) [][]string {
	return p.get().FindAllStringSubmatch(s, n)
}
func (p *lazyPattern) ReplaceAllString(s, with string) string {
	return p.get().ReplaceAllString(s, with)
}
func (p *lazyPattern) ReplaceAllStringFunc(s string, f func(string) string) string {
	return p.get().ReplaceAllStringFunc(s, f)
}

// Marks around a stand-in while a text is worked on, so that no later pattern reads it. They are private
// characters, taken out of the text before.
const (
	markOpen  = '\ue0f0'
	markClose = '\ue0f1'
)

// Text redacts running text: an error, a line of a log.
func (r *Redactor) Text(text string) string {
	text = strings.Map(func(c rune) rune {
		if c == markOpen || c == markClose {
			return -1
		}
		return c
	}, text)
	stand := func(kind, name string) string {
		s := r.stand(kind, strings.Trim(name, `"'`))
		return string(markOpen) + s + string(markClose)
	}
	whole := func(kind string, pattern *lazyPattern) {
		text = outside(text, func(part string) string {
			return pattern.ReplaceAllStringFunc(part, func(m string) string { return stand(kind, m) })
		})
	}
	groups := func(pattern *lazyPattern, replace func(m []string) string) {
		text = outside(text, func(part string) string {
			return pattern.ReplaceAllStringFunc(part, func(m string) string { return replace(pattern.FindStringSubmatch(m)) })
		})
	}
	whole("key", privateKey)
	groups(urlUser, func(m []string) string {
		user, _, _ := strings.Cut(m[2], ":")
		return m[1] + stand("user", user) + "@"
	})
	groups(urlQuery, func(m []string) string { return m[1] + "?" + stand("value", "query of "+m[0]) })
	groups(webAddress, func(m []string) string {
		switch path := strings.TrimRight(m[4], ".,"); {
		case !publicDomains.MatchString(m[2]):
			return m[0]
		case path == "" || !strings.HasPrefix(m[2], "github") && !strings.Contains(m[2], "huggingface") || knownPages.MatchString(path):
			return string(markOpen) + m[0] + string(markClose) // a page of a vendor
		default:
			return string(markOpen) + m[1] + m[2] + r.path(path) + string(markClose) + m[4][len(path):]
		}
	})
	whole("email", email)
	whole("token", tokenPrefix)
	groups(scheme, func(m []string) string { return m[1] + m[2] + stand("token", m[3]) })
	groups(environment, func(m []string) string {
		if keepVariable(m[1]) {
			return m[0]
		}
		return m[1] + m[2] + stand("value", m[3])
	})
	groups(secretValue, func(m []string) string {
		// "token expired" and "cookie file" are sentences; a secret behind a blank has a digit or a sign.
		if strings.TrimSpace(m[2]) == "" && (!strings.HasPrefix(m[0], "-") || !strings.ContainsAny(m[3], "0123456789!$%^&*+")) {
			if !looksSecret(m[3]) {
				return m[0]
			}
		}
		return m[1] + m[2] + stand("token", m[3])
	})
	groups(commandArg, func(m []string) string {
		value := strings.Trim(m[3], `"'`)
		if m[1] == "profile" || value == "<unknown>" || keptWord(value) {
			return m[0]
		}
		if strings.ContainsAny(value, `/\`) {
			return m[1] + m[2] + string(markOpen) + r.path(value) + string(markClose)
		}
		return m[1] + m[2] + stand("process", value)
	})
	groups(serial, func(m []string) string { return m[1] + m[2] + stand("serial", m[3]) })
	groups(killed, func(m []string) string {
		if keptWord(m[2]) {
			return m[0]
		}
		return m[1] + stand("process", m[2]) + m[3]
	})
	groups(uuidText, func(m []string) string {
		if m[1] != "" {
			return string(markOpen) + m[0] + string(markClose) // a GPU's, not a person's
		}
		return stand("uuid", m[0])
	})
	groups(userAtHost, func(m []string) string { return stand("user", m[1]) + "@" + stand("host", m[2]) })
	groups(filePath, func(m []string) string {
		bare := strings.TrimRight(m[2], ".!?") // the sentence's, not the file's
		return m[1] + string(markOpen) + r.path(bare) + string(markClose) + m[2][len(bare):]
	})
	whole("id", hexID)
	whole("mac", macAddress)
	whole("token", hexToken)
	groups(longRun, func(m []string) string {
		if !looksSecret(m[0]) {
			return m[0]
		}
		return stand("token", m[0])
	})
	for _, pattern := range []*lazyPattern{addressV6, addressV4} {
		groups(pattern, func(m []string) string {
			bare, _, _ := strings.Cut(strings.Trim(m[0], "[]"), "%")
			addr, err := netip.ParseAddr(bare)
			if err != nil || addr.IsLoopback() || addr.IsUnspecified() {
				return m[0]
			}
			return stand("address", m[0])
		})
	}
	groups(domainName, func(m []string) string {
		if publicDomains.MatchString(m[0]) {
			return string(markOpen) + m[0] + string(markClose)
		}
		return stand("host", m[0])
	})
	text = outside(text, func(part string) string { return r.names(part, stand) })
	return strings.Map(func(c rune) rune {
		if c == markOpen || c == markClose {
			return -1
		}
		return c
	}, text)
}

// outside applies change to the parts of text that are not marked.
func outside(text string, change func(string) string) string {
	if !strings.ContainsRune(text, markOpen) {
		return change(text)
	}
	var b strings.Builder
	for text != "" {
		open := strings.IndexRune(text, markOpen)
		if open < 0 {
			b.WriteString(change(text))
			break
		}
		end := strings.IndexRune(text[open:], markClose)
		if end < 0 {
			b.WriteString(change(text))
			break
		}
		end += open + len(string(markClose))
		if open > 0 {
			b.WriteString(change(text[:open]))
		}
		b.WriteString(text[open:end])
		text = text[end:]
	}
	return b.String()
}

// names replaces the names that were learnt, where they stand as words.
func (r *Redactor) names(text string, stand func(kind, name string) string) string {
	if len(r.known) == 0 {
		return text
	}
	lower := strings.ToLower(text)
	if len(lower) != len(text) {
		lower = text // a letter whose small form has another length: names are then looked for as written
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		matched := false
		if i == 0 || !wordByte(text[i-1]) {
			for _, k := range r.known {
				end := i + len(k.name)
				if strings.HasPrefix(lower[i:], k.name) && (end == len(text) || !wordByte(text[end])) {
					b.WriteString(stand(k.kind, text[i:end]))
					i, matched = end, true
					break
				}
			}
		}
		if !matched {
			b.WriteByte(text[i])
			i++
		}
	}
	return b.String()
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

// looksSecret tells a random run from a word: digits, capitals and small letters in one, or the signs of
// base64 among them. Mangled C++ names (_ZN…) are none.
func looksSecret(s string) bool {
	s = strings.Trim(s, `"'`)
	if strings.HasPrefix(s, "ZN") || strings.HasPrefix(s, "_Z") || len(s) < 6 {
		return false
	}
	var digit, upper, low bool
	for _, c := range s {
		digit, upper, low = digit || unicode.IsDigit(c), upper || unicode.IsUpper(c), low || unicode.IsLower(c)
	}
	return digit && upper && low || digit && (upper || low) && len(s) >= 8 && !strings.ContainsAny(s, ".:/-")
}

// keepVariable: the environment's values that say what was asked of NVIDIA's stack.
func keepVariable(name string) bool {
	for _, prefix := range []string{"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_REQUIRE", "NVIDIA_DISABLE_REQUIRE", "NVIDIA_MIG_", "CUDA_VISIBLE_DEVICES", "CUDA_VERSION", "DENIED"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// path redacts a path by its parts: those that every system has stay, the rest become stand-ins, so that
// two files of one folder still show as such.
func (r *Redactor) path(path string) string {
	separator := "/"
	if strings.Contains(path, `\`) && !strings.Contains(path, "/") {
		separator = `\`
	}
	parts := strings.Split(path, separator)
	for i, part := range parts {
		if part == "" || part == "." || part == ".." || part == "~" || len(part) == 2 && part[1] == ':' {
			continue
		}
		if i > 0 && (parts[i-1] == "home" || parts[i-1] == "Users") {
			parts[i] = r.stand("user", part)
			continue
		}
		if hexID.MatchString(part) {
			parts[i] = hexID.ReplaceAllStringFunc(part, func(m string) string { return r.stand("id", m) })
			continue
		}
		if strings.HasPrefix(part, "~") {
			parts[i] = "~" + r.stand("user", part[1:])
			continue
		}
		if r.learnt(part) || !systemPart.MatchString(part) && !keptWord(part) && !gpuPart.MatchString(part) {
			kind := "name"
			if i < len(parts)-1 {
				kind = "folder"
			}
			parts[i] = r.stand(kind, part)
		}
	}
	return strings.Join(parts, separator)
}

func (r *Redactor) learnt(name string) bool {
	name = strings.ToLower(name)
	for _, k := range r.known {
		if k.name == name {
			return true
		}
	}
	return false
}
