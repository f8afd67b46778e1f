package org.javisor.pc.firmware;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.bus.PortDevice;

/**
 * The firmware configuration device: named and numbered items that firmware reads through a
 * selector and a data port, or has copied to its memory (QEMU's public specification, fw_cfg).
 *
 * <p>Ports, from 0x510: 0 selector (16 bits), 1 data (a byte), 4 to 11 the address of a request in
 * guest memory, big endian; writing its low half starts the copy.
 */
public final class FwCfg implements PortDevice, Snapshottable<FwCfg.State> {
  public static final int PORTS = 12;

  /** An item there is not. */
  private static final int NO_KEY = 0xffff;

  private static final int SIGNATURE = 0x00;
  private static final int ID = 0x01;
  private static final int DIRECTORY = 0x19;
  private static final int FIRST_FILE = 0x20;
  private static final int MAX_FILES = 1024;
  private static final int NAME_LENGTH = 56;

  private static final int DMA_ERROR = 1;
  private static final int DMA_READ = 2;
  private static final int DMA_SKIP = 4;
  private static final int DMA_SELECT = 8;
  private static final int DMA_WRITE = 16;

  /** Reading past an item's end gives zeros; a copy may go this far past it and no further. */
  private static final int MAX_ZEROS = 1 << 20;

  private static final int CHUNK = 4096;
  private static final byte[] NOTHING = {};

  private final GuestMemory memory;
  private final Map<Integer, byte[]> items = new HashMap<>();
  private final Map<String, byte[]> files = new TreeMap<>();
  private byte[] selected = NOTHING;
  private int selectedKey;
  private int position;
  private int requestHigh;

  public FwCfg(GuestMemory memory) {
    this.memory = memory;
    items.put(SIGNATURE, "QEMU".getBytes(StandardCharsets.US_ASCII));
    items.put(ID, new byte[] {1 | 2, 0, 0, 0}); // the ports, and copying
    rebuildDirectory();
    reset();
  }

  public synchronized void reset() {
    selected = NOTHING;
    selectedKey = NO_KEY;
    position = 0;
    requestHigh = 0;
  }

  // ---- Saved state ------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("fw-cfg", 1, State.class);

  /** The saved state. The items are the machine's configuration, and made anew. */
  public record State(int selectedKey, int position, int requestHigh) {
    public State {
      StateCheck.range("the position", position, 0, Integer.MAX_VALUE);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(selectedKey, position, requestHigh);
  }

  @Override
  public synchronized void restoreState(State state) {
    select(state.selectedKey);
    position = Math.min(state.position, selected.length);
    requestHigh = state.requestHigh;
  }

  /** Sets a numbered item, below {@code 0x19}. */
  public synchronized void set(int key, byte[] content) {
    if (key <= ID || key >= DIRECTORY) {
      throw new IllegalArgumentException("item %#x: 2 to 0x18 expected".formatted(key));
    }
    items.put(key, content.clone());
  }

  /** Sets a numbered item that is a number, lowest byte first. */
  public void set(int key, int size, long value) {
    byte[] bytes = new byte[size];
    for (int i = 0; i < size; i++) {
      bytes[i] = (byte) (value >> 8 * i);
    }
    set(key, bytes);
  }

  /**
   * Adds or replaces a file, before the guest starts. The content is not copied: kernels are large.
   *
   * @param name at most 55 characters of ASCII
   */
  public synchronized void addFile(String name, byte[] content) {
    if (name.length() >= NAME_LENGTH || files.size() >= MAX_FILES) {
      throw new IllegalArgumentException("file " + name + ": name too long, or too many files");
    }
    files.put(name, content);
    rebuildDirectory();
  }

  private void rebuildDirectory() {
    ByteBuffer directory = ByteBuffer.allocate(4 + 64 * files.size());
    directory.putInt(files.size());
    int key = FIRST_FILE;
    for (Map.Entry<String, byte[]> file : files.entrySet()) {
      items.put(key, file.getValue());
      directory.putInt(file.getValue().length).putShort((short) key).putShort((short) 0);
      byte[] name = new byte[NAME_LENGTH];
      byte[] ascii = file.getKey().getBytes(StandardCharsets.US_ASCII);
      System.arraycopy(ascii, 0, name, 0, ascii.length);
      directory.put(name);
      key++;
    }
    items.put(DIRECTORY, directory.array());
  }

  private void select(int key) {
    // Bit 14 asks for write access, which no item has; bit 15 marks architecture's own items.
    selectedKey = key;
    selected = items.getOrDefault(key & ~0x4000, NOTHING);
    position = 0;
  }

  @Override
  public synchronized int read(int offset, int size) {
    if (offset >= 4) {
      int value = 0;
      for (int i = 0; i < size; i++) {
        value |= "QEMU CFG".charAt(offset - 4 + i) << 8 * i;
      }
      return value;
    }
    if (offset == 1 && size == 1) {
      return position < selected.length ? selected[position++] & 0xff : 0;
    }
    return -1;
  }

  @Override
  public synchronized void write(int offset, int size, int value) {
    if (offset == 0 && size == 2) {
      select(value);
    } else if (offset == 4 && size == 4) {
      requestHigh = Integer.reverseBytes(value);
    } else if (offset == 8 && size == 4) {
      long request = (long) requestHigh << 32 | Integer.reverseBytes(value) & 0xffff_ffffL;
      requestHigh = 0;
      serve(request);
    }
  }

  /** Serves a request structure: control, length, address, all big endian. */
  private void serve(long gpa) {
    try {
      byte[] bytes = new byte[16];
      memory.read(gpa, bytes, 0, 16);
      ByteBuffer request = ByteBuffer.wrap(bytes);
      int control = request.getInt();
      long length = request.getInt() & 0xffff_ffffL;
      long address = request.getLong();
      if ((control & DMA_SELECT) != 0) {
        select(control >>> 16);
      }
      boolean done = true;
      if ((control & DMA_WRITE) != 0) {
        done = false;
      } else if ((control & DMA_READ) != 0) {
        done = copy(address, length);
      } else if ((control & DMA_SKIP) != 0) {
        position = (int) Math.min(selected.length, position + length);
      }
      memory.write32(gpa, done ? 0 : Integer.reverseBytes(DMA_ERROR));
    } catch (GuestMemory.BadAddress e) {
      // The request itself is not in memory: there is nowhere to say so.
    }
  }

  private boolean copy(long address, long length) {
    int available = selected.length - position;
    if (length > (long) available + MAX_ZEROS) {
      return false;
    }
    try {
      int content = (int) Math.min(length, available);
      memory.write(address, selected, position, content);
      position += content;
      byte[] zeros = new byte[CHUNK];
      for (long done = content; done < length;) {
        int chunk = (int) Math.min(CHUNK, length - done);
        memory.write(address + done, zeros, 0, chunk);
        done += chunk;
      }
      return true;
    } catch (GuestMemory.BadAddress e) {
      return false;
    }
  }
}
