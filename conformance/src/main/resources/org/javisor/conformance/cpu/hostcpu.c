/*
 * Runs instruction bytes on this CPU with a complete register state, and reports the state after
 * them or the exception they raised. HostCpu.java compiles and starts this program and describes
 * the record; the constants here and there must agree.
 *
 * usage: hostcpu FILE CASES: FILE holds CASES input records, then CASES output records. The first
 * answer, 4 bytes, says whether cases may set FS and GS. A count as 4 bytes on standard input runs
 * that many cases; the same count is the answer.
 *
 * Nothing that may run with a case's FS base uses thread-local storage, stack protectors included.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE_PAGE 0x20000000ul
#define CODE (CODE_PAGE + 0x800)
#define WINDOW 0x10000000ul
#define WINDOW_SIZE 0x2000ul
#define MEMORY_MAX 1024
#define XSAVE_SIZE 832
/* CF PF AF ZF SF DF OF NT AC ID: the others belong to this process. */
#define FLAGS 0x244cd5ul

enum { NO_EXCEPTION = -1, HANG = -2 };

struct record {
  uint64_t gpr[16]; /* in the order of their encoding */
  uint64_t rflags;
  uint64_t rip; /* relative to the first byte */
  int32_t vector;
  uint32_t error;
  uint64_t cr2;
  int32_t code_size;
  uint32_t code_length;
  uint32_t memory_offset;
  uint32_t memory_length;
  uint32_t wrote_outside;
  uint32_t pad[3];
  uint8_t code[64];
  uint8_t xsave[XSAVE_SIZE];
  uint8_t memory[MEMORY_MAX];
  uint64_t fs_base; /* at 2112; only where the host has FSGSBASE */
  uint64_t gs_base;
  uint8_t pad2[48];
};
_Static_assert(sizeof(struct record) == 2176, "record");
_Static_assert(__builtin_offsetof(struct record, fs_base) == 2112, "fs_base");

struct record context __attribute__((aligned(64)));
uint64_t host_rsp;
uint32_t host_mxcsr;
uint64_t entry;
struct {
  uint32_t offset;
  uint16_t selector;
} __attribute__((packed)) far_entry = {CODE, 0x23};
uint32_t xsave_mask;
uint32_t has_fsgsbase;
uint64_t host_fs;

static volatile sig_atomic_t running;
static volatile uint64_t serial, last_serial = ~0ul;
static uint64_t zeros[WINDOW_SIZE / 8];

void run64(void);
void run32(void);
extern char case_exit[], case_abort[];

/* The registers are loaded and saved by absolute addresses, since none is free to point. */
__asm__(
    ".intel_syntax noprefix\n"
    ".macro load_state\n"
    "  push rbx; push rbp; push r12; push r13; push r14; push r15\n"
    "  mov [host_rsp], rsp\n"
    "  stmxcsr [host_mxcsr]\n"
    "  mov eax, [xsave_mask]; xor edx, edx\n"
    "  test eax, eax; jz 1f\n"
    "  xrstor64 [context+256]; jmp 2f\n"
    "1: fxrstor64 [context+256]\n"
    "2: cmp dword ptr [has_fsgsbase], 0; je 3f\n"
    "  mov rax, [context+2112]; wrfsbase rax\n"
    "  mov rax, [context+2120]; wrgsbase rax\n"
    "3: push qword ptr [context+128]; popfq\n"
    "  mov rax, [context+0]; mov rcx, [context+8]; mov rdx, [context+16]\n"
    "  mov rbx, [context+24]; mov rbp, [context+40]; mov rsi, [context+48]\n"
    "  mov rdi, [context+56]; mov r8, [context+64]; mov r9, [context+72]\n"
    "  mov r10, [context+80]; mov r11, [context+88]; mov r12, [context+96]\n"
    "  mov r13, [context+104]; mov r14, [context+112]; mov r15, [context+120]\n"
    "  mov rsp, [context+32]\n"
    ".endm\n"
    ".globl run64\n"
    "run64: load_state\n"
    "  jmp qword ptr [entry]\n"
    ".globl run32\n"
    "run32: load_state\n"
    "  jmp fword ptr [far_entry]\n"
    ".globl case_exit, case_abort\n"
    "case_exit:\n"
    "  mov [context+0], rax; mov [context+8], rcx; mov [context+16], rdx\n"
    "  mov [context+24], rbx; mov [context+32], rsp; mov [context+40], rbp\n"
    "  mov [context+48], rsi; mov [context+56], rdi; mov [context+64], r8\n"
    "  mov [context+72], r9; mov [context+80], r10; mov [context+88], r11\n"
    "  mov [context+96], r12; mov [context+104], r13; mov [context+112], r14\n"
    "  mov [context+120], r15\n"
    "  mov rsp, [host_rsp]\n"
    "  pushfq; pop qword ptr [context+128]\n"
    "  push 0x202; popfq\n"
    "  cmp dword ptr [has_fsgsbase], 0; je 3f\n"
    "  rdfsbase rax; mov [context+2112], rax\n"
    "  rdgsbase rax; mov [context+2120], rax\n"
    "3: mov eax, [xsave_mask]; xor edx, edx\n"
    "  test eax, eax; jz 1f\n"
    "  xsave64 [context+256]; jmp case_abort\n"
    "1: fxsave64 [context+256]\n"
    "case_abort:\n"
    "  cld; fninit; ldmxcsr [host_mxcsr]\n"
    /* Selectors and bases as they were, whatever the case loaded. */
    "  mov eax, 0x2b; mov ds, eax; mov es, eax; mov ss, eax\n"
    "  cmp dword ptr [has_fsgsbase], 0; je 4f\n"
    "  xor eax, eax; mov fs, eax; mov gs, eax; wrgsbase rax\n"
    "  mov rax, [host_fs]; wrfsbase rax\n"
    "4:\n"
    "  pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx; ret\n"
    ".att_syntax\n");

/* The order of gregs against that of the encoding. */
static const int GREGS[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};

static void on_signal(int number, siginfo_t *info, void *ucontext) {
  /* The kernel does not clear AC, and what follows may access memory at any alignment. */
  __asm__ volatile("pushfq; andq $~0x40000, (%%rsp); popfq" ::: "memory", "cc");
  ucontext_t *u = ucontext;
  greg_t *g = u->uc_mcontext.gregs;
  if (number == SIGALRM) {
    /* The same case is running as at the last tick. */
    uint64_t rip = g[REG_RIP];
    int inside = rip >= CODE_PAGE && rip < CODE_PAGE + 4096;
    if (!running || serial != last_serial || !inside) {
      last_serial = serial;
      return;
    }
  } else if (!running) {
    _exit(100 + number);
  }
  if (has_fsgsbase) {
    __asm__ volatile("rdfsbase %0" : "=r"(context.fs_base));
    __asm__ volatile("rdgsbase %0" : "=r"(context.gs_base));
    __asm__ volatile("wrfsbase %0" ::"r"(host_fs));
  }
  for (int i = 0; i < 16; i++) context.gpr[i] = g[GREGS[i]];
  context.rflags = g[REG_EFL];
  context.rip = g[REG_RIP] - CODE;
  context.vector = number == SIGALRM ? HANG : (int32_t)g[REG_TRAPNO];
  context.error = g[REG_ERR];
  context.cr2 = g[REG_CR2];
  memcpy(context.xsave, u->uc_mcontext.fpregs, xsave_mask ? XSAVE_SIZE : 512);
  g[REG_RIP] = (greg_t)case_abort;
  g[REG_RSP] = host_rsp;
  g[REG_EFL] = 0x202;
  g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xfffful) | 0x33;
}

static void run(const struct record *in, struct record *out) {
  memcpy(&context, in, sizeof context);
  context.rflags = (in->rflags & FLAGS) | 0x202;
  context.vector = NO_EXCEPTION;
  context.rip = in->code_length;
  uint8_t *code = (uint8_t *)CODE;
  memcpy(code, in->code, in->code_length);
  uint8_t *exit = code + in->code_length;
  if (in->code_size == 32) {
    *exit++ = 0xea; /* jmp far 33:case_exit */
    uint32_t target = (uint32_t)(uintptr_t)case_exit;
    memcpy(exit, &target, 4);
    exit[4] = 0x33;
    exit[5] = 0;
    exit += 6;
  } else {
    *exit++ = 0xe9; /* jmp case_exit */
    int32_t distance = (int32_t)((intptr_t)case_exit - (intptr_t)(exit + 4));
    memcpy(exit, &distance, 4);
    exit += 4;
  }
  uint8_t *memory = (uint8_t *)WINDOW + in->memory_offset;
  memcpy(memory, in->memory, in->memory_length);

  serial++;
  running = 1;
  if (in->code_size == 32) {
    run32();
  } else {
    run64();
  }
  running = 0;

  memset(code, 0xcc, exit - code);
  context.rflags = (context.rflags & FLAGS) | 2;
  memcpy(context.memory, memory, in->memory_length);
  memset(memory, 0, in->memory_length);
  context.wrote_outside = memcmp((void *)WINDOW, zeros, WINDOW_SIZE) != 0;
  if (context.wrote_outside) memset((void *)WINDOW, 0, WINDOW_SIZE);
  memcpy(out, &context, sizeof context);
}

static void *map(uintptr_t at, size_t size, int protection) {
  void *p = mmap((void *)at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                 -1, 0);
  if (p != (void *)at) {
    perror("mmap");
    exit(2);
  }
  return p;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  uint32_t cases = atoi(argv[2]);
  size_t size = 2ul * cases * sizeof(struct record);
  int fd = open(argv[1], O_RDWR);
  struct record *records = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd < 0 || records == MAP_FAILED) {
    perror(argv[1]);
    return 2;
  }
  memset(map(CODE_PAGE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC), 0xcc, 4096);
  map(WINDOW, WINDOW_SIZE, PROT_READ | PROT_WRITE);

  unsigned a, b, c, d;
  __cpuid(1, a, b, c, d);
  xsave_mask = (c >> 27 & 1) ? ((c >> 28 & 1) ? 7 : 3) : 0;
  has_fsgsbase = getauxval(AT_HWCAP2) >> 1 & 1;
  if (has_fsgsbase) __asm__ volatile("rdfsbase %0" : "=r"(host_fs));
  entry = CODE;
  /* Compatibility mode needs data segments; 64-bit mode does not care. */
  __asm__ volatile("mov %0, %%ds; mov %0, %%es" ::"r"(0x2b));

  stack_t stack = {.ss_size = 1 << 17};
  stack.ss_sp = malloc(stack.ss_size);
  sigaltstack(&stack, 0);
  struct sigaction action = {.sa_sigaction = on_signal,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGALRM};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
  struct itimerval tick = {{0, 50000}, {0, 50000}};
  setitimer(ITIMER_REAL, &tick, 0);
  /* From here on the cases, and we, may only read, write, return from signals and exit. */
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) {
    perror("seccomp");
    return 2; /* Unconfined, random bytes could do anything this user can. */
  }

  uint32_t count = 0;
  if (write(1, &has_fsgsbase, 4) != 4) return 3; /* ready */
  while (read(0, &count, 4) == 4 && count <= cases) {
    for (uint32_t i = 0; i < count; i++) run(&records[i], &records[cases + i]);
    if (write(1, &count, 4) != 4) break;
  }
  _exit(0);
}
