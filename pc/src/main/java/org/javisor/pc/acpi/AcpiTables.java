package org.javisor.pc.acpi;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.javisor.pc.config.PcConfig;
import org.javisor.pc.interrupt.IoApic;
import org.javisor.pc.interrupt.LocalApic;
import org.javisor.pc.pci.IsaBridgePiix3;
import org.javisor.pc.pci.PciBus;
import org.javisor.pc.pci.PciHotplug;
import org.javisor.pc.timer.Hpet;
import org.javisor.pc.timer.Rtc;

/**
 * The ACPI tables of the machine (ACPI specification 6.5, chapter 5), made for a given place in
 * guest memory.
 */
public final class AcpiTables {
  private static final String OEM = "JAVISR";
  private static final String OEM_TABLE = "JAVISOR ";
  private static final int HEADER = 36;

  private static final int APIC_ENABLED = 1;

  /** Notifications of a device (5.6.6). */
  private static final int DEVICE_CHECK = 1;

  private static final int EJECT = 3;

  /** Active high, level triggered (5.2.12.5). */
  private static final int ACTIVE_HIGH_LEVEL = 0x0d;

  private AcpiTables() {}

  /**
   * Tables ready to be copied.
   *
   * @param address where {@code bytes} must be placed; all of it is ACPI reclaim memory but for the
   *     FACS, so that the whole should be reported as ACPI NVS or reserved
   * @param rsdp address of the root pointer: the first byte
   */
  public record Blob(long address, byte[] bytes, long rsdp) {}

  /**
   * The tables as firmware places them itself, by the table loader of QEMU's public fw_cfg
   * specification: files that it copies into memory, and the commands by which it mends their
   * pointers and checksums afterwards.
   *
   * @param tables all but the root pointer
   * @param rsdp the root pointer
   * @param loader the commands
   */
  public record LoadedByFirmware(byte[] tables, byte[] rsdp, byte[] loader) {
    public static final String TABLES_FILE = "etc/acpi/tables";
    public static final String RSDP_FILE = "etc/acpi/rsdp";
    public static final String LOADER_FILE = "etc/table-loader";
  }

  /** Makes the tables for a machine, to be placed at {@code address}, a multiple of 64. */
  public static Blob build(PcConfig config, long address) {
    if ((address & 63) != 0 || address < 0 || address >= 1L << 32) {
      throw new IllegalArgumentException(
          "ACPI tables at %#x: a multiple of 64 below 4 GiB expected".formatted(address));
    }
    Writer out = new Writer(address);
    int rsdp = out.reserve(64);
    Roots roots = fill(config, out);
    out.place(rsdp, rsdp(roots.rsdt, roots.xsdt));
    return new Blob(address, out.bytes(), address);
  }

  /** Makes the tables for firmware that places them. */
  public static LoadedByFirmware forFirmware(PcConfig config) {
    String tables = LoadedByFirmware.TABLES_FILE;
    String rsdp = LoadedByFirmware.RSDP_FILE;
    Writer out = new Writer(0);
    Roots roots = fill(config, out);
    TableLoader loader = new TableLoader();
    loader.allocate(tables, 64, TableLoader.HIGH);
    loader.allocate(rsdp, 16, TableLoader.BIOS_SEGMENT);
    for (Pointer pointer : out.pointers) {
      loader.pointer(tables, tables, pointer.at, pointer.size);
    }
    for (Summed table : out.summed) {
      loader.checksum(tables, table.at + 9, table.at, table.length);
    }
    loader.pointer(rsdp, tables, 16, 4);
    loader.pointer(rsdp, tables, 24, 8);
    loader.checksum(rsdp, 8, 0, 20);
    loader.checksum(rsdp, 32, 0, 36);
    return new LoadedByFirmware(out.bytes(), rsdp(roots.rsdt, roots.xsdt), loader.bytes());
  }

  private record Roots(long rsdt, long xsdt) {}

  /** Where an address of a table is: it must be moved with the tables. */
  private record Pointer(int at, int size) {}

  /** A table whose checksum changes when it is moved. */
  private record Summed(int at, int length) {}

  private static Roots fill(PcConfig config, Writer out) {
    long facs = out.append(facs());
    long dsdt = out.append(dsdt(config));
    List<Long> tables = new ArrayList<>();
    byte[] fadt = fadt(config, facs, dsdt);
    tables.add(
        out.append(fadt, new Pointer(36, 4), new Pointer(40, 4), new Pointer(140, 8)));
    tables.add(out.append(madt(config)));
    if (config.hpet()) {
      tables.add(out.append(hpet()));
    }
    long rsdt =
        out.append(table("RSDT", 1, addresses(tables, 4)), pointers(tables.size(), 4));
    long xsdt =
        out.append(table("XSDT", 1, addresses(tables, 8)), pointers(tables.size(), 8));
    return new Roots(rsdt, xsdt);
  }

  private static Pointer[] pointers(int count, int size) {
    Pointer[] out = new Pointer[count];
    for (int i = 0; i < count; i++) {
      out[i] = new Pointer(HEADER + i * size, size);
    }
    return out;
  }

  /**
   * Makes the tables of a hardware-reduced machine: CPUs with local APICs, and two registers to sleep
   * by (4.1, 4.8.3.7); no IOAPIC, timer or legacy device.
   *
   * @param address a multiple of 64
   * @param sleepPort port of the sleep control register; the sleep status register follows it
   */
  public static Blob buildReduced(int vcpus, long address, int sleepPort) {
    Writer out = new Writer(address);
    int rsdp = out.reserve(64);
    byte[] sleep =
        Aml.name(
            "\\_S5",
            Aml.pack(
                Aml.integer(PowerManagement.SLEEP_TYPE_S5),
                Aml.integer(0),
                Aml.integer(0),
                Aml.integer(0)));
    long dsdt = out.append(table("DSDT", 2, sleep));
    long fadt = out.append(reducedFadt(dsdt, sleepPort));
    long madt = out.append(reducedMadt(vcpus));
    long xsdt = out.append(table("XSDT", 1, addresses(List.of(fadt, madt), 8)));
    out.place(rsdp, rsdp(0, xsdt));
    return new Blob(address, out.bytes(), address);
  }

  private static byte[] reducedFadt(long dsdt, int sleepPort) {
    Fields f = new Fields(FADT_SIZE - HEADER);
    f.put(40, 4, dsdt);
    f.put(109, 2, 1 << 2 | 1 << 5); // no VGA, no RTC
    f.put(112, 4, 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 20); // no buttons; hardware-reduced
    f.put(131, 1, 5);
    f.put(140, 8, dsdt);
    f.gas(244, 1, 8, sleepPort, 1);
    f.gas(256, 1, 8, sleepPort + 1, 1);
    return table("FACP", 6, f.bytes);
  }

  private static byte[] reducedMadt(int vcpus) {
    List<byte[]> parts = new ArrayList<>();
    parts.add(Aml.little(LocalApic.DEFAULT_BASE, 4));
    parts.add(Aml.little(0, 4)); // no 8259 pair
    for (int i = 0; i < vcpus; i++) {
      parts.add(entry(0, Aml.little(i, 1), Aml.little(i, 1), Aml.little(APIC_ENABLED, 4)));
    }
    return table("APIC", 5, Aml.concat(parts.toArray(byte[][]::new)));
  }

  /** The bytes as they grow, and where they will be. */
  private static final class Writer {
    final List<Pointer> pointers = new ArrayList<>();
    final List<Summed> summed = new ArrayList<>();
    private final long address;
    private byte[] content = new byte[0];

    Writer(long address) {
      this.address = address;
    }

    int reserve(int size) {
      int at = content.length;
      content = Arrays.copyOf(content, at + size);
      return at;
    }

    /** Appends a table with addresses in it at the next multiple of 64; returns its address. */
    long append(byte[] table, Pointer... inside) {
      int at = content.length;
      for (Pointer pointer : inside) {
        pointers.add(new Pointer(at + pointer.at, pointer.size));
      }
      if (inside.length > 0) {
        summed.add(new Summed(at, table.length));
      }
      reserve(table.length + 63 & ~63);
      place(at, table);
      return address + at;
    }

    void place(int at, byte[] table) {
      System.arraycopy(table, 0, content, at, table.length);
    }

    byte[] bytes() {
      return content;
    }
  }

  private static byte[] ascii(String text) {
    return text.getBytes(StandardCharsets.US_ASCII);
  }

  private static byte checksum(byte[] bytes, int length) {
    int sum = 0;
    for (int i = 0; i < length; i++) {
      sum += bytes[i];
    }
    return (byte) -sum;
  }

  /** A table with its header (5.2.6). */
  private static byte[] table(String signature, int revision, byte[] body) {
    byte[] out =
        Aml.concat(
            ascii(signature),
            Aml.little(HEADER + body.length, 4),
            Aml.little(revision, 1),
            new byte[1],
            ascii(OEM),
            ascii(OEM_TABLE),
            Aml.little(1, 4),
            ascii("JVSR"),
            Aml.little(1, 4),
            body);
    out[9] = checksum(out, out.length);
    return out;
  }

  private static byte[] addresses(List<Long> tables, int width) {
    byte[] out = new byte[0];
    for (long table : tables) {
      out = Aml.concat(out, Aml.little(table, width));
    }
    return out;
  }

  private static byte[] rsdp(long rsdt, long xsdt) {
    byte[] out =
        Aml.concat(
            ascii("RSD PTR "),
            new byte[1],
            ascii(OEM),
            Aml.little(2, 1),
            Aml.little(rsdt, 4),
            Aml.little(36, 4),
            Aml.little(xsdt, 8),
            new byte[4]);
    out[8] = checksum(out, 20);
    out[32] = checksum(out, 36);
    return out;
  }

  /** Firmware control structure: the one table without a checksum. */
  private static byte[] facs() {
    byte[] out = new byte[64];
    System.arraycopy(ascii("FACS"), 0, out, 0, 4);
    out[4] = 64;
    out[32] = 2;
    return out;
  }

  // ---- FADT (5.2.9) -----------------------------------------------------------------------

  private static final int FADT_SIZE = 276;

  private static byte[] fadt(PcConfig config, long facs, long dsdt) {
    Fields f = new Fields(FADT_SIZE - HEADER);
    int events = config.pmBase() + PowerManagement.EVENT;
    int control = config.pmBase() + PowerManagement.CONTROL;
    int timer = config.pmBase() + PowerManagement.TIMER;
    f.put(36, 4, facs);
    f.put(40, 4, dsdt);
    f.put(46, 2, PcConfig.SCI);
    f.put(56, 4, events);
    f.put(64, 4, control);
    f.put(76, 4, timer);
    f.put(80, 4, GeneralEvents.BASE);
    f.put(88, 1, 4); // PM1_EVT_LEN
    f.put(89, 1, 2); // PM1_CNT_LEN
    f.put(91, 1, 4); // PM_TMR_LEN
    f.put(92, 1, GeneralEvents.SIZE);
    f.put(96, 2, 0xfff); // no C2
    f.put(98, 2, 0xfff); // no C3
    f.put(108, 1, Rtc.CENTURY);
    // Legacy devices, no VGA; an i8042 if someone is to type.
    f.put(109, 2, 1 | (config.keyboard() ? 2 : 0) | 4);
    int flags =
        1 // WBINVD works
            | 1 << 2 // C1 on every processor
            | 1 << 5 // no fixed sleep button: there is no sleep state to press it for
            | 1 << 6 // the RTC does not wake
            | (config.pmTimerBits() == 32 ? 1 << 8 : 0)
            | 1 << 10; // reset register
    f.put(112, 4, flags);
    f.gas(116, 1, 8, 0xcf9, 1);
    f.put(128, 1, 0x06); // reset value
    f.put(131, 1, 5); // FADT minor version
    f.put(132, 8, 0); // X_FIRMWARE_CTRL: the 32-bit field holds it, both must not
    f.put(140, 8, dsdt);
    f.gas(148, 1, 32, events, 2);
    f.gas(172, 1, 16, control, 2);
    f.gas(208, 1, 32, timer, 3);
    f.gas(220, 1, 8 * GeneralEvents.SIZE, GeneralEvents.BASE, 1);
    return table("FACP", 6, f.bytes);
  }

  /** A table's body, its fields placed by their offset from the table's start. */
  private static final class Fields {
    final byte[] bytes;

    Fields(int size) {
      bytes = new byte[size];
    }

    void put(int offset, int size, long value) {
      System.arraycopy(Aml.little(value, size), 0, bytes, offset - HEADER, size);
    }

    /** A generic address (5.2.3.2): space 1 is ports, access size in powers of two from 1. */
    void gas(int offset, int space, int bits, long address, int access) {
      put(offset, 1, space);
      put(offset + 1, 1, bits);
      put(offset + 3, 1, access);
      put(offset + 4, 8, address);
    }
  }

  // ---- MADT (5.2.12) ----------------------------------------------------------------------

  private static byte[] madt(PcConfig config) {
    List<byte[]> parts = new ArrayList<>();
    parts.add(Aml.little(LocalApic.DEFAULT_BASE, 4));
    parts.add(Aml.little(1, 4)); // there is an 8259 pair too
    for (int i = 0; i < config.vcpus(); i++) {
      if (i < 255) {
        parts.add(entry(0, Aml.little(i, 1), Aml.little(i, 1), Aml.little(APIC_ENABLED, 4)));
      } else {
        parts.add(
            entry(
                9, new byte[2], Aml.little(i, 4), Aml.little(APIC_ENABLED, 4), Aml.little(i, 4)));
      }
    }
    parts.add(entry(1, new byte[2], Aml.little(IoApic.BASE, 4), Aml.little(0, 4)));
    parts.add(override(0, 2, 0));
    parts.add(override(PcConfig.SCI, PcConfig.SCI, ACTIVE_HIGH_LEVEL));
    parts.add(entry(4, Aml.little(0xff, 1), new byte[2], Aml.little(1, 1))); // NMI on LINT1
    return table("APIC", 5, Aml.concat(parts.toArray(byte[][]::new)));
  }

  private static byte[] entry(int type, byte[]... fields) {
    byte[] body = Aml.concat(fields);
    return Aml.concat(Aml.little(type, 1), Aml.little(body.length + 2, 1), body);
  }

  private static byte[] override(int isa, int gsi, int flags) {
    return entry(
        2, new byte[1], Aml.little(isa, 1), Aml.little(gsi, 4), Aml.little(flags, 2));
  }

  // ---- HPET (IA-PC HPET specification 1.0a, 3.2.4) ------------------------------------------

  private static byte[] hpet() {
    Fields f = new Fields(56 - HEADER);
    f.put(36, 4, Hpet.EVENT_TIMER_BLOCK);
    f.gas(40, 0, 64, Hpet.BASE, 0);
    f.put(52, 1, 0); // number
    f.put(53, 2, 0x80); // shortest period in periodic mode, in ticks
    return table("HPET", 1, f.bytes);
  }

  // ---- DSDT -------------------------------------------------------------------------------

  private static byte[] dsdt(PcConfig config) {
    List<byte[]> system = new ArrayList<>();
    system.add(
        Aml.name(
            "\\_S5",
            Aml.pack(
                Aml.integer(PowerManagement.SLEEP_TYPE_S5),
                Aml.integer(0),
                Aml.integer(0),
                Aml.integer(0))));
    system.add(Aml.name("\\PICF", Aml.integer(0)));
    system.add(
        Aml.method("\\_PIC", 1, Aml.store(Aml.argument(0), Aml.path("\\PICF"))));
    List<byte[]> devices = new ArrayList<>();
    for (int i = 0; i < config.vcpus(); i++) {
      devices.add(
          Aml.device(
              "C%03X".formatted(i),
              Aml.name("_HID", Aml.string("ACPI0007")),
              Aml.name("_UID", Aml.integer(i))));
    }
    devices.add(pciRoot(config));
    if (config.hpet()) {
      devices.add(
          Aml.device(
              "HPET",
              Aml.name("_HID", Aml.eisaId("PNP0103")),
              Aml.name("_UID", Aml.integer(0)),
              Aml.name("_CRS", Aml.resources(Aml.fixedMemory(Hpet.BASE, 0x400, false)))));
    }
    system.add(Aml.scope("\\_SB", devices.toArray(byte[][]::new)));
    system.add(
        Aml.scope(
            "\\_GPE",
            Aml.method(
                "_E%02X".formatted(PciHotplug.EVENT), 0, Aml.call("\\_SB.PCI0.PCNT"))));
    return table("DSDT", 2, Aml.concat(system.toArray(byte[][]::new)));
  }

  private static byte[] pciRoot(PcConfig config) {
    List<byte[]> windows = new ArrayList<>();
    windows.add(Aml.busNumbers(0, 0));
    windows.add(Aml.portWindow(0, 0xcf7));
    windows.add(Aml.ports(0xcf8, 8));
    windows.add(Aml.portWindow(0xd00, 0xffff));
    windows.add(Aml.memoryWindow(0xa0000, 0xbffff));
    windows.add(Aml.memoryWindow(config.pciWindow(), PcConfig.PCI_WINDOW_END - 1));
    long high = config.pciWindow64();
    windows.add(Aml.memoryWindow64(high, high + config.pciWindow64Size() - 1));
    return Aml.device(
        "PCI0",
        Aml.name("_HID", Aml.eisaId("PNP0A03")),
        Aml.name("_UID", Aml.integer(0)),
        Aml.name("_BBN", Aml.integer(0)),
        Aml.name("_CRS", Aml.resources(windows.toArray(byte[][]::new))),
        Aml.name("PRTP", routes(false)),
        Aml.name("PRTA", routes(true)),
        Aml.method(
            "_PRT",
            0,
            Aml.when(Aml.path("\\PICF"), Aml.ret(Aml.path("PRTA"))),
            Aml.ret(Aml.path("PRTP"))),
        hotplug(),
        isaBridge(config));
  }

  /**
   * The slots that devices come to and go from while the machine runs: for each an object that is told
   * of it, and the register by which the guest gives a device back (6.3, 5.6.6).
   */
  private static byte[] hotplug() {
    List<byte[]> terms = new ArrayList<>();
    terms.add(Aml.portRegion("HPCI", PciHotplug.BASE, PciHotplug.SIZE));
    terms.add(Aml.words("HPCI", "PUP", "PDWN", "PEJ"));
    List<byte[]> up = new ArrayList<>(List.of(Aml.store(Aml.path("PUP"), Aml.local(0))));
    List<byte[]> down = new ArrayList<>(List.of(Aml.store(Aml.path("PDWN"), Aml.local(0))));
    for (int slot = PciHotplug.FIRST_SLOT; slot < PciBus.SLOTS; slot++) {
      String name = "S%02X".formatted(slot);
      long bit = 1L << slot;
      terms.add(
          Aml.device(
              name,
              Aml.name("_ADR", Aml.integer((long) slot << 16)),
              Aml.name("_SUN", Aml.integer(slot)),
              Aml.method("_EJ0", 1, Aml.store(Aml.integer(bit), Aml.path("PEJ")))));
      up.add(Aml.when(Aml.and(Aml.local(0), Aml.integer(bit)), Aml.notify(name, DEVICE_CHECK)));
      down.add(Aml.when(Aml.and(Aml.local(0), Aml.integer(bit)), Aml.notify(name, EJECT)));
    }
    up.addAll(down);
    terms.add(Aml.method("PCNT", 0, up.toArray(byte[][]::new)));
    return Aml.concat(terms.toArray(byte[][]::new));
  }

  /** Where each slot's interrupt pins end, with the IOAPIC or with the 8259 pair (6.2.13). */
  private static byte[] routes(boolean ioApic) {
    List<byte[]> routes = new ArrayList<>();
    // Slot 0 is the host bridge and 1 the ISA bridge, whose functions interrupt as ISA devices.
    // A package holds 255 elements: 30 slots with four pins fit.
    for (int slot = 2; slot < PciBus.SLOTS; slot++) {
      for (int pin = 1; pin <= 4; pin++) {
        int gsi = PcConfig.pciInterrupt(slot, pin);
        routes.add(
            Aml.pack(
                Aml.integer((long) slot << 16 | 0xffff),
                Aml.integer(pin - 1),
                Aml.integer(0),
                Aml.integer(ioApic ? gsi : IsaBridgePiix3.defaultRoute(gsi & 3))));
      }
    }
    return Aml.pack(routes.toArray(byte[][]::new));
  }

  private static byte[] isaBridge(PcConfig config) {
    return Aml.device(
        "ISA",
        Aml.name("_ADR", Aml.integer(0x10000)),
        isaDevice("RTC", "PNP0B00", -1, Aml.ports(0x70, 2), Aml.irq(8)),
        isaDevice("PIC", "PNP0000", -1, Aml.ports(0x20, 2), Aml.ports(0xa0, 2), Aml.irq(2)),
        isaDevice("TMR", "PNP0100", -1, Aml.ports(0x40, 4), Aml.irq(0)),
        isaDevice("SPKR", "PNP0800", -1, Aml.ports(0x61, 1)),
        config.keyboard()
            ? isaDevice("KBD", "PNP0303", -1, Aml.ports(0x60, 1), Aml.ports(0x64, 1), Aml.irq(1))
            : new byte[0],
        isaDevice("COM1", "PNP0501", 1, Aml.ports(0x3f8, 8), Aml.irq(4)),
        isaDevice("COM2", "PNP0501", 2, Aml.ports(0x2f8, 8), Aml.irq(3)),
        isaDevice("COM3", "PNP0501", 3, Aml.ports(0x3e8, 8), Aml.irq(4)),
        isaDevice("COM4", "PNP0501", 4, Aml.ports(0x2e8, 8), Aml.irq(3)));
  }

  /** A device of the ISA bus; {@code uid} is left out if negative. */
  private static byte[] isaDevice(String name, String id, int uid, byte[]... resources) {
    return Aml.device(
        name,
        Aml.name("_HID", Aml.eisaId(id)),
        uid < 0 ? new byte[0] : Aml.name("_UID", Aml.integer(uid)),
        Aml.name("_CRS", Aml.resources(resources)));
  }
}
