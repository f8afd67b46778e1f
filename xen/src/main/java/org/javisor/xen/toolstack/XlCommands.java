package org.javisor.xen.toolstack;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.ShutdownReason;
import org.javisor.xen.hypervisor.VirtualCpu;
import org.javisor.xen.toolstack.ToolException.Reason;

/**
 * The verbs of {@code xl}, with its words, options and columns (xl(1) of Xen 4.17). Each verb is one
 * method.
 */
final class XlCommands {
  private static final int PAGES_PER_MIB = 256;

  /** Home, and nothing behind it (ECMA-48: CUP, ED). */
  private static final String CLEAR_SCREEN = "\033[H\033[J";

  /** xl's answer for a domain that is not there (ERROR_INVAL). */
  private static final int NO_DOMAIN = -6;

  private final XenHost host;

  XlCommands(XenHost host) {
    this.host = host;
  }

  /** Carries out a command and returns its exit code. */
  int run(List<String> words, Session session) {
    try {
      if (words.isEmpty()) {
        throw usage("no verb given", "list, console, destroy, ...");
      }
      execute(words.getFirst(), new Words(words.subList(1, words.size())), session);
      return 0;
    } catch (ToolException e) {
      session.error(e.getMessage());
      return switch (e.reason()) {
        case USAGE, CONFIG -> 2;
        case FILE -> 3;
        case NOT_A_KERNEL -> 4;
        case MEMORY -> 5;
        case HOST_REFUSED -> 9;
        case NO_DOMAIN -> 1;
        case CRASHED -> 8;
      };
    }
  }

  /** The words behind a verb: options are taken out as they are asked for. */
  private static final class Words {
    private final List<String> left;

    Words(List<String> words) {
      left = new ArrayList<>(words);
    }

    boolean flag(String... names) {
      boolean found = false;
      for (String name : names) {
        found |= left.remove(name);
      }
      return found;
    }

    Optional<String> option(String shortName, String longName) throws ToolException {
      for (int i = 0; i < left.size(); i++) {
        String word = left.get(i);
        if (word.equals(shortName) || word.equals(longName)) {
          if (i + 1 == left.size()) {
            throw usage(word + " lacks its value", word + " VALUE");
          }
          left.remove(i);
          return Optional.of(left.remove(i));
        }
        if (word.startsWith(longName + "=")) {
          left.remove(i);
          return Optional.of(word.substring(longName.length() + 1));
        }
      }
      return Optional.empty();
    }

    String next(String what) throws ToolException {
      if (left.isEmpty()) {
        throw usage("too few words", what);
      }
      return left.removeFirst();
    }

    Optional<String> optional() {
      return left.isEmpty() ? Optional.empty() : Optional.of(left.removeFirst());
    }

    List<String> rest() {
      List<String> all = List.copyOf(left);
      left.clear();
      return all;
    }

    void end() throws ToolException {
      if (!left.isEmpty()) {
        throw usage("'" + left.getFirst() + "' was not expected", "nothing more");
      }
    }
  }

  private static ToolException usage(String what, String expected) {
    return new ToolException(Reason.USAGE, what + ": " + expected + " expected");
  }

  private void execute(String verb, Words words, Session s) throws ToolException {
    switch (verb) {
      case "create" -> create(words, s);
      case "list" -> list(words, s);
      case "info" -> info(words, s);
      case "console" -> console(words, s);
      case "pause" -> pause(words);
      case "unpause" -> unpause(words);
      case "shutdown" -> shutdown(words, s, "poweroff");
      case "reboot" -> shutdown(words, s, "reboot");
      case "destroy" -> destroy(words);
      case "save" -> save(words, s);
      case "restore" -> restore(words, s);
      case "vcpu-list" -> vcpuList(words, s);
      case "vcpu-pin" -> vcpuPin(words);
      case "vcpu-set" -> vcpuSet(words);
      case "sched-credit2" -> schedCredit2(words, s);
      case "mem-set" -> memSet(words);
      case "mem-max" -> memMax(words);
      case "block-list" -> blockList(words, s);
      case "block-attach" -> blockAttach(words);
      case "block-detach" -> blockDetach(words);
      case "network-list" -> networkList(words, s);
      case "network-attach" -> networkAttach(words);
      case "network-detach" -> networkDetach(words);
      case "domid" -> domid(words, s);
      case "domname" -> domname(words, s);
      case "rename" -> rename(words);
      case "sysrq" -> sysrq(words);
      case "dmesg" -> dmesg(words, s);
      case "uptime" -> uptime(words, s);
      case "top" -> top(words, s);
      default ->
          throw usage(
              "'" + verb + "' is no verb, or is not there yet",
              "create, list, info, console, pause, unpause, shutdown, reboot, destroy, vcpu-list,"
                  + " vcpu-pin, vcpu-set, sched-credit2, mem-set, mem-max, block-list, block-attach,"
                  + " block-detach, network-list, network-attach, network-detach, domid, domname,"
                  + " rename, sysrq, dmesg, uptime or top");
    }
  }

  private GuestDomain domain(String nameOrId) throws ToolException {
    return host.find(nameOrId)
        .orElseThrow(
            () -> new ToolException(
                Reason.NO_DOMAIN,
                nameOrId + " is an invalid domain identifier (rc=" + NO_DOMAIN + ")"));
  }

  private static long number(String text, String what) throws ToolException {
    try {
      return Long.parseLong(text);
    } catch (NumberFormatException e) {
      throw usage("'" + text + "'", what);
    }
  }

  // ---- Life of domains --------------------------------------------------------------------

  /**
   * {@code create [-c] [-p] FILE [KEY=VALUE]...}; the path is absolute by now, and {@code
   * --directory} says what paths in it are relative to.
   */
  private void create(Words words, Session s) throws ToolException {
    boolean console = words.flag("-c");
    boolean paused = words.flag("-p");
    boolean quiet = words.flag("-q", "--quiet");
    Path base = Path.of(words.option("-C", "--directory").orElse("."));
    Path file = Path.of(words.next("the path of a configuration"));
    StringBuilder text = new StringBuilder();
    try {
      text.append(Files.readString(file, StandardCharsets.UTF_8)).append('\n');
    } catch (IOException e) {
      throw new ToolException(
          Reason.FILE,
          file + " cannot be read: the path of a guest's configuration expected", e);
    }
    words.rest().forEach(more -> text.append(more).append('\n'));
    GuestConfig config;
    try {
      config =
          GuestConfig.parse(
              file.toString(), text.toString(), base, quiet ? line -> {} : s::error);
    } catch (ConfigException e) {
      throw new ToolException(Reason.CONFIG, e.getMessage(), e);
    }
    GuestDomain guest = host.create(config);
    Runnable run = paused ? () -> {} : guest.domain()::unpause;
    if (console) {
      stay(s, guest, run);
    } else {
      run.run();
    }
  }

  /** Shows the console of a domain that begins; that it crashes at last is the command's outcome. */
  private static void stay(Session s, GuestDomain guest, Runnable run) throws ToolException {
    Optional<GuestDomain> last = s.console(guest.consoles().primary(), run);
    if (last.isPresent() && last.get().domain().shutdownReason() == ShutdownReason.CRASH) {
      throw new ToolException(
          Reason.CRASHED, last.get().name() + " crashed: " + last.get().domain().report().strip());
    }
  }

  private void console(Words words, Session s) throws ToolException {
    Optional<String> type = words.option("-t", "--type");
    Optional<String> number = words.option("-n", "--num");
    GuestDomain guest = domain(words.next("a domain"));
    words.end();
    if (number.isPresent() && !number.get().equals("0")) {
      throw usage("console " + number.get(), "0, the only one,");
    }
    DomainConsole console =
        switch (type.orElse("")) {
          case "" -> guest.consoles().primary();
          case "pv" -> guest.consoles().pv();
          case "serial" ->
              guest.consoles()
                  .serial()
                  .orElseThrow(() -> usage("-t serial", "an HVM domain with a serial line"));
          default -> throw usage("-t " + type.get(), "pv or serial");
        };
    s.console(console, () -> {});
  }

  private void pause(Words words) throws ToolException {
    for (GuestDomain guest : some(words)) {
      guest.domain().pause();
    }
  }

  private void unpause(Words words) throws ToolException {
    for (GuestDomain guest : some(words)) {
      guest.domain().unpause();
    }
  }

  /** One domain, or with -a all of them. */
  private List<GuestDomain> some(Words words) throws ToolException {
    if (words.flag("-a", "--all")) {
      words.end();
      return host.guests();
    }
    GuestDomain guest = domain(words.next("a domain"));
    words.end();
    return List.of(guest);
  }

  private void shutdown(Words words, Session s, String how) throws ToolException {
    boolean wait = words.flag("-w", "--wait");
    boolean fallback = words.flag("-F");
    List<GuestDomain> guests = some(words);
    for (GuestDomain guest : guests) {
      if (guest.listens()) {
        guest.requestShutdown(how);
      } else if (fallback && how.equals("poweroff")) {
        guest.domain().pressPowerButton();
      } else {
        throw new ToolException(
            Reason.HOST_REFUSED,
            guest.name() + " has no PV drivers to ask: "
                + (guest.config().kind() == DomainKind.HVM && how.equals("poweroff")
                    ? "-F presses its power button"
                    : "wait until its kernel is up, or destroy it"));
      }
      s.out((how.equals("reboot") ? "Rebooting" : "Shutting down") + " domain " + guest.id()
          + "\n");
    }
    while (wait && guests.stream().anyMatch(g -> host.guests().contains(g))) {
      try {
        Thread.sleep(50);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return;
      }
    }
  }

  /** {@code save [-c] [-p] DOMAIN FILE [CONFIG]}; the path is absolute by now. */
  private void save(Words words, Session s) throws ToolException {
    boolean stays = words.flag("-c");
    GuestDomain guest = domain(words.next("a domain"));
    Path file = Path.of(words.next("the file to write"));
    words.end();
    s.out("Saving to " + file + " new xl format (info 0x3/0x0/" + guest.config().source().text()
        .length() + ")\n");
    long size = host.save(guest, file, stays);
    s.out("xc: info: saved " + (size >> 20) + " MiB\n");
  }

  /** {@code restore [-c] [-p] [-e] FILE}; the path is absolute by now. */
  private void restore(Words words, Session s) throws ToolException {
    boolean console = words.flag("-c");
    boolean paused = words.flag("-p");
    words.flag("-e", "-d");
    Path file = Path.of(words.next("the file of a saved domain"));
    words.end();
    s.out("Loading new save file " + file + "\n");
    GuestDomain guest = host.restore(file);
    Runnable run = paused ? () -> {} : guest.domain()::unpause;
    if (console) {
      stay(s, guest, run);
    } else {
      run.run();
    }
  }

  private void destroy(Words words) throws ToolException {
    words.flag("-f");
    GuestDomain guest = domain(words.next("a domain"));
    words.end();
    host.destroy(guest);
  }

  private void rename(Words words) throws ToolException {
    GuestDomain guest = domain(words.next("a domain"));
    String name = words.next("its new name");
    words.end();
    if (host.find(name).isPresent() || name.matches("[0-9]*")) {
      throw usage("the name '" + name + "'", "one that no domain has, and not digits alone");
    }
    guest.rename(name);
  }

  private void sysrq(Words words) throws ToolException {
    GuestDomain guest = domain(words.next("a domain"));
    String letter = words.next("a letter");
    words.end();
    if (letter.length() != 1) {
      throw usage("'" + letter + "'", "one letter");
    }
    guest.sysrq(letter.charAt(0));
  }

  // ---- Looking at domains -----------------------------------------------------------------

  private void list(Words words, Session s) throws ToolException {
    words.flag("-v", "--verbose");
    Optional<String> one = words.optional();
    words.end();
    List<GuestDomain> guests =
        one.isPresent() ? List.of(domain(one.get())) : host.guests();
    StringBuilder text = new StringBuilder();
    text.append("Name                                        ID   Mem VCPUs\tState\tTime(s)\n");
    for (GuestDomain guest : guests) {
      Domain d = guest.domain();
      long online = d.vcpus().stream().filter(VirtualCpu::isOnline).count();
      line(
          text,
          "%-40s %5d %5d %5d     %s  %8.1f",
          guest.name(),
          d.id(),
          d.pages() / PAGES_PER_MIB,
          online,
          state(d),
          d.cpuNanos() / 1e9);
    }
    s.out(text.toString());
  }

  private static void line(StringBuilder text, String format, Object... values) {
    text.append(String.format(Locale.ROOT, format, values)).append('\n');
  }

  /** Running, blocked, paused, shut down, why, dying. */
  static String state(Domain d) {
    ShutdownReason reason = d.shutdownReason();
    boolean running = d.vcpus().stream().anyMatch(v -> v.runningOn() >= 0);
    boolean runnable = d.vcpus().stream().anyMatch(VirtualCpu::isRunnable);
    boolean blocked = !running && !runnable && reason == null;
    char why =
        switch (reason) {
          case null -> '-';
          case POWEROFF -> '-';
          case REBOOT -> 'r';
          case SUSPEND -> 's';
          case CRASH -> 'c';
          case WATCHDOG -> 'w';
          case SOFT_RESET -> 'S';
        };
    return ""
        + (running ? 'r' : '-')
        + (blocked ? 'b' : '-')
        + (d.isPaused() ? 'p' : '-')
        + (reason != null ? 's' : '-')
        + why
        + (d.isDying() ? 'd' : '-');
  }

  private void vcpuList(Words words, Session s) throws ToolException {
    List<GuestDomain> guests = chosen(words);
    StringBuilder text = new StringBuilder();
    line(
        text,
        "%-32s %5s %5s %5s %5s %9s %s",
        "Name", "ID", "VCPU", "CPU", "State", "Time(s)", "Affinity (Hard / Soft)");
    int pcpus = host.hypervisor().pcpus();
    for (GuestDomain guest : guests) {
      for (VirtualCpu v : guest.domain().vcpus()) {
        boolean running = v.runningOn() >= 0;
        String where =
            v.isOnline()
                ? String.format(
                    Locale.ROOT,
                    "%5d %3c%c- ",
                    v.lastRanOn(),
                    running ? 'r' : '-',
                    !running && !v.isRunnable() ? 'b' : '-')
                : String.format(Locale.ROOT, "%5c %3c%cp ", '-', '-', '-');
        line(
            text,
            "%-32s %5d %5d %s%9.1f  %s / %s",
            guest.name(),
            guest.id(),
            v.id(),
            where,
            v.usedNanos() / 1e9,
            CpuSet.print(v.hardAffinity(), pcpus),
            CpuSet.print(v.softAffinity(), pcpus));
      }
    }
    s.out(text.toString());
  }

  /** The domains named, or all. */
  private List<GuestDomain> chosen(Words words) throws ToolException {
    List<GuestDomain> guests = new ArrayList<>();
    for (String name : words.rest()) {
      guests.add(domain(name));
    }
    return guests.isEmpty() ? host.guests() : guests;
  }

  private void info(Words words, Session s) throws ToolException {
    words.end();
    Hypervisor h = host.hypervisor();
    StringBuilder text = new StringBuilder();
    item(text, "host", hostName());
    item(text, "release", System.getProperty("os.version"));
    item(text, "version", "Java " + System.getProperty("java.version"));
    item(text, "machine", "x86_64");
    item(text, "nr_cpus", h.pcpus());
    item(text, "max_cpu_id", h.pcpus() - 1);
    item(text, "nr_nodes", 1);
    item(text, "cores_per_socket", h.pcpus());
    item(text, "threads_per_core", 1);
    item(text, "cpu_mhz", String.format(Locale.ROOT, "%.3f", h.tscHertz() / 1e6));
    item(text, "virt_caps", "pv hvm");
    item(text, "total_memory", h.totalPages() / PAGES_PER_MIB);
    item(text, "free_memory", h.freePages() / PAGES_PER_MIB);
    item(text, "xen_major", Hypervisor.VERSION_MAJOR);
    item(text, "xen_minor", Hypervisor.VERSION_MINOR);
    item(text, "xen_extra", Hypervisor.VERSION_EXTRA);
    item(
        text,
        "xen_version",
        Hypervisor.VERSION_MAJOR + "." + Hypervisor.VERSION_MINOR + Hypervisor.VERSION_EXTRA);
    item(text, "xen_caps", "hvm-3.0-x86_64");
    item(text, "xen_scheduler", "credit2");
    item(text, "xen_pagesize", 4096);
    s.out(text.toString());
  }

  private static String hostName() {
    try {
      return Files.readString(Path.of("/proc/sys/kernel/hostname")).strip();
    } catch (IOException e) {
      return "unknown";
    }
  }

  private static void item(StringBuilder text, String name, Object value) {
    line(text, "%-23s: %s", name, value);
  }

  private void domid(Words words, Session s) throws ToolException {
    GuestDomain guest = domain(words.next("a domain's name"));
    words.end();
    s.out(guest.id() + "\n");
  }

  private void domname(Words words, Session s) throws ToolException {
    GuestDomain guest = domain(words.next("a domain's number"));
    words.end();
    s.out(guest.name() + "\n");
  }

  private void dmesg(Words words, Session s) throws ToolException {
    boolean clear = words.flag("-c", "--clear");
    words.end();
    s.out(host.hypervisor().console().text());
    if (clear) {
      host.hypervisor().console().clear();
    }
  }

  private void uptime(Words words, Session s) throws ToolException {
    boolean brief = words.flag("-s", "--short");
    List<GuestDomain> guests = chosen(words);
    StringBuilder text = new StringBuilder();
    if (!brief) {
      line(text, "%-33s %4s %s", "Name", "ID", "Uptime");
    }
    for (GuestDomain guest : guests) {
      long up =
          (host.hypervisor().clock().nanos() - guest.domain().createdNanos()) / 1_000_000_000L;
      String days = up >= 86400 ? up / 86400 + " days, " : "";
      line(
          text,
          "%-33s %4d %s%2d:%02d:%02d",
          guest.name(),
          guest.id(),
          days,
          up % 86400 / 3600,
          up % 3600 / 60,
          up % 60);
    }
    s.out(text.toString());
  }

  /**
   * {@code top [-d SECONDS] [-i COUNT]}: what xentop shows, each domain's hypercalls by kind, and how
   * full its rings are; once, unless more is asked for.
   */
  private void top(Words words, Session s) throws ToolException {
    int delay = between(words.option("-d", "--delay").orElse("3"), 1, 3600, "1 to 3600 seconds");
    Optional<String> count = words.option("-i", "--iterations");
    boolean clear = words.flag("--clear");
    boolean endless = words.flag("--live");
    words.end();
    int left = count.isPresent() ? between(count.get(), 1, 1_000_000, "a count from 1 on") : 1;
    DomainTop top = new DomainTop(host);
    while (true) {
      s.out((clear ? CLEAR_SCREEN : "") + top.next());
      if (!endless && --left == 0 || !s.stays(delay * 1000L)) {
        return;
      }
    }
  }

  // ---- Scheduling and memory ----------------------------------------------------------------

  /** {@code vcpu-pin [-f] DOMAIN VCPU|all CPUS|- [CPUS]}. */
  private void vcpuPin(Words words) throws ToolException {
    words.flag("-f", "--force");
    GuestDomain guest = domain(words.next("a domain"));
    String which = words.next("a vCPU's number, or all");
    Optional<String> hard = words.optional();
    Optional<String> soft = words.optional();
    words.end();
    int pcpus = host.hypervisor().pcpus();
    List<VirtualCpu> all = guest.domain().vcpus();
    if (!which.equals("all")) {
      long number = number(which, "a vCPU's number, or all");
      if (number < 0 || number >= all.size()) {
        throw usage("vCPU " + which, "0 to " + (all.size() - 1));
      }
      all = List.of(all.get((int) number));
    }
    try {
      OptionalLong hardSet = affinity(hard, pcpus);
      OptionalLong softSet = affinity(soft, pcpus);
      for (VirtualCpu v : all) {
        v.setAffinity(
            hardSet.orElse(v.hardAffinity()), softSet.orElse(v.softAffinity()));
      }
    } catch (IllegalArgumentException e) {
      throw new ToolException(Reason.USAGE, e.getMessage(), e);
    }
  }

  /** {@code vcpu-set DOMAIN COUNT}. */
  private void vcpuSet(Words words) throws ToolException {
    GuestDomain guest = domain(words.next("a domain"));
    int most = guest.config().maxVcpus();
    int count = between(words.next("a number of vCPUs"), 1, most, "1 to its " + most + " vCPUs");
    words.end();
    if (guest.config().kind() == DomainKind.HVM) {
      throw new ToolException(
          Reason.HOST_REFUSED,
          guest.name() + " is an HVM domain, whose board has all its vCPUs: a PVH domain expected");
    }
    guest.setVcpus(count);
  }

  /** A set, or nothing where the word is missing or a dash: it stays as it is. */
  private static OptionalLong affinity(Optional<String> word, int pcpus) {
    return word.isEmpty() || word.get().equals("-")
        ? OptionalLong.empty()
        : OptionalLong.of(CpuSet.parse(word.get(), pcpus));
  }

  /** {@code sched-credit2 [-d DOMAIN [-w WEIGHT] [-c CAP]]}. */
  private void schedCredit2(Words words, Session s) throws ToolException {
    Optional<String> name = words.option("-d", "--domain");
    Optional<String> weight = words.option("-w", "--weight");
    Optional<String> cap = words.option("-c", "--cap");
    words.end();
    if (name.isEmpty() && (weight.isPresent() || cap.isPresent())) {
      throw usage("whose weight or cap is not said", "-d DOMAIN");
    }
    if (weight.isPresent() || cap.isPresent()) {
      Domain d = domain(name.get()).domain();
      if (weight.isPresent()) {
        d.setWeight(between(weight.get(), 1, 65535, "a weight of 1 to 65535"));
      }
      if (cap.isPresent()) {
        d.setCap(between(cap.get(), 0, 100 * 64, "a cap of 0 to 6400"));
      }
      return;
    }
    StringBuilder text = new StringBuilder();
    if (name.isEmpty()) {
      text.append("Cpupool Pool-0: ratelimit=0us\n");
    }
    line(text, "%-33s %4s %6s %4s", "Name", "ID", "Weight", "Cap");
    for (GuestDomain guest : name.isPresent() ? List.of(domain(name.get())) : host.guests()) {
      line(
          text,
          "%-33s %4d %6d %4d",
          guest.name(),
          guest.id(),
          guest.domain().weight(),
          guest.domain().cap());
    }
    s.out(text.toString());
  }

  private static int between(String text, int least, int most, String what)
      throws ToolException {
    long value = number(text, what);
    if (value < least || value > most) {
      throw usage("'" + text + "'", what);
    }
    return (int) value;
  }

  private void memSet(Words words) throws ToolException {
    GuestDomain guest = domain(words.next("a domain"));
    long mib = mebibytes(words.next("an amount of memory"));
    words.end();
    if (mib > guest.config().maxMemoryMib()) {
      throw usage(
          mib + " MiB", "at most its maxmem of " + guest.config().maxMemoryMib() + " MiB");
    }
    guest.setMemoryTarget(mib);
  }

  private void memMax(Words words) throws ToolException {
    GuestDomain guest = domain(words.next("a domain"));
    long mib = mebibytes(words.next("an amount of memory"));
    words.end();
    guest.domain().setMaxPages(mib * PAGES_PER_MIB + 16);
  }

  /** A number with b, k, m, g or t behind it; MiB without. */
  static long mebibytes(String text) throws ToolException {
    String digits = text.replaceFirst("[bkmgtBKMGT]$", "");
    long number = number(digits, "a number, with b, k, m, g or t behind it, or MiB");
    String unit = text.substring(digits.length()).toLowerCase(Locale.ROOT);
    long bytes =
        switch (unit) {
          case "b" -> number;
          case "k" -> number << 10;
          case "g" -> number << 30;
          case "t" -> number << 40;
          default -> number << 20;
        };
    if (number <= 0 || number > 1L << 22 || bytes >> 20 == 0) {
      throw usage("'" + text + "'", "1 MiB to 4 TiB");
    }
    return bytes >> 20;
  }

  // ---- Devices ----------------------------------------------------------------------------

  private void blockList(Words words, Session s) throws ToolException {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "%-5s %-3s %-6s %-5s %-6s %-8s %-30s",
        "Vdev", "BE", "handle", "state", "evt-ch", "ring-ref", "BE-path");
    for (GuestDomain guest : chosen(words)) {
      for (GuestDomain.Device d : guest.devices()) {
        if (d.type().equals("vbd")) {
          String front = front(guest, d);
          line(
              text,
              "%-5d %-3d %-6d %-5s %-6s %-8s %-30s",
              d.handle(),
              0,
              guest.id(),
              value(guest, front + "/state"),
              value(guest, front + "/event-channel"),
              value(guest, front + "/ring-ref"),
              back(guest, d));
        }
      }
    }
    s.out(text.toString());
  }

  private static String front(GuestDomain guest, GuestDomain.Device d) {
    return "/local/domain/" + guest.id() + "/device/" + d.type() + "/" + d.handle();
  }

  private static String back(GuestDomain guest, GuestDomain.Device d) {
    return "/local/domain/0/backend/" + d.type() + "/" + guest.id() + "/" + d.handle();
  }

  private static String value(GuestDomain guest, String path) {
    return guest.storeValue(path).filter(v -> v.matches("[0-9]+")).orElse("-1");
  }

  private void blockAttach(Words words) throws ToolException {
    GuestDomain guest = domain(words.next("a domain"));
    String spec = String.join(",", words.rest());
    try {
      guest.attach(DiskSpec.parse(spec));
    } catch (DiskSpec.BadDisk e) {
      throw new ToolException(Reason.USAGE, spec + ": " + e.getMessage(), e);
    }
  }

  private void blockDetach(Words words) throws ToolException {
    boolean force = words.flag("--force");
    GuestDomain guest = domain(words.next("a domain"));
    String which = words.next("a disk's vdev or number");
    words.end();
    GuestDomain.Device device =
        guest.devices().stream()
            .filter(d -> d.type().equals("vbd"))
            .filter(d -> Integer.toString(d.handle()).equals(which) || d.handle() == vdev(which))
            .findFirst()
            .orElseThrow(() -> usage("'" + which + "'", "a disk that " + guest.name() + " has"));
    leave(guest, device, force);
  }

  private static int vdev(String name) {
    try {
      return DiskSpec.parse("x,raw," + name).number();
    } catch (DiskSpec.BadDisk e) {
      return -1;
    }
  }

  /** Has the guest let go of a device first, if it does within a while. */
  private static void leave(GuestDomain guest, GuestDomain.Device device, boolean force)
      throws ToolException {
    if (!force) {
      device.backend().requestClose();
      for (int i = 0; i < 200; i++) {
        String state = guest.storeValue(front(guest, device) + "/state").orElse("6");
        if (state.equals("6") || state.equals("1")) {
          guest.detach(device);
          return;
        }
        try {
          Thread.sleep(50);
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          return;
        }
      }
      throw new ToolException(
          Reason.HOST_REFUSED, "the guest does not let go of the device: --force pulls it out");
    }
    guest.detach(device);
  }

  private void networkList(Words words, Session s) throws ToolException {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "%-3s %-2s %-17s %-6s %-5s %-6s %5s/%-5s %-30s",
        "Idx", "BE", "Mac Addr.", "handle", "state", "evt-ch", "tx-", "rx-ring-ref", "BE-path");
    for (GuestDomain guest : chosen(words)) {
      for (GuestDomain.Device d : guest.devices()) {
        if (d.type().equals("vif")) {
          String front = front(guest, d);
          String events = value(guest, front + "/event-channel");
          line(
              text,
              "%-3d %-2d %-17s %6d %5s %6s %5s/%-11s %-30s",
              d.handle(),
              0,
              guest.storeValue(front + "/mac").orElse("-"),
              d.handle(),
              value(guest, front + "/state"),
              events.equals("-1") ? value(guest, front + "/event-channel-tx") : events,
              value(guest, front + "/tx-ring-ref"),
              value(guest, front + "/rx-ring-ref"),
              back(guest, d));
        }
      }
    }
    s.out(text.toString());
  }

  private void networkAttach(Words words) throws ToolException {
    GuestDomain guest = domain(words.next("a domain"));
    String spec = String.join(",", words.rest());
    try {
      guest.attach(VifSpec.parse(spec), guest.nextVif());
    } catch (VifSpec.BadVif e) {
      throw new ToolException(Reason.USAGE, spec + ": " + e.getMessage(), e);
    }
  }

  private void networkDetach(Words words) throws ToolException {
    boolean force = words.flag("--force");
    GuestDomain guest = domain(words.next("a domain"));
    String which = words.next("a card's number or address");
    words.end();
    GuestDomain.Device device =
        guest.devices().stream()
            .filter(d -> d.type().equals("vif"))
            .filter(
                d -> Integer.toString(d.handle()).equals(which)
                    || guest.storeValue(front(guest, d) + "/mac").orElse("").equals(which))
            .findFirst()
            .orElseThrow(() -> usage("'" + which + "'", "a card that " + guest.name() + " has"));
    leave(guest, device, force);
  }
}
