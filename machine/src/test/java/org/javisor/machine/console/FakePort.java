package org.javisor.machine.console;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Semaphore;

/** A serial port that takes as much input as a test says. */
final class FakePort implements ConsolePort {
  private final ByteArrayOutputStream received = new ByteArrayOutputStream();
  private int room;
  int breaks;
  final Semaphore outputReady = new Semaphore(0);

  FakePort(int room) {
    this.room = room;
  }

  @Override
  public synchronized int receive(byte[] source, int offset, int length) {
    int taken = Math.min(room, length);
    received.write(source, offset, taken);
    room -= taken;
    notifyAll();
    return taken;
  }

  synchronized void makeRoom(int bytes, Console console) {
    room += bytes;
    // As the device does: with its own lock held.
    console.inputReady();
  }

  @Override
  public void outputReady() {
    outputReady.release();
  }

  @Override
  public synchronized void receiveBreak() {
    breaks++;
    notifyAll();
  }

  synchronized String received() {
    return received.toString(StandardCharsets.ISO_8859_1);
  }

  /** Waits until this much has arrived; the test's time-out is the limit. */
  synchronized String await(int bytes) throws InterruptedException {
    while (received.size() < bytes) {
      wait();
    }
    return received();
  }
}
