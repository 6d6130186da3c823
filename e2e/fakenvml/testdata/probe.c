/* Starts NVML and says how many GPUs there are, or what it answered. */
#include <stdio.h>

int nvmlInit_v2(void);
int nvmlDeviceGetCount_v2(unsigned *);

int main(void) {
	unsigned count;
	int ret = nvmlInit_v2();
	if (!ret && !(ret = nvmlDeviceGetCount_v2(&count)))
		return printf("%u GPUs\n", count) < 0;
	return printf("init %d\n", ret) < 0;
}
