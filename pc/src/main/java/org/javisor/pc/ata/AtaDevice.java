package org.javisor.pc.ata;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
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
    if (inFlight) {
      dropped = true;
      status = BSY;
    } else {
      status = afterReset();
    }
  }

  abstract int afterReset();

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
