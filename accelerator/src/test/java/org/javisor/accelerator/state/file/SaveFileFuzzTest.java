package org.javisor.accelerator.state.file;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Files near to saved machines, the same in every build. For longer:
 *
 * <pre>mvn -pl accelerator -am test -Dtest=SaveFileFuzzTest -Djavisor.fuzz.seconds=120</pre>
 */
class SaveFileFuzzTest {
  private static final int ROUNDS = 500;
  private static final int FRAMES = 300;

  private static byte[] sample(Path folder, Random random) throws Exception {
    FrameArena arena = new FrameArena((long) FRAMES * FrameArena.FRAME_SIZE);
    for (int frame = 0; frame < 20; frame++) {
      byte[] page = new byte[frame % 3 == 0 ? 64 : 4096];
      random.nextBytes(page);
      RawMemory.copyIn(page, 0, arena.address(frame * 7), page.length);
    }
    Path file = folder.resolve("sample");
    SaveFileWriter.write(file, new StateWriter().finish(), arena, SaveFileTarget.disks());
    return Files.readAllBytes(file);
  }

  @Test
  void noExceptionComesOut(@TempDir Path folder) throws Exception {
    Random random = new Random(Long.getLong("javisor.fuzz.seed", 1));
    long seconds = Long.getLong("javisor.fuzz.seconds", 0);
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    byte[] good = sample(folder, random);
    for (int i = 0; seconds == 0 ? i < ROUNDS : System.nanoTime() < end; i++) {
      byte[] bytes = good.clone();
      for (int change = random.nextInt(6); change >= 0; change--) {
        int at =
            random.nextInt(3) == 0
                ? random.nextInt(SaveLayout.HEADER)
                : random.nextBoolean()
                    ? random.nextInt(bytes.length)
                    : bytes.length - 1 - random.nextInt(Math.min(600, bytes.length));
        bytes[at] = (byte) (random.nextBoolean() ? random.nextInt() : 1 << random.nextInt(8));
      }
      try {
        SaveFileTarget.fuzzerTestOneInput(bytes);
      } catch (RuntimeException | Error e) {
        throw new AssertionError("fails at " + HexFormat.of().formatHex(bytes) + ": " + e, e);
      }
    }
  }
}
