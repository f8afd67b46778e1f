package org.javisor.machine.control;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.javisor.machine.control.ControlException.ErrorClass;

/** The commands of one machine, by name; each answers with what QMP calls its return value. */
final class QmpCommands {
  /** Carries out a command. */
  private interface Command {
    Object execute(QmpArguments arguments) throws ControlException;
  }

  private static final Map<String, Object> NOTHING = Map.of();

  /**
   * What a command answers.
   *
   * @param after done when the answer is on its way
   */
  record Answer(Object value, Runnable after) {}

  private final ControlTarget target;
  private final Map<String, Command> commands = new TreeMap<>();

  QmpCommands(ControlTarget target) {
    this.target = target;
    commands.put("query-version", arguments -> version());
    commands.put("query-status", arguments -> status());
    commands.put("query-name", arguments -> Map.of("name", target.info().name()));
    commands.put("query-kvm", arguments -> kvm());
    commands.put("query-commands", arguments -> names());
    commands.put("query-cpus-fast", arguments -> cpus());
    commands.put("query-block", arguments -> blocks());
    commands.put("stop", arguments -> done(target::pause));
    commands.put("cont", arguments -> done(target::resume));
    commands.put("system_powerdown", arguments -> done(target::powerButton));
    commands.put("system_reset", arguments -> done(target::reset));
    commands.put("quit", arguments -> new Answer(NOTHING, target::quit));
    commands.put("device_add", this::addDevice);
    commands.put("device_del", arguments -> removeDevice(arguments.string("id")));
    commands.put("x-javisor-list", arguments -> List.of(info(target.info())));
    commands.put("x-javisor-save", this::save);
    // Carried out by the session, whose connection becomes the console.
    commands.put("x-javisor-console", arguments -> NOTHING);
    commands.put("qmp_capabilities", arguments -> NOTHING);
  }

  Answer execute(String name, Map<String, Object> arguments) throws ControlException {
    Command command = commands.get(name);
    if (command == null) {
      throw new ControlException(
          ErrorClass.COMMAND_NOT_FOUND, "The command " + name + " has not been found");
    }
    QmpArguments checked = new QmpArguments(arguments);
    if (!name.equals("device_add") && !name.equals("device_del")
        && !name.equals("x-javisor-save")) {
      checked.end();
    }
    Object value = command.execute(checked);
    return value instanceof Answer answer ? answer : new Answer(value, () -> {});
  }

  private interface Action {
    void run() throws ControlException;
  }

  private static Object done(Action action) throws ControlException {
    action.run();
    return NOTHING;
  }

  /** The version of this program, in the place where clients look for QEMU's. */
  static Map<String, Object> version() {
    String text = QmpCommands.class.getPackage().getImplementationVersion();
    int[] numbers = new int[3];
    String[] parts = (text == null ? "" : text).split("[^0-9]+", -1);
    for (int i = 0; i < Math.min(parts.length, 3); i++) {
      numbers[i] = parts[i].isEmpty() || parts[i].length() > 6 ? 0 : Integer.parseInt(parts[i]);
    }
    Map<String, Object> version = new LinkedHashMap<>();
    version.put(
        "qemu",
        Json.object("major", numbers[0], "minor", numbers[1], "micro", numbers[2]));
    version.put("package", "Javisor" + (text == null ? "" : " " + text));
    return version;
  }

  private Object status() {
    ControlTarget.RunState state = target.info().state();
    Map<String, Object> status = new LinkedHashMap<>();
    status.put("running", state == ControlTarget.RunState.RUNNING);
    status.put("singlestep", false);
    status.put("status", state.label());
    return status;
  }

  private Object kvm() {
    boolean enabled = target.info().accelerator().equals("kvm");
    return Json.object("enabled", enabled, "present", enabled);
  }

  private Object names() {
    List<Object> names = new ArrayList<>();
    commands.keySet().forEach(name -> names.add(Map.of("name", name)));
    return names;
  }

  private Object cpus() {
    List<Object> cpus = new ArrayList<>();
    for (ControlTarget.Cpu cpu : target.cpus()) {
      Map<String, Object> each = new LinkedHashMap<>();
      each.put("cpu-index", cpu.index());
      each.put("qom-path", "/machine/unattached/device[" + cpu.index() + "]");
      each.put("thread-id", cpu.thread().orElse(-1));
      each.put("target", "x86_64");
      each.put("props", Json.object("core-id", cpu.index(), "thread-id", 0, "socket-id", 0));
      cpus.add(each);
    }
    return cpus;
  }

  private Object blocks() {
    List<Object> blocks = new ArrayList<>();
    for (ControlTarget.Disk disk : target.disks()) {
      Map<String, Object> image = new LinkedHashMap<>();
      image.put("filename", disk.file());
      image.put("format", disk.format());
      image.put("virtual-size", disk.size());
      Map<String, Object> inserted = new LinkedHashMap<>();
      inserted.put("file", disk.file());
      inserted.put("ro", disk.readOnly());
      inserted.put("drv", disk.format());
      inserted.put("encrypted", false);
      inserted.put("image", image);
      Map<String, Object> each = new LinkedHashMap<>();
      each.put("device", disk.device());
      each.put("type", "unknown");
      each.put("removable", false);
      each.put("locked", false);
      each.put("inserted", inserted);
      blocks.add(each);
    }
    return blocks;
  }

  private static Map<String, Object> info(ControlTarget.Info info) {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("name", info.name());
    line.put("kind", info.kind());
    line.put("state", info.state().label());
    line.put("vcpus", info.vcpus());
    line.put("memory", info.memory());
    line.put("cpu-nanos", info.cpuNanos());
    line.put("uptime-nanos", info.uptimeNanos());
    line.put("pid", info.pid());
    line.put("accelerator", info.accelerator());
    line.put("instructions", info.instructions());
    line.put("device-accesses", info.deviceAccesses());
    return line;
  }

  private Object save(QmpArguments arguments) throws ControlException {
    String file = arguments.string("file");
    boolean running = arguments.flag("running", false);
    arguments.end();
    try {
      Path path = Path.of(file);
      if (!path.isAbsolute()) {
        throw new ControlException("'" + file + "': an absolute path expected");
      }
      ControlTarget.Saved saved = target.save(path, running);
      return new Answer(Map.of("size", saved.size()), saved.after());
    } catch (InvalidPathException e) {
      throw new ControlException("'" + file + "' names no file", e);
    }
  }

  private Object addDevice(QmpArguments arguments) throws ControlException {
    String driver = arguments.string("driver");
    String id = arguments.string("id");
    target.addDevice(driver, id, arguments.rest());
    return NOTHING;
  }

  private Object removeDevice(String id) throws ControlException {
    target.removeDevice(id);
    return NOTHING;
  }
}
