package org.javisor.pc.acpi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.javisor.pc.config.PcConfig;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AcpiTablesTest {
  private static final long AT = 0xe0000;

  /** Walks from the root pointer as an operating system does. */
  private static Map<String, byte[]> tables(PcConfig config) {
    AcpiTables.Blob blob = AcpiTables.build(config, AT);
    ByteBuffer b = ByteBuffer.wrap(blob.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    int root = (int) (blob.rsdp() - AT);
    assertEquals("RSD PTR ", new String(blob.bytes(), root, 8, StandardCharsets.US_ASCII));
    assertEquals(0, sum(blob.bytes(), root, 20));
    assertEquals(0, sum(blob.bytes(), root, 36));
    Map<String, byte[]> found = new LinkedHashMap<>();
    byte[] xsdt = table(blob, b.getLong(root + 24));
    byte[] rsdt = table(blob, b.getInt(root + 16));
    assertEquals((xsdt.length - 36) / 8, (rsdt.length - 36) / 4);
    for (int at = 36; at < xsdt.length; at += 8) {
      long address = ByteBuffer.wrap(xsdt).order(ByteOrder.LITTLE_ENDIAN).getLong(at);
      byte[] table = table(blob, address);
      found.put(new String(table, 0, 4, StandardCharsets.US_ASCII), table);
    }
    ByteBuffer fadt = ByteBuffer.wrap(found.get("FACP")).order(ByteOrder.LITTLE_ENDIAN);
    assertEquals(fadt.getInt(40), fadt.getLong(140), "DSDT, both ways");
    found.put("DSDT", table(blob, fadt.getInt(40)));
    assertEquals(0, fadt.getInt(36) & 63, "FACS must be aligned");
    return found;
  }

  private static byte[] table(AcpiTables.Blob blob, long address) {
    int at = (int) (address - AT);
    int length = ByteBuffer.wrap(blob.bytes()).order(ByteOrder.LITTLE_ENDIAN).getInt(at + 4);
    byte[] table = Arrays.copyOfRange(blob.bytes(), at, at + length);
    assertEquals(0, sum(table, 0, length), "checksum");
    return table;
  }

  private static int sum(byte[] bytes, int from, int length) {
    int sum = 0;
    for (int i = 0; i < length; i++) {
      sum += bytes[from + i];
    }
    return sum & 0xff;
  }

  /** Breaks if a pointer or a checksum is wrong: the kernel would ignore the table. */
  @Test
  void everyTableIsReachableAndSound() {
    assertEquals(
        "[FACP, APIC, HPET, DSDT]", tables(PcConfig.of(2, 1L << 30)).keySet().toString());
    assertEquals(
        "[FACP, APIC, DSDT]",
        tables(PcConfig.of(2, 1L << 30).withHpet(false)).keySet().toString());
  }

  @Test
  void madtListsEveryProcessor() {
    for (int vcpus : new int[] {1, 4, 255, 300}) {
      byte[] madt = tables(PcConfig.of(vcpus, 1L << 30)).get("APIC");
      int apics = 0;
      int overrides = 0;
      for (int at = 44; at < madt.length; at += madt[at + 1]) {
        apics += madt[at] == 0 || madt[at] == 9 ? 1 : 0;
        overrides += madt[at] == 2 ? 1 : 0;
      }
      assertEquals(vcpus, apics);
      assertEquals(2, overrides);
    }
  }

  @Test
  void placesThatTablesCannotHoldAreRefused() {
    PcConfig config = PcConfig.of(1, 1L << 30);
    assertThrows(IllegalArgumentException.class, () -> AcpiTables.build(config, 0xe0010));
    assertThrows(IllegalArgumentException.class, () -> AcpiTables.build(config, 1L << 32));
  }

  /** Breaks if a package length of two or three bytes is computed wrongly. */
  @Test
  void packageLengths() {
    for (int size : new int[] {0, 55, 56, 57, 58, 59, 60, 4080, 4085, 4090, 4095, 70_000}) {
      byte[] scope = Aml.scope("\\", Aml.buffer(new byte[size]));
      int lead = scope[1] & 0xff;
      int more = lead >> 6;
      int length = more == 0 ? lead & 63 : lead & 15;
      for (int i = 0; i < more; i++) {
        length |= (scope[2 + i] & 0xff) << 4 + 8 * i;
      }
      assertEquals(scope.length - 1, length);
    }
  }

  @Test
  void names() {
    assertEquals("[92, 95, 83, 53, 95]", Arrays.toString(Aml.path("\\_S5")));
    assertEquals(10, Aml.path("\\_SB.PCI0").length);
    assertThrows(IllegalArgumentException.class, () -> Aml.path("toolong"));
  }

  /** The reference compiler reads our AML and compiles what it read; only where it is installed. */
  @Test
  void iaslAcceptsTheTables(@TempDir Path dir) throws IOException, InterruptedException {
    assumeTrue(Files.isExecutable(Path.of("/usr/bin/iasl")));
    for (PcConfig config : new PcConfig[] {PcConfig.of(1, 1L << 28),
      PcConfig.of(64, 40L << 30).withKeyboard(true)}) {
      for (Map.Entry<String, byte[]> table : tables(config).entrySet()) {
        Files.write(dir.resolve(table.getKey() + ".aml"), table.getValue());
        String out = run(dir, "iasl", "-d", table.getKey() + ".aml");
        assertTrue(out.contains(".dsl - ") && !out.contains("Error"), out);
      }
      String out = run(dir, "iasl", "DSDT.dsl");
      assertTrue(out.contains("0 Errors, 0 Warnings, 0 Remarks"), out);
    }
  }

  private static String run(Path dir, String... command) throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(command).directory(dir.toFile()).redirectErrorStream(true).start();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    process.waitFor();
    return out;
  }
}
