package org.javisor.virtio.console;

/** Numbers of the console, with the names of VirtIO 1.2, section 5.3. */
final class ConsoleLayout {
  static final long F_SIZE = 1L;
  static final long F_MULTIPORT = 1L << 1;
  static final long F_EMERG_WRITE = 1L << 2;

  /** {@code struct virtio_console_config}. */
  static final int CONFIG_SIZE = 12;

  static final int CONFIG_COLS = 0;
  static final int CONFIG_ROWS = 2;
  static final int CONFIG_MAX_PORTS = 4;
  static final int CONFIG_EMERG_WR = 8;

  /** {@code struct virtio_console_control}: le32 id, le16 event, le16 value. */
  static final int CONTROL_SIZE = 8;

  static final int DEVICE_READY = 0;
  static final int DEVICE_ADD = 1;
  static final int PORT_READY = 3;
  static final int CONSOLE_PORT = 4;
  static final int RESIZE = 5;
  static final int PORT_OPEN = 6;
  static final int PORT_NAME = 7;

  private ConsoleLayout() {}
}
