package org.javisor.cli;

import org.javisor.machine.control.RuntimeFolder;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.TypeConversionException;

/** The options of verbs that begin a machine's life: its name, its console, and how it begins. */
final class ControlOptions {
  final OptionSpec name =
      Verb.option(
          "--name",
          "NAME",
          String.class,
          "The machine's name, for list, console, save and the like. Default: vm-PID, or the name"
              + " it had when it was saved.")
          .converters(ControlOptions::name)
          .build();
  final OptionSpec detach =
      Verb.flag("--detach", "Start in the background; javisor console NAME attaches.");
  final OptionSpec startPaused =
      Verb.flag("--paused", "Start paused; javisor resume NAME goes on.");

  final OptionSpec console =
      Verb.option(
          "--console",
          "WHERE",
          ConsoleTarget.class,
          "stdio, file:PATH or socket:PATH (a UNIX socket). Default: ${DEFAULT-VALUE}")
          .converters(new ConsoleTarget.Converter())
          .defaultValue("stdio")
          .build();
  final OptionSpec virtioConsole =
      Verb.option(
          "--virtio-console",
          "WHERE",
          String[].class,
          "A VirtIO terminal, /dev/hvc0 in the guest: stdio, file:PATH or socket:PATH. With NAME=WHERE"
              + " a channel, /dev/virtio-ports/NAME. May be given again.")
          .build();
  final OptionSpec noReboot =
      Verb.flag("--no-reboot",
          "End when the guest resets the machine, instead of starting it again.");

  /** The process in the background, as {@link DetachedStart} makes it. */
  final OptionSpec detached =
      OptionSpec.builder(DetachedStart.OPTION).type(boolean.class).hidden(true).build();

  private static String name(String text) {
    if (!RuntimeFolder.isName(text)) {
      throw new TypeConversionException(
          "'" + text + "' is no name: up to 64 letters, digits, dots, minus signs and underscores"
              + " expected");
    }
    return text;
  }

  /** The name given, or this one. */
  String nameOr(String otherwise) {
    String given = name.getValue();
    return given == null ? otherwise : given;
  }

  /** A name for a machine that was given none. */
  static String ownName() {
    return "vm-" + ProcessHandle.current().pid();
  }

  boolean detaches() {
    return Verb.isSet(detach);
  }

  boolean isDetached() {
    return Verb.isSet(detached);
  }

  boolean paused() {
    return Verb.isSet(startPaused);
  }
}
