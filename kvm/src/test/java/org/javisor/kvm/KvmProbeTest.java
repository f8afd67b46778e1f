package org.javisor.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.javisor.kvm.host.KvmDevice;
import org.javisor.kvm.host.KvmUnavailable;
import org.javisor.kvm.host.KvmUnavailable.Reason;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whether KVM can be had, and how it is said that it cannot. */
class KvmProbeTest {
  @TempDir private Path folder;

  private static KvmUnavailable refusal(Path device) {
    return assertThrows(KvmUnavailable.class, () -> KvmDevice.open(device).close());
  }

  /** Breaks if a missing device ends in another way than by a sentence and an advice. */
  @Test
  void aMissingDevice() {
    KvmUnavailable e = refusal(folder.resolve("kvm"));
    assertEquals(Reason.ABSENT, e.reason());
    assertEquals("there is no " + folder.resolve("kvm"), e.getMessage());
    assertTrue(e.advice().contains("kvm_intel"), e.advice());
  }

  /** Breaks if something that is no KVM is taken for one. */
  @Test
  void notKvm() throws IOException {
    Path file = Files.createFile(folder.resolve("kvm"));
    for (Path path : List.of(file, Path.of("/dev/null"))) {
      KvmUnavailable e = refusal(path);
      assertEquals(Reason.BROKEN, e.reason());
      assertTrue(e.getMessage().contains(path + " is no KVM"), e.getMessage());
      assertTrue(e.advice().contains("mknod " + path + " c 10 232"), e.advice());
      KvmProbe.Result found = KvmProbe.afresh(path, folder);
      assertFalse(found.usable());
      assertEquals("interface", found.failedProbe());
      assertEquals(e.getMessage(), found.reason());
      assertEquals(IrqChip.USER, found.irqChip());
      assertEquals(e.getMessage(), found.whyNotKernel());
    }
    assertEquals("device", KvmProbe.afresh(folder.resolve("none"), folder).failedProbe());
  }

  /** Breaks if the probe and its memory disagree, or nothing is remembered. */
  @Test
  void theProbeIsRemembered() throws IOException {
    HostKvm.accelerator();
    KvmProbe.Result found = KvmProbe.remembered(folder);
    assertTrue(Files.exists(folder.resolve("kvm-probe")));
    assertEquals(found, KvmProbe.remembered(folder));
    assertEquals(found, KvmProbe.afresh(folder));
    assertEquals(found.usable(), found.failedProbe().isEmpty());
    assertEquals(found.usable(), found.reason().isEmpty());
    assertTrue(found.usable() || KvmProbe.selfTests().contains(found.failedProbe()));
    assertTrue(found.reason().lines().count() <= 1, found.reason());
    assertEquals(found.irqChip() == IrqChip.KERNEL, found.whyNotKernel().isEmpty());
  }

  /** Breaks if what another host or a broken file says is believed. */
  @Test
  void aForeignOrBrokenMemoryIsNotBelieved() throws IOException {
    HostKvm.accelerator();
    KvmProbe.Result found = KvmProbe.afresh(folder);
    Path file = folder.resolve("kvm-probe");
    List<String> lines = Files.readAllLines(file);
    String other = found.usable() ? "int" : "";
    for (List<String> foreign : List.of(
        List.of("another host", other, "x", "", ""),
        List.of(lines.getFirst()),
        List.of(lines.getFirst(), "no such test", "x", "", ""),
        List.of(lines.getFirst(), lines.get(1), lines.get(2), "no such test", "x"),
        List.<String>of())) {
      Files.write(file, foreign);
      assertEquals(found, KvmProbe.remembered(folder), foreign::toString);
    }
  }

  /** Breaks if a probe that cannot be remembered is no probe. */
  @Test
  void aCacheThatCannotBeWrittenIsDoneWithout() throws IOException {
    HostKvm.accelerator();
    Path file = Files.createFile(folder.resolve("file"));
    KvmProbe.Result found = KvmProbe.remembered(file.resolve("below"));
    assertFalse(found.usable() && !found.reason().isEmpty());
  }

  /**
   * Breaks if the kernel's controllers cannot be tested one by one, or a test passes that another one
   * of the same name fails.
   */
  @Test
  void theKernelsControllersAreTestedByUse() {
    HostKvm.needs("real-mode");
    KvmAccelerator accelerator = HostKvm.accelerator();
    assertEquals(
        IrqChipSelfTest.run(accelerator).isEmpty(),
        IrqChipSelfTest.steps().stream()
            .allMatch(step -> IrqChipSelfTest.run(accelerator, step).isEmpty()));
  }

  /** Breaks if a self-test that is asked for by a wrong name passes. */
  @Test
  void anUnknownSelfTest() {
    KvmAccelerator accelerator = HostKvm.accelerator();
    assertThrows(
        IllegalArgumentException.class, () -> KvmSelfTest.run(accelerator, "no-such-test"));
  }
}
