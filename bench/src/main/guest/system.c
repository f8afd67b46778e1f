// What programs ask of the kernel: calls, switches, processes, pages, signals.
#define _GNU_SOURCE
#include "rows.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t system_calls(void) {
  uint64_t parent = (uint64_t)syscall(SYS_getppid);
  uint64_t same = 0;
  for (int i = 0; i < 2000000; i++) {
    same += (uint64_t)syscall(SYS_getppid) == parent;
  }
  return fold(FOLD_START, same);
}

static uint64_t ping_pong(void) {
  int there[2], back[2];
  if (pipe(there) || pipe(back)) {
    fail("pipe");
  }
  pid_t child = fork();
  if (child < 0) {
    fail("fork");
  }
  uint32_t ball = 1;
  if (child == 0) {
    close(there[1]);
    while (read(there[0], &ball, sizeof ball) == sizeof ball) {
      ball = ball * 1664525u + 1013904223u;
      if (write(back[1], &ball, sizeof ball) != sizeof ball) {
        break;
      }
    }
    _exit(0);
  }
  uint64_t sum = FOLD_START;
  for (int i = 0; i < 50000; i++) {
    if (write(there[1], &ball, sizeof ball) != sizeof ball ||
        read(back[0], &ball, sizeof ball) != sizeof ball) {
      fail("a pipe between two processes");
    }
    sum = fold(sum, ball);
  }
  close(there[1]);
  waitpid(child, NULL, 0);
  return sum;
}

static uint64_t processes(void) {
  uint64_t sum = FOLD_START;
  for (int i = 0; i < 200; i++) {
    pid_t child = fork();
    if (child < 0) {
      fail("fork");
    }
    if (child == 0) {
      char digit[2] = {(char)('0' + i % 10), 0};
      execl(self_path, self_path, "exit", digit, (char *)NULL);
      _exit(127);
    }
    int status = -1;
    waitpid(child, &status, 0);
    sum = fold(sum, (uint64_t)WEXITSTATUS(status));
  }
  return sum;
}

static uint64_t page_faults(void) {
  const size_t count = 16384;
  uint64_t sum = FOLD_START;
  for (int round = 0; round < 4; round++) {
    uint8_t *area = pages(count * 4096);
    for (size_t i = 0; i < count; i++) {
      area[i * 4096 + (i & 0xFFF)] = (uint8_t)(i + (size_t)round);
    }
    for (size_t i = 0; i < count; i += 97) {
      sum = fold(sum, area[i * 4096 + (i & 0xFFF)]);
    }
    munmap(area, count * 4096);
  }
  return sum;
}

static uint64_t protections(void) {
  volatile uint64_t *page = pages(4096);
  for (int i = 0; i < 50000; i++) {
    if (mprotect((void *)page, 4096, PROT_READ)) {
      fail("mprotect to read-only");
    }
    uint64_t before = *page;
    if (mprotect((void *)page, 4096, PROT_READ | PROT_WRITE)) {
      fail("mprotect to writable");
    }
    *page = before + (uint64_t)i;
  }
  return fold(FOLD_START, *page);
}

static volatile uint64_t caught;

static void catch(int number) { caught = caught * 3 + (uint64_t)number; }

static uint64_t signals(void) {
  struct sigaction action = {.sa_handler = catch};
  if (sigaction(SIGUSR1, &action, NULL)) {
    fail("sigaction");
  }
  pid_t self = getpid();
  for (int i = 0; i < 200000; i++) {
    kill(self, SIGUSR1);
  }
  return fold(FOLD_START, caught);
}

const struct row system_rows[] = {
    {"getppid", NULL, system_calls, NULL, 2000000},
    {"pipe", NULL, ping_pong, NULL, 100000},
    {"fork-exec", NULL, processes, NULL, 200},
    {"page-faults", NULL, page_faults, NULL, 65536},
    {"mprotect", NULL, protections, NULL, 100000},
    {"signals", NULL, signals, NULL, 200000},
    {NULL, NULL, NULL, NULL, 0}};
