package org.javisor.network.tcp;

/** Comparing sequence numbers, which wrap around (RFC 9293, section 3.4). */
final class Sequence {
  private Sequence() {}

  static boolean before(int a, int b) {
    return a - b < 0;
  }

  static boolean after(int a, int b) {
    return a - b > 0;
  }

  static int later(int a, int b) {
    return a - b > 0 ? a : b;
  }
}
