// Package fakenvml builds the fake NVIDIA management library of this folder for tests and starts
// programs on it. README.md describes the scenario file.
package fakenvml

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// ErrNoCompiler says that the library cannot be built on this machine.
var ErrNoCompiler = errors.New("no C compiler (cc): the fake NVML library cannot be built here")

// ScenarioVariable names the scenario file to the library.
const ScenarioVariable = "FAKE_NVML_SCENARIO"

// A Library is a folder with the built library. Driver535 is one with only the functions of driver 535.
type Library struct {
	Folder    string
	Driver535 string
}

// Build builds the library into folder, which is made where it is missing.
func Build(folder string) (Library, error) {
	if _, err := exec.LookPath("cc"); err != nil && os.Getenv("CC") == "" {
		return Library{}, ErrNoCompiler
	}
	if runtime.GOOS != "linux" {
		return Library{}, fmt.Errorf("the fake NVML library is built on Linux only, this is %s", runtime.GOOS)
	}
	out, err := exec.Command("/bin/sh", filepath.Join(source(), "build.sh"), folder).CombinedOutput()
	if err != nil {
		return Library{}, fmt.Errorf("fake NVML library: %w: %s", err, out)
	}
	return Library{Folder: folder, Driver535: filepath.Join(folder, "535")}, nil
}

// Env is the environment that makes a program load the library in folder and see the scenario in file.
func Env(folder, file string) []string {
	return []string{"LD_LIBRARY_PATH=" + folder, ScenarioVariable + "=" + file}
}

// Scenario is the path of a scenario of this folder: "eight-h100".
func Scenario(name string) string { return filepath.Join(source(), "scenarios", name+".scenario") }

// Write puts a scenario into file in one step: a program that reads it at that moment sees the old one
// or the new one.
func Write(file, text string) error {
	temp, err := os.CreateTemp(filepath.Dir(file), ".scenario-*")
	if err != nil {
		return err
	}
	_, err = temp.WriteString(text)
	if err := errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), file)
}

// source is this folder. Builds with -trimpath do not know it; then it is looked for from the working
// directory upwards, which for a test is its package's folder.
func source() string {
	_, file, _, _ := runtime.Caller(0)
	if filepath.IsAbs(file) {
		return filepath.Dir(file)
	}
	folder, err := os.Getwd()
	for err == nil {
		here := filepath.Join(folder, "e2e", "fakenvml")
		if _, err := os.Stat(filepath.Join(here, "build.sh")); err == nil {
			return here
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			break
		}
		folder = parent
	}
	return filepath.Join("e2e", "fakenvml")
}
