package org.javisor.pc.loader;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.javisor.pc.loader.KernelFormatException.Reason;

/** Data for the guest: a file, mapped when it is copied, or bytes. */
public sealed interface Blob {
  /** A file; it is opened when the kernel is loaded. */
  record OfFile(Path path) implements Blob {}

  /** Bytes; not copied, the caller leaves them alone. */
  record OfBytes(byte[] bytes) implements Blob {}

  static Blob file(Path path) {
    return new OfFile(path);
  }

  static Blob bytes(byte[] bytes) {
    return new OfBytes(bytes);
  }

  /** The data, valid while the arena is. */
  default MemorySegment open(Arena arena) throws KernelFormatException {
    return switch (this) {
      case OfBytes(byte[] bytes) -> MemorySegment.ofArray(bytes).asReadOnly();
      case OfFile(Path path) -> map(path, arena);
    };
  }

  /** Maps a file for reading. */
  static MemorySegment map(Path path, Arena arena) throws KernelFormatException {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
    } catch (java.nio.file.NoSuchFileException e) {
      throw new KernelFormatException(
          Reason.UNREADABLE, path + " does not exist: give the path of a file", e);
    } catch (java.nio.file.AccessDeniedException e) {
      throw new KernelFormatException(
          Reason.UNREADABLE, path + " may not be read: read permission expected", e);
    } catch (IOException | UnsupportedOperationException e) {
      throw new KernelFormatException(
          Reason.UNREADABLE,
          path + " cannot be read (" + e.getMessage() + "): a regular file expected",
          e);
    }
  }
}
