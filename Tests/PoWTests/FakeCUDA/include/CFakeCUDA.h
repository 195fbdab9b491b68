// A CUDA driver and an NVML that compute on the CPU, with the very source of the kernels: so the
// whole way through a GPU is tested where there is none. It shows that the logic, the layout of
// memory and the arguments are right, not that a GPU's own compiler and units are.
#ifndef CFAKECUDA_H
#define CFAKECUDA_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A function by its name, as dlsym would give it.
void *fake_cuda_function(const char *name);
void *fake_nvml_function(const char *name);
// The same library, without cuStreamSynchronize.
void *fake_old_cuda_function(const char *name);

// What the GPU is like, for the calling process: free memory in bytes, processes on it, compute
// capability times ten, and a CUresult that every start of a kernel gives (0 for none).
void fake_gpu_set(uint64_t free_bytes, uint32_t processes, int compute, int fault);
// Allocations that were not freed.
int fake_gpu_allocations(void);

#ifdef __cplusplus
}
#endif
#endif
