package org.javisor.xen.domain;

import java.util.List;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkPort;
import org.javisor.pc.serial.CharacterBackend;
import org.javisor.storage.block.BlockDevice;

/**
 * What an HVM domain has on its board beside what every board has. Disks and networks are the
 * caller's to close; the same ones may be behind PV back ends, too, for a guest that has the emulated
 * ones pulled out.
 *
 * @param platformDevice whether PV drivers are to find that they are wanted
 * @param serial what is at the end of the first serial line
 * @param discFirst whether firmware tries a disc before the disks
 */
public record EmulatedDevices(
    boolean platformDevice,
    CharacterBackend serial,
    List<Drive> drives,
    List<Card> cards,
    boolean discFirst) {
  /** Nothing, for a domain that is no PC. */
  public static final EmulatedDevices NONE =
      new EmulatedDevices(false, CharacterBackend.NONE, List.of(), List.of(), false);

  public EmulatedDevices {
    drives = List.copyOf(drives);
    cards = List.copyOf(cards);
  }

  /**
   * A drive of the ATA controller.
   *
   * @param place 0 and 1 on the first channel, 2 and 3 on the second
   */
  public record Drive(int place, BlockDevice device, boolean cdrom) {}

  /** An 82540EM. */
  public record Card(NetworkPort port, MacAddress mac) {}
}
