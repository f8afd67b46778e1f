package org.javisor.pc.firmware;

import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.memory.RawMemory;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.MmioDevice;
import org.javisor.pc.pci.HostBridge440Fx;

/**
 * Firmware in the board's ROM: a flat image that ends at 4 GiB, where the reset vector is, and
 * whose last 128 KiB are seen below 1 MiB as well. There the host bridge switches between the ROM
 * and the RAM beneath it: reads and writes apart, so that firmware can copy itself into RAM.
 *
 * <p>Without a ROM behind them, addresses from 0xc0000 read as ones. A write that RAM takes while
 * reads come from the ROM arrives as a bus access.
 */
public final class FirmwareRom implements HostBridge440Fx.ShadowControl {
  /** The largest image: more would reach into the window of the PCI devices. */
  public static final int MAX_SIZE = 16 << 20;

  private static final long FOUR_GIB = 1L << 32;
  private static final long LEGACY_START = 0xc_0000;
  private static final long LEGACY_END = 0x10_0000;
  private static final int LEGACY_ROM = 128 << 10;

  /** What a display adapter answers for; there is none. */
  private static final long VIDEO_START = 0xa_0000;

  /** The granularity of the host bridge's registers. */
  private static final int SEGMENT = 0x4000;

  private final GuestMemory memory;
  private final int ramFrame;
  private final int romFrame;
  private final int romLength;
  private final boolean[] readsRam = new boolean[(int) ((LEGACY_END - LEGACY_START) / SEGMENT)];
  private final boolean[] writesRam = new boolean[readsRam.length];

  /**
   * Maps an image; {@code memory} holds RAM in its first MiB, all of it from consecutive frames.
   *
   * @param image a multiple of 4 KiB, up to {@link #MAX_SIZE}
   */
  public FirmwareRom(GuestMemory memory, byte[] image) {
    if (!fits(image.length)) {
      throw new IllegalArgumentException(
          "firmware of %d bytes: a multiple of 4096 up to 16 MiB expected"
              .formatted(image.length));
    }
    this.memory = memory;
    ramFrame = memory.frame(LEGACY_START);
    long base = FOUR_GIB - image.length;
    memory.mapRom(base, image);
    romLength = Math.min(image.length, LEGACY_ROM);
    romFrame = memory.frame(FOUR_GIB - romLength);
    memory.unmap(VIDEO_START, LEGACY_START - VIDEO_START);
    for (int i = 0; i < readsRam.length; i++) {
      map(i);
    }
  }

  /** Whether an image of this length can be mapped. */
  public static boolean fits(long length) {
    return length > 0 && length <= MAX_SIZE && length % FrameArena.FRAME_SIZE == 0;
  }

  /** Takes the writes that go to RAM while reads come from the ROM. */
  public void install(Bus bus) {
    bus.claimMmio(LEGACY_START, LEGACY_END - LEGACY_START, new Beneath());
  }

  @Override
  public synchronized void set(long gpa, int size, boolean readRam, boolean writeRam) {
    for (long at = gpa; at < gpa + size; at += SEGMENT) {
      int segment = (int) ((at - LEGACY_START) / SEGMENT);
      readsRam[segment] = readRam;
      writesRam[segment] = writeRam;
      map(segment);
    }
  }

  private void map(int segment) {
    long gpa = LEGACY_START + (long) segment * SEGMENT;
    long rom = gpa - (LEGACY_END - romLength);
    if (readsRam[segment]) {
      memory.map(gpa, SEGMENT, ramFrame(gpa), writesRam[segment]);
    } else if (rom >= 0) {
      memory.map(gpa, SEGMENT, romFrame + (int) (rom >> FrameArena.FRAME_SHIFT), false);
    } else if (rom > -SEGMENT) {
      // A small image begins inside of this segment.
      memory.unmap(gpa, -rom);
      memory.map(gpa - rom, SEGMENT + rom, romFrame, false);
    } else {
      memory.unmap(gpa, SEGMENT);
    }
  }

  private int ramFrame(long gpa) {
    return ramFrame + (int) (gpa - LEGACY_START >> FrameArena.FRAME_SHIFT);
  }

  private final class Beneath implements MmioDevice {
    @Override
    public long read(long offset, int size) {
      return -1;
    }

    @Override
    public void write(long offset, int size, long value) {
      synchronized (FirmwareRom.this) {
        int segment = (int) (offset / SEGMENT);
        if (!writesRam[segment] || readsRam[segment]) {
          return;
        }
        FrameArena arena = memory.arena();
        for (int i = 0; i < size; i++) {
          long gpa = LEGACY_START + offset + i;
          int inFrame = (int) gpa & FrameArena.FRAME_SIZE - 1;
          RawMemory.put8(arena.address(ramFrame(gpa)) + inFrame, (int) (value >> 8 * i));
          if ((arena.flags(ramFrame(gpa)) & FrameArena.CODE) != 0) {
            arena.codeWritten(ramFrame(gpa), inFrame, 1);
          }
        }
      }
    }
  }
}
