// Code generated from knowledge/compose.yaml by go generate; DO NOT EDIT.

package fixes

func init() { playbookTables["compose"] = tableCompose }

var tableCompose = []Entry{
	{ID: "compose-syntax", Title: "The compose file asks for the GPU in a wrong form", Severity: "error",
		Cause:    "The GPU request in the compose file is misspelt, incomplete or at the wrong place.",
		Explains: []ID{"compose-too-old"},
		Symptoms: []Symptom{
			{Match: "(deploy|build|root|resources|reservations|limits|devices|environment|networks)\\S*?\\)? (Additional property|additional properties) gpus?( is)? not allowed", Weight: 72, Literals: []string{"additionalpropertiesgpuisnotallowed", "additionalpropertiesgpunotallowed", "additionalpropertiesgpusisnotallowed", "additionalpropertiesgpusnotallowed", "additionalpropertygpuisnotallowed", "additionalpropertygpunotallowed", "additionalpropertygpusisnotallowed", "additionalpropertygpusnotallowed"}},
			{Match: "(Additional property|additional properties) (gpu|runtime|capabilities|device_ids|driver|count|nvidia|device|reservation|devices)( is)? not allowed", Unless: "(services\\.[\\w.-]+ (Additional property|additional properties) runtime)|reservations (Additional property|additional properties) devices", Weight: 64, Literals: []string{"additionalpropertiescapabilitiesisnotallowed", "additionalpropertiescapabilitiesnotallowed", "additionalpropertiescountisnotallowed", "additionalpropertiescountnotallowed", "additionalpropertiesdevice_idsisnotallowed", "additionalpropertiesdevice_idsnotallowed", "additionalpropertiesdeviceisnotallowed", "additionalpropertiesdevicenotallowed", "additionalpropertiesdevicesisnotallowed", "additionalpropertiesdevicesnotallowed", "additionalpropertiesdriverisnotallowed", "additionalpropertiesdrivernotallowed", "additionalpropertiesgpuisnotallowed", "additionalpropertiesgpunotallowed", "additionalpropertiesnvidiaisnotallowed", "additionalpropertiesnvidianotallowed", "additionalpropertiesreservationisnotallowed", "additionalpropertiesreservationnotallowed", "additionalpropertiesruntimeisnotallowed", "additionalpropertiesruntimenotallowed", "additionalpropertycapabilitiesisnotallowed", "additionalpropertycapabilitiesnotallowed", "additionalpropertycountisnotallowed", "additionalpropertycountnotallowed", "additionalpropertydevice_idsisnotallowed", "additionalpropertydevice_idsnotallowed", "additionalpropertydeviceisnotallowed", "additionalpropertydevicenotallowed", "additionalpropertydevicesisnotallowed", "additionalpropertydevicesnotallowed", "additionalpropertydriverisnotallowed", "additionalpropertydrivernotallowed", "additionalpropertygpuisnotallowed", "additionalpropertygpunotallowed", "additionalpropertynvidiaisnotallowed", "additionalpropertynvidianotallowed", "additionalpropertyreservationisnotallowed", "additionalpropertyreservationnotallowed", "additionalpropertyruntimeisnotallowed", "additionalpropertyruntimenotallowed"}},
			{Match: "limits (Additional property|additional properties) devices( is)? not allowed", Weight: 72, Literals: []string{"limitsadditionalpropertiesdevicesisnotallowed", "limitsadditionalpropertiesdevicesnotallowed", "limitsadditionalpropertydevicesisnotallowed", "limitsadditionalpropertydevicesnotallowed"}},
			{Match: "reservations (Additional property|additional properties) devices( is)? not allowed", With: []string{"docker stack|stack deploy|swarm"}, Weight: 74, Literals: []string{"reservationsadditionalpropertiesdevicesisnotallowed", "reservationsadditionalpropertiesdevicesnotallowed", "reservationsadditionalpropertydevicesisnotallowed", "reservationsadditionalpropertydevicesnotallowed"}},
			{Match: "Additional property gpus is not allowed", Unless: "services\\.[\\w-]+:? Additional property", Weight: 52, Literals: []string{"additionalpropertygpusisnotallowed"}},
			{Match: "additional properties gpus not allowed", Unless: "services\\.[\\w-]+:? additional properties", Weight: 52, Literals: []string{"additionalpropertiesgpusnotallowed"}},
			{Match: "devices[.\\[\\d\\]]* .{0,20}(capabilities is required|missing propert\\w+:? .{0,4}capabilities|capabilities.{0,30}required)|(capabilities is required|missing propert\\w+:? .{0,4}capabilities)", With: []string{"devices|gpu|nvidia"}, Weight: 70, Literals: []string{"capabilities", "missingpropert"}},
			{Match: "count and device_ids (attributes )?(are )?(exclusive|cannot|can.?t)", Weight: 74, Literals: []string{"countanddevice_ids"}},
			{Match: "(count|device_ids|capabilities|devices|gpus|driver)\\S* (must be|should be|contains an invalid type|has an invalid type|expected|contains).{0,60}", Unless: "within|available", With: []string{"deploy|reservations|gpus", "compose|services|validating"}, Weight: 58, Literals: []string{"contains", "expected", "hasaninvalidtype", "mustbe", "shouldbe"}},
			{Match: "services\\.\\S+(gpus|devices|capabilities|device_ids)\\S* .{0,80}(invalid|must be|expected|required|unsupported|is not)", Unless: "Additional property (gpus|devices)|additional properties", Weight: 62, Literals: []string{"services."}},
			{Match: "Unsupported config option for services\\.\\S+ ?(deploy|resources|reservations|build)?\\S*:? gpus?", Unless: "Unsupported config option for services\\.[\\w-]+: gpus", Weight: 60, Literals: []string{"unsupportedconfigoptionforservices."}},
			{Match: "invalid value .{0,20}(for|in) .{0,10}(count|gpus)|failed to cast to expected type.{0,60}(count|gpus)|(count|gpus).{0,60}failed to cast to expected type", With: []string{"compose|services"}, Weight: 64, Literals: []string{"failedtocasttoexpectedtype", "invalidvalue"}},
		},
		Steps: []Advice{
			{Text: "Write the request in the service, in the short form (compose 2.30 or newer)", Command: "gpus: all"},
			{Text: "Or in the long form, where capabilities must be named", Command: "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: all, capabilities: [gpu]}]}}}"},
			{Text: "See what compose makes of the file", Command: "docker compose config"},
		},
		Docs: "https://docs.docker.com/compose/how-tos/gpu-support/"},
	{ID: "compose-too-old", Title: "This compose does not know the form of the request", Severity: "error",
		Cause: "The compose file asks for the GPU in a form that this version of compose does not know yet.",
		Symptoms: []Symptom{
			{Match: "services\\.[\\w-]+:? (Additional property gpus is not allowed|additional properties:? gpus not allowed)", Weight: 74, Literals: []string{"properties:gpusnotallowed", "propertiesgpusnotallowed", "propertygpusisnotallowed"}},
			{Match: "Unsupported config option for services\\.[\\w-]+: (gpus|runtime|device_requests)", Weight: 74, Literals: []string{"unsupportedconfigoptionforservices."}},
			{Match: "Unsupported config option for services\\S*.{0,40}(devices|gpus|runtime)", Weight: 62, Literals: []string{"unsupportedconfigoptionforservices"}},
			{Match: "Additional properties are not allowed \\(?(gpus|devices|runtime|device_requests|capabilities) (was|were) unexpected", Weight: 72, Literals: []string{"additionalpropertiesarenotallowed(capabilitieswasunexpected", "additionalpropertiesarenotallowed(capabilitieswereunexpected", "additionalpropertiesarenotallowed(device_requestswasunexpected", "additionalpropertiesarenotallowed(device_requestswereunexpected", "additionalpropertiesarenotallowed(deviceswasunexpected", "additionalpropertiesarenotallowed(deviceswereunexpected", "additionalpropertiesarenotallowed(gpuswasunexpected", "additionalpropertiesarenotallowed(gpuswereunexpected", "additionalpropertiesarenotallowed(runtimewasunexpected", "additionalpropertiesarenotallowed(runtimewereunexpected", "additionalpropertiesarenotallowedcapabilitieswasunexpected", "additionalpropertiesarenotallowedcapabilitieswereunexpected", "additionalpropertiesarenotalloweddevice_requestswasunexpected", "additionalpropertiesarenotalloweddevice_requestswereunexpected", "additionalpropertiesarenotalloweddeviceswasunexpected", "additionalpropertiesarenotalloweddeviceswereunexpected", "additionalpropertiesarenotallowedgpuswasunexpected", "additionalpropertiesarenotallowedgpuswereunexpected", "additionalpropertiesarenotallowedruntimewasunexpected", "additionalpropertiesarenotallowedruntimewereunexpected"}},
			{Match: "reservations (Additional property|additional properties) devices( is)? not allowed", Absent: []string{"docker stack|stack deploy|swarm"}, Weight: 68, Literals: []string{"reservationsadditionalpropertiesdevicesisnotallowed", "reservationsadditionalpropertiesdevicesnotallowed", "reservationsadditionalpropertydevicesisnotallowed", "reservationsadditionalpropertydevicesnotallowed"}},
			{Match: "services\\.[\\w-]+:? (Additional property|additional properties) runtime( is)? not allowed", Weight: 66, Literals: []string{"additionalpropertiesruntimeisnotallowed", "additionalpropertiesruntimenotallowed", "additionalpropertyruntimeisnotallowed", "additionalpropertyruntimenotallowed"}},
			{Match: "\\bstat nvidia\\.com/gpu", Absent: []string{"podman (run|version|create|--version|\\d)|docker run"}, Weight: 72, Literals: []string{"statnvidia.com/gpu"}},
			{Match: "adding custom device .{0,3}nvidia\\.com/gpu", With: []string{"docker[- ]compose|compose\\.ya?ml|services:|Container \\S+ +(Creat|Start)"}, Weight: 66, Literals: []string{"addingcustomdevice"}},
			{Match: "compose( version)?,? v?(1\\.\\d|2\\.\\d\\b|2\\.[12]\\d)", With: []string{"gpus: ?|nvidia\\.com/gpu=|capabilities", "not allowed|Unsupported config|unexpected|invalid|stat nvidia|no such file|ignored|not know"}, Weight: 52, Literals: []string{"compose"}},
			{Match: "(nvidia\\.com/gpu=\\S+).{0,60}(no such file|not an absolute path|bad format|invalid)", Unless: "unresolvable", With: []string{"docker[- ]compose|compose\\.ya?ml|services:"}, Weight: 62, Literals: []string{"nvidia.com/gpu="}},
		},
		Steps: []Advice{
			{Text: "Update to docker compose 2.30 or newer", Command: "sudo apt-get install docker-compose-plugin", Platform: "debian"},
			{Text: "Update to docker compose 2.30 or newer", Command: "sudo dnf install docker-compose-plugin", Platform: "fedora"},
			{Text: "Use the plugin, not the old docker-compose 1.x", Command: "docker compose version"},
		},
		Docs: "https://docs.docker.com/compose/how-tos/gpu-support/"},
	{ID: "request-overrides-variable", Title: "A request gives the GPU whatever the variable says", Severity: "warning",
		Cause:    "NVIDIA_VISIBLE_DEVICES says that the container shall have no GPU, but a request in its configuration (gpus, a device reservation, privileged) gives it one all the same.",
		Explains: []ID{"visible-devices-void", "env-has-no-effect", "gpu-not-requested"},
		Symptoms: []Symptom{
			{Match: "NVIDIA_VISIBLE_DEVICES\\W{0,5}(is |was |to |set |= ?)*(void|none)\\b", With: []string{"(still|yet|nevertheless|all the same|anyway|regardless|but|and|stays?|remains?|even though|although|despite)[^\\n]{0,60}(sees?|has|have|gets?|shows?|uses?|lists?|visible|available|works?|access|there|found|claims?|grabs?|reports?)", "gpus: ?|--gpus|device reservation|reservations|privileged|DeviceRequests|capabilities:"}, Absent: []string{"no CUDA-capable|No devices were found|nvidia-smi: (command )?not found|not found in \\$?PATH|Unknown Error|is_available\\(\\)[^\\n]{0,10}False|No CUDA GPUs"}, Weight: 72, Literals: []string{"nvidia_visible_devices"}},
			{Match: "(gpus?:|--gpus|reservation|privileged|request).{0,80}(overrides?|wins over|beats|takes precedence over|ignores?|regardless of|whatever).{0,60}(variable|NVIDIA_VISIBLE_DEVICES|env)", Weight: 70, Literals: []string{"beats", "ignore", "override", "regardlessof", "takesprecedenceover", "whatever", "winsover"}},
			{Match: "docker gpu disable", With: []string{"(still|yet|nevertheless|anyway)[^\\n]{0,60}(sees?|has|have|gets?|shows?|uses?|lists?|visible|access)"}, Weight: 60, Literals: []string{"dockergpudisable"}},
			{Match: "NVIDIA_VISIBLE_DEVICES\\W{0,5}(is |was |to |set |= ?)*(void|none)\\b", With: []string{"gpus: ?|--gpus|reservations|privileged|DeviceRequests|capabilities:|device_ids", "GPU 0: |NVIDIA-SMI \\d+|is_available\\(\\)\\W{0,12}True|(GPUs?|card)[^\\n]{0,30}(stays?|remains?|is|are)( still)? (visible|there|available|accessible|in use)|(sees?|has|have|lists?|shows?|uses?|gets?|reports?|finds?|finds|using|on) (the |both |all |a |its |every |my |one |two )*(gpus?|cards?|RTX|A100|H100|T4)"}, Absent: []string{"no CUDA-capable|No devices were found|nvidia-smi: (command )?not found|not found in \\$?PATH|Unknown Error|is_available\\(\\)[^\\n]{0,10}False|No CUDA GPUs|LibraryNotFound|cannot open shared"}, Weight: 62, Literals: []string{"nvidia_visible_devices"}},
		},
		Steps: []Advice{
			{Text: "See what grants the GPU", Command: "docker gpu ps"},
			{Text: "Take the request out of the compose file or the command, or start without it", Command: "docker gpu compose --gpu off up -d"},
		},
		Docs: "https://docs.docker.com/compose/how-tos/gpu-support/"},
	{ID: "env-has-no-effect", Title: "The compose file does not read the variable", Severity: "warning",
		Cause:    "The compose file writes the value of NVIDIA_VISIBLE_DEVICES itself, so what the .env file says has no effect.",
		Explains: []ID{"visible-devices-void", "gpu-not-requested"},
		Symptoms: []Symptom{
			{Match: "NVIDIA_VISIBLE_DEVICES", With: []string{"\\.env\\b", "(no|without|any) (visible |real )?effect|has no influence|hard-?coded|nothing changes|does(n.?t| not) (change|matter|apply|take effect|take|get picked up|reach)|not (picked up|read|applied|taken|honou?red|used|respected)|ignor(ed|es|ing)|makes no difference|never (used|read|applied|taken)|changes? nothing|without any difference|not used|keeps? (the )?(old )?(value|all)|stays? (at )?(all|the same)"}, Absent: []string{"unprivileged", "no such file|could not select", "(gpus:|--gpus|reservation|privileged)[^\\n]{0,80}(overrides?|wins)"}, Weight: 62, Literals: []string{"nvidia_visible_devices"}},
			{Match: "(hard-?coded|literal|fixed).{0,80}NVIDIA_VISIBLE_DEVICES|NVIDIA_VISIBLE_DEVICES.{0,80}(hard-?coded|literally|fixed value)", Weight: 66, Literals: []string{"nvidia_visible_devices"}},
			{Match: "NVIDIA_VISIBLE_DEVICES ?[:=] ?(all|\\d|GPU-|void|none)", With: []string{"\\.env\\b|--env-file|env_file|\\bexport NVIDIA_VISIBLE_DEVICES", "compose|services:|ya?ml", "(still|but|yet|ignor\\w*|no effect|doesn.?t|does not|did not|didn.?t|keeps?|nothing|unchanged|the same|never|not)[^\\n]{0,60}(all|void|value|variable|change|effect|pick|apply|see|read|gpu|old|\\d)", "(hard-?coded|literal|line \\d+|compose\\S*:\\d+|\\n\\s*\\d+:|environment:)"}, Absent: []string{"\\$\\{?NVIDIA_VISIBLE_DEVICES", "unprivileged", "could not select|Unknown runtime|unknown or invalid", "gpus: ?(all|\\d)|--gpus|reservations|privileged", "no CUDA-capable|not found|No devices|is_available|Unknown Error"}, Weight: 50, Literals: []string{"nvidia_visible_devices:0", "nvidia_visible_devices:1", "nvidia_visible_devices:2", "nvidia_visible_devices:3", "nvidia_visible_devices:4", "nvidia_visible_devices:5", "nvidia_visible_devices:6", "nvidia_visible_devices:7", "nvidia_visible_devices:8", "nvidia_visible_devices:9", "nvidia_visible_devices:all", "nvidia_visible_devices:gpu-", "nvidia_visible_devices:none", "nvidia_visible_devices:void", "nvidia_visible_devices=0", "nvidia_visible_devices=1", "nvidia_visible_devices=2", "nvidia_visible_devices=3", "nvidia_visible_devices=4", "nvidia_visible_devices=5", "nvidia_visible_devices=6", "nvidia_visible_devices=7", "nvidia_visible_devices=8", "nvidia_visible_devices=9", "nvidia_visible_devices=all", "nvidia_visible_devices=gpu-", "nvidia_visible_devices=none", "nvidia_visible_devices=void"}},
		},
		Steps: []Advice{
			{Text: "Let the compose file take the value from the variable", Command: "NVIDIA_VISIBLE_DEVICES: ${NVIDIA_VISIBLE_DEVICES:-void}"},
			{Text: "See the value that compose arrives at", Command: "docker compose config | grep NVIDIA_VISIBLE_DEVICES"},
			{Text: "Make the container anew", Command: "docker compose up -d --force-recreate"},
		},
		Docs: "https://docs.docker.com/compose/how-tos/environment-variables/envvars-precedence/"},
	{ID: "runtime-required-on-cpu-host", Title: "The project insists on a GPU that this machine does not have", Severity: "error",
		Cause:    "The compose file or dev container asks for the NVIDIA runtime or a GPU, and this machine has no NVIDIA GPU, so the service cannot start.",
		Explains: []ID{"no-nvidia-gpu", "toolkit-not-installed", "runtime-not-registered", "gpu-not-requested", "driver-not-installed", "cdi-spec-missing", "runtime-binary-missing"},
		Symptoms: []Symptom{
			{Match: "could not select device driver|no known GPU vendor found|(unknown or invalid runtime name|Unknown runtime specified):? nvidia|unresolvable CDI devices", With: []string{"docker[- ]compose|compose\\.ya?ml|services:|devcontainer|runtime: nvidia|reservations|gpus: all", "(no|without|lacks?|has(n.?t| no)|have(n.?t| no)|does(n.?t| not) have|don.?t have|not have|there is no|there.?s no|missing) (an? |any |the )?(dedicated |discrete )?(NVIDIA |nvidia )?(GPU|graphics card|card|nvidia)|CPU[- ]only (host|machine|server|laptop|box|node|VM|instance|CI|runner)|(only|just) (an? |the )?(integrated |onboard )?(Intel|AMD|integrated)|GPU-less|integrated (graphics|gpu)|Iris|UHD Graphics|CI runner"}, Absent: []string{"Docker Desktop|desktop-linux|macOS|MacBook|Apple Silicon|darwin"}, Weight: 72, Literals: []string{"couldnotselectdevicedriver", "noknowngpuvendorfound", "orinvalidruntimename", "runtimespecified", "unresolvablecdidevices"}},
		},
		Steps: []Advice{
			{Text: "Start it with the GPU where there is one and the CPU elsewhere", Command: "docker gpu compose up -d"},
			{Text: "Or keep the request in a file of its own, used on machines with a GPU only", Command: "docker compose -f compose.yaml -f compose.gpu.yaml up -d"},
		},
		Docs: "https://docs.docker.com/compose/how-tos/multiple-compose-files/merge/"},
}
