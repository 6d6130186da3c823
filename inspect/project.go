package inspect

// Project is the compose project or dev container that the working directory lies in.
type Project struct {
	Name         string        `json:"name,omitempty"`
	Folder       string        `json:"folder"`
	ComposeFiles []string      `json:"composeFiles,omitempty"`
	Devcontainer string        `json:"devcontainer,omitempty"` // devcontainer.json
	EnvFile      *EnvFile      `json:"envFile,omitempty"`      // the switch: .devcontainer/.env, or the one named
	Uses         []ComposeUse  `json:"uses,omitempty"`         // the ways in which its compose files are read
	Services     []GPUService  `json:"services,omitempty"`     // those that ask for a GPU in any way
	Problems     []FileProblem `json:"problems,omitempty"`
	// VisibleDevices and DriverCapabilities are what the project's switch says, and where it says so.
	VisibleDevices     *Setting `json:"visibleDevices,omitempty"`
	DriverCapabilities *Setting `json:"driverCapabilities,omitempty"`
	// ShellVisibleDevices is NVIDIA_VISIBLE_DEVICES of the shell, which compose prefers to any file.
	ShellVisibleDevices *string `json:"shellVisibleDevices,omitempty"`
}

// EnvFile is a file of variables as compose reads it.
type EnvFile struct {
	Path   string `json:"path"` // relative to the project's folder where it lies below it
	Exists bool   `json:"exists"`
}

// Setting is a value with its place: File is relative to the project's folder, Line counts from 1.
type Setting struct {
	Value string `json:"value"`
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
}

// Who reads compose files together: values of ComposeUse.By.
const (
	UseCompose      = "compose"           // docker compose without -f: the default names and COMPOSE_FILE
	UseDevcontainer = "devcontainer.json" // its dockerComposeFile
	UseFile         = "file"              // another compose file, as docker compose -f FILE reads it
)

// ComposeUse is one way in which compose files of the project are read together, as docker compose run
// here would read them.
type ComposeUse struct {
	By          string   `json:"by"`
	Name        string   `json:"name,omitempty"`   // compose project name
	Folder      string   `json:"folder,omitempty"` // compose's project directory
	Files       []string `json:"files"`
	EnvFiles    []string `json:"envFiles"`             // those that values are interpolated from; a later one wins within a stage
	ReadsSwitch bool     `json:"readsSwitch"`          // the switch's file is one of them, or would be if it were there
	Services    []string `json:"services,omitempty"`   // all services, those without GPU too
	Overridden  *Setting `json:"overridden,omitempty"` // what wins over the switch's file: File is empty for the shell
}

// Kinds of GPUService.
const (
	KindService      = "service"
	KindDevcontainer = "devcontainer"
)

// GPUService is a service or dev container whose definition uses a GPU.
type GPUService struct {
	Name               string       `json:"name"`
	Kind               string       `json:"kind,omitempty"`
	Use                int          `json:"use"` // index into Project.Uses; -1: a dev container without compose
	File               string       `json:"file,omitempty"`
	Line               int          `json:"line,omitempty"`
	By                 []string     `json:"by"` // values of Grant.By, and host-requirements
	Requests           []GPURequest `json:"requests,omitempty"`
	Runtime            string       `json:"runtime,omitempty"`
	VisibleDevices     *Setting     `json:"visibleDevices,omitempty"` // the effective value in the service's environment, and where it is written
	DriverCapabilities *Setting     `json:"driverCapabilities,omitempty"`
	Written            string       `json:"written,omitempty"` // the value before interpolation: ${NVIDIA_VISIBLE_DEVICES:-void}
	Follows            bool         `json:"follows"`           // the effective value is that of the switch's file
	WouldFollow        bool         `json:"wouldFollow"`       // it would be, if compose read the switch's file
	CapabilitiesFollow bool         `json:"capabilitiesFollow,omitempty"`
	Profiles           []string     `json:"profiles,omitempty"`
	Privileged         bool         `json:"privileged,omitempty"`
	Devices            []string     `json:"devices,omitempty"`
	OtherDevices       []string     `json:"otherDevices,omitempty"` // those of `devices` that are no GPU, as compose takes them
}

// ByHostRequirements is a dev container's hostRequirements.gpu, for which its CLI adds --gpus all where
// the engine has the nvidia runtime.
const ByHostRequirements = "host-requirements"

// GPURequest is one way in which a service asks for a GPU, as written.
type GPURequest struct {
	By   string `json:"by"`
	Text string `json:"text"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// What is asked for, where the request says it: names, or a number of GPUs (-1: all).
	IDs   []string `json:"ids,omitempty"`
	Count int      `json:"count,omitempty"`
}
