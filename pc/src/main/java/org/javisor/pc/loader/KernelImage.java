package org.javisor.pc.loader;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.javisor.storage.elf.ElfFile;
import org.javisor.storage.elf.ElfFormatException;
import org.javisor.storage.image.KernelPayload;
import org.javisor.storage.image.SegmentInputStream;
import org.javisor.storage.packages.Compression;

/**
 * A kernel file, mapped. What is inside a bzImage is unpacked when it is first asked for, outside
 * the Java heap. Close it when the kernel is loaded: that gives the memory back.
 */
public final class KernelImage implements AutoCloseable {
  /** Xen public/elfnote.h: where PVH enters. */
  static final int XEN_ELFNOTE_PHYS32_ENTRY = 18;

  private static final int MAX_UNWRAPPED = 256 << 20;

  /** What a file is. */
  public enum Format {
    /** A Linux boot image: setup code, then a kernel that unpacks itself. */
    BZIMAGE,
    /** An ELF file. */
    ELF,
    /** Neither, but with a multiboot header that gives addresses. */
    MULTIBOOT_FLAT
  }

  private final Path path;
  private final Path unpackedPath;
  private final Arena arena;
  private final MemorySegment file;
  private final Compression wrapping;
  private final Format format;
  private final Optional<SetupHeader> setup;
  private final Optional<MultibootHeader> multiboot;
  private Optional<ElfFile> elf = Optional.empty();

  private KernelImage(
      Path path,
      Path unpackedPath,
      Arena arena,
      MemorySegment file,
      Compression wrapping,
      Format format,
      Optional<SetupHeader> setup,
      Optional<MultibootHeader> multiboot) {
    this.path = path;
    this.unpackedPath = unpackedPath;
    this.arena = arena;
    this.file = file;
    this.wrapping = wrapping;
    this.format = format;
    this.setup = setup;
    this.multiboot = multiboot;
  }

  /** Opens a kernel and tells its format. */
  public static KernelImage read(Path path) throws KernelFormatException {
    return read(path, null);
  }

  /**
   * Opens a bzImage whose payload was unpacked before.
   *
   * @param unpacked the payload's ELF file, or null
   */
  @SuppressWarnings("MustBeClosedChecker") // the image owns the arena and closes it
  public static KernelImage read(Path path, Path unpacked) throws KernelFormatException {
    Arena arena = Arena.ofShared();
    boolean opened = false;
    try {
      KernelImage image = open(path, unpacked, arena);
      opened = true;
      return image;
    } finally {
      if (!opened) {
        arena.close();
      }
    }
  }

  private static KernelImage open(Path path, Path unpacked, Arena arena)
      throws KernelFormatException {
    MemorySegment file = Blob.map(path, arena);
    Compression wrapping = Compression.detect(head(file, Compression.HEAD));
    if (wrapping != Compression.NONE) {
      // Boot loaders unpack a compressed kernel file as a whole: Xen comes as xen.gz.
      file = unpackWhole(path, file, wrapping, arena);
    }
    Optional<MultibootHeader> multiboot = MultibootHeader.find(file);
    if (KernelPayload.isBootImage(file)) {
      SetupHeader header = SetupHeader.read(file, path.toString());
      return new KernelImage(
          path, unpacked, arena, file, wrapping, Format.BZIMAGE, Optional.of(header), multiboot);
    }
    if (ElfFile.matches(head(file, 4))) {
      KernelImage image =
          new KernelImage(
              path, null, arena, file, wrapping, Format.ELF, Optional.empty(), multiboot);
      image.elf = Optional.of(image.parse(file, path.toString()));
      return image;
    }
    if (multiboot.isPresent() && multiboot.get().hasAddresses()) {
      return new KernelImage(
          path, null, arena, file, wrapping, Format.MULTIBOOT_FLAT, Optional.empty(), multiboot);
    }
    throw new KernelFormatException(
        Reason.NOT_A_KERNEL,
        path
            + (file.byteSize() == 0 ? " is empty" : " is no kernel")
            + ": a Linux bzImage, an ELF kernel or a multiboot kernel expected");
  }

  private static byte[] head(MemorySegment file, int length) {
    return file.asSlice(0, Math.min(length, file.byteSize())).toArray(ValueLayout.JAVA_BYTE);
  }

  private static MemorySegment unpackWhole(
      Path path, MemorySegment file, Compression compression, Arena arena)
      throws KernelFormatException {
    try (InputStream in = compression.open(new SegmentInputStream(file))) {
      byte[] bytes = in.readNBytes(MAX_UNWRAPPED + 1);
      if (bytes.length > MAX_UNWRAPPED) {
        throw new IOException("more than " + MAX_UNWRAPPED + " bytes");
      }
      MemorySegment copy = arena.allocate(Math.max(bytes.length, 1), 8).asSlice(0, bytes.length);
      MemorySegment.copy(bytes, 0, copy, ValueLayout.JAVA_BYTE, 0, bytes.length);
      return copy.asReadOnly();
    } catch (IOException | RuntimeException e) {
      throw new KernelFormatException(
          Reason.DAMAGED,
          path
              + " begins as a "
              + compression.label()
              + " file but does not unpack ("
              + e.getMessage()
              + "): a whole file expected",
          e);
    }
  }

  private ElfFile parse(MemorySegment data, String name) throws KernelFormatException {
    if (!ElfFile.matches(head(data, 4))) {
      throw new KernelFormatException(
          Reason.NOT_A_KERNEL, name + " is no ELF file: an x86 ELF kernel expected");
    }
    ElfFile parsed;
    try {
      parsed = ElfFile.parse(data);
      for (ElfFile.Segment segment : parsed.segments()) {
        if (segment.type() == ElfFile.PT_LOAD) {
          parsed.contents(segment);
        }
      }
    } catch (ElfFormatException e) {
      throw new KernelFormatException(Reason.DAMAGED, name + ": " + e.getMessage(), e);
    }
    boolean known =
        parsed.is64()
            ? parsed.machine() == ElfFile.EM_X86_64
            : parsed.machine() == ElfFile.EM_386 || parsed.machine() == ElfFile.EM_X86_64;
    if (!known) {
      throw new KernelFormatException(
          Reason.UNSUPPORTED,
          name
              + " is an ELF file for machine "
              + parsed.machine()
              + ": one for x86 (3 or 62) expected");
    }
    if (parsed.segments().stream().anyMatch(s -> s.type() == ElfFile.PT_INTERP)) {
      throw new KernelFormatException(
          Reason.NOT_A_KERNEL,
          name
              + " is a program for an operating system (it names an ELF interpreter): a kernel"
              + " expected");
    }
    if (parsed.segments().stream().noneMatch(s -> s.type() == ElfFile.PT_LOAD)) {
      throw new KernelFormatException(
          Reason.NOT_A_KERNEL,
          name + " is an ELF file that loads nothing: an executable kernel expected");
    }
    return parsed;
  }

  public Path path() {
    return path;
  }

  public Format format() {
    return format;
  }

  /** How the file as a whole is compressed, as {@code xen.gz} is; usually not at all. */
  public Compression wrapping() {
    return wrapping;
  }

  /** A bzImage's setup header. */
  public Optional<SetupHeader> setup() {
    return setup;
  }

  public Optional<MultibootHeader> multiboot() {
    return multiboot;
  }

  /** The file, unpacked if it was wrapped. */
  MemorySegment file() {
    return file;
  }

  /** A bzImage's payload; empty where its protocol names none. */
  public Optional<KernelPayload> payload() throws KernelFormatException {
    if (setup.isEmpty() || setup.get().version() < 0x208 || !setup.get().hasPayload()) {
      return Optional.empty();
    }
    try {
      return Optional.of(KernelPayload.find(file));
    } catch (IOException e) {
      throw new KernelFormatException(Reason.DAMAGED, path + ": " + e.getMessage(), e);
    }
  }

  /** The kernel as an ELF file: the file itself, or what a bzImage holds. */
  public Optional<ElfFile> elf() throws KernelFormatException {
    if (elf.isEmpty() && format == Format.BZIMAGE) {
      Optional<KernelPayload> payload = payload();
      if (payload.isPresent()) {
        elf = Optional.of(unpacked(payload.get()));
      }
    }
    return elf;
  }

  private ElfFile unpacked(KernelPayload payload) throws KernelFormatException {
    if (unpackedPath != null) {
      MemorySegment kept = Blob.map(unpackedPath, arena);
      if (kept.byteSize() == payload.unpackedSize()) {
        return parse(kept, unpackedPath.toString());
      }
    }
    if (payload.compression() == Compression.NONE) {
      return parse(file.asSlice(payload.offset(), payload.length()), path + " (its payload)");
    }
    MemorySegment target = arena.allocate(Math.max(payload.unpackedSize(), 1), 4096);
    try {
      payload.unpack(file, target);
    } catch (IOException e) {
      boolean unsupported = payload.compression() == Compression.LZO;
      throw new KernelFormatException(
          unsupported ? Reason.UNSUPPORTED : Reason.DAMAGED, path + ": " + e.getMessage(), e);
    }
    return parse(target.asReadOnly(), path + " (its payload)");
  }

  /** Where the PVH note says to enter, if the kernel has that note. */
  public OptionalLong pvhEntry() throws KernelFormatException {
    Optional<ElfFile> kernel = elf();
    return kernel.isEmpty() ? OptionalLong.empty() : pvhEntry(notes(kernel.get()));
  }

  List<ElfFile.Note> notes(ElfFile kernel) throws KernelFormatException {
    try {
      return kernel.notes();
    } catch (ElfFormatException e) {
      throw new KernelFormatException(Reason.DAMAGED, path + ": " + e.getMessage(), e);
    }
  }

  private static OptionalLong pvhEntry(List<ElfFile.Note> notes) {
    for (ElfFile.Note note : notes) {
      if (note.owner().equals("Xen") && note.type() == XEN_ELFNOTE_PHYS32_ENTRY) {
        ByteBuffer value = ByteBuffer.wrap(note.contents()).order(ByteOrder.LITTLE_ENDIAN);
        if (value.remaining() == 8) {
          return OptionalLong.of(value.getLong());
        }
        if (value.remaining() == 4) {
          return OptionalLong.of(value.getInt() & 0xffffffffL);
        }
      }
    }
    return OptionalLong.empty();
  }

  /** The protocol that {@link BootProtocol#AUTO} stands for. */
  public BootProtocol bestProtocol() throws KernelFormatException {
    switch (format) {
      case MULTIBOOT_FLAT -> {
        return BootProtocol.MULTIBOOT;
      }
      case ELF -> {
        if (pvhEntry().isPresent()) {
          return BootProtocol.PVH;
        }
        if (multiboot.isPresent()) {
          return BootProtocol.MULTIBOOT;
        }
        if (elf.orElseThrow().is64()) {
          return BootProtocol.LINUX_64;
        }
        throw new KernelFormatException(
            Reason.UNSUPPORTED,
            path
                + " is a 32-bit ELF file with neither a PVH note nor a multiboot header: one of"
                + " them expected");
      }
      case BZIMAGE -> {
        SetupHeader header = setup.orElseThrow();
        Optional<KernelPayload> payload = payload();
        boolean unpackable = payload.isPresent() && payload.get().compression() != Compression.LZO;
        if (header.entersIn64Bit()) {
          return unpackable && holds64BitElf()
              ? BootProtocol.LINUX_64
              : BootProtocol.LINUX_64_SELF_UNPACKING;
        }
        return (header.loadflags() & SetupHeader.LOADED_HIGH) != 0
            ? BootProtocol.LINUX_32
            : BootProtocol.LINUX_REAL_MODE;
      }
    }
    throw new AssertionError(format);
  }

  private boolean holds64BitElf() throws KernelFormatException {
    try {
      return elf().orElseThrow().is64();
    } catch (KernelFormatException e) {
      if (e.reason() == Reason.NOT_A_KERNEL) {
        return false; // Its own code knows what it is.
      }
      throw e;
    }
  }

  @Override
  public void close() {
    arena.close();
  }
}
