package org.javisor.pc.loader;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.javisor.storage.image.KernelPayload;

/**
 * The setup header of a Linux bzImage. Source: Linux Documentation/arch/x86/boot.rst, "The
 * Real-Mode Kernel Header"; the offsets are those of the table there.
 */
public final class SetupHeader {
  static final int START = 0x1f1;
  static final int BOOT_FLAG = 0x1fe;
  static final int MAGIC = 0x202;
  static final int VERSION = 0x206;
  static final int TYPE_OF_LOADER = 0x210;
  static final int LOADFLAGS = 0x211;
  static final int CODE32_START = 0x214;
  static final int RAMDISK_IMAGE = 0x218;
  static final int RAMDISK_SIZE = 0x21c;
  static final int HEAP_END_PTR = 0x224;
  static final int CMD_LINE_PTR = 0x228;
  static final int INITRD_ADDR_MAX = 0x22c;
  static final int KERNEL_ALIGNMENT = 0x230;
  static final int RELOCATABLE = 0x234;
  static final int CMDLINE_SIZE = 0x238;

  /** The header can grow to here before the next field of boot_params. */
  private static final int LIMIT = 0x290;

  public static final int LOADED_HIGH = 1;
  public static final int KEEP_SEGMENTS = 0x40;
  public static final int CAN_USE_HEAP = 0x80;

  public static final int XLF_KERNEL_64 = 1;
  public static final int XLF_CAN_BE_LOADED_ABOVE_4G = 2;

  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt U32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong U64 =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final MemorySegment file;

  private SetupHeader(MemorySegment file) {
    this.file = file;
  }

  /** Reads and checks the header of a file for which {@link KernelPayload#isBootImage} holds. */
  static SetupHeader read(MemorySegment file, String name) throws KernelFormatException {
    SetupHeader header = new SetupHeader(file);
    if (header.version() < 0x202) {
      throw new KernelFormatException(
          Reason.UNSUPPORTED,
          "%s speaks boot protocol %s: 2.02 (Linux 2.4) or later expected"
              .formatted(name, header.versionText()));
    }
    long code = header.protectedModeOffset();
    long size = header.u32(0x1f4) * 16;
    // The size is in paragraphs, and images exist whose last one is cut short.
    if (code >= file.byteSize()
        || header.version() >= 0x204 && size - 15 > file.byteSize() - code) {
      throw new KernelFormatException(
          Reason.DAMAGED,
          "%s is truncated: a bzImage of %d bytes expected, the file has %d"
              .formatted(name, code + size, file.byteSize()));
    }
    return header;
  }

  private int u8(long offset) {
    return file.get(ValueLayout.JAVA_BYTE, offset) & 0xff;
  }

  private int u16(long offset) {
    return file.get(U16, offset) & 0xffff;
  }

  private long u32(long offset) {
    return file.get(U32, offset) & 0xffffffffL;
  }

  /** The protocol version, major in the high byte. */
  public int version() {
    return u16(VERSION);
  }

  public String versionText() {
    return "%d.%02d".formatted(version() >> 8, version() & 0xff);
  }

  public int loadflags() {
    return u8(LOADFLAGS);
  }

  public int xloadflags() {
    return version() >= 0x20c ? u16(0x236) : 0;
  }

  /** Whether the image has the 64-bit entry point. */
  public boolean entersIn64Bit() {
    return (xloadflags() & XLF_KERNEL_64) != 0;
  }

  public boolean relocatable() {
    return version() >= 0x205 && u8(RELOCATABLE) != 0;
  }

  /** The highest address that the last byte of the initramfs may have. */
  public long initrdAddressMax() {
    return version() >= 0x203 ? u32(INITRD_ADDR_MAX) : 0x37ffffff;
  }

  /** How long a command line may be, without its NUL. */
  public long commandLineSize() {
    return version() >= 0x206 ? u32(CMDLINE_SIZE) : 255;
  }

  /** Where the kernel would like to be, or 0. */
  public long preferredAddress() {
    return version() >= 0x20a ? file.get(U64, 0x258) : 0;
  }

  /** Memory it needs from where it runs until it knows the memory map, or 0 if it does not say. */
  public long initSize() {
    return version() >= 0x20a ? u32(0x260) : 0;
  }

  /** Whether the image names a payload: one that is no Linux may not. */
  boolean hasPayload() {
    return version() >= 0x208 && u32(0x24c) != 0;
  }

  public long code32Start() {
    return u32(CODE32_START);
  }

  /** Where in the file the protected-mode code begins, which is also the size of the setup. */
  public long protectedModeOffset() {
    return KernelPayload.protectedModeOffset(file);
  }

  MemorySegment setupCode() {
    return file.asSlice(0, protectedModeOffset());
  }

  MemorySegment protectedModeCode() {
    return file.asSlice(protectedModeOffset());
  }

  /** The bytes from {@link #START} on that belong into boot_params at the same offset. */
  byte[] bytes() {
    // The jump over the header at 0x200 tells its length: boot.rst, "64-bit Boot Protocol".
    int end = Math.min(MAGIC + u8(0x201), LIMIT);
    return file.asSlice(START, Math.max(end, 0x264) - START).toArray(ValueLayout.JAVA_BYTE);
  }

  /** The release and build text, or empty where the header points nowhere. */
  public String kernelVersion() {
    int pointer = u16(0x20e);
    if (pointer == 0) {
      return "";
    }
    long at = pointer + 0x200L;
    long end = Math.min(Math.min(file.byteSize(), protectedModeOffset()), at + 1024);
    StringBuilder text = new StringBuilder();
    while (at < end && u8(at) != 0) {
      text.append((char) u8(at++));
    }
    return new String(text.toString().getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8)
        .replaceAll("[^ -~]", "?");
  }
}
