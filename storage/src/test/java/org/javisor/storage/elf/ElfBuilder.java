package org.javisor.storage.elf;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Builds small ELF64 files with sections and program headers for tests. */
public final class ElfBuilder {
  private record Part(String name, int type, byte[] contents) {}

  private final List<Part> sections = new ArrayList<>();
  private final List<Integer> segments = new ArrayList<>();

  public ElfBuilder section(String name, int type, byte[] contents) {
    sections.add(new Part(name, type, contents));
    return this;
  }

  /** A program header of that type, without contents. */
  public ElfBuilder segment(int type) {
    segments.add(type);
    return this;
  }

  public byte[] build() {
    StringBuilder names = new StringBuilder("\0");
    List<Integer> nameOffsets = new ArrayList<>();
    List<Part> all = new ArrayList<>(sections);
    for (Part part : all) {
      nameOffsets.add(names.length());
      names.append(part.name).append('\0');
    }
    int stringsName = names.length();
    names.append(".shstrtab\0");
    byte[] strings = names.toString().getBytes(StandardCharsets.US_ASCII);

    ByteBuffer out = ByteBuffer.allocate(1 << 20).order(ByteOrder.LITTLE_ENDIAN);
    out.put(new byte[] {0x7f, 'E', 'L', 'F', 2, 1, 1});
    out.position(64);
    int programs = out.position();
    for (int type : segments) {
      out.putInt(type).put(new byte[52]);
    }
    List<Integer> offsets = new ArrayList<>();
    for (Part part : all) {
      offsets.add(out.position());
      out.put(part.contents);
    }
    final int stringsAt = out.position();
    out.put(strings);
    final int table = out.position();
    out.put(new byte[64]);
    for (int i = 0; i < all.size(); i++) {
      header(out, nameOffsets.get(i), all.get(i).type, offsets.get(i), all.get(i).contents.length);
    }
    header(out, stringsName, 3, stringsAt, strings.length);
    int end = out.position();
    out.putShort(16, (short) 2).putShort(18, (short) ElfFile.EM_X86_64);
    out.putLong(32, programs).putLong(40, table);
    out.putShort(54, (short) 56).putShort(56, (short) segments.size());
    out.putShort(58, (short) 64).putShort(60, (short) (all.size() + 2));
    out.putShort(62, (short) (all.size() + 1));
    byte[] file = new byte[end];
    out.get(0, file);
    return file;
  }

  private static void header(ByteBuffer out, int name, int type, int offset, int size) {
    out.putInt(name).putInt(type).putLong(0).putLong(0).putLong(offset).putLong(size);
    out.putInt(0).putInt(0).putLong(1).putLong(0);
  }

  /** A note as it stands in a note section. */
  public static byte[] note(String owner, int type, byte[] contents) {
    byte[] name = (owner + "\0").getBytes(StandardCharsets.US_ASCII);
    ByteBuffer out =
        ByteBuffer.allocate(12 + (name.length + 3 & ~3) + (contents.length + 3 & ~3))
            .order(ByteOrder.LITTLE_ENDIAN);
    out.putInt(name.length).putInt(contents.length).putInt(type).put(name);
    out.position(12 + (name.length + 3 & ~3));
    out.put(contents);
    return out.array();
  }
}
