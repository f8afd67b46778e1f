package org.javisor.conformance.hostile;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;

/**
 * A kernel that does what its mailbox says: one ELF file that is entered as a PVH guest, and by HVM
 * domains too, and as a PV guest. Addresses are linear, and the same in both.
 */
final class PuppetKernel {
  /** Where it is loaded. */
  private static final int LOAD = 0x10_0000;

  /** Six pages of page tables, for the PVH entry: 4 GiB of large pages, where they are. */
  private static final int TABLES = LOAD;

  private static final int GDT = 0x10_6000;
  private static final int CODE = 0x10_6100;

  /** What it is told, and says: a page of its own. */
  static final int MAILBOX = 0x10_7000;

  private static final int SIZE = 0x8000;

  // The mailbox: 64-bit words.
  static final int COMMAND = 0;
  static final int NUMBER = 8;
  static final int FIRST_ARGUMENT = 16;
  static final int RESULT = 64;

  // Commands.
  static final int HYPERCALL = 1;
  static final int STORE = 2;
  static final int LOAD_WORD = 3;

  // Xen public/elfnote.h.
  private static final int NOTE_ENTRY = 1;
  private static final int NOTE_XEN_VERSION = 5;
  private static final int NOTE_GUEST_OS = 6;
  private static final int NOTE_PHYS32_ENTRY = 18;

  private final ByteArrayOutputStream code = new ByteArrayOutputStream();

  private PuppetKernel() {}

  /** Writes the kernel. */
  static Path write(Path file) throws IOException {
    return Files.write(file, new PuppetKernel().elf());
  }

  private static String hex(int value) {
    return HexFormat.of().toHexDigits(Integer.reverseBytes(value));
  }

  private void add(String instructions) {
    code.writeBytes(HexFormat.of().parseHex(instructions.replace(" ", "")));
  }

  private int here() {
    return CODE + code.size();
  }

  private byte[] elf() {
    int phys32 = here();
    add("fa");
    add("0f20e0 83c820 0f22e0"); // CR4.PAE
    add("b8" + hex(TABLES) + "0f22d8"); // CR3
    add("b9800000c0 0f32 0d00010000 0f30"); // EFER.LME
    add("0f20c0 0d01000080 0f22c0"); // CR0.PG, PE
    add("0f0115" + hex(GDT + 32)); // lgdt
    add("ea" + hex(here() + 7) + "0800"); // ljmp to the next instruction, in 64-bit mode
    add("b810000000 8ed8 8ec0 8ed0"); // data segments
    loop("0f01d9"); // vmmcall
    int pv = here();
    loop("0f05"); // syscall
    return file(phys32, pv);
  }

  /** Waits for commands and carries them out, for ever. */
  private void loop(String hypercall) {
    String call =
        "488b7b10 488b7318 488b5320 4c8b5328 4c8b4330 4c8b4b38 488b4308" + hypercall;
    int length = call.replace(" ", "").length() / 2;
    add("bb" + hex(MAILBOX)); // mov ebx,MAILBOX
    add("f390 488b03 4885c0 74f6"); // 1: pause; mov rax,[rbx]; test rax,rax; jz 1b
    add("3c02 74" + jump(length + 6)); // cmp al,STORE; je 2f
    add("3c03 74" + jump(length + 15)); // cmp al,LOAD_WORD; je 3f
    add(call + "eb" + jump(20)); // the registers and the number; jmp 4f
    add("488b7b10 488b4318 488907 eb" + jump(7)); // 2: mov [first],second; jmp 4f
    add("488b7b10 488b07"); // 3: mov rax,[first]
    add("48894340 48c70300000000 eb" + jump(-length - 53)); // 4: the result; no command; jmp 1b
  }

  private static String jump(int offset) {
    return HexFormat.of().toHexDigits((byte) offset);
  }

  // ---- The file -------------------------------------------------------------------------------

  private static final int FILE_OFFSET = 0x1000;
  private static final int HEADER = 64;
  private static final int SEGMENT = 56;
  private static final int NOTES = HEADER + 2 * SEGMENT;

  private byte[] file(int phys32, int pv) {
    ByteBuffer out = ByteBuffer.allocate(FILE_OFFSET + SIZE).order(ByteOrder.LITTLE_ENDIAN);
    ByteBuffer notes = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN);
    note(notes, NOTE_ENTRY, number(pv));
    note(notes, NOTE_XEN_VERSION, "xen-3.0\0".getBytes(StandardCharsets.US_ASCII));
    note(notes, NOTE_GUEST_OS, "puppet\0".getBytes(StandardCharsets.US_ASCII));
    note(notes, NOTE_PHYS32_ENTRY, number(phys32));
    notes.flip();
    out.putInt(0x464c_457f).put((byte) 2).put((byte) 1).put((byte) 1); // 64 bits, little endian
    out.position(16);
    out.putShort((short) 2).putShort((short) 62).putInt(1); // executable, x86-64
    out.putLong(pv).putLong(HEADER).putLong(0).putInt(0);
    out.putShort((short) HEADER).putShort((short) SEGMENT).putShort((short) 2);
    segment(out.position(HEADER), 1, FILE_OFFSET, LOAD, SIZE);
    segment(out.position(HEADER + SEGMENT), 4, NOTES, LOAD, notes.limit());
    out.position(NOTES).put(notes);
    tables(out);
    out.position(FILE_OFFSET + GDT - LOAD);
    out.putLong(0).putLong(0x00af_9a00_0000_ffffL).putLong(0x00cf_9200_0000_ffffL).putLong(0);
    out.putShort((short) 31).putInt(GDT);
    out.position(FILE_OFFSET + CODE - LOAD).put(code.toByteArray());
    return out.array();
  }

  private static byte[] number(int value) {
    return ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array();
  }

  private static void note(ByteBuffer notes, int type, byte[] contents) {
    notes.putInt(4).putInt(contents.length).putInt(type);
    notes.put("Xen\0".getBytes(StandardCharsets.US_ASCII)).put(contents);
    notes.position((notes.position() + 3) & -4);
  }

  private static void segment(ByteBuffer out, int type, long offset, long address, long size) {
    out.putInt(type).putInt(7).putLong(offset).putLong(address).putLong(address);
    out.putLong(size).putLong(size).putLong(4096);
  }

  private static void tables(ByteBuffer out) {
    out.position(FILE_OFFSET + TABLES - LOAD);
    out.putLong(out.position(), TABLES + 0x1000 | 3);
    for (int i = 0; i < 4; i++) {
      out.putLong(FILE_OFFSET + 0x1000 + 8 * i, TABLES + 0x2000 + 0x1000 * i | 3);
    }
    for (int i = 0; i < 2048; i++) {
      out.putLong(FILE_OFFSET + 0x2000 + 8 * i, (long) i << 21 | 0x83);
    }
  }
}
