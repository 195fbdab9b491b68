// The CUDA driver's functions, looked for at run time, and the few things done with them.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CPoWGPU.h"

typedef void *context_t, *module_t, *function_t, *stream_t;

// The driver API's own prototypes (CUDA Driver API reference; names with _v2 are its 64-bit forms).
struct driver {
  int (*init)(unsigned flags);
  int (*count)(int *count);
  int (*device)(int *device, int ordinal);
  int (*name)(char *name, int length, int device);
  int (*uuid)(unsigned char uuid[16], int device);
  int (*attribute)(int *value, int attribute, int device);
  int (*memory)(size_t *bytes, int device);
  int (*retain)(context_t *context, int device);
  int (*release)(int device);
  int (*use)(context_t context);
  int (*room)(size_t *free, size_t *total);
  int (*allocate)(uint64_t *address, size_t bytes);
  int (*free)(uint64_t address);
  int (*up)(uint64_t to, const void *from, size_t bytes, stream_t stream);
  int (*down)(void *to, uint64_t from, size_t bytes, stream_t stream);
  int (*load)(module_t *module, const void *image);
  int (*unload)(module_t module);
  int (*function)(function_t *function, module_t module, const char *name);
  int (*launch)(function_t function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                unsigned bz, unsigned shared, stream_t stream, void **arguments, void **extra);
  int (*stream)(stream_t *stream, unsigned flags);
  int (*unstream)(stream_t stream);
  int (*wait)(stream_t stream);
  int (*text)(int result, const char **text);
};

struct iorun_gpu {
  struct driver driver;
  int device;
  context_t context;
  module_t module;
  stream_t stream;
  function_t functions[IORUN_GPU_KERNELS];
};

// The library stays loaded: a driver is not made to go.
static void *library_function(const char *name) {
  static void *library;
  void *known = __atomic_load_n(&library, __ATOMIC_ACQUIRE);
  if (!known) {
    known = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!known) return NULL;
    __atomic_store_n(&library, known, __ATOMIC_RELEASE);
  }
  return dlsym(known, name);
}

static int find(iorun_gpu_resolver resolver, struct driver *driver) {
  if (!resolver) resolver = library_function;
  const struct { const char *name; void *place; } wanted[] = {
      {"cuInit", &driver->init},
      {"cuDeviceGetCount", &driver->count},
      {"cuDeviceGet", &driver->device},
      {"cuDeviceGetName", &driver->name},
      {"cuDeviceGetUuid", &driver->uuid},
      {"cuDeviceGetAttribute", &driver->attribute},
      {"cuDeviceTotalMem_v2", &driver->memory},
      {"cuDevicePrimaryCtxRetain", &driver->retain},
      {"cuDevicePrimaryCtxRelease_v2", &driver->release},
      {"cuCtxSetCurrent", &driver->use},
      {"cuMemGetInfo_v2", &driver->room},
      {"cuMemAlloc_v2", &driver->allocate},
      {"cuMemFree_v2", &driver->free},
      {"cuMemcpyHtoDAsync_v2", &driver->up},
      {"cuMemcpyDtoHAsync_v2", &driver->down},
      {"cuModuleLoadData", &driver->load},
      {"cuModuleUnload", &driver->unload},
      {"cuModuleGetFunction", &driver->function},
      {"cuLaunchKernel", &driver->launch},
      {"cuStreamCreate", &driver->stream},
      {"cuStreamDestroy_v2", &driver->unstream},
      {"cuStreamSynchronize", &driver->wait},
      {"cuGetErrorString", &driver->text},
  };
  if (!resolver("cuInit")) return IORUN_GPU_NO_LIBRARY;
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    void *found = resolver(wanted[i].name);
    if (!found) return IORUN_GPU_OLD_LIBRARY;
    memcpy(wanted[i].place, &found, sizeof found);
  }
  return driver->init(0);
}

int iorun_gpu_count(iorun_gpu_resolver resolver, int *count) {
  struct driver driver;
  int result = find(resolver, &driver);
  return result ? result : driver.count(count);
}

#define TRY(call)                                                                                  \
  do {                                                                                             \
    int result_ = (call);                                                                          \
    if (result_) return result_;                                                                   \
  } while (0)

static int describe(const struct driver *driver, int device, struct iorun_gpu_description *out) {
  // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, COMPUTE_CAPABILITY_MAJOR, _MINOR.
  enum { MULTIPROCESSORS = 16, MAJOR = 75, MINOR = 76 };
  memset(out, 0, sizeof *out);
  TRY(driver->name(out->name, (int)sizeof out->name - 1, device));
  unsigned char u[16];
  TRY(driver->uuid(u, device));
  snprintf(out->uuid, sizeof out->uuid,
           "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
           u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
  TRY(driver->attribute(&out->multiprocessors, MULTIPROCESSORS, device));
  TRY(driver->attribute(&out->major, MAJOR, device));
  TRY(driver->attribute(&out->minor, MINOR, device));
  size_t bytes = 0;
  TRY(driver->memory(&bytes, device));
  out->memory = bytes;
  return 0;
}

int iorun_gpu_describe(iorun_gpu_resolver resolver, int index, struct iorun_gpu_description *out) {
  struct driver driver;
  int device = 0;
  TRY(find(resolver, &driver));
  TRY(driver.device(&device, index));
  return describe(&driver, device, out);
}

static int open_context(struct iorun_gpu *gpu) {
  static const char *const names[IORUN_GPU_KERNELS] = {
      "pow_fill",        "pow_walk",  "pow_lines", "pow_product_dp4a",
      "pow_product_mma", "pow_tiles", "pow_nodes"};
  const struct driver *driver = &gpu->driver;
  struct iorun_gpu_description about;
  TRY(describe(driver, gpu->device, &about));
  int compute = 10 * about.major + about.minor;
  if (compute < 61) return IORUN_GPU_OLD_DEVICE;
  TRY(driver->retain(&gpu->context, gpu->device));
  TRY(driver->use(gpu->context));
  TRY(driver->load(&gpu->module, compute >= 80 ? iorun_pow_ptx_80 : iorun_pow_ptx_61));
  for (int i = 0; i < IORUN_GPU_KERNELS; i++)
    if (i != IORUN_GPU_PRODUCT_MMA || compute >= 80)
      TRY(driver->function(&gpu->functions[i], gpu->module, names[i]));
  // CU_STREAM_NON_BLOCKING: a walk goes on while a product does.
  return driver->stream(&gpu->stream, 1);
}

int iorun_gpu_open(iorun_gpu_resolver resolver, int index, struct iorun_gpu **out) {
  struct iorun_gpu *gpu = calloc(1, sizeof *gpu);
  if (!gpu) return IORUN_GPU_NO_ROOM;
  int result = find(resolver, &gpu->driver);
  if (!result) result = gpu->driver.device(&gpu->device, index);
  if (!result) result = open_context(gpu);
  if (result) {
    iorun_gpu_close(gpu);
    return result;
  }
  *out = gpu;
  return 0;
}

void iorun_gpu_close(struct iorun_gpu *gpu) {
  if (gpu->context) {
    gpu->driver.use(gpu->context);
    if (gpu->stream) gpu->driver.unstream(gpu->stream);
    if (gpu->module) gpu->driver.unload(gpu->module);
    gpu->driver.release(gpu->device);
  }
  free(gpu);
}

const char *iorun_gpu_text(const struct iorun_gpu *gpu, int result) {
  const char *text = NULL;
  if (gpu && result > 0) gpu->driver.text(result, &text);
  return text ? text : "no more is known";
}

int iorun_gpu_has(const struct iorun_gpu *gpu, enum iorun_gpu_kernel kernel) {
  return gpu->functions[kernel] != NULL;
}

int iorun_gpu_room(const struct iorun_gpu *gpu, uint64_t *free) {
  size_t bytes = 0, total = 0;
  TRY(gpu->driver.use(gpu->context));
  TRY(gpu->driver.room(&bytes, &total));
  *free = bytes;
  return 0;
}

int iorun_gpu_allocate(const struct iorun_gpu *gpu, uint64_t bytes, uint64_t *address) {
  TRY(gpu->driver.use(gpu->context));
  return gpu->driver.allocate(address, bytes);
}

int iorun_gpu_free(const struct iorun_gpu *gpu, uint64_t address) {
  TRY(gpu->driver.use(gpu->context));
  return gpu->driver.free(address);
}

int iorun_gpu_upload(const struct iorun_gpu *gpu, uint64_t to, const void *from, uint64_t bytes) {
  TRY(gpu->driver.use(gpu->context));
  TRY(gpu->driver.up(to, from, bytes, gpu->stream));
  return gpu->driver.wait(gpu->stream);
}

int iorun_gpu_download(const struct iorun_gpu *gpu, void *to, uint64_t from, uint64_t bytes) {
  TRY(gpu->driver.use(gpu->context));
  TRY(gpu->driver.down(to, from, bytes, gpu->stream));
  return gpu->driver.wait(gpu->stream);
}

int iorun_gpu_launch(const struct iorun_gpu *gpu, enum iorun_gpu_kernel kernel, uint32_t blocks,
                     uint32_t rows, uint32_t threads, const uint64_t *arguments, uint32_t count) {
  void *places[16];
  if (count > 16) return IORUN_GPU_NO_ROOM;
  // The driver only reads what these point to.
  for (uint32_t i = 0; i < count; i++) places[i] = (void *)(uintptr_t)(arguments + i);
  TRY(gpu->driver.use(gpu->context));
  return gpu->driver.launch(gpu->functions[kernel], blocks, rows, 1, threads, 1, 1, 0, gpu->stream,
                            places, NULL);
}

int iorun_gpu_wait(const struct iorun_gpu *gpu) {
  TRY(gpu->driver.use(gpu->context));
  return gpu->driver.wait(gpu->stream);
}

static void *nvml_function(const char *name) {
  static void *library;
  void *known = __atomic_load_n(&library, __ATOMIC_ACQUIRE);
  if (!known) {
    known = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!known) return NULL;
    __atomic_store_n(&library, known, __ATOMIC_RELEASE);
  }
  return dlsym(known, name);
}

int iorun_gpu_look(iorun_gpu_resolver resolver, const char *uuid, struct iorun_gpu_state *out) {
  typedef void *nvml_device;
  int (*init)(void), (*by_uuid)(const char *, nvml_device *);
  int (*processes)(nvml_device, unsigned *, void *), (*clock)(nvml_device, int, unsigned *);
  int (*temperature)(nvml_device, int, unsigned *), (*mig)(nvml_device, unsigned *, unsigned *);
  int (*reasons)(nvml_device, unsigned long long *);
  const struct { const char *name; void *place; } wanted[] = {
      {"nvmlInit_v2", &init},
      {"nvmlDeviceGetHandleByUUID", &by_uuid},
      {"nvmlDeviceGetComputeRunningProcesses", &processes},
      {"nvmlDeviceGetClockInfo", &clock},
      {"nvmlDeviceGetTemperature", &temperature},
      {"nvmlDeviceGetMigMode", &mig},
      {"nvmlDeviceGetCurrentClocksThrottleReasons", &reasons},
  };
  if (!resolver) resolver = nvml_function;
  if (!resolver("nvmlInit_v2")) return IORUN_GPU_NO_LIBRARY;
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    void *found = resolver(wanted[i].name);
    if (!found) return IORUN_GPU_OLD_LIBRARY;
    memcpy(wanted[i].place, &found, sizeof found);
  }
  enum { SUCCESS = 0, TOO_SMALL = 7, MULTIPROCESSOR_CLOCK = 1, CORE_SENSOR = 0 };
  nvml_device device = NULL;
  memset(out, 0, sizeof *out);
  TRY(init());
  TRY(by_uuid(uuid, &device));
  // With no room NVML says how many there are, whatever the entries' version is.
  unsigned count = 0;
  int counted = processes(device, &count, NULL);
  if (counted != SUCCESS && counted != TOO_SMALL) return counted;
  out->processes = count;
  // Not every card has every one of these: what it has not stays zero.
  unsigned value = 0, pending = 0;
  if (clock(device, MULTIPROCESSOR_CLOCK, &value) == SUCCESS) out->clock_mhz = value;
  if (temperature(device, CORE_SENSOR, &value) == SUCCESS) out->temperature_celsius = value;
  if (mig(device, &value, &pending) == SUCCESS) out->is_partitioned = value;
  unsigned long long bits = 0;
  if (reasons(device, &bits) == SUCCESS) out->throttle_reasons = bits;
  return 0;
}
