package org.javisor.pc.serial;

import org.javisor.pc.bus.ByteDevice;

/**
 * A debug port: each byte written is output, nothing else. Firmware finds it by reading it: port
 * 0xe9 reads as 0xe9, and so does 0x402, where SeaBIOS looks.
 */
public final class DebugConsole implements ByteDevice {
  private static final int SIGNATURE = 0xe9;

  private final CharacterBackend backend;

  public DebugConsole(CharacterBackend backend) {
    this.backend = backend;
  }

  @Override
  public int read(int offset) {
    return SIGNATURE;
  }

  @Override
  public synchronized void write(int offset, int value) {
    backend.write(value); // No flow control here: what is refused is lost.
  }
}
