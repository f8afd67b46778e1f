package org.javisor.machine;

/** What is wrong with an option of several parts. */
final class OptionText {
  private OptionText() {}

  static MachineException bad(String option, String text, String what, String syntax) {
    return new MachineException(
        MachineException.Reason.BAD_OPTION,
        option + " " + text + ": " + what + "; expected " + syntax);
  }
}
