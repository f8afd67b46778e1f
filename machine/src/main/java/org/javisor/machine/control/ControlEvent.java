package org.javisor.machine.control;

import java.util.Map;

/**
 * Something that happened to a machine.
 *
 * @param name in the protocol, as {@code STOP}
 * @param data more of it; values as {@link Json} takes them
 */
public record ControlEvent(String name, Map<String, Object> data) {
  public static final ControlEvent STOP = new ControlEvent("STOP", Map.of());
  public static final ControlEvent RESUME = new ControlEvent("RESUME", Map.of());
  public static final ControlEvent POWERDOWN = new ControlEvent("POWERDOWN", Map.of());

  /** The machine has ended. */
  public static ControlEvent shutdown(boolean guest, String reason) {
    return new ControlEvent("SHUTDOWN", Json.object("guest", guest, "reason", reason));
  }

  /** The machine was reset. */
  public static ControlEvent reset(boolean guest, String reason) {
    return new ControlEvent("RESET", Json.object("guest", guest, "reason", reason));
  }

  /** A device has gone, as device_del asked. */
  public static ControlEvent deviceDeleted(String id) {
    return new ControlEvent(
        "DEVICE_DELETED", Json.object("device", id, "path", "/machine/peripheral/" + id));
  }
}
