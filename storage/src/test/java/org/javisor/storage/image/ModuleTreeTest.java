package org.javisor.storage.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.javisor.storage.elf.ElfBuilder;
import org.javisor.storage.packages.ArchiveFormatException;
import org.junit.jupiter.api.Test;

class ModuleTreeTest {
  static byte[] module(String... info) {
    return new ElfBuilder()
        .section(
            ".modinfo", 1, (String.join("\0", info) + "\0").getBytes(StandardCharsets.US_ASCII))
        .build();
  }

  private static ModuleTree tree() throws IOException {
    ModuleTree tree = new ModuleTree();
    tree.add(
        "kernel/drivers/virtio/virtio_pci.ko",
        module("alias=pci:v00001AF4d*sv*sd*bc*sc*i*", "depends=virtio,virtio-ring"));
    tree.add("kernel/drivers/virtio/virtio.ko", module("depends=virtio_ring"));
    tree.add("kernel/drivers/virtio/virtio_ring.ko", module("depends="));
    tree.add("kernel/fs/ext4/ext4.ko", module("depends=", "softdep=pre: crc32c post: late"));
    tree.add("kernel/crypto/crc32c_generic.ko", module("alias=crc32c", "depends="));
    tree.add("kernel/late.ko", module("depends="));
    tree.add("kernel/other.ko", module("depends=missing"));
    return tree;
  }

  @Test
  void modulesDepListsEachModuleBeforeWhatItNeeds() throws Exception {
    String dep = tree().modulesDep();
    // modprobe loads a line from right to left.
    assertTrue(
        dep.contains(
            "kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio.ko"
                + " kernel/drivers/virtio/virtio_ring.ko\n"),
        dep);
    assertTrue(dep.contains("kernel/drivers/virtio/virtio_ring.ko:\n"));
    assertTrue(dep.contains("kernel/other.ko:\n"), "what is built in or missing is left out");
  }

  @Test
  void aSharedDependencyComesLastThoughItIsNamedFirst() throws Exception {
    ModuleTree tree = new ModuleTree();
    tree.add("a.ko", module("depends=d,b"));
    tree.add("b.ko", module("depends=c"));
    tree.add("c.ko", module("depends=d"));
    tree.add("d.ko", module("depends="));
    assertTrue(tree.modulesDep().contains("a.ko: b.ko c.ko d.ko\n"), tree.modulesDep());
  }

  @Test
  void cyclesEnd() throws Exception {
    ModuleTree tree = new ModuleTree();
    tree.add("a.ko", module("depends=b"));
    tree.add("b.ko", module("depends=a"));
    assertEquals("a.ko: b.ko\nb.ko: a.ko\n", tree.modulesDep());
  }

  @Test
  void aliasesNameTheModule() throws Exception {
    assertTrue(tree().modulesAlias().contains("alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\n"));
  }

  @Test
  void closureTakesDependenciesAndSoftOnesByAlias() throws Exception {
    List<String> names =
        tree().closure(List.of("virtio-pci", "ext4", "not_there")).modules().stream()
            .map(ModuleTree.Module::name)
            .toList();
    assertEquals(List.of("crc32c_generic", "ext4", "virtio", "virtio_pci", "virtio_ring"), names);
  }

  @Test
  void packedModulesAreUnpacked() throws Exception {
    byte[] plain = module("depends=virtio");
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (GZIPOutputStream gzip = new GZIPOutputStream(packed)) {
      gzip.write(plain);
    }
    ModuleTree tree = new ModuleTree();
    tree.add("kernel/x-y.ko.gz", packed.toByteArray());
    ModuleTree.Module module = tree.module("x_y").orElseThrow();
    assertEquals("kernel/x-y.ko", module.path());
    assertEquals(List.of("virtio"), module.depends());
    assertArrayEquals(plain, module.contents());
  }

  @Test
  void whatIsNoModuleIsRefused() {
    ModuleTree tree = new ModuleTree();
    assertThrows(IOException.class, () -> tree.add("x.ko", new byte[100]));
    assertThrows(
        ArchiveFormatException.class,
        () -> tree.add("x.ko", new ElfBuilder().section(".text", 1, new byte[1]).build()));
  }
}
