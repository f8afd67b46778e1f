package org.javisor.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.TraceSelection;
import org.javisor.accelerator.VcpuState;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateReader;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.machine.MachineException.Reason;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Machines that stand, are saved, and go on. */
@Timeout(120)
class SavedMachineTest {
  private static final MachineListener NOBODY =
      new MachineListener() {
        @Override
        public void message(String line) {}

        @Override
        public void trace(TraceCategory category, String line) {}
      };

  @TempDir private Path folder;

  private Machine start(TinyKernel.Output output) throws Exception {
    return Machine.start(
        TinyKernel.config(TinyKernel.write(folder)), output, Optional.empty(), NOBODY);
  }

  private static Machine restore(Path file, TinyKernel.Output output) throws Exception {
    try (SavedMachine saved = SavedMachine.open(file)) {
      MachineConfig config = saved.config(Optional.empty(), TraceSelection.NONE, Optional.empty());
      return Machine.restore(
          saved, config, output, Optional.empty(), List.of(), NOBODY, false);
    }
  }

  /** Breaks if a paused guest executes anything, or notices that it stood. */
  @Test
  void aPausedMachineStands() throws Exception {
    TinyKernel.Output output = new TinyKernel.Output();
    try (Machine machine = start(output)) {
      String before = output.take(20);
      machine.pause();
      long clock = machine.uptimeNanos();
      String last = before + output.take(0);
      Thread.sleep(50);
      assertEquals("", output.take(0));
      assertEquals(clock, machine.uptimeNanos());
      machine.resume();
      assertTrue(TinyKernel.counts(last + output.take(20)), last);
    }
  }

  /** Breaks if a single instruction is lost or done twice on the way through the file. */
  @Test
  void aRestoredMachineGoesOnWhereItStood() throws Exception {
    Path file = folder.resolve("saved");
    TinyKernel.Output output = new TinyKernel.Output();
    String seen;
    long clock;
    try (Machine machine = start(output)) {
      output.take(20);
      machine.pause();
      seen = output.take(0);
      String more = seen;
      machine.resume();
      seen = more + output.take(10);
      machine.pause();
      seen += output.take(0);
      clock = machine.uptimeNanos();
      machine.save("tiny", file);
    }
    for (int round = 0; round < 3; round++) {
      TinyKernel.Output again = new TinyKernel.Output();
      try (Machine machine = restore(file, again)) {
        String after = again.take(20);
        assertTrue(TinyKernel.counts(seen + after), seen + " " + after);
        assertTrue(machine.uptimeNanos() >= clock);
      }
    }
    assertEquals(
        Set.of("saved", "tiny"),
        Set.copyOf(names(folder)), "nothing but the file is left behind");
  }

  private static List<String> names(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }

  private Path saved() throws Exception {
    Path file = folder.resolve("saved");
    TinyKernel.Output output = new TinyKernel.Output();
    try (Machine machine = start(output)) {
      output.take(5);
      machine.pause();
      machine.save("tiny", file);
    }
    return file;
  }

  private static String refusal(Path file) {
    MachineException refused =
        assertThrows(
            MachineException.class,
            () -> {
              try {
                restore(file, new TinyKernel.Output()).close();
              } catch (StateException e) {
                throw SavedMachine.invalid(file, e);
              }
            });
    assertEquals(Reason.NOT_RESTORABLE, refused.reason());
    assertFalse(refused.getMessage().contains("\n"), refused.getMessage());
    return refused.getMessage().replace(file.toString(), "FILE");
  }

  @Test
  void foreignTruncatedAndOtherFilesAreRefusedInOneLine() throws Exception {
    byte[] good = Files.readAllBytes(saved());
    Path file = folder.resolve("bad");
    Files.write(file, new byte[0]);
    assertEquals("FILE cannot be restored: it is no saved machine of Javisor", refusal(file));
    Files.writeString(file, "QEVM and more of another program");
    assertEquals("FILE cannot be restored: it is no saved machine of Javisor", refusal(file));
    byte[] other = good.clone();
    other[8] = 9;
    Files.write(file, other);
    assertEquals(
        "FILE cannot be restored: it has version 9 of the format, this program reads version 2",
        refusal(file));
    for (int length : new int[] {8, 40, 64, good.length / 2, good.length - 1}) {
      Files.write(file, Arrays.copyOf(good, length));
      String said = refusal(file);
      assertTrue(said.contains("truncated") || said.contains("damaged"), length + ": " + said);
    }
    MachineException missing =
        assertThrows(
            MachineException.class, () -> SavedMachine.open(folder.resolve("not there")));
    assertEquals(Reason.UNREADABLE_FILE, missing.reason());
  }

  /** Breaks if there is a byte of the file that nobody checks. */
  @Test
  void aDamagedFileIsRefused() throws Exception {
    byte[] good = Files.readAllBytes(saved());
    Path file = folder.resolve("bad");
    Random random = new Random(3);
    for (int round = 0; round < 60; round++) {
      byte[] damaged = good.clone();
      int at = round < 20 ? random.nextInt(80) : random.nextInt(good.length);
      damaged[at] ^= (byte) (1 << random.nextInt(8));
      Files.write(file, damaged);
      refusal(file);
    }
  }

  /** Breaks if a part is restored into a machine that is made otherwise. */
  @Test
  void aPartThatIsMissingIsNamed() throws Exception {
    StateWriter writer = new StateWriter();
    writer.section(
        SavedConfig.SECTION,
        SavedConfig.FORMAT,
        SavedConfig.of("x", TinyKernel.config(Path.of("/nowhere")), List.of(), List.of(),
            "interp", 5, 1_000_000_000));
    StateReader reader = new StateReader(writer.finish());
    SavedConfig config = SavedConfig.take(reader);
    assertEquals(
        TinyKernel.config(Path.of("/nowhere")).withAccelerator("interp"),
        config.config(Optional.empty(), TraceSelection.NONE, Optional.empty()));
    assertEquals(
        "the state of 'vcpu.0' is missing",
        assertThrows(StateException.class, () -> reader.take("vcpu.0", VcpuState.FORMAT))
            .getMessage());
  }

  @Test
  void whatCannotBeWrittenLeavesNothingBehind() throws Exception {
    TinyKernel.Output output = new TinyKernel.Output();
    try (Machine machine = start(output)) {
      machine.pause();
      Path nowhere = folder.resolve("no folder").resolve("saved");
      assertThrows(IOException.class, () -> machine.save("tiny", nowhere));
      assertEquals(List.of("tiny"), names(folder));
      machine.resume();
      output.take(1);
      assertTrue(TinyKernel.counts(output.take(5)));
    }
  }
}
