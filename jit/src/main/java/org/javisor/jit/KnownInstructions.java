package org.javisor.jit;

import org.javisor.isa.Decoder;
import org.javisor.isa.Instruction;
import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * Decodes the bytes of a block; finds short instructions that were seen before without decoding
 * them.
 *
 * <p>The first bytes of an instruction say how long it is. How long the one was that began with these
 * three bytes the last time is a good guess for where to look, and only that: an instruction is the
 * same if all of its bytes are.
 */
final class KnownInstructions {
  private static final int GUESSES = 1 << 16;
  private static final int ENTRIES = 1 << 13;

  /** Bytes of the longest instruction that is remembered. */
  private static final int LONGEST = 8;

  private static final long MIX = 0x9E37_79B9_7F4A_7C15L;

  private final Decoder decoder;
  private final byte[] guesses = new byte[GUESSES];
  private final long[] heads = new long[ENTRIES];
  private final KnownInstruction[] entries = new KnownInstruction[ENTRIES];

  /** The bytes to decode, twice: for the decoder, and to read eight at once. */
  private final byte[] bytes;

  private final long words;
  private int available;

  KnownInstructions(Decoder decoder, byte[] bytes) {
    this.decoder = decoder;
    this.bytes = bytes;
    words =
        HostMemory.mapAnonymous(
            bytes.length + LONGEST, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
  }

  /** The bytes to decode are new; so many of them. */
  void begin(int available) {
    this.available = available;
    RawMemory.copyIn(bytes, 0, words, available);
  }

  /**
   * Decodes the instruction at an offset.
   *
   * @return null if it is none, or not all of it is there
   */
  KnownInstruction at(int offset) {
    long head = RawMemory.get64(words + offset);
    int guess = (int) ((head & 0xff_ffff) * MIX >>> 48);
    int length = guesses[guess];
    if (length > 0 && offset + length <= available) {
      long own = head & -1L >>> 64 - 8 * length;
      int slot = slot(own);
      KnownInstruction known = entries[slot];
      if (known != null && heads[slot] == own && known.in.length == length) {
        return known;
      }
    }
    Instruction in = new Instruction();
    length = decoder.decode(bytes, offset, available, 64, in);
    if (length <= 0) {
      return null;
    }
    KnownInstruction known = new KnownInstruction(in);
    if (length <= LONGEST) {
      long own = head & -1L >>> 64 - 8 * length;
      int slot = slot(own);
      guesses[guess] = (byte) length;
      heads[slot] = own;
      entries[slot] = known;
    }
    return known;
  }

  private static int slot(long own) {
    return (int) (own * MIX >>> 64 - 13);
  }

  void close() {
    HostMemory.unmap(words, bytes.length + LONGEST);
  }
}
