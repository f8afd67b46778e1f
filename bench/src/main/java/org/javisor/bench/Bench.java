package org.javisor.bench;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.javisor.cli.ExitCode;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.image.DefaultGuest.GuestFiles;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

/** {@code javisor bench}: where the launcher hands over to. Without another word: the CPU. */
public final class Bench extends BenchVerb {
  private final OptionSpec initramfs =
      option("--initramfs", "FILE", Path.class,
          "Instead of measuring, write the guest's initramfs to FILE and end.")
          .build();

  private Bench() {
    super(
        "javisor bench",
        "Measure Javisor beside QEMU and the host: the same kernel, the same programs.",
        5);
    spec().addOption(initramfs);
  }

  public static void main(String[] arguments) {
    System.exit(execute(arguments));
  }

  static int execute(String... arguments) {
    CommandLine commandLine =
        new CommandLine(new Bench().spec())
            .addSubcommand("devices", new CommandLine(new DeviceBench().spec()))
            .addSubcommand("xen", new CommandLine(new XenBench().spec()));
    return execute(commandLine, arguments);
  }

  @Override
  ExitCode measure(Path folder) throws Exception {
    say("compiling the programs");
    GuestPrograms programs = GuestPrograms.compile(folder);
    List<String> chosen = choose(programs.names());
    GuestFiles guest = new DefaultGuest(this::say).obtain();
    BenchImage image = BenchImage.make(guest, programs, folder);
    Path target = initramfs.getValue();
    if (target != null) {
      Files.copy(image.initrd(), target, StandardCopyOption.REPLACE_EXISTING);
      say("the kernel is " + guest.kernel());
      say("the rows are " + String.join(",", programs.names()));
      return ExitCode.OK;
    }
    Map<String, Object> setting = new LinkedHashMap<>();
    setting.put("runs", count());
    setting.put("accel", accelerator());
    setting.put("kernel", guest.source());
    if (againstQemu()) {
      setting.put(QEMU, qemuVersion());
    }
    Path launcher = launcher();
    trainCache(launcher, this::say);
    setting.forEach((name, value) -> say(name + ": " + value));
    Figures figures =
        new SideBySide(launcher, accelerator(), againstQemu(), programs, image, this::say)
            .run(chosen, count());
    return report(
        json() ? Report.json(figures, setting) + "\n" : Report.table(figures), figures.failures());
  }
}
