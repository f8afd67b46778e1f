package org.javisor.pc.loader;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.GZIPOutputStream;

/** Builds small kernels: ELF files, bzImages, symbol tables. */
final class TestKernels {
  private TestKernels() {}

  /** A part of an ELF file: a program header of type LOAD or NOTE, or a section. */
  private record Part(
      int type, String section, long virtual, long physical, byte[] data, long memory) {}

  /** An ELF file in the making. */
  static final class Elf {
    private final boolean is64;
    private final long entry;
    private final List<Part> parts = new ArrayList<>();
    private int machine;

    Elf(boolean is64, long entry) {
      this.is64 = is64;
      this.entry = entry;
      this.machine = is64 ? 62 : 3;
    }

    Elf machine(int number) {
      machine = number;
      return this;
    }

    Elf load(long virtual, long physical, byte[] data, long memory) {
      parts.add(new Part(1, null, virtual, physical, data, memory));
      return this;
    }

    Elf load(long physical, byte[] data) {
      return load(physical, physical, data, data.length);
    }

    Elf note(String owner, int type, byte[] contents) {
      byte[] name = (owner + "\0").getBytes(StandardCharsets.US_ASCII);
      ByteBuffer out =
          ByteBuffer.allocate(12 + (name.length + 3 & ~3) + (contents.length + 3 & ~3))
              .order(ByteOrder.LITTLE_ENDIAN);
      out.putInt(name.length).putInt(contents.length).putInt(type).put(name);
      out.put(12 + (name.length + 3 & ~3), contents);
      parts.add(new Part(4, null, 0, 0, out.array(), 0));
      return this;
    }

    Elf segment(int type) {
      parts.add(new Part(type, null, 0, 0, new byte[0], 0));
      return this;
    }

    Elf section(String name, byte[] data) {
      parts.add(new Part(0, name, 0, 0, data, 0));
      return this;
    }

    byte[] build() {
      List<Part> segments = parts.stream().filter(p -> p.section == null).toList();
      List<Part> sections = parts.stream().filter(p -> p.section != null).toList();
      int header = is64 ? 64 : 52;
      int programSize = is64 ? 56 : 32;
      int sectionSize = is64 ? 64 : 40;
      int total = parts.stream().mapToInt(p -> p.data.length + 16).sum();
      ByteBuffer out =
          ByteBuffer.allocate(
              header
                  + programSize * segments.size()
                  + total
                  + 1024
                  + sectionSize * (sections.size() + 2))
              .order(ByteOrder.LITTLE_ENDIAN);
      out.put(new byte[] {0x7f, 'E', 'L', 'F', (byte) (is64 ? 2 : 1), 1, 1});
      out.putShort(16, (short) 2).putShort(18, (short) machine).putInt(20, 1);
      int data = header + programSize * segments.size() + 15 & ~15;
      int at = header;
      for (Part p : segments) {
        long memory = Math.max(p.memory, 0);
        if (is64) {
          out.putInt(at, p.type).putInt(at + 4, 7).putLong(at + 8, data);
          out.putLong(at + 16, p.virtual).putLong(at + 24, p.physical);
          out.putLong(at + 32, p.data.length).putLong(at + 40, memory);
        } else {
          out.putInt(at, p.type).putInt(at + 4, data).putInt(at + 8, (int) p.virtual);
          out.putInt(at + 12, (int) p.physical).putInt(at + 16, p.data.length);
          out.putInt(at + 20, (int) memory).putInt(at + 24, 7);
        }
        out.put(data, p.data);
        data = data + p.data.length + 15 & ~15;
        at += programSize;
      }
      StringBuilder names = new StringBuilder("\0");
      List<int[]> headers = new ArrayList<>();
      for (Part p : sections) {
        headers.add(new int[] {names.length(), 1, data, p.data.length});
        names.append(p.section).append('\0');
        out.put(data, p.data);
        data = data + p.data.length + 15 & ~15;
      }
      headers.add(new int[] {names.length(), 3, data, names.length() + 10});
      names.append(".shstrtab\0");
      out.put(data, names.toString().getBytes(StandardCharsets.US_ASCII));
      int table = data + names.length() + 15 & ~15;
      at = table + sectionSize;
      for (int[] h : headers) {
        if (is64) {
          out.putInt(at, h[0]).putInt(at + 4, h[1]).putLong(at + 24, h[2]).putLong(at + 32, h[3]);
        } else {
          out.putInt(at, h[0]).putInt(at + 4, h[1]).putInt(at + 16, h[2]).putInt(at + 20, h[3]);
        }
        at += sectionSize;
      }
      int tail = is64 ? 52 : 40;
      if (is64) {
        out.putLong(24, entry).putLong(32, header).putLong(40, table);
      } else {
        out.putInt(24, (int) entry).putInt(28, header).putInt(32, table);
      }
      out.putShort(tail, (short) header).putShort(tail + 2, (short) programSize);
      out.putShort(tail + 4, (short) segments.size()).putShort(tail + 6, (short) sectionSize);
      out.putShort(tail + 8, (short) (headers.size() + 1));
      out.putShort(tail + 10, (short) headers.size());
      return Arrays.copyOf(out.array(), at);
    }
  }

  static final long LOAD = 0x1000000;
  static final long VIRTUAL = 0xffffffff81000000L;

  /** A vmlinux: text with a banner at 16 MiB, data and BSS behind it. */
  static Elf vmlinux() {
    byte[] text = new byte[8192];
    byte[] banner = "Linux version 6.1.0-test (me@here) (gcc) #1 SMP\n".getBytes();
    System.arraycopy(banner, 0, text, 256, banner.length);
    text[0] = (byte) 0xf4;
    byte[] data = new byte[100];
    Arrays.fill(data, (byte) 0x77);
    return new Elf(true, LOAD)
        .load(VIRTUAL, LOAD, text, text.length)
        .load(VIRTUAL + 0x200000, LOAD + 0x200000, data, 0x3000);
  }

  static byte[] gzip(byte[] data) throws IOException {
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (GZIPOutputStream gzip = new GZIPOutputStream(packed)) {
      gzip.write(data);
    }
    return packed.toByteArray();
  }

  static final int SETUP_SECTORS = 3;
  static final int INIT_SIZE = 0x800000;

  /** A bzImage of protocol 2.15 around a payload. */
  static byte[] bzImage(byte[] payload) {
    int code = (SETUP_SECTORS + 1) * 512;
    int offset = 0x300;
    int size = offset + payload.length + 15 & ~15;
    ByteBuffer image = ByteBuffer.allocate(code + size).order(ByteOrder.LITTLE_ENDIAN);
    image.put(0x1f1, (byte) SETUP_SECTORS).putInt(0x1f4, size / 16);
    image.putShort(0x1fa, (short) 0xffff).putShort(0x1fe, (short) 0xaa55);
    image.put(0x200, (byte) 0xeb).put(0x201, (byte) 0x6a).putInt(0x202, 0x53726448);
    image.putShort(0x206, (short) 0x20f).putShort(0x20e, (short) 0x280);
    image.put(0x211, (byte) 0x41).putInt(0x214, 0x100000);
    image.putInt(0x22c, 0x7fffffff).putInt(0x230, 0x200000).put(0x234, (byte) 1);
    image.putShort(0x236, (short) 0x3f).putInt(0x238, 2047);
    image.putInt(0x248, offset).putInt(0x24c, payload.length);
    image.putLong(0x258, LOAD).putInt(0x260, INIT_SIZE);
    image.put(0x480, "6.1.0-test (me) #1\0".getBytes(StandardCharsets.US_ASCII));
    image.put(code, new byte[] {(byte) 0xfa, (byte) 0xfc});
    image.put(code + offset, payload);
    return image.array();
  }

  /**
   * A kallsyms table as Linux lays it out: count, names, markers, tokens, index.
   *
   * @param letters whether each symbol is spelt with a token for each letter; else the two-letter
   *     tokens {@code en}, {@code xe}, {@code n_} stand for themselves
   */
  static byte[] kallsyms(List<String> symbols, int alignment, boolean wideMarkers) {
    String[] tokens = new String[256];
    for (int i = 0; i < 256; i++) {
      tokens[i] = i > 0x20 && i < 0x7f ? String.valueOf((char) i) : "t" + i;
    }
    tokens[1] = "xen_";
    tokens[2] = "virtio_";
    ByteArrayOutputStream names = new ByteArrayOutputStream();
    List<Integer> markers = new ArrayList<>();
    for (int i = 0; i < symbols.size(); i++) {
      if (i % 256 == 0) {
        markers.add(names.size());
      }
      String packed = ("T" + symbols.get(i)).replace("xen_", "\1").replace("virtio_", "\2");
      if (packed.length() > 127) {
        names.write(packed.length() & 0x7f | 0x80);
        names.write(packed.length() >> 7);
      } else {
        names.write(packed.length());
      }
      names.writeBytes(packed.getBytes(StandardCharsets.ISO_8859_1));
    }
    ByteBuffer out =
        ByteBuffer.allocate(64 + names.size() + 8 * markers.size() + 4096)
            .order(ByteOrder.LITTLE_ENDIAN);
    out.putLong(0x1122334455667788L).putInt(symbols.size());
    align(out, alignment);
    out.put(names.toByteArray());
    align(out, alignment);
    for (int marker : markers) {
      if (wideMarkers) {
        out.putLong(marker);
      } else {
        out.putInt(marker);
      }
    }
    align(out, alignment);
    int[] index = new int[256];
    int start = out.position();
    for (int i = 0; i < 256; i++) {
      index[i] = out.position() - start;
      out.put(tokens[i].getBytes(StandardCharsets.US_ASCII)).put((byte) 0);
    }
    align(out, alignment);
    for (int i : index) {
      out.putShort((short) i);
    }
    return Arrays.copyOf(out.array(), out.position());
  }

  private static void align(ByteBuffer out, int alignment) {
    while (out.position() % alignment != 0) {
      out.put((byte) 0);
    }
  }
}
