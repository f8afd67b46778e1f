package org.javisor.pc.ata;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockRequest;

/**
 * A drive on a cable: its registers, and what the commands of all drives have in common. Guarded by
 * the channel's lock; only the ends of block requests come from outside.
 */
abstract class AtaDevice {
  static final int SECTOR = 512;

  /** The largest part of a transfer that is held at once, in bytes. */
  static final int BUFFER = 1 << 20;

  static final int BSY = 0x80;
  static final int DRDY = 0x40;
  static final int DF = 0x20;
  static final int DSC = 0x10;
  static final int DRQ = 0x08;
  static final int ERR = 0x01;

  static final int ABORTED = 0x04;

  /** Bit of the device register: it holds an LBA. */
  static final int LBA = 0x40;

  /** Its place on the cable: 0 or 1. */
  int number;

  // Registers. Those of 16 bits keep the value written before in their high byte.
  int features;
  int count;
  int low;
  int mid;
  int high;
  int device;
  int status;
  int error;

  AtaChannel channel;

  private MemorySegment buffer;

  /** The one object that ends of requests are reported to. */
  final BlockRequest.Completion completion = this::completed;

  /** A block request of this drive has not come back. */
  boolean inFlight;

  /** What comes back is of no interest any more: the drive was reset. */
  private boolean dropped;

  /** The request in flight came with a saved state: it is submitted when the machine goes on. */
  private boolean unsubmitted;

  /** Carries out a command; whoever calls it has cleared the error register. */
  abstract void command(int code);

  /** The host has read all of a data block. */
  abstract void dataInDone();

  /** The host has written all of a data block. */
  abstract void dataOutDone();

  /** The DMA engine was started. */
  abstract void dmaStarted();

  /** The request in flight has ended. */
  abstract void blockDone(BlockException failure);

  /** Submits the request again that was in flight when the state was saved. */
  abstract void submitAgain();

  /** Whether the drive is where the host moves a part of the buffer through the data port. */
  abstract boolean moves(boolean toHost);

  /** Bytes of the buffer that hold data of the transfer under way, apart from the data port's. */
  abstract int bytesInBuffer();

  /** Requests that wait for the host, of which there is one at most. */
  abstract int held();

  abstract Optional<AtaDisk.State> saveDisk();

  abstract Optional<AtapiCdrom.State> saveCdrom();

  /** Takes over what one kind of drive has of its own. */
  abstract void restoreOwn(State state) throws StateException;

  /** Puts the drive into its state after power-on: registers apart, which the channel sets. */
  abstract void resetState();

  /** The signature in the registers by which software tells what it is. */
  abstract void signature();

  final void reset() {
    features = 0;
    error = 1; // diagnostic passed
    device = 0;
    signature();
    resetState();
    if (unsubmitted) {
      unsubmitted = false;
      inFlight = false;
    }
    if (inFlight) {
      dropped = true;
      status = BSY;
    } else {
      status = afterReset();
    }
  }

  abstract int afterReset();

  /**
   * The saved state.
   *
   * @param buffer what is in the buffer and is still needed
   * @param inFlight a block request had not come back, because the host could not serve it
   */
  record State(
      int features, int count, int low, int mid, int high, int device, int status, int error,
      byte[] buffer, boolean inFlight, Optional<AtaDisk.State> disk,
      Optional<AtapiCdrom.State> cdrom) {
    State {
      StateCheck.bits("the status", status, 0xff);
      StateCheck.bits("the error register", error, 0xff);
      StateCheck.bits("the device register", device, 0xff);
      StateCheck.bits("registers", features | count | low | mid | high, 0xffff);
      StateCheck.range("the buffer", buffer.length, 0, BUFFER);
    }
  }

  /** Whether nothing is under way, but for what the host cannot serve. */
  final boolean idle() {
    return !inFlight || unsubmitted || held() > 0;
  }

  /**
   * The state, when this drive is {@link #idle}.
   *
   * @param moved bytes of the buffer that are the data port's
   */
  final State save(int moved) {
    // What was asked for before a reset is of no interest.
    boolean asked = inFlight && !dropped;
    int length = Math.max(moved, dropped ? 0 : bytesInBuffer());
    byte[] data =
        length == 0
            ? new byte[0]
            : buffer().asSlice(0, length).toArray(ValueLayout.JAVA_BYTE);
    return new State(
        features, count, low, mid, high, device, dropped ? afterReset() : status, error, data,
        asked, saveDisk(), saveCdrom());
  }

  final void restore(State state) throws StateException {
    features = state.features;
    count = state.count;
    low = state.low;
    mid = state.mid;
    high = state.high;
    device = state.device;
    status = state.status;
    error = state.error;
    if (state.buffer.length > 0) {
      MemorySegment.copy(
          state.buffer, 0, buffer(), ValueLayout.JAVA_BYTE, 0, state.buffer.length);
    }
    restoreOwn(state);
    inFlight = state.inFlight;
    unsubmitted = state.inFlight;
  }

  /** The machine goes on. */
  final void resume() {
    if (unsubmitted) {
      unsubmitted = false;
      submitAgain();
    }
  }

  /** Where the drive's data passes, {@link #BUFFER} bytes. */
  final MemorySegment buffer() {
    if (buffer == null) {
      // Reachable from this object and its request only, and gone with them.
      buffer = Arena.ofAuto().allocate(BUFFER, 4096);
    }
    return buffer;
  }

  private void completed(BlockException failure) {
    AtaChannel lock = channel; // set once, before the first request
    synchronized (lock) {
      inFlight = false;
      if (dropped) {
        dropped = false;
        status = afterReset();
      } else {
        blockDone(failure);
      }
    }
  }

  /** The command has ended well. */
  final void succeed() {
    status = DRDY | DSC;
    channel.interrupt();
  }

  final void fail(int errorBits) {
    error = errorBits;
    status = DRDY | DSC | ERR;
    channel.interrupt();
  }

  final void abort() {
    fail(ABORTED);
  }

  /** Hands a block of data to the host's data port. */
  final void offer(int from, int length) {
    status = DRDY | DSC | DRQ;
    channel.pioIn(this, from, length);
    channel.interrupt();
  }

  /** Puts an identification into the buffer and hands it over. */
  final void offerIdentification(short[] words) {
    for (int i = 0; i < words.length; i++) {
      buffer().set(AtaChannel.WORD, 2L * i, words[i]);
    }
    offer(0, SECTOR);
  }

  /** Writes ASCII as identifications hold it: padded with spaces, bytes of each word swapped. */
  static void text(short[] words, int at, int length, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
    for (int i = 0; i < length; i++) {
      int first = 2 * i < bytes.length ? bytes[2 * i] : ' ';
      int second = 2 * i + 1 < bytes.length ? bytes[2 * i + 1] : ' ';
      words[at + i] = (short) (first << 8 | second & 0xff);
    }
  }
}
