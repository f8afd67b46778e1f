package org.javisor.conformance;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.javisor.accelerator.TraceSelection;
import org.javisor.conformance.boot.BootedGuest;
import org.javisor.machine.DiskConfig;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.storage.image.DefaultFirmware;
import org.javisor.storage.packages.Progress;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * SeaBIOS, as Debian packages it, starts the machine from the reset vector and finds what there is
 * to boot. Shadow RAM, the board's registers, disks as firmware drives them, or real mode being
 * wrong breaks this.
 */
class FirmwareIT {
  private static final int SECTOR = 512;

  /** Where the second message is: beyond what 24 bits of cylinder, head and sector can say. */
  private static final int FAR = 20_000_000;

  /**
   * A boot sector: reads sector 1 by cylinder, head and sector, prints it, reads sector {@link #FAR}
   * by its number, prints that, and stops.
   */
  private static final String CODE =
      "31c0 8ed8 8ec0 8ed0 bc007c 8816007d" // segments 0, SP 0x7c00, the drive kept
          + "b80102 b90200 b600 bb007e cd13 7213 e81400" // INT 13h AH=02h, call print
          + "be807d b442 8a16007d cd13 7203 e80400" // INT 13h AH=42h, call print
          + "fb f4 ebfd" // sti; hlt, again: the console is written behind by the tick
          + "be007e ac 84c0 7409 b40e bb0700 cd10 ebf2 c3"; // print: INT 10h AH=0Eh

  /** Where the packet of the second call is, in the boot sector. */
  private static final int PACKET = 0x180;

  @TempDir Path folder;

  private static MachineConfig machine(List<DiskConfig> disks) throws Exception {
    return new MachineConfig(
        Optional.empty(),
        Optional.of(new DefaultFirmware(Progress.lines(System.out)).obtain()),
        Optional.empty(),
        Optional.empty(),
        BootProtocol.AUTO,
        "",
        128L << 20,
        1,
        MachineConfig.DEFAULT_CPU_MODEL,
        MachineConfig.AUTO,
        TraceSelection.NONE,
        Optional.empty(),
        OptionalInt.empty(),
        disks,
        List.of(),
        List.of());
  }

  @Test
  @Timeout(120)
  void thereIsNothingToBoot() throws Exception {
    try (BootedGuest guest = new BootedGuest(machine(List.of()))) {
      int at = guest.await("SeaBIOS (version", 0, 60);
      guest.await("No bootable device.", at, 60);
    }
  }

  /** Breaks if SeaBIOS's driver of the disk, its interrupt 13h or a data path does. */
  @Test
  @Timeout(240)
  void aBootSectorReadsItsDisk() throws Exception {
    for (DiskConfig.Interface iface : List.of(DiskConfig.Interface.IDE,
        DiskConfig.Interface.VIRTIO)) {
      Path disk = bootable("first of " + iface, "last of " + iface);
      try (BootedGuest guest = new BootedGuest(machine(List.of(DiskConfig.of(disk).on(iface))))) {
        int at = guest.await("Booting from Hard Disk", 0, 60);
        at = guest.await("first of " + iface, at, 60);
        guest.await("last of " + iface, at, 60);
      }
    }
  }

  private Path bootable(String first, String last) throws Exception {
    byte[] start = new byte[2 * SECTOR];
    byte[] code = HexFormat.of().parseHex(CODE.replace(" ", ""));
    System.arraycopy(code, 0, start, 0, code.length);
    ByteBuffer packet = ByteBuffer.wrap(start).order(ByteOrder.LITTLE_ENDIAN);
    packet.put(PACKET, (byte) 16).putShort(PACKET + 2, (short) 1);
    packet.putInt(PACKET + 4, 0x7e00).putLong(PACKET + 8, FAR);
    start[SECTOR - 2] = 0x55;
    start[SECTOR - 1] = (byte) 0xaa;
    text(first, start, SECTOR);
    byte[] end = new byte[SECTOR];
    text(last, end, 0);
    Path disk = folder.resolve(first.replace(' ', '-'));
    try (FileChannel file =
        FileChannel.open(disk, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      file.write(ByteBuffer.wrap(start), 0);
      file.write(ByteBuffer.wrap(end), (long) FAR * SECTOR);
    }
    return disk;
  }

  private static void text(String text, byte[] sector, int at) {
    byte[] ascii = (text + "\r\n").getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(ascii, 0, sector, at, ascii.length);
  }

  @Test
  void whatIsNoFirmwareIsRefused() throws Exception {
    Path file = Files.write(folder.resolve("small"), new byte[100]);
    MachineConfig good = machine(List.of());
    MachineException e =
        assertThrows(
            MachineException.class,
            () -> new BootedGuest(good.withFirmware(file)).close());
    assertTrue(e.getMessage().contains("multiple of 4096"), e.getMessage());
  }
}
