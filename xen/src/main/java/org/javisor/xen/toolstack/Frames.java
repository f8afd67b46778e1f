package org.javisor.xen.toolstack;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * What travels on the host's socket. A client sends one command line: a count, then that many
 * strings. The host answers with frames of a type, a length and bytes. While a console is attached
 * the client sends frames, too.
 */
final class Frames {
  static final int OUTPUT = 1;
  static final int ERROR = 2;

  /** The last one: the exit code as text. */
  static final int EXIT = 3;

  /** The client should switch its terminal to raw: what follows is a console. */
  static final int CONSOLE = 4;

  /** From the client: what was typed. */
  static final int TYPED = 5;

  private static final int MOST_WORDS = 256;
  private static final int LONGEST = 1 << 20;

  record Frame(int type, byte[] bytes) {
    String text() {
      return new String(bytes, StandardCharsets.UTF_8);
    }
  }

  private Frames() {}

  static void writeCommand(DataOutputStream out, List<String> words) throws IOException {
    out.writeInt(words.size());
    for (String word : words) {
      byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
      out.writeInt(bytes.length);
      out.write(bytes);
    }
    out.flush();
  }

  static List<String> readCommand(DataInputStream in) throws IOException {
    int count = in.readInt();
    if (count < 0 || count > MOST_WORDS) {
      throw new IOException("a command of " + count + " words");
    }
    List<String> words = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      words.add(new String(bytes(in), StandardCharsets.UTF_8));
    }
    return words;
  }

  private static byte[] bytes(DataInputStream in) throws IOException {
    int length = in.readInt();
    if (length < 0 || length > LONGEST) {
      throw new IOException("a frame of " + length + " bytes");
    }
    byte[] bytes = new byte[length];
    in.readFully(bytes);
    return bytes;
  }

  static void write(DataOutputStream out, int type, byte[] bytes) throws IOException {
    out.writeByte(type);
    out.writeInt(bytes.length);
    out.write(bytes);
    out.flush();
  }

  static Frame read(DataInputStream in) throws IOException {
    int type = in.readUnsignedByte();
    return new Frame(type, bytes(in));
  }
}
