// Which device nodes the processes of a control group may open (version 2): a program of the kernel's
// own machine, attached to the group and gone with it. See cgroup-v2.rst, "Device controller".
#define _GNU_SOURCE
#include "CSandbox.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { most_rules = 512, rule_length = 8, head_length = 6 };

static struct bpf_insn instruction(int code, int target, int source, int offset, int value) {
  return (struct bpf_insn){
      .code = (uint8_t)code,
      .dst_reg = (uint8_t)(target & 0xf),
      .src_reg = (uint8_t)(source & 0xf),
      .off = (int16_t)offset,
      .imm = value,
  };
}

static struct bpf_insn load(int target, int offset) {
  return instruction(BPF_LDX | BPF_MEM | BPF_W, target, BPF_REG_1, offset, 0);
}
static struct bpf_insn compute(int operation, int target, int value) {
  return instruction(BPF_ALU | operation | BPF_K, target, 0, 0, value);
}
// Skips the rest of the rule, `count` instructions.
static struct bpf_insn skip_unless(int target, int value, int count) {
  return instruction(BPF_JMP | BPF_JNE | BPF_K, target, 0, count, value);
}
static struct bpf_insn give(int value) {
  return instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value);
}
static struct bpf_insn leave(void) { return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

int iorun_device_filter(int group, const struct iorun_device_rule *rules, int count) {
  static _Thread_local struct bpf_insn code[head_length + most_rules * rule_length + 2];
  if (count < 0 || count > most_rules) return EINVAL;
  int length = 0;
  // Register 2: 1 block, 2 character; 3: 1 make, 2 read, 4 write; 4 and 5: the numbers.
  code[length++] = load(BPF_REG_2, 0);
  code[length++] = instruction(BPF_ALU | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
  code[length++] = compute(BPF_AND, BPF_REG_2, 0xffff);
  code[length++] = compute(BPF_RSH, BPF_REG_3, 16);
  code[length++] = load(BPF_REG_4, 4);
  code[length++] = load(BPF_REG_5, 8);
  for (int i = 0; i < count; i++) {
    int end = length + rule_length;
    code[length] = skip_unless(BPF_REG_2, rules[i].is_block ? 1 : 2, end - length - 1);
    length++;
    code[length++] = instruction(BPF_ALU | BPF_MOV | BPF_X, BPF_REG_0, BPF_REG_3, 0, 0);
    // Reading and writing, and not making.
    code[length++] = compute(BPF_AND, BPF_REG_0, ~6);
    code[length] = skip_unless(BPF_REG_0, 0, end - length - 1);
    length++;
    code[length] = skip_unless(BPF_REG_4, (int)rules[i].major, end - length - 1);
    length++;
    // Any minor number: an instruction that does nothing.
    code[length] = rules[i].minor < 0
                       ? instruction(BPF_JMP | BPF_JA, 0, 0, 0, 0)
                       : skip_unless(BPF_REG_5, (int)rules[i].minor, end - length - 1);
    length++;
    code[length++] = give(1);
    code[length++] = leave();
  }
  code[length++] = give(0);
  code[length++] = leave();

  union bpf_attr program;
  memset(&program, 0, sizeof program);
  program.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  program.expected_attach_type = BPF_CGROUP_DEVICE;
  program.insns = (uint64_t)(uintptr_t)code;
  program.insn_cnt = (uint32_t)length;
  // It calls none of the kernel's functions, so any licence will do.
  program.license = (uint64_t)(uintptr_t) "Apache-2.0";
  long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &program, sizeof program);
  if (fd < 0) return errno;
  union bpf_attr attach;
  memset(&attach, 0, sizeof attach);
  attach.target_fd = (uint32_t)group;
  attach.attach_bpf_fd = (uint32_t)fd;
  attach.attach_type = BPF_CGROUP_DEVICE;
  // Beside those of the groups above, each of which must allow.
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  long result = syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach);
  int reason = result < 0 ? errno : 0;
  close((int)fd);
  return reason;
}
