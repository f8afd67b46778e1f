package org.javisor.virtio.block;

import static org.javisor.virtio.block.BlockLayout.HEADER;
import static org.javisor.virtio.block.BlockLayout.ID_BYTES;
import static org.javisor.virtio.block.BlockLayout.RANGE;
import static org.javisor.virtio.block.BlockLayout.RANGE_UNMAP;
import static org.javisor.virtio.block.BlockLayout.SECTOR;
import static org.javisor.virtio.block.BlockLayout.S_IOERR;
import static org.javisor.virtio.block.BlockLayout.S_OK;
import static org.javisor.virtio.block.BlockLayout.S_UNSUPP;
import static org.javisor.virtio.block.BlockLayout.T_DISCARD;
import static org.javisor.virtio.block.BlockLayout.T_FLUSH;
import static org.javisor.virtio.block.BlockLayout.T_GET_ID;
import static org.javisor.virtio.block.BlockLayout.T_IN;
import static org.javisor.virtio.block.BlockLayout.T_OUT;
import static org.javisor.virtio.block.BlockLayout.T_WRITE_ZEROES;

import java.lang.foreign.MemorySegment;
import org.javisor.memory.GuestMemory;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockRequest;
import org.javisor.virtio.device.Session;
import org.javisor.virtio.queue.Chain;
import org.javisor.virtio.queue.DriverFault;
import org.javisor.virtio.queue.Virtqueue;

/**
 * One request from its descriptors to its status. Long ones go through one buffer in pieces, so that
 * no guest takes more of the host's memory than there is to take. Between two pieces nobody owns it
 * but the back end; so it needs no lock.
 */
final class InFlight implements BlockRequest.Completion {
  final Chain chain;
  private final VirtioBlock disk;
  private Session session;
  private Virtqueue queue;
  private MemorySegment buffer;
  private int type;
  private long offset;
  private long length;
  private long done;
  private int piece;
  private boolean flushing;

  InFlight(VirtioBlock disk, GuestMemory memory) {
    this.disk = disk;
    this.chain = new Chain(memory);
  }

  /** The number of the queue it came from. */
  int queue() {
    return queue.index();
  }

  boolean isOf(Session other) {
    return session == other;
  }

  /** Starts what the chain asks for; inside of the session. */
  void start(Session newSession, Virtqueue newQueue) throws DriverFault {
    session = newSession;
    queue = newQueue;
    try {
      begin();
    } catch (DriverFault | GuestMemory.BadAddress e) {
      release();
      throw e;
    }
  }

  private void begin() throws DriverFault {
    flushing = false;
    done = 0;
    if (chain.writableBytes() < 1) {
      throw new DriverFault("a request without room for its status");
    }
    type = chain.read32(0);
    long sector = chain.read64(8);
    offset = sector * SECTOR;
    boolean sane = sector >= 0 && sector <= disk.capacity();
    switch (type) {
      case T_IN -> {
        length = chain.writableBytes() - 1;
        transfer(sane);
      }
      case T_OUT -> {
        length = chain.readableBytes() - HEADER;
        transfer(sane && !disk.isReadOnly());
      }
      case T_FLUSH -> flush();
      case T_GET_ID -> {
        long room = Math.min(chain.writableBytes() - 1, ID_BYTES);
        for (int i = 0; i < room; i++) {
          chain.write8(i, disk.serial(i));
        }
        finish(S_OK, (int) room);
      }
      case T_DISCARD, T_WRITE_ZEROES -> {
        length = chain.readableBytes() - HEADER;
        int limit = type == T_DISCARD ? VirtioBlock.MAX_DISCARD_SEG : VirtioBlock.MAX_ZEROES_SEG;
        if (!disk.offersErasing()) {
          finish(S_UNSUPP, 0);
        } else if (length == 0 || length % RANGE != 0 || length / RANGE > limit) {
          finish(S_IOERR, 0);
        } else {
          erase();
        }
      }
      default -> finish(S_UNSUPP, 0);
    }
  }

  private void transfer(boolean allowed) throws DriverFault {
    if (!allowed || length % SECTOR != 0 || offset + length > disk.capacity() * SECTOR) {
      finish(S_IOERR, 0);
    } else if (length == 0) {
      finish(S_OK, 0);
    } else {
      buffer = disk.buffers().take(length);
      nextPiece();
    }
  }

  private void nextPiece() throws DriverFault {
    piece = (int) Math.min(length - done, buffer.byteSize());
    MemorySegment part = piece == buffer.byteSize() ? buffer : buffer.asSlice(0, piece);
    if (type == T_OUT) {
      chain.read(HEADER + done, buffer, 0, piece);
      disk.back().submit(new BlockRequest.Write(offset + done, part, this));
    } else {
      disk.back().submit(new BlockRequest.Read(offset + done, part, this));
    }
  }

  private void flush() {
    flushing = true;
    disk.back().submit(new BlockRequest.Flush(this));
  }

  /** Starts the next range of a discard or write-zeroes. */
  private void erase() throws DriverFault {
    long sector = chain.read64(HEADER + done);
    long sectors = chain.read32(HEADER + done + 8) & 0xffff_ffffL;
    int flags = chain.read32(HEADER + done + 12);
    piece = RANGE;
    boolean zeroes = type == T_WRITE_ZEROES;
    if ((flags & ~(zeroes ? RANGE_UNMAP : 0)) != 0) {
      finish(S_UNSUPP, 0);
    } else if (disk.isReadOnly()
        || sectors > VirtioBlock.MAX_ERASE_SECTORS
        || sector < 0
        || sector > disk.capacity() - sectors) {
      finish(S_IOERR, 0);
    } else if (zeroes) {
      disk.back().submit(
          new BlockRequest.WriteZeroes(
              sector * SECTOR, sectors * SECTOR, (flags & RANGE_UNMAP) != 0, this));
    } else {
      disk.back().submit(new BlockRequest.Discard(sector * SECTOR, sectors * SECTOR, this));
    }
  }

  /** A part is done; on a thread of the back end. */
  @Override
  public void complete(BlockException failure) {
    // Once it is released another thread may use this object for another request.
    Session current = session;
    if (!current.enter()) {
      // The driver has gone. What it asked for was done, and nobody waits for the answer.
      release();
      disk.completed();
      return;
    }
    try {
      if (failure != null) {
        finish(S_IOERR, 0);
      } else if (flushing) {
        finish(S_OK, type == T_IN ? (int) length : 0);
      } else {
        pieceDone();
      }
    } catch (DriverFault e) {
      current.fail(e);
      release();
    } catch (GuestMemory.BadAddress e) {
      current.fail(e.getMessage());
      release();
    } finally {
      current.leave();
    }
    disk.completed();
  }

  private void pieceDone() throws DriverFault {
    if (type == T_IN) {
      chain.write(done, buffer, 0, piece);
    }
    done += piece;
    if (done < length) {
      if (type == T_IN || type == T_OUT) {
        nextPiece();
      } else {
        erase();
      }
    } else if (type != T_IN && disk.writesThrough(session)) {
      flush();
    } else {
      finish(S_OK, type == T_IN ? (int) length : 0);
    }
  }

  /** Gives the request back to the driver; the last that is done with it. */
  private void finish(int status, int written) throws DriverFault {
    long at = chain.writableBytes() - 1;
    chain.write8(at, status);
    // Bytes are counted from the first, and the status is the last one (section 2.7.8.2).
    int upTo = written == at ? written + 1 : written;
    queue.push(chain.head(), upTo);
    session.publish(queue);
    release();
  }

  private void release() {
    if (buffer != null) {
      disk.buffers().give(buffer);
      buffer = null;
    }
    disk.recycle(this);
  }
}
