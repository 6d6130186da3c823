// Code generated from knowledge/driver-mismatch.yaml by go generate; DO NOT EDIT.

package fixes

func init() { playbookTables["driver-mismatch"] = tableDriverMismatch }

var tableDriverMismatch = []Entry{
	{ID: "driver-library-version-mismatch", Title: "The driver's library and its kernel module differ", Severity: "error",
		Cause:    "The driver was updated while its old kernel module stayed loaded, so library and module no longer fit together.",
		Question: "Does nvidia-smi fail on the host too? If only in the container, its image brings driver libraries of its own.", Explains: []ID{"cdi-generation-failed", "gpu-not-requested", "cuda-driver-too-old", "driver-module-not-loaded", "uvm-broken", "cdi-spec-stale"},
		Symptoms: []Symptom{
			{Match: "Driver/library version mismatch", Weight: 62, Literals: []string{"driver/libraryversionmismatch"}},
			{Match: "API mismatch: the client has( the)? version", Weight: 64, Literals: []string{"apimismatch:theclienthastheversion", "apimismatch:theclienthasversion"}},
			{Match: "NVML_ERROR_LIB_RM_VERSION_MISMATCH|NVMLError_LibRmVersionMismatch|LIB_RM_VERSION_MISMATCH", Weight: 62, Literals: []string{"_error_lib_rm_version_mismatch", "error_librmversionmismatch", "lib_rm_version_mismatch"}},
			{Match: "does not match DSO version", Weight: 58, Literals: []string{"doesnotmatchdsoversion"}},
			{Match: "this kernel module has( the)? version .{0,200}(mismatch|same version|make sure)", Weight: 62, Literals: []string{"thiskernelmodulehastheversion", "thiskernelmodulehasversion"}},
			{Match: "version mismatch.{0,60}(NVML|nvidia|kernel module|driver)|(NVML|nvidia|kernel module|driver).{0,40}version mismatch", Unless: "fabric|cudnn|NCCL|toolkit", Weight: 46, Literals: []string{"versionmismatch"}},
		},
		Steps: []Advice{
			{Text: "Reboot, which loads the new module", Command: "sudo reboot"},
			{Text: "Or stop everything that uses the GPU and load the module anew", Command: "sudo systemctl stop docker nvidia-persistenced && sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia && sudo systemctl start docker"},
		},
		Docs: "https://docs.nvidia.com/deploy/cuda-compatibility/index.html"},
	{ID: "cuda-driver-too-old", Title: "The image's CUDA needs a newer driver", Severity: "error",
		Cause:    "The program's CUDA version needs a newer NVIDIA driver than the host has.",
		Explains: []ID{"gpu-arch-unsupported", "gpu-not-requested"},
		Symptoms: []Symptom{
			{Match: "CUDA driver version is insufficient", Absent: []string{"(no|without) (any )?/dev/nvidia|/dev/nvidia\\S{0,3}\\W{0,6}(No such|does not exist|not found|missing)|cannot access[^\\n]{0,4}/dev/nvidia|(without|forgot|no|missing|omitted) (the )?--gpus|NVIDIA Driver was not detected"}, Weight: 60, Literals: []string{"cudadriverversionisinsufficient"}},
			{Match: "cudaErrorInsufficientDriver", Absent: []string{"cannot access[^\\n]{0,4}/dev/nvidia|(without|forgot|no|missing|omitted) (the )?--gpus|NVIDIA Driver was not detected"}, Weight: 58, Literals: []string{"cudaerrorinsufficientdriver"}},
			{Match: "unsatisfied condition: (cuda|brand|driver)", Weight: 74, Literals: []string{"unsatisfiedcondition:brand", "unsatisfiedcondition:cuda", "unsatisfiedcondition:driver"}},
			{Match: "requirement error: unsatisfied condition|unsatisfied condition:", Unless: "condition: arch", Weight: 68, Literals: []string{"requirementerror:unsatisfiedcondition", "unsatisfiedcondition:"}},
			{Match: "The NVIDIA driver on your system is too old", Weight: 70, Literals: []string{"thenvidiadriveronyoursystemistooold"}},
			{Match: "PTX was compiled with an unsupported toolchain|CUDA_ERROR_UNSUPPORTED_PTX_VERSION|cudaErrorUnsupportedPtxVersion", Weight: 68, Literals: []string{"_error_unsupported_ptx_version", "errorunsupportedptxversion", "ptxwascompiledwithanunsupportedtoolchain"}},
			{Match: "container was built for NVIDIA Driver Release", Weight: 66, Literals: []string{"containerwasbuiltfornvidiadriverrelease"}},
			{Match: "does not support the required nvenc API version|minimum required Nvidia driver for nvenc", Unless: "is \\(unknown\\)", Absent: []string{"(Cannot|could not|unable to|failed to) load (lib)?(nvidia-encode|nvEncodeAPI)"}, Weight: 68, Literals: []string{"doesnotsupporttherequirednvencapiversion", "minimumrequirednvidiadriverfornvenc"}},
			{Match: "API call is not supported in the installed CUDA driver|cudaErrorCallRequiresNewerDriver", Weight: 64, Literals: []string{"apicallisnotsupportedintheinstalledcudadriver", "cudaerrorcallrequiresnewerdriver"}},
			{Match: "(nvidia |cuda |gpu )?driver .{0,50}(is )?(too old|outdated|older than|not new enough|insufficient)", Unless: "PTX compiler version|ptxas|pre-?535", With: []string{"cuda|nvidia"}, Weight: 48, Literals: []string{"cudadriver", "driver", "gpudriver", "nvidiadriver"}},
			{Match: "libcuda\\.so\\S*: undefined symbol|undefined symbol: cu[A-Z]\\w+|(symbol not found|could not find symbol|undefined symbol).{0,20}cu(Get|Mem|Ctx|Device|Stream|Graph|Lib|Module|Func|Tensor)\\w+", Weight: 54, Literals: []string{":undefinedsymbol", "couldnotfindsymbol", "symbolnotfound", "undefinedsymbol", "undefinedsymbol:cu"}},
			{Match: "(requires?|needs?) (at least )?(a |an )?(newer )?(nvidia |cuda )*driver( version)? .{0,20}(>=|or (newer|later|higher|above)|at least|newer|\\d{3})", With: []string{"cuda|nvidia"}, Weight: 42, Literals: []string{"driver", "driverversion"}},
			{Match: "nvidia-container-cli: requirement error", Weight: 60, Literals: []string{"nvidia-container-cli:requirementerror"}},
		},
		Steps: []Advice{
			{Text: "See the driver and the CUDA version that it can do at most", Command: "nvidia-smi"},
			{Text: "Install a newer driver on the host", Command: "sudo ubuntu-drivers install", Platform: "ubuntu"},
			{Text: "Or take an image of an older CUDA version; this shows if one will run here", Command: "docker gpu check IMAGE"},
			{Text: "On data-centre GPUs, the image's forward-compatibility package does as well", Command: "apt-get install cuda-compat-12-8"},
		},
		Docs: "https://docs.nvidia.com/deploy/cuda-compatibility/index.html"},
	{ID: "cuda-compat-lib-conflict", Title: "The forward-compatibility library is in the way", Severity: "error",
		Cause:    "The program loads the image's forward-compatibility libcuda, which this GPU or this driver may not be used with.",
		Explains: []ID{"cuda-driver-too-old", "gpu-not-requested", "driver-library-version-mismatch", "uvm-broken"},
		Symptoms: []Symptom{
			{Match: "unsupported display driver ?/ ?cuda driver combination", Weight: 78, Literals: []string{"unsupporteddisplaydriver/cudadrivercombination"}},
			{Match: "forward compatibility was attempted on non ?-?supported (HW|hardware)", Weight: 80, Literals: []string{"forwardcompatibilitywasattemptedonnon-supportedhardware", "forwardcompatibilitywasattemptedonnon-supportedhw", "forwardcompatibilitywasattemptedonnonsupportedhardware", "forwardcompatibilitywasattemptedonnonsupportedhw"}},
			{Match: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH|CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE|cudaErrorSystemDriverMismatch|cudaErrorCompatNotSupportedOnDevice", Weight: 78, Literals: []string{"compat_not_supported_on_device", "compatnotsupportedondevice", "system_driver_mismatch", "systemdrivermismatch"}},
			{Match: "(CUDA|error|cuInit|cudaGetDeviceCount).{0,60}\\b(error |code |: ?|\\()80[34]\\b", Weight: 60, Literals: []string{"cuda", "cudagetdevicecount", "cuinit", "error"}},
			{Match: "(usr/local/cuda\\S*/compat|cuda-compat-\\d+)", With: []string{"insufficient|mismatch|80[34]|not supported|unsupported"}, Absent: []string{"PTX was compiled", "unsatisfied condition"}, Weight: 50, Literals: []string{"cuda-compat-", "usr/local/cuda"}},
		},
		Steps: []Advice{
			{Text: "Take the compatibility library off the loader's path of the image", Command: "rm -f /etc/ld.so.conf.d/*cuda*compat*.conf && ldconfig"},
			{Text: "And off LD_LIBRARY_PATH, or install a driver on the host that is new enough for the image", Command: "docker run --gpus all -e LD_LIBRARY_PATH= IMAGE nvidia-smi"},
		},
		Docs: "https://docs.nvidia.com/deploy/cuda-compatibility/index.html"},
	{ID: "driver-too-old", Title: "The driver is older than 535", Severity: "warning",
		Cause: "The host's NVIDIA driver is older than 535, the oldest that is supported here.",
		Symptoms: []Symptom{
			{Match: "(older than|below|before|pre-?|at least|minimum|requires?|needs?|>=) ?(the )?(supported |driver |release |version |branch |r)*535\\b.{0,60}", With: []string{"driver"}, Absent: []string{"insufficient|unsatisfied|unsupported toolchain|nvenc|Driver Release|too old \\(found"}, Weight: 52, Literals: []string{"535"}},
			{Match: "NVMLError_FunctionNotFound|NVML_ERROR_FUNCTION_NOT_FOUND|undefined symbol: nvml\\w+|nvml\\w*.{0,40}Function Not Found|Function Not Found.{0,40}nvml", Absent: []string{"version mismatch"}, Weight: 50, Literals: []string{"_error_function_not_found", "error_functionnotfound", "functionnotfound", "undefinedsymbol:nvml"}},
			{Match: "Driver Version: ?(3\\d\\d|4[0-9]\\d|5[0-2]\\d|53[0-4])\\.\\d+", With: []string{"(driver|it|branch|version)[^\\n]{0,40}(too old|old|end of life|EOL|no longer supported|unsupported|not supported|outdated|older)"}, Absent: []string{"insufficient|unsatisfied|unsupported toolchain|nvenc|Driver Release|too old \\(found|PTX", "kernel image|sm_\\d+"}, Weight: 46, Literals: []string{"driverversion:"}},
			{Match: "(driver|branch) (version )?(R?(390|418|430|440|450|455|460|465|470|495|510|515|520|525|530))\\S* .{0,60}(end of life|EOL|no longer supported|unsupported|not supported|too old|minimum)", Absent: []string{"insufficient|unsatisfied|unsupported toolchain|nvenc|Driver Release|too old \\(found|PTX", "kernel image|sm_\\d+"}, Weight: 46, Literals: []string{"branch", "driver"}},
		},
		Steps: []Advice{
			{Text: "Install driver 535 or newer", Command: "sudo ubuntu-drivers install", Platform: "ubuntu"},
			{Text: "Install driver 535 or newer", Command: "sudo apt-get install nvidia-driver", Platform: "debian"},
			{Text: "Reboot", Command: "sudo reboot"},
		},
		Docs: "https://docs.nvidia.com/datacenter/tesla/drivers/index.html"},
	{ID: "engine-too-old", Title: "The Docker Engine is older than 20.10", Severity: "error",
		Cause:    "The engine or the CLI is too old to know GPU requests.",
		Explains: []ID{"gpus-flag-quoting", "toolkit-not-installed", "cdi-not-enabled"},
		Symptoms: []Symptom{
			{Match: "unknown flag: --gpus ?(\\.|$|\\n|See)", Weight: 76, Literals: []string{"unknownflag:--gpus", "unknownflag:--gpus.", "unknownflag:--gpussee"}},
			{Match: "unknown flag: --gpus", Unless: "--gpus (all|device|\\d|=)", Weight: 74, Literals: []string{"unknownflag:--gpus"}},
			{Match: "--gpus requires API version", Weight: 84, Literals: []string{"--gpusrequiresapiversion"}},
			{Match: "Maximum supported API version is 1\\.([0-3]\\d|40)\\b", Weight: 72, Literals: []string{"maximumsupportedapiversionis1.00", "maximumsupportedapiversionis1.01", "maximumsupportedapiversionis1.02", "maximumsupportedapiversionis1.03", "maximumsupportedapiversionis1.04", "maximumsupportedapiversionis1.05", "maximumsupportedapiversionis1.06", "maximumsupportedapiversionis1.07", "maximumsupportedapiversionis1.08", "maximumsupportedapiversionis1.09", "maximumsupportedapiversionis1.10", "maximumsupportedapiversionis1.11", "maximumsupportedapiversionis1.12", "maximumsupportedapiversionis1.13", "maximumsupportedapiversionis1.14", "maximumsupportedapiversionis1.15", "maximumsupportedapiversionis1.16", "maximumsupportedapiversionis1.17", "maximumsupportedapiversionis1.18", "maximumsupportedapiversionis1.19", "maximumsupportedapiversionis1.20", "maximumsupportedapiversionis1.21", "maximumsupportedapiversionis1.22", "maximumsupportedapiversionis1.23", "maximumsupportedapiversionis1.24", "maximumsupportedapiversionis1.25", "maximumsupportedapiversionis1.26", "maximumsupportedapiversionis1.27", "maximumsupportedapiversionis1.28", "maximumsupportedapiversionis1.29", "maximumsupportedapiversionis1.30", "maximumsupportedapiversionis1.31", "maximumsupportedapiversionis1.32", "maximumsupportedapiversionis1.33", "maximumsupportedapiversionis1.34", "maximumsupportedapiversionis1.35", "maximumsupportedapiversionis1.36", "maximumsupportedapiversionis1.37", "maximumsupportedapiversionis1.38", "maximumsupportedapiversionis1.39", "maximumsupportedapiversionis1.40"}},
			{Match: "server API version: 1\\.([0-3]\\d|40)\\b", With: []string{"newer than server|client is newer"}, Weight: 66, Literals: []string{"serverapiversion:1.00", "serverapiversion:1.01", "serverapiversion:1.02", "serverapiversion:1.03", "serverapiversion:1.04", "serverapiversion:1.05", "serverapiversion:1.06", "serverapiversion:1.07", "serverapiversion:1.08", "serverapiversion:1.09", "serverapiversion:1.10", "serverapiversion:1.11", "serverapiversion:1.12", "serverapiversion:1.13", "serverapiversion:1.14", "serverapiversion:1.15", "serverapiversion:1.16", "serverapiversion:1.17", "serverapiversion:1.18", "serverapiversion:1.19", "serverapiversion:1.20", "serverapiversion:1.21", "serverapiversion:1.22", "serverapiversion:1.23", "serverapiversion:1.24", "serverapiversion:1.25", "serverapiversion:1.26", "serverapiversion:1.27", "serverapiversion:1.28", "serverapiversion:1.29", "serverapiversion:1.30", "serverapiversion:1.31", "serverapiversion:1.32", "serverapiversion:1.33", "serverapiversion:1.34", "serverapiversion:1.35", "serverapiversion:1.36", "serverapiversion:1.37", "serverapiversion:1.38", "serverapiversion:1.39", "serverapiversion:1.40"}},
			{Match: "Docker version (1\\d|1\\.\\d+|20\\.0\\d)\\.\\d+|Server Version: (1\\d\\.\\d\\d|1\\.\\d+)\\.\\d", With: []string{"gpu|nvidia"}, Weight: 56, Literals: []string{"dockerversion", "serverversion:"}},
		},
		Steps: []Advice{
			{Text: "Install a current engine from Docker's repository", Command: "sudo apt-get install docker-ce docker-ce-cli containerd.io", Platform: "debian"},
			{Text: "Install a current engine from Docker's repository", Command: "sudo dnf install docker-ce docker-ce-cli containerd.io", Platform: "fedora"},
		},
		Docs: "https://docs.docker.com/engine/install/"},
}
