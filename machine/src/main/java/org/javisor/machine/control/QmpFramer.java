package org.javisor.machine.control;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;

/**
 * Cuts a stream of bytes into JSON values, which need nothing between them. After a syntax error it
 * begins anew at the next line, as a person at a terminal does.
 */
final class QmpFramer {
  /** Bytes of the longest request; a command of QMP has some hundreds. */
  static final int MAX_LENGTH = 1 << 20;

  private byte[] text = new byte[256];
  private int length;
  private int depth;
  private boolean inString;
  private boolean escaped;

  /** Behind something that is no request: skips the rest of the line. */
  private boolean skipping;

  /** A value that is complete, or what is none. */
  sealed interface Frame {
    record Value(Object value) implements Frame {}

    record Error(String message) implements Frame {}
  }

  /** Takes the next byte; gives a frame if it is the last of one. */
  Optional<Frame> accept(int value) {
    if (skipping) {
      skipping = value != '\n';
      return Optional.empty();
    }
    if (length == 0 && value <= ' ') {
      return Optional.empty();
    }
    if (length == 0 && value != '{' && value != '[') {
      return Optional.of(error(value));
    }
    if (length == MAX_LENGTH) {
      return Optional.of(error(value));
    }
    if (length == text.length) {
      text = Arrays.copyOf(text, 2 * length);
    }
    text[length++] = (byte) value;
    if (inString) {
      if (escaped) {
        escaped = false;
      } else if (value == '\\') {
        escaped = true;
      } else if (value == '"') {
        inString = false;
      }
      return Optional.empty();
    }
    switch (value) {
      case '"' -> inString = true;
      case '{', '[' -> depth++;
      case '}', ']' -> depth--;
      default -> {
        // Whether it means anything is the parser's business.
      }
    }
    return depth == 0 ? Optional.of(complete()) : Optional.empty();
  }

  private Frame error(int last) {
    restart();
    skipping = last != '\n';
    return new Frame.Error("Invalid JSON syntax");
  }

  private void restart() {
    length = 0;
    depth = 0;
    inString = false;
    escaped = false;
  }

  private Frame complete() {
    int end = length;
    restart();
    try {
      String json =
          StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text, 0, end)).toString();
      return new Frame.Value(Json.parse(json));
    } catch (CharacterCodingException | Json.Invalid e) {
      return new Frame.Error("Invalid JSON syntax");
    }
  }
}
