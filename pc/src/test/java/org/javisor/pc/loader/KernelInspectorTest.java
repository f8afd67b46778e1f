package org.javisor.pc.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.javisor.pc.loader.KernelReport.Ability;
import org.javisor.pc.loader.KernelReport.Verdict;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KernelInspectorTest {
  private static final byte[] FEATURES = {1, (byte) 0x88, 0, 0};
  private static final byte[] ENTRY = {0, 0, 0, (byte) 0x83, -1, -1, -1, -1};
  private static final byte[] PVH = {0x50, 8, 0, 1, 0, 0, 0, 0};

  @TempDir Path folder;

  private KernelReport inspect(byte[] file) throws Exception {
    return KernelInspector.inspect(Files.write(folder.resolve("vmlinuz-6.1.0-test"), file));
  }

  private static Verdict verdict(KernelReport report, Ability ability) {
    return report.answers().get(ability).verdict();
  }

  private static TestKernels.Elf xenKernel() {
    return TestKernels.vmlinux()
        .note("Xen", 1, ENTRY)
        .note("Xen", 5, "xen-3.0\0".getBytes())
        .note("Xen", 17, FEATURES)
        .note("Xen", 18, PVH);
  }

  private static byte[] withSymbols(TestKernels.Elf elf, String... names) {
    List<String> symbols = KallsymsTest.symbols(300);
    symbols.set(3, "start_kernel");
    symbols.set(7, "load_module");
    for (int i = 0; i < names.length; i++) {
      symbols.set(20 + i, names[i]);
    }
    return elf.load(TestKernels.LOAD + 0x400000, TestKernels.kallsyms(symbols, 8, false)).build();
  }

  @Test
  void dom0ComesFromTheSymbolTableNotFromTheNote() throws Exception {
    byte[] dom0 =
        withSymbols(xenKernel(), "xen_pcpu_init", "xen_hvm_guest_init", "virtio_dev_probe");
    KernelReport yes = inspect(TestKernels.bzImage(TestKernels.gzip(dom0)));
    for (Ability ability : Ability.values()) {
      assertEquals(Verdict.YES, verdict(yes, ability), yes.text());
    }
    assertEquals("0x8801", yes.xenNotes().get("SUPPORTED_FEATURES"));
    assertEquals("300 names", yes.facts().get("symbol table"));
    assertTrue(yes.facts().get("version").startsWith("Linux version 6.1.0-test"));

    byte[] guestOnly = withSymbols(xenKernel(), "xen_hvm_guest_init", "virtio_check_mem_acc_cb");
    KernelReport no = inspect(TestKernels.bzImage(TestKernels.gzip(guestOnly)));
    assertEquals(Verdict.NO, verdict(no, Ability.XEN_DOM0), no.text());
    assertEquals(Verdict.YES, verdict(no, Ability.XEN_PV_GUEST));
    assertEquals(Verdict.YES, verdict(no, Ability.VIRTIO_GUEST));
    assertTrue(no.text().contains("that alone proves nothing"));
  }

  @Test
  void withoutSymbolsAndConfigurationItSaysUnknown() throws Exception {
    KernelReport report = inspect(xenKernel().build());
    assertEquals(Verdict.UNKNOWN, verdict(report, Ability.XEN_DOM0), report.text());
    assertEquals(Verdict.UNKNOWN, verdict(report, Ability.VIRTIO_GUEST));
    assertEquals(Verdict.YES, verdict(report, Ability.XEN_PVH_GUEST));
  }

  @Test
  void textsServeWhereTheSymbolTableIsMissing() throws Exception {
    byte[] text = "\0014Failed to register pcpu subsys\0".getBytes();
    KernelReport report = inspect(xenKernel().load(TestKernels.LOAD + 0x400000, text).build());
    assertEquals(Verdict.YES, verdict(report, Ability.XEN_DOM0), report.text());
  }

  @Test
  void aConfigurationBesideItAnswersWhatTheImageDoesNot() throws Exception {
    Files.writeString(folder.resolve("config-6.1.0-test"), config("CONFIG_XEN_DOM0=y\n"));
    KernelReport report = inspect(xenKernel().build());
    assertEquals(Verdict.YES, verdict(report, Ability.XEN_DOM0), report.text());
    assertEquals(Verdict.YES, verdict(report, Ability.VIRTIO_GUEST));
    assertTrue(report.facts().get("configuration").endsWith("beside it"));
    // What the image shows outweighs it.
    KernelReport image = inspect(withSymbols(xenKernel(), "virtio_dev_probe"));
    assertEquals(Verdict.NO, verdict(image, Ability.XEN_DOM0), image.text());
  }

  private static String config(String more) {
    StringBuilder config = new StringBuilder("# Linux/x86 6.1 Kernel Configuration\n");
    for (int i = 0; i < 60; i++) {
      config.append("CONFIG_OPTION_").append(i).append("=y\n");
    }
    return config + "CONFIG_VIRTIO_PCI=m\n# CONFIG_XEN_PVHVM is not set\n" + more;
  }

  @Test
  void ikconfigIsRead() throws Exception {
    ByteArrayOutputStream blob = new ByteArrayOutputStream();
    blob.writeBytes("IKCFG_ST but not here IKCFG_ST".getBytes());
    blob.writeBytes(
        TestKernels.gzip(config("CONFIG_XEN_DOM0=y\n").getBytes(StandardCharsets.US_ASCII)));
    blob.writeBytes("IKCFG_ED".getBytes());
    KernelReport report =
        inspect(xenKernel().load(TestKernels.LOAD + 0x400000, blob.toByteArray()).build());
    assertEquals(Verdict.YES, verdict(report, Ability.XEN_DOM0), report.text());
    assertEquals(Verdict.NO, verdict(report, Ability.XEN_HVM_PV_DRIVERS_GUEST));
    assertTrue(report.facts().get("configuration").contains("IKCONFIG"));
  }

  @Test
  void theOlderSectionIsRead() throws Exception {
    byte[] section =
        "GUEST_OS=linux,GUEST_VER=2.6,XEN_VER=xen-3.0,VIRT_BASE=0xC0000000,PAE=yes,LOADER=generic\0"
            .getBytes();
    KernelReport report =
        inspect(
            new TestKernels.Elf(false, LinuxLoaderTest.MIB)
                .load(LinuxLoaderTest.MIB, "Linux version 2.6.18-xen (x) #1".getBytes())
                .section("__xen_guest", section)
                .build());
    assertEquals(Verdict.YES, verdict(report, Ability.XEN_PV_GUEST), report.text());
    assertEquals(Verdict.NO, verdict(report, Ability.XEN_PVH_GUEST));
    assertEquals("0xC0000000", report.xenNotes().get("VIRT_BASE"));
    assertEquals("32-bit", report.facts().get("code"));
  }

  @Test
  void theStructureIsMadeOfPlainValues() throws Exception {
    Map<String, Object> structure = inspect(xenKernel().build()).structure();
    assertEquals(
        List.of("file", "kind", "facts", "xenNotes", "canBe"), List.copyOf(structure.keySet()));
    Map<?, ?> canBe = (Map<?, ?>) structure.get("canBe");
    Map<?, ?> pv = (Map<?, ?>) canBe.get("xenPvGuest");
    assertEquals("yes", pv.get("answer"));
    assertTrue(((List<?>) pv.get("evidence")).getFirst().toString().contains("ENTRY"));
  }

  @Test
  void badFilesAreRefused() throws Exception {
    assertThrows(KernelFormatException.class, () -> inspect("nothing".getBytes()));
    byte[] ar = "!<arch>\ngarbage".getBytes();
    KernelFormatException e = assertThrows(KernelFormatException.class, () -> inspect(ar));
    assertEquals(KernelFormatException.Reason.DAMAGED, e.reason());
    assertThrows(
        KernelFormatException.class, () -> KernelInspector.inspect(folder.resolve("missing")));
  }
}
