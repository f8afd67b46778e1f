package org.javisor.pc.serial;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import org.javisor.pc.FakeTime;
import org.javisor.pc.RecordingLine;
import org.junit.jupiter.api.Test;

class Uart16550Test {
  private final FakeTime time = new FakeTime();
  private final RecordingLine irq = new RecordingLine();
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private boolean full;
  private int inputReady;
  private final Uart16550 uart =
      new Uart16550(
          time,
          irq,
          new CharacterBackend() {
            @Override
            public boolean write(int value) {
              if (full) {
                return false;
              }
              out.write(value);
              return true;
            }

            @Override
            public void inputReady() {
              inputReady++;
            }
          });

  private int push(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
    return uart.receive(bytes, 0, bytes.length);
  }

  /** Breaks if what is typed while a machine is being restored is lost, or stops all that follows. */
  @Test
  void inputThatComesBeforeTheStateIsKept() {
    Uart16550.State idle = uart.saveState();
    assertEquals(1, push("ab"));
    uart.restoreState(idle);
    assertFalse(irq.level, "an interrupt would be forgotten: the controllers come later");
    assertEquals(0, push("b"), "nothing is taken before all is restored");
    assertEquals(0, inputReady);
    uart.takeInput();
    assertEquals(1, inputReady, "whoever was refused is told to come again");
    assertEquals('a', uart.read(0));
    assertEquals(1, push("b"));
  }

  @Test
  void transmits() {
    for (char c : "hello".toCharArray()) {
      uart.write(0, c);
      assertEquals(0x60, uart.read(5));
    }
    assertEquals("hello", out.toString(StandardCharsets.US_ASCII));
  }

  /** Breaks if output is lost when the console cannot take it, or the guest is not held up. */
  @Test
  void backPressure() {
    uart.write(2, 1);
    uart.write(1, 2);
    uart.write(4, 8);
    assertEquals(0xc2, uart.read(2));
    full = true;
    uart.write(0, 'a');
    uart.write(0, 'b');
    assertEquals(0, uart.read(5) & 0x60);
    assertFalse(irq.level);
    full = false;
    uart.outputReady();
    assertTrue(irq.level);
    assertEquals(0x60, uart.read(5) & 0x60);
    assertEquals("ab", out.toString(StandardCharsets.US_ASCII));
  }

  /** Breaks if IIR reports a lower source first, or reading it clears anything but THRE. */
  @Test
  void interruptPriorities() {
    uart.write(2, 1);
    uart.write(1, 0x0f);
    uart.write(4, 8 | 16); // loopback: the modem lines change
    uart.write(4, 8);
    for (int i = 0; i < 17; i++) {
      uart.receive(new byte[] {'x'}, 0, 1);
    }
    uart.write(4, 8 | 16);
    uart.write(0, 'y'); // overrun through the loop
    uart.write(4, 8);
    assertEquals(0xc6, uart.read(2));
    assertEquals(2, uart.read(5) & 2);
    assertEquals(0xc4, uart.read(2));
    assertEquals(0xc4, uart.read(2));
    for (int i = 0; i < 16; i++) {
      assertEquals('x', uart.read(0));
    }
    assertEquals(0xc2, uart.read(2));
    assertEquals(0xc0, uart.read(2));
    assertTrue(irq.level);
    assertTrue((uart.read(6) & 0x0f) != 0);
    assertEquals(0xc1, uart.read(2));
    assertFalse(irq.level);
  }

  /** Breaks Linux's check for a known bug: enabling THRE while empty must raise it again. */
  @Test
  void enablingTheTransmitInterruptRaisesIt() {
    uart.write(4, 8);
    uart.write(1, 2);
    assertEquals(2, uart.read(2));
    assertEquals(1, uart.read(2));
    uart.write(1, 0);
    uart.write(1, 2);
    assertEquals(2, uart.read(2));
  }

  @Test
  void fifoTriggerAndTimeout() {
    uart.write(2, 0x81); // 8 bytes
    uart.write(1, 1);
    uart.write(4, 8);
    assertEquals(5, push("12345"));
    assertEquals(0xc1, uart.read(2));
    time.advance(10_000_000);
    assertEquals(0xcc, uart.read(2));
    assertTrue(irq.level);
    assertEquals('1', uart.read(0));
    assertEquals(0xc1, uart.read(2), "reading restarts the time");
    assertEquals(4, push("6789"));
    assertEquals(0xc4, uart.read(2));
    uart.write(2, 0x83);
    assertEquals(0, uart.read(5) & 1, "cleared");
  }

  @Test
  void inputWaitsForRoom() {
    uart.write(2, 1);
    assertEquals(16, push("0123456789abcdefgh"));
    assertEquals(0, push("gh"));
    for (int i = 0; i < 16; i++) {
      uart.read(0);
    }
    assertEquals(1, inputReady);
    assertEquals(2, push("gh"));
    assertEquals('g', uart.read(0));
  }

  @Test
  void loopbackAndModemLines() {
    assertEquals(0xb0, uart.read(6));
    uart.write(4, 0x1a); // loop, OUT2, RTS
    assertEquals(0x90, uart.read(6) & 0xf0);
    uart.write(0, 0x55);
    assertEquals(0x55, uart.read(0));
    assertEquals(0, out.size());
  }

  @Test
  void divisorScratchAndReservedBits() {
    uart.write(3, 0x83);
    uart.write(0, 1);
    uart.write(1, 2);
    assertEquals(1, uart.read(0));
    assertEquals(2, uart.read(1));
    uart.write(3, 3);
    uart.write(7, 0xa5);
    assertEquals(0xa5, uart.read(7));
    uart.write(1, 0xff);
    assertEquals(0x0f, uart.read(1), "or Linux takes it for another chip");
    uart.write(4, 0xff);
    assertEquals(0x1f, uart.read(4));
  }

  @Test
  void interruptNeedsOut2() {
    uart.write(1, 1);
    push("x");
    assertFalse(irq.level);
    uart.write(4, 8);
    assertTrue(irq.level);
  }

  @Test
  void breakIsALineStatus() {
    uart.write(2, 1);
    uart.write(1, 5);
    uart.write(4, 8);
    uart.receiveBreak();
    assertEquals(0xc6, uart.read(2));
    assertEquals(0x91, uart.read(5) & 0x91);
    assertEquals(0x01, uart.read(5) & 0x11);
    assertEquals(0, uart.read(0));
  }
}
