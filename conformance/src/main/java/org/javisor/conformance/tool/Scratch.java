package org.javisor.conformance.tool;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** A folder for what a proof makes; it goes with its end. */
public final class Scratch implements AutoCloseable {
  private final Path folder;

  /** Makes one whose name begins with the verb's. */
  public Scratch(String verb) throws IOException {
    folder = Files.createTempDirectory("javisor-" + verb + "-");
  }

  public Path folder() {
    return folder;
  }

  @Override
  public void close() throws IOException {
    List<Path> files;
    try (Stream<Path> walk = Files.walk(folder)) {
      files = walk.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path file : files) {
      Files.deleteIfExists(file);
    }
  }
}
