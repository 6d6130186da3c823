package inspect

import (
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// composeFiles keeps the parsed compose files of a use, to tell on which line a value stands. The values
// themselves are compose-go's; what cannot be found here has no line.
type composeFiles struct {
	nodes map[string]*yaml.Node
}

func (c *composeFiles) root(file string) *yaml.Node {
	if n, ok := c.nodes[file]; ok {
		return n
	}
	var doc yaml.Node
	var root *yaml.Node
	if data, err := readProjectFile(file); err == nil && yaml.Unmarshal(data, &doc) == nil && len(doc.Content) == 1 {
		root = doc.Content[0]
	}
	c.nodes[file] = root
	return root
}

// layer is one definition of a service; later ones of a list win.
type layer struct {
	file string
	node *yaml.Node
	env  []string // env files of the include that the file came by; nil: those of the project
}

// layers are all definitions of a service: files in order, includes and extends before what uses them.
func (c *composeFiles) layers(files []string, folder, service string) []layer {
	var found []layer
	for _, file := range files {
		found = append(found, c.fileLayers(file, folder, service, nil, 0)...)
	}
	return found
}

const mostDepth = 20 // of extends and include; compose refuses cycles itself

func (c *composeFiles) fileLayers(file, folder, service string, env []string, depth int) []layer {
	root := c.root(file)
	if root == nil || depth > mostDepth {
		return nil
	}
	var found []layer
	if list := member(root, "include"); list != nil && list.Kind == yaml.SequenceNode {
		for _, entry := range list.Content {
			paths, project, envFiles := includeOf(follow(entry), folder)
			for _, path := range paths {
				found = append(found, c.fileLayers(path, project, service, envFiles, depth+1)...)
			}
		}
	}
	node := member(member(root, "services"), service)
	if node == nil {
		return found
	}
	if extends := member(node, "extends"); extends != nil {
		other, from := "", file
		switch extends.Kind {
		case yaml.ScalarNode:
			other = extends.Value
		case yaml.MappingNode:
			if s := member(extends, "service"); s != nil {
				other = s.Value
			}
			if f := member(extends, "file"); f != nil {
				from = absolute(folder, f.Value)
			}
		}
		if other != "" && (other != service || from != file) {
			in := folder
			if from != file {
				in = filepath.Dir(from)
			}
			found = append(found, c.fileLayers(from, in, other, env, depth+1)...)
		}
	}
	return append(found, layer{file, node, env})
}

// includeOf is what an entry of include names: files, the folder they are relative to, and env files.
func includeOf(n *yaml.Node, folder string) (paths []string, project string, env []string) {
	if n == nil {
		return nil, "", nil
	}
	path := n
	var envNode *yaml.Node
	if n.Kind == yaml.MappingNode {
		path, envNode = member(n, "path"), member(n, "env_file")
		if d := member(n, "project_directory"); d != nil {
			project = absolute(folder, d.Value)
		}
	}
	for _, name := range scalars(path) {
		paths = append(paths, absolute(folder, name))
	}
	if project == "" && len(paths) > 0 {
		project = filepath.Dir(paths[0])
	}
	env = []string{}
	for _, name := range scalars(envNode) {
		env = append(env, absolute(folder, name))
	}
	if len(env) == 0 && project != "" {
		env = []string{filepath.Join(project, ".env")}
	}
	return paths, project, env
}

func scalars(n *yaml.Node) []string {
	var all []string
	switch n = follow(n); {
	case n == nil:
	case n.Kind == yaml.ScalarNode:
		all = append(all, n.Value)
	case n.Kind == yaml.SequenceNode:
		for _, entry := range n.Content {
			if entry = follow(entry); entry != nil && entry.Kind == yaml.ScalarNode {
				all = append(all, entry.Value)
			}
		}
	}
	return all
}

// follow is what an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode && i < mostDepth; i++ {
		n = n.Alias
	}
	return n
}

// member is a mapping's value, merge keys (<<) included.
func member(n *yaml.Node, key string) *yaml.Node { return memberAt(n, key, 0) }

func memberAt(n *yaml.Node, key string, depth int) *yaml.Node {
	n = follow(n)
	if n == nil || n.Kind != yaml.MappingNode || depth > mostDepth {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return follow(n.Content[i+1])
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" && n.Content[i].Value != "<<" {
			continue
		}
		merged := follow(n.Content[i+1])
		if merged != nil && merged.Kind == yaml.SequenceNode {
			for _, one := range merged.Content {
				if found := memberAt(one, key, depth+1); found != nil {
					return found
				}
			}
		} else if found := memberAt(merged, key, depth+1); found != nil {
			return found
		}
	}
	return nil
}

// envEntry is a variable of an `environment` section, in either form.
type envEntry struct {
	value string // as written, before interpolation
	bare  bool   // a name alone: the value is that of the environment
	line  int
}

func environmentEntry(service *yaml.Node, key string) (envEntry, bool) {
	n := member(service, "environment")
	if n == nil {
		return envEntry{}, false
	}
	switch n.Kind {
	case yaml.MappingNode:
		if value := member(n, key); value != nil && value.Kind == yaml.ScalarNode {
			return envEntry{value.Value, value.Tag == "!!null", value.Line}, true
		}
	case yaml.SequenceNode:
		for _, entry := range n.Content {
			entry = follow(entry)
			if entry == nil || entry.Kind != yaml.ScalarNode {
				continue
			}
			if name, value, valued := strings.Cut(entry.Value, "="); name == key {
				return envEntry{value, !valued, entry.Line}, true
			}
		}
	}
	return envEntry{}, false
}
