package org.javisor.storage.block;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;

/**
 * Does random operations on a disk and on a model of it, an array, and compares the two.
 * Repeatable: the seed decides everything.
 */
public final class RandomDisk implements AutoCloseable {
  private static final int MAX_LENGTH = 300 << 10;

  private final DiskImage disk;
  private final Random random;
  private final byte[] model;
  /** Bytes that were discarded since they were written: anything may be there. */
  private final boolean[] unknown;
  private final Arena arena = Arena.ofConfined();
  private final MemorySegment buffer = arena.allocate(MAX_LENGTH, 4096);

  /** @param model what the disk holds now; it is changed along with the disk */
  public RandomDisk(DiskImage disk, byte[] model, long seed) {
    this.disk = disk;
    this.model = model;
    random = new Random(seed);
    unknown = new boolean[model.length];
  }

  /** Does {@code count} operations. */
  public void run(int count) throws BlockException {
    for (int i = 0; i < count; i++) {
      step();
    }
  }

  private void step() throws BlockException {
    int kind = random.nextInt(20);
    // Sectors mostly, bytes sometimes, clusters often.
    int unit = new int[] {1, 512, 512, 4096, 65536}[random.nextInt(5)];
    int offset = random.nextInt(model.length / unit) * unit;
    int most = Math.min(MAX_LENGTH, model.length - offset);
    int length = Math.min(most, (1 + random.nextInt(Math.max(1, most / unit))) * unit);
    if (random.nextInt(3) > 0) {
      length = Math.min(length, 8192);
    }
    switch (kind) {
      case 0 -> disk.flush();
      case 1, 2 -> discard(offset, length);
      case 3, 4 -> {
        disk.writeZeroes(offset, length, random.nextBoolean());
        Arrays.fill(model, offset, offset + length, (byte) 0);
        Arrays.fill(unknown, offset, offset + length, false);
      }
      case 5, 6, 7, 8, 9 -> check(offset, length);
      default -> write(offset, length);
    }
  }

  private void write(int offset, int length) throws BlockException {
    byte[] data = new byte[length];
    if (random.nextInt(8) > 0) {
      random.nextBytes(data);
    } else {
      Arrays.fill(data, (byte) random.nextInt());
    }
    MemorySegment from = buffer.asSlice(0, length);
    from.copyFrom(MemorySegment.ofArray(data));
    disk.write(offset, from);
    System.arraycopy(data, 0, model, offset, length);
    Arrays.fill(unknown, offset, offset + length, false);
  }

  /** What a discard leaves is zeros or the old contents; the model takes over which. */
  private void discard(int offset, int length) throws BlockException {
    disk.discard(offset, length);
    byte[] now = read(offset, length);
    for (int i = 0; i < length; i++) {
      if (now[i] != 0) {
        assertEquals(model[offset + i], now[i], "a discarded byte is neither zero nor as before");
      }
    }
    System.arraycopy(now, 0, model, offset, length);
  }

  private byte[] read(int offset, int length) throws BlockException {
    MemorySegment into = buffer.asSlice(0, length);
    into.fill((byte) 0x5a);
    disk.read(offset, into);
    return into.toArray(ValueLayout.JAVA_BYTE);
  }

  private void check(int offset, int length) throws BlockException {
    byte[] now = read(offset, length);
    int differs = Arrays.mismatch(now, Arrays.copyOfRange(model, offset, offset + length));
    assertEquals(-1, differs, "the first byte that differs in " + offset + "+" + length);
  }

  /** Compares all of the disk. */
  public void checkAll() throws BlockException {
    for (int offset = 0; offset < model.length; offset += MAX_LENGTH) {
      check(offset, Math.min(MAX_LENGTH, model.length - offset));
    }
  }

  @Override
  public void close() {
    arena.close();
  }
}
