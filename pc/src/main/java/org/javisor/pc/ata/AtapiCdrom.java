package org.javisor.pc.ata;

import java.lang.foreign.MemorySegment;
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
 * A CD-ROM drive with a disc in it: the PACKET commands of ATA-6 (chapter 8.23) that carry those of
 * SCSI MMC-3. The disc has one data track of 2048-byte sectors.
 */
final class AtapiCdrom extends AtaDevice {
  static final int DISC_SECTOR = 2048;

  private static final int PACKET_BYTES = 12;
  private static final int PART = BUFFER / DISC_SECTOR;

  private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
  private static final ValueLayout.OfInt BIG_INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
  private static final ValueLayout.OfShort BIG_SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

  // ATA commands.
  private static final int DEVICE_RESET = 0x08;
  private static final int PACKET = 0xa0;
  private static final int IDENTIFY_PACKET = 0xa1;
  private static final int STANDBY_IMMEDIATE = 0xe0;
  private static final int IDLE_IMMEDIATE = 0xe1;
  private static final int CHECK_POWER_MODE = 0xe5;
  private static final int SLEEP = 0xe6;
  private static final int IDENTIFY = 0xec;
  private static final int SET_FEATURES = 0xef;

  // Packet commands (MMC-3, chapter 6).
  private static final int TEST_UNIT_READY = 0x00;
  private static final int REQUEST_SENSE = 0x03;
  private static final int INQUIRY = 0x12;
  private static final int START_STOP = 0x1b;
  private static final int PREVENT_REMOVAL = 0x1e;
  private static final int READ_CAPACITY = 0x25;
  private static final int READ_10 = 0x28;
  private static final int SEEK_10 = 0x2b;
  private static final int READ_TOC = 0x43;
  private static final int GET_CONFIGURATION = 0x46;
  private static final int GET_EVENT_STATUS = 0x4a;
  private static final int READ_DISC_INFORMATION = 0x51;
  private static final int MODE_SENSE_10 = 0x5a;
  private static final int READ_12 = 0xa8;
  private static final int SET_SPEED = 0xbb;
  private static final int MECHANISM_STATUS = 0xbd;

  // Sense keys and additional codes (SPC-2, section 7.20).
  private static final int NO_SENSE = 0;
  private static final int MEDIUM_ERROR = 3;
  private static final int ILLEGAL_REQUEST = 5;
  private static final int UNIT_ATTENTION = 6;
  private static final int UNRECOVERED_READ = 0x11;
  private static final int INVALID_OPERATION = 0x20;
  private static final int ADDRESS_OUT_OF_RANGE = 0x21;
  private static final int INVALID_FIELD = 0x24;
  private static final int POWER_ON = 0x29;

  // Interrupt reason, in the count register.
  private static final int COMMAND_PHASE = 1;
  private static final int DATA_TO_HOST = 2;
  private static final int STATUS_PHASE = 3;

  private enum Phase {
    IDLE,
    PACKET,
    DATA
  }

  private final BlockDevice disc;
  private final String serial;
  private final long sectors;
  private final byte[] packet = new byte[PACKET_BYTES];
  private Phase phase = Phase.IDLE;
  private boolean identifying;
  private boolean useDma;
  private boolean dmaWaits;
  private int byteLimit;
  private int dmaMode = 0x42;

  private int senseKey;
  private int senseCode;

  /** The unit attention has been reported as a failed command, but not as sense data. */
  private boolean attention;

  // The data of the packet command under way: what is in the buffer, and what follows on the disc.
  private int available;
  private int given;
  private long lba;
  private long remaining;

  AtapiCdrom(BlockDevice disc, Optional<String> serial) {
    this.disc = disc;
    this.serial = serial.orElse("JV0002");
    sectors = Math.min(disc.sizeBytes() / DISC_SECTOR, Integer.MAX_VALUE);
  }

  @Override
  void resetState() {
    phase = Phase.IDLE;
    dmaWaits = false;
    identifying = false;
    senseKey = UNIT_ATTENTION;
    senseCode = POWER_ON;
  }

  @Override
  void signature() {
    count = 1;
    low = 1;
    mid = 0x14;
    high = 0xeb;
  }

  @Override
  int afterReset() {
    return 0; // DRDY comes with the first command (9.12).
  }

  // ---- Saved state ------------------------------------------------------------------------

  /**
   * The saved state, apart from what all drives have.
   *
   * @param available bytes in the buffer
   * @param given those of them that the host has
   * @param remaining sectors that are still to be read
   */
  record State(
      byte[] packet, Phase phase, boolean identifying, boolean useDma, boolean dmaWaits,
      int byteLimit, int dmaMode, int senseKey, int senseCode, boolean attention, int available,
      int given, long lba, long remaining) {
    State {
      StateCheck.length("the packet", packet.length, PACKET_BYTES);
      StateCheck.bits("the limit of bytes", byteLimit, 0xffff);
      StateCheck.bits("the transfer mode", dmaMode, 0xff);
      StateCheck.range("the sense key", senseKey, 0, 15);
      StateCheck.range("the sense code", senseCode, 0, 255);
      StateCheck.range("bytes in the buffer", available, 0, BUFFER);
      StateCheck.range("those given", given, 0, available);
      StateCheck.range("the address", lba, 0, Integer.MAX_VALUE);
      StateCheck.range("remaining sectors", remaining, 0, Integer.MAX_VALUE);
    }
  }

  @Override
  Optional<AtaDisk.State> saveDisk() {
    return Optional.empty();
  }

  @Override
  Optional<State> saveCdrom() {
    return Optional.of(
        new State(
            packet.clone(), phase, identifying, useDma, dmaWaits, byteLimit, dmaMode, senseKey,
            senseCode, attention, available, given, lba, remaining));
  }

  @Override
  void restoreOwn(AtaDevice.State state) throws StateException {
    State own = state.cdrom().orElseThrow(() -> new StateException("a CD-ROM's state expected"));
    if (own.lba + own.remaining > sectors || state.inFlight() && own.remaining == 0) {
      throw new StateException("a transfer that cannot be");
    }
    System.arraycopy(own.packet, 0, packet, 0, PACKET_BYTES);
    phase = own.phase;
    identifying = own.identifying;
    useDma = own.useDma;
    dmaWaits = own.dmaWaits;
    byteLimit = own.byteLimit;
    dmaMode = own.dmaMode;
    senseKey = own.senseKey;
    senseCode = own.senseCode;
    attention = own.attention;
    available = own.available;
    given = own.given;
    lba = own.lba;
    remaining = own.remaining;
  }

  @Override
  boolean moves(boolean toHost) {
    return toHost || phase == Phase.PACKET;
  }

  @Override
  int bytesInBuffer() {
    return phase == Phase.DATA && !inFlight ? available : 0;
  }

  @Override
  int held() {
    return disc instanceof HoldingDevice holding ? holding.heldRequests() : 0;
  }

  @Override
  void submitAgain() {
    readPart();
  }

  // ---- ATA commands -----------------------------------------------------------------------

  @Override
  void command(int code) {
    switch (code) {
      case DEVICE_RESET -> {
        channel.stopPio(this);
        signature();
        resetState();
        error = 1;
        status = 0;
      }
      case PACKET -> {
        useDma = (features & 1) != 0;
        byteLimit = mid & 0xff | (high & 0xff) << 8;
        phase = Phase.PACKET;
        count = COMMAND_PHASE;
        status = DRDY | DSC | DRQ;
        channel.pioOut(this, 0, PACKET_BYTES);
      }
      case IDENTIFY_PACKET -> {
        identifying = true;
        offerIdentification(identification());
      }
      case IDENTIFY -> {
        signature();
        abort();
      }
      case SET_FEATURES -> {
        if ((features & 0xff) == 0x03 && (count & 0xff) >= 0x20) {
          dmaMode = count & 0xff;
        }
        succeed();
      }
      case CHECK_POWER_MODE -> {
        count = 0xff;
        succeed();
      }
      case STANDBY_IMMEDIATE, IDLE_IMMEDIATE, SLEEP -> succeed();
      default -> abort();
    }
  }

  @Override
  void dataOutDone() {
    MemorySegment.copy(buffer(), BYTE, 0, packet, 0, PACKET_BYTES);
    phase = Phase.DATA;
    available = 0;
    given = 0;
    remaining = 0;
    execute();
  }

  // ---- Packet commands --------------------------------------------------------------------

  private int at(int index) {
    return packet[index] & 0xff;
  }

  private int word(int index) {
    return at(index) << 8 | at(index + 1);
  }

  private long longAt(int index) {
    return (long) word(index) << 16 | word(index + 2);
  }

  private void execute() {
    int code = at(0);
    if (senseKey == UNIT_ATTENTION && code != INQUIRY && code != REQUEST_SENSE
        && code != GET_EVENT_STATUS && code != GET_CONFIGURATION) {
      // Says once that it was reset; the host asks for the sense data or tries again.
      int key = senseKey;
      int additional = senseCode;
      check(key, additional);
      senseKey = NO_SENSE;
      attention = true;
      return;
    }
    if (code != REQUEST_SENSE && senseKey != UNIT_ATTENTION) {
      senseKey = NO_SENSE;
      senseCode = 0;
      attention = false;
    }
    MemorySegment b = buffer();
    switch (code) {
      case TEST_UNIT_READY, START_STOP, PREVENT_REMOVAL, SET_SPEED -> good();
      case REQUEST_SENSE -> {
        b.asSlice(0, 18).fill((byte) 0);
        b.set(BYTE, 0, (byte) 0x70);
        b.set(BYTE, 2, (byte) (attention ? UNIT_ATTENTION : senseKey));
        b.set(BYTE, 7, (byte) 10);
        b.set(BYTE, 12, (byte) senseCode);
        senseKey = NO_SENSE;
        senseCode = 0;
        attention = false;
        reply(18, at(4));
      }
      case INQUIRY -> {
        b.asSlice(0, 36).fill((byte) ' ');
        b.set(BIG_INT, 0, 0x05800032); // a CD-ROM drive, removable; ATAPI, response format 2
        b.set(BIG_INT, 4, 31 << 24);
        ascii(b, 8, "JAVISOR");
        ascii(b, 16, "CD-ROM");
        ascii(b, 32, "1.0");
        reply(36, at(4));
      }
      case READ_CAPACITY -> {
        b.set(BIG_INT, 0, (int) Math.max(0, sectors - 1));
        b.set(BIG_INT, 4, DISC_SECTOR);
        reply(8, 8);
      }
      case READ_10 -> read(longAt(2), word(7));
      case READ_12 -> read(longAt(2), longAt(6));
      case SEEK_10 -> {
        if (longAt(2) < sectors) {
          good();
        } else {
          check(ILLEGAL_REQUEST, ADDRESS_OUT_OF_RANGE);
        }
      }
      case READ_TOC -> readToc();
      case GET_CONFIGURATION -> {
        b.asSlice(0, 32).fill((byte) 0);
        b.set(BIG_INT, 0, 20); // bytes that follow
        b.set(BIG_SHORT, 6, (short) 0x0008); // the current profile: CD-ROM
        b.set(BIG_INT, 8, 0x00000304); // feature 0: the profiles, of which there is one
        b.set(BIG_INT, 12, 0x00080100);
        b.set(BIG_INT, 16, 0x00010304); // feature 1: the core, over ATAPI
        b.set(BIG_INT, 20, 2);
        reply(24, word(7));
      }
      case GET_EVENT_STATUS -> {
        if ((at(1) & 1) == 0) {
          check(ILLEGAL_REQUEST, INVALID_FIELD); // only by polling
        } else {
          boolean media = (at(4) & 0x10) != 0;
          b.set(BIG_INT, 0, media ? 0x00060410 : 0x00028010);
          b.set(BIG_INT, 4, 0x00020000); // no event; a medium is there
          reply(media ? 8 : 4, word(7));
        }
      }
      case READ_DISC_INFORMATION -> {
        b.asSlice(0, 34).fill((byte) 0);
        b.set(BIG_SHORT, 0, (short) 32);
        b.set(BIG_INT, 2, 0x0e010101); // complete, not erasable; one session with one track
        b.set(BIG_SHORT, 6, (short) 0x0120);
        reply(34, word(7));
      }
      case MODE_SENSE_10 -> modeSense();
      case MECHANISM_STATUS -> {
        b.asSlice(0, 8).fill((byte) 0);
        reply(8, word(8));
      }
      default -> check(ILLEGAL_REQUEST, INVALID_OPERATION);
    }
  }

  private static void ascii(MemorySegment to, int at, String text) {
    for (int i = 0; i < text.length(); i++) {
      to.set(BYTE, at + i, (byte) text.charAt(i));
    }
  }

  private void read(long from, long length) {
    if (from + length > sectors) {
      check(ILLEGAL_REQUEST, ADDRESS_OUT_OF_RANGE);
    } else if (length == 0) {
      good();
    } else {
      lba = from;
      remaining = length;
      readPart();
    }
  }

  private void readPart() {
    int part = (int) Math.min(remaining, PART);
    status = BSY;
    inFlight = true;
    disc.submit(
        new BlockRequest.Read(
            lba * DISC_SECTOR, buffer().asSlice(0, (long) part * DISC_SECTOR), completion));
  }

  @Override
  void blockDone(BlockException failure) {
    if (failure != null) {
      check(MEDIUM_ERROR, UNRECOVERED_READ);
      return;
    }
    int part = (int) Math.min(remaining, PART);
    lba += part;
    remaining -= part;
    available = part * DISC_SECTOR;
    given = 0;
    transfer();
  }

  private void readToc() {
    boolean minutes = (at(1) & 2) != 0;
    int format = at(2) & 15;
    if (format == 0) {
      format = at(9) >> 6;
    }
    int first = at(6);
    MemorySegment b = buffer();
    if (format == 1) {
      // The first session, which is the only one.
      b.set(BIG_INT, 0, 0x000a0101);
      b.set(BIG_INT, 4, 0x00140100);
      b.set(BIG_INT, 8, address(0, minutes));
      reply(12, word(7));
    } else if (format == 0 && (first <= 1 || first == 0xaa)) {
      int length = 4;
      if (first <= 1) {
        b.set(BIG_INT, length, 0x00140100); // a data track, number 1
        b.set(BIG_INT, length + 4, address(0, minutes));
        length += 8;
      }
      b.set(BIG_INT, length, 0x0016aa00); // the lead-out
      b.set(BIG_INT, length + 4, address(sectors, minutes));
      length += 8;
      b.set(BIG_INT, 0, (length - 2) << 16 | 0x0101);
      reply(length, word(7));
    } else {
      check(ILLEGAL_REQUEST, INVALID_FIELD);
    }
  }

  /** A position as a block number, or as minutes, seconds and frames from the disc's start. */
  private static int address(long block, boolean minutes) {
    if (!minutes) {
      return (int) block;
    }
    long frames = block + 150;
    return (int) (frames / (60 * 75) << 16 | frames / 75 % 60 << 8 | frames % 75);
  }

  private void modeSense() {
    int page = at(2) & 0x3f;
    MemorySegment b = buffer();
    b.asSlice(0, 64).fill((byte) 0);
    int length = 8;
    if (page == 0x01 || page == 0x3f) {
      b.set(BIG_INT, length, 0x01060005); // error recovery: five tries
      length += 8;
    }
    if (page == 0x2a || page == 0x3f) {
      b.set(BYTE, length, (byte) 0x2a); // capabilities
      b.set(BYTE, length + 1, (byte) 18);
      b.set(BYTE, length + 4, (byte) 0x70);
      b.set(BYTE, length + 6, (byte) 0x29); // a tray that locks and ejects
      b.set(BIG_SHORT, length + 8, (short) 706); // 4x, in kB/s
      b.set(BIG_SHORT, length + 12, (short) 512); // kB of buffer
      b.set(BIG_SHORT, length + 14, (short) 706);
      length += 20;
    }
    if (length == 8) {
      check(ILLEGAL_REQUEST, INVALID_FIELD);
      return;
    }
    b.set(BIG_SHORT, 0, (short) (length - 2));
    b.set(BYTE, 2, (byte) 1); // a disc for data
    reply(length, word(7));
  }

  // ---- Ends and data ----------------------------------------------------------------------

  /** Gives what is in the buffer, up to what the host has room for. */
  private void reply(int length, int allocated) {
    available = Math.min(length, allocated);
    given = 0;
    if (available == 0) {
      good();
    } else {
      transfer();
    }
  }

  private void good() {
    phase = Phase.IDLE;
    count = STATUS_PHASE;
    succeed();
  }

  /** Ends a packet command with CHECK CONDITION. */
  private void check(int key, int code) {
    senseKey = key;
    senseCode = code;
    phase = Phase.IDLE;
    count = STATUS_PHASE;
    fail(key << 4 | (key == ILLEGAL_REQUEST ? ABORTED : 0));
  }

  private void transfer() {
    if (useDma) {
      status = DRDY | DSC | DRQ;
      count = DATA_TO_HOST;
      if (channel.dma.running()) {
        moveByDma();
      } else {
        dmaWaits = true;
      }
      return;
    }
    // At most the limit at a time, and an even number of bytes but for the last time.
    int limit = byteLimit == 0 || byteLimit == 0xffff ? 0xfffe : Math.max(2, byteLimit & ~1);
    int length = Math.min(available - given, limit);
    count = DATA_TO_HOST;
    mid = length & 0xff;
    high = length >> 8;
    offer(given, length + 1 & ~1);
    given += length;
  }

  @Override
  void dmaStarted() {
    if (dmaWaits) {
      dmaWaits = false;
      moveByDma();
    }
  }

  private void moveByDma() {
    if (!channel.dma.move(buffer(), available, true)) {
      check(MEDIUM_ERROR, UNRECOVERED_READ);
    } else if (remaining > 0) {
      readPart();
    } else {
      channel.dma.driveDone();
      good();
    }
  }

  @Override
  void dataInDone() {
    if (identifying) {
      identifying = false;
      status = DRDY | DSC;
    } else if (given < available) {
      transfer();
    } else if (remaining > 0) {
      readPart();
    } else {
      good();
    }
  }

  // ---- Identification (ATA-6, 8.16) -------------------------------------------------------

  private short[] identification() {
    short[] w = new short[256];
    w[0] = (short) 0x85c0; // a removable CD-ROM drive; DRQ within 50 us, packets of 12 bytes
    text(w, 10, 10, serial);
    text(w, 23, 4, "1.0");
    text(w, 27, 20, "JAVISOR CD-ROM");
    w[49] = 0x0f00;
    w[50] = 0x4000;
    w[53] = 7;
    w[63] = (short) (7 | ((dmaMode & 0x60) == 0x20 ? 0x100 << (dmaMode & 7) : 0));
    w[64] = 3;
    for (int i = 65; i <= 68; i++) {
      w[i] = 120;
    }
    w[80] = 0x70; // ATA-4 to ATA-6
    w[82] = 0x0210; // PACKET, DEVICE RESET
    w[83] = 0x4000;
    w[84] = 0x4000;
    w[85] = 0x0210;
    w[87] = 0x4000;
    w[88] = (short) (0x3f | ((dmaMode & 0x40) != 0 ? 0x100 << (dmaMode & 7) : 0));
    w[93] = 0x6001;
    return w;
  }
}
