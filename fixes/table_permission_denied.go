// Code generated from knowledge/permission-denied.yaml by go generate; DO NOT EDIT.

package fixes

func init() { playbookTables["permission-denied"] = tablePermissionDenied }

var tablePermissionDenied = []Entry{
	{ID: "device-permission-denied", Title: "The user may not open the GPU's device files", Severity: "error",
		Cause:    "The device files of the GPU are there, but their owner, group or mode do not let this user open them.",
		Question: "Does it work as root in the same container? If not even root may, look at SELinux and at the device cgroup.", Explains: []ID{"gpu-not-requested", "cgroup-device-lost", "cdi-generation-failed"},
		packed: "" +
			"66\tNVML( error)?:? ?Insufficient Permissions\t\t\t\\bMIG\\b\t!nvml:insufficientpermissions %error:insufficientpermissions *insufficientpermissions %insufficientpermissions\v" +
			"50\tMemory Manager Not supported|\\bmknod: .{0,4}/dev/nvidia\t\t\t\t!/dev/nvidia !memorymanagernotsupported\v" +
			"58\tcreating device nodes:? .{0,60}/dev/nvidia.{0,60}(not permitted|denied)\t\t\t\t!creatingdevicenodes\v" +
			"56\tmknod\\W.{0,12}/dev/nvidia.{0,30}(not permitted|denied)\t\t\t\t!/dev/nvidia\v" +
			"56\tInsufficient Permissions\t\tNVML|nvidia|nvml\tavc: ?denied|SELinux|getenforce|label=disable|label:disable\n\\bMIG\\b\t!insufficientpermissions\v" +
			"54\tERROR_NO_PERMISSION|NVMLError_NoPermission|user does not have permission for operation\t\t\tavc: ?denied|SELinux\n\\bMIG\\b\t!error_no_permission !nvmlerror_nopermission !userdoesnothavepermissionforoperation\v" +
			"60\t/dev/nvidia[\\w-]*.{0,60}(permission denied|EACCES|Errno 13)|(permission denied|EACCES|Errno 13).{0,60}/dev/nvidia[\\w-]*\t\t\tavc: ?denied|SELinux\nBPF_CGROUP\t!/dev/nvidia\v" +
			"54\t/dev/dri/\\w+.{0,60}(permission denied|EACCES|Errno 13)|(permission denied|EACCES|Errno 13|No permission|cannot open).{0,60}/dev/dri/\\w+\tNo such file\t\t\t!/dev/dri/\v" +
			"50\t(user|account|process) .{0,40}(is )?not (a member of|in) (the )?(groups? )?(video|render)( group)?\t\tnvidia|/dev/dri|gpu\t\t!notamemberofgrouprender 2srender 3video 2video -render -thegrouprender 5srender 6video 5video 0render 0video -video $ingrouprender +srender ,video +video &render &thegrouprender .srender /video .video )render )video &video\v" +
			"60\tNv(Rm|Map|Host)\\w* .{0,40}Permission denied|/dev/(nvmap|nvhost\\S*|nvgpu\\S*|nvidia-caps\\S*|dxg)\\b.{0,60}(permission denied|EACCES|Errno 13)|(permission denied|EACCES|Errno 13).{0,60}/dev/(nvmap|nvhost|nvgpu|dxg)\t\t\tavc: ?denied|SELinux\t!/dev/dxg &nvgpu (host (map !eacces \"rrno13 !permissiondenied\v" +
			"58\tERR_NVGPUCTRPERM|permission to access NVIDIA GPU Performance Counters\t\t\t\t!err_nvgpuctrperm !permissiontoaccessnvidiagpuperformancecounters\v" +
			"50\tUnable to find group (video|render)\t\t\t\t!unabletofindgrouprender 2video\v" +
			"42\t(works?|fine|ok|runs?|sees?|finds?|is there|available|no problem|appears?|good|lists?|prints?|shows?)\\b.{0,50}\\b(as|with|under|for|only|by|if|when|being) (\\w+ ){0,5}(root|uid ?=? ?0|user 0|sudo)\\b|\\b(as|with|under|for|being|when|only) (\\w+ ){0,3}(root|uid ?=? ?0|user 0|sudo)\\b.{0,80}(works?\\b|fine|\\bok\\b|runs?\\b|sees?\\b|finds?\\b|is there|available|no problem|appears?|good\\b|lists?\\b|prints?\\b|shows?\\b)\t\tnon-?root|runAsUser|runAsNonRoot|securityContext|(normal|regular|ordinary|unprivileged|other|another|own|app|service|every|any|no|this|that|jellyfin|plex|emby|ollama) (\\w+ )?(user|account|uid)|\\buid ?:?=? ?\\d{3,}|user: ?\\W?\\d{3,}|user \\d{3,}|PUID|--user\\b|-u \\d{3,}|as (my|a|an) (\\w+ )?(user|account)|give up on|\\bsu (- |-l )?[a-z]\\w+\n/dev/nvidia|/dev/dri|device (file|node)s?|nvidia-smi|\\bgpu\\b|cuda|nvenc|vaapi|transcod\nnvidia|/dev/dri|gpu|cuda\t\\b(modprobe|insmod)\\b\ndocker\\.sock|sock(et)?\\b|-aG docker|docker group|group docker|daemon is|docker daemon\nSELinux|apparmor\nNVML: Unknown|no-cgroups|rootless\t!root !sudo !uid0 $=0 \"ser0\v" +
			"48\t(owner|owned|belongs?|group|permissions?|rights?).{0,60}(root[: ](video|render|vglusers)|\\b(0?660|0?600|crw-rw----|video|render)\\b)\t\t/dev/(nvidia|nvhost|nvmap|nvgpu|dri)|device (file|node)s?|render ?(node|D\\d+)\n\\b(user|uid|account|non-?root|group)s?\\b\n(no|not|n.?t|without|cannot|fail|denied|only|lost|refus\\w*|missing|neither|never)\\b\tSELinux|apparmor\ndocker\\.sock\nno-cgroups|BPF_CGROUP\nUnknown Error\t!belong !group !owned %r !permission !right\v" +
			"50\t(chmod|0?666|a\\+rw|go\\+rw|chgrp|chown|setfacl).{0,60}/dev/(nvidia|nvhost|nvmap|nvgpu|dri)|/dev/(nvidia|nvhost|nvmap|nvgpu|dri)\\S* .{0,80}(chmod|0?666|chgrp|chown|setfacl)\t\twork|help|fix|after|until|reboot|boot|needed|have to|must|again|every\tSELinux|apparmor\nmknod|No such file|docker update|daemon-reload\t!/dev/dri &nvgpu (host (idia (map\v" +
			"48\tNVreg_DeviceFile(Mode|UID|GID)\t\t(no|not|n.?t|cannot|fail|denied|only|lost|refus|permission|insufficient)\t\t!nvreg_devicefilegid 1mode 1uid\v" +
			"42\t\\b(not|{nt}|no|never|lacks?|lacking|without|missing|refus\\w+|denie[sd])\\b.{0,30}(allowed|permitted|rights?|permissions?|access|privileges?).{0,50}(/dev/(nvidia|nvhost|nvmap|nvgpu|dri)|(nvidia|gpu|cuda|the) device|device (file|node)s?|render ?node|\\bGPUs?\\b|graphics card|nvidia (card|file)s?)\t\tnvidia|/dev/dri|cuda|render|nvenc\n\\b(user|uid|root|group|account|sudo|permission)s?\\b\tSELinux|apparmor|setenforce\ndocker\\.sock|socket\nno-cgroups|BPF_CGROUP|rootless|cgroup\nperformance counter\nUnknown Error\nkubectl|pods is forbidden|RBAC\n\\bcrw-rw-rw-\\S* ?\\d+ [\\w-]+ [\\w-]+ +(195|2[2-5]\\d|5\\d\\d), \\d+\t!access \"llowed !permission &tted \"rivilege !right\v" +
			"40p\t\\bPUID\\b|\\buid\\b|non-?root|runAsUser|(normal|regular|ordinary|unprivileged|other|plain) users?|nobody\\b|nogroup|rw for (the )?(root|owner)|(root|owner) only|only (for )?(root|the owner)|(in|of|to|into) (the |that |this |which )?group\\b|which group\\b|under (this|another|that) (user|account)|as (an?|this|another) (\\w+ )?(user|account)|as root\\b|root[: ](video|render)|(unix )?group (video|render)|(video|render) group|crw-[rw-]{2}-[r-]-{2}|\\b0?6[06]0\\b|(rights?|permissions?) (of|on|for|to|come)|may not (use|open|access)|not allowed to (use|open|access)|cannot open the device\t\t/dev/(nvidia|nvhost|nvmap|nvgpu|dri)|(gpu|nvidia|render|card|device) ?(nodes?|files?|devices?)|open the device|use the (card|gpu)|(hardware|hw) (transcod\\w*|accel\\w*|encod\\w*)|nvenc\n{prose}|\\b(now|since|after|when|but)\\b\tdocker\\.sock|sock(et)?\\b|docker group|docker daemon|sudo docker\nSELinux|apparmor\nno-cgroups|BPF_CGROUP|Unknown Error|devices\\.allow\nrootless[^\\n]{0,80}(bpf|hook)\nmknod|No such file|mismatch|could not select\noperation not permitted|EPERM\t!600 \"60 !account !cannotopenthedevice \"rw------- (r-- &r---- (r-- &w---- (r-- %r----- (r-- &r---- (r-- &w---- (r-- %w----- (r-- &r---- (r-- &w---- (r-- !grouprender &video !ingroup #thatgroup %egroup %isgroup !maynotaccess 'open 'use !nobody #group #tallowedtoaccess -open -use !ofgroup #thatgroup %egroup %isgroup \"nlyfortheowner %theowner \"wneronly !permissioncome +for +of ,n +scome ,for ,of -n ,to +to !rendergroup \"ightcome &for &of 'n &scome 'for 'of (n 'to &to \"oot \"wforowner &theowner !togroup #thatgroup %egroup %isgroup !uid \"ser !videogroup !whichgroup\v" +
			"48\t(permission denied|not permitted|no permission|access denied|EACCES).{0,30}(open\\w*|access\\w*|us\\w+|on|for|to) .{0,16}(device|gpu|card)\\b|(open\\w*|access\\w*|us(e|ing)) .{0,16}(device|gpu|card)s?\\b.{0,30}(permission denied|not permitted|no permission|access denied|EACCES)\t\tcuda|nvidia|\\bgpus?\\b|/dev/dri\tdocker\\.sock|SELinux|apparmor|avc: ?denied\npull access denied|repository does not exist|access to the resource is denied\nttyUSB|/dev/(video|snd|kvm|fuse|tty|sd|loop|bus)\ncgroup|rootless|BPF|no-cgroups\nperformance counter\t!accessdenied !eacces !nopermission #tpermitted !permissiondenied\v" +
			"50\t\\bc[r-][w-][x-][r-][w-][x-]--[-tT][.+]? ?\\d+ [\\w-]+ [\\w-]+ +(195|2[2-5]\\d|5\\d\\d), \\d+\t\t\\b(uid|users?|account|non-?root|root|appuser|groups?|id|USER|whoami)\\b[\\s\\S]*|[$] \n{bad}|\\bonly\\b|False\n/dev/(nvidia|nvhost|nvmap|nvgpu|dri)|nvidia(\\d|ctl)\\b\tSELinux|apparmor|avc: ?denied\ndocker\\.sock\nno-cgroups|BPF_CGROUP|Unknown Error|devices\\.allow\nmismatch|could not select|unresolvable|couldn.?t communicate|No such file|out of memory|\\bXid\\b\t!c-------- 'x-- &w--- 'x-- %r---- 'x-- &w--- 'x-- $x----- 'x-- &w--- 'x-- %r---- 'x-- &w--- 'x-- #w------ 'x-- &w--- 'x-- %r---- 'x-- &w--- 'x-- $x----- 'x-- &w--- 'x-- %r---- 'x-- &w--- 'x-- \"r------- 'x-- &w--- 'x-- %r---- 'x-- &w--- 'x-- $x----- 'x-- &w--- 'x-- %r---- 'x-- &w--- 'x-- #w------ 'x-- &w--- 'x-- %r---- 'x-- &w--- 'x-- $x----- 'x-- &w--- 'x-- %r---- 'x-- &w--- 'x--\v" +
			"50\t(exec|run|container|it) .{0,12}-(-user|u)[ =]?(0|root)\\b .{0,80}(works?|fine|ok\\b|prints?|shows?|lists?|sees?|finds?|runs?|there)\\b\t\t{gpu}|/dev/dri\n\\bas (\\w+ )?\\w+ (it |nvidia-smi |this )?(does|do|fails?|is|says?|gets?|sees?)|\\buser\\b|non-?root|\\buid\\b|appuser|default user|own user\n{bad}|\\bonly\\b\tSELinux|apparmor\ndocker\\.sock\nno-cgroups|BPF_CGROUP|Unknown Error\nmismatch|could not select\t!--user*0 (root '0 '=0 (root 'root \"u*0 $root #0 #=0 $root #root\v" +
			"54\tInsufficient Per\\w*\\W{0,4}$\t\tNVML|nvidia|nvml\tavc: ?denied|SELinux\n\\bMIG\\b\t!insufficientper",
		Steps: []Advice{
			{Text: "See who may open them", Command: "ls -ln /dev/nvidia* /dev/dri"},
			{Text: "Let all users open them, as the driver does by default, and have udev make them anew", Command: "sudo udevadm trigger --subsystem-match=nvidia; sudo nvidia-modprobe -c=0 -u -m"},
			{Text: "Or add the group that owns them to the container's user", Command: "docker run --gpus all --group-add \"$(stat -c %g /dev/nvidia0)\" IMAGE"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html"},
	{ID: "docker-socket-permission", Title: "This user may not talk to the engine", Severity: "error",
		Cause:    "The engine's socket belongs to root and the group docker, and this user is in neither.",
		Explains: []ID{"docker-daemon-not-running"},
		packed: "" +
			"80\tpermission denied while trying to connect to the docker (daemon socket|API|daemon)\t\t\t\t!permissiondeniedwhiletryingtoconnecttothedockerapi Pdaemon\v" +
			"80\tdial unix \\S*docker\\S*\\.sock: connect: permission denied\t\t\t\t!.sock:connect:permissiondenied\v" +
			"78\tGot permission denied while trying to connect\t\t\t\t!gotpermissiondeniedwhiletryingtoconnect\v" +
			"78\tError while fetching server API version: .{0,60}(PermissionError|Permission denied)\t\t\t\t!errorwhilefetchingserverapiversion:\v" +
			"72\tdocker\\.sock.{0,60}(permission denied|EACCES|Errno 13)|(permission denied|EACCES|Errno 13).{0,80}docker\\.sock\t\t\t\t!docker.sock\v" +
			"78\tpipe/docker\\w*: Access is denied|AccessDenied\\w*.{0,40}docker\\.sock\t\t\t\t!:accessisdenied !accessdenied\v" +
			"60\t\\bsrw\\S+ .{0,50}docker\\.sock\t\tpermission denied|EACCES|not permitted\t\t!docker.sock\v" +
			"54\t\\b(no|not|{nt}|without|lacks?|denie[sd]|refuse[sd]?|missing|need)\\b.{0,40}(rights?|permissions?|permitted|allowed|access|privileges?).{0,50}(\\bsocket\\b|docker\\.sock|docker daemon|/var/run)|(\\bsocket\\b|docker\\.sock|docker daemon).{0,60}\\b(no|not|{nt}|without|denie[sd]|refuse[sd]?|lacks?)\\b.{0,20}(rights?|permissions?|permitted|allowed|access|open)\t\tdocker\n\\b(sudo|groups?|root|user|account|me|my|I)\\b\t/dev/nvidia|/dev/dri|NVML|nvidia-persistenced|/run/nvidia\nSELinux\t!/var/run !docker.sock 'daemon !socket\v" +
			"52\tusermod -aG docker|(in|to|of|into) (the )?(unix )?(.?docker.? group|group (called |named )?.?docker.?\\b)|newgrp docker|gpasswd -a \\S+ docker|adduser \\S+ docker\t\t\\b(still|no change|changed nothing|nothing changed|denied|permission|refus\\w+|log(ged)? ?(out|in)|newgrp|new (terminal|login|shell|session)|{nt} (work|help)|not (work|help|allowed|permitted)|same error|only with sudo|without sudo)\\b\tnvidia-container-cli|Unknown Error|could not select|Unknown runtime|unknown or invalid|Insufficient Permissions|unresolvable\nrootless\n/dev/nvidia|/dev/dri\t!adduser !gpasswd-a \"roup !newgrpdocker !usermod-agdocker\v" +
			"40\t(without|no|unless I (use|type|put|write)) sudo\\b|(only|just|has to be|must be|needs?|works?|fine|goes|runs?).{0,30}(with|using|under|in front|prefix\\w*) .{0,12}sudo\\b|sudo (in front|before|docker).{0,60}(works?|fine|runs?|good|ok)\\b\t\t\\bdocker\\b\n(without (sudo|it|root)|as (a |my |the )?(\\w+ )?user|permission|denied|not allowed|no rights?|refus\\w+|complain\\w*|n.?t let|not let)\t/dev/nvidia|/dev/dri|NVML|Insufficient|Error response from daemon|nvidia-container-cli\nrootless\ndevice (file|node)\napt|dnf|yum\t!sudo\v" +
			"40p\tdocker.{0,3} socket|daemon.{0,3} socket|\\bsocket\\b.{0,40}docker|docker\\.sock|talk (to|with) (the )?(docker|daemon|engine)\t\t(not allowed|no rights?|permission|denied|sudo\\b|\\bgroup\\b|may not|forbidden|as root|access[^\\n]{0,24}refused|(can.?t|cannot|not) (talk|access|open))\n{prose}\tnvidia-persistenced|/run/nvidia|containerd\\.sock|no such file|connection refused|Cannot connect to the Docker daemon\nrootless\nError response from daemon\t!docker.sock !socket !talktodaemon (ocker 'engine 'thedaemon +ocker *engine %withdaemon *ocker )engine )thedaemon -ocker ,engine\v" +
			"78\tConnection aborted\\W{0,6}PermissionError\t\tdocker\t\t!connectionaborted\v" +
			"70\tpermission denied while trying to (connect)?( to)?( the)?( d\\w{0,5})?\\W{0,4}$\t\t\t\t!permissiondeniedwhiletryingto",
		Steps: []Advice{
			{Text: "Join the group docker, whose members can do on this machine what root can", Command: "sudo usermod -aG docker $USER"},
			{Text: "Log in again, or take the group in this shell", Command: "newgrp docker"},
		},
		Docs: "https://docs.docker.com/engine/install/linux-postinstall/"},
	{ID: "docker-daemon-not-running", Title: "No engine answers", Severity: "error",
		Cause: "The docker command reaches no engine at the address it uses, because none runs there.",
		packed: "" +
			"60\tCannot connect to the Docker daemon\t\t\t\t!cannotconnecttothedockerdaemon\v" +
			"60\tIs the docker daemon running\t\t\t\t!isthedockerdaemonrunning\v" +
			"60\tfailed to connect to the docker API\t\t\t\t!failedtoconnecttothedockerapi\v" +
			"56\terror during connect: .{0,200}(docker|dockerDesktop)\t\t\t\t!errorduringconnect:\v" +
			"60\tCouldn.?t connect to Docker daemon\t\t\t\t!tconnecttodockerdaemon\v" +
			"56\tError while fetching server API version: .{0,80}(FileNotFoundError|No such file or directory|ConnectionRefused|Connection refused|Connection aborted)\tPermission\t\t\t!errorwhilefetchingserverapiversion:\v" +
			"52\tdocker\\.service: (Main process exited|Failed with result|Start request repeated too quickly)|Failed to start (docker\\.service|Docker Application Container Engine)|Job for docker\\.service failed\t\t\t\t!failedtostartdocker.service 4applicationcontainerengine 'withresult !jobfordocker.servicefailed !mainprocessexited !startrequestrepeatedtooquickly\v" +
			"58\tdial unix \\S*docker\\.sock: connect: (no such file or directory|connection refused)\t\t\t\t!docker.sock:connect:connectionrefused 5nosuchfileordirectory\v" +
			"60\tdocker_engine.{0,40}(The system cannot find the file|cannot find)|dockerDesktopLinuxEngine.{0,60}(cannot find|file specified)\t\t\t\t!cannotfind !desktoplinuxengine\v" +
			"58\tDocker Desktop is not running|docker daemon is not running\t\t\t\t!daemonisnotrunning \"esktopisnotrunning\v" +
			"60\tCannot connect to Podman|unable to connect to Podman socket\t\t\t\t!cannotconnecttopodman !unabletoconnecttopodmansocket\v" +
			"56\trequest returned .{0,60}for API route and version .{0,80}(docker|podman)\tdenied|Forbidden\t\t\t!requestreturned\v" +
			"58\tcould not be found in this WSL ?2? distro\t\tdocker\t\t!couldnotbefoundinthiswsl2distro 9distro\v" +
			"54\t(failed to start daemon|failed to start containerd|Error starting daemon): .{0,120}\tconfigure the Docker daemon|default runtime|default-runtime\tdocker\t\t!errorstartingdaemon !tostartcontainerd (daemon\v" +
			"34p\t\\bdocker(d| desktop| daemon| service| engine)*( itself)? (is|was|does|did|has|will|would|can|could|isn.?t|wasn.?t|doesn.?t|didn.?t|won.?t|can.?t|do|wo)\\b ?(not|n.?t|never|no longer)? ?(\\w+ ){0,2}(not|n.?t|never|no longer|refuses? to)? ?(running|start(ed|ing)?|come up|coming up|respond\\w*|answer\\w*|up|alive|reachable|active)\\b\t(as|with|without) root|rootless|docker (container|image|compose|run|gpu)|docker is running|docker (was |is |has )?(started|running|up|active|alive)\t\\b(not|{nt}|never|no longer|refuses)\\b\n(^|[ (,.])(I|we|my|our|me|you|it|since|after|when|why|how)\\b\tError response from daemon|nvidia-container-cli|NVML|could not select|daemon\\.json|Unknown runtime|unknown or invalid\nGPU (is|was) not\t!docker\v" +
			"34\t(docker (desktop|daemon|service|engine)|dockerd)( process| itself)? (is |was |seems |keeps? |got )?(\\w+ ){0,2}(dead|down|inactive|stopped|failed|crash\\w*|stuck|gone|exits?|exited)\\b|(start|restart) (the )?docker (daemon|service|engine|desktop) .{0,40}(by hand|manually|every time|each time|again)\tdocker compose|container\t\tError response from daemon|nvidia-container-cli|NVML|could not select|daemon\\.json|Unknown runtime|unknown or invalid\nbefore|stopped docker\t!dockerd 'engine 'service\v" +
			"32p\tdocker desktop|docker ?(daemon|engine|service)|dockerd[^\\[\\w]|the daemon|docker in wsl\t\t(hangs?|stuck|crash\\w*|(has|had|is|was|got) (\\w+ )?(stopped|gone|quit)|not (reach|come|start|run|answer|respond)\\w*|n.?t (reach|come|start|run|answer|respond)\\w*|could not reach|cannot reach|no answer|won.?t (start|come|run)|inactive|never (starts?|comes?)|refuses? to start|down\\b)\n{prose}|\\b(after|since|when|now|because)\\b\tError response from daemon|nvidia-container-cli|NVML|could not select|Unknown runtime|unknown or invalid|daemon\\.json\ncontainer[^\\n]{0,20}(not|n.?t|never) start\npermission|not allowed|rootless\nas root\t!docker !thedaemon\v" +
			"56\terror during connect:.{0,240}(dial tcp|connection refused|open //\\./pipe|i/o timeout|no such host)|dial tcp \\S+:237[56]: (connect: connection refused|i/o timeout)\t\t\t\t!:2375:connect:connectionrefused 'i/otimeout %6:connect:connectionrefused 'i/otimeout !errorduringconnect:\v" +
			"58/6\tDocker Application Container Engine\\b.{0,300}Active: (inactive|failed|deactivating|activating \\(auto-restart)\t\t\t\t!dockerapplicationcontainerengine\v" +
			"58/2\tis-active (docker\\S* ){1,2}(inactive|failed|activating)\t\t\t\t!is-active\v" +
			"56\tConnection aborted\\W{0,6}(FileNotFoundError|ConnectionRefusedError)\t\tdocker\t\t!connectionaborted\v" +
			"56\tCannot connect to the Do\\w*( d\\w{0,5})?\\W{0,4}$|^\\W{0,4}(\\w+ ){0,3}to the Docker daemon at (unix|tcp|npipe|ssh|http)|Is the docker dae\\w*\t\t\tpermission denied\t!cannotconnecttothedo !isthedockerdae !tothedockerdaemonathttp 4npipe 4ssh 4tcp 4unix",
		Steps: []Advice{
			{Text: "Start it", Command: "sudo systemctl start docker"},
			{Text: "Where it does not stay up, read why", Command: "journalctl -u docker --since -10min --no-pager"},
			{Text: "On Windows and macOS start Docker Desktop", Platform: "docker-desktop"},
			{Text: "See which engine the command uses", Command: "docker context ls"},
		},
		Docs: "https://docs.docker.com/engine/daemon/troubleshoot/"},
	{ID: "daemon-json-invalid", Title: "daemon.json cannot be used", Severity: "error",
		Cause:    "The engine's configuration file does not parse, names something the engine does not know, or conflicts with its flags, so the engine does not start.",
		Explains: []ID{"docker-daemon-not-running", "runtime-not-registered", "toolkit-not-installed", "docker-not-restarted"},
		packed: "" +
			"70\tcannot configure both path and runtimeType|must not both be specified in the config file\t\t\t\t!cannotconfigurebothpathandruntimetype !mustnotbothbespecifiedintheconfigfile\v" +
			"74\truntime name \\S+ is reserved|failed to decode configuration JSON|runtime \\S+: (either a runtimeType or a path must be configured|cannot configure both path|(options|args) cannot be used with a)\t\t\t\t!argscannotbeusedwitha !cannotconfigurebothpath !eitheraruntimetypeorapathmustbeconfigured !failedtodecodeconfigurationjson !optionscannotbeusedwitha !runtimename\v" +
			"82\tunable to configure the Docker daemon with file\t\t\t\t!unabletoconfigurethedockerdaemonwithfile\v" +
			"82\tdirectives (are specified both as a flag and in the configuration file|don.?t match any configuration option)\t\t\t\t!arespecifiedbothasaflagandintheconfigurationfile !tmatchanyconfigurationoption\v" +
			"76\tmerged configuration validation from file|conflicting configurations? from (flags|file)\t\t\t\t!conflictingconfigurationfromfile >lags 9sfromfile ?lags !mergedconfigurationvalidationfromfile\v" +
			"76\tdaemon\\.json.{0,160}(invalid character|cannot unmarshal|unexpected (end of JSON|EOF)|looking for beginning|parse error|not valid JSON|invalid JSON|syntax error|trailing comma|JSONDecodeError)\t\t\t\t!daemon.json\v" +
			"74\t(invalid character|cannot unmarshal|unexpected end of JSON|parse error|invalid JSON|syntax error).{0,160}daemon\\.json\t\t\t\t!daemon.json\v" +
			"72\tunable to (load|read) config( for runtime docker)?: .{0,80}(invalid character|unexpected end|cannot unmarshal)\t\t\t\t!cannotunmarshal !invalidcharacter !unexpectedend\v" +
			"64\t(invalid character .{1,6} (looking for|after)|unexpected end of JSON input)\t\tdaemon\\.json\t\t!invalidcharacter !unexpectedendofjsoninput\v" +
			"70\tdocker: ?(invalid|bad) (config|configuration) (file|in) .{0,40}daemon\\.json\t\t\t\t!daemon.json\v" +
			"70\tExpecting .{0,40}line \\d+ column \\d+|Extra data: line \\d+ column|parse error: .{0,100}line \\d+|Trailing comma|SyntaxError: .{0,60}JSON\t\tdaemon\\.json\t\t!parseerror: \"ecting !syntaxerror: !tradata:line $ilingcomma\v" +
			"56\tdaemon\\.json\t\t(edit|put|add|chang|insert|past|touch|modif|wrote|writ|merg|copied|correct|extend|append|enter|set)\\w*\\b\n(docker|dockerd|service|daemon|engine|systemctl|restart)\\b[^\\n]{0,80}(fail|not start|n.?t start|refuses?|dead|\\bdown\\b|control process|no longer (starts?|comes?)|crash|won.?t|does not come|n.?t come|exit-code|never (starts?|comes?)|not (running|start|come up))\n(^|[ (,.])(I|we|my|our|since|after|when|now)\\b\tnobody (restarts?|reloads?)|never (been )?restarted|n.?t (been )?restarted|still the one|started (ahead|before)\nunknown or invalid runtime|Unknown runtime|could not select|NVML|Unknown Error\n(has no|without) effect|ignored|not read|does not exist|docker info|Runtimes: \\w|must I (write|create|make)\nsnap|Docker Desktop\t!daemon.json\v" +
			"60\tdaemon\\.json\t\t^\\s*\\}\\s*\\n\\s*\\{\\s*$|,\\s*\\n\\s*[}\\]]|[“”]\n(docker|dockerd|service|daemon|engine|systemctl|restart)\\b[^\\n]{0,80}(fail|not start|n.?t start|refuses?|dead|\\bdown\\b|control process|crash|won.?t|exit-code|not running)\t\t!daemon.json\v" +
			"58\t(comma|bracket|brace|quote|typo|syntax)s?\\b.{0,80}daemon\\.json|daemon\\.json.{0,120}\\b(comma|bracket|brace|typo|syntax|malformed|not valid|invalid|broken)s?\\b\t\tdocker\tunknown or invalid runtime\t!daemon.json\v" +
			"44p\tdaemon\\.json\t\t(\\bdead\\b|not start|n.?t start|refuses? to start|fail\\w* to start|\\bfailed\\b|code=exited|does not come|n.?t come|crash\\w*|(move|delete|remove|rename|take)\\w* (the file|it) (away|and|docker|starts?)|won.?t start)\n{prose}\ndocker\tunknown or invalid runtime|Unknown runtime|could not select|NVML|Unknown Error\n(has no|without) effect|ignored|not read|does not exist|docker info|Runtimes: \\w|must I (write|create|make)\nsnap|Docker Desktop\t!daemon.json\v" +
			"72\tunable to configure the Docker d\\w*\t\t\t\t!unabletoconfigurethedockerd",
		Steps: []Advice{
			{Text: "See what is wrong, and where", Command: "sudo dockerd --validate --config-file /etc/docker/daemon.json"},
			{Text: "Correct the line; nvidia-ctk writes the part about the runtime, once the file parses", Command: "sudo nvidia-ctk runtime configure --runtime=docker --dry-run"},
			{Text: "Start the engine", Command: "sudo systemctl restart docker"},
		},
		Docs: "https://docs.docker.com/reference/cli/dockerd/"},
	{ID: "selinux-denied", Title: "SELinux blocks the GPU", Severity: "error",
		Cause:    "SELinux's policy does not let containers use the NVIDIA devices or libraries.",
		Explains: []ID{"device-permission-denied", "gpu-not-requested", "cgroup-device-lost", "driver-capabilities-missing"},
		packed: "" +
			"82\tavc: ?denied .{0,400}(nvidia|xserver_misc_device_t|libcuda)\t\t\t\t!avc:denied\v" +
			"72\t(nvidia|xserver_misc_device_t).{0,300}avc: ?denied\t\t\t\t!avc:denied\v" +
			"80\tSELinux is preventing .{0,120}(nvidia|libcuda)\t\t\t\t!selinuxispreventing\v" +
			"72\tInsufficient Permissions|/dev/nvidia[\\w-]*: permission denied|permission denied.{0,30}(/dev/nvidia|libcuda|libnvidia)\t\tSELinux|getenforce|setenforce|label=disable|label:disable|avc: ?denied|container_t|security-opt label\t\t!insufficientpermissions !permissiondenied\v" +
			"60\tInsufficient Permissions\t\tFedora|RHEL|Red Hat|CentOS|Rocky|AlmaLinux|Oracle Linux\t\\bMIG\\b\ngroup (video|render)|video group|render group|crw-rw----|0660|NVreg_DeviceFile\npermissive|SELinux (is )?disabled\t!insufficientpermissions\v" +
			"70\t(setenforce 0|label=disable|label:disable|setsebool .{0,40}container_use_devices).{0,160}(works?|fixes|helps|fixed|solved|runs|fine)\t\tnvidia|cuda|gpu\t\t!container_use_devices !label:disable &=disable !setenforce0\v" +
			"60\tavc: ?denied .{0,400}(/dev/dri/|dri_device_t)\t\tnvidia|cuda|nvenc\t\t!avc:denied\v" +
			"66\tlib(cuda|nvidia\\S*|nvcuvid)\\S*:? (cannot open shared object file|failed to map segment.{0,30}|cannot apply additional memory protection.{0,30}|cannot enable executable stack.{0,40}): Permission denied\t\t\t\t!:permissiondenied\v" +
			"78\tTarget Objects? +\\S*(/dev/nvidia|libcuda|libnvidia)|(Target Context|tcontext=?) ?\\S*(xserver_misc_device_t|nvidia_\\w+_t)\t\t\t\t!targetobject \"context\v" +
			"50\tsetenforce|SELinux|audit2allow|semodule|permissive mode|enforcing mode|container_use_devices|label[=:]disable\t\tnvidia|cuda|\\bgpus?\\b|/dev/dri\n(works?|fine|helps?|fix\\w*|ok|runs?|possible|again|solv\\w*|good|gone|disappears?)\\b\n(fail\\w*|denied|denies|block\\w*|\\bnot\\b|n.?t\\b|refuse\\w*|insufficient|error|\\bno\\b|complain\\w*|permission)\n(^|[ (,.])(I|we|my|our|the|with)\\b\tSELinux\\W{0,3}(is |status\\W{0,3}|mode )?(already |was )?(disabled|off|permissive|not)\\b|getenforce\\W{0,6}(Permissive|Disabled)|disabled SELinux|no SELinux|SELinux=disabled\nmismatch|couldn.?t communicate|Unknown Error|could not select|out of memory|no space left\t!audit2allow !container_use_devices !enforcingmode !label:disable &=disable !permissivemode !selinux #module #tenforce\v" +
			"36p\tselinux|setenforce|semanage|setsebool|audit2allow|semodule|restorecon|label[=:] ?disable|enforcing mode\t\t{gpu}\n{prose}\n{bad}|\\bonly\\b\tSELinux\\W{0,3}(is |status\\W{0,3}|mode )?(already |was )?(disabled|off|permissive|not)\\b|getenforce\\W{0,6}(Permissive|Disabled)|(disabled|no) SELinux|SELinux=disabled|(not|n.?t) (be |the )?selinux\nmismatch|couldn.?t communicate|Unknown Error|could not select|out of memory|no space left\t!audit2allow !enforcingmode !label:disable &=disable !restorecon !selinux #manage $odule #tenforce $sebool\v" +
			"68\t\\bavc\\b.{0,200}(nvidia|libcuda)|(nvidia|libcuda).{0,120}\\bavc\\b\tapparmor\t\t\t!avc",
		Steps: []Advice{
			{Text: "See what was denied", Command: "sudo ausearch -m avc -ts recent | grep nvidia"},
			{Text: "Let containers use devices", Command: "sudo setsebool -P container_use_devices on"},
			{Text: "Or take the label off this container alone", Command: "docker run --gpus all --security-opt label=disable IMAGE nvidia-smi"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html"},
	{ID: "apparmor-denied", Title: "AppArmor blocks the GPU", Severity: "error",
		Cause:    "The AppArmor profile in force does not let the container or the toolkit use the NVIDIA files.",
		Explains: []ID{"device-permission-denied", "gpu-not-requested", "cgroup-device-lost", "device-node-missing"},
		packed: "" +
			"82\tapparmor=DENIED.{0,400}(nvidia|libcuda)\t\t\t\t!apparmor=denied\v" +
			"70\t(nvidia|libcuda).{0,300}apparmor=DENIED\t\t\t\t!apparmor=denied\v" +
			"68\tapparmor.{0,60}(denied|denies|blocks|blocking|prevents?).{0,160}(nvidia|libcuda)\t\t\t\t!apparmor\v" +
			"60\t(apparmor[=:] ?unconfined|aa-complain|aa-disable).{0,160}(works?|fixes|helps|fixed|solved|runs|fine|(it|they|everything|all|same) (\\w+ )?(can|does|do|goes|is there)\\b)\t\tnvidia|cuda|gpu\t\t!aa-complain $disable \"pparmor:unconfined )=unconfined\v" +
			"66\t(works?|runs?|only|fixes|helps|fine|ok|starts?|possible|unless).{0,200}(apparmor[=:] ?unconfined|aa-complain|aa-disable|aa-teardown|apparmor .{0,30}(off|disabled?|unconfined|complain|stopped))\t\tnvidia|cuda|gpu\tapparmor=(STATUS|ALLOWED)\napparmor failed to apply|apply apparmor profile\t!a-complain #disable #teardown !pparmor\v" +
			"52\tapparmor\t\tnvidia|cuda|\\bgpus?\\b|/dev/dri\n(denied|DENIED|blocks?|blocked|forbids?|refus\\w+|not (allow|permit)\\w*|n.?t allow)\n(^|[ (,.])(I|we|my|our|how|why|with|when|without)\\b\n(without|with|disabl\\w+|turn\\w* off|unload\\w*|complain|unconfined|aa-\\w+|profile)\tapparmor=\nUnknown Error|could not select|mismatch|couldn.?t communicate\t!apparmor\v" +
			"36p\tapparmor\t\t{gpu}\n{prose}\n{bad}\tapparmor=\nUnknown Error|could not select|mismatch|couldn.?t communicate\napparmor (is |was )?(disabled|off|not)|no apparmor\t!apparmor",
		Steps: []Advice{
			{Text: "See what was denied, and by which profile", Command: "sudo journalctl -k --grep 'apparmor=\"DENIED\".*nvidia'"},
			{Text: "Allow it in that profile, or try without for this container alone", Command: "docker run --gpus all --security-opt apparmor=unconfined IMAGE nvidia-smi"},
		},
		Docs: "https://docs.docker.com/engine/security/apparmor/"},
	{ID: "rootless-no-cgroups", Title: "A rootless engine may not set device cgroups", Severity: "error",
		Cause:    "The toolkit tries to set the container's device cgroup, which an engine without root rights is not allowed to do.",
		Explains: []ID{"gpu-not-requested", "cgroup-device-lost", "device-permission-denied", "cgroup-v2-unsupported-toolkit"},
		packed: "" +
			"78\tBPF_PROG_(ATTACH|DETACH|QUERY)\\W{1,3}BPF_CGROUP_DEVICE.{0,40}not permitted\t\t\t\t!bpf_cgroup_device\v" +
			"50\tnvidia-container-cli: (permission|mount|container) error: .{0,200}(operation not permitted|permission denied)\tfile exists|persistenced|ldconfig|/sbin/|unable to (generate|create)\t\t\t!operationnotpermitted !permissiondenied\v" +
			"82\tBPF_CGROUP_DEVICE\\)? failed:? ?operation not permitted\t\t\t\t!bpf_cgroup_device)failed:operationnotpermitted 9operationnotpermitted 2failed:operationnotpermitted 8operationnotpermitted\v" +
			"74\tbpf_prog_query\\(?BPF_CGROUP_DEVICE\t\t\t\t!bpf_prog_query(bpf_cgroup_device /bpf_cgroup_device\v" +
			"74\tdevices\\.(allow|deny)\\W{0,3} ?(operation not permitted|permission denied)\t\t\t\t!devices.allow )deny\v" +
			"74\tfailed to (set|add) device (cgroup|rules?).{0,160}(operation not permitted|permission denied)\t\t\t\t!operationnotpermitted !permissiondenied\v" +
			"72\tunable to find any existing device filters attached to the cgroup\t\t\t\t!unabletofindanyexistingdevicefiltersattachedtothecgroup\v" +
			"60\tnvidia-container-cli: .{0,80}(operation not permitted|permission denied)\t\trootless|/run/user/\\d+|userns|user namespace\tfile exists\t!nvidia-container-cli:\v" +
			"80\t(device filters?( program)?|load program|attach\\w* program|bpf_prog_\\w+|BPF_PROG_\\w+)\\W.{0,120}(operation not permitted|permission denied)\t\tnvidia|libnvidia|existing programs|--gpus\t\t!operationnotpermitted !permissiondenied\v" +
			"62\t(bpf|cgroups?|devices\\.allow|device (rules?|filters?)).{0,80}(not permitted|not allowed|denied|no permission|may not|EPERM|forbidden|fail\\w*)|(not permitted|not allowed|denied|no permission|EPERM|forbidden).{0,60}(bpf|cgroups?\\b|devices\\.allow|device rules?)\t\trootless|/run/user/\\d+|userns|user namespace|without root\nnvidia|--gpus|gpu|cuda\tUnknown Error\t!bpf !cgroup !denied #vicefilter 'rule 's.allow !eperm !forbidden !nopermission #tallowed $permitted\v" +
			"52\trootless\t\tnvidia|--gpus|cuda|\\bgpus?\\b\n(fail\\w*|error|break\\w*|broke|not (work|start|see|run|come)|n.?t (work|start|see|run|come)|refus\\w+|denied|not permitted|crash\\w*|stop\\w*)\n(hook|cgroups?|bpf|no-cgroups|config\\.toml|device rules?|device filter)\n(^|[ (,.])(I|we|my|our|they|them|which|how)\\b\tUnknown Error\nunresolvable|Insufficient|could not select|unknown or invalid|Unknown runtime\nno-cgroups\\W{0,4}(is |was |set |to )*(true|on)\\b\t!rootless\v" +
			"44\t(rootless|user-?level|per-?user) (docker|podman|engine|daemon|container|mode)|(docker|podman)(d-| in )rootless\t\tnvidia|--gpus|cuda|\\bgpus?\\b\n(fail\\w*|error|break\\w*|broke|not (work|start|see|run|come)|n.?t (work|start|see|run|come)|refus\\w+|denied|not permitted|crash\\w*)\n(rootful|root.?s|my own root|system(-wide)?|normal|regular|ordinary|with sudo|as root)[^\\n]{0,40}(docker|podman|daemon|engine|works?|fine|one\\b|problem)\tUnknown Error\nunresolvable|Insufficient|could not select|unknown or invalid|Unknown runtime|docker\\.sock\nno-cgroups\\W{0,4}(is |was |set |to )*(true|on)\\b\nshm|out of memory|mismatch\t!dockerd-rootless 'inrootless !per-usercontainer )daemon *ocker )engine )mode )podman $usercontainer (daemon )ocker (engine (mode (podman \"odmand-rootless 'inrootless !rootlesscontainer )daemon *ocker )engine )mode )podman !user-levelcontainer +daemon ,ocker +engine +mode +podman %levelcontainer *daemon +ocker *engine *mode *podman\v" +
			"34p\trootless\t\tnvidia|--gpus|cuda|\\bgpus?\\b\n{bad}\n{prose}\tUnknown Error\nunresolvable|Insufficient|could not select|unknown or invalid|Unknown runtime|docker\\.sock\nno-cgroups\\W{0,4}(is |was |set |to )*(true|on)\\b\n\\bCDI\\b|nvidia\\.com/gpu\nlabel|selinux|nobody|keep-id|keep-groups|video group|group video\nout of memory|mismatch|no space\t!rootless\v" +
			"72\tunable to find any existing device fil\\w*|bpf_prog_query\\(BPF\t\t\t\t!bpf_prog_query(bpf !unabletofindanyexistingdevicefil",
		Steps: []Advice{
			{Text: "Tell the toolkit to leave cgroups alone", Command: "sudo nvidia-ctk config --in-place --set nvidia-container-cli.no-cgroups=true"},
			{Text: "Or give the GPU by CDI, which needs no cgroup of its own", Command: "docker run --rm --device nvidia.com/gpu=all IMAGE nvidia-smi"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"},
	{ID: "rootful-no-cgroups", Title: "The toolkit leaves cgroups alone on a rootful engine", Severity: "error",
		Cause:    "The toolkit's configuration says no-cgroups = true, so containers get the device files but not the right to open them.",
		Explains: []ID{"cgroup-device-lost", "device-permission-denied", "gpu-not-requested"},
		packed: "" +
			"76\t^[^#\\n]{0,60}no-cgroups ?= ?true\t\tUnknown Error|operation not permitted|GPU access blocked by the operating system\trootless|/run/user/\\d+|BPF_CGROUP\t!no-cgroups=true\v" +
			"72\tno-cgroups\\W{0,4}(is |was |set |to |in )*(true|on|enabled|left)\t\tUnknown Error|operation not permitted\tBPF_CGROUP\nrootless (docker|podman|mode|engine) (fails|failed|says|gives)\t!no-cgroups\v" +
			"70\tno-cgroups\t\tUnknown Error\n(rootful|root.?s|system(-wide)?|system.?s|normal|regular|ordinary|privileged) (docker|engine|daemon|podman)|sudo (docker|podman)|(docker|dockerd|engine|daemon|podman) (\\S+ )?(runs |running )?(as|under) root\tBPF_CGROUP\nno-cgroups ?= ?false\t!no-cgroups\v" +
			"74\t(--set|set|enabled?|turned on|switched on|activated?|added?|put|with|wrote|changed|uncommented|followed|ran|has|have|says?|reads?|contains?|shows?|left|keeps?).{0,80}no-cgroups|no-cgroups.{0,60}(is set|was set|in (the |my )?config|enabled|active|uncommented|from (a|the|an) )\t\tUnknown Error|operation not permitted|GPU access blocked|blocked by the operating system\n(not|n.?t|never|no)\\b[^\\n]{0,24}rootless|rootful|sudo (docker|podman)|(very |already )?first (time|moment|call|nvidia-smi|run|second)|from the (very )?(first|start|beginning)|never worked|right away|immediately|at once|already|system(-wide|.?s)? docker|docker as root|\\bdefault docker\tBPF_CGROUP\nno-cgroups\\W{0,4}(=|to|is|was|:)? ?false\t!no-cgroups\v" +
			"60\tno-cgroups\\W{0,4}(=|is|was|set|to|:| )*true\t\tGPU access blocked|blocked by the operating system|no (gpu|devices?|nvidia)|sees? (no|nothing)|is_available\\W{0,4}.{0,10}False|NVML (does|is|was|could|not)|cannot (open|access)\trootless[^\\n]{0,40}(fail|denied|error|break|not permitted)|BPF_CGROUP\nunresolvable|could not select\t!no-cgroups\v" +
			"40p\tno-cgroups\t\t{prose}\nUnknown Error|NVML|\\bgpus?\\b|nvidia\tBPF_CGROUP|bpf\nrootless[^\\n]{0,60}(fail|denied|error|break|not permitted)\nunresolvable|could not select\t!no-cgroups\v" +
			"74\tno-cgroups\t\t(with|when|if|is|it.?s|says|at the moment|now|currently|at) (it |it is |it.?s |set to |on |at )*true\\b[^\\n]{0,140}(Unknown Error|NVML)|(Unknown Error|NVML)[^\\n]{0,160}(is|it.?s|with|when|set to|at the moment|currently|now) (it is |it.?s )?true\\b\tBPF_CGROUP|bpf\t!no-cgroups\v" +
			"72\t(disabl\\w*|(turn|switch)(ed|ing)? off|deactivat\\w*) .{0,16}cgroups?\\b|\\bcgroups? .{0,12}(disabled|off|turned off|switched off|deactivated)\\b\t\tUnknown Error|GPU access blocked|operation not permitted\nconfig\\.toml|toolkit|nvidia-container|container.?runtime\tBPF_CGROUP|bpf\nrootless[^\\n]{0,60}(fail|denied|error|break|not permitted)\ncgroupdriver|systemd cgroup|unified_cgroup|daemon\\.json\t!cgroup",
		Steps: []Advice{
			{Text: "Let the toolkit set cgroups", Command: "sudo nvidia-ctk config --in-place --set nvidia-container-cli.no-cgroups=false"},
			{Text: "Make the container anew", Command: "docker compose up -d --force-recreate"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html"},
	{ID: "visible-devices-ignored", Title: "The toolkit does not listen to NVIDIA_VISIBLE_DEVICES here", Severity: "error",
		Cause:    "The toolkit's configuration refuses NVIDIA_VISIBLE_DEVICES from unprivileged containers, so the variable asks in vain.",
		Explains: []ID{"gpu-not-requested", "visible-devices-void", "driver-capabilities-missing"},
		packed: "" +
			"74\tIgnoring (devices requested|request) by environment variable|by environment variable\\W*s?\\W* in unprivileged\t\t\t\t!byenvironmentvariable\v" +
			"72\taccept-nvidia-visible-devices-envvar-when-unprivileged\\W{0,4}(is |set to |= ?)*false\t\t\t\t!accept-nvidia-visible-devices-envvar-when-unprivileged\v" +
			"74\t(insufficient privileges to read device list from|Ignoring devices (specified|requested) (in|by)).{0,80}(NVIDIA_VISIBLE_DEVICES|environment|envvar)?\t\tnvidia\t\t!gnoringdevicesrequestedby 8in /specifiedby 8in !nsufficientprivilegestoreaddevicelistfrom\v" +
			"56\taccept-nvidia-visible-devices-as-volume-mounts ?= ?true\t\tno CUDA|not found|No devices|is_available|cannot open shared|envvar-when-unprivileged\t\t!accept-nvidia-visible-devices-as-volume-mounts=true\v" +
			"68\tNVIDIA_VISIBLE_DEVICES.{0,120}(ignored|refused|not accepted|rejected|disregarded).{0,80}unprivileged|unprivileged.{0,120}(ignores?|refuses?|not accepted|rejects?).{0,80}NVIDIA_VISIBLE_DEVICES\t\t\t\t!nvidia_visible_devices !unprivileged\v" +
			"54\tenvvar-when-unprivileged\tunprivileged\\W{0,4}true\tfalse|ignor|not (granted|given|honou?red|accepted|work)|no (gpu|device|nvidia)|cannot open|not found|No devices|refus\t\t!envvar-when-unprivileged\v" +
			"62\tonly privileged containers .{0,60}NVIDIA_VISIBLE_DEVICES|NVIDIA_VISIBLE_DEVICES.{0,80}only .{0,20}privileged\t\t\t\t!nvidia_visible_devices !onlyprivilegedcontainers\v" +
			"50\tdevice-?list-?strategy.{0,20}volume-mounts|visible-devices-as-volume-mounts\t\tnvidia-smi: (command )?not found|no CUDA-capable|No devices|cannot open shared|not (see|visible|get|granted)|no GPU|is_available|ignored|insufficient privileges\t\t!volume-mounts\v" +
			"72/1\tACCEPT_NVIDIA_VISIBLE_DEVICES_ENVVAR_WHEN_UNPRIVILEGED\\W{0,8}(value\\W{0,4}|is |set to |= ?)*(false|0\\b|no\\b)\t\t\t\t!accept_nvidia_visible_devices_envvar_when_unprivileged\v" +
			"56\tNVIDIA_VISIBLE_DEVICES|visible-?devices (variable|env)\t\t\\b(un|non-?)?privileged\\b\n(only|unless|except|just|when|as soon as|if) [^\\n]{0,40}privileged|(unprivileged|non-?privileged|not privileged)[^\\n]{0,100}(ignor|no (gpu|card|device)|nothing|\\bnot\\b|n.?t\\b|refus|without|none|lost)|privileged[^\\n]{0,80}(works?|have|has|gets?|sees?|fine|ok|there|appears?)\\b|(un|non-?)privileged (pods?|containers?|jobs?|users?)\n\\b(no|not|{nt}|nothing|without|none|missing|ignor\\w*|refus\\w*|rejects?|lost|never|only)\\b\tprivileged\\W{0,3}true[^\\n]{0,120}(all|every|each)\n(all|both|every|four|eight)( \\w+){0,2} (gpus?|cards?|devices)[^\\n]{0,30}(visible|seen|shown|listed|there|appear)\nLXC|Proxmox|LXD\t!nvidia_visible_devices !visible-devicesenv 0variable (devicesenv /variable\v" +
			"44p\tNVIDIA_VISIBLE_DEVICES|visible-?devices\t\tunprivileged|privileged|volume-?mounts\n{prose}|\\bsince\\b\n(no|not|n.?t|without|any|nothing|never|ignor\\w*|refus\\w*|only)\\b[^\\n]{0,40}(\\bgpus?\\b|card|device|accept|get|see|inject\\w*)\tprivileged\\W{0,3}true[^\\n]{0,120}(all|every|each)\n(all|both|every|four|eight)( \\w+){0,2} (gpus?|cards?|devices)[^\\n]{0,30}(visible|seen|shown|listed|there|appear)|(shows?|sees?|lists?) (all|both|every)\nLXC|Proxmox|LXD\n--gpus\t!nvidia_visible_devices !visible-devices (devices\v" +
			"70\tinsufficient privileges to read device list\\b|in unprivileged con\\w*\\W{0,4}$\t\t\t\t!sufficientprivilegestoreaddevicelist !unprivilegedcon",
		Steps: []Advice{
			{Text: "Ask in a way that the engine grants", Command: "docker run --rm --gpus all IMAGE nvidia-smi"},
			{Text: "Or by a CDI name", Command: "docker run --rm --device nvidia.com/gpu=all IMAGE nvidia-smi"},
		},
		Docs: "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html"},
	{ID: "snap-docker", Title: "Docker from snap cannot reach the driver or the toolkit", Severity: "error",
		Cause:    "The engine was installed as a snap, whose confinement hides the host's NVIDIA driver and toolkit from it.",
		Explains: []ID{"toolkit-not-installed", "driver-not-installed", "runtime-not-registered", "runtime-binary-missing", "gpu-not-requested", "docker-not-restarted", "ldconfig-missing", "docker-daemon-not-running", "library-mount-in-image", "cdi-spec-missing"},
		packed: "" +
			"66p\t\\b(with|by|from|via|as a|the) snap\\b|\\bsnap (install|package|version|docker)|\\bsnap.s docker\\b\t\tdocker\nnvidia|gpu|cuda\n(not|n.?t|never|cannot|unable|fail\\w*|refus\\w*|unknown|error|invisible|missing)\\b\tremoved (the )?snap|snap remove|not (the |from )?(a )?snap|instead of (the )?snap|chromium|firefox|nextcloud|microk8s\t!asasnap !bysnap !fromsnap !sdocker \"napdocker %install %package %version !thesnap !viasnap !withsnap\v" +
			"68\t/(var/)?snap/(bin/)?docker\\b|snap\\.docker\\.dockerd|snap (install|run|restart|logs|connect|refresh) docker|snap\\.docker\\b\t\tcould not select device driver|nvidia-container|libnvidia|unknown or invalid runtime|Unknown runtime|runtime name|libcuda|no known GPU vendor|NVML|nvidia-smi|CUDA|CDI devices\t\t!/snap/bin/docker 'docker !snap.docker %connectdocker %installdocker %logsdocker %refreshdocker 'startdocker &undocker\v" +
			"64\t(snap (version|package|build|install(ation|ed)?|edition|docker)|docker (from |via |by |as |through |in )?(the |a |ubuntu.?s? )?snap|snapped docker|snapd? docker|snap list|(is|was|got|have|uses?|chose|picked) (it )?(as |from |via )?(the|a) snap\\b)\t\tcould not select device driver|nvidia-container|libnvidia|unknown or invalid runtime|Unknown runtime|runtime name|libcuda|no known GPU vendor|NVML|nvidia-smi|CUDA|CDI devices\tremoved (the )?snap|snap remove|not (the |from )?snap\t!snap\v" +
			"64\t\\b(came|comes?|coming|installs?|installed|ships?|shipped|delivered|offer(s|ed)?|ticked|selected|is|was|got|get|have|uses?|using|used|chose|picked|took|runs?|running) (it |docker |me |my |our )?(\\w+ ){0,3}(as |from |via |by |in |inside |through |of )?(the|a|an|ubuntu.?s) snap\\b|(server|ubuntu)( \\w+)? installer.{0,80}\\bdocker\\b|\\bdocker\\b.{0,80}(server|ubuntu)( \\w+)? installer|\\bsnap(ped|py)? (docker|package of docker|one of docker)|docker.{0,30}(from|via|by|as|through|with|in) (the )?(a )?snap(s| store|d| package)?\\b\t\tcould not select device driver|nvidia-container|libnvidia|unknown or invalid runtime|Unknown runtime|runtime name|libcuda|no known GPU vendor|NVML|nvidia-smi|CUDA|CDI devices|nvidia|--gpus|\\bgpus?\\b\n(not|n.?t|no|fail\\w*|error|could|cannot|unable|unknown|never|still|nothing|missing|ignor\\w*)\\b\tremoved (the )?snap|snap remove|not (the |from )?(a )?snap\ndocker-ce (\\d|is installed|from docker)\nmismatch|out of memory\t!installer !snap\v" +
			"46p\t\\bsnaps?\\b\t\tdocker\n{gpu}\n{prose}\n{bad}|unknown|invisible|ignor\\w*\tremoved (the )?snap|snap remove|not (the |from )?(a )?snap\nfirefox|chromium|lxd|microk8s\ndocker-ce\nmismatch|out of memory|btrfs|zfs|snapshot\t!snap",
		Steps: []Advice{
			{Text: "Remove the snap; its containers, images and volumes go with it", Command: "sudo snap remove docker"},
			{Text: "Install the engine from Docker's own packages", Command: "sudo apt-get install docker-ce docker-ce-cli containerd.io", Platform: "debian"},
			{Text: "Install and register the toolkit", Command: "sudo apt-get install nvidia-container-toolkit && sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker", Platform: "debian"},
		},
		Docs: "https://docs.docker.com/engine/install/ubuntu/"},
}
