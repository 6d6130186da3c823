// Code generated from knowledge/cdi.yaml by go generate; DO NOT EDIT.

package fixes

func init() { playbookTables["cdi"] = tableCdi }

var tableCdi = []Entry{
	{ID: "cdi-spec-missing", Title: "No CDI specification for the GPU", Severity: "error",
		Cause:    "The container asks for a CDI device, and no CDI specification on this machine describes it.",
		Question: "Does `nvidia-ctk cdi list` show other devices of nvidia.com/gpu? If it does, only the name is wrong.", Explains: []ID{"gpu-not-requested"},
		Symptoms: []Symptom{
			{Match: "unresolvable CDI devices?:? \\S*nvidia\\.com/", Unless: "runtime\\.nvidia\\.com", Weight: 66, Literals: []string{"unresolvablecdidevice", "unresolvablecdidevice:", "unresolvablecdidevices", "unresolvablecdidevices:"}},
			{Match: "unresolvable CDI device", Unless: "runtime\\.nvidia\\.com|amd\\.com|intel\\.com|gpu\\.intel|xilinx|google\\.com", Weight: 58, Literals: []string{"unresolvablecdidevice"}},
			{Match: "unresolvable CDI", Unless: "runtime\\.nvidia\\.com|amd\\.com|intel\\.com", With: []string{"nvidia"}, Weight: 54, Literals: []string{"unresolvablecdi"}},
			{Match: "Found 0 CDI devices", Weight: 60, Literals: []string{"found0cdidevices"}},
			{Match: "(no|missing|without( a| any)?|there is no) (nvidia )?CDI spec(ification)?s?\\b", With: []string{"nvidia"}, Weight: 58, Literals: []string{"missingcdispec", "missingcdispecification", "missingcdispecifications", "missingcdispecs", "missingnvidiacdispec", "missingnvidiacdispecification", "missingnvidiacdispecifications", "missingnvidiacdispecs", "nocdispec", "nocdispecification", "nocdispecifications", "nocdispecs", "nonvidiacdispec", "nonvidiacdispecification", "nonvidiacdispecifications", "nonvidiacdispecs", "thereisnocdispec", "thereisnocdispecification", "thereisnocdispecifications", "thereisnocdispecs", "thereisnonvidiacdispec", "thereisnonvidiacdispecification", "thereisnonvidiacdispecifications", "thereisnonvidiacdispecs", "withoutacdispec", "withoutacdispecification", "withoutacdispecifications", "withoutacdispecs", "withoutanvidiacdispec", "withoutanvidiacdispecification", "withoutanvidiacdispecifications", "withoutanvidiacdispecs", "withoutanycdispec", "withoutanycdispecification", "withoutanycdispecifications", "withoutanycdispecs", "withoutanynvidiacdispec", "withoutanynvidiacdispecification", "withoutanynvidiacdispecifications", "withoutanynvidiacdispecs", "withoutcdispec", "withoutcdispecification", "withoutcdispecifications", "withoutcdispecs", "withoutnvidiacdispec", "withoutnvidiacdispecification", "withoutnvidiacdispecifications", "withoutnvidiacdispecs"}},
			{Match: "(unknown|unregistered|no such) CDI device.{0,40}nvidia|nvidia\\.com/gpu=\\S+:? .{0,30}(not found|is unknown|no such device)", Unless: "stat nvidia", Weight: 54, Literals: []string{"nosuchcdidevice", "nvidia.com/gpu=", "unknowncdidevice", "unregisteredcdidevice"}},
		},
		Steps: []Advice{
			{Text: "Generate the specification", Command: "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"},
			{Text: "See the names that it gives", Command: "nvidia-ctk cdi list"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html"},
	{ID: "cdi-generation-failed", Title: "A CDI specification could not be made", Severity: "error",
		Cause:    "The toolkit could not generate a CDI specification, mostly because the driver does not answer.",
		Explains: []ID{"cdi-spec-missing", "gpu-not-requested"},
		Symptoms: []Symptom{
			{Match: "failed to generate (a |the )?CDI spec", Weight: 62, Literals: []string{"failedtogenerateacdispec", "failedtogeneratecdispec", "failedtogeneratethecdispec"}},
			{Match: "runtime\\.nvidia\\.com/gpu", With: []string{"unresolvable|fail|error"}, Weight: 62, Literals: []string{"runtime.nvidia.com/gpu"}},
			{Match: "failed to create (the |an )?automatic CDI modifier", Weight: 60, Literals: []string{"failedtocreateanautomaticcdimodifier", "failedtocreateautomaticcdimodifier", "failedtocreatetheautomaticcdimodifier"}},
			{Match: "failed to construct device spec generators|failed to create (device |edits |common )?(CDI specs?|edits)|failed to get (common edits|device specs?) for CDI", Weight: 56, Literals: []string{"failedtoconstructdevicespecgenerators", "failedtocreatecdispec", "failedtocreatecdispecs", "failedtocreatecommoncdispec", "failedtocreatecommoncdispecs", "failedtocreatecommonedits", "failedtocreatedevicecdispec", "failedtocreatedevicecdispecs", "failedtocreatedeviceedits", "failedtocreateedits", "failedtocreateeditscdispec", "failedtocreateeditscdispecs", "failedtocreateeditsedits", "failedtogetcommoneditsforcdi", "failedtogetdevicespecforcdi", "failedtogetdevicespecsforcdi"}},
			{Match: "nvidia-ctk cdi generate.{0,300}(fail|error)", Lines: 3, Weight: 54, Literals: []string{"nvidia-ctkcdigenerate"}},
			{Match: "failed to (create|initiali[sz]e|load|construct) (CDI|nvcdi|cdi library)\\w*.{0,80}", Unless: "Failed to inject", With: []string{"nvidia"}, Weight: 46, Literals: []string{"failedtoconstructcdi", "failedtoconstructcdilibrary", "failedtoconstructnvcdi", "failedtocreatecdi", "failedtocreatecdilibrary", "failedtocreatenvcdi", "failedtoinitialisecdi", "failedtoinitialisecdilibrary", "failedtoinitialisenvcdi", "failedtoinitializecdi", "failedtoinitializecdilibrary", "failedtoinitializenvcdi", "failedtoloadcdi", "failedtoloadcdilibrary", "failedtoloadnvcdi"}},
			{Match: "nvidia-cdi-refresh\\.(service|path).{0,80}(fail|error|exit)", Weight: 60, Literals: []string{"nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service"}},
		},
		Steps: []Advice{
			{Text: "See the reason on the host", Command: "sudo nvidia-ctk --debug cdi generate > /dev/null"},
			{Text: "Where the driver does not answer either, mend that first", Command: "nvidia-smi"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html"},
	{ID: "cdi-spec-stale", Title: "The CDI specification is of another driver version", Severity: "error",
		Cause:    "The CDI specification names files of a driver version that is no longer installed.",
		Explains: []ID{"cdi-spec-missing", "device-node-missing"},
		Symptoms: []Symptom{
			{Match: "(mount\\w*|statfs|stat|lstat|fulfil\\w*|open|bind|source path|host path|creat\\w+|path)\\W.{0,120}(lib(cuda|nvidia[\\w-]*|nvcuvid|nvoptix|EGL_nvidia|GLX_nvidia|GLES\\w*_nvidia|vdpau_nvidia|cudadebugger)\\S*\\.so\\.\\d{3}\\.\\d+\\S*|firmware/nvidia/\\d{3}\\.\\S+).{0,200}(no such file or directory|does not exist|not found)", Weight: 74, Literals: []string{"doesnotexist", "nosuchfileordirectory", "notfound"}},
			{Match: "(lib(cuda|nvidia[\\w-]*|nvcuvid|nvoptix|EGL_nvidia|GLX_nvidia|cudadebugger)\\.so\\.\\d{3}\\.[\\d.]+|firmware/nvidia/\\d{3}[\\d.]*\\S*)\\W{0,4} ?(no such file|does not exist|not found|is missing|is gone)", Absent: []string{"=> not found"}, Weight: 66, Literals: []string{"doesnotexist", "isgone", "ismissing", "nosuchfile", "notfound"}},
			{Match: "(nvidia\\.ya?ml|CDI spec\\w*).{0,120}(stale|outdated|old driver|previous driver|still (names?|lists?|points?|refers?|mentions?|has|contains?)|out of date|before the (driver )?(update|upgrade))", Weight: 68, Literals: []string{"cdispec", "nvidia.yaml", "nvidia.yml"}},
			{Match: "(stale|outdated|old) (nvidia )?CDI spec", Weight: 68, Literals: []string{"oldcdispec", "oldnvidiacdispec", "outdatedcdispec", "outdatednvidiacdispec", "stalecdispec", "stalenvidiacdispec"}},
			{Match: "(error|failed).{0,60}(injecting|inject|mount\\w*).{0,80}(nvidia|libcuda)\\S*\\.so\\.\\d{3}\\.\\d+", With: []string{"no such file", "CDI|cdi|nvidia\\.com/gpu"}, Weight: 60, Literals: []string{"libcuda", "nvidia"}},
		},
		Steps: []Advice{
			{Text: "Generate the specification again", Command: "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"},
			{Text: "So that it follows driver updates, let the toolkit's service do it (toolkit 1.18 and newer)", Command: "sudo systemctl enable --now nvidia-cdi-refresh.path nvidia-cdi-refresh.service"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html"},
	{ID: "cdi-spec-invalid", Title: "A CDI specification is faulty", Severity: "error",
		Cause:    "A file in the CDI folders does not parse or conflicts with another, so the devices in it cannot be used.",
		Explains: []ID{"cdi-spec-missing"},
		Symptoms: []Symptom{
			{Match: "failed to (parse|read|load|unmarshal|validate) (a |the )?CDI spec", Weight: 74, Literals: []string{"failedtoloadacdispec", "failedtoloadcdispec", "failedtoloadthecdispec", "failedtoparseacdispec", "failedtoparsecdispec", "failedtoparsethecdispec", "failedtoreadacdispec", "failedtoreadcdispec", "failedtoreadthecdispec", "failedtounmarshalacdispec", "failedtounmarshalcdispec", "failedtounmarshalthecdispec", "failedtovalidateacdispec", "failedtovalidatecdispec", "failedtovalidatethecdispec"}},
			{Match: "conflicting (CDI )?device.{0,160}nvidia|nvidia.{0,160}conflicting (CDI )?device|conflicts?:? .{0,60}nvidia\\.com/gpu|nvidia\\.com/gpu=\\S+.{0,40}(conflict|duplicate|defined (twice|more than once|in both))", Weight: 74, Literals: []string{"conflictingcdidevice", "conflictingdevice", "nvidia.com/gpu", "nvidia.com/gpu="}},
			{Match: "conflicting device", With: []string{"cdi|nvidia"}, Weight: 68, Literals: []string{"conflictingdevice"}},
			{Match: "invalid CDI (spec|device|version|kind|vendor|class|name)", Unless: "not enabled", With: []string{"cdi"}, Weight: 62, Literals: []string{"invalidcdiclass", "invalidcdidevice", "invalidcdikind", "invalidcdiname", "invalidcdispec", "invalidcdivendor", "invalidcdiversion"}},
			{Match: "(/etc/cdi|/(var/)?run/cdi)/\\S+\\.(ya?ml|json).{0,120}(invalid|error|cannot|failed|unmarshal|yaml:|conflict|did not find|unsupported)", Unless: "permission denied|no such file", Weight: 66, Literals: []string{"/etc/cdi/", "/run/cdi/", "/var/run/cdi/"}},
			{Match: "(error converting YAML|yaml: line \\d+|cannot unmarshal).{0,120}(cdi|CDI)", Weight: 62, Literals: []string{"cannotunmarshal", "errorconvertingyaml", "yaml:line"}},
			{Match: "CDI (registry|cache|spec\\w*) (has |with )?(errors?|refresh).{0,80}", With: []string{"nvidia"}, Weight: 48, Literals: []string{"error", "errors", "refresh"}},
		},
		Steps: []Advice{
			{Text: "See which file is at fault", Command: "nvidia-ctk cdi list; ls -l /etc/cdi /var/run/cdi"},
			{Text: "Remove the file that is superfluous, or generate the specification again", Command: "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html"},
	{ID: "cdi-not-enabled", Title: "The engine does not do CDI", Severity: "error",
		Cause:    "The engine is too old for CDI devices (below 25), or the feature is off (it must be switched on from 25.0 to 28.1).",
		Explains: []ID{"cdi-spec-missing", "compose-too-old"},
		Symptoms: []Symptom{
			{Match: "CDI (device )?(injection|support|is|was|feature).{0,40}(not enabled|disabled|not supported|off|turned off|unsupported)", Weight: 74, Literals: []string{"cdidevicefeature", "cdideviceinjection", "cdideviceis", "cdidevicesupport", "cdidevicewas", "cdifeature", "cdiinjection", "cdiis", "cdisupport", "cdiwas"}},
			{Match: "(enable|switch on|turn on|activate) (the )?CDI( feature| support)?", With: []string{"daemon\\.json|features|docker"}, Absent: []string{"unresolvable CDI", "could not select device driver \"?\"? with"}, Weight: 44, Literals: []string{"activatecdi", "activatecdifeature", "activatecdisupport", "activatethecdi", "activatethecdifeature", "activatethecdisupport", "enablecdi", "enablecdifeature", "enablecdisupport", "enablethecdi", "enablethecdifeature", "enablethecdisupport", "switchoncdi", "switchoncdifeature", "switchoncdisupport", "switchonthecdi", "switchonthecdifeature", "switchonthecdisupport", "turnoncdi", "turnoncdifeature", "turnoncdisupport", "turnonthecdi", "turnonthecdifeature", "turnonthecdisupport"}},
			{Match: "could not select device driver cdi\\b", Weight: 74, Literals: []string{"couldnotselectdevicedrivercdi"}},
			{Match: "adding custom device .{0,3}nvidia\\.com/gpu", Absent: []string{"docker[- ]compose|compose\\.ya?ml|services:|Container \\S+ +(Creat|Start)"}, Weight: 72, Literals: []string{"addingcustomdevice"}},
			{Match: "(nvidia\\.com/gpu=\\S+ ?:? .{0,40}(is not an absolute path|invalid device|bad format|no such file))|invalid device (specification|mapping|path).{0,30}nvidia\\.com/gpu", Absent: []string{"docker[- ]compose|compose\\.ya?ml|services:"}, Weight: 60, Literals: []string{"invaliddevicemapping", "invaliddevicepath", "invaliddevicespecification", "nvidia.com/gpu="}},
			{Match: "features?.{0,10}cdi\\W{0,5}false", Weight: 64, Literals: []string{"feature", "features"}},
			{Match: "\\bstat nvidia\\.com/gpu", With: []string{"podman (run|version|create|--version|\\d)|docker run"}, Weight: 72, Literals: []string{"statnvidia.com/gpu"}},
		},
		Steps: []Advice{
			{Text: "Switch the feature on in daemon.json", Command: "sudo nvidia-ctk runtime configure --runtime=docker --cdi.enabled"},
			{Text: "Have the engine read it", Command: "sudo systemctl restart docker"},
			{Text: "Or update the engine to 28.2 or newer, where CDI is on", Command: "docker version"},
		},
		Docs: "https://docs.docker.com/reference/cli/dockerd/"},
}
