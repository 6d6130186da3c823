package inspect

// Project is the compose project or dev container that the working directory lies in.
type Project struct {
	Name         string        `json:"name,omitempty"`
	Folder       string        `json:"folder"`
	ComposeFiles []string      `json:"composeFiles,omitempty"`
	Devcontainer string        `json:"devcontainer,omitempty"` // devcontainer.json
	EnvFile      *EnvFile      `json:"envFile,omitempty"`      // .devcontainer/.env
	Services     []GPUService  `json:"services,omitempty"`     // those that ask for a GPU in any way
	Problems     []FileProblem `json:"problems,omitempty"`
	// VisibleDevices and DriverCapabilities are what the project's switch says, and where it says so.
	VisibleDevices     *Setting `json:"visibleDevices,omitempty"`
	DriverCapabilities *Setting `json:"driverCapabilities,omitempty"`
}

// EnvFile is a file of variables as compose reads it.
type EnvFile struct {
	Path   string `json:"path"`
	Exists bool   `json:"exists"`
}

// Setting is a value with its place: File is relative to the project's folder, Line counts from 1.
type Setting struct {
	Value string `json:"value"`
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
}

// GPUService is a service or dev container whose definition uses a GPU.
type GPUService struct {
	Name               string   `json:"name"`
	File               string   `json:"file,omitempty"`
	Line               int      `json:"line,omitempty"`
	By                 []string `json:"by"` // values of Grant.By
	Runtime            string   `json:"runtime,omitempty"`
	VisibleDevices     *Setting `json:"visibleDevices,omitempty"` // the effective value in the service's environment
	DriverCapabilities *Setting `json:"driverCapabilities,omitempty"`
	Privileged         bool     `json:"privileged,omitempty"`
	Devices            []string `json:"devices,omitempty"`
}
