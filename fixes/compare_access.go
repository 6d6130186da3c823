package fixes

import (
	"slices"
	"strings"
)

var (
	deviceNode  = lazy(`^c([rwx-]{9}) \d+ (\S+) (\S+) .*?(/?[\w/]*(?:nvidia\d+|nvidiactl|nvidia-uvm|renderD\d+|card\d+))\b`)
	octalNode   = lazy(`^\d?[67]\d(\d) (\S+) (\S+) /dev/nvidia(?:\d+|ctl|-uvm)$`)
	socketNode  = lazy(`^s([rwx-]{9})[.]?(?: \d+)? (\S+) (\S+).*?(docker\.sock)?$`)
	idLine      = lazy(`\buid=(\d+)(?:\(([\w.-]+)\))? gid=(\d+)(?:\(([\w.-]+)\))?(?: groups=(\S+))?`)
	groupsAsked = lazy(`(?:^|[ ;&])(?:groups|id -n?G|id -Gn)\b`)
	whoAsked    = lazy(`(?:^|[ ;&])(?:whoami|id -un|id -u -n)\b`)
	wordsOnly   = lazy(`^(?:[\w.-]+ ?: ?)?([a-zA-Z_][\w.-]*(?: [a-zA-Z_][\w.-]*){0,20})$`)
	nameInside  = lazy(`([\w.-]+)`)
	dockerGroup = lazy(`^docker:x?:\d*:(\S*)$`)
	aclFile     = lazy(`^# file: ?(dev/(?:nvidia|dri)\S*)$`)
	aclGroup    = lazy(`^# group: ?(\S+)$`)
	aclOthers   = lazy(`^other::---$`)
	fileMode    = lazy(`^DeviceFileMode: ?(\d+)$`)
	fileGroup   = lazy(`^DeviceFileGID: ?(\d+)$`)
)

// member is who a session says that somebody is.
type member struct {
	line    int
	name    string
	uid     string
	groups  []string // names and numbers
	unknown bool     // of groups
}

func (u member) isRoot() bool { return u.uid == "0" || u.name == "root" }

func (u member) in(group string) bool {
	if slices.Contains(u.groups, group) {
		return true
	}
	return group == "44" && slices.Contains(u.groups, "video") || group == "video" && slices.Contains(u.groups, "44")
}

// users are those of id, groups and whoami.
func (s *session) users() []member {
	var all []member
	for i, text := range s.lines {
		m := idLine().FindStringSubmatch(text)
		if m == nil {
			continue
		}
		u := member{line: i, uid: m[1], name: m[2], groups: []string{m[3]}}
		if m[4] != "" {
			u.groups = append(u.groups, m[4])
		}
		u.groups = append(u.groups, nameInside().FindAllString(m[5], -1)...)
		all = append(all, u)
	}
	if len(all) > 0 {
		return all
	}
	who, named := firstOf(s.printed(whoAsked(), wordsOnly()))
	if groups, ok := firstOf(s.printed(groupsAsked(), wordsOnly())); ok {
		return []member{{line: groups.line, name: who.text, groups: strings.Fields(groups.text)}}
	}
	if named && !strings.Contains(who.text, " ") {
		return []member{{line: who.line, name: who.text, unknown: true}}
	}
	return nil
}

// compareOwners: a device or the engine's socket, and a user who is in none of the groups that may open it.
func (s *session) compareOwners() {
	users := s.users()
	if len(users) != 1 || users[0].isRoot() {
		return
	}
	u := users[0]
	shut, open := -1, false
	for i, text := range s.lines {
		if m := octalNode().FindStringSubmatch(text); m != nil && m[1] != "6" && m[1] != "7" && m[2] != u.name && !(u.unknown || u.in(m[3])) {
			shut = i
		}
	}
	for i, text := range s.lines {
		if m := deviceNode().FindStringSubmatch(text); m != nil {
			switch {
			case m[1][6:8] == "rw" || m[2] == u.name || u.in(m[3]) && m[1][3:5] == "rw":
				open = open || strings.Contains(m[4], "dri") || strings.Contains(m[4], "render") || strings.Contains(m[4], "card")
			case u.unknown && m[1][3:5] == "rw":
			case shut < 0:
				shut = i
			}
		}
	}
	if shut >= 0 && !open {
		s.tell("device-permission-denied", 58, shut, u.line)
		return
	}
	if file, ok := firstOf(s.facts(aclFile())); ok && s.has(aclOthers()) >= 0 {
		if group, ok := firstOf(s.facts(aclGroup())); ok && !u.unknown && !u.in(group.text) {
			s.tell("device-permission-denied", 58, file.line, u.line)
			return
		}
	}
	if mode, ok := firstOf(s.facts(fileMode())); ok && !u.unknown {
		if group, ok := firstOf(s.facts(fileGroup())); ok && mode.text == "432" && !u.in(group.text) {
			s.tell("device-permission-denied", 58, mode.line, u.line)
			return
		}
	}
	for i, text := range s.lines {
		m := socketNode().FindStringSubmatch(text)
		if m == nil || m[4] == "" && (s.of[i] < 0 || !strings.Contains(s.commands[s.of[i]].command, "docker.sock")) {
			continue
		}
		if m[1][6:8] != "rw" && m[2] != u.name && !(u.unknown || u.in(m[3])) {
			s.tell("docker-socket-permission", 58, i, u.line)
			return
		}
	}
	if listed, ok := firstOf(s.facts(dockerGroup())); ok && !u.unknown && u.name != "" && slices.Contains(strings.Split(listed.text, ","), u.name) && !u.in("docker") {
		s.tell("docker-socket-permission", 58, listed.line, u.line)
	}
}
