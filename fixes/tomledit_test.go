package fixes

import (
	"strings"
	"testing"
)

// toolkitTOML is how the toolkit's package ships its configuration.
const toolkitTOML = `#accept-nvidia-visible-devices-as-volume-mounts = false
disable-require = false
supported-driver-capabilities = "compat32,compute,display,graphics,ngx,utility,video"

[nvidia-container-cli]
environment = []
#no-cgroups = false
ldconfig = "@/sbin/ldconfig.real" # Debian's
load-kmods = true

[nvidia-container-runtime]
mode = "auto"
`

func TestEditTOML(t *testing.T) {
	for _, c := range []struct {
		name, in, table, key string
		value                any
		old, new             string // what is replaced in the text; "" and new: appended
	}{
		{"a commented default", toolkitTOML, "nvidia-container-cli", "no-cgroups", true, "#no-cgroups = false\n", "#no-cgroups = false\nno-cgroups = true\n"},
		{"a value with a comment", toolkitTOML, "nvidia-container-cli", "ldconfig", "@/sbin/ldconfig", `ldconfig = "@/sbin/ldconfig.real" # Debian's`, `ldconfig = "@/sbin/ldconfig" # Debian's`},
		{"a key of the top", toolkitTOML, "", "disable-require", true, "disable-require = false", "disable-require = true"},
		{"a new key", toolkitTOML, "nvidia-container-runtime", "debug", "/x", "mode = \"auto\"\n", "mode = \"auto\"\ndebug = \"/x\"\n"},
		{"a new table", toolkitTOML, "nvidia-ctk", "path", "x", "", "\n[nvidia-ctk]\npath = \"x\"\n"},
		{"nothing to do", toolkitTOML, "nvidia-container-cli", "load-kmods", true, "", ""},
		{"carriage returns", "[a]\r\nb = 1 # why\r\n", "a", "b", 2, "b = 1 #", "b = 2 #"},
		{"no final newline", "[a]\nb = 1", "a", "c", true, "b = 1", "b = 1\nc = true"},
		{"an empty file", "", "a", "b", true, "", "[a]\nb = true\n"},
		{"a text that double quotes do not hold", "[a]\nb = 1\n", "a", "b", `c:\d`, "b = 1\n", "b = 'c:\\d'\n"},
		{"taken out", toolkitTOML, "", "disable-require", nil, "disable-require = false\n", ""},
		{"taken out at the end", "[a]\nb = 1\nc = 2", "a", "c", nil, "\nc = 2", ""},
		{"nothing to take out", toolkitTOML, "", "swarm-resource", nil, "", ""},
	} {
		want := c.in + c.new
		if c.old != "" {
			want = strings.Replace(c.in, c.old, c.new, 1)
		}
		got, err := EditTOML("config.toml", []byte(c.in), c.table, c.key, c.value)
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s", c.name, err, Diff("config.toml", []byte(want), got))
			continue
		}
		if again, err := EditTOML("config.toml", got, c.table, c.key, c.value); err != nil || string(again) != string(got) {
			t.Errorf("%s: a second time changes, %v", c.name, err)
		}
	}
}

func TestEditTOMLRefuses(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"no TOML", "[nvidia-container-cli\n", "line 1"},
		{"inline table", "nvidia-container-cli = { ldconfig = \"x\" }\n", "cannot be edited safely"},
		{"dotted key", "nvidia-container-cli.no-cgroups = false\n", "cannot be edited safely"},
		{"a string over lines", "[nvidia-container-cli]\nldconfig = \"\"\"\nno-cgroups = false\n\"\"\"\n", "cannot be edited safely"},
	} {
		if _, err := EditTOML("config.toml", []byte(c.in), "nvidia-container-cli", "no-cgroups", true); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := EditTOML("config.toml", []byte("a.b = 1\n"), "a", "b", nil); err == nil || !strings.Contains(err.Error(), "by hand") {
		t.Errorf("taking out of a dotted key: %v", err)
	}
}

func FuzzEditTOML(f *testing.F) {
	f.Add([]byte(toolkitTOML))
	f.Add([]byte("[nvidia-container-cli]\nno-cgroups=false"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := EditTOML("f", data, "nvidia-container-cli", "no-cgroups", true)
		if err != nil {
			return
		}
		v, err := parseTOML("f", got)
		if err != nil || lookupTOML(v, "nvidia-container-cli")["no-cgroups"] != true {
			t.Errorf("%q became %q: %v", data, got, err)
		}
	})
}
