package org.javisor.storage.elf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The headers of an ELF file, over memory that holds or maps it. */
public final class ElfFile {
  public static final int EM_386 = 3;
  public static final int EM_X86_64 = 62;

  public static final int PT_LOAD = 1;
  public static final int PT_INTERP = 3;
  public static final int PT_NOTE = 4;

  public static final int SHT_NOTE = 7;
  public static final int SHT_NOBITS = 8;

  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt U32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong U64 =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final int MAX_HEADERS = 65_535;

  /** A program header: a part of the file that is loaded or means something to the loader. */
  public record Segment(
      int type,
      int flags,
      long offset,
      long virtualAddress,
      long physicalAddress,
      long fileSize,
      long memorySize,
      long align) {}

  /** A section header. */
  public record Section(
      String name, int type, long flags, long address, long offset, long size, int link) {}

  /** A note: who defines it, its type, its contents. */
  public record Note(String owner, int type, byte[] contents) {}

  private final MemorySegment data;
  private final boolean is64;
  private final int machine;
  private final int type;
  private final long entry;
  private final List<Segment> segments;
  private final List<Section> sections;

  private ElfFile(
      MemorySegment data,
      boolean is64,
      int type,
      int machine,
      long entry,
      List<Segment> segments,
      List<Section> sections) {
    this.data = data;
    this.is64 = is64;
    this.type = type;
    this.machine = machine;
    this.entry = entry;
    this.segments = segments;
    this.sections = sections;
  }

  /** Whether data begins as an ELF file does. */
  public static boolean matches(byte[] head) {
    return head.length >= 4
        && head[0] == 0x7f
        && head[1] == 'E'
        && head[2] == 'L'
        && head[3] == 'F';
  }

  /**
   * Reads the headers. Section headers that are missing or cut off are left out, since a loader
   * needs none; program headers must be there.
   */
  public static ElfFile parse(MemorySegment data) throws ElfFormatException {
    if (data.byteSize() < 52 || !matches(data.asSlice(0, 4).toArray(ValueLayout.JAVA_BYTE))) {
      throw new ElfFormatException("not an ELF file");
    }
    int elfClass = data.get(ValueLayout.JAVA_BYTE, 4);
    if (elfClass != 1 && elfClass != 2 || data.get(ValueLayout.JAVA_BYTE, 5) != 1) {
      throw new ElfFormatException("ELF file that is not little endian, 32 or 64 bit");
    }
    boolean is64 = elfClass == 2;
    if (data.byteSize() < (is64 ? 64 : 52)) {
      throw new ElfFormatException("ELF file ends inside its header");
    }
    int type = u16(data, 16);
    int machine = u16(data, 18);
    long entry = is64 ? data.get(U64, 24) : u32(data, 24);
    long programs = is64 ? data.get(U64, 32) : u32(data, 28);
    long sectionTable = is64 ? data.get(U64, 40) : u32(data, 32);
    int tail = is64 ? 54 : 42;
    List<Segment> segments = segments(data, is64, programs, u16(data, tail), u16(data, tail + 2));
    List<Section> sections =
        sections(
            data,
            is64,
            sectionTable,
            u16(data, tail + 4),
            u16(data, tail + 6),
            u16(data, tail + 8));
    return new ElfFile(data, is64, type, machine, entry, segments, sections);
  }

  private static List<Segment> segments(
      MemorySegment data, boolean is64, long table, int entrySize, int count)
      throws ElfFormatException {
    List<Segment> segments = new ArrayList<>();
    if (count > 0
        && (entrySize < (is64 ? 56 : 32) || !inside(data, table, (long) entrySize * count))) {
      throw new ElfFormatException("ELF file whose program headers lie outside it");
    }
    for (int i = 0; i < count; i++) {
      long at = table + (long) i * entrySize;
      segments.add(
          is64
              ? new Segment(
                  data.get(U32, at),
                  data.get(U32, at + 4),
                  data.get(U64, at + 8),
                  data.get(U64, at + 16),
                  data.get(U64, at + 24),
                  data.get(U64, at + 32),
                  data.get(U64, at + 40),
                  data.get(U64, at + 48))
              : new Segment(
                  data.get(U32, at),
                  data.get(U32, at + 24),
                  u32(data, at + 4),
                  u32(data, at + 8),
                  u32(data, at + 12),
                  u32(data, at + 16),
                  u32(data, at + 20),
                  u32(data, at + 28)));
    }
    return List.copyOf(segments);
  }

  private record RawSection(
      int name, int type, long flags, long address, long offset, long size, int link) {}

  private static List<Section> sections(
      MemorySegment data, boolean is64, long table, int entrySize, int count, int names) {
    if (count == 0
        || count > MAX_HEADERS
        || entrySize < (is64 ? 64 : 40)
        || !inside(data, table, (long) entrySize * count)) {
      return List.of();
    }
    List<RawSection> raw = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      long at = table + (long) i * entrySize;
      raw.add(
          is64
              ? new RawSection(
                  data.get(U32, at),
                  data.get(U32, at + 4),
                  data.get(U64, at + 8),
                  data.get(U64, at + 16),
                  data.get(U64, at + 24),
                  data.get(U64, at + 32),
                  data.get(U32, at + 40))
              : new RawSection(
                  data.get(U32, at),
                  data.get(U32, at + 4),
                  u32(data, at + 8),
                  u32(data, at + 12),
                  u32(data, at + 16),
                  u32(data, at + 20),
                  data.get(U32, at + 24)));
    }
    RawSection strings = names < raw.size() ? raw.get(names) : null;
    List<Section> sections = new ArrayList<>();
    for (RawSection s : raw) {
      String name = "";
      if (strings != null
          && inside(data, strings.offset, strings.size)
          && Integer.toUnsignedLong(s.name) < strings.size) {
        name =
            string(
                data,
                strings.offset + Integer.toUnsignedLong(s.name),
                strings.offset + strings.size);
      }
      sections.add(new Section(name, s.type, s.flags, s.address, s.offset, s.size, s.link));
    }
    return List.copyOf(sections);
  }

  private static String string(MemorySegment data, long at, long end) {
    long stop = at;
    long bound = Math.min(end, at + 4096);
    while (stop < bound && data.get(ValueLayout.JAVA_BYTE, stop) != 0) {
      stop++;
    }
    return new String(
        data.asSlice(at, stop - at).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
  }

  private static boolean inside(MemorySegment data, long offset, long size) {
    return offset >= 0 && size >= 0 && size <= data.byteSize() && offset <= data.byteSize() - size;
  }

  private static int u16(MemorySegment data, long at) {
    return data.get(U16, at) & 0xffff;
  }

  private static long u32(MemorySegment data, long at) {
    return data.get(U32, at) & 0xffffffffL;
  }

  public boolean is64() {
    return is64;
  }

  /** {@code e_machine}: {@link #EM_386}, {@link #EM_X86_64}, or what is not ours. */
  public int machine() {
    return machine;
  }

  /** {@code e_type}: 1 relocatable, 2 executable, 3 shared. */
  public int type() {
    return type;
  }

  public long entry() {
    return entry;
  }

  /** The whole file. */
  public MemorySegment data() {
    return data;
  }

  public List<Segment> segments() {
    return segments;
  }

  public List<Section> sections() {
    return sections;
  }

  public Optional<Section> section(String name) {
    return sections.stream().filter(s -> s.name().equals(name)).findFirst();
  }

  /** The file's bytes of a program header. */
  public MemorySegment contents(Segment segment) throws ElfFormatException {
    return slice("segment", segment.offset(), segment.fileSize());
  }

  /** The file's bytes of a section; none for NOBITS. */
  public MemorySegment contents(Section section) throws ElfFormatException {
    return section.type() == SHT_NOBITS
        ? data.asSlice(0, 0)
        : slice("section " + section.name(), section.offset(), section.size());
  }

  private MemorySegment slice(String what, long offset, long size) throws ElfFormatException {
    if (!inside(data, offset, size)) {
      throw new ElfFormatException(
          ("ELF %s at %#x with %#x bytes lies outside the file of %#x bytes:"
              + " the file is truncated or malformed")
              .formatted(what, offset, size, data.byteSize()));
    }
    return data.asSlice(offset, size);
  }

  /** The notes of every PT_NOTE segment, or of the note sections where there is no such segment. */
  public List<Note> notes() throws ElfFormatException {
    List<Note> notes = new ArrayList<>();
    boolean any = false;
    for (Segment segment : segments) {
      if (segment.type() == PT_NOTE) {
        any = true;
        notes(contents(segment), notes);
      }
    }
    if (!any) {
      for (Section section : sections) {
        if (section.type() == SHT_NOTE) {
          notes(contents(section), notes);
        }
      }
    }
    return notes;
  }

  private static void notes(MemorySegment data, List<Note> notes) {
    long at = 0;
    while (at + 12 <= data.byteSize() && notes.size() < 10_000) {
      long nameSize = u32(data, at);
      long size = u32(data, at + 4);
      int type = data.get(U32, at + 8);
      long name = at + 12;
      long contents = name + (nameSize + 3 & ~3L);
      if (nameSize > 256 || !inside(data, name, nameSize) || !inside(data, contents, size)) {
        return;
      }
      notes.add(
          new Note(
              string(data, name, name + nameSize),
              type,
              data.asSlice(contents, size).toArray(ValueLayout.JAVA_BYTE)));
      at = contents + (size + 3 & ~3L);
    }
  }
}
