package org.javisor.machine;

import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.javisor.network.option.OptionParts;

/**
 * A folder of the host that the guest can mount: the value of {@code --share}.
 *
 * @param folder a folder of the host
 * @param tag the name by which the guest mounts it, at most {@value #MAX_TAG} bytes of UTF-8
 * @param writable whether the guest may change what is in it
 */
public record ShareConfig(Path folder, String tag, boolean writable) {
  /** Bytes of the longest tag: VirtIO 1.2, section 5.11.4. */
  public static final int MAX_TAG = 36;

  /** The option's syntax in one line, for help and messages. */
  public static final String SYNTAX = "FOLDER:TAG[,rw]";

  public ShareConfig {
    Objects.requireNonNull(folder, "folder");
    if (!isTag(tag)) {
      throw new IllegalArgumentException("tag '" + tag + "': 1 to " + MAX_TAG + " bytes expected");
    }
  }

  /**
   * Reads the option's value, as {@link #SYNTAX} has it. A comma in the folder's name is written
   * twice.
   *
   * @throws MachineException with {@link MachineException.Reason#BAD_OPTION}
   */
  public static ShareConfig parse(String text) throws MachineException {
    List<String> parts = OptionParts.split(text);
    String named = parts.removeFirst();
    int colon = named.lastIndexOf(':');
    if (colon < 1) {
      throw bad(text, "it names no folder and tag");
    }
    String tag = named.substring(colon + 1);
    if (!isTag(tag)) {
      throw bad(text, "'" + tag + "' is no tag: 1 to " + MAX_TAG + " bytes without spaces");
    }
    boolean writable = false;
    for (String part : parts) {
      switch (part) {
        case "rw" -> writable = true;
        case "ro" -> writable = false;
        default -> throw bad(text, "'" + part + "' is not known");
      }
    }
    try {
      return new ShareConfig(Path.of(named.substring(0, colon)), tag, writable);
    } catch (InvalidPathException e) {
      throw bad(text, "it names no folder");
    }
  }

  private static boolean isTag(String tag) {
    return !tag.isEmpty()
        && tag.getBytes(StandardCharsets.UTF_8).length <= MAX_TAG
        && tag.chars().noneMatch(c -> Character.isWhitespace(c) || Character.isISOControl(c));
  }

  private static MachineException bad(String text, String what) {
    return OptionText.bad("--share", text, what, SYNTAX);
  }
}
