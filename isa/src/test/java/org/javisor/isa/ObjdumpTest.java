package org.javisor.isa;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Every row of the table, in random encodings, decoded and written by us and by objdump: lengths
 * and mnemonics must agree, and so must the text once both are normalised.
 *
 * <p>Each instruction stands at the start of a slot filled up with NOPs, so that a disagreement
 * does not spread.
 */
final class ObjdumpTest {
  private static final int SLOT = 32;
  private static final int PER_FORM = Integer.getInteger("javisor.objdump.perForm", 12);
  private static final Pattern LINE =
      Pattern.compile("^\\s*([0-9a-f]+):\\t((?:[0-9a-f]{2} )+)\\s*(?:\\t(.*))?$");

  @TempDir Path folder;

  private record Line(int length, String text) {}

  @ParameterizedTest
  @ValueSource(ints = {64, 32, 16})
  void agreesWithObjdump(int codeSize) throws Exception {
    assumeTrue(hasObjdump(), "objdump is not installed: nothing compared");
    Random random = new Random(codeSize);
    Decoder decoder = new Decoder(EnumSet.allOf(CpuFeature.class));
    List<byte[]> encodings = new ArrayList<>();
    for (Form form : InstructionTable.all()) {
      if (codeSize == 64 ? form.invalidIn64() : form.only64()) {
        continue;
      }
      for (int i = 0, tries = 0; i < PER_FORM && tries < 50 * PER_FORM; tries++) {
        byte[] code = EncodingGenerator.encode(form, codeSize, random);
        Instruction in = new Instruction();
        int length = decoder.decode(code, 0, code.length, codeSize, in);
        if (length > 0 && in.form == form) {
          encodings.add(java.util.Arrays.copyOf(code, length));
          i++;
        }
      }
    }
    assertTrue(encodings.size() > 10_000, "too few encodings: " + encodings.size());

    Map<Long, Line> lines = objdump(encodings, codeSize);
    Map<String, String> failures = new TreeMap<>();
    int texts = 0;
    for (int i = 0; i < encodings.size(); i++) {
      byte[] code = encodings.get(i);
      long address = (long) i * SLOT;
      Instruction in = new Instruction();
      decoder.decode(code, 0, code.length, codeSize, in);
      String ours = ObjdumpSyntax.normal(Disassembler.text(in, address));
      Line line = lines.get(address);
      String theirs = ObjdumpSyntax.normal(line.text);
      if (ObjdumpSyntax.knownDifference(in, theirs)) {
        continue;
      }
      if (line.length != code.length || !ours.equals(theirs)) {
        failures.putIfAbsent(
            in.form + " " + in.operandSize,
            HexFormat.ofDelimiter(" ").formatHex(code)
                + " (" + line.length + ")\n    ours   " + ours + "\n    theirs " + theirs);
      } else {
        texts++;
      }
    }
    StringBuilder report = new StringBuilder();
    failures.forEach((form, text) -> report.append(form).append(": ").append(text).append('\n'));
    assertEquals("", report.toString(), failures.size() + " forms differ, " + texts + " agree");
  }

  private Map<Long, Line> objdump(List<byte[]> encodings, int codeSize) throws Exception {
    byte[] image = new byte[encodings.size() * SLOT];
    java.util.Arrays.fill(image, (byte) 0x90);
    for (int i = 0; i < encodings.size(); i++) {
      System.arraycopy(encodings.get(i), 0, image, i * SLOT, encodings.get(i).length);
    }
    Path file = folder.resolve("code.bin");
    Files.write(file, image);
    String machine = codeSize == 64 ? "i386:x86-64" : codeSize == 32 ? "i386" : "i8086";
    Process process =
        new ProcessBuilder(
            "objdump", "-D", "-z", "-b", "binary", "-m", machine, "-M", "intel",
            "--insn-width=16", file.toString())
            .redirectErrorStream(true)
            .start();
    Map<Long, Line> lines = new HashMap<>();
    try (var reader = process.inputReader()) {
      String line;
      while ((line = reader.readLine()) != null) {
        Matcher m = LINE.matcher(line);
        if (m.matches()) {
          long address = Long.parseLong(m.group(1), 16);
          if (address % SLOT == 0) {
            String text = m.group(3) == null ? "" : m.group(3);
            lines.put(address, new Line(m.group(2).length() / 3, text));
          }
        }
      }
    }
    assertEquals(0, process.waitFor());
    return lines;
  }

  private static boolean hasObjdump() throws InterruptedException {
    try {
      return new ProcessBuilder("objdump", "--version")
          .redirectOutput(ProcessBuilder.Redirect.DISCARD)
          .start()
          .waitFor() == 0;
    } catch (IOException e) {
      return false;
    }
  }
}
