package org.javisor.pc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.VcpuPlatform.UnknownMsr;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.accelerator.state.StateReader;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.config.PcConfig;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Saved state of the board's devices: a device that took over another's state does from then on what
 * the other does.
 */
class PcStateTest {
  private static final int SEEDS = 12;
  private static final int BEFORE = 300;
  private static final int AFTER = 300;

  /** A board with a guest that does anything at all to some of its registers. */
  private static final class Board {
    final FakeTime time = new FakeTime();
    final List<String> actions = new ArrayList<>();
    final StringBuilder console = new StringBuilder();
    final PcPlatform pc;
    final GuestBus bus;

    /** The far end of the serial line takes nothing. */
    boolean busy;

    Board() {
      GuestMemory memory = new GuestMemory(new FrameArena(1 << 22));
      memory.mapRam(0, 1 << 20);
      pc =
          new PcPlatform(
              PcConfig.of(2, 1L << 30).withDebugExitPort(0xf4),
              PcPlatform.Environment.of(
                  memory,
                  time,
                  List.of(new FakeVcpu(), new FakeVcpu()),
                  value -> {
                    if (busy) {
                      return false;
                    }
                    console.append((char) value);
                    return console.length() % 7 != 0;
                  },
                  new MachineActions() {
                    @Override
                    public void powerOff() {
                      actions.add("off");
                    }

                    @Override
                    public void reset() {
                      actions.add("reset");
                    }

                    @Override
                    public void debugExit(int code) {
                      actions.add("exit " + code);
                    }
                  }));
      bus = pc.bus();
    }

    /** Does something, and tells what a guest saw of it. */
    String act(Device device, Random random) {
      switch (random.nextInt(8)) {
        case 0 -> {
          time.advance(random.nextInt(3) == 0 ? random.nextInt(20_000_000) : random.nextInt(9_000));
          return "time";
        }
        case 1 -> {
          int vcpu = random.nextInt(2);
          return "ack " + pc.platform(vcpu).hasInterrupt() + " "
              + pc.platform(vcpu).acknowledgeInterrupt();
        }
        case 2 -> {
          byte[] input = {(byte) random.nextInt()};
          return "input " + pc.serial(0).receive(input, 0, 1);
        }
        case 3 -> {
          return "read " + device.read(this, random);
        }
        default -> {
          device.write(this, random);
          return "write";
        }
      }
    }

    byte[] save() {
      StateWriter writer = new StateWriter();
      pc.parts().forEach(writer::section);
      return writer.finish();
    }

    void restore(byte[] state) throws StateException {
      StateReader reader = new StateReader(state);
      for (Map.Entry<String, Snapshottable<?>> part : pc.parts().entrySet()) {
        reader.restore(part.getKey(), part.getValue());
      }
      reader.requireAllTaken();
    }
  }

  /** The registers of one device. */
  interface Device {
    long read(Board board, Random random);

    void write(Board board, Random random);
  }

  /** Ports, one byte at a time. */
  record Ports(String name, int... ports) implements Device {
    @Override
    public long read(Board board, Random random) {
      return board.bus.readPort(ports[random.nextInt(ports.length)], 1);
    }

    @Override
    public void write(Board board, Random random) {
      board.bus.writePort(ports[random.nextInt(ports.length)], 1, random.nextInt(256));
    }

    @Override
    public String toString() {
      return name;
    }
  }

  /** Memory-mapped registers. */
  record Memory(String name, long base, int[] registers, int size) implements Device {
    private long address(Random random) {
      return base + registers[random.nextInt(registers.length)];
    }

    @Override
    public long read(Board board, Random random) {
      return board.bus.readMmio(address(random), size);
    }

    @Override
    public void write(Board board, Random random) {
      board.bus.writeMmio(
          address(random),
          size,
          random.nextBoolean() ? random.nextInt(1 << 17) : random.nextInt() & 0xffff_ffffL);
    }

    @Override
    public String toString() {
      return name;
    }
  }

  /** Configuration spaces, the address register too. */
  record Pci() implements Device {
    private static void select(Board board, Random random) {
      int[] functions = {0, 8, 11};
      board.bus.writePort(
          0xcf8, 4,
          1 << 31 | functions[random.nextInt(functions.length)] << 8 | random.nextInt(64) << 2);
    }

    @Override
    public long read(Board board, Random random) {
      select(board, random);
      return board.bus.readPort(0xcfc, 4);
    }

    @Override
    public void write(Board board, Random random) {
      select(board, random);
      board.bus.writePort(0xcfc, 4, random.nextInt());
    }

    @Override
    public String toString() {
      return "pci";
    }
  }

  /** The registers of the platform that are MSRs. */
  record Msrs() implements Device {
    private static final int[] MSRS = {
      0x1b, 0x6e0, 0x4b564d00, 0x4b564d01, 0x4b564d03, 0x808, 0x80f, 0x832, 0x838, 0x83e
    };

    @Override
    public long read(Board board, Random random) {
      try {
        return board.pc.platform(random.nextInt(2)).readMsr(MSRS[random.nextInt(MSRS.length)]);
      } catch (UnknownMsr e) {
        return -1;
      }
    }

    @Override
    public void write(Board board, Random random) {
      try {
        board.pc.platform(random.nextInt(2))
            .writeMsr(
                MSRS[random.nextInt(MSRS.length)],
                random.nextBoolean() ? random.nextInt(1 << 19) : 0xfee00c00L);
      } catch (UnknownMsr e) {
        return; // The guest would get #GP.
      }
    }

    @Override
    public String toString() {
      return "msrs";
    }
  }

  private static int[] registers(int count, int stride) {
    int[] all = new int[count];
    for (int i = 0; i < count; i++) {
      all[i] = i * stride;
    }
    return all;
  }

  /** Some of each, as a guest's kernel would. */
  record All() implements Device {
    private static Device one(Random random) {
      List<Device> all = devices().filter(d -> !(d instanceof All)).toList();
      return all.get(random.nextInt(all.size()));
    }

    @Override
    public long read(Board board, Random random) {
      return one(random).read(board, random);
    }

    @Override
    public void write(Board board, Random random) {
      one(random).write(board, random);
    }

    @Override
    public String toString() {
      return "all";
    }
  }

  static Stream<Device> devices() {
    return Stream.of(
        new Ports("pic", 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1),
        new Ports("pit", 0x40, 0x41, 0x42, 0x43, 0x61),
        new Ports("rtc", 0x70, 0x71, 0x71),
        new Ports("i8042", 0x60, 0x64),
        new Ports("system ports", 0x61, 0x80, 0x92, 0xcf9),
        new Ports("serial", 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff),
        new Ports("pm", 0x600, 0x601, 0x602, 0x603, 0x604, 0x608),
        new Ports("fw-cfg", 0x510, 0x511),
        new Ports("test interrupts", 0x2000, 0x2001, 0x2003, 0x200a),
        new Memory("hpet", 0xfed00000L, registers(44, 8), 8),
        new Memory("ioapic", 0xfec00000L, new int[] {0, 0x10, 0x10, 0x40}, 4),
        new Memory("lapic", 0xfee00000L, registers(64, 16), 4),
        new Pci(),
        new Msrs(),
        new All());
  }

  @ParameterizedTest
  @MethodSource("devices")
  void aRestoredDeviceDoesWhatTheSavedOneDoes(Device device) throws StateException {
    for (int seed = 0; seed < SEEDS; seed++) {
      Random random = new Random(31L * seed + device.toString().hashCode());
      Board saved = new Board();
      for (int i = 0; i < BEFORE; i++) {
        saved.act(device, random);
      }
      byte[] state = saved.save();
      Board restored = new Board();
      restored.time.advance(saved.time.nanos());
      restored.busy = true;
      restored.restore(state);
      restored.busy = false;
      assertArrayEquals(state, restored.save(), "what was restored is what was saved");
      restored.pc.restored();
      saved.actions.clear();
      int output = saved.console.length();
      restored.console.append(saved.console);
      long next = random.nextLong();
      Random one = new Random(next);
      Random other = new Random(next);
      for (int i = 0; i < AFTER; i++) {
        assertEquals(
            saved.act(device, one), restored.act(device, other), device + " seed " + seed);
      }
      assertArrayEquals(saved.save(), restored.save(), device + " seed " + seed);
      assertEquals(saved.actions, restored.actions);
      assertEquals(
          saved.console.substring(output), restored.console.substring(output));
    }
  }

  @Test
  void aBoardThatHasLessRefusesByName() throws StateException {
    StateReader reader = new StateReader(new Board().save());
    reader.restore("pit", part(new Board(), "pit"));
    assertTrue(
        assertThrows(StateException.class, reader::requireAllTaken).getMessage().contains("'pci'"));
  }

  private static Snapshottable<?> part(Board board, String name) {
    return board.pc.parts().get(name);
  }

  /**
   * Breaks if a file that anybody can write makes a device throw, or index beyond its arrays. For
   * longer:
   *
   * <pre>mvn -pl pc -am test -Dtest=PcStateTest -Djavisor.fuzz.seconds=120</pre>
   */
  @Test
  void hostileStatesAreTakenOrRefusedAndNothingElse() {
    Random random = new Random(Long.getLong("javisor.fuzz.seed", 5));
    long seconds = Long.getLong("javisor.fuzz.seconds", 0);
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    Board source = new Board();
    for (int i = 0; i < 2_000; i++) {
      source.act(new All(), random);
    }
    for (int round = 0; seconds == 0 ? round < 40 : System.nanoTime() < end; round++) {
      Board board = new Board();
      board.time.advance(source.time.nanos());
      source.pc.parts().forEach((name, part) -> hostile(random, name, part, board));
      for (int i = 0; i < 100; i++) {
        board.act(new All(), random);
      }
    }
  }

  private static <R extends Record> void hostile(
      Random random, String name, Snapshottable<R> part, Board board) {
    StateFormat<R> format = part.stateFormat();
    byte[] bytes = format.toBytes(part.saveState());
    for (int change = random.nextInt(4); change >= 0; change--) {
      bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
    }
    try {
      R state = format.fromBytes(bytes);
      @SuppressWarnings("unchecked") // the same name is the same kind of part
      Snapshottable<R> target = (Snapshottable<R>) part(board, name);
      target.restoreState(state);
    } catch (StateException e) {
      assertTrue(!e.getMessage().isEmpty());
    }
  }
}
