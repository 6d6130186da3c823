/* What NVML's binary interface is, as far as this library answers it: names, order and width of the
 * arguments and of the fields. Only what callers can see is declared, in our own words.
 * The reference is https://docs.nvidia.com/deploy/nvml-api. */
#ifndef NVML_ABI_H
#define NVML_ABI_H

#define EXPORT __attribute__((visibility("default")))

typedef int nvmlReturn;
typedef void *nvmlHandle; /* of a GPU or of a MIG device */

enum {
	OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
	INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15, OUT_OF_MEMORY = 20, VERSION_MISMATCH = 25, UNKNOWN = 999,
};

struct memory { unsigned long long total, free, used; };
struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };
struct bar1 { unsigned long long total, free, used; };
struct utilization { unsigned gpu, memory; };
struct pci {
	char legacy_id[16];
	unsigned domain, bus, device, device_id, subsystem_id;
	char id[32];
};
struct pci_ext { unsigned version, domain, bus, device, device_id, subsystem_id, base_class, sub_class; char id[32]; };
struct process_v1 { unsigned pid; unsigned long long memory; };
struct process_v2 { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; };
struct process_detail { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; unsigned long long protected_memory; };
struct process_details { unsigned version, mode, count; struct process_detail *processes; };
struct process_sample { unsigned pid; unsigned long long timestamp; unsigned sm, memory, encoder, decoder; };
struct process_sample_v2 { unsigned long long timestamp; unsigned pid, sm, memory, encoder, decoder, jpeg, ofa; };
struct process_samples { unsigned version, count; unsigned long long last_seen; struct process_sample_v2 *samples; };
struct attributes { unsigned sms, copy, decoders, encoders, jpeg, ofa, gpu_slices, compute_slices; unsigned long long memory_mib; };
struct violation { unsigned long long reference, violation; };
union value { double d; int i; unsigned u; unsigned long ul; unsigned long long ull; long long ll; unsigned short us; };
enum { TYPE_UNSIGNED = 1, TYPE_UNSIGNED_LONG_LONG = 3, TYPE_SIGNED = 5 };
struct field_value { unsigned field, scope; long long timestamp, latency; int type; nvmlReturn ret; union value value; };
struct fabric { unsigned char cluster[16]; nvmlReturn status; unsigned clique; unsigned char state; };
struct fabric_v2 { unsigned version; unsigned char cluster[16]; nvmlReturn status; unsigned clique; unsigned char state; unsigned health; };
struct fabric_v3 { unsigned version; unsigned char cluster[16]; nvmlReturn status; unsigned clique; unsigned char state; unsigned health; unsigned char summary; };
struct temperature { unsigned version; int sensor, celsius; };
struct instance_info { nvmlHandle device; unsigned id, profile, start, size; };
struct compute_instance_info { nvmlHandle device, gpu_instance; unsigned id, profile, start, size; };
struct gpm_support { unsigned version, supported; };
struct gpm_metric { unsigned id; nvmlReturn ret; double value; const char *short_name, *long_name, *unit; };
struct gpm_metrics { unsigned version, count; nvmlHandle sample1, sample2; struct gpm_metric metrics[]; }; /* as many as the caller's header knows */
struct event { nvmlHandle device; unsigned long long type, data; unsigned gpu_instance, compute_instance; };

/* a versioned structure carries its size and its version in its first field */
#define VERSIONED(type, version) ((unsigned)sizeof(type) | (version) << 24)

#endif
