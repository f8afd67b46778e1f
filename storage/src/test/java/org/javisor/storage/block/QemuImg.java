package org.javisor.storage.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** QEMU's tools for images, where the host has them. */
public final class QemuImg {
  private QemuImg() {}

  /** What a program said, both streams, and its exit code. */
  public record Answer(int code, String text) {}

  private static final boolean PRESENT = probe();

  private static boolean probe() {
    try {
      return run("qemu-img", "--version").code() == 0 && run("qemu-io", "--version").code() == 0;
    } catch (IOException e) {
      return false;
    }
  }

  public static boolean isPresent() {
    return PRESENT;
  }

  /** Skips the test, saying why, if they are not there. */
  public static void assume() {
    assumeTrue(PRESENT, "qemu-img and qemu-io are not installed (package qemu-utils)");
  }

  private static Answer run(String... command) throws IOException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    try {
      process.getOutputStream().close();
      String text =
          new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      return new Answer(process.waitFor(), text);
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }

  public static Answer answer(Object... arguments) throws IOException {
    List<String> command = new ArrayList<>(List.of("qemu-img"));
    for (Object argument : arguments) {
      command.add(argument.toString());
    }
    return run(command.toArray(String[]::new));
  }

  /** Runs qemu-img, which must succeed. */
  public static String ok(Object... arguments) throws IOException {
    Answer answer = answer(arguments);
    assertEquals(0, answer.code(), String.join(" ", List.of(arguments).toString(), answer.text()));
    return answer.text();
  }

  /** Runs commands of qemu-io on an image, which must succeed. */
  public static String io(Path image, String... commands) throws IOException {
    List<String> command = new ArrayList<>(List.of("qemu-io", "-f", "qcow2"));
    for (String each : commands) {
      command.add("-c");
      command.add(each);
    }
    command.add(image.toString());
    Answer answer = run(command.toArray(String[]::new));
    assertEquals(0, answer.code(), answer.text());
    return answer.text();
  }
}
