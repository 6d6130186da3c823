/* The machine that the library pretends to be, as the scenario file describes it. */
#ifndef SCENARIO_H
#define SCENARIO_H

enum { MOST_GPUS = 32, MOST_MIG = 8, MOST_LINKS = 36, MOST_CPUS = 1024, MOST_FAULTS = 128, TEXT = 96 };

/* A figure that the scenario does not name is one that the GPU does not have. */
struct figure { int set; long long value; };

struct process { unsigned pid; int compute, graphics, mps; struct figure memory, sm, mem, enc, dec, jpg, ofa, gi, ci; };
struct migdev { int set; char uuid[TEXT], profile[TEXT]; struct figure gi, ci, memory, used, sms, slices, compute_slices, util_gpu, util_memory; };
struct link { int set, active; unsigned version, type; char remote[32]; };

struct gpu {
	int set, lost;
	char name[TEXT], uuid[TEXT], serial[TEXT], pci[32], vbios[TEXT], part[TEXT];
	unsigned char cpus[MOST_CPUS / 8];
	struct figure cpus_set;
	struct figure brand, pci_device, pci_subsystem, minor, cc_major, cc_minor, architecture, board_id, module_id, cores, bus_width, irq;
	struct figure memory_total, memory_used, memory_reserved, bar1_total, bar1_used;
	struct figure util_gpu, util_memory, util_encoder, util_decoder, util_jpeg, util_ofa;
	struct figure temp, temp_memory, temp_slowdown, temp_shutdown, temp_gpu_max, temp_memory_max, fan, fans;
	struct figure power, power_average, power_limit, power_default, power_min, power_max, energy;
	struct figure clock[4], clock_max[4], pstate, throttle, violation[12];
	struct figure pcie_gen, pcie_gen_max, pcie_gen_device_max, pcie_width, pcie_width_max, pcie_replay, pcie_tx, pcie_rx;
	struct figure ecc, ecc_pending, ecc_count[4]; /* corrected and uncorrected volatile, corrected and uncorrected aggregate */
	struct figure remapped_corrected, remapped_uncorrected, remapped_pending, remapped_failed;
	struct figure retired_single, retired_double, retired_pending;
	struct figure compute_mode, persistence, display_active, display_mode, accounting, numa, gpu_numa, fabric, recovery;
	struct figure mig, mig_pending, mig_max;
	struct migdev migs[MOST_MIG];
	struct link links[MOST_LINKS];
	struct process *processes;
	int process_count;
};

enum fault_kind { FAULT_RETURN, FAULT_HANG, FAULT_CRASH, FAULT_ABORT, FAULT_DELAY };
struct fault { char function[TEXT]; int gpu; enum fault_kind kind; int value; }; /* gpu -1: whichever */

struct scenario {
	char driver[TEXT], nvml[TEXT];
	struct figure cuda;
	struct gpu gpus[MOST_GPUS];
	int gpu_count;
	unsigned char levels[MOST_GPUS][MOST_GPUS];
	struct fault faults[MOST_FAULTS];
	int fault_count;
};

/* scenario_now is the scenario as its file stands at this moment, or 0 where there is none that can be
 * read; then problem, where it is not empty, says why. */
struct scenario *scenario_now(void);
extern char scenario_problem[512];

#endif
