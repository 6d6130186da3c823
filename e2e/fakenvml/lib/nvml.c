/* Answers NVML's functions from the scenario. A figure that the scenario does not name is NOT_SUPPORTED,
 * as on a GPU that does not have it. Every function can be made to fail, hang or crash by the scenario. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "nvml_abi.h"
#include "scenario.h"

static int initialized; /* how often, less how often it was shut down */

/* at is what a handle leads to: a GPU, and on it a MIG device or none. */
struct at { struct scenario *s; struct gpu *gpu; struct migdev *mig; int index, mig_index; };

/* A handle is a number: GPU + 1 in the upper byte, MIG device + 1 or 0 in the lower one. */
static nvmlHandle handle(int gpu, int mig) { return (nvmlHandle)(uintptr_t)((gpu + 1) << 8 | (mig + 1)); }

static unsigned long long now_us(void) {
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (unsigned long long)t.tv_sec * 1000000ULL + (unsigned long long)t.tv_nsec / 1000;
}

/* names tells if a rule of the scenario names the function: by its full name, or without its version. A
 * star names every figure of a GPU, but not what finds and names the GPU. */
static int names(const char *rule, const char *function) {
	static const char *const finds[] = {"nvmlInit", "nvmlSystem", "nvmlDeviceGetCount", "nvmlDeviceGetHandle", "nvmlDeviceGetIndex", "nvmlDeviceGetUUID",
		"nvmlDeviceGetName", "nvmlDeviceGetPciInfo", "nvmlDeviceGetMinorNumber"};
	if (!strcmp(rule, function))
		return 1;
	if (!strcmp(rule, "*")) {
		for (size_t i = 0; i < sizeof finds / sizeof *finds; i++)
			if (!strncmp(function, finds[i], strlen(finds[i])))
				return 0;
		return 1;
	}
	size_t n = strlen(function);
	return n > 3 && function[n - 3] == '_' && function[n - 2] == 'v' && strlen(rule) == n - 3 && !strncmp(rule, function, n - 3);
}

static nvmlReturn faults(struct scenario *s, const char *function, int gpu) {
	for (int i = 0; i < s->fault_count; i++) {
		struct fault *f = &s->faults[i];
		if ((f->gpu >= 0 && f->gpu != gpu) || !names(f->function, function))
			continue;
		switch (f->kind) {
		case FAULT_RETURN: return f->value;
		case FAULT_HANG: for (;;) pause();
		case FAULT_CRASH: *(volatile int *)(uintptr_t)f->value = 0; break; /* value is 0 */
		case FAULT_ABORT: abort();
		case FAULT_DELAY: usleep((useconds_t)f->value * 1000); break;
		}
	}
	return OK;
}

static nvmlReturn enter_system(const char *function, struct scenario **s) {
	if (!initialized)
		return UNINITIALIZED;
	if (!(*s = scenario_now()))
		return UNKNOWN;
	return faults(*s, function, -1);
}

static nvmlReturn enter(const char *function, nvmlHandle h, struct at *at) {
	uintptr_t v = (uintptr_t)h;
	int gpu = (int)(v >> 8) - 1, mig = (int)(v & 0xff) - 1;
	if (!initialized)
		return UNINITIALIZED;
	if (!(at->s = scenario_now()))
		return UNKNOWN;
	if (v > 0xffff || gpu < 0 || gpu >= at->s->gpu_count || mig >= MOST_MIG)
		return INVALID_ARGUMENT;
	at->gpu = &at->s->gpus[gpu], at->index = gpu, at->mig_index = mig;
	at->mig = mig < 0 ? 0 : &at->gpu->migs[mig];
	if (at->mig && !at->mig->set)
		return NOT_FOUND;
	if (at->gpu->lost)
		return GPU_IS_LOST;
	return faults(at->s, function, gpu);
}

#define ENTER(h) struct at at; nvmlReturn entered = enter(__func__, h, &at); if (entered) return entered
#define ENTER_GPU(h) ENTER(h); if (at.mig) return NOT_SUPPORTED

static nvmlReturn put(const struct figure *f, unsigned *to) {
	if (!to)
		return INVALID_ARGUMENT;
	if (!f || !f->set)
		return NOT_SUPPORTED;
	*to = (unsigned)f->value;
	return OK;
}

static nvmlReturn put_long(const struct figure *f, unsigned long long *to) {
	if (!to)
		return INVALID_ARGUMENT;
	if (!f->set)
		return NOT_SUPPORTED;
	*to = (unsigned long long)f->value;
	return OK;
}

static nvmlReturn put_text(const char *text, char *to, unsigned length) {
	if (!to || !length)
		return INVALID_ARGUMENT;
	if (!*text)
		return NOT_SUPPORTED;
	if (strlen(text) >= length)
		return INSUFFICIENT_SIZE;
	strcpy(to, text);
	return OK;
}

/* FIGURE is a function that returns one figure of a GPU. */
#define FIGURE(function, field) \
	EXPORT nvmlReturn function(nvmlHandle h, unsigned *to) { ENTER_GPU(h); return put(&at.gpu->field, to); }
#define FIGURE_BY(function, table, most) \
	EXPORT nvmlReturn function(nvmlHandle h, unsigned which, unsigned *to) { ENTER_GPU(h); return which < (most) ? put(&at.gpu->table[which], to) : INVALID_ARGUMENT; }
/* FIGURE_OVER has the period of its sample beside it. */
#define FIGURE_OVER(function, field) \
	EXPORT nvmlReturn function(nvmlHandle h, unsigned *to, unsigned *period) { \
		ENTER_GPU(h); \
		if (!period) return INVALID_ARGUMENT; \
		*period = 167000; \
		return put(&at.gpu->field, to); \
	}
/* FIGURES is a function that returns two figures; the second is the first where the scenario is silent. */
#define FIGURES(function, first, second) \
	EXPORT nvmlReturn function(nvmlHandle h, unsigned *a, unsigned *b) { \
		ENTER_GPU(h); \
		nvmlReturn ret = put(&at.gpu->first, a); \
		return ret ? ret : put(at.gpu->second.set ? &at.gpu->second : &at.gpu->first, b); \
	}
/* SAME gives a function an older or newer name. */
#define SAME(function, of) EXPORT __typeof__(of) function __attribute__((alias(#of)))

/* -- library and system */

EXPORT const char *nvmlErrorString(nvmlReturn ret) {
	switch (ret) {
	case 0: return "Success";
	case 1: return "Uninitialized";
	case 2: return "Invalid Argument";
	case 3: return "Not Supported";
	case 4: return "Insufficient Permissions";
	case 5: return "Already Initialized";
	case 6: return "Not Found";
	case 7: return "Insufficient Size";
	case 8: return "Insufficient External Power";
	case 9: return "Driver Not Loaded";
	case 10: return "Timeout";
	case 11: return "Interrupt Request Issue";
	case 12: return "NVML Shared Library Not Found";
	case 13: return "Function Not Found";
	case 14: return "Corrupted infoROM";
	case 15: return "GPU is lost";
	case 16: return "GPU requires reset";
	case 17: return "GPU access blocked by the operating system";
	case 18: return "Driver/library version mismatch";
	case 19: return "In use by another client";
	case 20: return "Insufficient Memory";
	case 21: return "No data";
	case 22: return "vGPU ECC not supported";
	case 23: return "Insufficient Resources";
	case 25: return "Argument version mismatch";
	}
	return "Unknown Error";
}

static void tell_leaks(void);

static nvmlReturn init(const char *function) {
	struct scenario *s = scenario_now();
	if (!s)
		return DRIVER_NOT_LOADED;
	nvmlReturn ret = faults(s, function, -1);
	if (!ret)
		__sync_add_and_fetch(&initialized, 1);
	return ret;
}

EXPORT nvmlReturn nvmlInit_v2(void) { return init(__func__); }
EXPORT nvmlReturn nvmlInit(void) { return init(__func__); }
EXPORT nvmlReturn nvmlInitWithFlags(unsigned flags) { return (void)flags, init("nvmlInit"); }

EXPORT nvmlReturn nvmlShutdown(void) {
	if (!initialized)
		return UNINITIALIZED;
	if (!__sync_sub_and_fetch(&initialized, 1))
		tell_leaks();
	return OK;
}

EXPORT nvmlReturn nvmlSystemGetDriverVersion(char *to, unsigned length) {
	struct scenario *s;
	nvmlReturn ret = enter_system(__func__, &s);
	return ret ? ret : put_text(s->driver, to, length);
}

EXPORT nvmlReturn nvmlSystemGetNVMLVersion(char *to, unsigned length) {
	struct scenario *s;
	nvmlReturn ret = enter_system(__func__, &s);
	return ret ? ret : put_text(s->nvml, to, length);
}

static nvmlReturn cuda_version(const char *function, int *to) {
	struct scenario *s;
	nvmlReturn ret = enter_system(function, &s);
	return ret ? ret : put(&s->cuda, (unsigned *)to);
}

EXPORT nvmlReturn nvmlSystemGetCudaDriverVersion(int *to) { return cuda_version(__func__, to); }
EXPORT nvmlReturn nvmlSystemGetCudaDriverVersion_v2(int *to) { return cuda_version(__func__, to); }

EXPORT nvmlReturn nvmlSystemGetProcessName(unsigned pid, char *name, unsigned length) {
	struct scenario *s;
	char path[64];
	nvmlReturn ret = enter_system(__func__, &s);
	if (ret)
		return ret;
	if (!name || !length)
		return INVALID_ARGUMENT;
	snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return NOT_FOUND;
	size_t n = fread(name, 1, length - 1, f);
	name[n] = 0;
	fclose(f);
	return OK;
}

EXPORT nvmlReturn nvmlUnitGetCount(unsigned *to) { return to ? *to = 0, OK : INVALID_ARGUMENT; }

/* -- devices */

static nvmlReturn count(const char *function, unsigned *to) {
	struct scenario *s;
	nvmlReturn ret = enter_system(function, &s);
	if (ret)
		return ret;
	if (!to)
		return INVALID_ARGUMENT;
	*to = (unsigned)s->gpu_count;
	return OK;
}

EXPORT nvmlReturn nvmlDeviceGetCount_v2(unsigned *to) { return count(__func__, to); }
EXPORT nvmlReturn nvmlDeviceGetCount(unsigned *to) { return count(__func__, to); }

static nvmlReturn by_index(const char *function, unsigned index, nvmlHandle *to) {
	struct at at;
	if (!to || index >= MOST_GPUS)
		return initialized ? INVALID_ARGUMENT : UNINITIALIZED;
	nvmlReturn ret = enter(function, handle((int)index, -1), &at);
	if (!ret)
		*to = handle((int)index, -1);
	return ret;
}

EXPORT nvmlReturn nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlHandle *to) { return by_index(__func__, index, to); }
EXPORT nvmlReturn nvmlDeviceGetHandleByIndex(unsigned index, nvmlHandle *to) { return by_index(__func__, index, to); }

EXPORT nvmlReturn nvmlDeviceGetHandleByUUID(const char *uuid, nvmlHandle *to) {
	struct scenario *s;
	nvmlReturn ret = enter_system(__func__, &s);
	if (ret)
		return ret;
	if (!uuid || !to)
		return INVALID_ARGUMENT;
	for (int i = 0; i < s->gpu_count; i++) {
		if (!strcmp(s->gpus[i].uuid, uuid))
			return by_index(__func__, (unsigned)i, to);
		for (int m = 0; m < MOST_MIG; m++)
			if (s->gpus[i].migs[m].set && !strcmp(s->gpus[i].migs[m].uuid, uuid)) {
				*to = handle(i, m);
				return OK;
			}
	}
	return NOT_FOUND;
}

/* address reads DOMAIN:BUS:DEVICE.0 as NVML and as /sys write it. */
static int address(const char *text, unsigned *domain, unsigned *bus, unsigned *device) {
	return sscanf(text, "%x:%x:%x", domain, bus, device) == 3;
}

static nvmlReturn by_bus_id(const char *function, const char *id, nvmlHandle *to) {
	struct scenario *s;
	unsigned domain, bus, device, d, b, v;
	nvmlReturn ret = enter_system(function, &s);
	if (ret)
		return ret;
	if (!id || !to || !address(id, &domain, &bus, &device))
		return INVALID_ARGUMENT;
	for (int i = 0; i < s->gpu_count; i++)
		if (address(s->gpus[i].pci, &d, &b, &v) && d == domain && b == bus && v == device)
			return by_index(function, (unsigned)i, to);
	return NOT_FOUND;
}

EXPORT nvmlReturn nvmlDeviceGetHandleByPciBusId_v2(const char *id, nvmlHandle *to) { return by_bus_id(__func__, id, to); }
EXPORT nvmlReturn nvmlDeviceGetHandleByPciBusId(const char *id, nvmlHandle *to) { return by_bus_id(__func__, id, to); }

EXPORT nvmlReturn nvmlDeviceGetName(nvmlHandle h, char *to, unsigned length) {
	ENTER(h);
	char name[2 * TEXT + 8];
	snprintf(name, sizeof name, at.mig ? "%s MIG %s" : "%s", at.gpu->name, at.mig ? at.mig->profile : "");
	return put_text(name, to, length);
}

EXPORT nvmlReturn nvmlDeviceGetUUID(nvmlHandle h, char *to, unsigned length) { ENTER(h); return put_text(at.mig ? at.mig->uuid : at.gpu->uuid, to, length); }
EXPORT nvmlReturn nvmlDeviceGetSerial(nvmlHandle h, char *to, unsigned length) { ENTER_GPU(h); return put_text(at.gpu->serial, to, length); }
EXPORT nvmlReturn nvmlDeviceGetVbiosVersion(nvmlHandle h, char *to, unsigned length) { ENTER_GPU(h); return put_text(at.gpu->vbios, to, length); }
EXPORT nvmlReturn nvmlDeviceGetBoardPartNumber(nvmlHandle h, char *to, unsigned length) { ENTER_GPU(h); return put_text(at.gpu->part, to, length); }

EXPORT nvmlReturn nvmlDeviceGetIndex(nvmlHandle h, unsigned *to) {
	ENTER(h);
	return put(&(struct figure){1, at.mig ? at.mig_index : at.index}, to);
}

FIGURE(nvmlDeviceGetBrand, brand)
FIGURE(nvmlDeviceGetMinorNumber, minor)
FIGURE(nvmlDeviceGetArchitecture, architecture)
FIGURE(nvmlDeviceGetBoardId, board_id)
FIGURE(nvmlDeviceGetModuleId, module_id)
FIGURE(nvmlDeviceGetNumGpuCores, cores)
FIGURE(nvmlDeviceGetMemoryBusWidth, bus_width)
FIGURE(nvmlDeviceGetIrqNum, irq)

EXPORT nvmlReturn nvmlDeviceGetCudaComputeCapability(nvmlHandle h, int *major, int *minor) {
	ENTER(h);
	nvmlReturn ret = put(&at.gpu->cc_major, (unsigned *)major);
	return ret ? ret : put(&at.gpu->cc_minor, (unsigned *)minor);
}

static void fill_pci(const char *text, unsigned device_id, unsigned subsystem, struct pci *p, int whole) {
	address(text, &p->domain, &p->bus, &p->device);
	p->device_id = device_id;
	snprintf(p->legacy_id, sizeof p->legacy_id, "%04X:%02X:%02X.0", p->domain & 0xffff, p->bus & 0xff, p->device & 0x1f);
	if (!whole)
		return;
	p->subsystem_id = subsystem;
	snprintf(p->id, sizeof p->id, "%08X:%02X:%02X.0", p->domain, p->bus & 0xff, p->device & 0x1f);
}

static nvmlReturn pci(const char *function, nvmlHandle h, struct pci *to, int whole) {
	struct at at;
	nvmlReturn ret = enter(function, h, &at);
	if (ret)
		return ret;
	if (!to)
		return INVALID_ARGUMENT;
	fill_pci(at.gpu->pci, (unsigned)at.gpu->pci_device.value, (unsigned)at.gpu->pci_subsystem.value, to, whole);
	return OK;
}

EXPORT nvmlReturn nvmlDeviceGetPciInfo_v3(nvmlHandle h, struct pci *to) { return pci(__func__, h, to, 1); }
EXPORT nvmlReturn nvmlDeviceGetPciInfo_v2(nvmlHandle h, struct pci *to) { return pci(__func__, h, to, 0); }
EXPORT nvmlReturn nvmlDeviceGetPciInfo(nvmlHandle h, struct pci *to) { return pci(__func__, h, to, 0); }

EXPORT nvmlReturn nvmlDeviceGetPciInfoExt(nvmlHandle h, struct pci_ext *to) {
	ENTER(h);
	if (!to)
		return INVALID_ARGUMENT;
	if (to->version != VERSIONED(struct pci_ext, 1u))
		return VERSION_MISMATCH;
	struct pci p = {0};
	fill_pci(at.gpu->pci, (unsigned)at.gpu->pci_device.value, (unsigned)at.gpu->pci_subsystem.value, &p, 1);
	to->domain = p.domain, to->bus = p.bus, to->device = p.device, to->device_id = p.device_id, to->subsystem_id = p.subsystem_id;
	to->base_class = 3, to->sub_class = 2;
	memcpy(to->id, p.id, sizeof to->id);
	return OK;
}

/* -- memory */

static nvmlReturn memory_of(struct at *at, unsigned long long *total, unsigned long long *used, unsigned long long *reserved) {
	struct figure *t = at->mig ? &at->mig->memory : &at->gpu->memory_total, *u = at->mig ? &at->mig->used : &at->gpu->memory_used;
	if (!t->set)
		return NOT_SUPPORTED;
	*total = (unsigned long long)t->value;
	*used = u->set ? (unsigned long long)u->value : 0;
	*reserved = at->mig || !at->gpu->memory_reserved.set ? 0 : (unsigned long long)at->gpu->memory_reserved.value;
	if (*reserved > *total)
		*reserved = *total;
	if (*used > *total - *reserved)
		*used = *total - *reserved;
	return OK;
}

/* the first version of this call counts what the driver keeps for itself as used */
EXPORT nvmlReturn nvmlDeviceGetMemoryInfo(nvmlHandle h, struct memory *to) {
	ENTER(h);
	unsigned long long total, used, reserved;
	if (!to)
		return INVALID_ARGUMENT;
	nvmlReturn ret = memory_of(&at, &total, &used, &reserved);
	if (!ret)
		*to = (struct memory){total, total - used - reserved, used + reserved};
	return ret;
}

EXPORT nvmlReturn nvmlDeviceGetMemoryInfo_v2(nvmlHandle h, struct memory_v2 *to) {
	ENTER(h);
	unsigned long long total, used, reserved;
	if (!to)
		return INVALID_ARGUMENT;
	if (to->version != VERSIONED(struct memory_v2, 2u))
		return VERSION_MISMATCH;
	nvmlReturn ret = memory_of(&at, &total, &used, &reserved);
	if (!ret)
		to->total = total, to->reserved = reserved, to->used = used, to->free = total - used - reserved;
	return ret;
}

EXPORT nvmlReturn nvmlDeviceGetBAR1MemoryInfo(nvmlHandle h, struct bar1 *to) {
	ENTER_GPU(h);
	struct figure *t = &at.gpu->bar1_total, *u = &at.gpu->bar1_used;
	if (!to)
		return INVALID_ARGUMENT;
	if (!t->set)
		return NOT_SUPPORTED;
	unsigned long long used = u->set && u->value <= t->value ? (unsigned long long)u->value : 0;
	*to = (struct bar1){(unsigned long long)t->value, (unsigned long long)t->value - used, used};
	return OK;
}

/* -- activity, heat, power, clocks */

static int mig_on(struct at *at) { return at->gpu->mig.set && at->gpu->mig.value; }

EXPORT nvmlReturn nvmlDeviceGetUtilizationRates(nvmlHandle h, struct utilization *to) {
	ENTER_GPU(h);
	if (!to)
		return INVALID_ARGUMENT;
	if (mig_on(&at)) /* a GPU that is cut up has no utilisation of its own */
		return NOT_SUPPORTED;
	nvmlReturn ret = put(&at.gpu->util_gpu, &to->gpu);
	return ret ? ret : put(&at.gpu->util_memory, &to->memory);
}

FIGURE_OVER(nvmlDeviceGetEncoderUtilization, util_encoder)
FIGURE_OVER(nvmlDeviceGetDecoderUtilization, util_decoder)
FIGURE_OVER(nvmlDeviceGetJpgUtilization, util_jpeg)
FIGURE_OVER(nvmlDeviceGetOfaUtilization, util_ofa)

EXPORT nvmlReturn nvmlDeviceGetTemperature(nvmlHandle h, int sensor, unsigned *to) {
	ENTER_GPU(h);
	return sensor ? INVALID_ARGUMENT : put(&at.gpu->temp, to);
}

EXPORT nvmlReturn nvmlDeviceGetTemperatureV(nvmlHandle h, struct temperature *to) {
	ENTER_GPU(h);
	if (!to || to->sensor)
		return INVALID_ARGUMENT;
	if (to->version != VERSIONED(struct temperature, 1u))
		return VERSION_MISMATCH;
	return put(&at.gpu->temp, (unsigned *)&to->celsius);
}

EXPORT nvmlReturn nvmlDeviceGetTemperatureThreshold(nvmlHandle h, int which, unsigned *to) {
	ENTER_GPU(h);
	struct figure *by[] = {&at.gpu->temp_shutdown, &at.gpu->temp_slowdown, &at.gpu->temp_memory_max, &at.gpu->temp_gpu_max};
	return which < 0 || which > 7 ? INVALID_ARGUMENT : which > 3 ? NOT_SUPPORTED : put(by[which], to);
}

FIGURE(nvmlDeviceGetFanSpeed, fan)
FIGURE(nvmlDeviceGetNumFans, fans)
EXPORT nvmlReturn nvmlDeviceGetFanSpeed_v2(nvmlHandle h, unsigned fan, unsigned *to) {
	ENTER_GPU(h);
	return !at.gpu->fan.set ? NOT_SUPPORTED : fan >= (at.gpu->fans.set ? (unsigned)at.gpu->fans.value : 1) ? INVALID_ARGUMENT : put(&at.gpu->fan, to);
}

FIGURE(nvmlDeviceGetPowerUsage, power)
FIGURE(nvmlDeviceGetEnforcedPowerLimit, power_limit)
FIGURE(nvmlDeviceGetPowerManagementLimit, power_limit)
FIGURE(nvmlDeviceGetPowerManagementDefaultLimit, power_default)
FIGURES(nvmlDeviceGetPowerManagementLimitConstraints, power_min, power_max)
EXPORT nvmlReturn nvmlDeviceGetTotalEnergyConsumption(nvmlHandle h, unsigned long long *to) { ENTER_GPU(h); return put_long(&at.gpu->energy, to); }

FIGURE_BY(nvmlDeviceGetClockInfo, clock, 4)
FIGURE_BY(nvmlDeviceGetMaxClockInfo, clock_max, 4)
FIGURE(nvmlDeviceGetPerformanceState, pstate)
FIGURE(nvmlDeviceGetPowerState, pstate)
EXPORT nvmlReturn nvmlDeviceGetCurrentClocksThrottleReasons(nvmlHandle h, unsigned long long *to) { ENTER_GPU(h); return put_long(&at.gpu->throttle, to); }
EXPORT nvmlReturn nvmlDeviceGetCurrentClocksEventReasons(nvmlHandle h, unsigned long long *to) { ENTER_GPU(h); return put_long(&at.gpu->throttle, to); }
EXPORT nvmlReturn nvmlDeviceGetSupportedClocksThrottleReasons(nvmlHandle h, unsigned long long *to) { ENTER_GPU(h); return put_long(&(struct figure){1, 0x1ff}, to); }
EXPORT nvmlReturn nvmlDeviceGetSupportedClocksEventReasons(nvmlHandle h, unsigned long long *to) { ENTER_GPU(h); return put_long(&(struct figure){1, 0x1ff}, to); }

EXPORT nvmlReturn nvmlDeviceGetViolationStatus(nvmlHandle h, unsigned which, struct violation *to) {
	ENTER_GPU(h);
	if (!to || which >= 12)
		return INVALID_ARGUMENT;
	to->reference = now_us();
	return put_long(&at.gpu->violation[which], &to->violation);
}

/* -- PCIe */

FIGURE(nvmlDeviceGetCurrPcieLinkGeneration, pcie_gen)
FIGURE(nvmlDeviceGetMaxPcieLinkGeneration, pcie_gen_max)
FIGURE(nvmlDeviceGetGpuMaxPcieLinkGeneration, pcie_gen_device_max)
FIGURE(nvmlDeviceGetCurrPcieLinkWidth, pcie_width)
FIGURE(nvmlDeviceGetMaxPcieLinkWidth, pcie_width_max)
FIGURE(nvmlDeviceGetPcieReplayCounter, pcie_replay)
EXPORT nvmlReturn nvmlDeviceGetPcieThroughput(nvmlHandle h, unsigned counter, unsigned *to) {
	ENTER_GPU(h);
	return counter > 1 ? INVALID_ARGUMENT : put(counter ? &at.gpu->pcie_rx : &at.gpu->pcie_tx, to);
}

/* -- memory errors */

FIGURES(nvmlDeviceGetEccMode, ecc, ecc_pending)

EXPORT nvmlReturn nvmlDeviceGetTotalEccErrors(nvmlHandle h, unsigned type, unsigned counter, unsigned long long *to) {
	ENTER_GPU(h);
	if (type > 1 || counter > 1)
		return INVALID_ARGUMENT;
	return at.gpu->ecc.set && at.gpu->ecc.value ? put_long(&at.gpu->ecc_count[counter * 2 + type], to) : NOT_SUPPORTED;
}

EXPORT nvmlReturn nvmlDeviceGetRemappedRows(nvmlHandle h, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
	ENTER_GPU(h);
	if (!at.gpu->remapped_corrected.set)
		return NOT_SUPPORTED;
	if (!corrected || !uncorrected || !pending || !failed)
		return INVALID_ARGUMENT;
	*corrected = (unsigned)at.gpu->remapped_corrected.value, *uncorrected = (unsigned)at.gpu->remapped_uncorrected.value;
	*pending = (unsigned)at.gpu->remapped_pending.value, *failed = (unsigned)at.gpu->remapped_failed.value;
	return OK;
}

static nvmlReturn retired(const char *function, nvmlHandle h, unsigned cause, unsigned *count, unsigned long long *pages, unsigned long long *times) {
	struct at at;
	nvmlReturn ret = enter(function, h, &at);
	if (ret)
		return ret;
	struct figure *f = cause ? &at.gpu->retired_double : &at.gpu->retired_single;
	if (!count || cause > 1)
		return INVALID_ARGUMENT;
	if (!f->set || f->value < 0 || f->value > 1000000)
		return NOT_SUPPORTED;
	unsigned room = *count;
	*count = (unsigned)f->value;
	if (room < *count || (*count && !pages))
		return INSUFFICIENT_SIZE;
	for (unsigned i = 0; i < *count; i++) {
		pages[i] = 0x1000ULL * (i + 1);
		if (times)
			times[i] = 0;
	}
	return OK;
}

EXPORT nvmlReturn nvmlDeviceGetRetiredPages(nvmlHandle h, unsigned cause, unsigned *count, unsigned long long *pages) { return retired(__func__, h, cause, count, pages, 0); }
EXPORT nvmlReturn nvmlDeviceGetRetiredPages_v2(nvmlHandle h, unsigned cause, unsigned *count, unsigned long long *pages, unsigned long long *times) { return retired(__func__, h, cause, count, pages, times); }
FIGURE(nvmlDeviceGetRetiredPagesPendingStatus, retired_pending)

/* -- modes */

FIGURE(nvmlDeviceGetComputeMode, compute_mode)
FIGURE(nvmlDeviceGetPersistenceMode, persistence)
FIGURE(nvmlDeviceGetDisplayActive, display_active)
FIGURE(nvmlDeviceGetDisplayMode, display_mode)
FIGURE(nvmlDeviceGetAccountingMode, accounting)

/* -- fabric */

static nvmlReturn fabric_state(struct at *at, unsigned char *state, nvmlReturn *status) {
	*state = at->gpu->fabric.set ? (unsigned char)at->gpu->fabric.value : 0;
	*status = OK;
	return OK;
}

EXPORT nvmlReturn nvmlDeviceGetGpuFabricInfo(nvmlHandle h, struct fabric *to) {
	ENTER_GPU(h);
	if (!to)
		return INVALID_ARGUMENT;
	memset(to, 0, sizeof *to);
	return fabric_state(&at, &to->state, &to->status);
}

EXPORT nvmlReturn nvmlDeviceGetGpuFabricInfoV(nvmlHandle h, struct fabric_v3 *to) {
	ENTER_GPU(h);
	if (!to)
		return INVALID_ARGUMENT;
	if (to->version == VERSIONED(struct fabric_v3, 3u))
		to->summary = 0;
	else if (to->version != VERSIONED(struct fabric_v2, 2u))
		return VERSION_MISMATCH;
	memset(to->cluster, 0, sizeof to->cluster);
	to->clique = to->health = 0;
	return fabric_state(&at, &to->state, &to->status);
}

/* -- topology */

static void bits(unsigned size, unsigned long *set, const unsigned char *from, unsigned bytes) {
	memset(set, 0, size * sizeof *set);
	for (unsigned c = 0; c < bytes * 8 && c < size * 8 * sizeof *set; c++)
		if (from[c / 8] & 1 << c % 8)
			set[c / (8 * sizeof *set)] |= 1UL << c % (8 * sizeof *set);
}

static nvmlReturn affinity(const char *function, nvmlHandle h, unsigned size, unsigned long *set) {
	struct at at;
	nvmlReturn ret = enter(function, h, &at);
	if (ret)
		return ret;
	if (!size || !set || size > 1024)
		return INVALID_ARGUMENT;
	if (!at.gpu->cpus_set.set)
		return NOT_SUPPORTED;
	bits(size, set, at.gpu->cpus, sizeof at.gpu->cpus);
	return OK;
}

EXPORT nvmlReturn nvmlDeviceGetCpuAffinity(nvmlHandle h, unsigned size, unsigned long *set) { return affinity(__func__, h, size, set); }
EXPORT nvmlReturn nvmlDeviceGetCpuAffinityWithinScope(nvmlHandle h, unsigned size, unsigned long *set, unsigned scope) { return (void)scope, affinity(__func__, h, size, set); }

EXPORT nvmlReturn nvmlDeviceGetMemoryAffinity(nvmlHandle h, unsigned size, unsigned long *set, unsigned scope) {
	(void)scope;
	ENTER_GPU(h);
	if (!size || !set || size > 1024)
		return INVALID_ARGUMENT;
	if (!at.gpu->numa.set || at.gpu->numa.value < 0 || at.gpu->numa.value >= (long long)(size * 8 * sizeof *set))
		return NOT_SUPPORTED;
	memset(set, 0, size * sizeof *set);
	set[at.gpu->numa.value / (8 * (int)sizeof *set)] = 1UL << at.gpu->numa.value % (8 * (int)sizeof *set);
	return OK;
}

FIGURE(nvmlDeviceGetNumaNodeId, gpu_numa)

EXPORT nvmlReturn nvmlDeviceGetTopologyCommonAncestor(nvmlHandle h, nvmlHandle other, unsigned *to) {
	struct at to_at;
	ENTER_GPU(h);
	nvmlReturn ret = enter("nvmlDeviceGetTopologyCommonAncestor", other, &to_at);
	if (ret)
		return ret;
	return put(&(struct figure){1, at.s->levels[at.index][to_at.index]}, to);
}

/* -- NVLink */

static nvmlReturn link_at(const char *function, nvmlHandle h, unsigned number, struct link **to) {
	struct at at;
	nvmlReturn ret = enter(function, h, &at);
	if (ret)
		return ret;
	int any = 0;
	for (int i = 0; i < MOST_LINKS; i++)
		any |= at.gpu->links[i].set;
	if (!any || at.mig)
		return NOT_SUPPORTED;
	if (number >= MOST_LINKS || !at.gpu->links[number].set)
		return INVALID_ARGUMENT;
	*to = &at.gpu->links[number];
	return OK;
}

#define LINK(h, number) struct link *l; nvmlReturn entered = link_at(__func__, h, number, &l); if (entered) return entered

EXPORT nvmlReturn nvmlDeviceGetNvLinkState(nvmlHandle h, unsigned number, unsigned *to) { LINK(h, number); return put(&(struct figure){1, l->active}, to); }
EXPORT nvmlReturn nvmlDeviceGetNvLinkVersion(nvmlHandle h, unsigned number, unsigned *to) { LINK(h, number); return put(&(struct figure){1, l->version}, to); }
EXPORT nvmlReturn nvmlDeviceGetNvLinkRemoteDeviceType(nvmlHandle h, unsigned number, unsigned *to) { LINK(h, number); return put(&(struct figure){1, l->type}, to); }
EXPORT nvmlReturn nvmlDeviceGetNvLinkCapability(nvmlHandle h, unsigned number, unsigned capability, unsigned *to) { LINK(h, number); return put(&(struct figure){1, capability == 0 || capability == 5}, to); }
EXPORT nvmlReturn nvmlDeviceGetNvLinkErrorCounter(nvmlHandle h, unsigned number, unsigned counter, unsigned long long *to) { LINK(h, number); return counter > 4 ? INVALID_ARGUMENT : put_long(&(struct figure){1, 0}, to); }
EXPORT nvmlReturn nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlHandle h, unsigned number, struct pci *to) {
	LINK(h, number);
	if (!to)
		return INVALID_ARGUMENT;
	if (!l->active || !*l->remote)
		return NOT_SUPPORTED;
	fill_pci(l->remote, 0, 0, to, 1);
	return OK;
}
SAME(nvmlDeviceGetNvLinkRemotePciInfo, nvmlDeviceGetNvLinkRemotePciInfo_v2);

/* -- MIG */

FIGURES(nvmlDeviceGetMigMode, mig, mig_pending)

EXPORT nvmlReturn nvmlDeviceGetMaxMigDeviceCount(nvmlHandle h, unsigned *to) {
	ENTER_GPU(h);
	return put(at.gpu->mig_max.set || !at.gpu->mig.set ? &at.gpu->mig_max : &(struct figure){1, 7}, to);
}

EXPORT nvmlReturn nvmlDeviceGetMigDeviceHandleByIndex(nvmlHandle h, unsigned index, nvmlHandle *to) {
	ENTER_GPU(h);
	if (!to)
		return INVALID_ARGUMENT;
	if (!mig_on(&at) || index >= MOST_MIG || !at.gpu->migs[index].set)
		return NOT_FOUND;
	*to = handle(at.index, (int)index);
	return OK;
}

EXPORT nvmlReturn nvmlDeviceIsMigDeviceHandle(nvmlHandle h, unsigned *to) { ENTER(h); return put(&(struct figure){1, at.mig != 0}, to); }

EXPORT nvmlReturn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlHandle h, nvmlHandle *to) {
	ENTER(h);
	if (!to || !at.mig)
		return INVALID_ARGUMENT;
	*to = handle(at.index, -1);
	return OK;
}

EXPORT nvmlReturn nvmlDeviceGetGpuInstanceId(nvmlHandle h, unsigned *to) { ENTER(h); return put(at.mig ? &at.mig->gi : 0, to); }
EXPORT nvmlReturn nvmlDeviceGetComputeInstanceId(nvmlHandle h, unsigned *to) { ENTER(h); return put(at.mig ? &at.mig->ci : 0, to); }

EXPORT nvmlReturn nvmlDeviceGetAttributes_v2(nvmlHandle h, struct attributes *to) {
	ENTER(h);
	if (!to)
		return INVALID_ARGUMENT;
	if (!at.mig)
		return NOT_SUPPORTED;
	*to = (struct attributes){.sms = (unsigned)at.mig->sms.value, .copy = 1, .gpu_slices = at.mig->slices.set ? (unsigned)at.mig->slices.value : 1,
		.compute_slices = at.mig->compute_slices.set ? (unsigned)at.mig->compute_slices.value : 1, .memory_mib = (unsigned long long)at.mig->memory.value >> 20};
	return OK;
}
SAME(nvmlDeviceGetAttributes, nvmlDeviceGetAttributes_v2);

/* A GPU instance is told by its device and its id, in one number as a handle is. */
EXPORT nvmlReturn nvmlDeviceGetGpuInstanceById(nvmlHandle h, unsigned id, nvmlHandle *to) {
	ENTER_GPU(h);
	if (!to)
		return INVALID_ARGUMENT;
	for (int i = 0; mig_on(&at) && i < MOST_MIG; i++)
		if (at.gpu->migs[i].set && at.gpu->migs[i].gi.set && at.gpu->migs[i].gi.value == (long long)id) {
			*to = handle(at.index, i);
			return OK;
		}
	return NOT_FOUND;
}

EXPORT nvmlReturn nvmlGpuInstanceGetInfo(nvmlHandle h, struct instance_info *to) {
	ENTER(h);
	if (!to || !at.mig)
		return INVALID_ARGUMENT;
	*to = (struct instance_info){.device = handle(at.index, -1), .id = (unsigned)at.mig->gi.value, .start = (unsigned)at.mig_index,
		.size = at.mig->slices.set ? (unsigned)at.mig->slices.value : 1};
	return OK;
}

EXPORT nvmlReturn nvmlGpuInstanceGetComputeInstanceById(nvmlHandle h, unsigned id, nvmlHandle *to) {
	ENTER(h);
	if (!to || !at.mig)
		return INVALID_ARGUMENT;
	for (int i = 0; i < MOST_MIG; i++)
		if (at.gpu->migs[i].set && at.gpu->migs[i].gi.value == at.mig->gi.value && at.gpu->migs[i].ci.value == (long long)id) {
			*to = handle(at.index, i);
			return OK;
		}
	return NOT_FOUND;
}

EXPORT nvmlReturn nvmlComputeInstanceGetInfo_v2(nvmlHandle h, struct compute_instance_info *to) {
	ENTER(h);
	if (!to || !at.mig)
		return INVALID_ARGUMENT;
	*to = (struct compute_instance_info){.device = handle(at.index, -1), .gpu_instance = h, .id = (unsigned)at.mig->ci.value, .size = 1};
	return OK;
}
SAME(nvmlComputeInstanceGetInfo, nvmlComputeInstanceGetInfo_v2);

/* -- GPM: what a GPU instance did between two samples, on Hopper and newer */

enum { MOST_SAMPLES = 1024, HOPPER = 9, REFRESH_US = 100000, GRAPHICS_UTIL = 1, DRAM_BANDWIDTH_UTIL = 10 };
struct sample { int live, filled, gpu; unsigned instance; unsigned long long at; struct figure util, memory; };
static struct sample samples[MOST_SAMPLES];
static pthread_mutex_t samples_lock = PTHREAD_MUTEX_INITIALIZER;

/* sample_at is the sample that a handle is. One that was freed is somebody else's memory by then: the real library may
 * end the process, and this one does. */
static struct sample *sample_at(nvmlHandle h) {
	struct sample *s = h;
	if (s < samples || s >= samples + MOST_SAMPLES || !s->live) {
		fprintf(stderr, "fakenvml: a GPM sample that is none\n");
		abort();
	}
	return s;
}

static void tell_leaks(void) {
	int live = 0;
	for (int i = 0; i < MOST_SAMPLES; i++)
		live += samples[i].live;
	if (live)
		fprintf(stderr, "fakenvml: %d GPM samples were not freed\n", live);
}

EXPORT nvmlReturn nvmlGpmSampleAlloc(nvmlHandle *to) {
	struct scenario *s;
	nvmlReturn ret = enter_system(__func__, &s);
	if (ret)
		return ret;
	if (!to)
		return INVALID_ARGUMENT;
	ret = OUT_OF_MEMORY;
	pthread_mutex_lock(&samples_lock);
	for (int i = 0; ret && i < MOST_SAMPLES; i++)
		if (!samples[i].live) {
			samples[i] = (struct sample){.live = 1};
			*to = &samples[i];
			ret = OK;
		}
	pthread_mutex_unlock(&samples_lock);
	return ret;
}

EXPORT nvmlReturn nvmlGpmSampleFree(nvmlHandle h) {
	struct scenario *s;
	nvmlReturn ret = enter_system(__func__, &s);
	if (ret)
		return ret;
	if (!h)
		return INVALID_ARGUMENT;
	pthread_mutex_lock(&samples_lock);
	sample_at(h)->live = 0;
	pthread_mutex_unlock(&samples_lock);
	return OK;
}

static int has_gpm(const struct at *at) { return at->gpu->architecture.set && at->gpu->architecture.value >= HOPPER; }

EXPORT nvmlReturn nvmlGpmQueryDeviceSupport(nvmlHandle h, struct gpm_support *to) {
	ENTER_GPU(h);
	if (!to)
		return INVALID_ARGUMENT;
	if (to->version != 1)
		return VERSION_MISMATCH;
	to->supported = (unsigned)has_gpm(&at);
	return OK;
}

EXPORT nvmlReturn nvmlGpmMigSampleGet(nvmlHandle h, unsigned instance, nvmlHandle into) {
	ENTER_GPU(h);
	if (!into)
		return INVALID_ARGUMENT;
	struct sample *s = sample_at(into);
	if (!has_gpm(&at))
		return NOT_SUPPORTED;
	for (int i = 0; mig_on(&at) && i < MOST_MIG; i++) {
		struct migdev *m = &at.gpu->migs[i];
		if (m->set && m->gi.set && m->gi.value == (long long)instance) {
			struct timespec now;
			clock_gettime(CLOCK_MONOTONIC, &now);
			*s = (struct sample){.live = 1, .filled = 1, .gpu = at.index, .instance = instance, .util = m->util_gpu, .memory = m->util_memory,
				.at = (unsigned long long)now.tv_sec * 1000000ULL + (unsigned long long)now.tv_nsec / 1000};
			return OK;
		}
	}
	return NOT_FOUND;
}

/* The figures are those of the moment of the second sample. Where the counters had no time to move there is nothing to
 * divide by. */
EXPORT nvmlReturn nvmlGpmMetricsGet(struct gpm_metrics *of) {
	if (!initialized)
		return UNINITIALIZED;
	struct scenario *now = scenario_now();
	if (!now)
		return UNKNOWN;
	if (!of || !of->sample1 || !of->sample2)
		return INVALID_ARGUMENT;
	if (of->version != 1)
		return VERSION_MISMATCH;
	struct sample *a = sample_at(of->sample1), *b = sample_at(of->sample2);
	if (!a->filled || !b->filled || a->gpu != b->gpu || a->instance != b->instance || a->at >= b->at)
		return INVALID_ARGUMENT;
	nvmlReturn ret = faults(now, __func__, a->gpu);
	if (ret)
		return ret;
	for (unsigned i = 0; i < of->count; i++) {
		struct gpm_metric *m = &of->metrics[i];
		struct figure *f = m->id == GRAPHICS_UTIL ? &b->util : m->id == DRAM_BANDWIDTH_UTIL ? &b->memory : 0;
		m->ret = f && f->set ? OK : NOT_SUPPORTED;
		m->value = m->ret ? 0 : b->at - a->at <= REFRESH_US ? NAN : (double)f->value / 1000;
		m->short_name = m->id == GRAPHICS_UTIL ? "gract" : "dramUtil", m->long_name = "", m->unit = "%";
	}
	return OK;
}

/* -- processes */

enum kind { COMPUTE, GRAPHICS, MPS };

static int holds(const struct process *p, enum kind kind) { return kind == COMPUTE ? p->compute : kind == GRAPHICS ? p->graphics : p->mps; }

/* on tells if a process runs on what the handle leads to: a MIG device has its own, a GPU has all. */
static int on(const struct at *at, const struct process *p) {
	return !at->mig || (p->gi.set && p->gi.value == at->mig->gi.value && (!p->ci.set || !at->mig->ci.set || p->ci.value == at->mig->ci.value));
}

static nvmlReturn processes(const char *function, nvmlHandle h, enum kind kind, unsigned *count, void *to, int version) {
	struct at at;
	nvmlReturn ret = enter(function, h, &at);
	if (ret)
		return ret;
	if (!count)
		return INVALID_ARGUMENT;
	unsigned room = *count, n = 0;
	for (int i = 0; i < at.gpu->process_count; i++) {
		struct process *p = &at.gpu->processes[i];
		if (!holds(p, kind) || !on(&at, p))
			continue;
		unsigned long long memory = p->memory.set ? (unsigned long long)p->memory.value : ~0ULL;
		if (to && n < room && version == 1)
			((struct process_v1 *)to)[n] = (struct process_v1){p->pid, memory};
		else if (to && n < room)
			((struct process_v2 *)to)[n] = (struct process_v2){p->pid, memory, p->gi.set ? (unsigned)p->gi.value : ~0u, p->ci.set ? (unsigned)p->ci.value : ~0u};
		n++;
	}
	*count = n;
	return n > room || (n && !to) ? INSUFFICIENT_SIZE : OK;
}

#define PROCESSES(function, kind) \
	EXPORT nvmlReturn function(nvmlHandle h, unsigned *count, void *to) { return processes(__func__, h, kind, count, to, 1); } \
	EXPORT nvmlReturn function##_v2(nvmlHandle h, unsigned *count, void *to) { return processes(__func__, h, kind, count, to, 2); } \
	EXPORT nvmlReturn function##_v3(nvmlHandle h, unsigned *count, void *to) { return processes(__func__, h, kind, count, to, 3); }
PROCESSES(nvmlDeviceGetComputeRunningProcesses, COMPUTE)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses, GRAPHICS)
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses, MPS)

EXPORT nvmlReturn nvmlDeviceGetRunningProcessDetailList(nvmlHandle h, struct process_details *list) {
	ENTER(h);
	if (!list || list->mode > MPS)
		return INVALID_ARGUMENT;
	if (list->version != VERSIONED(struct process_details, 1u))
		return VERSION_MISMATCH;
	unsigned room = list->count, n = 0;
	for (int i = 0; i < at.gpu->process_count; i++) {
		struct process *p = &at.gpu->processes[i];
		if (!holds(p, (enum kind)list->mode) || !on(&at, p))
			continue;
		if (list->processes && n < room)
			list->processes[n] = (struct process_detail){p->pid, p->memory.set ? (unsigned long long)p->memory.value : ~0ULL, p->gi.set ? (unsigned)p->gi.value : ~0u, p->ci.set ? (unsigned)p->ci.value : ~0u, 0};
		n++;
	}
	list->count = n;
	return n > room || (n && !list->processes) ? INSUFFICIENT_SIZE : OK;
}

static unsigned percent(const struct figure *f) { return f->set ? (unsigned)f->value : 0; }

/* busy tells if the process was at work, which is what samples are kept of. */
static int busy(const struct process *p) { return p->sm.set || p->mem.set || p->enc.set || p->dec.set || p->jpg.set || p->ofa.set; }

/* Samples are as old as the question: the driver takes several a second. As the real library does, the
 * first call says how many there may be. */
EXPORT nvmlReturn nvmlDeviceGetProcessUtilization(nvmlHandle h, struct process_sample *to, unsigned *count, unsigned long long last_seen) {
	ENTER_GPU(h);
	unsigned long long now = now_us();
	unsigned room, n = 0;
	if (!count)
		return INVALID_ARGUMENT;
	if (mig_on(&at))
		return NOT_SUPPORTED;
	room = *count;
	for (int i = 0; i < at.gpu->process_count && last_seen < now; i++) {
		struct process *p = &at.gpu->processes[i];
		if (!busy(p))
			continue;
		if (to && n < room)
			to[n] = (struct process_sample){p->pid, now, percent(&p->sm), percent(&p->mem), percent(&p->enc), percent(&p->dec)};
		n++;
	}
	*count = n;
	return !n ? NOT_FOUND : n > room || !to ? INSUFFICIENT_SIZE : OK;
}

EXPORT nvmlReturn nvmlDeviceGetProcessesUtilizationInfo(nvmlHandle h, struct process_samples *to) {
	ENTER_GPU(h);
	unsigned long long now = now_us();
	unsigned n = 0;
	if (!to)
		return INVALID_ARGUMENT;
	if (to->version != VERSIONED(struct process_samples, 1u))
		return VERSION_MISMATCH;
	if (mig_on(&at))
		return NOT_SUPPORTED;
	unsigned room = to->count;
	for (int i = 0; i < at.gpu->process_count && to->last_seen < now; i++) {
		struct process *p = &at.gpu->processes[i];
		if (!busy(p))
			continue;
		if (to->samples && n < room)
			to->samples[n] = (struct process_sample_v2){now, p->pid, percent(&p->sm), percent(&p->mem), percent(&p->enc), percent(&p->dec), percent(&p->jpg), percent(&p->ofa)};
		n++;
	}
	to->count = n;
	return !n ? NOT_FOUND : n > room || !to->samples ? INSUFFICIENT_SIZE : OK;
}

/* -- fields, by number */

static void put_field(struct field_value *v, const struct figure *f, int type) {
	v->type = type, v->timestamp = (long long)now_us(), v->latency = 0;
	v->ret = f && f->set ? OK : NOT_SUPPORTED;
	v->value.ull = 0;
	if (!v->ret && type == TYPE_UNSIGNED)
		v->value.u = (unsigned)f->value;
	else if (!v->ret)
		v->value.ull = (unsigned long long)f->value;
}

EXPORT nvmlReturn nvmlDeviceGetFieldValues(nvmlHandle h, int count, struct field_value *values) {
	ENTER_GPU(h);
	if (count < 0 || !values)
		return INVALID_ARGUMENT;
	for (int i = 0; i < count; i++) {
		struct gpu *g = at.gpu;
		struct field_value *v = &values[i];
		struct figure links = {0, 0};
		for (int l = 0; l < MOST_LINKS; l++)
			if (g->links[l].set)
				links.set = 1, links.value++;
		switch (v->field) {
		case 1: put_field(v, &g->ecc, TYPE_UNSIGNED); break;
		case 2: put_field(v, g->ecc_pending.set ? &g->ecc_pending : &g->ecc, TYPE_UNSIGNED); break;
		case 29: put_field(v, &g->retired_single, TYPE_UNSIGNED); break;
		case 30: put_field(v, &g->retired_double, TYPE_UNSIGNED); break;
		case 31: put_field(v, &g->retired_pending, TYPE_UNSIGNED); break;
		case 74: case 75: case 76: case 77: case 78: case 79: put_field(v, &g->violation[v->field - 74], TYPE_UNSIGNED_LONG_LONG); break;
		case 82: put_field(v, &g->temp_memory, TYPE_UNSIGNED); break;
		case 83: put_field(v, &g->energy, TYPE_UNSIGNED_LONG_LONG); break;
		case 91: put_field(v, &links, TYPE_UNSIGNED); break;
		case 94: put_field(v, &g->pcie_replay, TYPE_UNSIGNED); break;
		case 142: put_field(v, &g->remapped_corrected, TYPE_UNSIGNED); break;
		case 143: put_field(v, &g->remapped_uncorrected, TYPE_UNSIGNED); break;
		case 144: put_field(v, &g->remapped_pending, TYPE_UNSIGNED); break;
		case 145: put_field(v, &g->remapped_failed, TYPE_UNSIGNED); break;
		case 185: put_field(v, &g->power_average, TYPE_UNSIGNED); break;
		case 186: put_field(v, &g->power, TYPE_UNSIGNED); break;
		case 187: put_field(v, &g->power_min, TYPE_UNSIGNED); break;
		case 188: put_field(v, &g->power_max, TYPE_UNSIGNED); break;
		case 189: put_field(v, &g->power_default, TYPE_UNSIGNED); break;
		case 190: put_field(v, &g->power_limit, TYPE_UNSIGNED); break;
		case 230: put_field(v, &g->recovery, TYPE_UNSIGNED); break;
		default: put_field(v, 0, TYPE_UNSIGNED);
		}
	}
	return OK;
}

/* -- events: none ever comes, which is what a healthy machine has to say */

EXPORT nvmlReturn nvmlEventSetCreate(nvmlHandle *set) { return set ? *set = (nvmlHandle)(uintptr_t)1, OK : INVALID_ARGUMENT; }
EXPORT nvmlReturn nvmlEventSetFree(nvmlHandle set) { return (void)set, OK; }
EXPORT nvmlReturn nvmlDeviceGetSupportedEventTypes(nvmlHandle h, unsigned long long *to) { ENTER_GPU(h); return put_long(&(struct figure){1, 0xf}, to); }
EXPORT nvmlReturn nvmlDeviceRegisterEvents(nvmlHandle h, unsigned long long types, nvmlHandle set) { (void)types, (void)set; ENTER_GPU(h); return OK; }
EXPORT nvmlReturn nvmlEventSetWait_v2(nvmlHandle set, struct event *to, unsigned milliseconds) { (void)set, (void)to; usleep(milliseconds > 3600000 ? 3600000000u : milliseconds * 1000); return 10; }
SAME(nvmlEventSetWait, nvmlEventSetWait_v2);
