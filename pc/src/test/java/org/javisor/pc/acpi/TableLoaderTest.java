package org.javisor.pc.acpi;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.javisor.pc.acpi.AcpiTables.LoadedByFirmware;
import org.javisor.pc.config.PcConfig;
import org.junit.jupiter.api.Test;

/** Breaks if firmware that carries out the commands gets other tables than a kernel does. */
class TableLoaderTest {
  private static final int AT = 0x1ffe_0000;
  private static final int RSDP_AT = 0xf_5a80;

  private static String name(ByteBuffer command, int at) {
    byte[] bytes = Arrays.copyOfRange(command.array(), at, at + 56);
    return new String(bytes, StandardCharsets.US_ASCII).split("\0", 2)[0];
  }

  private static int sum(byte[] bytes, int from, int length) {
    int sum = 0;
    for (int i = 0; i < length; i++) {
      sum += bytes[from + i];
    }
    return sum;
  }

  @Test
  void firmwareMakesTheTablesThatAKernelIsGiven() {
    PcConfig config = PcConfig.of(3, 1L << 30);
    LoadedByFirmware files = AcpiTables.forFirmware(config);
    Map<String, byte[]> loaded = new HashMap<>();
    Map<String, Integer> places = new HashMap<>();
    byte[] loader = files.loader();
    assertEquals(0, loader.length % 128);
    for (int at = 0; at < loader.length; at += 128) {
      ByteBuffer c =
          ByteBuffer.wrap(Arrays.copyOfRange(loader, at, at + 128))
              .order(ByteOrder.LITTLE_ENDIAN);
      String file = name(c, 4);
      switch (c.getInt(0)) {
        case 1 -> {
          boolean tables = file.equals(LoadedByFirmware.TABLES_FILE);
          assertEquals(tables ? 64 : 16, c.getInt(60));
          assertEquals(tables ? 1 : 2, c.get(64));
          loaded.put(file, tables ? files.tables().clone() : files.rsdp().clone());
          places.put(file, tables ? AT : RSDP_AT);
        }
        case 2 -> {
          ByteBuffer to = ByteBuffer.wrap(loaded.get(file)).order(ByteOrder.LITTLE_ENDIAN);
          int base = places.get(name(c, 60));
          int offset = c.getInt(116);
          if (c.get(120) == 4) {
            to.putInt(offset, to.getInt(offset) + base);
          } else {
            to.putLong(offset, to.getLong(offset) + base);
          }
        }
        case 3 -> {
          byte[] bytes = loaded.get(file);
          int where = c.getInt(60);
          bytes[where] -= (byte) sum(bytes, c.getInt(64), c.getInt(68));
        }
        default -> throw new AssertionError("command " + c.getInt(0));
      }
    }
    // The same, but for the root pointer, which there stands before the tables.
    AcpiTables.Blob placed = AcpiTables.build(config, AT - 64);
    byte[] tables = loaded.get(LoadedByFirmware.TABLES_FILE);
    assertArrayEquals(Arrays.copyOfRange(placed.bytes(), 64, placed.bytes().length), tables);
    byte[] rsdp = loaded.get(LoadedByFirmware.RSDP_FILE);
    assertArrayEquals(Arrays.copyOf(placed.bytes(), 36), rsdp);
    assertEquals(0, sum(rsdp, 0, 36) & 0xff);
  }
}
