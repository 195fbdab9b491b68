// The GPU's way through gpu.mm and gpu.mem, by the CUDA driver that is on the machine: libcuda is
// looked for at run time, so that nothing of CUDA is needed to build or to start.
#ifndef IORUN_CPOW_GPU_H
#define IORUN_CPOW_GPU_H

#include <stddef.h>
#include <stdint.h>

// The kernels as PTX, which the driver makes machine code of (scripts/generate-ptx.py): for compute
// 6.1 and up, and for 8.0 and up with tensor cores.
extern const char iorun_pow_ptx_61[], iorun_pow_ptx_80[];

// A function of a library by its name; NULL where there is none.
typedef void *(*iorun_gpu_resolver)(const char *name);

// What calls return beside CUDA's own results (CUresult, 0 is success).
enum {
  IORUN_GPU_NO_LIBRARY = -1,  // no driver on this machine
  IORUN_GPU_OLD_LIBRARY = -2, // a driver without a function that is needed
  IORUN_GPU_OLD_DEVICE = -3,  // compute below 6.1
  IORUN_GPU_NO_ROOM = -4,     // no memory for the little that is kept of it here
};

enum iorun_gpu_kernel {
  IORUN_GPU_FILL,
  IORUN_GPU_WALK,
  IORUN_GPU_LINES,
  IORUN_GPU_PRODUCT_DP4A,
  IORUN_GPU_PRODUCT_MMA, // NULL below compute 8.0
  IORUN_GPU_TILES,
  IORUN_GPU_NODES,
  IORUN_GPU_KERNELS
};

struct iorun_gpu; // an opened device

struct iorun_gpu_description {
  char name[256];
  char uuid[48]; // as NVML and nvidia-smi write it
  int major, minor, multiprocessors;
  uint64_t memory; // bytes
};

// How many GPUs there are. `resolver` NULL: of libcuda.so.1.
int iorun_gpu_count(iorun_gpu_resolver resolver, int *count);
// Describes a GPU; begins nothing on it.
int iorun_gpu_describe(iorun_gpu_resolver resolver, int index, struct iorun_gpu_description *out);
// Opens a GPU: its primary context, and the kernels. Close it with iorun_gpu_close.
int iorun_gpu_open(iorun_gpu_resolver resolver, int index, struct iorun_gpu **out);
void iorun_gpu_close(struct iorun_gpu *gpu);
// What a call's result means, in CUDA's words; never NULL.
const char *iorun_gpu_text(const struct iorun_gpu *gpu, int result);

// All of these may be called from any thread; work is done in order on the opened device's stream.
int iorun_gpu_has(const struct iorun_gpu *gpu, enum iorun_gpu_kernel kernel);
int iorun_gpu_room(const struct iorun_gpu *gpu, uint64_t *free);
int iorun_gpu_allocate(const struct iorun_gpu *gpu, uint64_t bytes, uint64_t *address);
int iorun_gpu_free(const struct iorun_gpu *gpu, uint64_t address);
int iorun_gpu_upload(const struct iorun_gpu *gpu, uint64_t to, const void *from, uint64_t bytes);
int iorun_gpu_download(const struct iorun_gpu *gpu, void *to, uint64_t from, uint64_t bytes);
// Starts a kernel of `blocks` x `rows` blocks of `threads`; each argument is a value of at most
// eight bytes, of which the kernel takes as many as it has.
int iorun_gpu_launch(const struct iorun_gpu *gpu, enum iorun_gpu_kernel kernel, uint32_t blocks,
                     uint32_t rows, uint32_t threads, const uint64_t *arguments, uint32_t count);
// Waits until all that was started is done.
int iorun_gpu_wait(const struct iorun_gpu *gpu);

// What NVML says of a GPU. None of it proves anything; it explains.
struct iorun_gpu_state {
  uint32_t processes;            // that compute on it
  uint32_t clock_mhz;            // of its multiprocessors
  uint32_t temperature_celsius;
  uint32_t is_partitioned;       // MIG
  uint64_t throttle_reasons;     // nvmlClocksThrottleReasons
};
// Returns 0, IORUN_GPU_NO_LIBRARY, IORUN_GPU_OLD_LIBRARY, or NVML's own result. `resolver` NULL: of
// libnvidia-ml.so.1.
int iorun_gpu_look(iorun_gpu_resolver resolver, const char *uuid, struct iorun_gpu_state *out);

#endif
