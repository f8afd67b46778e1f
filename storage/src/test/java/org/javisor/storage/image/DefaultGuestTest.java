package org.javisor.storage.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.zip.GZIPOutputStream;
import org.javisor.storage.elf.ElfBuilder;
import org.javisor.storage.elf.ElfFile;
import org.javisor.storage.packages.AptFetcher;
import org.javisor.storage.packages.PackageException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The host's own kernel as the guest: what happens without apt. */
class DefaultGuestTest {
  private static final byte[] VMLINUX = "\177ELF and so on".repeat(100).getBytes();

  @TempDir Path folder;

  private final List<String> messages = new ArrayList<>();

  /** A bzImage that holds {@code vmlinux}, gzip-compressed. */
  static byte[] bzImage(byte[] vmlinux) throws Exception {
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (GZIPOutputStream gzip = new GZIPOutputStream(packed)) {
      gzip.write(vmlinux);
    }
    int code = 2 * 512;
    int payload = 64;
    ByteBuffer image =
        ByteBuffer.allocate(code + payload + packed.size()).order(ByteOrder.LITTLE_ENDIAN);
    image.put(0x1f1, (byte) 1).putShort(0x1fe, (short) 0xaa55).putInt(0x202, 0x53726448);
    image.putShort(0x206, (short) 0x20f).putInt(0x248, payload).putInt(0x24c, packed.size());
    image.put(code + payload, packed.toByteArray());
    return image.array();
  }

  private DefaultGuest guest(Optional<Path> busybox) {
    return new DefaultGuest(
        folder.resolve("cache"),
        messages::add,
        folder.resolve("boot"),
        folder.resolve("modules"),
        false,
        AptFetcher.AMD64,
        DefaultGuest.KERNELS,
        () -> busybox);
  }

  private Optional<Path> busybox(boolean isStatic) throws Exception {
    ElfBuilder elf = new ElfBuilder().section(".rodata", 1, InitramfsBuilderTest.BUSYBOX);
    if (!isStatic) {
      elf.segment(ElfFile.PT_INTERP);
    }
    return Optional.of(Files.write(folder.resolve("busybox"), elf.build()));
  }

  private void kernel() throws Exception {
    Files.createDirectories(folder.resolve("boot"));
    Files.write(folder.resolve("boot/vmlinuz-6.1-host"), bzImage(VMLINUX));
    Path tree = Files.createDirectories(folder.resolve("modules/6.1-host/kernel"));
    Files.write(tree.resolve("virtio_net.ko"), ModuleTreeTest.module("depends="));
    Files.write(tree.resolve("not_wanted.ko"), ModuleTreeTest.module("depends="));
  }

  @Test
  void withoutAptTheHostsKernelServesAndItIsSaid() throws Exception {
    kernel();
    DefaultGuest.GuestFiles made = guest(busybox(true)).obtain();
    assertEquals("6.1-host", made.release());
    assertArrayEquals(bzImage(VMLINUX), Files.readAllBytes(made.kernel()));
    assertArrayEquals(VMLINUX, Files.readAllBytes(made.vmlinux()));
    var image = InitramfsBuilderTest.read(Files.readAllBytes(made.initrd()));
    assertTrue(image.containsKey("lib/modules/6.1-host/kernel/virtio_net.ko"));
    assertTrue(!image.containsKey("lib/modules/6.1-host/kernel/not_wanted.ko"));
    assertTrue(messages.stream().anyMatch(m -> m.contains("this host has no apt")));
    assertTrue(messages.stream().anyMatch(m -> m.startsWith("Using this host's kernel")));
  }

  @Test
  void theSecondTimeNothingIsMade() throws Exception {
    kernel();
    DefaultGuest.GuestFiles first = guest(busybox(true)).obtain();
    messages.clear();
    assertEquals(first, guest(Optional.empty()).obtain());
    assertEquals(List.of(), messages);
  }

  @Test
  void aDamagedCacheIsMadeAnew() throws Exception {
    kernel();
    DefaultGuest.GuestFiles first = guest(busybox(true)).obtain();
    Files.write(first.initrd(), new byte[3]);
    DefaultGuest.GuestFiles second = guest(busybox(true)).obtain();
    assertTrue(Files.size(second.initrd()) > 1000);
    Files.delete(second.vmlinux());
    assertTrue(Files.isRegularFile(guest(busybox(true)).obtain().vmlinux()));
  }

  @Test
  void parallelFirstRunsMakeOneGuest() throws Exception {
    kernel();
    Optional<Path> busybox = busybox(true);
    List<Thread> threads = new ArrayList<>();
    List<DefaultGuest.GuestFiles> results =
        java.util.Collections.synchronizedList(new ArrayList<>());
    for (int i = 0; i < 8; i++) {
      DefaultGuest guest =
          new DefaultGuest(
              folder.resolve("cache"),
              m -> {},
              folder.resolve("boot"),
              folder.resolve("modules"),
              false,
              AptFetcher.AMD64,
              DefaultGuest.KERNELS,
              () -> busybox);
      threads.add(
          Thread.ofPlatform()
              .start(
                  () -> {
                    try {
                      results.add(guest.obtain());
                    } catch (java.io.IOException e) {
                      throw new java.io.UncheckedIOException(e);
                    }
                  }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertEquals(8, results.size());
    assertEquals(1, results.stream().distinct().count());
    try (var files = Files.list(folder.resolve("cache/guests"))) {
      assertEquals(1, files.count());
    }
  }

  @Test
  void errorsAreOneLineThatSaysWhatToDo() throws Exception {
    PackageException nothing =
        assertThrows(PackageException.class, () -> guest(Optional.empty()).obtain());
    assertEquals(PackageException.Reason.NO_APT, nothing.reason());
    assertTrue(nothing.getMessage().contains("--kernel"), nothing.getMessage());
    assertTrue(nothing.getMessage().contains("no readable kernel"), nothing.getMessage());

    kernel();
    Optional<Path> dynamic = busybox(false);
    PackageException shared = assertThrows(PackageException.class, () -> guest(dynamic).obtain());
    assertTrue(shared.getMessage().contains("not a static x86-64 program"), shared.getMessage());
    assertTrue(!shared.getMessage().contains("\n"));
  }
}
