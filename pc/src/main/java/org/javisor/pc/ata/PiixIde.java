package org.javisor.pc.ata;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.PortDevice;
import org.javisor.pc.pci.PciDevice;
import org.javisor.storage.block.BlockDevice;

/**
 * The IDE function of the PIIX3: two channels of two drives at the addresses and interrupts of the
 * PC/AT, with a bus master for both (82371SB data sheet, sections 2.4 and 2.7).
 */
public final class PiixIde extends PciDevice implements Snapshottable<PiixIde.State> {
  /** Places for drives: 0 and 1 on the first channel, 2 and 3 on the second. */
  public static final int DRIVES = 4;

  /** The function of the ISA bridge's slot at which it is. */
  public static final int FUNCTION = 1;

  private static final int[] COMMAND_BLOCK = {0x1f0, 0x170};
  private static final int[] CONTROL_BLOCK = {0x3f6, 0x376};
  private static final int[] IRQ = {14, 15};
  private static final int BUS_MASTER_BAR = 4;

  /** Timing registers, one a channel; bit 15 says that the channel's addresses are decoded. */
  private static final int TIMING = 0x40;

  private static final int DECODE = 0x8000;

  private final Bus bus;
  private final AtaChannel[] channels = new AtaChannel[2];
  private final Bus.Claim[][] claims = new Bus.Claim[2][];
  private final boolean[] taken = new boolean[DRIVES];
  private final boolean[] disks = new boolean[DRIVES];

  /** Gives the board's interrupts. */
  @FunctionalInterface
  public interface IsaLines {
    IrqLine isa(int irq);
  }

  public PiixIde(GuestMemory memory, Bus bus, IsaLines lines) {
    super(Identity.of(0x8086, 0x7010, 0, 0x010180));
    this.bus = bus;
    for (int i = 0; i < 2; i++) {
      channels[i] = new AtaChannel(lines.isa(IRQ[i]), new BusMaster(memory, this::busMaster));
      initialise(TIMING + 2 * i, 2, DECODE);
      setWritable(TIMING + 2 * i, 2, 0xffff);
    }
    setWritable(0x44, 1, 0xff); // timing of the second drives; there is no cable to be timed
    addPortBar(BUS_MASTER_BAR, 2 * BusMaster.PORTS, registers());
    decode();
  }

  /** Puts a disk into place {@code drive}, while the machine is being built. */
  public void attachDisk(int drive, BlockDevice disk, Optional<String> serial) {
    attach(drive, new AtaDisk(disk, serial));
    disks[drive] = true;
  }

  /** Puts a CD-ROM drive with a disc in it into place {@code drive}. */
  public void attachCdrom(int drive, BlockDevice disc, Optional<String> serial) {
    attach(drive, new AtapiCdrom(disc, serial));
  }

  /** Takes away the disks in places {@code first} to 3, while the guest does not use them. */
  public void detachDisks(int first) {
    for (int drive = first; drive < DRIVES; drive++) {
      if (disks[drive]) {
        disks[drive] = false;
        channels[drive >> 1].detach(drive & 1);
      }
    }
  }

  private void attach(int drive, AtaDevice device) {
    if (drive < 0 || drive >= DRIVES || taken[drive]) {
      throw new IllegalArgumentException("IDE drive " + drive + ": 0 to 3 expected, each once");
    }
    taken[drive] = true;
    channels[drive >> 1].attach(drive & 1, device);
  }

  private PortDevice registers() {
    return new PortDevice() {
      @Override
      public int read(int offset, int size) {
        int inChannel = offset & BusMaster.PORTS - 1;
        return inChannel + size > BusMaster.PORTS
            ? -1
            : channels[offset / BusMaster.PORTS].readDma(inChannel, size);
      }

      @Override
      public void write(int offset, int size, int value) {
        int inChannel = offset & BusMaster.PORTS - 1;
        if (inChannel + size <= BusMaster.PORTS) {
          channels[offset / BusMaster.PORTS].writeDma(inChannel, size, value);
        }
      }
    };
  }

  // ---- Saved state ------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("piix-ide", 1, State.class);

  /** The saved state, of both channels. */
  public record State(PciDevice.State pci, List<AtaChannel.State> channels) {
    public State {
      StateCheck.length("channels", channels.size(), 2);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public State saveState() {
    return new State(savePci(), Stream.of(channels).map(AtaChannel::save).toList());
  }

  @Override
  public void restoreState(State state) throws StateException {
    restorePci(state.pci);
    for (int i = 0; i < channels.length; i++) {
      channels[i].restore(state.channels.get(i));
    }
  }

  @Override
  public void pause() {
    for (AtaChannel channel : channels) {
      channel.pause();
    }
  }

  @Override
  public void resume() {
    for (AtaChannel channel : channels) {
      channel.resume();
    }
  }

  @Override
  protected void configChanged(int offset, int size) {
    decode();
  }

  /** Puts the channels at their ports, or takes them away. */
  private synchronized void decode() {
    boolean ports = (readConfig(COMMAND, 2) & 1) != 0;
    for (int i = 0; i < 2; i++) {
      boolean on = ports && (readConfig(TIMING + 2 * i, 2) & DECODE) != 0;
      if (on && claims[i] == null) {
        claims[i] =
            new Bus.Claim[] {
              bus.claimPorts(
                  COMMAND_BLOCK[i], AtaChannel.COMMAND_PORTS, channels[i].commandBlock()),
              bus.claimPorts(CONTROL_BLOCK[i], 1, channels[i].controlBlock())
            };
      } else if (!on && claims[i] != null) {
        for (Bus.Claim claim : claims[i]) {
          claim.release();
        }
        claims[i] = null;
      }
    }
  }

  @Override
  public void reset() {
    super.reset();
    for (AtaChannel channel : channels) {
      channel.reset();
    }
  }
}
