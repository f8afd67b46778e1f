package org.javisor.network;

import java.util.HexFormat;
import org.javisor.accelerator.time.Entropy;

/**
 * An Ethernet address.
 *
 * @param bits its 48 bits, the first byte on the wire highest
 */
public record MacAddress(long bits) {
  public static final MacAddress BROADCAST = new MacAddress(0xFFFF_FFFF_FFFFL);

  public MacAddress {
    if (bits >>> 48 != 0) {
      throw new IllegalArgumentException("more than 48 bits: " + Long.toHexString(bits));
    }
  }

  /** An address for a card, locally administered, in the range other hypervisors use for guests. */
  public static MacAddress random(Entropy entropy) {
    byte[] low = new byte[3];
    entropy.nextBytes(low);
    return new MacAddress(
        0x5254_0000_0000L | (low[0] & 0xFF) << 16 | (low[1] & 0xFF) << 8 | low[2] & 0xFF);
  }

  /**
   * Reads {@code 52:54:00:12:34:56}.
   *
   * @throws IllegalArgumentException with one line for a person
   */
  public static MacAddress parse(String text) {
    if (!text.matches("(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")) {
      throw new IllegalArgumentException(
          "'" + text + "' is no Ethernet address: 52:54:00:12:34:56 expected");
    }
    return new MacAddress(HexFormat.fromHexDigitsToLong(text.replace(":", "")));
  }

  public boolean isMulticast() {
    return isMulticast(bits);
  }

  /** Whether the group bit is set; broadcast is a group too. */
  public static boolean isMulticast(long bits) {
    return (bits & 0x0100_0000_0000L) != 0;
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder(17);
    for (int shift = 40; shift >= 0; shift -= 8) {
      text.append(HexFormat.of().toHexDigits((byte) (bits >>> shift)));
      if (shift > 0) {
        text.append(':');
      }
    }
    return text.toString();
  }
}
