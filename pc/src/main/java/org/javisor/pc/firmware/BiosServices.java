package org.javisor.pc.firmware;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.PortDevice;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.serial.CharacterBackend;

/**
 * The BIOS interrupts of a machine that starts a kernel directly and has no firmware: what boot code
 * in real mode asks for (memory size and map, equipment, text output), answered on the host. Linux's
 * real-mode setup and Xen's trampoline call them.
 *
 * <p>A small ROM at segment F000 catches every vector, saves the registers on the caller's stack and
 * writes the address of that frame to a port; this device reads the frame, changes it and returns.
 * What is not offered answers as a BIOS does that lacks it. There are no disks here, and no
 * keyboard: who boots from a disk brings real firmware. Sources: Phoenix "System BIOS for IBM
 * PC/XT/AT" for the calls, ACPI 6.5 section 15.1 for E820.
 */
public final class BiosServices implements PortDevice {
  /** Takes the address of a frame; nothing else of a PC is there. */
  private static final int PORT = 0x40f;

  private static final int SEGMENT = 0xf000;
  private static final int IVT_VECTORS = 256;
  private static final int STUB_SIZE = 5;
  private static final int COMMON_SIZE = 48;

  // Interrupts of the 8259 pair: each ends with EOI to the master, those of the slave to it before.
  private static final int MASTER_VECTORS = 0x08;
  private static final int SLAVE_VECTORS = 0x70;
  private static final int LINES = 8;
  private static final byte[] NOTHING = {};
  private static final byte[] MASTER_EOI = {(byte) 0xb0, 0x20, (byte) 0xe6, 0x20};
  private static final byte[] BOTH_EOI = {
    (byte) 0xb0, 0x20, (byte) 0xe6, (byte) 0xa0, (byte) 0xe6, 0x20
  };

  // The frame, from the lowest address: ES, DS, PUSHAD's registers, vector, IP, CS, FLAGS.
  private static final int ES = 0;
  private static final int EDI = 4;
  private static final int EBX = 20;
  private static final int EDX = 24;
  private static final int ECX = 28;
  private static final int EAX = 32;
  private static final int VECTOR = 36;
  private static final int FLAGS = 42;

  private static final int CARRY = 1;
  private static final int ZERO = 1 << 6;
  private static final int SMAP = 0x534d_4150;
  private static final int UNSUPPORTED = 0x86;
  private static final int DISK_BAD_COMMAND = 0x01;
  private static final int LINE_TIMEOUT = 0x80;

  private static final int BDA_EQUIPMENT = 0x410;
  private static final int BDA_MEMORY_SIZE = 0x413;
  private static final int BDA_TICKS = 0x46c;

  /** A mathematics coprocessor, and a display of 80 columns in colour. */
  private static final int EQUIPMENT = 0x22;

  private final GuestMemory memory;
  private final List<E820Entry> map;
  private final CharacterBackend screen;

  /**
   * @param map the machine's memory map, as E820 gives it
   * @param screen takes what is written with INT 10h: there is no display
   */
  public BiosServices(GuestMemory memory, List<E820Entry> map, CharacterBackend screen) {
    this.memory = memory;
    this.map = List.copyOf(map);
    this.screen = screen;
  }

  /** Writes the ROM and the interrupt vector table, and answers on {@code bus} from now on. */
  public void install(Bus bus) {
    install(bus, true);
  }

  /**
   * Answers on {@code bus} from now on.
   *
   * @param fresh whether the machine is new: its memory gets the ROM and the interrupt vector table
   */
  public void install(Bus bus, boolean fresh) {
    bus.claimPorts(PORT, 4, this);
    if (fresh) {
      prepare();
    }
  }

  private void prepare() {
    byte[] code = rom();
    memory.write((long) SEGMENT << 4, code);
    for (int vector = 0; vector < IVT_VECTORS; vector++) {
      memory.write16(4L * vector, STUB_SIZE * vector);
      memory.write16(4L * vector + 2, SEGMENT);
    }
    memory.write16(BDA_EQUIPMENT, EQUIPMENT);
  }

  /** One stub a vector, and behind them what they share. */
  private static byte[] rom() {
    List<byte[]> ends = List.of(NOTHING, MASTER_EOI, BOTH_EOI);
    ByteBuffer code =
        ByteBuffer.allocate(IVT_VECTORS * STUB_SIZE + ends.size() * COMMON_SIZE)
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int vector = 0; vector < IVT_VECTORS; vector++) {
      code.put((byte) 0x6a).put((byte) vector); // push vector
      int next = code.position() + 3;
      int common = IVT_VECTORS * STUB_SIZE + ends.indexOf(end(vector)) * COMMON_SIZE;
      code.put((byte) 0xe9).putShort((short) (common - next)); // jmp common
    }
    for (int i = 0; i < ends.size(); i++) {
      code.position(IVT_VECTORS * STUB_SIZE + i * COMMON_SIZE);
      common(code, ends.get(i));
    }
    return code.array();
  }

  private static byte[] end(int vector) {
    return switch (vector & -LINES) {
      case MASTER_VECTORS -> MASTER_EOI;
      case SLAVE_VECTORS -> BOTH_EOI;
      default -> NOTHING;
    };
  }

  private static void common(ByteBuffer code, byte[] end) {
    code.put(new byte[] {0x66, 0x60}); // pushad
    code.put(new byte[] {0x1e, 0x06}); // push ds; push es
    code.put(new byte[] {0x66, 0x31, (byte) 0xc0}); // xor eax, eax
    code.put(new byte[] {(byte) 0x8c, (byte) 0xd0}); // mov ax, ss
    code.put(new byte[] {0x66, (byte) 0xc1, (byte) 0xe0, 4}); // shl eax, 4
    code.put(new byte[] {0x66, 0x0f, (byte) 0xb7, (byte) 0xdc}); // movzx ebx, sp
    code.put(new byte[] {0x66, 0x01, (byte) 0xd8}); // add eax, ebx
    code.put((byte) 0xba).putShort((short) PORT); // mov dx, PORT
    code.put(new byte[] {0x66, (byte) 0xef}); // out dx, eax
    code.put(end); // mov al, EOI; out
    code.put(new byte[] {0x07, 0x1f}); // pop es; pop ds
    code.put(new byte[] {0x66, 0x61}); // popad
    code.put(new byte[] {(byte) 0x83, (byte) 0xc4, 2}); // add sp, 2
    code.put((byte) 0xcf); // iret
  }

  @Override
  public int read(int offset, int size) {
    return -1;
  }

  @Override
  public void write(int offset, int size, int value) {
    if (offset != 0 || size != 4) {
      return;
    }
    try {
      serve(new Frame(value & 0xffff_ffffL));
    } catch (GuestMemory.BadAddress e) {
      // No frame where the guest said, or E820's buffer outside of memory: nothing to answer to.
      return;
    }
  }

  /** The caller's registers in its memory. */
  private final class Frame {
    private final long at;

    Frame(long at) {
      this.at = at;
    }

    int ax() {
      return memory.read16(at + EAX);
    }

    int ah() {
      return ax() >> 8;
    }

    int get(int register) {
      return memory.read32(at + register);
    }

    int get16(int register) {
      return memory.read16(at + register);
    }

    void set(int register, int value) {
      memory.write32(at + register, value);
    }

    void set16(int register, int value) {
      memory.write16(at + register, value);
    }

    void ah(int value) {
      memory.write8(at + EAX + 1, value);
    }

    void flag(int bit, boolean on) {
      int flags = memory.read16(at + FLAGS);
      memory.write16(at + FLAGS, on ? flags | bit : flags & ~bit);
    }

    void fail(int code) {
      ah(code);
      flag(CARRY, true);
    }

    void succeed() {
      flag(CARRY, false);
    }
  }

  private void serve(Frame f) {
    switch (f.get16(VECTOR) & 0xff) {
      case 0x08 -> memory.write32(BDA_TICKS, memory.read32(BDA_TICKS) + 1);
      case 0x10 -> video(f);
      case 0x11 -> f.set16(EAX, memory.read16(BDA_EQUIPMENT));
      case 0x12 -> f.set16(EAX, memory.read16(BDA_MEMORY_SIZE));
      case 0x13 -> f.fail(DISK_BAD_COMMAND);
      case 0x14, 0x17 -> f.ah(LINE_TIMEOUT);
      case 0x15 -> system(f);
      case 0x16 -> keyboard(f);
      case 0x1a -> clock(f);
      default -> {
        // As a BIOS's dummy handler.
      }
    }
  }

  private void video(Frame f) {
    switch (f.ah()) {
      case 0x03 -> {
        f.set16(ECX, 0x0607);
        f.set16(EDX, 0);
      }
      case 0x0e -> screen.write(f.ax() & 0xff);
      case 0x0f -> {
        f.set16(EAX, 80 << 8 | 3);
        f.set16(EBX, f.get16(EBX) & 0xff);
      }
      default -> {
        // No display to set up; VESA calls find AL unchanged, which says they are not there.
      }
    }
  }

  private void system(Frame f) {
    switch (f.ax()) {
      case 0xe820 -> {
        memoryMap(f);
        return;
      }
      case 0xe801 -> {
        long above = aboveOneMib();
        int low = (int) Math.min(above, 15 << 10);
        int high = (int) Math.min(Math.max(0, above - (15 << 10)) >> 6, 0xffff);
        f.set16(EAX, low);
        f.set16(ECX, low);
        f.set16(EBX, high);
        f.set16(EDX, high);
        f.succeed();
        return;
      }
      case 0x2401 -> {
        f.ah(0);
        f.succeed();
        return;
      }
      case 0x2402 -> {
        f.set16(EAX, 1);
        f.succeed();
        return;
      }
      default -> {
        // By AH alone.
      }
    }
    if (f.ah() == 0x88) {
      f.set16(EAX, (int) Math.min(aboveOneMib(), 63 << 10));
      f.succeed();
    } else {
      f.fail(UNSUPPORTED);
    }
  }

  /** RAM from 1 MiB to its first gap, in KiB. */
  private long aboveOneMib() {
    return map.stream()
        .filter(e -> e.type() == E820Entry.RAM && e.base() == 1 << 20)
        .mapToLong(e -> e.size() >> 10)
        .findFirst()
        .orElse(0);
  }

  private void memoryMap(Frame f) {
    int index = f.get(EBX);
    if (f.get(EDX) != SMAP || f.get(ECX) < 20 || index < 0 || index >= map.size()) {
      f.fail(UNSUPPORTED);
      return;
    }
    E820Entry entry = map.get(index);
    long buffer = ((long) f.get16(ES) << 4) + f.get16(EDI);
    memory.write64(buffer, entry.base());
    memory.write64(buffer + 8, entry.size());
    memory.write32(buffer + 16, entry.type());
    f.set(EAX, SMAP);
    f.set(ECX, 20);
    f.set(EBX, index + 1 == map.size() ? 0 : index + 1);
    f.succeed();
  }

  private void keyboard(Frame f) {
    switch (f.ah()) {
      case 0x00, 0x10 -> f.set16(EAX, 0);
      case 0x01, 0x11 -> f.flag(ZERO, true);
      case 0x02, 0x12 -> f.set16(EAX, 0);
      default -> {
        // Typing rates and the like: nothing to set.
      }
    }
  }

  private void clock(Frame f) {
    if (f.ah() == 0) {
      int ticks = memory.read32(BDA_TICKS);
      f.set16(EAX, 0);
      f.set16(ECX, ticks >>> 16);
      f.set16(EDX, ticks & 0xffff);
      f.succeed();
    } else {
      f.fail(UNSUPPORTED);
    }
  }
}
