// Other programs at work: busybox' gzip, unxz and shell.
#define _GNU_SOURCE
#include "rows.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *in_work_folder(const char *name, char path[PATH_MAX]) {
  snprintf(path, PATH_MAX, "%s/%s", work_folder, name);
  return path;
}

static int open_file(const char *name, int flags) {
  char path[PATH_MAX];
  int file = open(in_work_folder(name, path), flags | O_CLOEXEC, 0600);
  if (file < 0) {
    fail(path);
  }
  return file;
}

// Runs busybox from one file to another and waits for its end.
static void busybox(const char *from, const char *to, char *const arguments[]) {
  int in = open_file(from, O_RDONLY);
  int out = open_file(to, O_WRONLY | O_CREAT | O_TRUNC);
  pid_t child = fork();
  if (child < 0) {
    fail("fork");
  }
  if (child == 0) {
    dup2(in, 0);
    dup2(out, 1);
    execv(busybox_path, arguments);
    _exit(127);
  }
  close(in);
  close(out);
  int status = -1;
  waitpid(child, &status, 0);
  if (status != 0) {
    fail("busybox");
  }
}

static uint64_t sum_of(const char *name) {
  int file = open_file(name, O_RDONLY);
  uint64_t sum = FOLD_START;
  static uint8_t bytes[1 << 16];
  for (ssize_t got; (got = read(file, bytes, sizeof bytes)) > 0;) {
    for (ssize_t i = 0; i < got; i++) {
      sum = fold(sum, bytes[i]);
    }
  }
  close(file);
  char path[PATH_MAX];
  unlink(in_work_folder(name, path));
  return sum;
}

// Eight MiB that look like text: words drawn from a vocabulary, the first ones often.
void write_text(int file) {
  static char words[4096][12];
  static char block[1 << 16];
  uint64_t seed = 8;
  for (int i = 0; i < 4096; i++) {
    int length = 2 + (int)(next_random(&seed) >> 61) + i / 1366;
    for (int j = 0; j < length; j++) {
      words[i][j] = "etaoinshrdlucmfwypvbgkqjxz"[(next_random(&seed) >> 32) % (j % 2 ? 9 : 26)];
    }
  }
  size_t used = 0;
  for (size_t total = 0; total < 8 << 20;) {
    uint64_t dice = next_random(&seed);
    uint64_t range = UINT64_C(1) << (dice >> 60) >> (dice >> 58 & 3);
    const char *word = words[range ? (dice & 0xFFFFFF) % range & 4095 : 0];
    for (; *word && used < sizeof block; word++) {
      block[used++] = *word;
    }
    if (used < sizeof block) {
      block[used++] = (dice >> 52 & 15) == 0 ? '\n' : ' ';
    }
    if (used == sizeof block) {
      if (write(file, block, used) != (ssize_t)used) {
        fail("the text");
      }
      total += used;
      used = 0;
    }
  }
}

static void gzip_prepare(void) {
  int file = open_file("text", O_WRONLY | O_CREAT | O_TRUNC);
  write_text(file);
  close(file);
}

static uint64_t gzip(void) {
  char *arguments[] = {"busybox", "gzip", "-9", "-c", NULL};
  busybox("text", "text.gz", arguments);
  return 0;
}

static uint64_t gzip_check(void) {
  char path[PATH_MAX];
  unlink(in_work_folder("text", path));
  return sum_of("text.gz");
}

static uint64_t unxz(void) {
  char *arguments[] = {"busybox", "unxz", "-c", NULL};
  busybox("text.xz", "text.out", arguments);
  return 0;
}

static uint64_t unxz_check(void) { return sum_of("text.out"); }

static void shell_prepare(void) {
  static const char script[] = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo $i\n";
  int file = open_file("loop", O_WRONLY | O_CREAT | O_TRUNC);
  if (write(file, script, sizeof script - 1) != sizeof script - 1) {
    fail("the script");
  }
  close(file);
}

static uint64_t shell(void) {
  char *arguments[] = {"busybox", "sh", "-s", NULL};
  busybox("loop", "loop.out", arguments);
  return 0;
}

static uint64_t shell_check(void) { return sum_of("loop.out"); }

const struct row file_rows[] = {
    {"gzip", gzip_prepare, gzip, gzip_check},
    {"unxz", NULL, unxz, unxz_check},
    {"shell", shell_prepare, shell, shell_check},
    {NULL, NULL, NULL, NULL}};
