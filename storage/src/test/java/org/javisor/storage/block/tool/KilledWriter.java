package org.javisor.storage.block.tool;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Random;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockRequest;
import org.javisor.storage.block.BlockWorkers;
import org.javisor.storage.block.ImageDevice;
import org.javisor.storage.block.file.HostFile.Access;

/**
 * The program that {@link KilledWriterIT} kills: several users of one disk, each with a part of its
 * own, write, zero, discard and flush without end, and say so when a flush is done.
 */
public final class KilledWriter {
  static final int UNIT = 4096;
  static final int USERS = 6;
  static final int UNITS_EACH = 1500;
  static final int OPERATIONS = 20_000;
  private static final int MAX_UNITS = 40;

  private KilledWriter() {}

  /** What a user does: decided by the round, the user and the number. */
  record Operation(Kind kind, int first, int count) {
    enum Kind {
      WRITE, ZERO, DISCARD, FLUSH
    }
  }

  static Operation[] plan(int round, int user) {
    Random random = new Random(round * 1000L + user);
    Operation[] plan = new Operation[OPERATIONS];
    for (int i = 0; i < plan.length; i++) {
      int first = random.nextInt(UNITS_EACH);
      int most = Math.min(random.nextInt(3) == 0 ? MAX_UNITS : 2, UNITS_EACH - first);
      int count = 1 + random.nextInt(most);
      Operation.Kind kind =
          switch (random.nextInt(12)) {
            case 0, 1 -> Operation.Kind.FLUSH;
            case 2 -> Operation.Kind.ZERO;
            case 3 -> Operation.Kind.DISCARD;
            default -> Operation.Kind.WRITE;
          };
      plan[i] = new Operation(kind, first, count);
    }
    return plan;
  }

  /** The number that an operation fills its units with. */
  static int value(int round, int operation) {
    return round * OPERATIONS + operation + 1;
  }

  private static final class User {
    private final BlockDevice disk;
    private final int round;
    private final int user;
    private final Operation[] plan;
    private final MemorySegment buffer;
    private int next;

    User(BlockDevice disk, int round, int user) {
      this.disk = disk;
      this.round = round;
      this.user = user;
      plan = plan(round, user);
      buffer = Arena.global().allocate((long) MAX_UNITS * UNIT, 4096);
    }

    void step(BlockException failure) {
      if (failure != null) {
        System.out.println("FAILED " + failure);
        Runtime.getRuntime().halt(3);
      }
      if (next > 0 && plan[next - 1].kind() == Operation.Kind.FLUSH) {
        System.out.println(user + " " + (next - 1));
      }
      if (next == plan.length) {
        return;
      }
      Operation operation = plan[next];
      long offset = ((long) user * UNITS_EACH + operation.first()) * UNIT;
      long length = (long) operation.count() * UNIT;
      int number = next++;
      switch (operation.kind()) {
        case FLUSH -> disk.submit(new BlockRequest.Flush(this::step));
        case ZERO ->
            disk.submit(new BlockRequest.WriteZeroes(offset, length, number % 2 == 0, this::step));
        case DISCARD -> disk.submit(new BlockRequest.Discard(offset, length, this::step));
        case WRITE -> {
          for (long i = 0; i < length / 4; i++) {
            buffer.setAtIndex(ValueLayout.JAVA_INT, i, value(round, number));
          }
          disk.submit(
              new BlockRequest.Write(offset, buffer.asSlice(0, length), this::step));
        }
      }
    }
  }

  /** Arguments: the image and the round. */
  public static void main(String[] args) throws Exception {
    BlockWorkers workers = new BlockWorkers();
    BlockDevice disk =
        new ImageDevice(Images.open(Path.of(args[0]), null, Access.WRITE), workers);
    int round = Integer.parseInt(args[1]);
    for (int user = 0; user < USERS; user++) {
      new User(disk, round, user).step(null);
    }
    Thread.currentThread().join();
  }
}
