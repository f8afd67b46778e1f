package org.javisor.pc.loader;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.javisor.storage.elf.ElfFile;
import org.javisor.storage.elf.ElfFormatException;

/**
 * What a kernel tells Xen about itself: ELF notes of owner "Xen", or the older {@code __xen_guest}
 * section of {@code NAME=VALUE} pairs. Source: Xen public/elfnote.h.
 */
final class XenNotes {
  static final String ENTRY = "ENTRY";
  static final String XEN_VERSION = "XEN_VERSION";
  static final String SUPPORTED_FEATURES = "SUPPORTED_FEATURES";
  static final String PHYS32_ENTRY = "PHYS32_ENTRY";

  private static final String[] NAMES = {
    "INFO",
    "ENTRY",
    "HYPERCALL_PAGE",
    "VIRT_BASE",
    "PADDR_OFFSET",
    "XEN_VERSION",
    "GUEST_OS",
    "GUEST_VERSION",
    "LOADER",
    "PAE_MODE",
    "FEATURES",
    "BSD_SYMTAB",
    "HV_START_LOW",
    "L1_MFN_VALID",
    "SUSPEND_CANCEL",
    "INIT_P2M",
    "MOD_START_PFN",
    "SUPPORTED_FEATURES",
    "PHYS32_ENTRY",
    "PHYS32_RELOC"
  };

  private static final String LEGACY_SECTION = "__xen_guest";
  private static final int MAX_LEGACY = 4096;

  private final Map<String, String> values;
  private final boolean legacy;

  private XenNotes(Map<String, String> values, boolean legacy) {
    this.values = values;
    this.legacy = legacy;
  }

  static XenNotes read(ElfFile elf, List<ElfFile.Note> notes) {
    Map<String, String> values = new LinkedHashMap<>();
    for (ElfFile.Note note : notes) {
      if (note.owner().equals("Xen") && note.type() >= 0 && note.type() < NAMES.length) {
        values.put(NAMES[note.type()], text(note));
      }
    }
    if (!values.isEmpty()) {
      return new XenNotes(values, false);
    }
    return legacy(elf).orElse(new XenNotes(values, false));
  }

  private static String text(ElfFile.Note note) {
    boolean isText =
        switch (NAMES[note.type()]) {
          case "XEN_VERSION", "GUEST_OS", "GUEST_VERSION", "LOADER", "PAE_MODE", "FEATURES" -> true;
          default -> false;
        };
    byte[] bytes = note.contents();
    if (isText) {
      return new String(bytes, StandardCharsets.ISO_8859_1).replaceAll("[^ -~].*", "");
    }
    ByteBuffer value = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    return switch (bytes.length) {
      case 4 -> "0x%x".formatted(value.getInt());
      case 8 -> "0x%x".formatted(value.getLong());
      default -> bytes.length + " bytes";
    };
  }

  private static Optional<XenNotes> legacy(ElfFile elf) {
    Optional<ElfFile.Section> section = elf.section(LEGACY_SECTION);
    if (section.isEmpty()) {
      return Optional.empty();
    }
    MemorySegment data;
    try {
      data = elf.contents(section.get());
    } catch (ElfFormatException e) {
      return Optional.empty();
    }
    byte[] bytes =
        data.asSlice(0, Math.min(data.byteSize(), MAX_LEGACY)).toArray(ValueLayout.JAVA_BYTE);
    String text = new String(bytes, StandardCharsets.ISO_8859_1).replace('\0', ',');
    Map<String, String> values = new LinkedHashMap<>();
    for (String pair : text.split(",")) {
      int equals = pair.indexOf('=');
      if (equals > 0) {
        String name =
            switch (pair.substring(0, equals)) {
              case "XEN_VER" -> XEN_VERSION;
              case "GUEST_VER" -> "GUEST_VERSION";
              case "VIRT_ENTRY" -> ENTRY;
              case "PAE" -> "PAE_MODE";
              case "ELF_PADDR_OFFSET" -> "PADDR_OFFSET";
              case String other -> other;
            };
        values.put(
            name.replaceAll("[^ -~]", "?"), pair.substring(equals + 1).replaceAll("[^ -~]", "?"));
      }
    }
    return values.isEmpty() ? Optional.empty() : Optional.of(new XenNotes(values, true));
  }

  /** By name, in the file's order. */
  Map<String, String> values() {
    return values;
  }

  boolean has(String name) {
    return values.containsKey(name);
  }

  String value(String name) {
    return values.getOrDefault(name, "");
  }

  /** Whether they come from the section that notes have replaced. */
  boolean legacy() {
    return legacy;
  }
}
