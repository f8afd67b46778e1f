package org.javisor.cli;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class JavisorTest {
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... args) {
    CommandLine commandLine = Javisor.commandLine();
    commandLine.setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    commandLine.getSubcommands().values().forEach(
        verb -> verb.setOut(new PrintWriter(out)).setErr(new PrintWriter(err)));
    return commandLine.execute(args);
  }

  /** Breaks if a mistake of the user ends in more than a line, a stack trace or another code. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "                                  | 2 | no verb given",
        "fly                               | 2 | 'fly' was not expected here",
        "--fly                             | 2 | Unknown option: '--fly'",
        "run --fly                         | 2 | Unknown option: '--fly'",
        "run --memory 5X                   | 2 | '5X' is no amount of memory",
        "run --memory 4K                   | 2 | '4K' is not from 1M to 512G",
        "run --memory 999999999999T        | 2 | is not from 1M to 512G",
        "run --cpus 0 --kernel /etc/passwd | 2 | --cpus 0: 1 to 64 expected",
        "run --cpus two                    | 2 | 'two'",
        "run --console tty                 | 2 | 'tty' is no console",
        "run --console file:               | 2 | 'file:' is no console",
        "run --gdb 1234                    | 2 | '1234' is no address",
        "run --gdb tcp:localhost:70000     | 2 | is no address",
        "run --trace msr,all               | 2 | 'all' cannot be traced: exceptions, unknown",
        "run --kernel /does/not/exist      | 3 | --kernel /does/not/exist does not exist",
        "run --kernel /etc                 | 3 | --kernel /etc is a folder",
        "run --kernel /etc/passwd --initrd /no | 3 | --initrd /no does not exist",
        "inspect                           | 2 | FILE",
        "doctor fly                        | 2 | 'fly' was not expected here",
        "inspect /does/not/exist           | 3 | does not exist",
      })
  void aMistakeIsOneLineAndItsCode(String line, int code, String says) {
    int got = run(line == null ? new String[0] : line.split(" +"));
    String said = err.toString();
    assertAll(
        () -> assertEquals(code, got, said),
        () -> assertTrue(said.contains(says), said),
        () -> assertEquals(1, said.lines().count(), said),
        () -> assertTrue(said.startsWith("javisor: "), said),
        () -> assertEquals("", out.toString()));
  }

  /** Breaks if a program that reads our errors has to read prose. */
  @Test
  void anErrorCanBeJson() {
    assertEquals(ExitCode.FILE.code(), run("run", "--kernel", "/no/\"such", "--json"));
    assertEquals(
        "{\"event\":\"error\",\"message\":\"--kernel /no/\\\"such does not exist: "
            + "a readable file expected\",\"exitCode\":3}\n",
        err.toString());
  }

  /** Breaks if --debug stops showing where an error came from. */
  @Test
  void debugShowsTheStackTrace() {
    run("run", "--kernel", "/no", "--debug");
    assertTrue(err.toString().contains("at org.javisor.cli.RunVerb"), err.toString());
  }

  /** Breaks if help goes to standard error, fails, or forgets an option or a verb. */
  @Test
  void helpNamesEverything() {
    assertEquals(0, run("--help"));
    Stream.of("run ", "inspect ", "doctor ")
        .forEach(verb -> assertTrue(out.toString().contains("  " + verb), verb));
    assertEquals(0, run("run", "--help"));
    Stream.of(
        "--kernel", "--initrd", "--append", "--memory", "--cpus", "--accel", "--console",
        "--gdb", "--trace", "--json", "--debug", "--no-reboot")
        .forEach(option -> assertTrue(out.toString().contains("  " + option), option));
    assertEquals("", err.toString());
  }

  /** Breaks if the doctor does not say what is chosen and why, to a person or to a program. */
  @Test
  void theDoctorSaysWhatIsChosen() {
    assertEquals(0, run("doctor"));
    Stream.of("kvm ", "cpu ", "memory ", "jdk ", "apt ", "chosen ")
        .forEach(line -> assertTrue(out.toString().contains(line), out.toString()));
    assertEquals(0, run("doctor", "--json"));
    String json = out.toString().lines().filter(l -> l.startsWith("{")).findFirst().orElse("");
    assertTrue(json.startsWith("{\"kvm\":{\"usable\":"), json);
    Stream.of("\"failed_probe\":", "\"chosen\":\"", "\"why\":\"", "\"advice\":[")
        .forEach(key -> assertTrue(json.contains(key), json));
    assertEquals("", err.toString());
  }

  /** Breaks if sizes are read in other units than people mean. */
  @ParameterizedTest
  @CsvSource({"512M,536870912", "2G,2147483648", "2GiB,2147483648", "64,67108864", "2048k,2097152"})
  void memoryIsReadAsPeopleWriteIt(String text, long bytes) {
    assertEquals(bytes, new MemorySize.Converter().convert(text).bytes());
  }

  /** Breaks if a debugger port is open to the network without anyone having said so. */
  @Test
  void aDebuggerAddressWithoutHostIsTheLoopback() {
    for (String text : new String[] {"tcp:1234", "tcp::1234", "tcp:127.0.0.1:1234"}) {
      var address = new TcpAddress.Converter().convert(text).socketAddress();
      assertTrue(address.getAddress().isLoopbackAddress(), text);
      assertEquals(1234, address.getPort());
    }
  }

  /** Breaks if two meanings share an exit code. */
  @Test
  void exitCodesAreDistinct() {
    assertEquals(
        ExitCode.values().length,
        Stream.of(ExitCode.values()).map(ExitCode::code).distinct().count());
  }

  /** Breaks if the path of a console is cut at a colon. */
  @Test
  void consolePathsMayHoldColons(@TempDir Path folder) {
    assertEquals(
        new ConsoleTarget.ToFile(folder.resolve("a:b")),
        new ConsoleTarget.Converter().convert("file:" + folder.resolve("a:b")));
  }
}
