package org.javisor.machine.gdb;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/**
 * Packets on a stream: {@code $data#checksum}, acknowledged by {@code +} until both sides agree not
 * to. Data is handled as strings of the characters 0 to 255.
 *
 * <p>One thread reads, one sends.
 */
final class GdbConnection {
  /** What {@link #read} returns for the byte that asks a running program to stop. */
  static final String INTERRUPT = "\3";

  /** The longest packet we accept, as announced to the debugger. */
  static final int PACKET_SIZE = 0x4000;

  private static final int ESCAPE = '}';

  private final InputStream in;
  private final OutputStream out;
  private volatile boolean acknowledge = true;

  GdbConnection(InputStream in, OutputStream out) {
    this.in = new BufferedInputStream(in);
    this.out = out;
  }

  /** The debugger asked for a connection without acknowledgements. */
  void stopAcknowledging() {
    acknowledge = false;
  }

  /**
   * Returns the data of the next packet, or {@link #INTERRUPT}; null at the end of the stream.
   *
   * @throws IOException also if the other side does not speak the protocol
   */
  String read() throws IOException {
    while (true) {
      int first = in.read();
      switch (first) {
        case -1 -> {
          return null;
        }
        case 3 -> {
          return INTERRUPT;
        }
        case '$' -> {
          String data = packet();
          if (data != null) {
            return data;
          }
        }
        // Acknowledgements of ours. TCP loses nothing, so nothing is ever sent again.
        default -> {}
      }
    }
  }

  private String packet() throws IOException {
    ByteArrayOutputStream data = new ByteArrayOutputStream();
    int sum = 0;
    int c = in.read();
    while (c != '#') {
      if (c < 0 || data.size() > 2 * PACKET_SIZE) {
        throw new IOException("a packet that does not end");
      }
      sum += c;
      if (c == ESCAPE) {
        c = in.read();
        sum += c;
        c ^= 0x20;
      }
      data.write(c);
      c = in.read();
    }
    int expected = Character.digit(in.read(), 16) << 4 | Character.digit(in.read(), 16);
    boolean good = expected == (sum & 0xff);
    if (acknowledge) {
      synchronized (out) {
        out.write(good ? '+' : '-');
        out.flush();
      }
    }
    return good || !acknowledge ? data.toString(StandardCharsets.ISO_8859_1) : null;
  }

  void send(String data) throws IOException {
    ByteArrayOutputStream packet = new ByteArrayOutputStream(data.length() + 4);
    packet.write('$');
    int sum = 0;
    for (int i = 0; i < data.length(); i++) {
      int c = data.charAt(i);
      if (c == '#' || c == '$' || c == ESCAPE || c == '*') {
        packet.write(ESCAPE);
        sum += ESCAPE;
        c ^= 0x20;
      }
      packet.write(c);
      sum += c;
    }
    packet.writeBytes("#%02x".formatted(sum & 0xff).getBytes(StandardCharsets.US_ASCII));
    synchronized (out) {
      packet.writeTo(out);
      out.flush();
    }
  }
}
