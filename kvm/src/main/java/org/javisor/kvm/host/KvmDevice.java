package org.javisor.kvm.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.javisor.kvm.host.KvmUnavailable.Reason;

/** {@code /dev/kvm} itself, opened and found to be what is needed. */
public final class KvmDevice implements AutoCloseable {
  public static final Path PATH = Path.of("/dev/kvm");

  /** No host reports more; the kernel says so if one does. */
  private static final int MAX_CPUID_ENTRIES = 256;

  private static final int MAX_MSRS = 1000;

  /** Without these nothing works; the kernels that lack one are more than ten years old, or no KVM. */
  private static final Map<Integer, String> NEEDED =
      new TreeMap<>(
          Map.ofEntries(
              Map.entry(KvmAbi.CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"),
              Map.entry(KvmAbi.CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"),
              Map.entry(KvmAbi.CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"),
              Map.entry(KvmAbi.CAP_MP_STATE, "KVM_CAP_MP_STATE"),
              Map.entry(
                  KvmAbi.CAP_DESTROY_MEMORY_REGION_WORKS,
                  "KVM_CAP_DESTROY_MEMORY_REGION_WORKS"),
              Map.entry(KvmAbi.CAP_USER_NMI, "KVM_CAP_USER_NMI"),
              Map.entry(KvmAbi.CAP_SET_GUEST_DEBUG, "KVM_CAP_SET_GUEST_DEBUG"),
              Map.entry(KvmAbi.CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"),
              Map.entry(KvmAbi.CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"),
              Map.entry(KvmAbi.CAP_XSAVE, "KVM_CAP_XSAVE"),
              Map.entry(KvmAbi.CAP_XCRS, "KVM_CAP_XCRS"),
              Map.entry(KvmAbi.CAP_GET_TSC_KHZ, "KVM_CAP_GET_TSC_KHZ"),
              Map.entry(KvmAbi.CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM"),
              Map.entry(KvmAbi.CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT")));

  private static final Set<PosixFilePermission> READ_AND_WRITE =
      Set.of(PosixFilePermission.GROUP_READ, PosixFilePermission.GROUP_WRITE);

  /** One answer of CPUID. */
  public record CpuidEntry(int leaf, int subleaf, int eax, int ebx, int ecx, int edx) {}

  private final KvmFd fd;

  private KvmDevice(KvmFd fd) {
    this.fd = fd;
  }

  /**
   * Opens the device.
   *
   * @throws KvmUnavailable if there is none, this user may not, or it lacks something needed
   */
  public static KvmDevice open() throws KvmUnavailable {
    return open(PATH);
  }

  /** Opens a device elsewhere: for tests of what is no KVM. */
  public static KvmDevice open(Path path) throws KvmUnavailable {
    if (!System.getProperty("os.arch").equals("amd64")
        || !System.getProperty("os.name").equals("Linux")) {
      throw new KvmUnavailable(
          Reason.ABSENT, "this host is no Linux on x86-64", "use a Linux host on x86-64");
    }
    int number = HostCalls.open(path.toString(), HostCalls.O_RDWR | HostCalls.O_CLOEXEC);
    if (number < 0) {
      throw refused(path, -number);
    }
    KvmDevice device = new KvmDevice(new KvmFd(number));
    try {
      device.check(path);
      return device;
    } catch (KvmUnavailable e) {
      device.close();
      throw e;
    }
  }

  /** Says in words why a device could not be opened. */
  static KvmUnavailable refused(Path path, int errno) {
    return switch (errno) {
      case Errno.ENOENT ->
          new KvmUnavailable(
              Reason.ABSENT,
              "there is no " + path,
              "load the module kvm_intel or kvm_amd, turn virtualisation on in the firmware, or"
                  + " pass " + path + " into the container");
      case Errno.EACCES, Errno.EPERM ->
          new KvmUnavailable(
              Reason.FORBIDDEN, "this user may not open " + path, permission(path));
      case Errno.ENODEV, Errno.ENXIO ->
          new KvmUnavailable(
              Reason.BROKEN,
              path + " has no module behind it: " + Errno.text(errno),
              "load the module kvm_intel or kvm_amd, and turn virtualisation on in the firmware");
      default ->
          new KvmUnavailable(
              Reason.BROKEN,
              path + " cannot be opened: " + Errno.text(errno),
              "see the kernel's log (dmesg)");
    };
  }

  /** What gets a user the permission: the device's group, if the group has it. */
  private static String permission(Path path) {
    try {
      PosixFileAttributes attributes = Files.readAttributes(path, PosixFileAttributes.class);
      if (attributes.permissions().containsAll(READ_AND_WRITE)) {
        return "add the user to group " + attributes.group().getName() + " and log in again";
      }
    } catch (IOException | UnsupportedOperationException e) {
      return "add the user to group kvm and log in again";
    }
    return "as root, chgrp kvm %s; chmod g+rw %s; then add the user to group kvm and log in again"
        .formatted(path, path);
  }

  private void check(Path path) throws KvmUnavailable {
    int version = fd.ioctl(KvmAbi.GET_API_VERSION, 0);
    if (version != KvmAbi.API_VERSION) {
      throw new KvmUnavailable(
          Reason.BROKEN,
          path + (version < 0
              ? " is no KVM: KVM_GET_API_VERSION gives " + Errno.text(-version)
              : " is of interface version " + version + ", 12 expected"),
          version < 0
              ? "load the module kvm_intel or kvm_amd and make it the device that it should be, mknod "
                  + path + " c 10 232"
              : "use a host whose kernel is 4.13 or newer");
    }
    for (Map.Entry<Integer, String> capability : NEEDED.entrySet()) {
      if (extension(capability.getKey()) == 0) {
        throw new KvmUnavailable(
            Reason.BROKEN,
            path + " lacks " + capability.getValue(),
            "use a host whose kernel is 4.13 or newer");
      }
    }
  }

  public int extension(int capability) {
    return fd.extension(capability);
  }

  /** Creates a virtual machine and returns its descriptor. */
  public KvmFd createVm() {
    return new KvmFd(fd.must("KVM_CREATE_VM", KvmAbi.CREATE_VM, 0));
  }

  /** Bytes of the structure that a vCPU shares with the kernel. */
  public int sharedSize() {
    return fd.must("KVM_GET_VCPU_MMAP_SIZE", KvmAbi.GET_VCPU_MMAP_SIZE, 0);
  }

  /** The CPUID answers that this host's KVM can give its guests. */
  public List<CpuidEntry> supportedCpuid() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment table =
          arena.allocate(KvmAbi.CPUID_HEADER + MAX_CPUID_ENTRIES * KvmAbi.CPUID_ENTRY, 8);
      table.set(ValueLayout.JAVA_INT, 0, MAX_CPUID_ENTRIES);
      fd.must("KVM_GET_SUPPORTED_CPUID", KvmAbi.GET_SUPPORTED_CPUID, table);
      List<CpuidEntry> entries = new ArrayList<>();
      int count = Math.clamp(table.get(ValueLayout.JAVA_INT, 0), 0, MAX_CPUID_ENTRIES);
      for (int i = 0; i < count; i++) {
        long at = KvmAbi.CPUID_HEADER + (long) i * KvmAbi.CPUID_ENTRY;
        entries.add(
            new CpuidEntry(
                table.get(ValueLayout.JAVA_INT, at),
                table.get(ValueLayout.JAVA_INT, at + 4),
                table.get(ValueLayout.JAVA_INT, at + 12),
                table.get(ValueLayout.JAVA_INT, at + 16),
                table.get(ValueLayout.JAVA_INT, at + 20),
                table.get(ValueLayout.JAVA_INT, at + 24)));
      }
      return entries;
    }
  }

  /** The model-specific registers that can be read and written from outside of the guest. */
  public List<Integer> transferableMsrs() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment table = arena.allocate(4 + 4L * MAX_MSRS, 8);
      table.set(ValueLayout.JAVA_INT, 0, MAX_MSRS);
      fd.must("KVM_GET_MSR_INDEX_LIST", KvmAbi.GET_MSR_INDEX_LIST, table);
      List<Integer> msrs = new ArrayList<>();
      int count = Math.clamp(table.get(ValueLayout.JAVA_INT, 0), 0, MAX_MSRS);
      for (int i = 1; i <= count; i++) {
        msrs.add(table.get(ValueLayout.JAVA_INT, 4L * i));
      }
      return msrs;
    }
  }

  @Override
  public void close() {
    fd.close();
  }
}
