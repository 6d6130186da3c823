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
		packed: "" +
			"8\tout-of-tree module taints kernel|license NVIDIA taints kernel|no GSP-RM logs will be printed|Failed to init nvsandboxutils|pattern libnvidia-(sandboxutils|nscq)|process group has NOT been destroyed|failed to enable peer access for some device|ucsi_ccg .{0,40}i2c_transfer failed|nvidia-gpu .{0,30}i2c timeout|Not collecting (DCP|NvSwitch|CPU) metrics|Memcpy nodes are added to the graph|nodes were not assigned to the preferred execution|plan file across different models of devices|CUDA lazy loading is not enabled|Persistence mode is deprecated|BAR disabled by regkey|P2P is disabled between connected GPUs|CUDA path could not be detected|NET/Plugin: Could not find|in PGOB mode, this is normal\t\t\t\t!atternlibnvidia-nscq 1sandboxutils !bardisabledbyregkey !cudalazyloadingisnotenabled %pathcouldnotbedetected !failedtoenablepeeraccessforsomedevice )initnvsandboxutils !i2c_transferfailed $timeout \"npgobmode,thisisnormal !licensenvidiataintskernel !memcpynodesareaddedtothegraph !net/plugin:couldnotfind \"odeswerenotassignedtothepreferredexecution #gsp-rmlogswillbeprinted !otcollectingcpumetrics -dcpmetrics -nvswitchmetrics \"ut-of-treemoduletaintskernel !p2pisdisabledbetweenconnectedgpus \"ersistencemodeisdeprecated \"lanfileacrossdifferentmodelsofdevices !rocessgrouphasnotbeendestroyed\v" +
			"10\tNUMA node .{0,40}(negative|zero)|successful NUMA node read from SysFS had negative value|could not open file to read NUMA node|kernel may have been built without NUMA support|returning NUMA node zero\t\t\t\t!kernelmayhavebeenbuiltwithoutnumasupport !numanode\v" +
			"10\tTF-TRT Warning: Could not find TensorRT\t\t\t\t!tf-trtwarning:couldnotfindtensorrt\v" +
			"10\tCould not load dynamic library libnvinfer\t\t\t\t!couldnotloaddynamiclibrarylibnvinfer\v" +
			"10\tUnable to register cu(DNN|BLAS|FFT) factory|Attempting to register factory for plugin cu(DNN|BLAS|FFT)\t\t\t\t!attemptingtoregisterfactoryforplugincublas Gdnn Gfft !unabletoregistercublasfactory 3dnnfactory 3fftfactory\v" +
			"10\tNo running processes found\t\t\t\t!norunningprocessesfound\v" +
			"8\t(empty|no|blank|missing) (list of )?(gpu )?process(es)?( list| table| panel| column|es shown)?\\b|process(es)? ?(list|table|panel|names?|section)?.{0,40}(empty|blank|missing|not (shown|listed|displayed|visible))\t\tnvidia-smi|gpustat|nvtop|nvitop|\\bnvml\\b\ncontainer|docker|\\bpod\\b\tout of memory|OOM\nfail\\w*|error\t!process\v" +
			"10\tdxgk?\\w*: .{0,80}(ioctl|Ioctl).{0,40}-(22|2)\\b\t\t\t\t!ioctl\v" +
			"10\tlibcuda\\.so\\.1 is not a symbolic link\t\t\t\t!libcuda.so.1isnotasymboliclink\v" +
			"10\tNV_WARN_NOTHING_TO_DO\t\t\t\t!nv_warn_nothing_to_do\v" +
			"10\tReceive command failed, assuming client exit\t\t\t\t!receivecommandfailed,assumingclientexit\v" +
			"10\tmodule verification failed: signature and/or required key missing\t\tnvidia\t\t!moduleverificationfailed:signatureand/orrequiredkeymissing\v" +
			"10\tSW Power Cap\\W{1,60}Active\tSW Power Cap\\W{1,60}Not Active\t\t\t!swpowercap\v" +
			"10p\tsw_?power_?cap|SW Power Cap|software power cap\t\t\\d ?W (of|/) ?\\d|(at|draws?|reach\\w*) (its|the|full) (power )?limit|limit of \\d|draws (its|the) (full )?\\d|\\d of \\d{3} ?W\nas (fast|quick|expected)|what (others|everybody|people)|everybody gets|nothing else|only (reason|one)|none says|full speed|(throughput|speed|performance|tokens)[^\\n]{0,40}(normal|expected|fine|good|right)\nis (it|that|this)|do I|should I|\\?\tthermal[^\\n]{0,30}\\b(active|asserted)\\b|brake[^\\n]{0,30}\\bactive\\b\ndefault_limit|\\bslow(er|ly)?\\b|\\bhalf (as|the speed)\t!softwarepowercap \"w_power_cap )cap #power_cap (cap\v" +
			"9/2\t(Throttle|Event) Reasons?\\W{1,40}Idle\\W{1,60}Active\t\t\\bwhy\\b|\\bslow(er)?\\b|MHz|(is|are) (this|that|it|these|they) (a |the )?(problem|normal|bad|ok|broken|wrong)\t(SW Power Cap|HW Slowdown|Thermal Slowdown|Brake Slowdown|Sync Boost|Clocks Setting)\\W{1,60}Active\t!eventreason !throttlereason\v" +
			"9/2\tlink\\.gen\\.current.{0,160}(^|\\n| )1, \\d\t\t\\bidle\\b|\\bP8\\b|at rest|nothing runs|under load\t\t!link.gen.current\v" +
			"10/3p\tGen(eration)?\\W{1,40}(Max\\W{1,40}\\d\\W{1,40})?(Current|1\\b).{0,80}|Speed 2\\.5 ?GT/s\t\tat rest|nothing (is )?runs|with a job (running )?it|\\bidle\\b|nothing (is )?runs?\\b|nothing (is |was )?running|under load it (goes|rises|is)|goes (up )?to \\S+ (under|with) load|no (job|load|process)\\w*|\\bP8\\b|not (in use|used)|not doing\nPCIe|PCI-?Express|LnkSta|GT/s\nPCIe Generation|gpu|nvidia|geforce|\\b[RG]TX|nvtop|\\b[2345]0[5-9]0\\b|\\b[ABHLV]\\d{2,3}\\b|\\briser\\b|\\bcards?\\b\tWidth x\\d+ \\(downgraded\\)\nmay be reduced when|could you (add|show)\t!gen !speed2.5gt/s\v" +
			"8\t(avc: ?denied|apparmor=DENIED).{0,300}\tnvidia|libcuda\tnvidia|cuda|gpu\t\t!apparmor=denied \"vc:denied\v" +
			"8\tCUDA Version:? ?\\d+\\.\\d+.{0,160}(newer|higher|above|differs?|greater|later|different|not the same|mismatch) .{0,60}(image|container|toolkit|nvcc)?\t\tworks?|fine|ok\\b|runs?|harmless|normal|expected|worr\t\t!cudaversion\v" +
			"6\tSHMEM allocation limit is set to the default of 64MB\t\t\t\t!shmemallocationlimitissettothedefaultof64mb\v" +
			"10\tBecause the driver is older than the (PTX compiler|ptxas) version\t\t\t\t!becausethedriverisolderthantheptxasversion Bcompilerversion\v" +
			"8\tPersistence mode is (currently )?(disabled|off)|persistence mode.{0,30}deprecated|persistence mode is disabled on device\t\t\t\t!persistence\v" +
			"6\tFailed to (open|create) .{0,20}/dev/nvidia-caps.{0,60}(ignored|ignoring)|nvidia-caps.{0,40}not found, ignoring\t\t\t\t!/dev/nvidia-caps !notfound,ignoring\v" +
			"9/6\tProcesses:.{0,60}Process name.{0,40}GPU Memory.{0,60}\\|=+\\|.{0,3}\\+-+\\+\t\t\t\t!processname\v" +
			"10\tcomputation_placer.{0,80}already registered|computation placer already registered\t\t\t\t!alreadyregistered\v" +
			"10\tDelay kernel timed out: measured time has sub-optimal accuracy\t\t\t\t!delaykerneltimedout:measuredtimehassub-optimalaccuracy\v" +
			"10\t(Could not locate|Failed to locate) .{0,80}pattern \\S+ not found|Ignoring 32-bit libraries for\t\tGenerated CDI spec with version\t\t!couldnotlocate !failedtolocate !ignoring32-bitlibrariesfor\v" +
			"8\tUnable to get power limit for GPU\t\t\t\t!unabletogetpowerlimitforgpu\v" +
			"8\tCUDA Version:? ?\\d+\\.\\d+\t\t(nvcc|image|toolkit|container|base|tag|release)[^\\n]{0,80}\\b\\d+\\.\\d\n(differ|mismatch|wrong|problem|normal|expected|why|worr|bug|conflict|mean|harm|matter|correct|equal|same|agree|disagree|confus|wonder)\\w*|which (one|version|of|number)|have to|must (I|they|both)|from the host\t\t!cudaversion\v" +
			"6\tDCGM unable to start: DCGM initialization error\t\t\t\t!dcgmunabletostart:dcgminitializationerror\v" +
			"10\tFailed to launch ptxas|Relying on driver to perform ptx compilation|Couldn.t get ptxas version|ptxas version .{0,40}(older|is not)|Using driver.{0,20}ptx compilation\t\t\t\t!failedtolaunchptxas !ptxasversion $compilation\v" +
			"8p\tCUDA (Version ?)?:? ?\\d+\\.\\d.{0,60}\\b(but|while|whereas|vs\\.?|against|though|although|and|instead of|not)\\b.{0,60}\\b\\d+\\.\\d\t\tnvidia-smi|nvcc\n\\?|why|wonder|normal|expected|everything (runs|works)|works?\\b|confus\\w*|works fine\tinsufficient|unsatisfied|unsupported|not supported|mismatch: |fail\\w*|error\t!cuda\v" +
			"9\tCannot dlopen some (GPU|TensorRT) libraries|libnvinfer\\S*: cannot open\t\tphysical_device:GPU|Created device|Created TensorFlow device|works|runs\t\t!:cannotopen !cannotdlopensomegpulibraries 1tensorrtlibraries\v" +
			"6p\toneDNN custom operations are on|This TensorFlow binary is optimized\t\tphysical_device:GPU|Created (TensorFlow )?device\nnvidia|cuda|GPU\t\t!onednncustomoperationsareon !thistensorflowbinaryisoptimized\v" +
			"10p\tNVIDIA_VISIBLE_DEVICES\t\t\\bvoid\\b\n(though|although|and yet|still|nevertheless|all the same|all same|even so|but)([^.;?]|\\.\\w){0,60}(sees?|lists?|works?|uses?|visible|runs?)\\b|(sees?|lists?|works?|uses?|runs?|visible)\\b([^.;?]|\\.\\w){0,30}(all the same|anyway|nevertheless|still|regardless)\t\\bgpus: ?all|reservations|privileged|runtime: ?nvidia\t!nvidia_visible_devices\v" +
			"8p\tCUDA version\t\tnvidia-smi\n\\b(higher|newer|above|greater|differ\\w*|other|later|lower|older|not the same)\\b\nimage|container|toolkit|nvcc\n(everything|it|all|training|program|gpu)\\b[^\\n]{0,20}\\b(works?|runs?|fine|ok)\\b|\\b(is|does|should|must)\\b[^\\n]{0,40}\\?\tinsufficient|unsatisfied|unsupported|mismatch: |fail\\w*|error|crash\\w*|not (work|start)|n.?t (work|start)\t!cudaversion\v" +
			"10\tSkipping the delay kernel\t\t\t\t!skippingthedelaykernel\v" +
			"9p\t\\b(no|not|none|any|nobody|without|empty|cannot|can.?t|{nt})\\b.{0,40}\\bprocess(es)?\\b|\\bprocess(es)?\\b.{0,40}\\b(none|not|missing|empty|nobody|nothing)\\b|lists nobody|none of my .{0,16}process(es)?\t\tnvidia-smi|gpustat|nvtop|nvitop\ncontainer|\\bpod\\b|inside|docker\n(on|from) the (node|host)|\\boutside\\b|the host.?s\n(shows?|lists?|sees?|see|prints?) (it|them|my|python|names)|lists? python|it does\\b|does show|(is|are) (listed|shown)|shows them|normal\\?|expected|intended|meant|right in both|broken|a bug\tout of memory|OOM|fail\\w*|\\berrors?\\b|CUDA_ERROR\t!listsnobody !noneofmy !process\v" +
			"9/6\tProcesses: .{0,10}GPU Memory.{0,160}Process name.{0,60}Usage.{0,60}\\|=+\\|.{0,4}\\+-+\\+\t\t\t\t!processname\v" +
			"8p\t(upgrade|update|rebuild|change|renew) (them|it|the image|my image|our images?|the containers?)|is (it|that|this) a problem|do (I|we) (need|have) to|must (I|we)\t\t\\bCUDA\\b\n\\b1[0-3](\\.\\d)?\\b[^\\n]*\\b1[0-3]\\.\\d\nimage|container|built\n(everything|all|it|they)\\b[^\\n]{0,12}\\b(works?|runs?)\\b|\\band (works?|runs?)\\b\ndriver|nvidia-smi|host\tinsufficient|unsatisfied|unsupported|mismatch: |fail\\w*|error|crash\\w*|not (work|start)|n.?t (work|start)\t!changeit 'myimage 'ourimage 'thecontainer *image *m !doihaveto $needto #wehaveto %needto !isitaproblem #thataproblem %isaproblem !musti %we !rebuildit (myimage (ourimage (thecontainer +image +m #newit &myimage &ourimage &thecontainer )image )m !updateit 'myimage 'ourimage 'thecontainer *image *m #gradeit (myimage (ourimage (thecontainer +image +m",
		Steps: []Advice{
			{Text: "Nothing to do"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html"},
}
