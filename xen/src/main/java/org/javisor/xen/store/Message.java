package org.javisor.xen.store;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A message of the wire protocol ({@code struct xsd_sockmsg}).
 *
 * @param type one of the numbers here
 * @param request chosen by who asks; the answer carries the same
 * @param transaction 0 for none
 */
record Message(int type, int request, int transaction, byte[] payload) {
  static final int HEADER = 16;

  /** Longer payloads are not allowed in either direction. */
  static final int LONGEST = 4096;

  static final int CONTROL = 0;
  static final int DIRECTORY = 1;
  static final int READ = 2;
  static final int GET_PERMS = 3;
  static final int WATCH = 4;
  static final int UNWATCH = 5;
  static final int TRANSACTION_START = 6;
  static final int TRANSACTION_END = 7;
  static final int INTRODUCE = 8;
  static final int RELEASE = 9;
  static final int GET_DOMAIN_PATH = 10;
  static final int WRITE = 11;
  static final int MKDIR = 12;
  static final int RM = 13;
  static final int SET_PERMS = 14;
  static final int WATCH_EVENT = 15;
  static final int ERROR = 16;
  static final int IS_DOMAIN_INTRODUCED = 17;
  static final int RESET_WATCHES = 21;
  static final int DIRECTORY_PART = 22;

  /** The payload's length that a header announces; it may be anything. */
  static long payloadLength(byte[] header) {
    return ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN).getInt(12) & 0xffff_ffffL;
  }

  static Message of(byte[] header, byte[] payload) {
    ByteBuffer b = ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN);
    return new Message(b.getInt(0), b.getInt(4), b.getInt(8), payload);
  }

  byte[] encode() {
    return ByteBuffer.allocate(HEADER + payload.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(type)
        .putInt(request)
        .putInt(transaction)
        .putInt(payload.length)
        .put(payload)
        .array();
  }

  Message answer(byte[] answer) {
    return new Message(type, request, transaction, answer);
  }
}
