package org.javisor.pc.net;

import org.javisor.accelerator.state.StateCheck;
import org.javisor.network.MacAddress;

/**
 * The card's EEPROM, 64 words (5.6): read by a register that does it in one go, or bit by bit as
 * the chip on the board (a 93C46 of National Semiconductor) wants it.
 */
final class E1000Eeprom {
  static final int WORDS = 64;

  /** What all words together sum up to. */
  private static final int SUM = 0xbaba;

  // EECD (13.4.3).
  private static final int CLOCK = 1;
  private static final int SELECT = 2;
  private static final int DATA_IN = 4;
  private static final int DATA_OUT = 8;
  private static final int REQUEST = 0x40;
  private static final int GRANT = 0x80;
  private static final int PRESENT = 0x100;

  /** A read is a start bit, two bits of operation code and six of address. */
  private static final int COMMAND_BITS = 9;

  private static final int READ = 6;

  // EERD (13.4.4).
  private static final int START = 1;
  private static final int DONE = 0x10;

  private final short[] words = new short[WORDS];
  private int control;
  private int readRegister;

  // The bit-by-bit interface.
  private int shifted;
  private int bits;
  private int output;
  private int outputBits;

  E1000Eeprom(MacAddress mac, int vendor, int device) {
    long address = mac.bits();
    for (int i = 0; i < 3; i++) {
      int pair = (int) (address >> 32 - 16 * i) & 0xffff;
      words[i] = (short) (pair >> 8 | pair << 8);
    }
    words[0x0a] = 0x6403; // initialisation control 1: the identity is in here
    words[0x0b] = (short) device;
    words[0x0c] = (short) vendor;
    words[0x0d] = (short) device;
    words[0x0e] = (short) vendor;
    words[0x0f] = 0x3040; // initialisation control 2
    int sum = 0;
    for (int i = 0; i < WORDS - 1; i++) {
      sum += words[i];
    }
    words[WORDS - 1] = (short) (SUM - sum);
  }

  void reset() {
    control = 0;
    readRegister = 0;
    bits = 0;
    outputBits = 0;
  }

  /**
   * The saved state.
   *
   * @param shifted the bits of a command that have come, {@code bits} of them
   * @param output the word that is shifted out, of which {@code outputBits} are to come
   */
  record State(
      int control, int readRegister, int shifted, int bits, int output, int outputBits) {
    State {
      StateCheck.range("bits of a command", bits, 0, COMMAND_BITS - 1);
      StateCheck.range("bits to come", outputBits, 0, 17);
    }
  }

  State save() {
    return new State(control, readRegister, shifted, bits, output, outputBits);
  }

  void restore(State state) {
    control = state.control;
    readRegister = state.readRegister;
    shifted = state.shifted;
    bits = state.bits;
    output = state.output;
    outputBits = state.outputBits;
  }

  int control() {
    int out = outputBits > 0 ? output >> outputBits - 1 & 1 : 1;
    return control & (CLOCK | SELECT | DATA_IN | REQUEST)
        | ((control & REQUEST) != 0 ? GRANT : 0)
        | PRESENT
        | (out != 0 ? DATA_OUT : 0);
  }

  void writeControl(int value) {
    boolean rising = (value & CLOCK) != 0 && (control & CLOCK) == 0;
    control = value;
    if ((value & SELECT) == 0) {
      bits = 0;
      shifted = 0;
      outputBits = 0;
    } else if (rising && outputBits == 0) {
      shifted = shifted << 1 | ((value & DATA_IN) != 0 ? 1 : 0);
      // Zeros before the start bit do not count.
      bits = shifted == 0 ? 0 : bits + 1;
      if (bits == COMMAND_BITS) {
        if (shifted >> 6 == READ) {
          output = words[shifted & WORDS - 1] & 0xffff;
          outputBits = 17; // a zero comes first
        }
        bits = 0;
        shifted = 0;
      }
    } else if (rising) {
      outputBits--;
    }
  }

  int readRegister() {
    return readRegister;
  }

  void writeReadRegister(int value) {
    int address = value >> 8 & 0xff;
    readRegister = value & 0xff00;
    if ((value & START) != 0) {
      int word = address < WORDS ? words[address] : 0xffff;
      readRegister |= DONE | word << 16;
    }
  }

  int word(int address) {
    return words[address] & 0xffff;
  }
}
