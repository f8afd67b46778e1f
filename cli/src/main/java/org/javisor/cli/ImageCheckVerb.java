package org.javisor.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.qcow2.CheckReport;
import org.javisor.storage.block.qcow2.Header;
import org.javisor.storage.block.qcow2.Qcow2Checker;
import org.javisor.storage.block.tool.ImageFormat;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor image check}. */
final class ImageCheckVerb extends ImageVerb.Sub {
  private final OptionSpec format = format("-f", "The format; guessed without this.");
  private final OptionSpec repair =
      option(
          "-r",
          "leaks|all",
          String.class,
          "Repair: leaks gives back clusters that nothing refers to; all repairs wrong counts too.")
          .build();
  private final OptionSpec share =
      OptionSpec.builder("-U", "--force-share")
          .type(boolean.class)
          .description("Also if somebody is writing the image; what is found may mean nothing.")
          .build();
  private final OptionSpec quiet = flag("-q", "Say nothing.");
  private final PositionalParamSpec file;

  ImageCheckVerb() {
    super("check", "Check that a qcow2 image's tables agree.");
    file = file(0, "FILE", "The image.");
    options(format, repair, share, quiet);
  }

  @Override
  public Integer call() throws BlockException, UserError {
    Path path = file.getValue();
    String wanted = repair.getValue();
    if (wanted != null && !wanted.equals("leaks") && !wanted.equals("all")) {
      throw new UserError(ExitCode.USAGE, "-r " + wanted + ": leaks or all expected");
    }
    if (wanted != null && isSet(share)) {
      throw new UserError(ExitCode.USAGE, "-r repairs, which needs the image alone: not with -U");
    }
    Access access = wanted != null ? Access.WRITE : isSet(share) ? Access.PEEK : Access.READ;
    CheckReport report;
    try (HostFile image = HostFile.open(path, access)) {
      ImageFormat known = format(format) == null ? ImageFormat.detect(image) : format(format);
      if (known == ImageFormat.RAW) {
        throw new UserError(
            ExitCode.USAGE, path + " is raw: there is nothing in it that could be checked");
      }
      Qcow2Checker checker = new Qcow2Checker(image, Header.read(image));
      report = wanted == null ? checker.check() : checker.repair(wanted.equals("all"));
    }
    if (json()) {
      out().println(Messages.json(structure(path, report)));
    } else if (!isSet(quiet)) {
      print(report);
    }
    out().flush();
    ExitCode code =
        report.hasErrors()
            ? ExitCode.NOT_A_KERNEL
            : report.hasLeaks() ? ExitCode.IMAGE_LEAKS : ExitCode.OK;
    return code.code();
  }

  private void print(CheckReport report) {
    report.problems().forEach(out()::println);
    if (report.corruptionsFixed() + report.leaksFixed() > 0) {
      out().println(
          "Repaired: " + report.leaksFixed() + " leaked clusters, " + report.corruptionsFixed()
              + " errors");
    }
    if (report.hasErrors()) {
      out().println(report.corruptions() + " errors were found on the image.");
    }
    if (report.hasLeaks()) {
      out().println(
          report.leaks() + " leaked clusters were found on the image: they waste space, and"
              + " harm nothing.");
    }
    if (!report.hasErrors() && !report.hasLeaks()) {
      out().println("No errors were found on the image.");
    }
    long total = report.totalClusters();
    long allocated = report.allocatedClusters();
    if (total > 0) {
      out().println(
          String.format(
              Locale.ROOT,
              "%d/%d = %.2f%% allocated, %.2f%% fragmented, %.2f%% compressed clusters",
              allocated,
              total,
              100.0 * allocated / total,
              allocated == 0 ? 0 : 100.0 * report.fragmentedClusters() / allocated,
              allocated == 0 ? 0 : 100.0 * report.compressedClusters() / allocated));
    }
    out().println("Image end offset: " + report.imageEnd());
  }

  /** With the names of {@code qemu-img check --output=json}. */
  private static Map<String, Object> structure(Path path, CheckReport report) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("image-end-offset", report.imageEnd());
    map.put("total-clusters", report.totalClusters());
    map.put("check-errors", 0);
    map.put("leaks", report.leaks());
    map.put("leaks-fixed", report.leaksFixed());
    map.put("corruptions", report.corruptions());
    map.put("corruptions-fixed", report.corruptionsFixed());
    map.put("allocated-clusters", report.allocatedClusters());
    map.put("fragmented-clusters", report.fragmentedClusters());
    map.put("compressed-clusters", report.compressedClusters());
    map.put("filename", path.toString());
    map.put("format", "qcow2");
    map.put("problems", report.problems());
    return map;
  }
}
