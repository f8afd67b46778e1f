package org.javisor.bench;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * The kinds of virtual machines that {@code javisor bench xen} compares: the same kernel and
 * programs, one vCPU, a disk and a network card of the kind.
 */
enum KindUnderTest {
  PV("pv"),
  PVH("pvh"),
  HVM_PV("hvm-pv"),
  HVM("hvm"),
  VIRTIO("virtio"),
  QEMU("qemu");

  private static final int MEBIBYTES = 512;

  private final String label;

  KindUnderTest(String label) {
    this.label = label;
  }

  /** As options and reports name it. */
  String label() {
    return label;
  }

  boolean isDomain() {
    return this != VIRTIO && this != QEMU;
  }

  /** What a machine is made of. */
  record Parts(Path kernel, Path initrd, Path disk, String peer, String accelerator) {}

  private String commandLine(Parts parts) {
    String console = this == PV || this == PVH || this == HVM_PV ? "hvc0" : "ttyS0";
    return "console=" + console + " quiet rows_peer=" + parts.peer;
  }

  /** Of a domain, the configuration in xl's syntax. */
  String configuration(Parts parts) {
    boolean emulated = this == HVM;
    return String.format(
        Locale.ROOT,
        """
        name = "bench-%s"
        type = "%s"
        memory = %d
        vcpus = 1
        kernel = "%s"
        ramdisk = "%s"
        extra = "%s"
        disk = [ '%s,raw,%s,w' ]
        vif = [ '%snet=user,host-loopback' ]
        %s
        """,
        label,
        this == PV || this == PVH ? label : "hvm",
        MEBIBYTES,
        parts.kernel,
        parts.initrd,
        commandLine(parts),
        parts.disk,
        emulated ? "hda" : "xvda",
        emulated ? "model=e1000," : "",
        emulated ? "xen_platform_pci = 0\nserial = \"pty\"" : "");
  }

  /**
   * What starts it, its console on the standard streams.
   *
   * @param file of a domain's configuration
   */
  List<String> command(Path launcher, Parts parts, Path file) {
    List<String> command = new ArrayList<>();
    switch (this) {
      case VIRTIO -> command.addAll(
          List.of(
              launcher.toString(), "run", "--name", name(), "--accel", parts.accelerator, "--cpus",
              "1", "--memory", MEBIBYTES + "M", "--no-reboot", "--kernel",
              parts.kernel.toString(), "--initrd", parts.initrd.toString(), "--append",
              commandLine(parts), "--disk", parts.disk + ",format=raw", "--net",
              "user,host-loopback"));
      case QEMU -> command.addAll(
          List.of(
              SideBySide.QEMU_PROGRAM, "-M", "pc", "-cpu", "qemu64", "-m",
              Integer.toString(MEBIBYTES), "-accel", "tcg,thread=single", "-nodefaults",
              "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel",
              parts.kernel.toString(), "-initrd", parts.initrd.toString(), "-append",
              commandLine(parts), "-drive", "file=" + parts.disk + ",if=ide,format=raw", "-netdev",
              "user,id=net", "-device", "e1000,netdev=net"));
      default -> command.addAll(
          List.of(
              launcher.toString(), "create", "-c", "--accel", parts.accelerator, file.toString()));
    }
    return command;
  }
}
