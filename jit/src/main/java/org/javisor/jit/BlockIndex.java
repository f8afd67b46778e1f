package org.javisor.jit;

import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;

/**
 * Finds blocks for emitted code where the jump cache does not know the address, as in a process that
 * has just begun: by where the code is on the host, whatever address space it is mapped in.
 *
 * <p>Two tables in the vCPU block. One says which pages the vCPU may fetch code from now, and what to
 * add to their addresses for the host's; it is emptied as mappings change. The other holds blocks by
 * the host's address of their first byte, with the linear address they were translated for; it is
 * emptied when code is given up. The part of the TLB is in the high bits of the host's address.
 */
final class BlockIndex {
  static final int PAGES = 1 << 8;
  static final int ENTRIES = 1 << 14;

  /** Each so many lookups one comes to Java, and so into the jump cache, if it is a frequent one. */
  static final int LOOKUPS = 32;

  private static final int PART_SHIFT = 60;

  private final long block;
  private final FrameArena arena;

  /** Pages entered: of mappings that are not global, and of global ones. */
  private final SlotList local = new SlotList();

  private final SlotList global = new SlotList();

  BlockIndex(long block, FrameArena arena) {
    this.block = block;
    this.arena = arena;
    RawMemory.put64(block + Layout.CODE_PAGE_MASK, (long) (PAGES - 1) << 12);
    RawMemory.put64(block + Layout.INDEX_MASK, ENTRIES - 1);
    clearAllPages();
    RawMemory.put32(block + Layout.LOOKUPS, LOOKUPS);
  }

  /** A block has been found where the vCPU fetches from now. */
  void add(long rip, int part, int frame, boolean isGlobal, long code) {
    long page = rip & -4096L;
    long addend = arena.address(frame) - page + ((long) part << PART_SHIFT);
    int i = (int) (rip >>> 12) & PAGES - 1;
    RawMemory.put64(block + Layout.codeTags(part) + 8L * i, -page);
    RawMemory.put64(block + Layout.codeAddends(part) + 8L * i, addend);
    (isGlobal ? global : local).add(part * PAGES + i);
    long key = rip + addend;
    long entry = block + 8L * ((int) key & ENTRIES - 1);
    RawMemory.put64(entry + Layout.INDEX_KEYS, -key);
    RawMemory.put64(entry + Layout.INDEX_ADDRESSES, -rip);
    RawMemory.put64(entry + Layout.INDEX_CODE, code);
  }

  /** Mappings may have changed, but for global ones. */
  void switchAddressSpace() {
    clear(local);
  }

  /** Mappings may have changed. */
  void flush() {
    clear(local);
    clear(global);
  }

  /** No block is where it was. */
  void forget() {
    flush();
    RawMemory.fill(block + Layout.INDEX_KEYS, 8L * ENTRIES, 0);
  }

  private void clear(SlotList list) {
    if (list.overflowed()) {
      clearAllPages();
      local.clear();
      global.clear();
      return;
    }
    for (int i = 0; i < list.size(); i++) {
      clearPage(list.get(i));
    }
    list.clear();
  }

  private void clearAllPages() {
    for (int slot = 0; slot < 3 * PAGES; slot++) {
      clearPage(slot);
    }
  }

  /** The tag of a page that belongs into another entry. */
  private void clearPage(int slot) {
    int i = slot % PAGES;
    RawMemory.put64(
        block + Layout.codeTags(slot / PAGES) + 8L * i, -((long) (i ^ 1) << 12));
  }
}
