package org.javisor.machine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.javisor.machine.MachineException.Reason;
import org.javisor.pc.PcPlatform;
import org.javisor.pc.acpi.AcpiTables;
import org.javisor.pc.acpi.AcpiTables.LoadedByFirmware;
import org.javisor.pc.firmware.FirmwareRom;
import org.javisor.pc.firmware.FwCfg;

/** A machine's firmware: its image, and what it is told about the machine. */
final class Firmware {
  private static final int COM1 = 0x3f8;

  /** The battery-backed byte with the boot order, and in it: a hard disk, then a CD-ROM. */
  private static final int BOOT_ORDER = 0x3d;

  private static final int DISK_THEN_CDROM = 0x32;

  private Firmware() {}

  static byte[] read(Path file) throws MachineException {
    try {
      long size = Files.size(file);
      if (!FirmwareRom.fits(size)) {
        throw new MachineException(
            Reason.NOT_A_KERNEL,
            "--firmware " + file + " is no firmware image: it has " + size
                + " bytes, a multiple of 4096 up to 16 MiB expected");
      }
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new MachineException(
          Reason.UNREADABLE_FILE, "--firmware " + file + " cannot be read: " + e.getMessage(), e);
    }
  }

  /** Adds the files that SeaBIOS looks for. */
  static void configure(PcPlatform pc) {
    FwCfg files = pc.firmware();
    LoadedByFirmware acpi = AcpiTables.forFirmware(pc.config());
    files.addFile(LoadedByFirmware.TABLES_FILE, acpi.tables());
    files.addFile(LoadedByFirmware.RSDP_FILE, acpi.rsdp());
    files.addFile(LoadedByFirmware.LOADER_FILE, acpi.loader());
    pc.rtc().setMemory(BOOT_ORDER, DISK_THEN_CDROM);
    // What is written to the screen goes to the serial console, and its keys are the keyboard.
    files.addFile("etc/sercon-port", new byte[] {(byte) COM1, COM1 >> 8});
  }
}
