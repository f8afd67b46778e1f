// Devices at work: a disk, and the way through the network to a peer on the host; and processes
// without a program of their own, for machines whose kinds differ in what these cost.
//
// The disk is $rows_disk, else the first of /dev/xvda, /dev/vda and /dev/sda; what was on it is lost.
// The peer is $rows_peer, as 10.0.2.2:4000; it answers an order of sixteen bytes: a letter, seven
// zeros, and how many bytes (little-endian) it takes ('s'), sends ('r'), or sends back one by one
// ('e').
#define _GNU_SOURCE
#include "rows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// ---- The disk ------------------------------------------------------------------------------------

#define BLOCK 4096u
#define LARGE (1u << 20)
#define DEPTH 16
// All rows work on the first part of the disk, so that it need not be large.
#define MOST_AREA (UINT64_C(512) << 20)
#define LEAST_AREA (UINT64_C(64) << 20)
#define BULK MOST_AREA
#define RANDOM_OPERATIONS 20000
#define SINGLE_OPERATIONS 5000
#define FEW_OPERATIONS 4000
#define LARGE_OPERATIONS 1024

static int disk = -1;
static uint64_t area;
static uint8_t *buffers[DEPTH];

static void open_disk(void) {
  static const char *const names[] = {"/dev/xvda", "/dev/vda", "/dev/sda"};
  const char *given = getenv("rows_disk");
  // Past the guest's page cache: the device is what is measured.
  if (given) {
    disk = open(given, O_RDWR | O_DIRECT | O_CLOEXEC);
  }
  for (size_t i = 0; !given && i < sizeof names / sizeof *names && disk < 0; i++) {
    disk = open(names[i], O_RDWR | O_DIRECT | O_CLOEXEC);
  }
  if (disk < 0) {
    fail("a disk at /dev/xvda, /dev/vda or /dev/sda");
  }
  off_t size = lseek(disk, 0, SEEK_END);
  if (size < (off_t)LEAST_AREA) {
    errno = ENOSPC;
    fail("a disk of 64 MiB");
  }
  area = (uint64_t)size < MOST_AREA ? (uint64_t)size / LARGE * LARGE : MOST_AREA;
  for (int i = 0; i < DEPTH; i++) {
    buffers[i] = pages(LARGE);
  }
}

static void stamp(uint8_t *buffer, uint64_t offset, size_t size) {
  for (size_t at = 0; at < size; at += BLOCK) {
    uint64_t seed = offset + at + 1;
    uint64_t word = next_random(&seed);
    memcpy(buffer + at, &word, sizeof word);
    memcpy(buffer + at + BLOCK - sizeof word, &offset, sizeof offset);
  }
}

// A sum of words in which the order of requests does not matter, but their places do.
static uint64_t sum_of(const uint8_t *buffer, uint64_t offset, size_t size) {
  uint64_t sum = 0;
  for (size_t at = 0; at < size; at += BLOCK) {
    uint64_t first;
    uint64_t last;
    memcpy(&first, buffer + at, sizeof first);
    memcpy(&last, buffer + at + BLOCK - sizeof last, sizeof last);
    sum += fold(fold(offset + at, first), last);
  }
  return sum;
}

static uint64_t place(uint64_t number, size_t size, int random, uint64_t *dice) {
  uint64_t places = area / size;
  return (random ? (next_random(dice) >> 32) % places : number % places) * size;
}

// Requests of one size, so many of them under way at any time.
static uint64_t requests(int writes, size_t size, uint64_t count, unsigned depth, int random) {
  aio_context_t context = 0;
  if (syscall(SYS_io_setup, DEPTH, &context)) {
    fail("io_setup");
  }
  struct iocb blocks[DEPTH];
  uint64_t dice = 20;
  uint64_t sum = 0;
  uint64_t begun = 0;
  uint64_t ended = 0;
  unsigned spare[DEPTH];
  unsigned spares = depth;
  for (unsigned i = 0; i < depth; i++) {
    spare[i] = i;
  }
  while (ended < count) {
    struct iocb *list[DEPTH];
    unsigned fresh = 0;
    while (spares > 0 && begun < count) {
      unsigned slot = spare[--spares];
      uint64_t offset = place(begun++, size, random, &dice);
      struct iocb *block = &blocks[slot];
      memset(block, 0, sizeof *block);
      block->aio_data = slot;
      block->aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
      block->aio_fildes = (uint32_t)disk;
      block->aio_buf = (uint64_t)(uintptr_t)buffers[slot];
      block->aio_nbytes = size;
      block->aio_offset = (int64_t)offset;
      if (writes) {
        stamp(buffers[slot], offset, size);
      }
      list[fresh++] = block;
    }
    for (unsigned sent = 0; sent < fresh;) {
      long taken = syscall(SYS_io_submit, context, (long)(fresh - sent), list + sent);
      if (taken <= 0) {
        fail("io_submit");
      }
      sent += (unsigned)taken;
    }
    struct io_event events[DEPTH];
    long got = syscall(SYS_io_getevents, context, 1L, (long)DEPTH, events, NULL);
    if (got <= 0) {
      fail("io_getevents");
    }
    for (long i = 0; i < got; i++) {
      unsigned slot = (unsigned)events[i].data;
      if (events[i].res != (int64_t)size) {
        errno = events[i].res < 0 ? (int)-events[i].res : EIO;
        fail("a request of the disk");
      }
      if (!writes) {
        sum += sum_of(buffers[slot], (uint64_t)blocks[slot].aio_offset, size);
      }
      spare[spares++] = slot;
    }
    ended += (uint64_t)got;
  }
  syscall(SYS_io_destroy, context);
  if (writes && fsync(disk)) {
    fail("fsync");
  }
  return sum;
}

static uint64_t whole_area(void) { return requests(0, LARGE, area / LARGE, 4, 0); }

static uint64_t read_bulk(void) { return requests(0, LARGE, BULK / LARGE, 4, 0); }

static uint64_t write_bulk(void) { return requests(1, LARGE, BULK / LARGE, 4, 0); }

static uint64_t read_random(void) { return requests(0, BLOCK, RANDOM_OPERATIONS, DEPTH, 1); }

static uint64_t write_random(void) { return requests(1, BLOCK, RANDOM_OPERATIONS, DEPTH, 1); }

static uint64_t read_single(void) { return requests(0, BLOCK, SINGLE_OPERATIONS, 1, 1); }

static uint64_t write_single(void) { return requests(1, BLOCK, SINGLE_OPERATIONS, 1, 1); }

static uint64_t read_few(void) { return requests(0, BLOCK, FEW_OPERATIONS, 1, 1); }

static uint64_t write_few(void) { return requests(1, BLOCK, FEW_OPERATIONS, 1, 1); }

static uint64_t read_large(void) { return requests(0, LARGE, LARGE_OPERATIONS, 1, 0); }

static uint64_t write_large(void) { return requests(1, LARGE, LARGE_OPERATIONS, 1, 0); }

// ---- The network ---------------------------------------------------------------------------------

#define STREAM (UINT64_C(256) << 20)
#define ROUND_TRIPS 10000
#define PIECE 65536u
#define PIECES 4096
#define FEW_ROUND_TRIPS 2000
#define PATTERN (1u << 20)
#define CONNECT_SECONDS 60

static int peer = -1;
static uint8_t *pattern;
static uint8_t *received;

// The stream repeats this; the peer makes the same.
static void make_pattern(void) {
  pattern = pages(PATTERN);
  received = pages(PATTERN);
  uint64_t seed = 10;
  for (size_t at = 0; at < PATTERN; at += sizeof(uint64_t)) {
    uint64_t word = next_random(&seed);
    memcpy(pattern + at, &word, sizeof word);
  }
}

static void connect_to_peer(void) {
  make_pattern();
  const char *given = getenv("rows_peer");
  char text[64];
  strncpy(text, given ? given : "", sizeof text - 1);
  text[sizeof text - 1] = 0;
  char *port = strrchr(text, ':');
  struct sockaddr_in address = {.sin_family = AF_INET};
  if (port) {
    *port++ = 0;
    address.sin_port = htons((uint16_t)atoi(port));
  }
  if (!port || inet_pton(AF_INET, text, &address.sin_addr) != 1) {
    errno = EINVAL;
    fail("rows_peer, an address and a port");
  }
  // The guest's own address may still be on its way.
  for (int tries = 1;; tries++) {
    peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer >= 0 && !connect(peer, (struct sockaddr *)&address, sizeof address)) {
      break;
    }
    if (tries == CONNECT_SECONDS) {
      fail("a connection to the peer");
    }
    close(peer);
    sleep(1);
  }
  int on = 1;
  setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void send_all(const void *bytes, size_t size) {
  const uint8_t *at = bytes;
  while (size > 0) {
    ssize_t sent = send(peer, at, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent <= 0) {
      fail("sending");
    }
    at += sent;
    size -= (size_t)sent;
  }
}

static size_t receive(void *bytes, size_t size) {
  ssize_t got;
  do {
    got = recv(peer, bytes, size, 0);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    errno = got == 0 ? EPIPE : errno;
    fail("receiving");
  }
  return (size_t)got;
}

static void order(char kind, uint64_t bytes) {
  uint8_t text[16] = {(uint8_t)kind};
  memcpy(text + 8, &bytes, sizeof bytes);
  send_all(text, sizeof text);
}

// So many bytes, handed over in pieces of a size.
static uint64_t send_stream(uint64_t bytes, uint64_t piece) {
  order('s', bytes);
  for (uint64_t sent = 0; sent < bytes; sent += piece) {
    send_all(pattern + sent % PATTERN, piece);
  }
  // The peer says so when it has all of it, and it was what it had to be.
  uint8_t well = 0;
  receive(&well, 1);
  if (well != 'k') {
    errno = EIO;
    fail("what the peer received");
  }
  return bytes;
}

static uint64_t receive_stream(uint64_t bytes) {
  order('r', bytes);
  uint64_t total = 0;
  while (total < bytes) {
    size_t got = receive(received, PATTERN);
    if (received[0] != pattern[total % PATTERN] ||
        received[got - 1] != pattern[(total + got - 1) % PATTERN]) {
      errno = EIO;
      fail("what was received");
    }
    total += got;
  }
  return total;
}

static uint64_t there_and_back(uint64_t count) {
  order('e', count);
  uint64_t sum = FOLD_START;
  for (uint64_t i = 0; i < count; i++) {
    uint8_t there = pattern[i % PATTERN];
    send_all(&there, 1);
    uint8_t back = 0;
    receive(&back, 1);
    sum = fold(sum, back);
  }
  return sum;
}

static uint64_t net_send(void) { return send_stream(STREAM, PATTERN); }

static uint64_t net_receive(void) { return receive_stream(STREAM); }

static uint64_t net_round_trips(void) { return there_and_back(ROUND_TRIPS); }

static uint64_t send_pieces(void) { return send_stream((uint64_t)PIECES * PIECE, PIECE); }

static uint64_t receive_pieces(void) { return receive_stream((uint64_t)PIECES * PIECE); }

static uint64_t few_round_trips(void) { return there_and_back(FEW_ROUND_TRIPS); }

// ---- Processes -----------------------------------------------------------------------------------

#define FORKS 400

static uint64_t forks(void) {
  uint64_t sum = FOLD_START;
  for (int i = 0; i < FORKS; i++) {
    pid_t child = fork();
    if (child < 0) {
      fail("fork");
    }
    if (child == 0) {
      _exit(i % 10);
    }
    int status = -1;
    waitpid(child, &status, 0);
    sum = fold(sum, (uint64_t)WEXITSTATUS(status));
  }
  return sum;
}

const struct row device_rows[] = {
    {"disk-write", open_disk, write_bulk, whole_area, BULK, "bytes"},
    {"disk-read", open_disk, read_bulk, NULL, BULK, "bytes"},
    {"disk-random-write", open_disk, write_random, whole_area, RANDOM_OPERATIONS, "operations"},
    {"disk-random-read", open_disk, read_random, NULL, RANDOM_OPERATIONS, "operations"},
    {"disk-single-write", open_disk, write_single, whole_area, SINGLE_OPERATIONS, "operations"},
    {"disk-single-read", open_disk, read_single, NULL, SINGLE_OPERATIONS, "operations"},
    {"tcp-send", connect_to_peer, net_send, NULL, STREAM, "bytes"},
    {"tcp-receive", connect_to_peer, net_receive, NULL, STREAM, "bytes"},
    {"tcp-round-trip", connect_to_peer, net_round_trips, NULL, ROUND_TRIPS, "operations"},
    {NULL, NULL, NULL, NULL, 0, NULL}};

const struct row kind_rows[] = {
    {"disk-read-4k", open_disk, read_few, NULL, FEW_OPERATIONS, "operations"},
    {"disk-read-1m", open_disk, read_large, NULL, LARGE_OPERATIONS, "operations"},
    {"disk-write-4k", open_disk, write_few, whole_area, FEW_OPERATIONS, "operations"},
    {"disk-write-1m", open_disk, write_large, whole_area, LARGE_OPERATIONS, "operations"},
    {"net-send", connect_to_peer, send_pieces, NULL, PIECES, "operations"},
    {"net-receive", connect_to_peer, receive_pieces, NULL, PIECES, "operations"},
    {"net-round-trip", connect_to_peer, few_round_trips, NULL, FEW_ROUND_TRIPS, "operations"},
    {"fork", NULL, forks, NULL, FORKS, "operations"},
    {NULL, NULL, NULL, NULL, 0, NULL}};
