package fixes

import (
	"slices"
	"strings"
)

// HookedCommands are the docker commands after whose failure docker gpu is asked for the cause.
var HookedCommands = []string{"run", "start", "exec", "compose up"}

const pluginName = "gpu"

// InstallHooks lets the docker CLI ask docker gpu when one of HookedCommands fails: two keys of its
// config.json. Commands that somebody else put into the list stay.
func InstallHooks(config string) Plan {
	return Plan{Name: "hooks install", Steps: []Step{&FileStep{
		Description: Description{Text: "Let the docker CLI ask docker gpu when a command fails, in " + config},
		Path:        config,
		Mode:        0o600,
		Edit: func(old []byte) ([]byte, error) {
			list := hookList(old)
			for _, c := range HookedCommands {
				if !slices.Contains(list, c) {
					list = append(list, c)
				}
			}
			return EditJSON(config, old,
				JSONChange{[]string{"plugins", pluginName, "error-hooks"}, strings.Join(list, ",")},
				JSONChange{[]string{"features", "hooks"}, "true"})
		},
	}}}
}

// UninstallHooks takes those keys away again, and the CLI's switch for hooks with them where no other
// plugin has a hook. Where nothing but docker gpu changed the file, `fix --undo` gives it back byte for byte.
func UninstallHooks(config string) Plan {
	return Plan{Name: "hooks uninstall", Steps: []Step{&FileStep{
		Description: Description{Text: "Let the docker CLI no longer ask docker gpu, in " + config},
		Path:        config,
		Mode:        0o600,
		Edit: func(old []byte) ([]byte, error) {
			if old == nil || len(hookList(old)) == 0 {
				return old, strictOrBlank(config, old)
			}
			rest := slices.DeleteFunc(hookList(old), func(c string) bool { return slices.Contains(HookedCommands, c) })
			change := JSONChange{Path: []string{"plugins", pluginName, "error-hooks"}}
			if len(rest) > 0 {
				change.Value = strings.Join(rest, ",")
			}
			text, err := EditJSON(config, old, change)
			if err != nil {
				return nil, err
			}
			for _, path := range [][]string{{"plugins", pluginName}, {"plugins"}} {
				if m, ok := readJSON(text, path...).(map[string]any); ok && len(m) == 0 {
					if text, err = EditJSON(config, text, JSONChange{Path: path}); err != nil {
						return nil, err
					}
				}
			}
			if otherHooks(text) {
				return text, nil
			}
			if text, err = EditJSON(config, text, JSONChange{Path: []string{"features", "hooks"}}); err != nil {
				return nil, err
			}
			if m, ok := readJSON(text, "features").(map[string]any); ok && len(m) == 0 {
				text, err = EditJSON(config, text, JSONChange{Path: []string{"features"}})
			}
			return text, err
		},
	}}}
}

// HookState is what a config.json says of docker gpu's hooks.
type HookState struct {
	Installed bool     `json:"installed"`
	Commands  []string `json:"commands"`
	Enabled   bool     `json:"enabled"` // the CLI's own switch for all hooks
}

// ReadHooks reads the state from the text of a config.json.
func ReadHooks(config string, data []byte) (HookState, error) {
	if err := strictOrBlank(config, data); err != nil {
		return HookState{}, err
	}
	s := HookState{Commands: hookList(data), Enabled: readJSON(data, "features", "hooks") == "true"}
	s.Installed = s.Enabled && !slices.ContainsFunc(HookedCommands, func(c string) bool { return !slices.Contains(s.Commands, c) })
	return s, nil
}

func strictOrBlank(name string, data []byte) error {
	_, err := EditJSON(name, data, JSONChange{Path: []string{"docker gpu looks only"}})
	return err
}

func hookList(data []byte) []string {
	list := []string{}
	text, _ := readJSON(data, "plugins", pluginName, "error-hooks").(string)
	for c := range strings.SplitSeq(text, ",") {
		if c = strings.TrimSpace(c); c != "" {
			list = append(list, c)
		}
	}
	return list
}

func otherHooks(data []byte) bool {
	plugins, _ := readJSON(data, "plugins").(map[string]any)
	for _, p := range plugins {
		settings, _ := p.(map[string]any)
		if settings["hooks"] != nil || settings["error-hooks"] != nil {
			return true
		}
	}
	return false
}
