package org.javisor.interp.silicon;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.ref.Reference;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;
import org.javisor.isa.CpuFeature;
import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/** Enters emitted code, and knows whether this host can and which instructions it has. */
final class HostCode {
  private static final CodeMemory MEMORY = new CodeMemory();

  /**
   * {@code int enter(long code, long block, long)}: jumps to {@code code} with the block in RSI. The
   * third is for having the same shape as the translator's: the JVM makes classes for each shape.
   */
  private static final MethodHandle ENTER;

  /** What ENTER calls; kept from being given back. */
  @SuppressWarnings("unused") private static final CodeMemory.Code DISPATCHER;

  /** Why emitted code cannot run here, or null. */
  private static final String UNAVAILABLE;

  private static final Set<CpuFeature> FEATURES = EnumSet.noneOf(CpuFeature.class);

  static {
    MethodHandle enter = null;
    CodeMemory.Code own = null;
    String reason = null;
    String arch = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
    if (!arch.equals("amd64") && !arch.equals("x86_64")) {
      reason = "the host is no x86-64 but " + arch;
    } else if (!System.getProperty("os.name").equals("Linux")) {
      // Stubs follow the System V calling convention and live in a memfd.
      reason = "stubs need Linux";
    } else if (!HostMemory.hasMemfd()) {
      reason = "the host has no memfd_create";
    } else {
      try {
        byte[] dispatcher = {(byte) 0xff, (byte) 0xe7}; // jmp rdi
        own = MEMORY.add(dispatcher, dispatcher.length);
        enter =
            Linker.nativeLinker()
                .downcallHandle(
                    RawMemory.segment(own.address(), dispatcher.length),
                    FunctionDescriptor.of(
                        ValueLayout.JAVA_INT,
                        ValueLayout.JAVA_LONG,
                        ValueLayout.JAVA_LONG,
                        ValueLayout.JAVA_LONG));
      } catch (RuntimeException e) {
        reason = "no executable memory: " + e.getMessage();
      }
    }
    ENTER = enter;
    DISPATCHER = own;
    UNAVAILABLE = reason;
    if (reason == null) {
      probe();
    }
  }

  private HostCode() {}

  static String unavailable() {
    return UNAVAILABLE;
  }

  static Set<CpuFeature> features() {
    return FEATURES;
  }

  static CodeMemory.Code add(byte[] code, int length) {
    return MEMORY.add(code, length);
  }

  /** How much code has been made so far, in MiB; some of it may be gone. */
  static int made() {
    return MEMORY.segments();
  }

  /** Enters code that the caller keeps reachable. */
  static int enter(long code, long block) {
    try {
      return (int) ENTER.invokeExact(code, block, 0L);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Asks CPUID for every feature, and XCR0 whether the host's system saves the high halves. */
  private static void probe() {
    // push rbx; mov eax,[rsi]; mov ecx,[rsi+4]; cpuid; mov [rsi],eax; mov [rsi+4],ebx;
    // mov [rsi+8],ecx; mov [rsi+12],edx; pop rbx; ret
    CodeMemory.Code cpuid = code("53 8B06 8B4E04 0FA2 8906 895E04 894E08 89560C 5B C3");
    // xor ecx,ecx; xgetbv; ret
    CodeMemory.Code xgetbv = code("31C9 0F01D0 C3");
    long buffer =
        HostMemory.mapAnonymous(4096, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
    long basic = leaf(cpuid, buffer, 0, 0, 0);
    long extended = leaf(cpuid, buffer, 0x8000_0000, 0, 0);
    for (CpuFeature feature : CpuFeature.values()) {
      long highest = feature.leaf() < 0 ? extended : basic;
      if (Integer.toUnsignedLong(feature.leaf()) <= highest
          && (leaf(cpuid, buffer, feature.leaf(), feature.subleaf(), feature.register()) >> feature
              .bit()
              & 1) != 0) {
        FEATURES.add(feature);
      }
    }
    if (!FEATURES.contains(CpuFeature.OSXSAVE) || (enter(xgetbv.address(), buffer) & 6) != 6) {
      FEATURES.remove(CpuFeature.AVX);
      FEATURES.remove(CpuFeature.AVX2);
      FEATURES.remove(CpuFeature.FMA);
      FEATURES.remove(CpuFeature.F16C);
    }
    Reference.reachabilityFence(xgetbv);
    HostMemory.unmap(buffer, 4096);
  }

  private static long leaf(CodeMemory.Code cpuid, long buffer, int leaf, int subleaf,
      int register) {
    RawMemory.put32(buffer, leaf);
    RawMemory.put32(buffer + 4, subleaf);
    enter(cpuid.address(), buffer);
    Reference.reachabilityFence(cpuid);
    return RawMemory.get32(buffer + 4L * register) & 0xffff_ffffL;
  }

  private static CodeMemory.Code code(String hex) {
    byte[] bytes = java.util.HexFormat.of().parseHex(hex.replace(" ", ""));
    return add(bytes, bytes.length);
  }
}
