package org.javisor.storage.block.file;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.RandomDisk;
import org.javisor.storage.block.file.HostFile.Access;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Both kinds of host files, and raw images on them. */
class HostFileTest {
  @TempDir Path folder;

  private interface Opener {
    HostFile open(Path path, Access access) throws BlockException;
  }

  /** Named for reports. */
  record Kind(String name, Opener opener) {
    @Override
    public String toString() {
      return name;
    }
  }

  static Stream<Kind> kinds() {
    Kind channel = new Kind("channel", ChannelFile::openFile);
    return LinuxFile.isSupported()
        ? Stream.of(channel, new Kind("Linux", LinuxFile::openFile))
        : Stream.of(channel);
  }

  private static MemorySegment bytes(Arena arena, int length, int value) {
    return arena.allocate(Math.max(1, length), 8).asSlice(0, length).fill((byte) value);
  }

  /** Breaks if reads beyond the end are not zeros, or writes do not make the file longer. */
  @ParameterizedTest
  @MethodSource("kinds")
  void readsAndWrites(Kind kind) throws IOException {
    Path path = folder.resolve("f");
    try (HostFile file = kind.opener().open(path, Access.CREATE);
        Arena arena = Arena.ofConfined()) {
      file.write(1000, bytes(arena, 500, 7));
      assertEquals(1500, file.size());
      MemorySegment read = bytes(arena, 1000, 9);
      file.read(1200, read);
      byte[] expected = new byte[1000];
      Arrays.fill(expected, 0, 300, (byte) 7);
      assertArrayEquals(expected, read.toArray(ValueLayout.JAVA_BYTE));
      file.read(1L << 60, read);
      assertArrayEquals(new byte[1000], read.toArray(ValueLayout.JAVA_BYTE));
      file.setSize(5000);
      assertEquals(5000, file.size());
      file.writeZeroes(1100, 100, true);
      file.writeZeroes(1300, 100, false);
      file.sync();
      file.setSize(1450);
    }
    byte[] contents = new byte[1450];
    Arrays.fill(contents, 1000, 1450, (byte) 7);
    Arrays.fill(contents, 1100, 1200, (byte) 0);
    Arrays.fill(contents, 1300, 1400, (byte) 0);
    assertArrayEquals(contents, Files.readAllBytes(path));
  }

  /** Breaks if two may write one file, or one write what another reads. */
  @ParameterizedTest
  @MethodSource("kinds")
  void writersExcludeEachOther(Kind kind) throws IOException {
    Path path = Files.write(folder.resolve("f"), new byte[512]);
    try (HostFile writer = kind.opener().open(path, Access.WRITE)) {
      BlockException e =
          assertThrows(BlockException.class, () -> kind.opener().open(path, Access.WRITE));
      assertEquals(Reason.IN_USE, e.reason());
      assertTrue(e.getMessage().contains("two writers would destroy it"), e.getMessage());
      kind.opener().open(path, Access.PEEK).close();
      assertEquals(512, writer.size());
    }
    try (HostFile reader = kind.opener().open(path, Access.READ)) {
      kind.opener().open(path, Access.READ).close();
      assertThrows(BlockException.class, () -> kind.opener().open(path, Access.WRITE));
      assertEquals(512, reader.size());
    }
    kind.opener().open(path, Access.WRITE).close();
  }

  /** Breaks if what is no disk is opened, or waited for. */
  @ParameterizedTest
  @CsvSource({
    "/does/not/exist, does not exist", "/, is a folder", "/dev/null, neither a file nor",
    "/dev/zero, neither a file nor"
  })
  void whatIsNoDiskIsRefused(Path path, String says) {
    assumeTrue(LinuxFile.isSupported(), "Linux's system calls are not there");
    BlockException e =
        assertThrows(BlockException.class, () -> HostFile.open(path, Access.READ));
    assertEquals(Reason.UNREADABLE, e.reason());
    assertTrue(e.getMessage().contains(says), e.getMessage());
  }

  /** Breaks if opening a pipe waits for its other end. */
  @Test
  void aPipeIsRefused() throws Exception {
    assumeTrue(LinuxFile.isSupported(), "Linux's system calls are not there");
    Path pipe = folder.resolve("pipe");
    assumeTrue(
        new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor() == 0, "no mkfifo here");
    assertThrows(BlockException.class, () -> HostFile.open(pipe, Access.READ));
  }

  /** Breaks if what was discarded keeps its space on a host that could give it back. */
  @Test
  void discardedSpaceIsGivenBack() throws IOException {
    assumeTrue(LinuxFile.isSupported(), "Linux's system calls are not there");
    Path path = folder.resolve("f");
    int size = 8 << 20;
    try (HostFile file = HostFile.open(path, Access.CREATE); Arena arena = Arena.ofConfined()) {
      file.write(0, bytes(arena, size, 1));
      file.sync();
      long before = file.allocatedBytes();
      assumeTrue(file.punchHole(0, size / 2), "this file system has no holes");
      assertTrue(file.allocatedBytes() <= before - size / 4, "still " + file.allocatedBytes());
      assertEquals(size, file.size());
      assertEquals(size / 2, file.nextData(0));
      assertEquals(size, file.nextHole(size / 2));
      assertEquals(Long.MAX_VALUE, file.nextData(size));
    }
  }

  /** Breaks if a raw image is anything but its bytes. */
  @ParameterizedTest
  @MethodSource("kinds")
  void aRawImageIsItsBytes(Kind kind) throws IOException {
    int size = 3 << 20;
    Path path = Files.write(folder.resolve("f"), new byte[size - 100]);
    byte[] model = new byte[size];
    try (DiskImage disk = new RawImage(kind.opener().open(path, Access.WRITE), false, false);
        RandomDisk random = new RandomDisk(disk, model, 5)) {
      assertEquals(size, disk.sizeBytes(), "the last sector is whole");
      random.run(300);
      random.checkAll();
    }
    byte[] contents = Files.readAllBytes(path);
    assertArrayEquals(Arrays.copyOf(model, contents.length), contents);
  }

  /** Breaks if a guest can make its raw disk be taken for another format at the next start. */
  @Test
  void aGuessedRawImageStaysRaw() throws IOException {
    Path path = Files.write(folder.resolve("f"), new byte[1 << 20]);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment magic = bytes(arena, 512, 0);
      magic.asSlice(0, 4).copyFrom(MemorySegment.ofArray(new byte[] {'Q', 'F', 'I', (byte) 0xfb}));
      try (DiskImage disk = new RawImage(HostFile.open(path, Access.WRITE), false, true)) {
        BlockException e = assertThrows(BlockException.class, () -> disk.write(0, magic));
        assertTrue(e.getMessage().contains("format"), e.getMessage());
        disk.write(0, bytes(arena, 512, 1));
        disk.write(512, magic);
      }
      try (DiskImage disk = new RawImage(HostFile.open(path, Access.WRITE), false, false)) {
        disk.write(0, magic);
      }
    }
  }

  /** Breaks if a read-only disk, or the end of a disk, can be written over. */
  @Test
  void limitsAreKept() throws IOException {
    Path path = Files.write(folder.resolve("f"), new byte[4096]);
    try (DiskImage disk = new RawImage(HostFile.open(path, Access.READ), true, false);
        Arena arena = Arena.ofConfined()) {
      MemorySegment sector = bytes(arena, 512, 1);
      for (long offset : new long[] {-512, 3585, 4096, Long.MAX_VALUE, Long.MIN_VALUE}) {
        BlockException e = assertThrows(BlockException.class, () -> disk.read(offset, sector));
        assertEquals(Reason.OUT_OF_RANGE, e.reason());
      }
      assertEquals(
          Reason.READ_ONLY,
          assertThrows(BlockException.class, () -> disk.write(0, sector)).reason());
      assertEquals(
          Reason.READ_ONLY,
          assertThrows(BlockException.class, () -> disk.discard(0, 512)).reason());
      assertThrows(BlockException.class, () -> disk.writeZeroes(0, Long.MAX_VALUE, true));
    }
    assertFalse(Files.size(path) != 4096);
  }
}
