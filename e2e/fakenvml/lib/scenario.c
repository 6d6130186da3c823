/* Reads the scenario file: one line, one fact. README.md lists the keys. Nothing of the file is believed
 * beyond its bounds: numbers, indexes and lengths are checked, and a line that is not understood makes
 * the whole file unreadable, named with its line. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "scenario.h"

char scenario_problem[512];

enum unit { NUMBER, BYTES, MILLI, NANO, SWITCH, BRAND, MODE, FABRIC, RECOVERY };

#define AT(field) offsetof(struct gpu, field)
static const struct { const char *key; size_t at; enum unit unit; } figures[] = {
	{"brand", AT(brand), BRAND}, {"pci-device", AT(pci_device), NUMBER}, {"pci-subsystem", AT(pci_subsystem), NUMBER},
	{"minor", AT(minor), NUMBER}, {"architecture", AT(architecture), NUMBER}, {"board-id", AT(board_id), NUMBER},
	{"module-id", AT(module_id), NUMBER}, {"cores", AT(cores), NUMBER}, {"memory-bus-width", AT(bus_width), NUMBER}, {"irq", AT(irq), NUMBER},
	{"memory-total", AT(memory_total), BYTES}, {"memory-used", AT(memory_used), BYTES}, {"memory-reserved", AT(memory_reserved), BYTES},
	{"bar1-total", AT(bar1_total), BYTES}, {"bar1-used", AT(bar1_used), BYTES},
	{"util-gpu", AT(util_gpu), NUMBER}, {"util-memory", AT(util_memory), NUMBER}, {"util-encoder", AT(util_encoder), NUMBER},
	{"util-decoder", AT(util_decoder), NUMBER}, {"util-jpeg", AT(util_jpeg), NUMBER}, {"util-ofa", AT(util_ofa), NUMBER},
	{"temp", AT(temp), NUMBER}, {"temp-memory", AT(temp_memory), NUMBER}, {"temp-slowdown", AT(temp_slowdown), NUMBER},
	{"temp-shutdown", AT(temp_shutdown), NUMBER}, {"temp-gpu-max", AT(temp_gpu_max), NUMBER}, {"temp-memory-max", AT(temp_memory_max), NUMBER},
	{"fan", AT(fan), NUMBER}, {"fans", AT(fans), NUMBER},
	{"power", AT(power), MILLI}, {"power-average", AT(power_average), MILLI}, {"power-limit", AT(power_limit), MILLI}, {"power-default", AT(power_default), MILLI},
	{"power-min", AT(power_min), MILLI}, {"power-max", AT(power_max), MILLI}, {"energy", AT(energy), MILLI},
	{"clock-graphics", AT(clock[0]), NUMBER}, {"clock-sm", AT(clock[1]), NUMBER}, {"clock-memory", AT(clock[2]), NUMBER}, {"clock-video", AT(clock[3]), NUMBER},
	{"clock-graphics-max", AT(clock_max[0]), NUMBER}, {"clock-sm-max", AT(clock_max[1]), NUMBER},
	{"clock-memory-max", AT(clock_max[2]), NUMBER}, {"clock-video-max", AT(clock_max[3]), NUMBER},
	{"pstate", AT(pstate), NUMBER}, {"throttle", AT(throttle), NUMBER},
	{"violation-power", AT(violation[0]), NANO}, {"violation-thermal", AT(violation[1]), NANO}, {"violation-sync-boost", AT(violation[2]), NANO},
	{"violation-board-limit", AT(violation[3]), NANO}, {"violation-low-utilization", AT(violation[4]), NANO}, {"violation-reliability", AT(violation[5]), NANO},
	{"pcie-gen", AT(pcie_gen), NUMBER}, {"pcie-gen-max", AT(pcie_gen_max), NUMBER}, {"pcie-gen-device-max", AT(pcie_gen_device_max), NUMBER},
	{"pcie-width", AT(pcie_width), NUMBER}, {"pcie-width-max", AT(pcie_width_max), NUMBER}, {"pcie-replay", AT(pcie_replay), NUMBER},
	{"pcie-tx", AT(pcie_tx), NUMBER}, {"pcie-rx", AT(pcie_rx), NUMBER},
	{"ecc", AT(ecc), SWITCH}, {"ecc-pending", AT(ecc_pending), SWITCH},
	{"ecc-corrected-volatile", AT(ecc_count[0]), NUMBER}, {"ecc-uncorrected-volatile", AT(ecc_count[1]), NUMBER},
	{"ecc-corrected-aggregate", AT(ecc_count[2]), NUMBER}, {"ecc-uncorrected-aggregate", AT(ecc_count[3]), NUMBER},
	{"remapped-corrected", AT(remapped_corrected), NUMBER}, {"remapped-uncorrected", AT(remapped_uncorrected), NUMBER},
	{"remapped-pending", AT(remapped_pending), SWITCH}, {"remapped-failed", AT(remapped_failed), SWITCH},
	{"retired-single", AT(retired_single), NUMBER}, {"retired-double", AT(retired_double), NUMBER}, {"retired-pending", AT(retired_pending), SWITCH},
	{"compute-mode", AT(compute_mode), MODE}, {"persistence", AT(persistence), SWITCH}, {"display-active", AT(display_active), SWITCH},
	{"display-mode", AT(display_mode), SWITCH}, {"accounting", AT(accounting), SWITCH}, {"numa", AT(numa), NUMBER}, {"gpu-numa", AT(gpu_numa), NUMBER}, {"fabric", AT(fabric), FABRIC}, {"recovery-action", AT(recovery), RECOVERY},
	{"mig", AT(mig), SWITCH}, {"mig-pending", AT(mig_pending), SWITCH}, {"mig-max", AT(mig_max), NUMBER},
};
static const struct { const char *key; size_t at, size; } texts[] = {
	{"name", AT(name), TEXT}, {"uuid", AT(uuid), TEXT}, {"serial", AT(serial), TEXT}, {"pci", AT(pci), 32}, {"vbios", AT(vbios), TEXT}, {"part-number", AT(part), TEXT},
};
struct named { const char *name; int value; };

static const struct named brands[] = {
	{"Quadro", 1}, {"Tesla", 2}, {"NVS", 3}, {"Grid", 4}, {"GeForce", 5}, {"Titan", 6}, {"QuadroRTX", 12}, {"NvidiaRTX", 13}, {"Nvidia", 14}, {"GeForceRTX", 15}, {"TitanRTX", 16},
}, modes[] = {{"default", 0}, {"prohibited", 2}, {"exclusive-process", 3}},
fabrics[] = {{"not-supported", 0}, {"not-started", 1}, {"in-progress", 2}, {"completed", 3}},
recoveries[] = {{"none", 0}, {"gpu-reset", 1}, {"node-reboot", 2}, {"drain-p2p", 3}, {"drain-and-reset", 4}},
levels[] = {{"INTERNAL", 0}, {"PIX", 10}, {"PXB", 20}, {"PHB", 30}, {"NODE", 40}, {"SYS", 50}},
returns[] = {
	{"UNINITIALIZED", 1}, {"INVALID_ARGUMENT", 2}, {"NOT_SUPPORTED", 3}, {"NO_PERMISSION", 4}, {"NOT_FOUND", 6}, {"INSUFFICIENT_SIZE", 7},
	{"INSUFFICIENT_POWER", 8}, {"DRIVER_NOT_LOADED", 9}, {"TIMEOUT", 10}, {"IRQ_ISSUE", 11}, {"LIBRARY_NOT_FOUND", 12}, {"FUNCTION_NOT_FOUND", 13},
	{"CORRUPTED_INFOROM", 14}, {"GPU_IS_LOST", 15}, {"RESET_REQUIRED", 16}, {"OPERATING_SYSTEM", 17}, {"LIB_RM_VERSION_MISMATCH", 18}, {"IN_USE", 19},
	{"MEMORY", 20}, {"NO_DATA", 21}, {"INSUFFICIENT_RESOURCES", 23}, {"ARGUMENT_VERSION_MISMATCH", 25}, {"NOT_READY", 27}, {"GPU_NOT_FOUND", 28}, {"UNKNOWN", 999},
};
#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))
#define BY_NAME(table, text, to) by_name(table, COUNT(table), text, to)

static int by_name(const struct named *table, int count, const char *text, long long *to) {
	for (int i = 0; i < count; i++)
		if (!strcasecmp(table[i].name, text)) {
			*to = table[i].value;
			return 1;
		}
	return 0;
}

static int whole(const char *text, long long *to) {
	char *end;
	errno = 0;
	*to = strtoll(text, &end, 0);
	return end != text && !*end && !errno;
}

/* scaled reads a decimal number, followed by nothing or by one of the suffixes, as a multiple of by. */
static int scaled(const char *text, double by, int bytes, long long *to) {
	char *end;
	errno = 0;
	double v = strtod(text, &end);
	while (*end == ' ')
		end++;
	if (bytes) {
		static const struct { const char *suffix; double by; } suffixes[] = {{"", 1}, {"B", 1}, {"KiB", 1024.}, {"MiB", 1048576.}, {"GiB", 1073741824.}};
		int known = 0;
		for (int i = 0; i < COUNT(suffixes); i++)
			if (!strcmp(end, suffixes[i].suffix))
				by = suffixes[i].by, known = 1;
		if (!known)
			return 0;
	} else if (*end)
		return 0;
	if (end == text || errno || !(v * by >= -9e18 && v * by <= 9e18))
		return 0;
	*to = (long long)(v * by + (v < 0 ? -.5 : .5));
	return 1;
}

static int read_value(enum unit unit, const char *text, long long *to) {
	switch (unit) {
	case NUMBER: return whole(text, to);
	case BYTES: return scaled(text, 1, 1, to);
	case MILLI: return scaled(text, 1e3, 0, to);
	case NANO: return scaled(text, 1e9, 0, to);
	case SWITCH:
		*to = !strcmp(text, "on") || !strcmp(text, "yes") || !strcmp(text, "1");
		return *to || !strcmp(text, "off") || !strcmp(text, "no") || !strcmp(text, "0");
	case BRAND: return BY_NAME(brands, text, to);
	case MODE: return BY_NAME(modes, text, to);
	case FABRIC: return BY_NAME(fabrics, text, to);
	case RECOVERY: return BY_NAME(recoveries, text, to);
	}
	return 0;
}

static int copy(char *to, size_t size, const char *from) {
	if (strlen(from) >= size)
		return 0;
	strcpy(to, from);
	return 1;
}

/* range reads "3" or "0-7" within 0 and most-1. */
static int range(const char *text, int most, int *first, int *last) {
	char *end;
	errno = 0;
	long a = strtol(text, &end, 10), b = a;
	if (end == text)
		return 0;
	if (*end == '-') {
		const char *at = end + 1;
		b = strtol(at, &end, 10);
		if (end == at)
			return 0;
	}
	if (*end || errno || a < 0 || b < a || b >= most)
		return 0;
	*first = (int)a, *last = (int)b;
	return 1;
}

static int cpus(struct gpu *g, char *list) {
	memset(g->cpus, 0, sizeof g->cpus);
	char *rest;
	for (char *part = strtok_r(list, ",", &rest); part; part = strtok_r(0, ",", &rest)) {
		int first, last;
		if (!range(part, MOST_CPUS, &first, &last))
			return 0;
		for (int c = first; c <= last; c++)
			g->cpus[c / 8] |= (unsigned char)(1 << c % 8);
	}
	g->cpus_set.set = 1;
	return 1;
}

/* options takes key=value words off a line. Each goes to the figure or the text that has its key. */
struct option { const char *key; struct figure *to; enum unit unit; char *text; size_t size; };

static int options(char **rest, struct option *table, int count) {
	for (char *word; (word = strtok_r(0, " \t", rest));) {
		char *equals = strchr(word, '=');
		int known = 0;
		if (!equals)
			return 0;
		*equals++ = 0;
		for (int i = 0; i < count && !known; i++) {
			if (strcmp(table[i].key, word))
				continue;
			if (table[i].text ? !copy(table[i].text, table[i].size, equals) : !read_value(table[i].unit, equals, &table[i].to->value))
				return 0;
			if (table[i].to)
				table[i].to->set = 1;
			known = 1;
		}
		if (!known)
			return 0;
	}
	return 1;
}

/* process PID KIND[,KIND] MEMORY|- [sm= mem= enc= dec= jpg= ofa= gi= ci=] */
static int read_process(struct gpu *g, char **rest) {
	struct process p = {0};
	long long pid;
	char *word = strtok_r(0, " \t", rest), *kinds = strtok_r(0, " \t", rest), *memory = strtok_r(0, " \t", rest), *more;
	if (!word || !kinds || !memory || !whole(word, &pid) || pid < 0 || pid > 0xffffffffLL)
		return 0;
	p.pid = (unsigned)pid;
	for (char *kind = strtok_r(kinds, ",", &more); kind; kind = strtok_r(0, ",", &more)) {
		if (!strcmp(kind, "compute"))
			p.compute = 1;
		else if (!strcmp(kind, "graphics"))
			p.graphics = 1;
		else if (!strcmp(kind, "mps"))
			p.mps = 1;
		else
			return 0;
	}
	if (strcmp(memory, "-")) {
		if (!read_value(BYTES, memory, &p.memory.value))
			return 0;
		p.memory.set = 1;
	}
	struct option known[] = {
		{.key = "sm", .to = &p.sm}, {.key = "mem", .to = &p.mem}, {.key = "enc", .to = &p.enc}, {.key = "dec", .to = &p.dec},
		{.key = "jpg", .to = &p.jpg}, {.key = "ofa", .to = &p.ofa}, {.key = "gi", .to = &p.gi}, {.key = "ci", .to = &p.ci},
	};
	if (!options(rest, known, COUNT(known)) || g->process_count >= 65536)
		return 0;
	struct process *more_room = realloc(g->processes, (size_t)(g->process_count + 1) * sizeof p);
	if (!more_room)
		return 0;
	g->processes = more_room;
	g->processes[g->process_count++] = p;
	return 1;
}

/* mig-device INDEX [uuid= profile= gi= ci= memory= used= sms= slices= compute-slices= util-gpu= util-memory=] */
static int read_mig(struct gpu *g, char **rest) {
	char *word = strtok_r(0, " \t", rest);
	int index, same;
	if (!word || !range(word, MOST_MIG, &index, &same) || index != same)
		return 0;
	struct migdev *m = &g->migs[index];
	m->set = 1;
	struct option known[] = {
		{.key = "uuid", .text = m->uuid, .size = sizeof m->uuid}, {.key = "profile", .text = m->profile, .size = sizeof m->profile},
		{.key = "gi", .to = &m->gi}, {.key = "ci", .to = &m->ci}, {.key = "memory", .to = &m->memory, .unit = BYTES}, {.key = "used", .to = &m->used, .unit = BYTES},
		{.key = "sms", .to = &m->sms}, {.key = "slices", .to = &m->slices}, {.key = "compute-slices", .to = &m->compute_slices},
		{.key = "util-gpu", .to = &m->util_gpu, .unit = MILLI}, {.key = "util-memory", .to = &m->util_memory, .unit = MILLI},
	};
	return options(rest, known, COUNT(known));
}

/* nvlink LINKS [active= version= type=gpu|switch|npu remote=] */
static int read_links(struct gpu *g, char **rest) {
	char *word = strtok_r(0, " \t", rest), type[TEXT] = "gpu";
	int first, last;
	struct figure active = {1, 1}, version = {1, 4};
	struct link l = {.set = 1};
	struct option known[] = {
		{.key = "active", .to = &active, .unit = SWITCH}, {.key = "version", .to = &version},
		{.key = "type", .text = type, .size = sizeof type}, {.key = "remote", .text = l.remote, .size = sizeof l.remote},
	};
	if (!word || !range(word, MOST_LINKS, &first, &last) || !options(rest, known, COUNT(known)))
		return 0;
	l.active = (int)active.value, l.version = (unsigned)version.value;
	l.type = !strcmp(type, "switch") ? 2 : !strcmp(type, "npu") ? 1 : 0;
	for (int i = first; i <= last; i++)
		g->links[i] = l;
	return 1;
}

/* fail FUNCTION RETURN · hang FUNCTION · crash FUNCTION · abort FUNCTION · delay FUNCTION MILLISECONDS */
static int read_fault(struct scenario *s, enum fault_kind kind, int gpu, char **rest) {
	char *function = strtok_r(0, " \t", rest), *value = strtok_r(0, " \t", rest);
	long long number = 0;
	if (!function || s->fault_count >= MOST_FAULTS)
		return 0;
	if (kind == FAULT_RETURN && (!value || (!BY_NAME(returns, value, &number) && (!whole(value, &number) || number < 0 || number > 9999))))
		return 0;
	if (kind == FAULT_DELAY && (!value || !whole(value, &number) || number < 0 || number > 3600000))
		return 0;
	struct fault *f = &s->faults[s->fault_count];
	if (!copy(f->function, sizeof f->function, function))
		return 0;
	f->gpu = gpu, f->kind = kind, f->value = (int)number;
	s->fault_count++;
	return 1;
}

/* topology LEVEL, for every pair, or topology GPUS GPUS LEVEL */
static int read_topology(struct scenario *s, char **rest) {
	char *word[3];
	long long level;
	int a, a_last, b, b_last, words = 0;
	while (words < 3 && (word[words] = strtok_r(0, " \t", rest)))
		words++;
	if (words == 1 && BY_NAME(levels, word[0], &level)) {
		memset(s->levels, (int)level, sizeof s->levels);
		return 1;
	}
	if (words != 3 || !range(word[0], MOST_GPUS, &a, &a_last) || !range(word[1], MOST_GPUS, &b, &b_last) || !BY_NAME(levels, word[2], &level))
		return 0;
	for (int i = a; i <= a_last; i++)
		for (int j = b; j <= b_last; j++)
			s->levels[i][j] = s->levels[j][i] = (unsigned char)level;
	return 1;
}

static int read_line(struct scenario *s, struct gpu *defaults, struct gpu **current, char *line) {
	char *rest, *key = strtok_r(line, " \t", &rest);
	if (!key)
		return 1;
	int at = *current == defaults ? -1 : (int)(*current - s->gpus);
	static const struct { const char *key; enum fault_kind kind; } faults[] = {
		{"fail", FAULT_RETURN}, {"hang", FAULT_HANG}, {"crash", FAULT_CRASH}, {"abort", FAULT_ABORT}, {"delay", FAULT_DELAY},
	};
	for (int i = 0; i < COUNT(faults); i++)
		if (!strcmp(key, faults[i].key))
			return read_fault(s, faults[i].kind, at, &rest);
	if (!strcmp(key, "process"))
		return at >= 0 && read_process(*current, &rest);
	if (!strcmp(key, "mig-device"))
		return at >= 0 && read_mig(*current, &rest);
	if (!strcmp(key, "nvlink"))
		return read_links(*current, &rest);
	if (!strcmp(key, "topology"))
		return read_topology(s, &rest);
	if (!strcmp(key, "lost"))
		return at >= 0 && ((*current)->lost = 1);
	while (*rest == ' ' || *rest == '\t')
		rest++;
	for (char *end = rest + strlen(rest); end > rest && (end[-1] == ' ' || end[-1] == '\t'); *--end = 0)
		;
	if (!strcmp(key, "gpu")) {
		int index, same;
		if (!range(rest, MOST_GPUS, &index, &same) || index != same)
			return 0;
		*current = &s->gpus[index];
		if (!(*current)->set) {
			**current = *defaults;
			(*current)->set = 1;
		}
		if (index >= s->gpu_count)
			s->gpu_count = index + 1;
		return 1;
	}
	if (!*rest)
		return 0;
	if (!strcmp(key, "driver"))
		return copy(s->driver, sizeof s->driver, rest);
	if (!strcmp(key, "nvml"))
		return copy(s->nvml, sizeof s->nvml, rest);
	if (!strcmp(key, "cpus"))
		return cpus(*current, rest);
	if (!strcmp(key, "cuda") || !strcmp(key, "compute-capability")) {
		int major, minor, end = 0;
		if (sscanf(rest, "%d.%d%n", &major, &minor, &end) != 2 || rest[end] || major < 0 || major > 999 || minor < 0 || minor > 99)
			return 0;
		if (key[1] == 'u')
			s->cuda.set = 1, s->cuda.value = major * 1000 + minor * 10;
		else
			(*current)->cc_major = (struct figure){1, major}, (*current)->cc_minor = (struct figure){1, minor};
		return 1;
	}
	for (int i = 0; i < COUNT(texts); i++)
		if (!strcmp(key, texts[i].key))
			return copy((char *)*current + texts[i].at, texts[i].size, rest);
	for (int i = 0; i < COUNT(figures); i++)
		if (!strcmp(key, figures[i].key)) {
			struct figure *f = (struct figure *)((char *)*current + figures[i].at);
			if (!strcmp(rest, "-")) /* takes a default away */
				return f->set = 0, 1;
			return f->set = read_value(figures[i].unit, rest, &f->value);
		}
	return 0;
}

static struct scenario *read_scenario(FILE *in, const char *path) {
	struct scenario *s = calloc(1, sizeof *s);
	struct gpu *defaults = calloc(1, sizeof *defaults), *current = defaults;
	char *line = 0;
	size_t room = 0;
	int number = 0, bad = !s || !defaults;
	if (s)
		memset(s->levels, 50, sizeof s->levels);
	while (!bad && getline(&line, &room, in) >= 0) {
		number++;
		line[strcspn(line, "#\r\n")] = 0;
		bad = !read_line(s, defaults, &current, line);
	}
	if (bad)
		snprintf(scenario_problem, sizeof scenario_problem, "%s:%d: not understood", path, number);
	free(line);
	free(defaults);
	if (bad) {
		free(s);
		return 0;
	}
	for (int i = 0; i < s->gpu_count; i++) {
		struct gpu *g = &s->gpus[i];
		if (!g->set)
			g->set = 1;
		if (!*g->name)
			strcpy(g->name, "NVIDIA Fake");
		if (!*g->uuid)
			snprintf(g->uuid, sizeof g->uuid, "GPU-%08x-fa4e-4000-8000-%012x", i, i);
		if (!*g->pci)
			snprintf(g->pci, sizeof g->pci, "00000000:%02X:00.0", i + 1);
		if (!g->minor.set)
			g->minor = (struct figure){1, i};
	}
	return s;
}

/* path is where the scenario stands: the environment names it, else it lies beside this library, so that
 * a library mounted into a container brings its own. */
static const char *path(void) {
	static char beside[4096];
	const char *named = getenv("FAKE_NVML_SCENARIO");
	Dl_info self;
	if (named && *named)
		return named;
	if (!dladdr((void *)path, &self) || !self.dli_fname)
		return 0;
	const char *slash = strrchr(self.dli_fname, '/');
	int folder = slash ? (int)(slash - self.dli_fname) : 1;
	if ((size_t)folder + 20 > sizeof beside)
		return 0;
	snprintf(beside, sizeof beside, "%.*s/fakenvml.scenario", folder, slash ? self.dli_fname : ".");
	return beside;
}

struct scenario *scenario_now(void) {
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct scenario *now, *old[8]; /* old ones stay for calls that still read them */
	static unsigned at;
	static struct stat seen;
	struct stat st;
	pthread_mutex_lock(&lock);
	const char *file = path();
	if (!file || stat(file, &st)) {
		snprintf(scenario_problem, sizeof scenario_problem, "%s: %s", file ? file : "no scenario", strerror(errno));
		pthread_mutex_unlock(&lock);
		return 0;
	}
	if (now && st.st_ino == seen.st_ino && st.st_size == seen.st_size && st.st_mtim.tv_sec == seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == seen.st_mtim.tv_nsec) {
		pthread_mutex_unlock(&lock);
		return now;
	}
	FILE *in = fopen(file, "re");
	*scenario_problem = 0;
	struct scenario *next = in ? read_scenario(in, file) : 0;
	if (in)
		fclose(in);
	else
		snprintf(scenario_problem, sizeof scenario_problem, "%s: %s", file, strerror(errno));
	if (next) {
		if (old[at % 8]) {
			for (int i = 0; i < MOST_GPUS; i++)
				free(old[at % 8]->gpus[i].processes);
			free(old[at % 8]);
		}
		old[at++ % 8] = now;
		seen = st;
	}
	if (!next)
		fprintf(stderr, "fakenvml: %s\n", scenario_problem);
	struct scenario *answer = now = next ? next : now; /* half of a file that is being written is no reason to lose the machine */
	pthread_mutex_unlock(&lock);
	return answer;
}
