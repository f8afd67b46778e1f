package org.javisor.network.service;

import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/** As much of DNS messages as a forwarder needs (RFC 1035, section 4). */
final class DnsMessage {
  static final int HEADER = 12;
  static final int TYPE_A = 1;
  static final int TYPE_AAAA = 28;
  static final int NO_ERROR = 0;
  static final int SERVER_FAILURE = 2;
  static final int NO_SUCH_NAME = 3;
  static final int REFUSED = 5;

  private static final int CLASS_INTERNET = 1;
  private static final int RESPONSE = 0x8000;
  private static final int OPCODE = 0x7800;
  private static final int RECURSION_DESIRED = 0x0100;
  private static final int RECURSION_AVAILABLE = 0x0080;
  private static final int POINTER_TO_QUESTION = 0xC000 | HEADER;
  private static final int TTL_SECONDS = 30;

  /**
   * The one question of a query.
   *
   * @param name without the last dot, or null if it has bytes that no host name has
   * @param end index behind the question
   */
  record Question(String name, int type, int questionClass, int end) {
    boolean asksForAddress() {
      return name != null
          && questionClass == CLASS_INTERNET
          && (type == TYPE_A || type == TYPE_AAAA);
    }
  }

  private DnsMessage() {}

  /** @return the question of a standard query, or null if the message is not one */
  static Question parseQuery(byte[] message) {
    ByteBuffer in = ByteBuffer.wrap(message);
    if (message.length < HEADER
        || (in.getShort(2) & (RESPONSE | OPCODE)) != 0
        || in.getShort(4) != 1) {
      return null;
    }
    return parseQuestion(message);
  }

  private static Question parseQuestion(byte[] message) {
    StringBuilder name = new StringBuilder();
    boolean host = true;
    int at = HEADER;
    while (at < message.length && message[at] != 0) {
      int length = message[at] & 0xFF;
      // A label of more than 63 bytes would be a pointer, and there is nothing yet to point to.
      if (length > 63 || at + 1 + length >= message.length || name.length() + length > 254) {
        return null;
      }
      String label = new String(message, at + 1, length, StandardCharsets.ISO_8859_1);
      host &= label.matches("[A-Za-z0-9_-]+");
      name.append(name.isEmpty() ? "" : ".").append(label);
      at += 1 + length;
    }
    if (at + 5 > message.length) {
      return null;
    }
    ByteBuffer in = ByteBuffer.wrap(message);
    return new Question(
        host && !name.isEmpty() ? name.toString() : null,
        in.getShort(at + 1) & 0xFFFF,
        in.getShort(at + 3) & 0xFFFF,
        at + 5);
  }

  /** Whether a message can be the answer to a query: same number, same question. */
  static boolean answers(ByteBuffer answer, int at, int length, byte[] query, int questionEnd) {
    if (length < questionEnd
        || answer.get(at) != query[0]
        || answer.get(at + 1) != query[1]
        || (answer.get(at + 2) & 0x80) == 0) {
      return false;
    }
    for (int i = HEADER; i < questionEnd; i++) {
      if (answer.get(at + i) != query[i]) {
        return false;
      }
    }
    return true;
  }

  /** Writes an answer of our own. */
  static byte[] answer(
      byte[] query, Question question, int code, List<InetAddress> addresses) {
    int size = addresses.stream().mapToInt(address -> 12 + address.getAddress().length).sum();
    ByteBuffer out = ByteBuffer.allocate(question.end() + size);
    out.put(Arrays.copyOf(query, question.end()));
    int desired = ByteBuffer.wrap(query).getShort(2) & RECURSION_DESIRED;
    out.putShort(2, (short) (RESPONSE | desired | RECURSION_AVAILABLE | code));
    out.putShort(6, (short) addresses.size()).putInt(8, 0);
    for (InetAddress address : addresses) {
      byte[] bytes = address.getAddress();
      out.putShort((short) POINTER_TO_QUESTION)
          .putShort((short) (bytes.length == 4 ? TYPE_A : TYPE_AAAA))
          .putShort((short) CLASS_INTERNET)
          .putInt(TTL_SECONDS)
          .putShort((short) bytes.length)
          .put(bytes);
    }
    return out.array();
  }
}
