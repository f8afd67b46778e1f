package org.javisor.cli;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
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
        "run --firmware /does/not/exist    | 3 | --firmware /does/not/exist does not exist",
        "run --firmware /etc/passwd --kernel /etc/passwd | 2 | --kernel with --firmware",
        "run --firmware /etc/passwd --append quiet | 2 | --append with --firmware",
        "run --accel interp --firmware /etc/passwd --net none | 4 | is no firmware image",
        "run --accel interp --cdrom /does/not/exist --net none | 3 | /does/not/exist",
        "image build                       | 2 | SYSTEM",
        "image build fedora -o /no/x       | 2 | 'fedora' cannot be built: debian expected",
        "image build debian                | 2 | --output=FILE",
        "image build debian -o /no/x       | 3 | /no is no folder that can be written",
        "image build debian -o /no/x --size 10M    | 2 | 1G or more expected",
        "image build debian -o /no/x --package a,b | 2 | the name of a package expected",
        "image build debian -o /no/x --hostname a_b | 2 | letters, digits and hyphens expected",
        "image build debian -o /no/x --cloud-init /no | 3 | --cloud-init /no does not exist",
        "inspect                           | 2 | FILE",
        "doctor fly                        | 2 | 'fly' was not expected here",
        "inspect /does/not/exist           | 3 | does not exist",
        "image                             | 2 | no verb given: create, build, info",
        "image fly                         | 2 | 'fly' was not expected here",
        "image info                        | 2 | FILE",
        "image info /does/not/exist        | 3 | does not exist",
        "image info /etc                   | 3 | is a folder",
        "image info -f vmdk /etc/passwd    | 2 | 'vmdk' is no format of images: raw or qcow2",
        "image info -f qcow2 /etc/passwd   | 4 | is no qcow2 image",
        "image check /etc/passwd           | 2 | is raw: there is nothing in it",
        "image check -r some /etc/passwd   | 2 | -r some: leaks or all expected",
        "image create -f qcow2 /no/such/x 1G | 3 | its folder does not exist",
        "image create -f qcow2 /no/x           | 2 | no SIZE given",
        "image create -f qcow2 /no/x 5X        | 2 | '5X' is no size of a disk",
        "image create -f qcow2 /no/x 7E        | 2 | a qcow2 disk with clusters of 65536 bytes",
        "image create /no/x 99999999E          | 2 | more than eight exbibytes",
        "image create -f raw -o a=b /no/x 1G   | 2 | a raw image has no options",
        "image create -f qcow2 -o a=b /no/x 1G | 2 | 'a' is no option of qcow2",
        "image create -f qcow2 -o a /no/x 1G   | 2 | NAME=VALUE,... expected",
        "image create -f qcow2 -o cluster_size=3K /no/x 1G | 2 | a power of two from 512",
        "image create -b /no/x y 1G            | 2 | a raw image has no backing file",
        "image create -f qcow2 -b /no/x /tmp/y | 3 | does not exist",
        "image convert -c /etc/passwd /no/x    | 2 | a raw image cannot be compressed",
        "image convert /does/not/exist /no/x   | 3 | does not exist",
        "image resize /etc/passwd --fly    | 2 | '--fly' is no size of a disk",
        "image resize /does/not/exist +1G  | 3 | does not exist",
        "image commit /etc/passwd          | 2 | has no backing file",
        "create                            | 2 | FILE",
        "create /does/not/exist            | 3 | FILE /does/not/exist does not exist",
        "create /dev/null                  | 2 | /dev/null: name: missing",
        "create /dev/null name='a'         | 2 | kernel: missing",
        "create /dev/null name='a' type='pvh' kernel='/no' | 3 | kernel /no does not exist",
        "xl                                | 2 | no verb given: javisor xl list",
        "xen --dom0 hvm                    | 2 | --dom0 hvm: pvh expected",
        "xen --dom0-vcpus 0                | 2 | --dom0-vcpus 0: 1 to 64 expected",
        "xen --pcpus 65                    | 2 | --pcpus 65: 1 to 64 expected",
        "xen --dom0-memory 4G              | 5 | less expected, the rest is for domains",
        "xen --kernel /no                  | 3 | --kernel /no does not exist",
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

  /** Breaks if a mistake leaves an image behind. */
  @Test
  void aMistakeMakesNoImage(@TempDir Path folder) {
    Path image = folder.resolve("x.qcow2");
    assertEquals(2, run("image", "create", "-f", "qcow2", "-o", "compat=3", image + "", "1G"));
    assertEquals(2, run("image", "create", "-f", "qcow2", image + "", "7E"));
    assertEquals(4, run("image", "convert", "-f", "qcow2", "/etc/passwd", image + ""));
    assertFalse(Files.exists(image));
  }

  /** Breaks if the verbs for images do not do what they are for, one after the other. */
  @Test
  void imagesFromMakingToCommitting(@TempDir Path folder) throws IOException {
    String base = folder.resolve("base.qcow2").toString();
    String top = folder.resolve("top.qcow2").toString();
    String copy = folder.resolve("copy.raw").toString();
    assertEquals(0, run("image", "create", "-q", "-f", "qcow2", base, "64M"), err::toString);
    assertEquals(0, run("image", "create", "-q", "-f", "qcow2", "-b", base, top), err::toString);
    assertEquals(0, run("image", "resize", "-q", top, "+64M"), err::toString);
    assertEquals(0, run("image", "bench", "-w", "-c", "10", "-S", "1M", "--json", top));
    assertEquals(0, run("image", "check", "-q", top), err::toString);
    assertEquals(0, run("image", "commit", "-q", top), err::toString);
    assertEquals(0, run("image", "convert", "-q", base, copy), err::toString);
    assertEquals(128 << 20, Files.size(Path.of(copy)));
    assertEquals(0, run("image", "convert", "-c", "-O", "qcow2", copy, top), err::toString);
    assertEquals(0, run("image", "resize", "-q", "--shrink", top, "-100M"), err::toString);
    assertEquals(0, run("image", "info", "--json", top), err::toString);
    assertTrue(out.toString().contains("\"virtual-size\":29360128,"), out.toString());
    assertEquals("", err.toString());
    assertEquals(2, run("image", "resize", top, "1M"));
    assertTrue(err.toString().contains("say --shrink if that is wanted"), err.toString());
  }

  /** Breaks if sizes of disks are read in other units than those of qemu-img. */
  @ParameterizedTest
  @CsvSource({
    "20G,21474836480", "1.5k,1536", "512,512", "512b,512", "2T,2199023255552", "10MiB,10485760",
    "0,0"
  })
  void sizesOfDisksAreReadAsPeopleWriteThem(String text, long bytes) {
    assertEquals(bytes, new DiskSize.Converter(false).convert(text).bytes());
    assertEquals(bytes, new DiskSize.Converter(true).convert("-" + text).bytes());
    assertEquals('-', new DiskSize.Converter(true).convert("-" + text).sign());
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
    Stream.of("run ", "inspect ", "doctor ", "image ")
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
