package org.javisor.pc.ata;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.RecordingLine;
import org.javisor.pc.StateTwins;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.pci.PciBus;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.HoldingDevice;
import org.junit.jupiter.api.Test;

/** Saved state of the ATA controller and its drives, in the middle of whatever they do. */
class AtaStateTest {
  private static final int MEMORY = 1 << 18;
  private static final int BASE = 0x1f0;
  private static final int CONTROL = 0x3f6;
  private static final int DMA = 0xc000;
  private static final int TABLE = 0x1000;

  /** Commands of disks, CD-ROMs and both, and some that there are not. */
  private static final int[] COMMANDS = {
    0x20, 0x24, 0x29, 0x30, 0x34, 0x39, 0x40, 0x90, 0x91, 0xb0, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0x25,
    0x35, 0x3d, 0x06, 0xe5, 0xe7, 0xec, 0xef, 0xf8, 0x27, 0x08, 0xa0, 0xa0, 0xa1, 0x77
  };

  private static final int[] PACKETS = {
    0x00, 0x03, 0x12, 0x25, 0x28, 0x28, 0xa8, 0x43, 0x46, 0x4a, 0x51, 0x5a, 0xbd, 0x99
  };

  /** A controller with a disk and a disc. */
  private static final class Rig implements StateTwins.Rig<PiixIde.State> {
    final GuestMemory memory = new GuestMemory(new FrameArena(MEMORY));
    final Bus bus = new Bus();
    final RecordingLine irq = new RecordingLine();
    final FakeDisk disk = new FakeDisk(512);
    final FakeDisk disc = new FakeDisk(256);
    final PiixIde ide;

    Rig() {
      this(Optional.empty());
    }

    /** With something else in the disk's place. */
    Rig(Optional<BlockDevice> other) {
      memory.mapRam(0, MEMORY);
      PciBus pci = new PciBus(bus, (slot, pin) -> IrqLine.NONE, (a, d) -> {});
      bus.claimPorts(0xcf8, 8, pci);
      ide = new PiixIde(memory, bus, n -> n == 14 ? irq : IrqLine.NONE);
      ide.attachDisk(0, other.orElse(disk), Optional.of("SN-7"));
      ide.attachCdrom(1, disc, Optional.empty());
      pci.attach(1, 1, ide);
      config(pci, 0x20, DMA);
      config(pci, 0x04, 5);
    }

    private static void config(PciBus pci, int register, int value) {
      pci.write(0, 4, 0x8000_0900 | register);
      pci.write(4, 4, value);
    }

    void out(int register, int value) {
      bus.writePort(BASE + register, 1, value);
    }

    int status() {
      return bus.readPort(CONTROL, 1);
    }

    /** Three regions, of which the first begins anywhere. */
    void table(Random random) {
      for (int i = 0; i < 3; i++) {
        memory.write32(TABLE + 8 * i, 0x8000 * (i + 1) + 2 * random.nextInt(100));
        int length = 512 * (1 + random.nextInt(8));
        memory.write32(TABLE + 8 * i + 4, length | (i == 2 ? 1 << 31 : 0));
      }
      bus.writePort(DMA + 4, 4, TABLE);
    }

    @Override
    public String act(Random random) {
      switch (random.nextInt(10)) {
        case 0, 1 -> {
          int place = random.nextInt(240);
          out(6, (random.nextBoolean() ? 0xe0 : 0xa0) | random.nextInt(2) << 4);
          out(1, random.nextInt(4));
          out(2, 1 + random.nextInt(12));
          out(3, place);
          out(4, random.nextInt(40) == 0 ? 0x4f : 0);
          out(5, 0);
          out(7, COMMANDS[random.nextInt(COMMANDS.length)]);
          return "command " + status();
        }
        case 2 -> {
          StringBuilder data = new StringBuilder();
          for (int i = random.nextInt(300); i >= 0; i--) {
            data.append(bus.readPort(BASE, 2)).append(' ');
          }
          return data.toString();
        }
        case 3 -> {
          for (int i = random.nextInt(300); i >= 0; i--) {
            bus.writePort(BASE, 2, random.nextInt(1 << 16));
          }
          return "data " + status();
        }
        case 4 -> {
          return "register " + bus.readPort(BASE + 1 + random.nextInt(7), 1);
        }
        case 5 -> {
          table(random);
          bus.writePort(DMA, 1, random.nextInt(2) << 3);
          bus.writePort(DMA, 1, 1 | random.nextInt(2) << 3);
          return "dma " + bus.readPort(DMA + 2, 1);
        }
        case 6 -> {
          bus.writePort(DMA + 2, 1, 6);
          return "dma " + bus.readPort(DMA, 4);
        }
        case 7 -> {
          packet(random);
          return "packet " + status();
        }
        case 8 -> {
          if (random.nextInt(10) == 0) {
            bus.writePort(CONTROL, 1, random.nextInt(256));
          }
          return "control " + irq.level;
        }
        default -> {
          return "interrupt " + irq.level + bus.readPort(BASE + 7, 1);
        }
      }
    }

    /** A packet command, whatever the drive was at. */
    private void packet(Random random) {
      out(6, 0xb0);
      out(1, random.nextInt(2));
      out(4, random.nextInt(256));
      out(5, random.nextInt(9));
      out(7, 0xa0);
      byte[] packet = new byte[12];
      packet[0] = (byte) PACKETS[random.nextInt(PACKETS.length)];
      packet[1] = (byte) random.nextInt(4);
      packet[5] = (byte) random.nextInt(60);
      packet[random.nextBoolean() ? 8 : 9] = (byte) random.nextInt(9);
      packet[4] = packet[0] == 3 || packet[0] == 0x12 ? (byte) 36 : 0;
      for (int i = 0; i < packet.length; i += 2) {
        bus.writePort(BASE, 2, packet[i] & 0xff | (packet[i + 1] & 0xff) << 8);
      }
    }

    @Override
    public Snapshottable<PiixIde.State> device() {
      return ide;
    }

    @Override
    public void copyOutside(StateTwins.Rig<PiixIde.State> other) {
      Rig from = (Rig) other;
      byte[] all = new byte[MEMORY];
      from.memory.read(0, all, 0, MEMORY);
      memory.write(0, all, 0, MEMORY);
      System.arraycopy(from.disk.content, 0, disk.content, 0, disk.content.length);
    }

    @Override
    public byte[] outside() {
      byte[] all = Arrays.copyOf(disk.content, disk.content.length + MEMORY);
      memory.read(0, all, disk.content.length, MEMORY);
      return all;
    }
  }

  @Test
  void aRestoredControllerDoesWhatTheSavedOneDoes() throws StateException {
    StateTwins.compare(Rig::new, 60, 200, 100);
  }

  /** Breaks if a file that anybody can write makes a drive index beyond its buffer or its disk. */
  @Test
  void hostileStatesDoNoHarm() {
    StateTwins.hostile(
        Rig::new, new Random(Long.getLong("javisor.fuzz.seed", 7)),
        Integer.getInteger("javisor.fuzz.rounds", 300), 60, 60);
  }

  /** Breaks if a write that waits for room on the host's disk is lost with the machine. */
  @Test
  void aRequestThatWaitsForTheHostIsMadeAgain() throws StateException {
    FakeDisk full = new FakeDisk(512);
    full.failure = new BlockException(Reason.HOST_DISK_FULL, "full");
    HoldingDevice holding = new HoldingDevice(full, failure -> {});
    Rig saved = new Rig(Optional.of(holding));
    saved.out(6, 0xe0);
    saved.out(2, 1);
    saved.out(3, 9);
    saved.out(7, 0x30);
    for (int i = 0; i < 256; i++) {
      saved.bus.writePort(BASE, 2, i);
    }
    assertEquals(1, holding.heldRequests());
    assertEquals(0x80, saved.status());
    saved.ide.pause();
    PiixIde.State state = saved.ide.saveState();

    Rig restored = new Rig();
    restored.ide.pause();
    restored.ide.restoreState(state);
    assertEquals(0x80, restored.status());
    assertTrue(restored.disk.log.isEmpty(), "nothing happens before it goes on");
    restored.ide.resume();
    assertEquals(0x50, restored.status());
    assertTrue(restored.irq.level);
    byte[] written = new byte[512];
    for (int i = 0; i < 256; i++) {
      written[2 * i] = (byte) i;
    }
    assertArrayEquals(
        written, Arrays.copyOfRange(restored.disk.content, 9 * 512, 10 * 512));
  }

  @Test
  void aControllerWithOtherDrivesRefuses() {
    PiixIde.State state = new Rig().ide.saveState();
    PiixIde empty =
        new PiixIde(new GuestMemory(new FrameArena(MEMORY)), new Bus(), n -> IrqLine.NONE);
    String message =
        assertThrows(
            StateException.class, () -> empty.restoreState(state)).getMessage();
    assertEquals("other drives", message);
  }
}
