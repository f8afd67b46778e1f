package org.javisor.xen.toolstack;

import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.accelerator.state.StateReader;
import org.javisor.accelerator.state.file.SaveFile;
import org.javisor.accelerator.state.file.SaveFileWriter;
import org.javisor.memory.FrameArena;
import org.javisor.network.MacAddress;

/** A domain that has been saved: what it was made of, everything else of it, and its pages. */
final class SavedGuest {
  static final String SECTION = "domain";

  private final byte[] bytes;
  private final StateReader state;
  private final Made record;
  private final FrameArena pages;

  /**
   * What a domain was made of.
   *
   * @param macs of its cards, in their order
   */
  record Made(
      String name, String uuid, String file, String config, String base, List<String> macs) {
    static final StateFormat<Made> FORMAT = StateFormat.of("domain", 1, Made.class);

    static Made of(GuestDomain guest, List<MacAddress> macs) {
      GuestConfig.Source source = guest.config().source();
      return new Made(
          guest.name(),
          guest.uuid().toString(),
          source.file(),
          source.text(),
          source.base().toAbsolutePath().toString(),
          macs.stream().map(MacAddress::toString).toList());
    }

    /** The configuration, read again. */
    GuestConfig parse() throws StateException {
      try {
        return GuestConfig.parse(file, config, Path.of(base), warning -> {});
      } catch (ConfigException | InvalidPathException e) {
        throw new StateException(e.getMessage(), e);
      }
    }

    UUID id() throws StateException {
      try {
        return UUID.fromString(uuid);
      } catch (IllegalArgumentException e) {
        throw new StateException("'" + uuid + "' is no UUID", e);
      }
    }
  }

  /** What {@link org.javisor.accelerator.state.StateWriter} has collected, and the pages. */
  SavedGuest(byte[] bytes, FrameArena pages) throws StateException {
    this.bytes = bytes;
    this.pages = pages;
    state = new StateReader(bytes);
    record = state.take(SECTION, Made.FORMAT);
  }

  Made record() {
    return record;
  }

  /** Everything but the pages and the record. */
  StateReader state() {
    return state;
  }

  FrameArena pages() {
    return pages;
  }

  /** Reads a file that {@link #write} has written. */
  static SavedGuest read(Path file) throws IOException, StateException {
    try (SaveFile saved = SaveFile.open(file)) {
      FrameArena pages = new FrameArena((long) saved.frames() * FrameArena.FRAME_SIZE);
      saved.load(pages);
      return new SavedGuest(saved.stateBytes(), pages);
    }
  }

  /** Writes all of it to a file; returns its size in bytes. */
  long write(Path file) throws IOException {
    return SaveFileWriter.write(file, bytes, pages);
  }
}
