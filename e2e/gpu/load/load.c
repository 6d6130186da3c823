/* A load for the GPU that needs nothing but the driver: takes MEBIBYTES of its memory and writes them over
 * and over until it is ended. Says "ready" when the memory is taken. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
	size_t bytes = (argc > 1 ? strtoul(argv[1], 0, 10) : 256) << 20;
	void *cuda = dlopen("libcuda.so.1", RTLD_NOW), *context;
	unsigned long long memory;
	int device, ret;
	if (!cuda)
		return fprintf(stderr, "%s\n", dlerror()), 2;
	int (*init)(unsigned) = (int (*)(unsigned))dlsym(cuda, "cuInit");
	int (*get)(int *, int) = (int (*)(int *, int))dlsym(cuda, "cuDeviceGet");
	int (*retain)(void **, int) = (int (*)(void **, int))dlsym(cuda, "cuDevicePrimaryCtxRetain");
	int (*current)(void *) = (int (*)(void *))dlsym(cuda, "cuCtxSetCurrent");
	int (*take)(unsigned long long *, size_t) = (int (*)(unsigned long long *, size_t))dlsym(cuda, "cuMemAlloc_v2");
	int (*set)(unsigned long long, unsigned char, size_t) = (int (*)(unsigned long long, unsigned char, size_t))dlsym(cuda, "cuMemsetD8_v2");
	int (*wait)(void) = (int (*)(void))dlsym(cuda, "cuCtxSynchronize");
	if (!init || !get || !retain || !current || !take || !set || !wait)
		return fprintf(stderr, "libcuda.so.1 lacks a function\n"), 2;
	if ((ret = init(0)) || (ret = get(&device, 0)) || (ret = retain(&context, device)) || (ret = current(context)) || (ret = take(&memory, bytes)))
		return fprintf(stderr, "CUDA error %d\n", ret), 1;
	puts("ready");
	fflush(stdout);
	for (unsigned char n = 0;; n++)
		if ((ret = set(memory, n, bytes)) || (ret = wait()))
			return fprintf(stderr, "CUDA error %d\n", ret), 1;
}
