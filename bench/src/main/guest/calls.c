// A kernel that measures the hypervisor it runs on, as a PVH domain with two vCPUs. It says
// "@hypercall TICKS COUNT KHZ" and "@event TICKS COUNT KHZ" in the hypervisor's log: cycles of the
// time-stamp counter for so many hypercalls that do nearly nothing, and for so many events that each
// woke a vCPU that was blocked. They are the median of many short runs: a host that has something else
// to do in between is in few of them. Source: Xen's public headers, public/xen.h and those named below.
#include <stdint.h>

#define CONSOLE_IO 18
#define MEMORY_OP 12
#define XEN_VERSION 17
#define SCHED_OP 29
#define EVENT_CHANNEL_OP 32

#define RUNS 101u
#define CALLS 10000u
#define ROUNDS 200u

#define HYPERCALL_MSR 0x40000000u
#define LOCAL_APIC UINT64_C(0xFEE00000)
#define TRAMPOLINE 0x8000u

// struct shared_info: evtchn_pending and evtchn_mask behind 32 vcpu_infos of 64 bytes.
#define PENDING 0x800u
#define MASK 0xA00u

extern uint8_t trampoline[], trampoline_end[];

static uint8_t hypercall_page[4096] __attribute__((aligned(4096)));
static uint8_t shared[4096] __attribute__((aligned(4096)));
static uint32_t ports[2];
static volatile int second_is_there;

static inline uint64_t ticks(void) {
  uint32_t low, high;
  __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
  return (uint64_t)high << 32 | low;
}

static inline int64_t hypercall(uint64_t number, uint64_t a, uint64_t b, uint64_t c) {
  int64_t result;
  void *entry = hypercall_page + 32 * number;
  __asm__ volatile("call *%[entry]"
                   : "=a"(result), "+D"(a), "+S"(b), "+d"(c)
                   : [entry] "r"(entry)
                   : "memory", "rcx", "r8", "r9", "r10", "r11");
  return result;
}

// ---- Output --------------------------------------------------------------------------------------

static char line[128];
static uint32_t length;

static void text(const char *part) {
  while (*part) {
    line[length++] = *part++;
  }
}

static void number(uint64_t value) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = (char)('0' + value % 10);
    value /= 10;
  } while (value);
  while (count) {
    line[length++] = digits[--count];
  }
}

static void report(const char *what, uint64_t spent, uint32_t count) {
  // CPUID leaf 3 of Xen's, public/arch-x86/cpuid.h: ECX of subleaf 0 is the counter's kHz.
  uint32_t a = 0x40000003, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  length = 0;
  text(what);
  text(" ");
  number(spent);
  text(" ");
  number(count);
  text(" ");
  number(c);
  text("\n");
  hypercall(CONSOLE_IO, 0, length, (uint64_t)line);
}

static void end(int reason) {
  struct { uint32_t reason; } argument = {(uint32_t)reason};
  hypercall(SCHED_OP, 2, (uint64_t)&argument, 0);
}

static void need(int good, const char *what) {
  if (!good) {
    length = 0;
    text("@failed ");
    text(what);
    text("\n");
    hypercall(CONSOLE_IO, 0, length, (uint64_t)line);
    end(3);
  }
}

// ---- Events: public/event_channel.h, public/sched.h ----------------------------------------------

static uint32_t bind_to(uint32_t vcpu) {
  struct { uint32_t vcpu, port; } argument = {vcpu, 0};
  need(hypercall(EVENT_CHANNEL_OP, 7, (uint64_t)&argument, 0) == 0, "bind_ipi");
  return argument.port;
}

static void send(uint32_t port) {
  struct { uint32_t port; } argument = {port};
  hypercall(EVENT_CHANNEL_OP, 4, (uint64_t)&argument, 0);
}

// Blocks until the port has an event, and takes it.
static void receive(uint32_t port) {
  struct {
    uint32_t *ports;
    uint32_t count, padding;
    uint64_t timeout;
  } argument = {&port, 1, 0, 0};
  for (;;) {
    uint8_t was;
    __asm__ volatile("lock btrl %2, %1; setc %0"
                     : "=q"(was), "+m"(*(volatile uint32_t *)(shared + PENDING + port / 32 * 4))
                     : "r"(port & 31)
                     : "memory", "cc");
    if (was) {
      return;
    }
    hypercall(SCHED_OP, 3, (uint64_t)&argument, 0);
  }
}

void second_main(void) {
  second_is_there = 1;
  for (;;) {
    receive(ports[1]);
    send(ports[0]);
  }
}

static void volatile_write(uint64_t address, uint32_t value) {
  *(volatile uint32_t *)address = value;
}

static void start_second(void) {
  uint8_t *target = (uint8_t *)(uint64_t)TRAMPOLINE;
  __asm__("" : "+r"(target));
  for (uint8_t *from = trampoline; from < trampoline_end; from++) {
    *target++ = *from;
  }
  // To all but itself.
  volatile_write(LOCAL_APIC + 0x300, 0xC4500);
  volatile_write(LOCAL_APIC + 0x300, 0xC4600 | TRAMPOLINE >> 12);
  for (uint64_t tries = 0; !second_is_there && tries < 1000; tries++) {
    hypercall(SCHED_OP, 0, 0, 0);
    for (uint64_t until = ticks() + 10000000; !second_is_there && ticks() < until;) {
      __asm__ volatile("pause");
    }
  }
  need(second_is_there, "the second vCPU did not start");
}

static void calls(void) {
  for (uint32_t i = 0; i < CALLS; i++) {
    hypercall(XEN_VERSION, 0, 0, 0);
  }
}

static void rounds(void) {
  for (uint32_t i = 0; i < ROUNDS; i++) {
    send(ports[1]);
    receive(ports[0]);
  }
}

// The median of what some work takes.
static uint64_t median(void (*work)(void)) {
  static uint64_t sorted[RUNS];
  for (uint32_t run = 0; run < RUNS; run++) {
    uint64_t spent = ticks();
    work();
    spent = ticks() - spent;
    uint32_t at = run;
    for (; at > 0 && sorted[at - 1] > spent; at--) {
      sorted[at] = sorted[at - 1];
    }
    sorted[at] = spent;
  }
  return sorted[RUNS / 2];
}

void main(void) {
  uint64_t page = (uint64_t)hypercall_page;
  __asm__ volatile("wrmsr" : : "c"(HYPERCALL_MSR), "a"((uint32_t)page), "d"(0) : "memory");

  report("@hypercall", median(calls), CALLS);

  // XENMEM_add_to_physmap, public/memory.h: the shared page in the place of one of ours.
  struct {
    uint16_t domid, size;
    uint32_t space;
    uint64_t index, gfn;
  } map = {0x7FF0, 0, 0, 0, (uint64_t)shared >> 12};
  need(hypercall(MEMORY_OP, 7, (uint64_t)&map, 0) == 0, "add_to_physmap");
  for (uint32_t i = 0; i < 512; i++) {
    shared[MASK + i] = 0xFF;
  }
  ports[0] = bind_to(0);
  ports[1] = bind_to(1);
  start_second();
  report("@event", median(rounds), 2 * ROUNDS);
  end(0);
}
