package org.javisor.pc.ata;

import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Optional;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockRequest;
import org.javisor.storage.block.HoldingDevice;

/**
 * A disk (ATA-6, chapter 8): reads and writes by PIO, in multiples or by DMA, with addresses of 28
 * and 48 bits or of cylinder, head and sector; flushes, TRIM (ATA-8 ACS-2, 7.9) and what systems ask
 * of SMART.
 *
 * <p>A transfer is cut into parts that fit the buffer; a part is one block request.
 */
final class AtaDisk extends AtaDevice {
  private static final int MAX_MULTIPLE = 16;
  private static final int PART = BUFFER / SECTOR;
  private static final int HEADS = 16;
  private static final int SECTORS_PER_TRACK = 63;
  private static final int MAX_CYLINDERS = 16383;
  private static final long MAX_28_BITS = (1L << 28) - 1;
  /** Bit of a transfer mode: Ultra DMA. */
  private static final int ULTRA = 0x40;

  private static final int TRIM_BLOCKS = 8;
  private static final int TRIM_ENTRY = 8;
  private static final int MODEL_WORDS = 20;

  private static final ValueLayout.OfLong ENTRY =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final int ID_NOT_FOUND = 0x10;
  private static final int UNCORRECTABLE = 0x40;
  private static final int WRITE_PROTECTED = 0x40;

  // Commands (ATA-6, table 9 and chapter 8).
  private static final int DATA_SET_MANAGEMENT = 0x06;
  private static final int RECALIBRATE = 0x10;
  private static final int READ_SECTORS = 0x20;
  private static final int READ_SECTORS_NO_RETRY = 0x21;
  private static final int READ_SECTORS_EXT = 0x24;
  private static final int READ_DMA_EXT = 0x25;
  private static final int READ_NATIVE_MAX_EXT = 0x27;
  private static final int READ_MULTIPLE_EXT = 0x29;
  private static final int WRITE_SECTORS = 0x30;
  private static final int WRITE_SECTORS_NO_RETRY = 0x31;
  private static final int WRITE_SECTORS_EXT = 0x34;
  private static final int WRITE_DMA_EXT = 0x35;
  private static final int WRITE_MULTIPLE_EXT = 0x39;
  private static final int WRITE_DMA_FUA_EXT = 0x3d;
  private static final int READ_VERIFY = 0x40;
  private static final int READ_VERIFY_NO_RETRY = 0x41;
  private static final int READ_VERIFY_EXT = 0x42;
  private static final int SEEK = 0x70;
  private static final int INITIALIZE_PARAMETERS = 0x91;
  private static final int SMART = 0xb0;
  private static final int READ_MULTIPLE = 0xc4;
  private static final int WRITE_MULTIPLE = 0xc5;
  private static final int SET_MULTIPLE = 0xc6;
  private static final int READ_DMA = 0xc8;
  private static final int READ_DMA_NO_RETRY = 0xc9;
  private static final int WRITE_DMA = 0xca;
  private static final int WRITE_DMA_NO_RETRY = 0xcb;
  private static final int WRITE_MULTIPLE_FUA_EXT = 0xce;
  private static final int STANDBY_IMMEDIATE = 0xe0;
  private static final int IDLE_IMMEDIATE = 0xe1;
  private static final int STANDBY = 0xe2;
  private static final int IDLE = 0xe3;
  private static final int CHECK_POWER_MODE = 0xe5;
  private static final int SLEEP = 0xe6;
  private static final int FLUSH_CACHE = 0xe7;
  private static final int FLUSH_CACHE_EXT = 0xea;
  private static final int IDENTIFY = 0xec;
  private static final int SET_FEATURES = 0xef;
  private static final int READ_NATIVE_MAX = 0xf8;

  private enum Work {
    NONE,
    READ,
    WRITE,
    READ_BY_DMA,
    WRITE_BY_DMA,
    TRIM,
    FLUSH
  }

  private final BlockDevice disk;
  private final String serial;
  private final long sectors;
  private final Smart smart = new Smart();

  private int multiple = MAX_MULTIPLE;
  private int heads = HEADS;
  private int sectorsPerTrack = SECTORS_PER_TRACK;
  private boolean writeCache = true;
  private boolean lookAhead = true;
  private int dmaMode = ULTRA | 2;
  private boolean smartOn = true;

  // The transfer under way.
  private Work work = Work.NONE;
  private boolean extended;
  private boolean durable;
  private boolean dmaWaits;
  private long lba;
  private int remaining;
  private int part;
  private int partDone;
  private int block;

  /**
   * @param serial what the guest reads as the serial number, up to 20 characters of ASCII
   */
  AtaDisk(BlockDevice disk, Optional<String> serial) {
    this.disk = disk;
    this.serial = serial.orElse("JV0001");
    sectors = Math.min(disk.sizeBytes() / SECTOR, 1L << 48);
  }

  @Override
  void resetState() {
    work = Work.NONE;
    dmaWaits = false;
    multiple = MAX_MULTIPLE;
    writeCache = true;
  }

  @Override
  void signature() {
    count = 1;
    low = 1;
    mid = 0;
    high = 0;
  }

  @Override
  int afterReset() {
    return DRDY | DSC;
  }

  // ---- Saved state ------------------------------------------------------------------------

  /**
   * The saved state, apart from what all drives have.
   *
   * @param remaining sectors of the transfer under way that are still to come
   * @param part of them in the buffer
   * @param block sectors that the host moves between two interrupts
   */
  record State(
      int multiple, int heads, int sectorsPerTrack, boolean writeCache, boolean lookAhead,
      int dmaMode, boolean smartOn, Work work, boolean extended, boolean durable,
      boolean dmaWaits, long lba, int remaining, int part, int partDone, int block) {
    State {
      StateCheck.range("sectors of a multiple", multiple, 0, MAX_MULTIPLE);
      StateCheck.range("heads", heads, 1, HEADS);
      StateCheck.range("sectors of a track", sectorsPerTrack, 1, 255);
      StateCheck.bits("the transfer mode", dmaMode, 0x67);
      StateCheck.range("the address", lba, 0, 1L << 48);
      StateCheck.range("remaining sectors", remaining, 0,
          work == Work.TRIM ? TRIM_BLOCKS : 1 << 16);
      StateCheck.range("sectors in the buffer", part, 0, PART);
      StateCheck.range(
          "the place in them", partDone, 0,
          work == Work.TRIM ? PART * SECTOR / TRIM_ENTRY : part);
      StateCheck.range("sectors of a block", block, 0, MAX_MULTIPLE);
    }
  }

  @Override
  Optional<State> saveDisk() {
    return Optional.of(
        new State(
            multiple, heads, sectorsPerTrack, writeCache, lookAhead, dmaMode, smartOn, work,
            extended, durable, dmaWaits, lba, remaining, part, partDone, block));
  }

  @Override
  Optional<AtapiCdrom.State> saveCdrom() {
    return Optional.empty();
  }

  @Override
  void restoreOwn(AtaDevice.State state) throws StateException {
    State own = state.disk().orElseThrow(() -> new StateException("a disk's state expected"));
    boolean moves = own.work != Work.NONE && own.work != Work.FLUSH && !own.dmaWaits;
    if (moves && own.part == 0 || own.part > own.remaining && moves
        || own.work != Work.NONE && own.work != Work.TRIM && own.lba + own.remaining > sectors
        || (own.work == Work.READ || own.work == Work.WRITE) && own.block == 0
        || own.dmaWaits && own.work == Work.NONE
        || state.inFlight() && (own.work == Work.NONE || own.dmaWaits)) {
      throw new StateException("a transfer that cannot be");
    }
    multiple = own.multiple;
    heads = own.heads;
    sectorsPerTrack = own.sectorsPerTrack;
    writeCache = own.writeCache;
    lookAhead = own.lookAhead;
    dmaMode = own.dmaMode;
    smartOn = own.smartOn;
    work = own.work;
    extended = own.extended;
    durable = own.durable;
    dmaWaits = own.dmaWaits;
    lba = own.lba;
    remaining = own.remaining;
    part = own.part;
    partDone = own.partDone;
    block = own.block;
  }

  /** Whether the host is at a block of the buffer, in a transfer of this direction. */
  @Override
  boolean moves(boolean toHost) {
    return toHost
        ? work == Work.NONE || work == Work.READ && partDone < part
        : work == Work.WRITE && partDone < part;
  }

  @Override
  int bytesInBuffer() {
    return switch (work) {
      case READ -> inFlight ? 0 : part * SECTOR;
      case WRITE, WRITE_BY_DMA, TRIM -> inFlight ? part * SECTOR : 0;
      case READ_BY_DMA, FLUSH, NONE -> 0;
    };
  }

  @Override
  int held() {
    return disk instanceof HoldingDevice holding ? holding.heldRequests() : 0;
  }

  @Override
  void submitAgain() {
    switch (work) {
      case READ, READ_BY_DMA -> readPart();
      case WRITE, WRITE_BY_DMA -> writePart();
      case TRIM -> {
        partDone = Math.max(0, partDone - 1);
        inFlight = false;
        trimNext();
      }
      case FLUSH, NONE -> submitFlush();
    }
  }

  // ---- Commands ---------------------------------------------------------------------------

  @Override
  void command(int code) {
    switch (code) {
      case READ_SECTORS, READ_SECTORS_NO_RETRY -> read(false, 1);
      case READ_SECTORS_EXT -> read(true, 1);
      case READ_MULTIPLE -> read(false, multiple);
      case READ_MULTIPLE_EXT -> read(true, multiple);
      case WRITE_SECTORS, WRITE_SECTORS_NO_RETRY -> write(false, 1, false);
      case WRITE_SECTORS_EXT -> write(true, 1, false);
      case WRITE_MULTIPLE -> write(false, multiple, false);
      case WRITE_MULTIPLE_EXT -> write(true, multiple, false);
      case WRITE_MULTIPLE_FUA_EXT -> write(true, multiple, true);
      case READ_DMA, READ_DMA_NO_RETRY -> byDma(Work.READ_BY_DMA, false, false);
      case READ_DMA_EXT -> byDma(Work.READ_BY_DMA, true, false);
      case WRITE_DMA, WRITE_DMA_NO_RETRY -> byDma(Work.WRITE_BY_DMA, false, false);
      case WRITE_DMA_EXT -> byDma(Work.WRITE_BY_DMA, true, false);
      case WRITE_DMA_FUA_EXT -> byDma(Work.WRITE_BY_DMA, true, true);
      case READ_VERIFY, READ_VERIFY_NO_RETRY -> verify(false);
      case READ_VERIFY_EXT -> verify(true);
      case DATA_SET_MANAGEMENT -> trim();
      case FLUSH_CACHE, FLUSH_CACHE_EXT -> flush();
      case IDENTIFY -> offerIdentification(identification());
      case SET_FEATURES -> setFeatures(features & 0xff);
      case SET_MULTIPLE -> setMultiple(count & 0xff);
      case SMART -> smart();
      case INITIALIZE_PARAMETERS -> {
        heads = (device & 15) + 1;
        sectorsPerTrack = (count & 0xff) == 0 ? SECTORS_PER_TRACK : count & 0xff;
        succeed();
      }
      case CHECK_POWER_MODE -> {
        count = 0xff; // active or idle
        succeed();
      }
      case STANDBY_IMMEDIATE, IDLE_IMMEDIATE, STANDBY, IDLE, SLEEP, SEEK -> succeed();
      case READ_NATIVE_MAX -> {
        extended = false;
        showAddress(Math.min(sectors - 1, MAX_28_BITS));
        succeed();
      }
      case READ_NATIVE_MAX_EXT -> {
        extended = true;
        showAddress(sectors - 1);
        succeed();
      }
      default -> {
        if (code >= RECALIBRATE && code < RECALIBRATE + 16) {
          succeed();
        } else {
          abort();
        }
      }
    }
  }

  /** Takes address and count from the registers; fails the command if they leave the disk. */
  private boolean address(boolean wide) {
    extended = wide;
    if (wide) {
      remaining = (count & 0xffff) == 0 ? 1 << 16 : count;
      lba =
          low & 0xff
              | (mid & 0xff) << 8
              | (high & 0xffL) << 16
              | (low >> 8 & 0xffL) << 24
              | (mid >> 8 & 0xffL) << 32
              | (high >> 8 & 0xffL) << 40;
    } else {
      remaining = (count & 0xff) == 0 ? 256 : count & 0xff;
      if ((device & LBA) != 0) {
        lba = low & 0xff | (mid & 0xff) << 8 | (high & 0xff) << 16 | (device & 15) << 24;
      } else {
        long cylinder = mid & 0xff | (high & 0xff) << 8;
        int sector = low & 0xff;
        if (sector == 0 || sector > sectorsPerTrack || (device & 15) >= heads) {
          fail(ID_NOT_FOUND);
          return false;
        }
        lba = (cylinder * heads + (device & 15)) * sectorsPerTrack + sector - 1;
      }
    }
    if (lba + remaining > sectors) {
      fail(ID_NOT_FOUND);
      return false;
    }
    return true;
  }

  /** Puts an address into the registers, for results. */
  private void showAddress(long address) {
    low = (int) (address & 0xff | (address >> 24 & 0xff) << 8);
    mid = (int) (address >> 8 & 0xff | (address >> 32 & 0xff) << 8);
    high = (int) (address >> 16 & 0xff | (address >> 40 & 0xff) << 8);
    if (!extended) {
      device = device & 0xf0 | (int) (address >> 24) & 15;
    }
  }

  private void read(boolean wide, int blockSectors) {
    if (blockSectors == 0) {
      abort();
    } else if (address(wide)) {
      work = Work.READ;
      block = blockSectors;
      readPart();
    }
  }

  private void write(boolean wide, int blockSectors, boolean forced) {
    if (blockSectors == 0) {
      abort();
    } else if (disk.isReadOnly()) {
      fail(ABORTED | WRITE_PROTECTED);
    } else if (address(wide)) {
      work = Work.WRITE;
      block = blockSectors;
      durable = forced || !writeCache;
      beginPart();
      takeBlock(false);
    }
  }

  private void byDma(Work direction, boolean wide, boolean forced) {
    if (direction == Work.WRITE_BY_DMA && disk.isReadOnly()) {
      fail(ABORTED | WRITE_PROTECTED);
    } else if (address(wide)) {
      durable = direction == Work.WRITE_BY_DMA && (forced || !writeCache);
      awaitDma(direction);
    }
  }

  private void verify(boolean wide) {
    if (address(wide)) {
      succeed();
    }
  }

  private void trim() {
    int blocks = count & 0xffff;
    if ((features & 1) == 0 || blocks == 0 || blocks > TRIM_BLOCKS) {
      abort();
    } else if (disk.isReadOnly()) {
      fail(ABORTED | WRITE_PROTECTED);
    } else {
      remaining = blocks;
      awaitDma(Work.TRIM);
    }
  }

  private void flush() {
    status = BSY;
    submitFlush();
  }

  private void submitFlush() {
    work = Work.FLUSH;
    submit(new BlockRequest.Flush(completion));
  }

  private void setMultiple(int sectorsPerBlock) {
    if (sectorsPerBlock > MAX_MULTIPLE || Integer.bitCount(sectorsPerBlock) > 1) {
      abort();
    } else {
      multiple = sectorsPerBlock;
      succeed();
    }
  }

  private void setFeatures(int feature) {
    switch (feature) {
      case 0x02 -> writeCache = true;
      case 0x82 -> {
        writeCache = false;
        flush(); // What is cached must not stay so.
        return;
      }
      case 0xaa -> lookAhead = true;
      case 0x55 -> lookAhead = false;
      case 0x03 -> {
        int mode = count & 0xff;
        if (mode >= 0x40 && mode <= 0x45 || mode >= 0x20 && mode <= 0x22) {
          dmaMode = mode;
        } else if (mode >> 3 > 1) {
          abort();
          return;
        }
      }
      case 0x66, 0xcc -> {} // What a reset does with settings.
      default -> {
        abort();
        return;
      }
    }
    succeed();
  }

  private void smart() {
    if ((mid & 0xff) != 0x4f || (high & 0xff) != 0xc2) {
      abort();
      return;
    }
    int function = features & 0xff;
    if (function == Smart.ENABLE || function == Smart.DISABLE) {
      smartOn = function == Smart.ENABLE;
      succeed();
    } else if (!smartOn) {
      abort();
    } else if (smart.fill(function, low & 0xff, buffer())) {
      work = Work.NONE;
      offer(0, SECTOR);
    } else if (smart.accepts(function)) {
      succeed(); // RETURN STATUS leaves the signature: no threshold exceeded.
    } else {
      abort();
    }
  }

  // ---- Transfers --------------------------------------------------------------------------

  private void beginPart() {
    part = Math.min(remaining, PART);
    partDone = 0;
  }

  private void submit(BlockRequest request) {
    inFlight = true;
    disk.submit(request);
  }

  private void readPart() {
    beginPart();
    status = BSY;
    submit(
        new BlockRequest.Read(
            lba * SECTOR, buffer().asSlice(0, (long) part * SECTOR), completion));
  }

  private void writePart() {
    status = BSY;
    submit(
        new BlockRequest.Write(
            lba * SECTOR, buffer().asSlice(0, (long) part * SECTOR), completion));
  }

  /** Asks for the next block; the first one comes without an interrupt. */
  private void takeBlock(boolean interrupt) {
    status = DRDY | DSC | DRQ;
    channel.pioOut(this, partDone * SECTOR, Math.min(block, part - partDone) * SECTOR);
    if (interrupt) {
      channel.interrupt();
    }
  }

  private void offerBlock() {
    offer(partDone * SECTOR, Math.min(block, part - partDone) * SECTOR);
  }

  @Override
  void dataInDone() {
    if (work == Work.NONE) {
      status = DRDY | DSC;
      return;
    }
    partDone += Math.min(block, part - partDone);
    if (partDone < part) {
      offerBlock();
      return;
    }
    advance();
    if (remaining > 0) {
      readPart();
    } else {
      work = Work.NONE;
      status = DRDY | DSC;
    }
  }

  @Override
  void dataOutDone() {
    partDone += Math.min(block, part - partDone);
    if (partDone < part) {
      takeBlock(true);
    } else {
      writePart();
    }
  }

  /** A part is done. */
  private void advance() {
    lba += part;
    remaining -= part;
  }

  private void awaitDma(Work direction) {
    work = direction;
    status = DRDY | DSC | DRQ;
    dmaWaits = true;
    if (channel.dma.running()) {
      dmaStarted();
    }
  }

  @Override
  void dmaStarted() {
    if (!dmaWaits) {
      return;
    }
    dmaWaits = false;
    if (work == Work.READ_BY_DMA) {
      readPart();
    } else {
      fetchPart();
    }
  }

  /** Brings the next part from guest memory. */
  private void fetchPart() {
    beginPart();
    if (!channel.dma.move(buffer(), part * SECTOR, false)) {
      breakOff();
    } else if (work == Work.TRIM) {
      partDone = 0;
      trimNext();
    } else {
      writePart();
    }
  }

  /** The engine did not take or give what the command needs. */
  private void breakOff() {
    work = Work.NONE;
    abort();
  }

  @Override
  void blockDone(BlockException failure) {
    if (failure != null) {
      boolean reading = work == Work.READ || work == Work.READ_BY_DMA;
      work = Work.NONE;
      showAddress(lba);
      fail(reading ? UNCORRECTABLE : ABORTED);
      return;
    }
    switch (work) {
      case READ -> offerBlock();
      case READ_BY_DMA -> {
        if (!channel.dma.move(buffer(), part * SECTOR, true)) {
          breakOff();
          return;
        }
        advance();
        if (remaining > 0) {
          readPart();
        } else {
          end();
        }
      }
      case WRITE -> {
        advance();
        if (remaining > 0) {
          beginPart();
          takeBlock(true);
        } else {
          end();
        }
      }
      case WRITE_BY_DMA -> {
        advance();
        if (remaining > 0) {
          fetchPart();
        } else {
          end();
        }
      }
      case TRIM -> trimNext();
      case FLUSH, NONE -> {
        durable = false;
        end();
      }
    }
  }

  /** The command has done its transfer. */
  private void end() {
    boolean wasDma = work == Work.READ_BY_DMA || work == Work.WRITE_BY_DMA || work == Work.TRIM;
    if (wasDma) {
      channel.dma.driveDone();
    }
    if (durable && work != Work.READ && work != Work.READ_BY_DMA) {
      submitFlush();
      return;
    }
    work = Work.NONE;
    succeed();
  }

  /** Submits the next range of the buffer that is not empty; ends the command after the last. */
  private void trimNext() {
    int entries = part * SECTOR / TRIM_ENTRY;
    while (partDone < entries) {
      long entry = buffer().get(ENTRY, (long) partDone++ * TRIM_ENTRY);
      long from = entry & (1L << 48) - 1;
      long length = entry >>> 48;
      if (length > 0) {
        if (from + length > sectors) {
          work = Work.NONE;
          fail(ABORTED);
        } else {
          status = BSY;
          submit(new BlockRequest.Discard(from * SECTOR, length * SECTOR, completion));
        }
        return;
      }
    }
    durable = false;
    end();
  }

  // ---- Identification (ATA-6, 8.15) -------------------------------------------------------

  private short[] identification() {
    work = Work.NONE;
    short[] w = new short[256];
    long cylinders = Math.min(sectors / (HEADS * SECTORS_PER_TRACK), MAX_CYLINDERS);
    long current = Math.min(sectors / ((long) heads * sectorsPerTrack), 0xffff);
    w[0] = 0x0040; // a fixed disk
    w[1] = (short) cylinders;
    w[3] = HEADS;
    w[6] = SECTORS_PER_TRACK;
    text(w, 10, 10, serial);
    text(w, 23, 4, "1.0");
    text(w, 27, MODEL_WORDS, "JAVISOR DISK");
    w[47] = (short) (0x8000 | MAX_MULTIPLE);
    w[49] = 0x0f00; // IORDY, LBA, DMA
    w[50] = 0x4000;
    w[53] = 7; // words 54-58, 64-70 and 88 are valid
    w[54] = (short) current;
    w[55] = (short) heads;
    w[56] = (short) sectorsPerTrack;
    put32(w, 57, (int) (current * heads * sectorsPerTrack));
    w[59] = (short) (multiple == 0 ? 0 : 0x100 | multiple);
    put32(w, 60, (int) Math.min(sectors, MAX_28_BITS));
    w[63] = (short) (7 | ((dmaMode & 0x60) == 0x20 ? 0x100 << (dmaMode & 7) : 0));
    w[64] = 3; // PIO modes 3 and 4
    for (int i = 65; i <= 68; i++) {
      w[i] = 120; // ns a cycle
    }
    w[80] = 0xf0; // ATA-4 to ATA-7
    w[82] = 0x61; // SMART, write cache, look-ahead
    w[83] = 0x7400; // FLUSH CACHE and EXT, 48-bit addresses
    w[84] = 0x4000;
    w[85] = (short) ((smartOn ? 1 : 0) | (writeCache ? 0x20 : 0) | (lookAhead ? 0x40 : 0));
    w[86] = 0x3400;
    w[87] = 0x4000;
    w[88] = (short) (0x3f | ((dmaMode & ULTRA) != 0 ? 0x100 << (dmaMode & 7) : 0));
    w[93] = 0x6001; // cable of 80 wires
    w[100] = (short) sectors;
    w[101] = (short) (sectors >> 16);
    w[102] = (short) (sectors >> 32);
    w[105] = TRIM_BLOCKS;
    w[106] = 0x6003; // eight sectors of 512 bytes to a physical one
    w[169] = 1; // TRIM
    w[217] = 1; // does not rotate
    return w;
  }

  private static void put32(short[] words, int at, int value) {
    words[at] = (short) value;
    words[at + 1] = (short) (value >> 16);
  }
}
