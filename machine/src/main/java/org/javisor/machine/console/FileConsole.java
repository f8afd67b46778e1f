package org.javisor.machine.console;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Output into a file, no input. */
public final class FileConsole extends BufferedConsole {
  private final FileChannel file;

  private FileConsole(FileChannel file) {
    super("file", batch -> writeAll(file, batch));
    this.file = file;
  }

  /** Opens the file, which is made or emptied. */
  public static FileConsole open(Path path) throws IOException {
    return new FileConsole(
        FileChannel.open(
            path,
            StandardOpenOption.WRITE,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING));
  }

  /** Opens the file, which is made, or goes on where it ends. */
  public static FileConsole append(Path path) throws IOException {
    return new FileConsole(
        FileChannel.open(path, StandardOpenOption.APPEND, StandardOpenOption.CREATE));
  }

  private static void writeAll(FileChannel file, ByteBuffer batch) throws IOException {
    while (batch.hasRemaining()) {
      file.write(batch);
    }
  }

  @Override
  public void close() {
    super.close();
    try {
      file.close();
    } catch (IOException e) {
      // Nothing is lost: what could be written has been.
      return;
    }
  }
}
