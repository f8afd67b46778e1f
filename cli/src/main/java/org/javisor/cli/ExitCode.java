package org.javisor.cli;

/**
 * What the program's exit codes mean: the one list of them. The launcher script uses those that
 * arise before there is a Java to run.
 */
public enum ExitCode {
  OK(0, "the guest powered off, or the question was answered"),
  BUG(1, "a bug of Javisor itself"),
  USAGE(2, "an unknown option or a value that is none"),
  FILE(3, "a file is missing or cannot be read or written"),
  NOT_A_KERNEL(
      4, "the file is no kernel, disk image or saved machine, or it is truncated or damaged"),
  MEMORY(5, "too little memory, of the guest or of the host"),
  NO_JDK(6, "no JDK 25 was found (said by the launcher)"),
  NO_GUEST(7, "the default guest cannot be had: no apt, no network, no kernel in /boot"),
  GUEST_CRASHED(8, "the guest crashed: a triple fault"),
  HOST_REFUSED(
      9,
      "the host does not give what was asked for: a port, a socket, an accelerator, an image that"
          + " another process uses"),
  BUILD_FAILED(10, "the first build failed (said by the launcher)"),
  IMAGE_LEAKS(11, "the disk image is sound, but wastes space (said by image check)"),
  BENCH_FAILED(12, "a subject of the benchmark failed, or their results differ (said by bench)"),
  NO_MACHINE(13, "no machine of that name runs"),
  NOT_IN_TIME(14, "the guest did not do in time what was asked of it");

  private final int code;
  private final String meaning;

  ExitCode(int code, String meaning) {
    this.code = code;
    this.meaning = meaning;
  }

  public int code() {
    return code;
  }

  public String meaning() {
    return meaning;
  }
}
