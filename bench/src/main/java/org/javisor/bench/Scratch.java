package org.javisor.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** A folder for what a benchmark makes; it goes with its end, and with an end in the middle. */
final class Scratch implements AutoCloseable {
  private final Path folder;
  private final Thread cleaner;

  Scratch() throws IOException {
    folder = Files.createTempDirectory("javisor-bench-");
    cleaner = new Thread(this::deleteQuietly, "javisor-bench-cleaner");
    Runtime.getRuntime().addShutdownHook(cleaner);
  }

  Path folder() {
    return folder;
  }

  @Override
  public void close() throws IOException {
    delete();
    Runtime.getRuntime().removeShutdownHook(cleaner);
  }

  /** For an end in the middle; what cannot be removed then, nobody can be told of. */
  private void deleteQuietly() {
    try {
      delete();
    } catch (IOException | UncheckedIOException e) {
      return;
    }
  }

  private void delete() throws IOException {
    List<Path> files;
    try (Stream<Path> walk = Files.walk(folder)) {
      files = walk.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path file : files) {
      Files.deleteIfExists(file);
    }
  }
}
