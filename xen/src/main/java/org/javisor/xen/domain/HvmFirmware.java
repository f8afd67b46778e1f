package org.javisor.xen.domain;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.PcPlatform;
import org.javisor.pc.config.PcConfig;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.pci.IsaBridgePiix3;
import org.javisor.pc.pci.PciBus;

/**
 * What Xen's own first stage (hvmloader) leaves behind for SeaBIOS: the image in RAM below 1 MiB,
 * PCI functions with addresses and interrupts, and a description of memory and tables at a fixed
 * place. SeaBIOS, finding itself on Xen, sets up none of that.
 */
final class HvmFirmware {
  /** Where SeaBIOS looks for its information: {@code struct xen_seabios_info}. */
  private static final long INFORMATION = 0x1000;

  private static final int INFORMATION_SIZE = 32;
  private static final long TABLES = INFORMATION + 0x40;
  private static final long MEMORY_MAP = INFORMATION + 0x80;

  private static final long LEGACY_END = 0x10_0000;

  /** An image may be so large: it reaches down to where a display's ROM would be. */
  private static final int MAX_SIZE = 256 << 10;

  private static final int COM1 = 0x3f8;

  /** The battery-backed byte with the boot order, and orders in it. */
  private static final int BOOT_ORDER = 0x3d;

  private static final int DISK_THEN_DISC = 0x32;
  private static final int DISC_THEN_DISK = 0x23;

  // Registers of a PCI function (PCI Local Bus Specification 3.0, 6.1).
  private static final int COMMAND = 0x04;
  private static final int FIRST_BAR = 0x10;
  private static final int BARS = 6;
  private static final int INTERRUPT_LINE = 0x3c;
  private static final int INTERRUPT_PIN = 0x3d;
  private static final int DECODE_PORTS_AND_MEMORY = 3;

  private static final int FIRST_PORT = 0xc000;

  private HvmFirmware() {}

  /** Whether an image of this length can be placed. */
  static boolean fits(int length) {
    return length > 0 && length <= MAX_SIZE && length % 4096 == 0;
  }

  /** Puts the image and what it needs to know into memory. */
  static void place(GuestMemory memory, byte[] image, List<E820Entry> e820, long rsdp) {
    memory.write(LEGACY_END - image.length, image);
    ByteBuffer map = little(20 * e820.size());
    e820.forEach(e -> map.putLong(e.base()).putLong(e.size()).putInt(e.type()));
    memory.write(MEMORY_MAP, map.array());
    memory.write32(TABLES, (int) rsdp);
    ByteBuffer info = little(INFORMATION_SIZE);
    info.put("XenHVMSeaBIOS\0".getBytes(StandardCharsets.US_ASCII));
    info.put((byte) INFORMATION_SIZE).put((byte) 0);
    info.putInt((int) TABLES).putInt(1).putInt((int) MEMORY_MAP).putInt(e820.size());
    byte[] bytes = info.array();
    int sum = 0;
    for (byte b : bytes) {
      sum += b;
    }
    bytes[15] = (byte) -sum;
    memory.write(INFORMATION, bytes);
  }

  private static ByteBuffer little(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Gives each PCI function its addresses and its interrupt, and says what is booted. */
  static void configure(PcPlatform pc, boolean discFirst) {
    Allocator ports = new Allocator(FIRST_PORT);
    Allocator memory = new Allocator(pc.config().pciWindow());
    for (int slot = 0; slot < PciBus.SLOTS; slot++) {
      for (int function = 0; function < PciBus.FUNCTIONS; function++) {
        Function f = new Function(pc.pci(), slot, function);
        if (f.read(0, 2) != 0xffff) {
          f.assign(ports, memory);
        }
      }
    }
    pc.rtc().setMemory(BOOT_ORDER, discFirst ? DISC_THEN_DISK : DISK_THEN_DISC);
    pc.firmware().addFile("etc/sercon-port", new byte[] {(byte) COM1, COM1 >> 8});
  }

  /** Gives out addresses, each a multiple of its size. */
  private static final class Allocator {
    private long next;

    Allocator(long first) {
      next = first;
    }

    long take(long size) {
      long at = next + size - 1 & -size;
      next = at + size;
      return at;
    }
  }

  /** A function's configuration space, as software reaches it. */
  private record Function(PciBus bus, int slot, int number) {
    private void select(int register) {
      bus.write(0, 4, 1 << 31 | slot << 11 | number << 8 | register & 0xfc);
    }

    int read(int register, int size) {
      select(register);
      int value = bus.read(4 + (register & 3), size);
      return size == 4 ? value : value & (1 << 8 * size) - 1;
    }

    void write(int register, int size, int value) {
      select(register);
      bus.write(4 + (register & 3), size, value);
    }

    void assign(Allocator ports, Allocator memory) {
      for (int i = 0; i < BARS; i++) {
        int at = FIRST_BAR + 4 * i;
        write(at, 4, -1);
        int mask = read(at, 4);
        if (mask == 0) {
          continue;
        }
        boolean io = (mask & 1) != 0;
        long size = -(long) (mask & (io ? ~3 : ~15)) & 0xffff_ffffL;
        write(at, 4, (int) (io ? ports : memory).take(size));
        boolean wide = !io && (mask & 4) != 0;
        if (wide) {
          write(at + 4, 4, 0);
          i++;
        }
      }
      int pin = read(INTERRUPT_PIN, 1);
      if (pin != 0) {
        int wire = PcConfig.pciInterrupt(slot, pin) & 3;
        write(INTERRUPT_LINE, 1, IsaBridgePiix3.defaultRoute(wire));
      }
      write(COMMAND, 2, read(COMMAND, 2) | DECODE_PORTS_AND_MEMORY);
    }
  }
}
