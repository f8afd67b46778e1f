package org.javisor.cli;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import org.javisor.machine.console.Console;
import org.javisor.machine.console.FileConsole;
import org.javisor.machine.console.SocketConsole;
import org.javisor.machine.console.TerminalConsole;

/** Makes the console that {@code --console} asks for. */
final class Consoles {
  private Consoles() {}

  /**
   * Opens a console.
   *
   * @param option the option that asks for it, to name it in errors
   * @param quit what Ctrl-A x at a terminal does
   */
  static Console open(String option, ConsoleTarget target, Runnable quit) throws UserError {
    return open(option, target, false, quit);
  }

  /**
   * The same, of a guest that goes on.
   *
   * @param append a file keeps what is in it
   */
  static Console open(String option, ConsoleTarget target, boolean append, Runnable quit)
      throws UserError {
    return switch (target) {
      case ConsoleTarget.Stdio() -> TerminalConsole.open(quit);
      case ConsoleTarget.ToFile(Path path) -> {
        try {
          yield append ? FileConsole.append(path) : FileConsole.open(path);
        } catch (IOException e) {
          throw cannot(option + " file:" + path, "be written", "a file in a writable folder", e);
        }
      }
      case ConsoleTarget.ToSocket(Path path) -> {
        try {
          yield SocketConsole.open(path);
        } catch (FileAlreadyExistsException e) {
          throw cannot(
              option + " socket:" + path, "be made: something is there", "a path that is free", e);
        } catch (IOException e) {
          throw cannot(option + " socket:" + path, "be made", "a short path in a writable folder",
              e);
        }
      }
    };
  }

  private static UserError cannot(
      String console, String what, String expected, IOException cause) {
    String reason = cause instanceof FileAlreadyExistsException ? "" : " (" + reason(cause) + ")";
    return new UserError(
        ExitCode.FILE,
        console + " cannot " + what + reason + "; " + expected + " expected",
        cause);
  }

  private static String reason(IOException e) {
    return switch (e) {
      case java.nio.file.NoSuchFileException _ -> "its folder does not exist";
      case java.nio.file.AccessDeniedException _ -> "permission denied";
      case java.nio.file.FileSystemException f when f.getReason() != null -> f.getReason();
      default -> e.getMessage();
    };
  }
}
