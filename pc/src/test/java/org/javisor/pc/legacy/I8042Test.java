package org.javisor.pc.legacy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.javisor.pc.RecordingLine;
import org.junit.jupiter.api.Test;

class I8042Test {
  private final RecordingLine irq = new RecordingLine();
  private int resets;
  private final I8042 controller = new I8042(irq, () -> resets++);

  private void command(int value) {
    controller.commandPort().write(0, value);
  }

  private void data(int value) {
    controller.dataPort().write(0, value);
  }

  private int read() {
    assertEquals(1, controller.commandPort().read(0) & 1, "output buffer full");
    return controller.dataPort().read(0);
  }

  @Test
  void selfTestAndConfiguration() {
    command(0xaa);
    assertEquals(0x55, read());
    command(0xab);
    assertEquals(0, read());
    command(0x60);
    data(0x44);
    command(0x20);
    assertEquals(0x44, read());
    assertEquals(0, controller.commandPort().read(0) & 1);
  }

  @Test
  void keyboardAnswers() {
    data(0xff);
    assertEquals(0xfa, read());
    assertEquals(0xaa, read());
    data(0xf2);
    assertEquals(0xfa, read());
    assertEquals(0xab, read());
    assertEquals(0x41, read());
    data(0xed);
    assertEquals(0xfa, read());
    data(2);
    assertEquals(0xfa, read());
    data(0x17);
    assertEquals(0xfe, read());
  }

  /** Breaks if a key comes without an interrupt, or a second one without a second interrupt. */
  @Test
  void keysInterrupt() {
    controller.pressed(new byte[] {0x1e, (byte) 0x9e});
    assertTrue(irq.level);
    assertEquals(0x1e, read());
    assertEquals(2, irq.edges);
    assertEquals(0x9e, read());
    assertFalse(irq.level);
  }

  @Test
  void resets() {
    command(0xfe);
    assertEquals(1, resets);
    command(0xd1);
    data(0xfe);
    assertEquals(2, resets);
    command(0xd1);
    data(0xdf);
    command(0xff);
    assertEquals(2, resets);
  }

  @Test
  void anyBytesInAnyOrderAreHarmless() {
    for (int i = 0; i < 256; i++) {
      for (int j = 0; j < 256; j++) {
        command(i);
        data(j);
        controller.dataPort().read(0);
      }
    }
    controller.pressed(new byte[100]);
  }
}
