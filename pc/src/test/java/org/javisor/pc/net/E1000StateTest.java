package org.javisor.pc.net;

import java.nio.ByteBuffer;
import java.util.Random;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.network.FrameReceiver;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.PortStatistics;
import org.javisor.pc.FakeTime;
import org.javisor.pc.RecordingLine;
import org.javisor.pc.StateTwins;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.pci.PciBus;
import org.junit.jupiter.api.Test;

/** Saved state of the card, in the middle of frames, commands and interrupts held back. */
class E1000StateTest {
  private static final long BAR = 0xfeb0_0000L;
  private static final int MEMORY = 1 << 18;
  private static final int RX_RING = 0x1000;
  private static final int TX_RING = 0x2000;
  private static final int BUFFERS = 0x1_0000;
  private static final int RING = 8;

  private static final int[] READABLE = {
    0x0, 0x8, 0x10, 0x14, 0x20, 0x38, 0xc0, 0xc4, 0xd0, 0x100, 0x400, 0x1000, 0x2810, 0x2818,
    0x3810, 0x3818, 0x4074, 0x4088, 0x408c, 0x40d0, 0x40d4, 0x5000, 0x5200, 0x5400, 0x5404, 0x5600
  };

  /** A card, whose network notes what is sent. */
  private static final class Rig implements StateTwins.Rig<E1000.State>, NetworkPort {
    final GuestMemory memory = new GuestMemory(new FrameArena(MEMORY));
    final Bus bus = new Bus();
    final RecordingLine irq = new RecordingLine();
    final FakeTime time = new FakeTime();
    final E1000 card;
    int sent = 1;
    FrameReceiver receiver;

    Rig() {
      memory.mapRam(0, MEMORY);
      PciBus pci = new PciBus(bus, (slot, pin) -> irq, (address, data) -> {});
      card = new E1000(memory, time, this, MacAddress.parse("52:54:00:12:34:56"));
      pci.attach(3, 0, card);
      config(pci, 0x10, (int) BAR);
      config(pci, 0x04, 7);
      start();
    }

    private static void config(PciBus pci, int register, int value) {
      pci.write(0, 4, 0x8000_1800 | register);
      pci.write(4, 4, value);
    }

    private void start() {
      set(0x2800, RX_RING);
      set(0x2808, RING * 16);
      for (int i = 0; i < RING; i++) {
        memory.write64(RX_RING + 16L * i, BUFFERS + 0x1000 * i);
      }
      set(0x2818, RING - 1);
      set(0x100, 2 | 1 << 15);
      set(0x3800, TX_RING);
      set(0x3808, RING * 16);
      set(0x400, 2);
    }

    int get(int register) {
      return (int) bus.readMmio(BAR + register, 4);
    }

    void set(int register, int value) {
      bus.writeMmio(BAR + register, 4, value & 0xffff_ffffL);
    }

    @Override
    public String act(Random random) {
      switch (random.nextInt(10)) {
        case 0, 1, 2 -> {
          transmit(random);
          return "sent " + sent;
        }
        case 3, 4 -> {
          byte[] frame = new byte[60 + random.nextInt(900)];
          random.nextBytes(frame);
          if (random.nextInt(4) > 0) {
            java.util.Arrays.fill(frame, 0, 6, (byte) 0xff);
          }
          boolean taken = receiver.receive(ByteBuffer.wrap(frame), Offload.NONE);
          if (random.nextBoolean()) {
            receiver.endOfBurst();
          }
          return "received " + taken;
        }
        case 5 -> {
          set(0x2818, random.nextInt(RING));
          return "irq " + irq.level;
        }
        case 6 -> {
          time.advance(random.nextInt(200_000));
          return "time " + irq.level;
        }
        case 7 -> {
          int[] masks = {0xd0, 0xd8, 0xc8, 0xc0, 0xc4};
          set(masks[random.nextInt(masks.length)], random.nextInt(1 << 10));
          return "interrupts " + irq.level;
        }
        case 8 -> {
          int[] others = {0x10, 0x10, 0x14, 0x20, 0x38, 0x0, 0x5200, 0x5600, 0x5000, 0x1000};
          int register = others[random.nextInt(others.length)];
          // Resets, but seldom.
          set(register, random.nextInt() & (random.nextInt(20) > 0 ? ~(1 << 26) : -1));
          if (random.nextInt(30) == 0) {
            start();
          }
          return "other " + irq.level;
        }
        default -> {
          return "read " + get(READABLE[random.nextInt(READABLE.length)]);
        }
      }
    }

    /** Adds a descriptor of any kind, which may end a frame or not. */
    private void transmit(Random random) {
      int tail = get(0x3818) % RING;
      long at = TX_RING + 16L * tail;
      int flags = random.nextInt(2) << 24 | random.nextInt(2) << 27;
      switch (random.nextInt(4)) {
        case 0 -> {
          memory.write64(at, 14L | 24 << 8 | 34L << 32 | 50L << 40);
          memory.write64(at + 8, 1 << 29 | flags | (long) (54 << 8) << 32 | 1000L << 48);
        }
        case 1 -> {
          memory.write64(at, BUFFERS + random.nextInt(0x8000));
          memory.write64(
              at + 8,
              1 << 29 | 1 << 20 | flags | random.nextInt(1500)
                  | (long) random.nextInt(4) << 40 | (long) random.nextInt(2) << 26);
        }
        default -> {
          memory.write64(at, BUFFERS + random.nextInt(0x8000));
          memory.write64(at + 8, flags | 20 + random.nextInt(1400));
        }
      }
      set(0x3818, (tail + 1) % RING);
    }

    @Override
    public Snapshottable<E1000.State> device() {
      return card;
    }

    @Override
    public void copyOutside(StateTwins.Rig<E1000.State> other) {
      Rig from = (Rig) other;
      memory.write(0, from.outside(), 0, MEMORY);
      time.advance(from.time.nanos() - time.nanos());
      sent = from.sent;
    }

    @Override
    public byte[] outside() {
      byte[] all = new byte[MEMORY];
      memory.read(0, all, 0, MEMORY);
      return all;
    }

    // ---- The network ------------------------------------------------------------------------

    @Override
    public void send(ByteBuffer frame, Offload offload) {
      sent = 31 * sent + frame.hashCode() + offload.hashCode();
    }

    @Override
    public void connect(FrameReceiver to) {
      receiver = to;
    }

    @Override
    public void receiverReady() {}

    @Override
    public Doorbell doorbell(Runnable action) {
      return action::run;
    }

    @Override
    public PortStatistics statistics() {
      return new PortStatistics(0, 0, 0, 0, 0, 0);
    }

    @Override
    public void close() {}
  }

  @Test
  void aRestoredCardDoesWhatTheSavedOneDoes() throws StateException {
    StateTwins.compare(Rig::new, 60, 200, 150);
  }

  /** Breaks if a file that anybody can write makes the card index beyond its arrays. */
  @Test
  void hostileStatesDoNoHarm() {
    StateTwins.hostile(
        Rig::new, new Random(Long.getLong("javisor.fuzz.seed", 7)),
        Integer.getInteger("javisor.fuzz.rounds", 300), 60, 60);
  }
}
