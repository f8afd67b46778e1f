package org.javisor.conformance.vectors;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.Options;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Decoder;
import org.javisor.isa.Disassembler;
import org.javisor.isa.Instruction;

/**
 * {@code javisor-conformance xed}: the decoder against the tests of XED, Intel's decoder: whether
 * bytes are an instruction, how long it is, and which.
 *
 * <p>Exit codes: 0 all agree, 1 some do not, 2 a wrong option, 3 there are no tests.
 */
public final class XedConformance {
  private static final String HELP =
      """
      usage: javisor-conformance xed FOLDER
        FOLDER   the folder "tests" of a copy of XED, with tests-base/test-00000/cmd and its like
      """;

  /** What XED calls the instructions that are here. */
  private static final Set<String> OURS =
      Set.of(
          "I86", "I186", "I286REAL", "I286PROTECTED", "I2186", "I386", "I486", "I486REAL",
          "PENTIUMREAL", "PENTIUMMMX", "PPRO", "PPRO_UD0_SHORT", "X87", "FCMOV", "FAT_NOP",
          "PREFETCH_NOP", "PAUSE", "CMOV", "FXSAVE", "FXSAVE64", "SSE", "SSE2", "SSE3", "SSE3X87",
          "SSSE3", "SSSE3MMX", "SSE4", "SSE42", "SSEMXCSR", "SSE_PREFETCH", "SSE2MMX", "POPCNT",
          "LONGMODE", "LAHF", "CMPXCHG16B", "RDTSCP", "MONITOR", "MOVBE", "AES", "PCLMULQDQ", "SHA",
          "AVX", "AVX2", "AVX2GATHER", "AVXAES", "AVX_GFNI", "F16C", "FMA", "BMI1", "BMI2", "LZCNT",
          "ADOX_ADCX", "XSAVE", "XSAVEC", "XSAVEOPT", "RDWRFSGS", "RDRAND", "RDSEED", "RDPID",
          "CLFSH", "CLFLUSHOPT", "CLWB", "INVPCID", "SMAP", "SVM");

  private static final Pattern FIELD = Pattern.compile("(?m)^(ICLASS|ISA_SET|SHORT):\\s+(.*)$");
  private static final Pattern IDENTICAL =
      Pattern.compile("(?m)^Encodable! ([0-9A-F]+)\\s+Identical re-encoding");
  private static final Pattern ERROR = Pattern.compile("(?m)^ERROR: (\\S+)");

  private final PrintStream out;
  private final Decoder decoder = new Decoder(EnumSet.allOf(CpuFeature.class));
  private final List<String> differences = new ArrayList<>();
  private final TreeMap<String, Integer> absent = new TreeMap<>();
  private final TreeMap<String, Integer> known = new TreeMap<>();
  private int compared;

  private XedConformance(PrintStream out) {
    this.out = out;
  }

  /** The verb. */
  public static int run(List<String> arguments, PrintStream out) throws Exception {
    XedConformance verb = new XedConformance(out);
    Options options = new Options(HELP).operand("FOLDER");
    return options.run(arguments, out, () -> verb.run(options.operands().getFirst()));
  }

  private int run(String folder) {
    try (Stream<Path> files = Files.walk(Path.of(folder))) {
      for (Path command : files.filter(f -> f.endsWith("cmd")).sorted().toList()) {
        test(command);
      }
    } catch (IOException e) {
      System.err.println("javisor-conformance: cannot be read: " + e.getMessage());
      return Exit.FILE;
    }
    return report(folder);
  }

  private int report(String folder) {
    if (compared == 0) {
      System.err.println(
          "javisor-conformance: " + folder
              + " holds no decoder tests: XED's folder tests expected");
      return Exit.FILE;
    }
    differences.forEach(out::println);
    out.println("of extensions that are not here: " + absent);
    known.forEach((why, n) -> out.printf("%d times: %s%n", n, why));
    out.printf("%d tests, %d differences%n", compared, differences.size());
    return differences.isEmpty() ? Exit.OK : Exit.MISMATCH;
  }

  private void test(Path command) throws IOException {
    String[] words = Files.readString(command).strip().split("\\s+");
    int codeSize = 32;
    StringBuilder hex = new StringBuilder();
    boolean decodes = false;
    for (int i = 1; i < words.length; i++) {
      switch (words[i]) {
        case "-16" -> codeSize = 16;
        case "-32" -> codeSize = 32;
        case "-64" -> codeSize = 64;
        case "-d", "-de" -> decodes = true;
        case "-v" -> i++;
        default -> {
          if (words[i].startsWith("-")) {
            return; // encoding, or another CPU than ours
          }
          hex.append(words[i]);
        }
      }
    }
    if (!decodes && !words[0].endsWith("xed-dec")
        || hex.isEmpty()
        || hex.length() % 2 != 0
        || !hex.chars().allMatch(c -> Character.digit(c, 16) >= 0)) {
      return;
    }
    String reference = Files.readString(command.resolveSibling("stdout.reference"));
    compare(HexFormat.of().parseHex(hex.toString()), codeSize, reference);
  }

  private void compare(byte[] code, int codeSize, String reference) {
    String iclass = "";
    String set = "";
    String text = "";
    Matcher fields = FIELD.matcher(reference);
    while (fields.find()) {
      switch (fields.group(1)) {
        case "ICLASS" -> iclass = fields.group(2).strip();
        case "ISA_SET" -> set = fields.group(2).strip();
        default -> text = fields.group(2).strip();
      }
    }
    Matcher error = ERROR.matcher(reference);
    boolean valid = !iclass.isEmpty();
    if (!valid && !error.find()) {
      return;
    }
    if (valid && !OURS.contains(set)) {
      absent.merge(set, 1, Integer::sum);
      return;
    }
    compared++;
    Instruction in = new Instruction();
    int length = decoder.decode(code, 0, code.length, codeSize, in);
    String what =
        "%s in %d-bit code: XED %s, here %s"
            .formatted(
                HexFormat.of().formatHex(code),
                codeSize,
                valid ? text.isEmpty() ? iclass : text : error.group(1),
                length > 0
                    ? Disassembler.text(in, 0) + ", " + length + " bytes"
                    : length == Decoder.NEED_MORE ? "too short" : "none");
    boolean same;
    if (valid) {
      same = length > 0 && length == length(reference, length) && sameName(iclass, in);
    } else if (error.group(1).equals("BUFFER_TOO_SHORT")) {
      same = length == Decoder.NEED_MORE;
    } else {
      same = length < 0 || length > 0 && undefined(in);
    }
    if (!same) {
      String why = KnownDecodings.why(code, codeSize, valid, iclass);
      if (why == null) {
        differences.add(what);
      } else {
        known.merge(why, 1, Integer::sum);
      }
    }
  }

  /** How long XED says that it is, where it tells by encoding it again. */
  private static int length(String reference, int otherwise) {
    Matcher m = IDENTICAL.matcher(reference);
    return m.find() ? m.group(1).length() / 2 : otherwise;
  }

  /** An opcode that is there to be undefined. */
  private static boolean undefined(Instruction in) {
    return Disassembler.mnemonic(in).startsWith("ud");
  }

  private static boolean sameName(String iclass, Instruction in) {
    String ours = Disassembler.mnemonic(in).replaceAll("^(rep[nez]*|lock) ", "");
    String theirs =
        iclass.toLowerCase(java.util.Locale.ROOT)
            .replaceAll("_(near|far|lock|xmm|sse4|cr|dr|64|32)$", "")
            .replaceAll("^(rep|repe|repne|repz|repnz)_", "");
    return ours.equals(theirs) || KnownDecodings.alias(theirs, ours);
  }
}
