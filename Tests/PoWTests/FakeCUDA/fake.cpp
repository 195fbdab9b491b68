#include "CFakeCUDA.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

// CUDA's words for the kernels' source.
struct index3 {
  unsigned x, y, z;
};
struct uint4 {
  unsigned x, y, z, w;
};
static index3 threadIdx, blockIdx, blockDim;
#define IORUN_EMULATED
#define __global__
#define __device__
#define __constant__ static const
#define __shared__ static

static uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
  return (unsigned long long)((unsigned __int128)x * y >> 64);
}
// Bytes of `x` (0 to 3) and `y` (4 to 7), chosen by the nibbles of `s` from the lowest up.
static unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {
  unsigned long long both = (unsigned long long)y << 32 | x;
  unsigned out = 0;
  for (int i = 0; i < 4; i++) out |= (unsigned)(both >> 8 * (s >> 4 * i & 7) & 0xff) << 8 * i;
  return out;
}
static int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; i++) c += (signed char)(a >> 8 * i) * (signed char)(b >> 8 * i);
  return c;
}

// The threads of a block are fibers: each runs until it waits for the others, then the next does.
enum { THREADS = 256, STACK = 1 << 16 };
static ucontext_t scheduler, fibers[THREADS];
static char *stacks;
static int running, ended[THREADS];
static void __syncthreads(void) { swapcontext(&fibers[running], &scheduler); }

// Fragments of all threads; a warp's are looked up as PTX ISA lays them out for m16n8k32.
static unsigned all_a[THREADS][4], all_b[THREADS][2];
static void mma(int d[4], const unsigned a[4], const unsigned b[2]) {
  unsigned thread = threadIdx.x, lane = thread % 32, warp = thread - lane;
  memcpy(all_a[thread], a, sizeof all_a[0]);
  memcpy(all_b[thread], b, sizeof all_b[0]);
  __syncthreads();
  for (int i = 0; i < 4; i++) {
    unsigned row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
    for (unsigned k = 0; k < 32; k++) {
      unsigned from = k % 16 / 4;
      unsigned x = all_a[warp + row % 8 * 4 + from][row / 8 + 2 * (k / 16)];
      unsigned y = all_b[warp + column * 4 + from][k / 16];
      d[i] += (signed char)(x >> 8 * (k % 4)) * (signed char)(y >> 8 * (k % 4));
    }
  }
  __syncthreads();
}

#include "../../../scripts/ptx/pow.cu"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t free_bytes = 1 << 30, taken_bytes;
static uint32_t processes;
static int compute = 90, fault, allocations;

extern "C" void fake_gpu_set(uint64_t bytes, uint32_t others, int capability, int result) {
  pthread_mutex_lock(&lock);
  free_bytes = bytes, processes = others, compute = capability, fault = result;
  pthread_mutex_unlock(&lock);
}

extern "C" int fake_gpu_allocations(void) {
  pthread_mutex_lock(&lock);
  int count = allocations;
  pthread_mutex_unlock(&lock);
  return count;
}

static const char *const names[] = {"pow_fill",        "pow_walk",  "pow_lines", "pow_product_dp4a",
                                    "pow_product_mma", "pow_tiles", "pow_nodes"};
static int chosen;
static void **arguments;

template <typename T> static T at(int i) {
  T value;
  memcpy(&value, arguments[i], sizeof value);
  return value;
}

static void kernel(void) {
  typedef uint32_t *words;
  switch (chosen) {
  case 0:
    pow_fill(at<u32>(0), at<u32>(1), at<u32>(2), at<u32>(3), at<u64>(4), at<u64>(5), at<u32>(6),
             at<uint4 *>(7));
    break;
  case 1:
    pow_walk(at<u32>(0), at<u32>(1), at<u32>(2), at<u32>(3), at<const uint4 *>(4), at<u64>(5),
             at<words>(6), at<u32>(7), at<u32>(8), at<words>(9), at<u32>(10), at<u32>(11));
    break;
  case 2:
    pow_lines(at<u32>(0), at<u32>(1), at<u32>(2), at<u32>(3), at<u32>(4), at<uint4 *>(5));
    break;
  case 3:
    pow_product_dp4a(at<words>(0), at<words>(1), at<u32>(2), at<u32>(3), at<int *>(4));
    break;
  case 4:
    pow_product_mma(at<words>(0), at<words>(1), at<u32>(2), at<u32>(3), at<int *>(4));
    break;
  case 5:
    pow_tiles(at<const int *>(0), at<u32>(1), at<u32>(2), at<words>(3));
    break;
  case 6:
    pow_nodes(at<words>(0), at<u32>(1), at<words>(2));
    break;
  }
}

static void fiber(void) {
  kernel();
  ended[running] = 1;
}

static void run_block(unsigned threads) {
  if (chosen != 3 && chosen != 4) {
    for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) kernel();
    return;
  }
  if (!stacks) stacks = (char *)malloc((size_t)THREADS * STACK);
  for (unsigned t = 0; t < threads; t++) {
    ended[t] = 0;
    getcontext(&fibers[t]);
    fibers[t].uc_stack.ss_sp = stacks + (size_t)t * STACK;
    fibers[t].uc_stack.ss_size = STACK;
    fibers[t].uc_link = &scheduler;
    makecontext(&fibers[t], fiber, 0);
  }
  for (unsigned left = threads; left;) {
    left = 0;
    for (unsigned t = 0; t < threads; t++) {
      if (ended[t]) continue;
      running = (int)t, threadIdx.x = t;
      swapcontext(&scheduler, &fibers[t]);
      left += !ended[t];
    }
  }
}

extern "C" {
static int cu_init(unsigned) { return 0; }
static int cu_count(int *count) { return *count = 1, 0; }
static int cu_device(int *device, int ordinal) { return *device = ordinal, ordinal == 0 ? 0 : 101; }
static int cu_name(char *name, int length, int) {
  strncpy(name, "Fake GPU", (size_t)length);
  return 0;
}
static int cu_uuid(unsigned char uuid[16], int) {
  for (int i = 0; i < 16; i++) uuid[i] = (unsigned char)(17 * i);
  return 0;
}
static int cu_attribute(int *value, int attribute, int) {
  *value = attribute == 75 ? compute / 10 : attribute == 76 ? compute % 10 : 4;
  return 0;
}
static int cu_memory(size_t *bytes, int) { return *bytes = 1 << 30, 0; }
static int cu_retain(void **context, int) { return *context = &chosen, 0; }
static int cu_release(int) { return 0; }
static int cu_use(void *) { return 0; }
static int cu_room(size_t *bytes, size_t *total) {
  pthread_mutex_lock(&lock);
  *bytes = free_bytes > taken_bytes ? free_bytes - taken_bytes : 0, *total = 1 << 30;
  pthread_mutex_unlock(&lock);
  return 0;
}
// Before what it hands out stands how much that is.
static const size_t before = 256;
static int cu_allocate(uint64_t *address, size_t bytes) {
  pthread_mutex_lock(&lock);
  bool fits = taken_bytes + bytes <= free_bytes;
  if (fits) allocations++, taken_bytes += bytes;
  pthread_mutex_unlock(&lock);
  void *memory = NULL;
  if (!fits || posix_memalign(&memory, 256, before + bytes)) return 2;
  // As a GPU's memory: whatever was there.
  memset(memory, 0xaa, before + bytes);
  *(size_t *)memory = bytes;
  return *address = (uint64_t)(uintptr_t)memory + before, 0;
}
static int cu_free(uint64_t address) {
  char *memory = (char *)(uintptr_t)address - before;
  pthread_mutex_lock(&lock);
  allocations--, taken_bytes -= *(size_t *)memory;
  pthread_mutex_unlock(&lock);
  free(memory);
  return 0;
}
static int cu_up(uint64_t to, const void *from, size_t bytes, void *) {
  memcpy((void *)(uintptr_t)to, from, bytes);
  return 0;
}
static int cu_down(void *to, uint64_t from, size_t bytes, void *) {
  memcpy(to, (const void *)(uintptr_t)from, bytes);
  return 0;
}
static int cu_load(void **module, const void *image) {
  // What is loaded must be PTX for this GPU.
  const char *text = (const char *)image;
  const char *target = strstr(text, ".target sm_");
  if (!target || atoi(target + 11) > compute) return 209;
  return *module = (void *)(uintptr_t)image, 0;
}
static int cu_unload(void *) { return 0; }
static int cu_function(void **function, void *module, const char *name) {
  char entry[64] = ".entry ";
  strncat(entry, name, sizeof entry - 8);
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    if (!strcmp(names[i], name) && strstr((const char *)module, entry))
      return *function = (void *)&names[i], 0;
  return 500;
}
static int cu_launch(void *function, unsigned gx, unsigned gy, unsigned, unsigned bx, unsigned,
                     unsigned, unsigned, void *, void **values, void **) {
  pthread_mutex_lock(&lock);
  int result = fault;
  if (!result) {
    chosen = (int)((const char *const *)function - names);
    arguments = values;
    blockDim.x = bx;
    for (blockIdx.y = 0; blockIdx.y < gy; blockIdx.y++)
      for (blockIdx.x = 0; blockIdx.x < gx; blockIdx.x++) run_block(bx);
  }
  pthread_mutex_unlock(&lock);
  return result;
}
static int cu_stream(void **stream, unsigned) { return *stream = &fault, 0; }
static int cu_unstream(void *) { return 0; }
static int cu_wait(void *) { return 0; }
static int cu_text(int, const char **text) { return *text = "as the test wanted", 0; }

static int nvml_init(void) { return 0; }
static int nvml_uuid(const char *, void **device) { return *device = &processes, 0; }
static int nvml_processes(void *, unsigned *count, void *) {
  *count = processes;
  return processes ? 7 : 0;
}
static int nvml_clock(void *, int, unsigned *value) { return *value = 1980, 0; }
static int nvml_temperature(void *, int, unsigned *value) { return *value = 61, 0; }
static int nvml_mig(void *, unsigned *, unsigned *) { return 3; }
static int nvml_reasons(void *, unsigned long long *bits) { return *bits = 4, 0; }
}

struct entry {
  const char *name;
  void *function;
};
#define E(name, function) {name, (void *)function}

static void *find(const entry *entries, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (!strcmp(entries[i].name, name)) return entries[i].function;
  return NULL;
}

extern "C" void *fake_cuda_function(const char *name) {
  static const entry entries[] = {
      E("cuInit", cu_init), E("cuDeviceGetCount", cu_count), E("cuDeviceGet", cu_device),
      E("cuDeviceGetName", cu_name), E("cuDeviceGetUuid", cu_uuid),
      E("cuDeviceGetAttribute", cu_attribute), E("cuDeviceTotalMem_v2", cu_memory),
      E("cuDevicePrimaryCtxRetain", cu_retain), E("cuDevicePrimaryCtxRelease_v2", cu_release),
      E("cuCtxSetCurrent", cu_use), E("cuMemGetInfo_v2", cu_room),
      E("cuMemAlloc_v2", cu_allocate), E("cuMemFree_v2", cu_free),
      E("cuMemcpyHtoDAsync_v2", cu_up), E("cuMemcpyDtoHAsync_v2", cu_down),
      E("cuModuleLoadData", cu_load), E("cuModuleUnload", cu_unload),
      E("cuModuleGetFunction", cu_function), E("cuLaunchKernel", cu_launch),
      E("cuStreamCreate", cu_stream), E("cuStreamDestroy_v2", cu_unstream),
      E("cuStreamSynchronize", cu_wait), E("cuGetErrorString", cu_text)};
  return find(entries, sizeof entries / sizeof *entries, name);
}

extern "C" void *fake_old_cuda_function(const char *name) {
  return strcmp(name, "cuStreamSynchronize") ? fake_cuda_function(name) : NULL;
}

extern "C" void *fake_nvml_function(const char *name) {
  static const entry entries[] = {
      E("nvmlInit_v2", nvml_init), E("nvmlDeviceGetHandleByUUID", nvml_uuid),
      E("nvmlDeviceGetComputeRunningProcesses", nvml_processes),
      E("nvmlDeviceGetClockInfo", nvml_clock), E("nvmlDeviceGetTemperature", nvml_temperature),
      E("nvmlDeviceGetMigMode", nvml_mig),
      E("nvmlDeviceGetCurrentClocksThrottleReasons", nvml_reasons)};
  return find(entries, sizeof entries / sizeof *entries, name);
}
