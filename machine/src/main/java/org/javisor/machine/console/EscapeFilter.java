package org.javisor.machine.console;

/** Finds the escapes in what a person types: Ctrl-A and one more key. */
final class EscapeFilter {
  static final int NOTHING = -1;
  static final int QUIT = -2;
  static final int HELP = -3;
  static final int BREAK = -4;

  static final String HELP_TEXT =
      """

      Ctrl-A x  leave at once: the machine is switched off
      Ctrl-A b  send a break, SysRq for Linux
      Ctrl-A a  send Ctrl-A to the guest; so does Ctrl-A Ctrl-A
      Ctrl-A h  this help
      """;

  /** For someone who is attached to a machine of another process. */
  static final String ATTACHED_HELP_TEXT =
      """

      Ctrl-A d  detach: the machine goes on; so does Ctrl-A x
      Ctrl-A a  send Ctrl-A to the guest; so does Ctrl-A Ctrl-A
      Ctrl-A h  this help
      """;

  static final int DETACH = -5;

  private static final int CTRL_A = 1;

  private boolean escaped;

  /**
   * Takes the next byte typed.
   *
   * @return the byte that the guest gets, 0 to 255, or one of the negative constants
   */
  int accept(int value) {
    if (!escaped) {
      escaped = value == CTRL_A;
      return escaped ? NOTHING : value;
    }
    escaped = false;
    return switch (value) {
      case CTRL_A, 'a', 'A' -> CTRL_A;
      case 'x', 'X' -> QUIT;
      case 'h', 'H', '?' -> HELP;
      case 'b', 'B' -> BREAK;
      case 'd', 'D' -> DETACH;
      default -> NOTHING;
    };
  }
}
