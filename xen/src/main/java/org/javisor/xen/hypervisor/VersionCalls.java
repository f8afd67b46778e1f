package org.javisor.xen.hypervisor;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** {@code xen_version} (public/version.h). */
final class VersionCalls implements HypercallFamily {
  @Override
  public long call(Call call) throws GuestArguments.BadPointer {
    return switch (call.int32(0)) {
      case 0 -> (long) Hypervisor.VERSION_MAJOR << 16 | Hypervisor.VERSION_MINOR;
      case 1 -> text(call, 16, Hypervisor.VERSION_EXTRA);
      case 2 -> compileInfo(call);
      case 3 -> text(call, 1024, "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ");
      case 4 -> text(call, 64, "");
      case 5 -> platformParameters(call);
      case 6 -> features(call);
      case 7 -> 4096;
      case 8 -> guestHandle(call);
      case 9 -> text(call, 1024, "");
      case 10 -> Errno.ENODATA; // The program has no build id.
      default -> Errno.ENOSYS;
    };
  }

  private static long text(Call call, int size, String text) throws GuestArguments.BadPointer {
    byte[] bytes = Arrays.copyOf(text.getBytes(StandardCharsets.US_ASCII), size);
    bytes[size - 1] = 0;
    call.memory().write(call.argument(1), bytes, 0, size);
    return 0;
  }

  /** Compiler, who compiled, where, when: 64, 16, 32 and 32 characters. */
  private static long compileInfo(Call call) throws GuestArguments.BadPointer {
    byte[] bytes = new byte[144];
    byte[] compiler = "javac 25".getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(compiler, 0, bytes, 0, compiler.length);
    call.memory().write(call.argument(1), bytes, 0, bytes.length);
    return 0;
  }

  /** Where a PV guest finds the hypervisor's part of its address space. */
  private static long platformParameters(Call call) throws GuestArguments.BadPointer {
    Structure s = new Structure(8);
    s.put64(0, 0xffff_8000_0000_0000L);
    call.memory().write(call.argument(1), s);
    return 0;
  }

  private static long features(Call call) throws GuestArguments.BadPointer {
    Structure s = call.structure(1, 8);
    s.put32(4, s.u32(0) == 0 ? call.domain.features() : 0);
    call.memory().writeField(call.argument(1), s, 4, 4);
    return s.u32(0) == 0 ? 0 : Errno.EINVAL;
  }

  private static long guestHandle(Call call) throws GuestArguments.BadPointer {
    Structure s = new Structure(16);
    var uuid = call.domain.config().uuid();
    s.put64(0, Long.reverseBytes(uuid.getMostSignificantBits()));
    s.put64(8, Long.reverseBytes(uuid.getLeastSignificantBits()));
    call.memory().write(call.argument(1), s);
    return 0;
  }
}
