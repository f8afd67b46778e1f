package org.javisor.network.ip;

/** Why something could not be delivered, in the codes of ICMP (RFC 792) and ICMPv6 (RFC 4443). */
public enum Unreachable {
  NETWORK(0, 0),
  HOST(1, 3),
  PORT(3, 4),
  /** A policy of this router forbids it. */
  PROHIBITED(13, 1);

  private final int code4;
  private final int code6;

  Unreachable(int code4, int code6) {
    this.code4 = code4;
    this.code6 = code6;
  }

  int code(boolean v6) {
    return v6 ? code6 : code4;
  }
}
