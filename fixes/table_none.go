// Code generated from knowledge/none.yaml by go generate; DO NOT EDIT.

package fixes

func init() { playbookTables["none"] = tableNone }

var tableNone = []Entry{
	{ID: "not-gpu-related", Title: "The GPU plays no part in this", Severity: "info",
		Cause: "Nothing in this text is about a GPU.",
		Steps: []Advice{
			{Text: "Look at the first error in the text itself"},
		},
		Docs: "https://docs.docker.com/engine/containers/run/"},
	{ID: "healthy", Title: "This looks bad and is harmless", Severity: "info",
		Cause: "The messages look alarming, but they are of no consequence; the GPU works.",
		Symptoms: []Symptom{
			{Match: "out-of-tree module taints kernel|license NVIDIA taints kernel|no GSP-RM logs will be printed|Failed to init nvsandboxutils|pattern libnvidia-(sandboxutils|nscq)|process group has NOT been destroyed|failed to enable peer access for some device|ucsi_ccg .{0,40}i2c_transfer failed|nvidia-gpu .{0,30}i2c timeout|Not collecting (DCP|NvSwitch|CPU) metrics|Memcpy nodes are added to the graph|nodes were not assigned to the preferred execution|plan file across different models of devices|CUDA lazy loading is not enabled|Persistence mode is deprecated|BAR disabled by regkey|P2P is disabled between connected GPUs|CUDA path could not be detected|NET/Plugin: Could not find|in PGOB mode, this is normal", Weight: 8, Literals: []string{"atternlibnvidia-nscq", "atternlibnvidia-sandboxutils", "bardisabledbyregkey", "cudalazyloadingisnotenabled", "cudapathcouldnotbedetected", "failedtoenablepeeraccessforsomedevice", "failedtoinitnvsandboxutils", "i2c_transferfailed", "i2ctimeout", "inpgobmode,thisisnormal", "licensenvidiataintskernel", "memcpynodesareaddedtothegraph", "net/plugin:couldnotfind", "nodeswerenotassignedtothepreferredexecution", "nogsp-rmlogswillbeprinted", "otcollectingcpumetrics", "otcollectingdcpmetrics", "otcollectingnvswitchmetrics", "out-of-treemoduletaintskernel", "p2pisdisabledbetweenconnectedgpus", "persistencemodeisdeprecated", "planfileacrossdifferentmodelsofdevices", "rocessgrouphasnotbeendestroyed"}},
			{Match: "NUMA node .{0,40}(negative|zero)|successful NUMA node read from SysFS had negative value|could not open file to read NUMA node|kernel may have been built without NUMA support|returning NUMA node zero", Weight: 10, Literals: []string{"kernelmayhavebeenbuiltwithoutnumasupport", "numanode"}},
			{Match: "TF-TRT Warning: Could not find TensorRT", Weight: 10, Literals: []string{"tf-trtwarning:couldnotfindtensorrt"}},
			{Match: "Could not load dynamic library libnvinfer", Weight: 10, Literals: []string{"couldnotloaddynamiclibrarylibnvinfer"}},
			{Match: "Unable to register cu(DNN|BLAS|FFT) factory|Attempting to register factory for plugin cu(DNN|BLAS|FFT)", Weight: 10, Literals: []string{"attemptingtoregisterfactoryforplugincublas", "attemptingtoregisterfactoryforplugincudnn", "attemptingtoregisterfactoryforplugincufft", "unabletoregistercublasfactory", "unabletoregistercudnnfactory", "unabletoregistercufftfactory"}},
			{Match: "No running processes found", Weight: 10, Literals: []string{"norunningprocessesfound"}},
			{Match: "(empty|no|blank|missing) (list of )?(gpu )?process(es)?( list| table| panel| column|es shown)?\\b|process(es)? ?(list|table|panel|names?|section)?.{0,40}(empty|blank|missing|not (shown|listed|displayed|visible))", With: []string{"nvidia-smi|gpustat|nvtop|nvitop|\\bnvml\\b", "container|docker|\\bpod\\b"}, Absent: []string{"out of memory|OOM", "fail\\w*|error"}, Weight: 8, Literals: []string{"process"}},
			{Match: "dxgk?\\w*: .{0,80}(ioctl|Ioctl).{0,40}-(22|2)\\b", Weight: 10, Literals: []string{"ioctl"}},
			{Match: "libcuda\\.so\\.1 is not a symbolic link", Weight: 10, Literals: []string{"libcuda.so.1isnotasymboliclink"}},
			{Match: "NV_WARN_NOTHING_TO_DO", Weight: 10, Literals: []string{"nv_warn_nothing_to_do"}},
			{Match: "Receive command failed, assuming client exit", Weight: 10, Literals: []string{"receivecommandfailed,assumingclientexit"}},
			{Match: "module verification failed: signature and/or required key missing", With: []string{"nvidia"}, Weight: 10, Literals: []string{"moduleverificationfailed:signatureand/orrequiredkeymissing"}},
			{Match: "SW Power Cap\\W{1,60}Active", Unless: "SW Power Cap\\W{1,60}Not Active", Weight: 10, Literals: []string{"swpowercap"}},
			{Match: "Gen(eration)?\\W{1,40}(Current|1\\b).{0,80}|Speed 2\\.5 ?GT/s", With: []string{"\\bidle\\b|nothing (is )?runs?\\b|nothing (is |was )?running|under load it (goes|rises|is)|goes (up )?to \\S+ (under|with) load|no (job|load|process)\\w*|\\bP8\\b|not (in use|used)|not doing", "PCIe|PCI-?Express|LnkSta|GT/s", "gpu|nvidia|geforce|\\b[RG]TX|nvtop|\\b[2345]0[5-9]0\\b|\\b[ABHLV]\\d{2,3}\\b"}, Absent: []string{"Width x\\d+ \\(downgraded\\)"}, Prose: true, Weight: 10, Literals: []string{"gen", "speed2.5gt/s"}},
			{Match: "(avc: ?denied|apparmor=DENIED).{0,300}", Unless: "nvidia|libcuda", With: []string{"nvidia|cuda|gpu"}, Weight: 8, Literals: []string{"apparmor=denied", "avc:denied"}},
			{Match: "CUDA Version:? ?\\d+\\.\\d+.{0,160}(newer|higher|above|differs?|greater|later|different|not the same|mismatch) .{0,60}(image|container|toolkit|nvcc)?", With: []string{"works?|fine|ok\\b|runs?|harmless|normal|expected|worr"}, Weight: 8, Literals: []string{"cudaversion"}},
			{Match: "SHMEM allocation limit is set to the default of 64MB", Weight: 6, Literals: []string{"shmemallocationlimitissettothedefaultof64mb"}},
			{Match: "Because the driver is older than the (PTX compiler|ptxas) version", Weight: 10, Literals: []string{"becausethedriverisolderthantheptxasversion", "becausethedriverisolderthantheptxcompilerversion"}},
			{Match: "Persistence mode is (currently )?(disabled|off)|persistence mode.{0,30}deprecated|persistence mode is disabled on device", Weight: 8, Literals: []string{"persistence"}},
			{Match: "Failed to (open|create) .{0,20}/dev/nvidia-caps.{0,60}(ignored|ignoring)|nvidia-caps.{0,40}not found, ignoring", Weight: 6, Literals: []string{"/dev/nvidia-caps", "notfound,ignoring"}},
			{Match: "Processes:.{0,60}Process name.{0,40}GPU Memory.{0,60}\\|=+\\|.{0,3}\\+-+\\+", Lines: 6, Weight: 9, Literals: []string{"processname"}},
			{Match: "computation_placer.{0,80}already registered|computation placer already registered", Weight: 10, Literals: []string{"alreadyregistered"}},
			{Match: "Delay kernel timed out: measured time has sub-optimal accuracy", Weight: 10, Literals: []string{"delaykerneltimedout:measuredtimehassub-optimalaccuracy"}},
			{Match: "(Could not locate|Failed to locate) .{0,80}pattern \\S+ not found|Ignoring 32-bit libraries for", With: []string{"Generated CDI spec with version"}, Weight: 10, Literals: []string{"couldnotlocate", "failedtolocate", "ignoring32-bitlibrariesfor"}},
			{Match: "Unable to get power limit for GPU", Weight: 8, Literals: []string{"unabletogetpowerlimitforgpu"}},
			{Match: "CUDA Version:? ?\\d+\\.\\d+", With: []string{"(nvcc|image|toolkit|container|base|tag|release)[^\\n]{0,80}\\b\\d+\\.\\d", "(differ|mismatch|wrong|problem|normal|expected|why|worr|bug|conflict|mean|harm|matter|correct|equal|same|agree|disagree|confus|wonder)\\w*|which (one|version|of|number)|have to|must (I|they|both)|from the host"}, Weight: 8, Literals: []string{"cudaversion"}},
			{Match: "DCGM unable to start: DCGM initialization error", Weight: 6, Literals: []string{"dcgmunabletostart:dcgminitializationerror"}},
			{Match: "Failed to launch ptxas|Relying on driver to perform ptx compilation|Couldn.t get ptxas version|ptxas version .{0,40}(older|is not)|Using driver.{0,20}ptx compilation", Weight: 10, Literals: []string{"failedtolaunchptxas", "ptxasversion", "ptxcompilation"}},
			{Match: "CUDA (Version ?)?:? ?\\d+\\.\\d.{0,60}\\b(but|while|whereas|vs\\.?|against|though|although|and|instead of|not)\\b.{0,60}\\b\\d+\\.\\d", With: []string{"nvidia-smi|nvcc", "\\?|why|wonder|normal|expected|everything (runs|works)|works?\\b|confus\\w*|works fine"}, Absent: []string{"insufficient|unsatisfied|unsupported|not supported|mismatch: |fail\\w*|error"}, Prose: true, Weight: 8, Literals: []string{"cuda"}},
			{Match: "Cannot dlopen some (GPU|TensorRT) libraries|libnvinfer\\S*: cannot open", With: []string{"physical_device:GPU|Created device|Created TensorFlow device|works|runs"}, Weight: 9, Literals: []string{":cannotopen", "cannotdlopensomegpulibraries", "cannotdlopensometensorrtlibraries"}},
			{Match: "oneDNN custom operations are on|This TensorFlow binary is optimized", With: []string{"physical_device:GPU|Created (TensorFlow )?device", "nvidia|cuda|GPU"}, Prose: true, Weight: 6, Literals: []string{"onednncustomoperationsareon", "thistensorflowbinaryisoptimized"}},
			{Match: "NVIDIA_VISIBLE_DEVICES", With: []string{"\\bvoid\\b", "(though|although|and yet|still|nevertheless|all the same|all same|even so|but)([^.;?]|\\.\\w){0,60}(sees?|lists?|works?|uses?|visible|runs?)\\b|(sees?|lists?|works?|uses?|runs?|visible)\\b([^.;?]|\\.\\w){0,30}(all the same|anyway|nevertheless|still|regardless)"}, Absent: []string{"\\bgpus: ?all|reservations|privileged|runtime: ?nvidia"}, Prose: true, Weight: 10, Literals: []string{"nvidia_visible_devices"}},
			{Match: "CUDA version", With: []string{"nvidia-smi", "\\b(higher|newer|above|greater|differ\\w*|other|later|lower|older|not the same)\\b", "image|container|toolkit|nvcc", "(everything|it|all|training|program|gpu)\\b[^\\n]{0,20}\\b(works?|runs?|fine|ok)\\b|\\b(is|does|should|must)\\b[^\\n]{0,40}\\?"}, Absent: []string{"insufficient|unsatisfied|unsupported|mismatch: |fail\\w*|error|crash\\w*|not (work|start)|n.?t (work|start)"}, Prose: true, Weight: 8, Literals: []string{"cudaversion"}},
			{Match: "Skipping the delay kernel", Weight: 10, Literals: []string{"skippingthedelaykernel"}},
		},
		Steps: []Advice{
			{Text: "Nothing to do"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html"},
}
