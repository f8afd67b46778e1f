package org.javisor.cli;

import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;
import org.javisor.machine.HostReport;

/** {@code javisor doctor}: what this host offers, what is chosen on it, and how to get more. */
final class DoctorVerb extends Verb {
  private static final double GIB = 1L << 30;

  DoctorVerb() {
    super("doctor", "Say what this host offers, which accelerator is chosen, and how to get more.");
    options();
  }

  @Override
  public Integer call() {
    HostReport report = HostReport.ofThisHost();
    PrintWriter out = spec().commandLine().getOut();
    print(report, json(), out);
    return ExitCode.OK.code();
  }

  /** Prints a report for a person, or for a program. */
  static void print(HostReport report, boolean json, PrintWriter out) {
    if (json) {
      out.println(Messages.json(structure(report)));
    } else {
      text(report, out);
    }
    out.flush();
  }

  private static Map<String, ?> structure(HostReport r) {
    Map<String, Object> kvm = new LinkedHashMap<>();
    kvm.put("usable", r.kvm().usable());
    kvm.put("failed_probe", r.kvm().usable() ? null : r.kvm().failedProbe());
    kvm.put("reason", r.kvm().usable() ? null : r.kvm().reason());
    kvm.put("irqchip", r.kvm().irqChip());
    kvm.put(
        "irqchip_reason", r.kvm().whyNotKernel().isEmpty() ? null : r.kvm().whyNotKernel());
    Map<String, Object> cpu = new LinkedHashMap<>();
    cpu.put("model", r.cpu().model());
    cpu.put("count", r.cpu().count());
    cpu.put("level", r.cpu().level());
    cpu.put("virtualisation", r.cpu().virtualisation().orElse(null));
    cpu.put("features", new TreeSet<>(r.cpu().features()));
    Map<String, Object> memory = new LinkedHashMap<>();
    memory.put("total", r.memory().total());
    memory.put("available", r.memory().available());
    memory.put("shared_objects", r.memory().sharedObjects());
    Map<String, Object> jdk = new LinkedHashMap<>();
    jdk.put("version", Runtime.version().toString());
    jdk.put("home", System.getProperty("java.home"));
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("kvm", kvm);
    all.put("cpu", cpu);
    all.put("memory", memory);
    all.put("jdk", jdk);
    all.put("apt", Map.of("usable", r.apt()));
    all.put("chosen", r.chosen());
    all.put("why", r.why());
    all.put("advice", r.advice());
    return all;
  }

  private static void text(HostReport r, PrintWriter out) {
    line(out, "kvm", r.kvm().usable() ? "usable" : "not usable: " + r.kvm().reason());
    if (!r.kvm().whyNotKernel().equals(r.kvm().reason()) || r.kvm().usable()) {
      line(
          out,
          "irqchip",
          r.kvm().whyNotKernel().isEmpty()
              ? "the kernel's, with --accel kvm"
              : "this process's: " + r.kvm().whyNotKernel());
    }
    line(
        out,
        "cpu",
        "%d × %s, %s, %s".formatted(
            r.cpu().count(),
            r.cpu().model(),
            r.cpu().level().isEmpty() ? "not x86-64" : r.cpu().level(),
            r.cpu().virtualisation().orElse("shows no virtualisation")));
    line(
        out,
        "memory",
        "%.1f GiB, %.1f GiB available".formatted(
            r.memory().total() / GIB, r.memory().available() / GIB));
    line(out, "jdk", Runtime.version() + " in " + System.getProperty("java.home"));
    line(out, "apt", r.apt() ? "there: the default guest can be made" : "not there");
    line(out, "chosen", r.chosen() + ": " + r.why());
    r.advice().forEach(sentence -> line(out, "to do", sentence));
  }

  private static void line(PrintWriter out, String name, String text) {
    out.println("%-8s %s".formatted(name, text));
  }
}
