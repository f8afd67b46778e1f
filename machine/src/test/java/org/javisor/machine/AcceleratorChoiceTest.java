package org.javisor.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Optional;
import org.javisor.kvm.IrqChip;
import org.javisor.kvm.KvmProbe;
import org.javisor.machine.MachineException.Reason;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Who executes a machine, on hosts of every kind. */
class AcceleratorChoiceTest {
  @TempDir private Path folder;

  /** Breaks if {@code auto} takes a KVM that does not work, or does not say why it takes another. */
  @Test
  void autoFallsBackAndSaysWhy() throws IOException {
    Path file = Files.createFile(folder.resolve("kvm"));
    for (KvmProbe.Result found : List.of(
        KvmProbe.afresh(folder.resolve("none"), folder),
        KvmProbe.afresh(file, folder),
        KvmProbe.afresh(Path.of("/dev/null"), folder),
        new KvmProbe.Result(
            false, "syscall", "/dev/kvm fails the self-test syscall (x)", "y", IrqChip.KERNEL,
            ""))) {
      AcceleratorChoice choice = AcceleratorChoice.automatic(found);
      assertTrue(
          List.of("jit", "interp").contains(choice.accelerator().name()), choice::toString);
      assertFalse(choice.chipsInKernel());
      assertTrue(choice.why().startsWith(found.reason()), choice.why());
      assertEquals(
          Optional.of("accelerator " + choice.fullName() + ": " + choice.why()),
          choice.announcement());
    }
  }

  private static String refusal(Path device) {
    MachineException e =
        assertThrows(
            MachineException.class, () -> AcceleratorChoice.kvm(device, Optional.empty()));
    assertEquals(Reason.HOST_REFUSED, e.reason());
    assertEquals(1, e.getMessage().lines().count());
    assertTrue(e.getMessage().startsWith("--accel kvm: "), e.getMessage());
    assertTrue(e.getMessage().endsWith("or take --accel auto"), e.getMessage());
    return e.getMessage();
  }

  /** Breaks if who asks for KVM gets another accelerator, or is not told what to do. */
  @Test
  void kvmThatIsAskedForIsRefusedInOneLine() throws IOException {
    assertTrue(refusal(folder.resolve("none")).contains("there is no " + folder.resolve("none")));
    assertTrue(refusal(Path.of("/dev/null")).contains("/dev/null is no KVM"));
    Path file = Files.createFile(folder.resolve("kvm"));
    assertTrue(refusal(file).contains("mknod " + file + " c 10 232"));
  }

  /** Breaks if a person without permission is told anything else. */
  @Test
  void aDeviceWithoutPermissionNamesTheGroup() throws IOException {
    Assumptions.assumeFalse(
        System.getProperty("user.name").equals("root"), "root may open every device");
    Path file = Files.createFile(folder.resolve("kvm"));
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("---rw----"));
    String group = Files.getAttribute(file, "posix:group").toString();
    assertTrue(refusal(file).contains("add the user to group " + group));
    assertEquals("permission", KvmProbe.afresh(file, folder).failedProbe());
  }

  /** Breaks if a name is taken for another, or the names are not told to who gives none of them. */
  @Test
  void namesOfAccelerators() throws MachineException {
    assertEquals("interp", AcceleratorChoice.of("interp", 1, line -> {}).fullName());
    MachineException e =
        assertThrows(
            MachineException.class, () -> AcceleratorChoice.of("kvm,irqchip=x", 1, line -> {}));
    assertEquals(
        "accelerator kvm,irqchip=x is not known: auto, interp, jit, check or kvm expected, or"
            + " kvm,irqchip=kernel or kvm,irqchip=user",
        e.getMessage());
    for (String name : List.of("kvm", "kvm,irqchip=kernel", "kvm,irqchip=user")) {
      assertThrows(MachineException.class, () -> AcceleratorChoice.forXen(name));
    }
  }
}
