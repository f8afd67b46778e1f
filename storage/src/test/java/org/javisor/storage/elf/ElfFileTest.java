package org.javisor.storage.elf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ElfFileTest {
  private static final byte[] FILE =
      new ElfBuilder()
          .segment(ElfFile.PT_INTERP)
          .section(".text", 1, new byte[] {1, 2, 3})
          .section(".notes", ElfFile.SHT_NOTE, ElfBuilder.note("Xen", 18, new byte[] {4, 5, 6, 7}))
          .build();

  private static ElfFile parse(byte[] file) throws ElfFormatException {
    return ElfFile.parse(MemorySegment.ofArray(file));
  }

  @Test
  void readsSectionsSegmentsAndNotes() throws Exception {
    ElfFile elf = parse(FILE);
    assertTrue(elf.is64());
    assertEquals(ElfFile.EM_X86_64, elf.machine());
    assertEquals(ElfFile.PT_INTERP, elf.segments().getFirst().type());
    assertArrayEquals(
        new byte[] {1, 2, 3},
        elf.contents(elf.section(".text").orElseThrow()).toArray(ValueLayout.JAVA_BYTE));
    List<ElfFile.Note> notes = elf.notes();
    assertEquals(1, notes.size());
    assertEquals("Xen", notes.getFirst().owner());
    assertArrayEquals(new byte[] {4, 5, 6, 7}, notes.getFirst().contents());
  }

  @Test
  void truncatedFilesAreRefusedOrLoseTheirSections() throws Exception {
    for (int length = 0; length < FILE.length; length++) {
      byte[] cut = Arrays.copyOf(FILE, length);
      if (length < 64 + 56) {
        assertThrows(ElfFormatException.class, () -> parse(cut));
      } else {
        assertEquals(List.of(), parse(cut).sections());
      }
    }
  }

  @Test
  void damagedHeadersNeverReadOutside() {
    Random random = new Random(1);
    for (int i = 0; i < 20_000; i++) {
      byte[] damaged = FILE.clone();
      for (int j = 0; j < 4; j++) {
        damaged[random.nextInt(damaged.length)] = (byte) random.nextInt();
      }
      try {
        ElfFile elf = parse(damaged);
        elf.notes();
        for (ElfFile.Section section : elf.sections()) {
          elf.contents(section);
        }
        for (ElfFile.Segment segment : elf.segments()) {
          elf.contents(segment);
        }
      } catch (ElfFormatException e) {
        assertTrue(e.getMessage().contains("ELF"));
      }
    }
  }
}
