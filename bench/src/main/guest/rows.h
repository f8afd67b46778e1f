// The rows of the benchmark: each a piece of work of fixed size with a checksum of its result.
#ifndef ROWS_H
#define ROWS_H

#include <stddef.h>
#include <stdint.h>

struct row {
  const char *name;
  // Done before the clock starts; may be absent.
  void (*prepare)(void);
  // The work. What it returns must not depend on where or when it runs.
  uint64_t (*run)(void);
  // For work whose result lies in a file: its checksum, taken after the clock has stopped.
  uint64_t (*check)(void);
  // How much work it is, where that makes a figure; in bytes or operations, as the unit says.
  uint64_t amount;
  const char *unit;
};

// One table for each source file, each ended by a row without a name.
extern const struct row integer_rows[];
extern const struct row memory_rows[];
extern const struct row floating_rows[];
extern const struct row system_rows[];
extern const struct row code_rows[];
extern const struct row file_rows[];
// Of a guest with a disk and a network card; not in the list of rows.
extern const struct row device_rows[];
// The same in smaller portions, for comparing kinds of machines; not in the list of rows either.
extern const struct row kind_rows[];

// Ends the program with a line that names what failed.
void fail(const char *what) __attribute__((noreturn));

// A repeatable sequence: Marsaglia's xorshift64*.
static inline uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return x * UINT64_C(0x2545F4914F6CDD1D);
}

// Folds a value into a checksum: one step of FNV-1a on 64 bits at a time.
static inline uint64_t fold(uint64_t sum, uint64_t value) {
  return (sum ^ value) * UINT64_C(0x100000001B3);
}

#define FOLD_START UINT64_C(0xCBF29CE484222325)

// Memory of whole small pages, zeroed; huge pages would hide what a TLB miss costs.
void *pages(size_t bytes);

// The program's own path, for rows that start it anew, and busybox's.
extern const char *self_path;
extern const char *busybox_path;
// Where rows put and find files.
extern const char *work_folder;

#endif
