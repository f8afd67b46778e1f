package org.javisor.conformance.cpu;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * The host's CPU as an oracle: runs user-mode instruction bytes on it, in a helper process, with
 * complete state in and out.
 *
 * <p>Cases go in batches through a file that both processes map. The helper is C (hostcpu.c beside
 * this class), compiled with the host's gcc when first needed. It puts a case's registers into the
 * CPU, jumps to its bytes, and takes the registers from it after them, or from the signal frame if
 * they raised an exception. Seccomp keeps the bytes from any system call but those of the helper;
 * a case that tries is reported as {@link CpuCase#KILLED} and the helper started again.
 *
 * <p>16-bit code is not offered: it would need an LDT.
 */
public final class HostCpu implements AutoCloseable {
  private static final String SOURCE = "hostcpu.c";

  private final int capacity;
  private final Path folder;
  private final Path program;
  private final Path file;
  private final Arena arena = Arena.ofShared();
  private final CpuCase[] inputs;
  private final CpuCase[] results;
  private Process process;
  private OutputStream requests;
  private DataInputStream replies;
  private boolean segmentBases;

  /** Why the host cannot serve as an oracle, or empty if it can. */
  public static Optional<String> unavailable() {
    String arch = System.getProperty("os.arch");
    if (!arch.equals("amd64") && !arch.equals("x86_64")
        || !System.getProperty("os.name").equals("Linux")) {
      return Optional.of("the host is no x86-64 Linux but " + arch);
    }
    try {
      int status =
          new ProcessBuilder("gcc", "--version")
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start()
              .waitFor();
      return status == 0 ? Optional.empty() : Optional.of("gcc does not work");
    } catch (IOException e) {
      return Optional.of("gcc is not installed");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Optional.of("interrupted");
    }
  }

  /**
   * Compiles and starts the helper.
   *
   * @param capacity the most cases in one batch
   */
  public HostCpu(int capacity) throws IOException {
    this.capacity = capacity;
    // Shared memory without a disk behind it, where there is.
    Path shared = Path.of("/dev/shm");
    folder = Files.createTempDirectory("javisor-hostcpu");
    program = compile(folder);
    file =
        Files.isWritable(shared)
            ? Files.createTempFile(shared, "javisor-hostcpu", ".cases")
            : folder.resolve("cases");
    long size = 2L * capacity * CpuCase.SIZE;
    MemorySegment map;
    try (FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.allocate(1), size - 1);
      map = channel.map(FileChannel.MapMode.READ_WRITE, 0, size, arena);
    }
    inputs = new CpuCase[capacity];
    results = new CpuCase[capacity];
    for (int i = 0; i < capacity; i++) {
      inputs[i] = new CpuCase(map.asSlice((long) i * CpuCase.SIZE, CpuCase.SIZE)).clear();
      results[i] =
          new CpuCase(map.asSlice((long) (capacity + i) * CpuCase.SIZE, CpuCase.SIZE));
    }
    start();
  }

  private static Path compile(Path folder) throws IOException {
    Path source = folder.resolve(SOURCE);
    try (InputStream in = HostCpu.class.getResourceAsStream(SOURCE)) {
      Files.copy(in, source);
    }
    Path program = folder.resolve("hostcpu");
    // Not position independent: the assembly uses 32-bit absolute addresses.
    Process gcc =
        new ProcessBuilder(
            "gcc", "-O2", "-fno-pie", "-no-pie", "-fcf-protection=none", "-fno-stack-protector",
            "-mno-red-zone",
            "-o", program.toString(), source.toString())
            .redirectErrorStream(true)
            .start();
    String messages = new String(gcc.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    try {
      if (gcc.waitFor() != 0) {
        throw new IOException("gcc failed: " + messages);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
    return program;
  }

  private void start() throws IOException {
    process =
        new ProcessBuilder(program.toString(), file.toString(), Integer.toString(capacity))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    requests = process.getOutputStream();
    replies = new DataInputStream(process.getInputStream());
    segmentBases = reply() != 0;
  }

  private int reply() throws IOException {
    byte[] bytes = new byte[4];
    replies.readFully(bytes);
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getInt();
  }

  public int capacity() {
    return capacity;
  }

  /** Whether the host lets cases have FS and GS bases of their own (FSGSBASE). */
  public boolean hasSegmentBases() {
    return segmentBases;
  }

  /** Case {@code i} of the next batch, to be filled in; keeps its contents over runs. */
  public CpuCase input(int i) {
    return inputs[i];
  }

  /** The result of case {@code i} of the last batch. */
  public CpuCase result(int i) {
    return results[i];
  }

  /** Runs the first {@code count} cases. */
  public void run(int count) {
    if (count < 0 || count > capacity) {
      throw new IllegalArgumentException(count + " of " + capacity);
    }
    try {
      if (!attempt(count)) {
        start();
        runSingly(count);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns false if the helper died. */
  private boolean attempt(int count) throws IOException {
    byte[] request =
        ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(count).array();
    try {
      requests.write(request);
      requests.flush();
      return reply() == count;
    } catch (EOFException e) {
      return false;
    }
  }

  /**
   * Finds the case that kills the helper: each runs alone, in the first record. Slow, and only for
   * a batch in which there is one.
   */
  private void runSingly(int count) throws IOException {
    CpuCase first = new CpuCase(Arena.ofAuto().allocate(CpuCase.SIZE, 64));
    CpuCase firstResult = new CpuCase(Arena.ofAuto().allocate(CpuCase.SIZE, 64));
    first.copyFrom(inputs[0]);
    for (int i = 0; i < count; i++) {
      inputs[0].copyFrom(i == 0 ? first : inputs[i]);
      if (!attempt(1)) {
        results[0].copyFrom(inputs[0]);
        results[0].vector(CpuCase.KILLED);
        start();
      }
      (i == 0 ? firstResult : results[i]).copyFrom(results[0]);
    }
    inputs[0].copyFrom(first);
    results[0].copyFrom(firstResult);
  }

  @Override
  public void close() {
    try {
      requests.close();
      process.waitFor();
    } catch (IOException e) {
      process.destroyForcibly();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      process.destroyForcibly();
    }
    arena.close();
    try {
      Files.deleteIfExists(file);
      Files.deleteIfExists(folder.resolve(SOURCE));
      Files.deleteIfExists(program);
      Files.deleteIfExists(folder);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
