// Runs rows: in a guest as its first process, on the host as a plain program.
//
//   rows row NAME [wait]   one row. Says "@ready NAME" when it is prepared, "@done NAME WALL CPU
//                          AMOUNT" (nanoseconds) when it has run, "@sum NAME CHECKSUM" at last;
//                          with wait, a line on its input is what it goes on for after the first two.
//   rows list              the names, those of device rows not included
//   rows devices           the names of those that need devices, with amount and unit
//   rows text FILE         writes the text that unxz unpacks
//   rows exit N            ends with that code: what fork-exec starts
//
// As process 1 it says "@userland" at once and takes the kernel's command line for its orders:
//   rows=all or rows=a,b   runs them, each as often as runs=N says (once), and powers off
//   none of them           says "@idle" and waits for a line "row NAME" or "off", again and again
// "rows serve" does the latter where another program is process 1, and has seen to the devices.
#define _GNU_SOURCE
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

void write_text(int file);

static const struct row *const tables[] = {integer_rows, memory_rows, floating_rows,
                                           system_rows,  code_rows,   file_rows,
                                           device_rows,  kind_rows};

// The last tables are not offered to whoever has no devices for them.
#define LISTED (sizeof tables / sizeof *tables - 2)

const char *self_path;
const char *busybox_path;
const char *work_folder;
static const char *running = "rows";

void fail(const char *what) {
  dprintf(1, "@failed %s: %s (%s)\n", running, what, strerror(errno));
  _exit(1);
}

void *pages(size_t bytes) {
  uint8_t *area =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) {
    fail("memory");
  }
  // A kernel without huge pages does not know the advice, and needs none.
  madvise(area, bytes, MADV_NOHUGEPAGE);
  return area;
}

static const struct row *find(const char *name) {
  for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
    for (const struct row *row = tables[t]; row->name; row++) {
      if (!strcmp(row->name, name)) {
        return row;
      }
    }
  }
  return NULL;
}

// Reads a line without its end; an end of input ends the program, whose owner is gone.
static void read_line(char *line, size_t size) {
  size_t length = 0;
  for (char c; ; ) {
    ssize_t got = read(0, &c, 1);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      _exit(1);
    }
    if (c == '\n' || c == '\r') {
      break;
    }
    if (length + 1 < size) {
      line[length++] = c;
    }
  }
  line[length] = 0;
}

static void wait_for_go(int wait) {
  char line[80];
  if (wait) {
    read_line(line, sizeof line);
  }
}

static uint64_t wall_nanos(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t cpu_nanos_of(int who) {
  struct rusage usage;
  getrusage(who, &usage);
  return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
         (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
}

static uint64_t cpu_nanos(void) { return cpu_nanos_of(RUSAGE_SELF) + cpu_nanos_of(RUSAGE_CHILDREN); }

static int run_row(const char *name, int wait) {
  running = name;
  const struct row *row = find(name);
  if (!row) {
    errno = EINVAL;
    fail("no such row");
  }
  // One CPU, as the guests have.
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET((size_t)sched_getcpu(), &one);
  sched_setaffinity(0, sizeof one, &one);
  if (row->prepare) {
    row->prepare();
  }
  dprintf(1, "@ready %s\n", name);
  wait_for_go(wait);
  uint64_t cpu = cpu_nanos();
  uint64_t wall = wall_nanos();
  uint64_t sum = row->run();
  wall = wall_nanos() - wall;
  cpu = cpu_nanos() - cpu;
  dprintf(1, "@done %s %llu %llu %llu\n", name, (unsigned long long)wall, (unsigned long long)cpu,
          (unsigned long long)row->amount);
  wait_for_go(wait);
  if (row->check) {
    sum = row->check();
  }
  dprintf(1, "@sum %s %016llx\n", name, (unsigned long long)sum);
  return 0;
}

static void list(void) {
  for (size_t t = 0; t < LISTED; t++) {
    for (const struct row *row = tables[t]; row->name; row++) {
      dprintf(1, "%s\n", row->name);
    }
  }
}

static void list_devices(void) {
  for (const struct row *row = device_rows; row->name; row++) {
    dprintf(1, "%s %llu %s\n", row->name, (unsigned long long)row->amount, row->unit);
  }
}

// ---- The first process of a guest ----------------------------------------------------------------

static void start_row(const char *name, const char *wait) {
  pid_t child = fork();
  if (child == 0) {
    execl(self_path, self_path, "row", name, wait, (char *)NULL);
    _exit(127);
  }
  int status = -1;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) {
    dprintf(1, "@failed %s: status %#x\n", name, (unsigned)status);
  }
}

static void run_all(const char *names, int runs) {
  for (int run = 0; run < runs; run++) {
    if (!strcmp(names, "all")) {
      for (size_t t = 0; t < LISTED; t++) {
        for (const struct row *row = tables[t]; row->name; row++) {
          start_row(row->name, NULL);
        }
      }
    } else {
      char copy[1024];
      snprintf(copy, sizeof copy, "%s", names);
      char *rest = copy;
      for (char *name; (name = strsep(&rest, ",")); ) {
        start_row(name, NULL);
      }
    }
  }
}

static void serve(void) {
  for (;;) {
    char line[80];
    dprintf(1, "@idle\n");
    read_line(line, sizeof line);
    if (!strcmp(line, "off")) {
      return;
    }
    if (!strncmp(line, "row ", 4)) {
      start_row(line + 4, "wait");
    }
  }
}

static void prepare_terminal(void) {
  dprintf(1, "@userland\n");
  // Neither the terminal's echo nor its line ends, and no kernel messages in between.
  struct termios terminal;
  if (!tcgetattr(0, &terminal)) {
    cfmakeraw(&terminal);
    terminal.c_iflag |= ICRNL;
    terminal.c_lflag |= ISIG;
    tcsetattr(0, TCSANOW, &terminal);
  }
  klogctl(8 /* SYSLOG_ACTION_CONSOLE_LEVEL */, NULL, 1);
}

static int power_off(void) {
  sync();
  reboot(RB_POWER_OFF);
  return 1;
}

static int init(void) {
  prepare_terminal();
  mount("proc", "/proc", "proc", 0, NULL);
  mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
  // The kernel puts what it does not know itself into the environment.
  const char *names = getenv("rows");
  const char *runs = getenv("runs");
  if (names) {
    run_all(names, runs ? atoi(runs) : 1);
  } else {
    serve();
  }
  return power_off();
}

int main(int count, char **arguments) {
  self_path = arguments[0];
  const char *busybox = getenv("ROWS_BUSYBOX");
  const char *work = getenv("ROWS_FOLDER");
  busybox_path = busybox ? busybox : "/bin/busybox";
  work_folder = work ? work : "/work";
  const char *verb = count > 1 ? arguments[1] : "";
  if (getpid() == 1) {
    return init();
  }
  if (!strcmp(verb, "row") && count > 2) {
    return run_row(arguments[2], count > 3 && !strcmp(arguments[3], "wait"));
  }
  if (!strcmp(verb, "exit") && count > 2) {
    return atoi(arguments[2]);
  }
  if (!strcmp(verb, "text") && count > 2) {
    int file = open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) {
      fail(arguments[2]);
    }
    write_text(file);
    return close(file);
  }
  if (!strcmp(verb, "list")) {
    list();
    return 0;
  }
  if (!strcmp(verb, "devices")) {
    list_devices();
    return 0;
  }
  if (!strcmp(verb, "serve")) {
    prepare_terminal();
    serve();
    return power_off();
  }
  dprintf(2, "usage: rows row NAME [wait] | list | devices | serve | text FILE | exit N\n");
  return 2;
}
