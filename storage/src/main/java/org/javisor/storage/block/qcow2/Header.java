package org.javisor.storage.block.qcow2;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.file.HostFile;

/**
 * The header of an image, read and found to be something that this package can work with.
 *
 * @param version 2 or 3
 * @param clusterBits the cluster size is two to this: 9 to 21
 * @param size what the disk holds, in bytes
 * @param l1Size entries in the active L1 table
 * @param l1Offset where it is in the file
 * @param refcountTableClusters clusters that the refcount table takes
 * @param refcountOrder a refcount has two to this bits: 0 to 6
 * @param length of the header proper, without extensions
 * @param incompatible feature bits, as are the two that follow
 * @param backingFile the name as it is written, or {@code null}
 * @param backingFormat the format of the backing file, or {@code null} if the image does not say
 * @param bitmaps where the directory of persistent bitmaps is; {@code null} if there are none
 */
public record Header(
    int version,
    int clusterBits,
    long size,
    int l1Size,
    long l1Offset,
    long refcountTableOffset,
    int refcountTableClusters,
    int snapshotCount,
    long snapshotsOffset,
    long incompatible,
    long compatible,
    long autoclear,
    int refcountOrder,
    int length,
    ClusterCodec.Type compression,
    String backingFile,
    String backingFormat,
    Bitmaps bitmaps) {

  static final int MAGIC = 0x514649fb;
  static final int V2_LENGTH = 72;
  static final int V3_LENGTH = 104;

  // Where fields are that are written again while an image is in use.
  static final int SIZE_AT = 24;
  static final int L1_AT = 36;
  static final int REFCOUNT_TABLE_AT = 48;
  static final int INCOMPATIBLE_AT = 72;
  static final int AUTOCLEAR_AT = 88;

  static final int EXTENSION_END = 0;
  static final int EXTENSION_BACKING_FORMAT = 0xe2792aca;
  private static final int EXTENSION_FEATURE_NAMES = 0x6803f857;
  private static final int EXTENSION_BITMAPS = 0x23852875;

  static final long DIRTY = 1;
  static final long CORRUPT = 1 << 1;
  private static final long EXTERNAL_DATA = 1 << 2;
  static final long COMPRESSION_TYPE = 1 << 3;
  private static final long EXTENDED_L2 = 1 << 4;
  private static final long KNOWN_INCOMPATIBLE = DIRTY | CORRUPT | COMPRESSION_TYPE;
  static final long LAZY_REFCOUNTS = 1;
  private static final long AUTOCLEAR_BITMAPS = 1;

  static final int MIN_CLUSTER_BITS = 9;
  static final int MAX_CLUSTER_BITS = 21;
  static final int MAX_REFCOUNT_ORDER = 6;

  /** Bytes of the largest L1 and refcount tables, as in QEMU: they are held in memory. */
  static final int MAX_L1_BYTES = 32 << 20;
  static final int MAX_REFCOUNT_TABLE_BYTES = 8 << 20;

  private static final int MAX_SNAPSHOTS = 65536;
  static final int MAX_BACKING_NAME = 1023;
  private static final int MAX_BITMAPS = 65535;

  /** Bits 9 to 55: an offset in an L1 or L2 entry. */
  static final long OFFSET_MASK = 0x00ff_ffff_ffff_fe00L;
  /** In an L1 or L2 entry: nobody else refers to the cluster, so it is written in place. */
  static final long COPIED = 1L << 63;
  /** In an L2 entry. */
  static final long COMPRESSED = 1L << 62;
  /** In an L2 entry of version 3: reads as zeros, whatever the cluster holds. */
  static final long ZERO = 1;

  /** The directory of persistent bitmaps. */
  record Bitmaps(int count, long directoryOffset, long directoryBytes) {}

  public int clusterSize() {
    return 1 << clusterBits;
  }

  /** Entries in an L2 table, as a power of two. */
  int l2Bits() {
    return clusterBits - 3;
  }

  /** Bytes of the disk that one L2 table is for, as a power of two. */
  int l1Shift() {
    return clusterBits + l2Bits();
  }

  public int refcountBits() {
    return 1 << refcountOrder;
  }

  /** The largest count that can be stored. */
  long maxRefcount() {
    return refcountOrder == MAX_REFCOUNT_ORDER ? Long.MAX_VALUE : (1L << refcountBits()) - 1;
  }

  /** Entries in a refcount block, as a power of two. */
  int refcountBlockBits() {
    return clusterBits + 3 - refcountOrder;
  }

  public boolean isDirty() {
    return (incompatible & DIRTY) != 0;
  }

  public boolean isCorrupt() {
    return (incompatible & CORRUPT) != 0;
  }

  public boolean hasLazyRefcounts() {
    return (compatible & LAZY_REFCOUNTS) != 0;
  }

  /** L1 entries that a disk of {@code size} bytes needs. */
  long neededL1Entries(long size) {
    return size == 0 ? 0 : (size - 1 >>> l1Shift()) + 1;
  }

  /** Whether the file begins as an image of any qcow version does. */
  public static boolean matches(HostFile file) throws BlockException {
    return Bytes.read(file, 0, 4).getInt(0) == MAGIC;
  }

  /** Reads the header, without looking at tables. */
  public static Header read(HostFile file) throws BlockException {
    return new HeaderReader(file).read();
  }

  /** Reads and checks. Its methods throw with the file's name. */
  private static final class HeaderReader {
    private final HostFile file;
    private final long fileSize;
    private ByteBuffer bytes;

    private int clusterBits;
    private String backingFormat;
    private Bitmaps bitmaps;
    private ByteBuffer featureNames;

    HeaderReader(HostFile file) throws BlockException {
      this.file = file;
      fileSize = file.size();
    }

    Header read() throws BlockException {
      bytes = Bytes.read(file, 0, 1 << MIN_CLUSTER_BITS);
      if (bytes.getInt(0) != MAGIC) {
        throw new BlockException(
            Reason.WRONG_FORMAT,
            file.path() + " is no qcow2 image: it does not begin with the bytes \"QFI\\xfb\"");
      }
      int version = bytes.getInt(4);
      if (version != 2 && version != 3) {
        throw unsupported("version " + Integer.toUnsignedString(version) + " of the format");
      }
      clusterBits = bytes.getInt(20);
      if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
        throw damaged("its cluster size is two to " + Integer.toUnsignedString(clusterBits));
      }
      bytes = Bytes.read(file, 0, Math.min(1 << clusterBits, 64 << 10));
      int length = version == 2 ? V2_LENGTH : bytes.getInt(100);
      if (version == 3 && (length < V3_LENGTH || length > 1 << clusterBits || length % 8 != 0)) {
        throw damaged("its header says that it is " + Integer.toUnsignedString(length) + " long");
      }
      if (fileSize < V2_LENGTH || version == 3 && fileSize < V3_LENGTH) {
        throw damaged("it ends within its header");
      }
      readExtensions(length);
      long incompatible = version == 2 ? 0 : bytes.getLong(INCOMPATIBLE_AT);
      checkFeatures(incompatible);
      int order = version == 2 ? 4 : bytes.getInt(96);
      if (order < 0 || order > MAX_REFCOUNT_ORDER) {
        throw damaged("its refcounts are two to " + Integer.toUnsignedString(order) + " bits wide");
      }
      Header header =
          new Header(
              version,
              clusterBits,
              bytes.getLong(SIZE_AT),
              bytes.getInt(L1_AT),
              bytes.getLong(40),
              bytes.getLong(REFCOUNT_TABLE_AT),
              bytes.getInt(56),
              bytes.getInt(60),
              bytes.getLong(64),
              incompatible,
              version == 2 ? 0 : bytes.getLong(80),
              version == 2 ? 0 : bytes.getLong(AUTOCLEAR_AT),
              order,
              length,
              compression(incompatible, length),
              backingFile(),
              backingFormat,
              bitmaps);
      checkTables(header);
      return header;
    }

    private void checkFeatures(long incompatible) throws BlockException {
      int encryption = bytes.getInt(32);
      if (encryption == 1) {
        throw unsupported("AES encryption");
      }
      if (encryption != 0) {
        throw unsupported(encryption == 2 ? "LUKS encryption" : "an unknown encryption");
      }
      if ((incompatible & EXTERNAL_DATA) != 0) {
        throw unsupported("an external data file");
      }
      if ((incompatible & EXTENDED_L2) != 0) {
        throw unsupported("extended L2 entries (subclusters)");
      }
      long unknown = incompatible & ~KNOWN_INCOMPATIBLE;
      if (unknown != 0) {
        throw unsupported(featureName(Long.numberOfTrailingZeros(unknown)));
      }
    }

    /** Entries of the table: a byte of kind (0 is incompatible), a byte of bit, 46 of name. */
    private String featureName(int bit) {
      for (int at = 0; featureNames != null && at + 48 <= featureNames.limit(); at += 48) {
        if (featureNames.get(at) == 0 && featureNames.get(at + 1) == bit) {
          byte[] name = new byte[46];
          featureNames.get(at + 2, name);
          String text = new String(name, StandardCharsets.US_ASCII);
          // Printable characters only: this goes to a terminal.
          text = text.replaceAll("[^ -~].*", "").strip();
          if (!text.isEmpty()) {
            return "the feature \"" + text + "\" (incompatible feature bit " + bit + ")";
          }
        }
      }
      return "an unknown feature (incompatible feature bit " + bit + ")";
    }

    private ClusterCodec.Type compression(long incompatible, int length) throws BlockException {
      int type = length > V3_LENGTH ? bytes.get(V3_LENGTH) & 0xff : 0;
      if ((type != 0) != ((incompatible & COMPRESSION_TYPE) != 0)) {
        throw damaged("its header contradicts itself about the compression type");
      }
      return switch (type) {
        case 0 -> ClusterCodec.Type.ZLIB;
        case 1 -> ClusterCodec.Type.ZSTD;
        default -> throw unsupported("compression type " + type);
      };
    }

    private void readExtensions(int start) throws BlockException {
      long backingAt = bytes.getLong(8);
      int end = bytes.limit();
      if (backingAt > 0 && backingAt < end) {
        end = (int) backingAt;
      }
      int at = start;
      while (at + 8 <= end) {
        int type = bytes.getInt(at);
        int length = bytes.getInt(at + 4);
        if (type == EXTENSION_END) {
          return;
        }
        if (length < 0 || length > end - at - 8) {
          throw damaged("a header extension reaches beyond the header");
        }
        ByteBuffer body = bytes.slice(at + 8, length);
        switch (type) {
          case EXTENSION_BACKING_FORMAT -> backingFormat = text(body);
          case EXTENSION_FEATURE_NAMES -> featureNames = body;
          case EXTENSION_BITMAPS -> readBitmaps(body);
          default -> {
            // By the format's rules an extension that is not known may be ignored.
          }
        }
        at += 8 + (length + 7 & -8);
      }
    }

    private void readBitmaps(ByteBuffer body) throws BlockException {
      // An image that somebody without knowledge of bitmaps has written has the bit cleared.
      if (bytes.getInt(4) < 3 || (bytes.getLong(AUTOCLEAR_AT) & AUTOCLEAR_BITMAPS) == 0) {
        return;
      }
      if (body.limit() < 24) {
        throw damaged("its header extension for bitmaps is cut off");
      }
      int count = body.getInt(0);
      long size = body.getLong(8);
      long offset = body.getLong(16);
      if (count < 0 || count > MAX_BITMAPS || size < 0 || size > MAX_L1_BYTES) {
        throw damaged("its directory of bitmaps has an impossible size");
      }
      checkTable("directory of bitmaps", offset, size);
      bitmaps = new Bitmaps(count, offset, size);
    }

    private static String text(ByteBuffer body) {
      byte[] text = new byte[body.limit()];
      body.get(0, text);
      return new String(text, StandardCharsets.UTF_8);
    }

    private String backingFile() throws BlockException {
      long at = bytes.getLong(8);
      int length = bytes.getInt(16);
      if (at == 0) {
        return null;
      }
      if (length < 0 || length > MAX_BACKING_NAME || at < 0 || at > (1 << clusterBits) - length) {
        throw damaged("the name of its backing file is outside of its header");
      }
      return length == 0 ? null : text(Bytes.read(file, at, length));
    }

    private void checkTables(Header header) throws BlockException {
      if (header.size < 0) {
        throw damaged("its disk is larger than eight exbibytes");
      }
      if (header.l1Size < 0 || header.l1Size > MAX_L1_BYTES / 8) {
        throw damaged("its L1 table is larger than 32 MiB");
      }
      if (header.l1Size < header.neededL1Entries(header.size)) {
        throw damaged("its L1 table is too small for its disk");
      }
      checkTable("L1 table", header.l1Offset, header.l1Size * 8L);
      int clusters = header.refcountTableClusters;
      if (clusters < 1 || clusters > MAX_REFCOUNT_TABLE_BYTES >> clusterBits && clusters > 1) {
        throw damaged("its refcount table takes " + Integer.toUnsignedString(clusters)
            + " clusters");
      }
      checkTable("refcount table", header.refcountTableOffset, (long) clusters << clusterBits);
      if (header.snapshotCount < 0 || header.snapshotCount > MAX_SNAPSHOTS) {
        throw damaged("it has " + Integer.toUnsignedString(header.snapshotCount) + " snapshots");
      }
      if (header.snapshotCount > 0) {
        checkTable("table of snapshots", header.snapshotsOffset, 0);
      }
    }

    private void checkTable(String name, long offset, long size) throws BlockException {
      boolean aligned = (offset & (1 << clusterBits) - 1) == 0;
      if (!aligned || offset < 0 || size > 0 && offset == 0) {
        throw damaged("its " + name + " is not at a cluster's beginning");
      }
      // The last cluster of a file may be cut off.
      if (offset > fileSize || size > fileSize - offset + (1 << clusterBits)) {
        throw damaged("its " + name + " lies beyond its end, as if the file were cut off");
      }
    }

    private BlockException damaged(String what) {
      return new BlockException(Reason.DAMAGED, file.path() + " is damaged: " + what);
    }

    private BlockException unsupported(String feature) {
      return new BlockException(
          Reason.NOT_SUPPORTED,
          file.path() + " uses " + feature
              + ", which Javisor does not support: convert it with qemu-img first");
    }
  }
}
