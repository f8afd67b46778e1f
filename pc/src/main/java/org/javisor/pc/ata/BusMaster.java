package org.javisor.pc.ata;

import java.lang.foreign.MemorySegment;
import java.util.function.BooleanSupplier;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.memory.GuestMemory;

/**
 * One channel's half of the bus-master function: it moves data between a drive and the regions of
 * guest memory that a table of descriptors lists (Bus Master IDE programming interface 1.0).
 * Guarded by the channel's lock.
 */
final class BusMaster {
  static final int PORTS = 8;

  private static final int COMMAND = 0;
  private static final int STATUS = 2;
  private static final int TABLE = 4;

  private static final int COMMAND_START = 1;
  private static final int COMMAND_TO_MEMORY = 8;

  private static final int STATUS_ACTIVE = 1;
  private static final int STATUS_ERROR = 2;
  private static final int STATUS_INTERRUPT = 4;

  /** Says to the driver that a drive can do DMA; kept and without effect. */
  private static final int STATUS_CAPABLE = 0x60;

  private static final int DESCRIPTOR = 8;
  private static final long END_OF_TABLE = 1L << 63;

  /** The table may not cross 64 KiB, so it has no more entries than this. */
  private static final int MAX_DESCRIPTORS = (64 << 10) / DESCRIPTOR;

  private final GuestMemory memory;
  private final BooleanSupplier mayMaster;
  private int command;
  private int status;
  private int table;

  // Where the transfer is: the rest of a region, and the descriptor after it.
  private long region;
  private int left;
  private boolean last;
  private int next;

  BusMaster(GuestMemory memory, BooleanSupplier mayMaster) {
    this.memory = memory;
    this.mayMaster = mayMaster;
  }

  void reset() {
    command = 0;
    status = 0;
    table = 0;
  }

  /**
   * The saved state.
   *
   * @param region where the rest of the region under way is, of {@code left} bytes
   * @param next the descriptor after it
   */
  record State(int command, int status, int table, long region, int left, boolean last, int next) {
    State {
      StateCheck.bits("the command", command, COMMAND_START | COMMAND_TO_MEMORY);
      StateCheck.bits(
          "the status", status,
          STATUS_ACTIVE | STATUS_ERROR | STATUS_INTERRUPT | STATUS_CAPABLE);
      StateCheck.bits("the table", table & 0xffff_ffffL, 0xffff_fffcL);
      StateCheck.range("the rest of a region", left, 0, 1 << 16);
      StateCheck.range("the next descriptor", next, 0, MAX_DESCRIPTORS);
    }
  }

  State save() {
    return new State(command, status, table, region, left, last, next);
  }

  void restore(State state) {
    command = state.command;
    status = state.status;
    table = state.table;
    region = state.region;
    left = state.left;
    last = state.last;
    next = state.next;
  }

  int read(int offset, int size) {
    if (offset == TABLE && size == 4) {
      return table;
    }
    int value = 0;
    for (int i = 0; i < size; i++) {
      value |= readByte(offset + i) << 8 * i;
    }
    return value;
  }

  private int readByte(int offset) {
    return switch (offset) {
      case COMMAND -> command;
      case STATUS -> status;
      case TABLE, TABLE + 1, TABLE + 2, TABLE + 3 -> table >>> 8 * (offset - TABLE) & 0xff;
      default -> 0;
    };
  }

  /** Writes a register; returns whether that starts the transfer. */
  boolean write(int offset, int size, int value) {
    if (offset == TABLE && size == 4) {
      table = value & ~3;
      return false;
    }
    boolean starts = false;
    for (int i = 0; i < size; i++) {
      starts |= writeByte(offset + i, value >>> 8 * i & 0xff);
    }
    return starts;
  }

  private boolean writeByte(int offset, int value) {
    switch (offset) {
      case COMMAND -> {
        boolean started = running();
        command = value & (COMMAND_START | COMMAND_TO_MEMORY);
        if (!running()) {
          status &= ~STATUS_ACTIVE;
        } else if (!started) {
          status |= STATUS_ACTIVE;
          next = 0;
          left = 0;
          last = false;
          return true;
        }
      }
      case STATUS -> {
        status &= ~(value & (STATUS_ERROR | STATUS_INTERRUPT));
        status = status & ~STATUS_CAPABLE | value & STATUS_CAPABLE;
      }
      case TABLE, TABLE + 1, TABLE + 2, TABLE + 3 -> {
        int shift = 8 * (offset - TABLE);
        table = (table & ~(0xff << shift) | value << shift) & ~3;
      }
      default -> {}
    }
    return false;
  }

  /** Whether software has the engine run; it moves data only then. */
  boolean running() {
    return (command & COMMAND_START) != 0;
  }

  void interrupt() {
    status |= STATUS_INTERRUPT;
  }

  /** The drive has had all it wanted. The bit stays on if the table lists more. */
  void driveDone() {
    if (left == 0 && last) {
      status &= ~STATUS_ACTIVE;
    }
  }

  /**
   * Moves {@code length} bytes between the drive's buffer and the next regions. Fails if the table
   * ends before, is of the other direction, or lists what is not memory.
   *
   * @return whether all of it was moved; if not, the engine has stopped
   */
  boolean move(MemorySegment buffer, int length, boolean toMemory) {
    if (!running() || toMemory != ((command & COMMAND_TO_MEMORY) != 0)
        || !mayMaster.getAsBoolean()) {
      stop(false);
      return false;
    }
    try {
      for (int done = 0; done < length;) {
        if (left == 0 && !nextRegion()) {
          stop(false);
          return false;
        }
        int chunk = Math.min(left, length - done);
        if (toMemory) {
          memory.write(region, buffer, done, chunk);
        } else {
          memory.read(region, buffer, done, chunk);
        }
        region += chunk;
        left -= chunk;
        done += chunk;
      }
      return true;
    } catch (GuestMemory.BadAddress e) {
      stop(true);
      return false;
    }
  }

  private boolean nextRegion() {
    if (last || next == MAX_DESCRIPTORS) {
      return false;
    }
    long descriptor = memory.read64((table & 0xffff_ffffL) + (long) DESCRIPTOR * next++);
    region = descriptor & 0xffff_fffeL;
    int count = (int) (descriptor >>> 32) & 0xfffe;
    left = count == 0 ? 1 << 16 : count;
    last = (descriptor & END_OF_TABLE) != 0;
    return true;
  }

  private void stop(boolean error) {
    status &= ~STATUS_ACTIVE;
    if (error) {
      status |= STATUS_ERROR;
    }
  }
}
