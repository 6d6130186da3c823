package fixes

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// Assignment is a variable of an env file and the value it is to have.
type Assignment struct{ Key, Value string }

// plainValue is what every reader of env files (compose, docker run --env-file, a shell) understands the
// same way without quotes. Device lists and capabilities need no more.
var plainValue = lazy(`^[A-Za-z0-9._:/=,+@-]*$`)

// SetEnv returns the env file data with variables set. Only the value of the last assignment of each
// changes, the one that counts: its quotes, its `export`, the comment behind it, and all other bytes stay.
// A variable that the file does not have gets a line at its end, with the line end of the line before and
// with a final line feed only if there was one. data nil is a file that is not there. The result is read
// with compose's own reader before it is returned.
func SetEnv(data []byte, assignments ...Assignment) ([]byte, error) {
	for _, a := range assignments {
		if !plainValue().MatchString(a.Value) {
			return nil, fmt.Errorf("the value %q cannot stand in an env file: letters, digits and . _ : / = , + @ - only", a.Value)
		}
		statements, err := inspect.ScanEnv(data)
		if err != nil {
			return nil, err
		}
		if st := inspect.LastEnv(statements, a.Key); st != nil {
			data = assign(data, st, a.Value)
		} else {
			data = appendLine(data, a.Key+"="+a.Value)
		}
	}
	values, err := readEnv(data)
	if err != nil {
		return nil, err
	}
	for _, a := range assignments {
		if values[a.Key] != a.Value {
			return nil, fmt.Errorf("compose would read %s=%q from the edited file instead of %q", a.Key, values[a.Key], a.Value)
		}
	}
	return data, nil
}

func assign(data []byte, st *inspect.EnvStatement, value string) []byte {
	old := data[st.Start:st.End]
	switch {
	case st.Bare:
		return slices.Insert(slices.Clone(data), st.KeyEnd, []byte("="+value)...)
	case st.Quote == 0 && bytes.HasPrefix(old, []byte("#")): // compose takes `KEY= # text` for a value
		return slices.Insert(slices.Clone(data), st.Start, []byte(value+" ")...)
	case string(old) == value:
		return data
	}
	return slices.Replace(slices.Clone(data), st.Start, st.End, []byte(value)...)
}

func appendLine(data []byte, line string) []byte {
	text := bytes.TrimPrefix(data, []byte("\ufeff"))
	if len(text) == 0 {
		return append(slices.Clone(data), line+"\n"...)
	}
	end := "\n"
	if i := bytes.LastIndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		end = "\r\n"
	}
	if bytes.HasSuffix(text, []byte("\n")) {
		return append(slices.Clone(data), line+end...)
	}
	return append(slices.Clone(data), end+line...)
}

// readEnv reads an env file as compose does. Variables that its values refer to are taken to be set:
// whether they are is a matter of the shell that compose runs in.
func readEnv(data []byte) (map[string]string, error) {
	return dotenv.ParseWithLookup(bytes.NewReader(data), func(string) (string, bool) { return "x", true })
}
