package org.javisor.pc.firmware;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.serial.CharacterBackend;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class BiosServicesTest {
  private static final int PORT = 0x40f;
  private static final int FRAME = 0x8000;
  private static final int BUFFER = 0x9000;
  private static final int CARRY = 1;
  private static final List<E820Entry> MAP =
      List.of(
          new E820Entry(0, 0x9_fc00, E820Entry.RAM),
          new E820Entry(0xf_0000, 0x1_0000, E820Entry.RESERVED),
          new E820Entry(0x10_0000, 63L << 20, E820Entry.RAM));

  private final GuestMemory memory = new GuestMemory(new FrameArena(1 << 20));
  private final Bus bus = new Bus();

  @BeforeEach
  void install() {
    memory.mapRam(0, 1 << 20);
    new BiosServices(memory, MAP, CharacterBackend.NONE).install(bus);
  }

  /** Calls a vector with registers as the ROM's frame has them; flags start with carry set. */
  private void call(int vector, int eax, int ebx, int ecx, int edx) {
    memory.write16(FRAME, BUFFER >> 4); // ES
    memory.write32(FRAME + 4, 0); // EDI
    memory.write32(FRAME + 20, ebx);
    memory.write32(FRAME + 24, edx);
    memory.write32(FRAME + 28, ecx);
    memory.write32(FRAME + 32, eax);
    memory.write16(FRAME + 36, vector);
    memory.write16(FRAME + 42, CARRY);
    bus.writePort(PORT, 4, FRAME);
  }

  private int register(int offset) {
    return memory.read32(FRAME + offset);
  }

  private int carry() {
    return memory.read16(FRAME + 42) & CARRY;
  }

  /** Breaks if a loop over E820, as every boot loader has it, sees another map or no end. */
  @Test
  void theMemoryMapIsGivenEntryByEntry() {
    List<E820Entry> seen = new ArrayList<>();
    int next = 0;
    do {
      call(0x15, 0xe820, next, 24, 0x534d_4150);
      assertEquals(0, carry());
      assertEquals(0x534d_4150, register(32));
      assertEquals(20, register(28));
      seen.add(
          new E820Entry(
              memory.read64(BUFFER), memory.read64(BUFFER + 8), memory.read32(BUFFER + 16)));
      next = register(20);
    } while (next != 0 && seen.size() < 10);
    assertEquals(MAP, seen);
  }

  /** Breaks if the older calls and the map disagree. */
  @Test
  void theOlderMemoryCallsAgreeWithTheMap() {
    call(0x15, 0xe801, 0, 0, 0);
    assertEquals(15 << 10, register(32) & 0xffff);
    assertEquals((63 - 15) << 4, register(20) & 0xffff);
    call(0x15, 0x8800, 0, 0, 0);
    assertEquals(63 << 10, register(32) & 0xffff);
  }

  /** Breaks if what is not offered looks like an answer. */
  @Test
  void whatIsNotOfferedFailsAsABiosFails() {
    call(0x15, 0xc000, 0, 0, 0);
    assertEquals(1, carry());
    assertEquals(0x86, register(32) >> 8 & 0xff);
    call(0x15, 0xe820, 3, 24, 0x534d_4150);
    assertEquals(1, carry());
    call(0x13, 0x0201, 0, 0, 0x80);
    assertEquals(1, carry());
  }

  /** Breaks if every vector does not lead into the ROM, or the ROM not to the port. */
  @Test
  void everyVectorPointsAtItsStub() {
    for (int vector = 0; vector < 256; vector++) {
      long stub =
          ((long) memory.read16(4L * vector + 2) << 4) + memory.read16(4L * vector);
      assertEquals(0x6a, memory.read8(stub));
      assertEquals(vector, memory.read8(stub + 1));
    }
  }

  /** Breaks if an address that is no memory, of the frame or of a buffer, is more than ignored. */
  @Test
  void hostileAddressesAreIgnored() {
    assertDoesNotThrow(() -> bus.writePort(PORT, 4, -2));
    assertDoesNotThrow(() -> bus.writePort(PORT, 4, (1 << 20) - 2));
    assertDoesNotThrow(() -> bus.writePort(PORT, 2, 1));
    memory.write32(FRAME, 0xffff_ffff);
    call(0x15, 0xe820, 0, 24, 0x534d_4150);
    memory.write16(FRAME, 0xffff);
    memory.write32(FRAME + 4, 0xffff);
    assertDoesNotThrow(() -> bus.writePort(PORT, 4, FRAME));
  }
}
