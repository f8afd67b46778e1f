package org.javisor.virtio.fs;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** The file server, spoken to as a guest's kernel does, and as one that wants to get out. */
@EnabledOnOs(OS.LINUX)
class FuseServerTest {
  private static final int ENOENT = 2;
  private static final int EBADF = 9;
  private static final int EINVAL = 22;
  private static final int EROFS = 30;

  @TempDir Path parent;

  private Path folder;
  private FuseServer server;
  private FuseServer.Worker worker;
  private final MemorySegment in = Arena.ofAuto().allocate(FuseServer.MAX_MESSAGE, 8);
  private final MemorySegment out = Arena.ofAuto().allocate(FuseServer.MAX_MESSAGE, 8);
  private long unique = 1;

  @BeforeEach
  void share() throws IOException {
    folder = Files.createDirectory(parent.resolve("shared"));
    Files.writeString(parent.resolve("secret"), "not for guests");
    Files.writeString(folder.resolve("file"), "hello");
    Files.createDirectory(folder.resolve("sub"));
    Files.createSymbolicLink(folder.resolve("link"), Path.of("../secret"));
    open(true);
  }

  private void open(boolean writable) throws IOException {
    if (server != null) {
      server.close();
    }
    server = new FuseServer(folder, writable);
    worker = server.worker();
  }

  @AfterEach
  void close() {
    server.close();
  }

  /** An answer: its error, and what came with it. */
  private record Answer(int error, ByteBuffer body) {
    long id() {
      assertEquals(0, error);
      return body.getLong(0);
    }
  }

  private static byte[] bytes(Object... parts) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (Object part : parts) {
      switch (part) {
        case Integer i -> bytes.writeBytes(
            ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(i).array());
        case Long l -> bytes.writeBytes(
            ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(l).array());
        case String s -> bytes.writeBytes((s + "\0").getBytes(StandardCharsets.UTF_8));
        case byte[] b -> bytes.writeBytes(b);
        default -> throw new IllegalArgumentException(part.toString());
      }
    }
    return bytes.toByteArray();
  }

  private Answer ask(int opcode, long node, Object... parts) {
    byte[] body = bytes(parts);
    byte[] request = bytes(40 + body.length, opcode, unique++, node, 0, 0, 1, 0, body);
    MemorySegment.copy(request, 0, in, ValueLayout.JAVA_BYTE, 0, request.length);
    int length = worker.serve(in, request.length, out, FuseServer.MAX_MESSAGE);
    if (length == 0) {
      return new Answer(0, ByteBuffer.allocate(0));
    }
    ByteBuffer answer =
        ByteBuffer.wrap(out.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE))
            .order(ByteOrder.LITTLE_ENDIAN);
    assertEquals(length, answer.getInt(0));
    assertEquals(unique - 1, answer.getLong(8));
    return new Answer(-answer.getInt(4), answer.slice(16, length - 16).order(
        ByteOrder.LITTLE_ENDIAN));
  }

  private long lookup(long node, String name) {
    return ask(FuseLayout.LOOKUP, node, name).id();
  }

  private long open(long node, int flags) {
    return ask(FuseLayout.OPEN, node, flags, 0).id();
  }

  private Answer read(long handle, long offset, int size) {
    return ask(FuseLayout.READ, 0, handle, offset, size, 0, 0L, 0, 0);
  }

  private String text(Answer answer) {
    assertEquals(0, answer.error());
    byte[] text = new byte[answer.body().remaining()];
    answer.body().get(text);
    return new String(text, StandardCharsets.UTF_8);
  }

  private Answer write(long handle, long offset, byte[] data) {
    return ask(FuseLayout.WRITE, 0, handle, offset, data.length, 0, 0L, 0, 0, data);
  }

  @Test
  void theTwoAgreeOnAVersion() {
    Answer answer = ask(FuseLayout.INIT, 0, 7, 38, 131_072, -1, 0, new byte[44]);
    assertEquals(7, answer.body().getInt(0));
    assertEquals(31, answer.body().getInt(4));
    assertEquals(1 << 20, answer.body().getInt(20));
    assertEquals(7, ask(FuseLayout.INIT, 0, 8, 0, 0, 0).body().getInt(0), "it asks again");
    assertEquals(EINVAL, ask(FuseLayout.INIT, 0, 6, 0, 0, 0).error());
  }

  @Test
  void filesAreFoundAndRead() {
    long file = lookup(1, "file");
    assertEquals(file, lookup(1, "file"), "the same file is the same node");
    Answer attributes = ask(FuseLayout.GETATTR, file, 0, 0, 0L);
    assertEquals(5, attributes.body().getLong(16 + 8));
    assertEquals(0x8000, attributes.body().getInt(16 + 60) & 0xf000);
    long handle = open(file, 0);
    assertEquals("hello", text(read(handle, 0, 100)));
    assertEquals("llo", text(read(handle, 2, 3)));
    assertEquals("", text(read(handle, 5, 3)));
    assertEquals(0, ask(FuseLayout.RELEASE, file, handle, 0, 0, 0L).error());
    assertEquals(EBADF, read(handle, 0, 1).error());
    assertEquals(ENOENT, ask(FuseLayout.LOOKUP, 1, "none").error());
  }

  @Test
  void filesAreMadeWrittenChangedAndRemoved() throws IOException {
    Answer made = ask(FuseLayout.CREATE, 1, 2 | 0x40, 0644, 0, 0, "new");
    long file = made.id();
    long handle = made.body().getLong(128);
    byte[] data = new byte[1 << 20];
    new Random(1).nextBytes(data);
    assertEquals(data.length, write(handle, 3, data).body().getInt(0));
    assertEquals(0, ask(FuseLayout.FSYNC, file, handle, 1, 0).error());
    byte[] whole = Files.readAllBytes(folder.resolve("new"));
    assertEquals(3 + data.length, whole.length);
    assertArrayEquals(data, java.util.Arrays.copyOfRange(whole, 3, whole.length));
    assertArrayEquals(data, bytes((Object) array(read(handle, 3, 1 << 20))));
    // Size, mode, time of modification.
    ask(
        FuseLayout.SETATTR, file, 8 | 1 | 32, 0, 0L, 4L, 0L, 0L, 1_000_000_000L, 0L, 0, 0, 0, 06750,
        0, 0, 0, 0);
    assertEquals(4, Files.size(folder.resolve("new")));
    assertEquals(1_000_000_000_000L, Files.getLastModifiedTime(folder.resolve("new")).toMillis());
    assertEquals(
        PosixFilePermissions.fromString("rwxr-x---"),
        Files.getPosixFilePermissions(folder.resolve("new")));
    assertEquals(
        0750, (int) Files.getAttribute(folder.resolve("new"), "unix:mode") & 07777,
        "no set-user-id on the host");
    assertEquals(0, ask(FuseLayout.FALLOCATE, file, handle, 0L, 100L, 0, 0).error());
    assertEquals(100, Files.size(folder.resolve("new")));
    assertEquals(0, ask(FuseLayout.UNLINK, 1, "new").error());
    assertFalse(Files.exists(folder.resolve("new")));
    assertEquals("\0", text(read(handle, 4, 1)), "it is still open");
  }

  private static byte[] array(Answer answer) {
    byte[] array = new byte[answer.body().remaining()];
    answer.body().get(array);
    return array;
  }

  private FuseServer.State saved() throws StateException {
    StateFormat<VirtioFs.State> format = StateFormat.of("fs", 1, VirtioFs.State.class);
    return format.fromBytes(format.toBytes(new VirtioFs.State(server.saveState()))).server();
  }

  /** Breaks if a restored guest's open files are not those it had open. */
  @Test
  void whatTheGuestHadOpenIsOpenAgain() throws Exception {
    long file = lookup(1, "file");
    long link = lookup(1, "link");
    long sub = lookup(1, "sub");
    Answer made = ask(FuseLayout.CREATE, sub, 2 | 0x40, 0644, 0, 0, "new");
    long handle = made.body().getLong(128);
    write(handle, 0, "data".getBytes(StandardCharsets.UTF_8));
    long reader = open(file, 0);
    long entries = ask(FuseLayout.OPENDIR, 1, 0, 0).body().getLong(0);
    int all = ask(FuseLayout.READDIR, 1, entries, 0L, 4096, 0, 0L, 0, 0).body().remaining();
    assertEquals(0, ask(FuseLayout.RENAME, 1, sub, "file", "moved").error());
    FuseServer.State state = saved();
    open(true);
    server.restoreState(state);
    assertEquals("hello", text(read(reader, 0, 100)), "by the name it has now");
    assertEquals(4, write(handle, 4, "more".getBytes(StandardCharsets.UTF_8)).body().getInt(0));
    assertEquals("datamore", Files.readString(folder.resolve("sub/new")));
    assertEquals("../secret", text(ask(FuseLayout.READLINK, link)), "the link itself");
    assertEquals(made.id(), lookup(sub, "new"));
    assertEquals(file, lookup(sub, "moved"));
    assertEquals(
        all - 32, ask(FuseLayout.READDIR, 1, entries, 0L, 4096, 0, 0L, 0, 0).body().remaining(),
        "one file less");
    long next = ask(FuseLayout.MKDIR, 1, 0755, 0, "later").id();
    assertTrue(next > made.id(), "numbers are not given twice");
  }

  /** Breaks if a file that took another's name passes for it, or a saved state leads out. */
  @Test
  void whatIsNotThereAnyMoreIsGone() throws Exception {
    long file = lookup(1, "file");
    long reader = open(file, 0);
    long sub = lookup(1, "sub");
    FuseServer.State state = saved();
    Files.delete(folder.resolve("file"));
    Files.writeString(folder.resolve("other"), "other");
    Files.writeString(folder.resolve("file"), "other");
    Files.delete(folder.resolve("sub"));
    Files.createSymbolicLink(folder.resolve("sub"), parent);
    open(true);
    server.restoreState(state);
    assertEquals(EBADF, read(reader, 0, 1).error());
    assertEquals(116, ask(FuseLayout.GETATTR, file, 0, 0, 0L).error(), "ESTALE");
    assertEquals(116, ask(FuseLayout.LOOKUP, sub, "secret").error(), "ESTALE");
    long inode = (long) Files.getAttribute(parent.resolve("secret"), "unix:ino");
    for (String path : List.of("../secret", "sub/../secret", "sub/secret", "/etc/passwd")) {
      FuseServer.Place place =
          new FuseServer.Place(path.getBytes(StandardCharsets.UTF_8), inode, 0x8000);
      server.restoreState(
          new FuseServer.State(
              List.of(new FuseServer.Known(2, 1, place)), 9,
              List.of(new FuseServer.Open(1, place, 0, 0)), 9));
      assertEquals(1, server.knownNodes(), path);
      assertEquals(0, server.openHandles(), path);
    }
  }

  /** Breaks if a file of a saved machine makes a folder writable that is shared read-only. */
  @Test
  void aSavedStateDoesNotOpenForWritingWhatIsReadOnly() throws Exception {
    long handle = open(lookup(1, "file"), 2);
    FuseServer.State state = saved();
    open(false);
    server.restoreState(state);
    assertEquals(EROFS, write(handle, 0, new byte[1]).error());
    assertEquals(0, server.openHandles());
  }

  @Test
  void foldersLinksAndNames() throws IOException {
    long sub = lookup(1, "sub");
    long made = ask(FuseLayout.MKDIR, sub, 0755, 0, "deep").id();
    assertTrue(Files.isDirectory(folder.resolve("sub/deep")));
    assertEquals(0, ask(FuseLayout.RENAME, 1, made, "file", "moved").error());
    assertTrue(Files.exists(folder.resolve("sub/deep/moved")));
    assertEquals(
        0, ask(FuseLayout.RENAME2, made, 1L, 0, 0, "moved", "file").error());
    long file = lookup(1, "file");
    assertEquals(file, ask(FuseLayout.LINK, sub, file, "hard").id());
    long link = ask(FuseLayout.SYMLINK, sub, "soft", "hard").id();
    assertEquals("hard", text(ask(FuseLayout.READLINK, link)));
    assertEquals("hello", Files.readString(folder.resolve("sub/soft")));
    assertEquals(39, ask(FuseLayout.RMDIR, 1, "sub").error(), "not empty");
    ask(FuseLayout.UNLINK, sub, "hard");
    ask(FuseLayout.UNLINK, sub, "soft");
    assertEquals(0, ask(FuseLayout.RMDIR, sub, "deep").error());
    assertEquals(0, ask(FuseLayout.RMDIR, 1, "sub").error());
    assertEquals(0, ask(FuseLayout.MKNOD, 1, 0x1000 | 0600, 0, 0, 0, "pipe").error());
    assertEquals(1, ask(FuseLayout.MKNOD, 1, 0x6000 | 0600, 8, 0, 0, "disk").error(), "EPERM");
    assertTrue(ask(FuseLayout.STATFS, 1).body().getLong(0) > 0);
  }

  @Test
  void aFolderIsReadInParts() throws IOException {
    TreeSet<String> expected = new TreeSet<>(List.of(".", "..", "file", "sub", "link"));
    for (int i = 0; i < 300; i++) {
      String name = "n".repeat(1 + i % 60) + i;
      Files.createFile(folder.resolve(name));
      expected.add(name);
    }
    long handle = ask(FuseLayout.OPENDIR, 1, 0, 0).id();
    List<String> found = new ArrayList<>();
    long offset = 0;
    long middle = 0;
    while (true) {
      Answer part =
          ask(FuseLayout.READDIR, 1, handle, offset, 1000 + found.size() % 7, 0, 0L, 0, 0);
      assertEquals(0, part.error());
      ByteBuffer b = part.body();
      if (b.remaining() == 0) {
        break;
      }
      for (int at = 0; at < b.limit();) {
        int length = b.getInt(at + 16);
        byte[] name = new byte[length];
        b.get(at + 24, name);
        found.add(new String(name, StandardCharsets.UTF_8));
        offset = b.getLong(at + 8);
        at += 24 + length + 7 & -8;
      }
      middle = middle == 0 ? offset : middle;
    }
    assertEquals(expected, new TreeSet<>(found));
    assertEquals(expected.size(), found.size(), "each once");
    // And from a place in the middle.
    assertTrue(
        ask(FuseLayout.READDIR, 1, handle, middle, 4096, 0, 0L, 0, 0).body().remaining() > 0);
    assertEquals(0, ask(FuseLayout.RELEASEDIR, 1, handle, 0, 0, 0L).error());
  }

  @Test
  void aShareIsReadOnlyUnlessItIsWritable() throws IOException {
    open(false);
    long file = lookup(1, "file");
    assertEquals("hello", text(read(open(file, 0), 0, 10)));
    for (int flags : new int[] {1, 2, 0x200}) {
      assertEquals(EROFS, ask(FuseLayout.OPEN, file, flags, 0).error());
    }
    assertEquals(EROFS, ask(FuseLayout.CREATE, 1, 2, 0644, 0, 0, "x").error());
    assertEquals(EROFS, ask(FuseLayout.MKDIR, 1, 0755, 0, "x").error());
    assertEquals(EROFS, ask(FuseLayout.MKNOD, 1, 0x8000, 0, 0, 0, "x").error());
    assertEquals(EROFS, ask(FuseLayout.SYMLINK, 1, "x", "y").error());
    assertEquals(EROFS, ask(FuseLayout.LINK, 1, file, "x").error());
    assertEquals(EROFS, ask(FuseLayout.UNLINK, 1, "file").error());
    assertEquals(EROFS, ask(FuseLayout.RMDIR, 1, "sub").error());
    assertEquals(EROFS, ask(FuseLayout.RENAME, 1, 1L, "file", "x").error());
    assertEquals(EROFS, ask(FuseLayout.SETATTR, file, new byte[88]).error());
    assertEquals(EROFS, write(open(file, 0), 0, new byte[1]).error());
    assertEquals(EROFS, ask(FuseLayout.FALLOCATE, file, 1L, 0L, 1L, 0, 0).error());
    try (var files = Files.list(folder)) {
      assertEquals(3, files.count());
    }
  }

  // ---- Ways out -----------------------------------------------------------------------------

  @Test
  void namesLeadDownOnly() {
    long sub = lookup(1, "sub");
    for (String name : new String[] {
      "..", ".", "", "/", "/etc", "../secret", "sub/..", "../shared/file", "a/b"
    }) {
      for (long node : new long[] {1, sub}) {
        assertEquals(EINVAL, ask(FuseLayout.LOOKUP, node, name).error(), name);
        assertEquals(EINVAL, ask(FuseLayout.CREATE, node, 2, 0644, 0, 0, name).error(), name);
        assertEquals(EINVAL, ask(FuseLayout.MKDIR, node, 0755, 0, name).error(), name);
        assertEquals(EINVAL, ask(FuseLayout.UNLINK, node, name).error(), name);
        assertEquals(EINVAL, ask(FuseLayout.RENAME, node, 1L, "file", name).error(), name);
        assertEquals(EINVAL, ask(FuseLayout.RENAME, node, 1L, name, "x").error(), name);
        assertEquals(EINVAL, ask(FuseLayout.SYMLINK, node, name, "x").error(), name);
      }
    }
    assertTrue(Files.exists(folder.resolve("file")));
  }

  @Test
  void linksAreNotFollowed() throws IOException {
    long link = lookup(1, "link");
    assertEquals("../secret", text(ask(FuseLayout.READLINK, link)));
    assertTrue(ask(FuseLayout.OPEN, link, 0, 0).error() != 0);
    assertTrue(ask(FuseLayout.OPENDIR, link, 0, 0).error() != 0);
    assertTrue(ask(FuseLayout.LOOKUP, link, "x").error() != 0);
    assertTrue(ask(FuseLayout.CREATE, 1, 2, 0644, 0, 0, "link").error() != 0);
    assertTrue(ask(FuseLayout.LINK, 1, link, "hard").error() != 0);
    assertTrue(
        ask(
            FuseLayout.SETATTR, link, 8, 0, 0L, 0L, 0L, 0L, 0L, 0L, 0, 0, 0, 0, 0, 0, 0, 0)
            .error() != 0);
    assertEquals("not for guests", Files.readString(parent.resolve("secret")));
    // A folder that is replaced by a link after it was looked up is still what it was.
    long sub = lookup(1, "sub");
    Files.move(folder.resolve("sub"), folder.resolve("was-sub"));
    Files.createSymbolicLink(folder.resolve("sub"), Path.of(".."));
    assertEquals(ENOENT, ask(FuseLayout.LOOKUP, sub, "secret").error());
    assertTrue(ask(FuseLayout.LOOKUP, lookup(1, "sub"), "secret").error() != 0);
    // And what a guest makes into a link leads nowhere on the host.
    long up = ask(FuseLayout.SYMLINK, 1, "up", "../..").id();
    assertTrue(ask(FuseLayout.LOOKUP, up, "etc").error() != 0);
    assertTrue(Files.exists(folder.resolve("up"), LinkOption.NOFOLLOW_LINKS));
  }

  @Test
  void specialFilesAreNotOpened() {
    long pipe = ask(FuseLayout.MKNOD, 1, 0x1000 | 0600, 0, 0, 0, "pipe").id();
    assertTrue(ask(FuseLayout.OPEN, pipe, 0, 0).error() != 0);
    assertTrue(ask(FuseLayout.OPEN, pipe, 2, 0).error() != 0);
  }

  @Test
  void whatIsForgottenIsClosed() {
    int before = server.knownNodes();
    long file = lookup(1, "file");
    lookup(1, "file");
    assertEquals(before + 1, server.knownNodes());
    ask(FuseLayout.FORGET, file, 1L);
    assertEquals(before + 1, server.knownNodes());
    ask(FuseLayout.BATCH_FORGET, 0, 2, 0, file, 1L, 12_345L, 1L);
    assertEquals(before, server.knownNodes());
    assertEquals(116, ask(FuseLayout.GETATTR, file, 0, 0, 0L).error(), "ESTALE");
    ask(FuseLayout.FORGET, 1, Long.MAX_VALUE);
    assertEquals(0, ask(FuseLayout.GETATTR, 1, 0, 0, 0L).error(), "the root stays");
    open(lookup(1, "file"), 0);
    ask(FuseLayout.INIT, 0, 7, 38, 0, 0, 0);
    assertEquals(1, server.knownNodes());
    assertEquals(0, server.openHandles());
  }

  @Test
  void aFolderThatIsNoneIsSaid() {
    for (String name : new String[] {"none", "file"}) {
      IOException e =
          assertThrows(
              IOException.class, () -> new FuseServer(folder.resolve(name), false).close());
      assertTrue(e.getMessage().contains("a folder expected"), e.getMessage());
    }
  }

  /** Whatever a guest sends, it gets an answer that fits, and nothing outside of the folder changes. */
  @Test
  void noiseHarmsNobody() throws IOException {
    Random random = new Random(11);
    lookup(1, "sub");
    lookup(1, "link");
    open(lookup(1, "file"), 2);
    ask(FuseLayout.OPENDIR, 1, 0, 0);
    for (int round = 0; round < 20_000; round++) {
      byte[] body = new byte[random.nextInt(120)];
      random.nextBytes(body);
      for (int i = 0; i < body.length; i++) {
        if (random.nextInt(4) != 0) {
          body[i] = (byte) (random.nextInt(3) == 0 ? "file/sub.link\0".charAt(random.nextInt(14))
              : random.nextInt(4));
        }
      }
      int opcode = random.nextInt(54);
      if (opcode == FuseLayout.SYNCFS || opcode == FuseLayout.FALLOCATE
          || opcode == FuseLayout.SETATTR) {
        continue; // these only cost time, or the disk's space
      }
      byte[] request =
          bytes(40 + body.length, opcode, (long) round, (long) random.nextInt(6), 0, 0, 1, 0, body);
      MemorySegment.copy(request, 0, in, ValueLayout.JAVA_BYTE, 0, request.length);
      int room = random.nextInt(300);
      int length = worker.serve(in, random.nextInt(request.length + 1), out, room);
      assertTrue(length <= Math.max(room, 0), "an answer that fits");
    }
    assertEquals("not for guests", Files.readString(parent.resolve("secret")));
    try (var files = Files.list(parent)) {
      assertEquals(2, files.count());
    }
  }
}
