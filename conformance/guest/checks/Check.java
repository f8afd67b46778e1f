// Work for a Java virtual machine whose results are the same on every CPU: one line for each part.
// It is compiled and run in a guest, with each of HotSpot's compilers, and on the host.

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongBinaryOperator;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import java.util.zip.Inflater;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

public final class Check {
  interface Part {
    Object run() throws Exception;
  }

  public static void main(String[] arguments) throws Exception {
    // More work where the compilers are to be reached, less where only the interpreter is.
    int scale = Integer.parseInt(arguments[0]);
    Map<String, Part> parts = new java.util.LinkedHashMap<>();
    parts.put("digests", () -> digests(4));
    parts.put("cipher", Check::cipher);
    parts.put("deflate", Check::deflate);
    parts.put("bigints", Check::bigIntegers);
    parts.put("floats", Check::floats);
    parts.put("strict", Check::strictMath);
    parts.put("conversions", Check::conversions);
    parts.put("sorts", Check::sorts);
    parts.put("strings", Check::strings);
    parts.put("maps", Check::maps);
    parts.put("faults", Check::faults);
    parts.put("overflow", Check::stackOverflow);
    parts.put("dispatch", Check::dispatch);
    parts.put("garbage", Check::garbage);
    parts.put("threads", Check::threads);
    parts.put("streams", Check::streams);
    for (Map.Entry<String, Part> part : parts.entrySet()) {
      Object first = part.getValue().run();
      for (int i = 1; i < scale; i++) {
        Object again = part.getValue().run();
        if (!first.equals(again)) {
          System.out.println(part.getKey() + " was " + first + ", in turn " + i + " " + again);
          System.exit(1);
        }
      }
      System.out.println(part.getKey() + " " + first);
    }
  }

  private static byte[] bytes(int count, long seed) {
    byte[] bytes = new byte[count];
    new Random(seed).nextBytes(bytes);
    return bytes;
  }

  private static String hash(byte[] bytes) throws Exception {
    return HexFormat.of()
        .formatHex(MessageDigest.getInstance("SHA-256").digest(bytes))
        .substring(0, 16);
  }

  private static Object digests(int kinds) throws Exception {
    StringBuilder all = new StringBuilder();
    byte[] data = bytes(50_000, 1);
    for (String name : List.of("MD5", "SHA-1", "SHA-256", "SHA-512", "SHA3-256")) {
      all.append(
          HexFormat.of().formatHex(MessageDigest.getInstance(name).digest(data)).substring(0, 8));
    }
    CRC32 crc = new CRC32();
    crc.update(data);
    return all.append(Long.toHexString(crc.getValue())).toString();
  }

  private static Object cipher() throws Exception {
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    SecretKeySpec key = new SecretKeySpec(bytes(16, 2), "AES");
    GCMParameterSpec nonce = new GCMParameterSpec(128, bytes(12, 3));
    cipher.init(Cipher.ENCRYPT_MODE, key, nonce);
    byte[] secret = cipher.doFinal(bytes(30_000, 4));
    cipher.init(Cipher.DECRYPT_MODE, key, nonce);
    return hash(secret) + hash(cipher.doFinal(secret));
  }

  private static Object deflate() throws Exception {
    byte[] data = "the quick brown fox ".repeat(1000).getBytes(StandardCharsets.US_ASCII);
    byte[] noise = bytes(data.length, 5);
    for (int i = 0; i < data.length; i += 3) {
      data[i] ^= (byte) (noise[i] & 3);
    }
    Deflater deflater = new Deflater(9);
    deflater.setInput(data);
    deflater.finish();
    byte[] packed = new byte[2 * data.length];
    int size = deflater.deflate(packed);
    deflater.end();
    Inflater inflater = new Inflater();
    inflater.setInput(packed, 0, size);
    byte[] unpacked = new byte[data.length];
    inflater.inflate(unpacked);
    inflater.end();
    return Arrays.equals(data, unpacked) + " " + size;
  }

  private static Object bigIntegers() throws Exception {
    BigInteger a = BigInteger.ONE;
    BigInteger b = BigInteger.ONE;
    for (int i = 0; i < 3000; i++) {
      BigInteger next = a.add(b);
      a = b;
      b = next;
    }
    BigInteger modulus = BigInteger.TWO.pow(521).subtract(BigInteger.ONE);
    BigInteger power = a.modPow(b.mod(modulus), modulus);
    return hash(b.multiply(a).toByteArray()) + hash(power.toByteArray())
        + hash(b.divide(power).toString().getBytes(StandardCharsets.US_ASCII));
  }

  private static Object floats() {
    double[] a = new double[1000];
    float[] f = new float[1000];
    Random random = new Random(6);
    for (int i = 0; i < a.length; i++) {
      a[i] = random.nextDouble();
      f[i] = random.nextFloat();
    }
    double sum = 0;
    float small = 0;
    for (int turn = 0; turn < 40; turn++) {
      for (int i = 1; i < a.length; i++) {
        a[i] = a[i] * 0.75 + Math.sqrt(a[i - 1]) * 0.25;
        f[i] = f[i] / (f[i - 1] + 1.5f) + 0.25f;
      }
      for (int i = 0; i < a.length; i++) {
        sum += a[i] - Math.floor(a[i] * 8) / 8;
        small += Math.abs(f[i] - 0.5f);
      }
    }
    return Long.toHexString(Double.doubleToRawLongBits(sum)) + " "
        + Integer.toHexString(Float.floatToRawIntBits(small)) + " " + sum;
  }

  private static Object strictMath() {
    double sum = 0;
    for (int i = 1; i < 3000; i++) {
      double x = i / 7.0;
      sum += StrictMath.sin(x) + StrictMath.log(x) * StrictMath.exp(-x / 100) + StrictMath.cbrt(x)
          + StrictMath.pow(x, 0.3) + StrictMath.atan2(x, 3) + StrictMath.IEEEremainder(x, 0.7)
          + x % 1.3;
    }
    return Double.toHexString(sum);
  }

  private static Object conversions() {
    long sum = 0;
    Random random = new Random(7);
    for (int i = 0; i < 20_000; i++) {
      double d = Double.longBitsToDouble(random.nextLong());
      sum = sum * 31 + (int) d + (long) d + (int) (float) d + (long) (float) d + (short) d;
      long l = random.nextLong();
      sum += Double.doubleToRawLongBits((double) l) ^ Float.floatToRawIntBits((float) l);
      sum += Long.bitCount(l) + Long.numberOfLeadingZeros(l) + Long.numberOfTrailingZeros(l);
      sum ^= Long.reverse(l) + Long.rotateLeft(l, i) + Long.compareUnsigned(l, sum);
      sum += Math.multiplyHigh(l, sum) + Long.divideUnsigned(l, i + 1) + l % (i - 40_000);
    }
    return sum + " " + Double.toString(1.0 / 3) + " " + (float) 1e10 + " " + Double.MIN_VALUE
        + " " + Double.parseDouble("2.2250738585072012e-308");
  }

  private static Object sorts() {
    int[] ints = new Random(8).ints(20_000).toArray();
    double[] doubles = new Random(9).doubles(20_000).toArray();
    List<Integer> list = new ArrayList<>(IntStream.range(0, 5000).boxed().toList());
    Collections.shuffle(list, new Random(10));
    int before = list.hashCode();
    Arrays.sort(ints);
    Arrays.sort(doubles);
    Collections.sort(list, (x, y) -> Integer.compare(x ^ 0x55, y ^ 0x55));
    return Arrays.hashCode(ints) + " " + Arrays.hashCode(doubles) + " " + before + " "
        + list.hashCode();
  }

  private static Object strings() {
    StringBuilder text = new StringBuilder();
    Random random = new Random(11);
    for (int i = 0; i < 3000; i++) {
      text.append(Integer.toString(random.nextInt(), 36)).append(i % 7 == 0 ? "ä€😀\n" : " ");
    }
    String whole = text.toString();
    String back = new String(whole.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
    long matches = Pattern.compile("([a-f]+)(\\d{2,})\\b").matcher(whole).results().count();
    return whole.equals(back) + " " + whole.hashCode() + " " + matches + " "
        + whole.replaceAll("[aeiou]", "<$0>").toUpperCase(Locale.ROOT).hashCode() + " "
        + whole.indexOf("zz") + " " + String.format(Locale.ROOT, "%08.3f|%x|%-5s|", 3.14159, 255, "x")
        + String.join(",", new StringBuilder(whole.substring(0, 40)).reverse().toString().split(" "));
  }

  private static Object maps() {
    Map<String, Integer> counts = new HashMap<>();
    for (int i = 0; i < 20_000; i++) {
      counts.merge(Integer.toString(i * 7919 % 1009), i, Integer::sum);
    }
    long sum = 0;
    for (Map.Entry<String, Integer> entry : new java.util.TreeMap<>(counts).entrySet()) {
      sum = sum * 33 + entry.getKey().hashCode() + entry.getValue();
    }
    return counts.size() + " " + sum;
  }

  // The virtual machine takes these from signals of its own faulting code.
  private static Object faults() {
    int nulls = 0;
    int divisions = 0;
    int bounds = 0;
    int casts = 0;
    String[] strings = {"a", null, "bc"};
    Object[] objects = {"a", 1, null};
    for (int i = 0; i < 20_000; i++) {
      try {
        nulls += strings[i % 3].length();
      } catch (NullPointerException e) {
        nulls += 1000;
      }
      try {
        divisions += i / (i % 5) + (int) ((long) Integer.MIN_VALUE % (i % 7 - 3));
      } catch (ArithmeticException e) {
        divisions += 7;
      }
      try {
        bounds += strings[i % 4] == null ? 1 : 2;
      } catch (ArrayIndexOutOfBoundsException e) {
        bounds += 10;
      }
      try {
        casts += ((String) objects[i % 2]).length();
      } catch (ClassCastException e) {
        casts += 3;
      }
    }
    return nulls + " " + divisions + " " + bounds + " " + casts;
  }

  private static int depth(int n) {
    return n == 0 ? 0 : 1 + depth(n - 1);
  }

  private static Object stackOverflow() {
    int caught = 0;
    for (int i = 0; i < 3; i++) {
      try {
        depth(Integer.MAX_VALUE);
      } catch (StackOverflowError e) {
        caught++;
      }
    }
    return caught + " " + depth(500);
  }

  private static Object dispatch() {
    LongBinaryOperator[] operators = {
      (x, y) -> x + y, (x, y) -> x ^ y, (x, y) -> x * y + 1, (x, y) -> Long.rotateLeft(x, (int) y),
      Math::max, Long::sum
    };
    long value = 1;
    for (int i = 0; i < 60_000; i++) {
      value = operators[(int) Math.floorMod(value + i, (long) (i < 30_000 ? 2 : 6))]
          .applyAsLong(value, i);
    }
    return value;
  }

  private static final class Link {
    final Link next;
    final long value;

    Link(Link next, long value) {
      this.next = next;
      this.value = value;
    }
  }

  private static Object garbage() {
    long sum = 0;
    Link kept = null;
    for (int i = 0; i < 60_000; i++) {
      Link chain = new Link(new Link(kept, i), ~i);
      if (i % 16 == 0) {
        kept = chain;
      }
      sum += new byte[64 + i % 512].length;
    }
    System.gc();
    for (Link link = kept; link != null; link = link.next) {
      sum = sum * 5 + link.value;
    }
    return sum;
  }

  private static Object threads() throws Exception {
    AtomicLong atomic = new AtomicLong();
    long[] guarded = new long[1];
    ConcurrentHashMap<Integer, Long> map = new ConcurrentHashMap<>();
    try (var _closer = new Pool(4)) {
      List<Future<?>> tasks = new ArrayList<>();
      for (int t = 0; t < 4; t++) {
        tasks.add(
            _closer.service.submit(
                () -> {
                  for (int i = 0; i < 5000; i++) {
                    atomic.addAndGet(i);
                    map.merge(i % 100, 1L, Long::sum);
                    synchronized (guarded) {
                      guarded[0] += i;
                    }
                  }
                }));
      }
      for (Future<?> task : tasks) {
        task.get();
      }
    }
    return atomic + " " + guarded[0] + " " + map.values().stream().mapToLong(x -> x).sum();
  }

  private record Pool(java.util.concurrent.ExecutorService service) implements AutoCloseable {
    Pool(int size) {
      this(Executors.newFixedThreadPool(size));
    }

    @Override
    public void close() {
      service.shutdown();
    }
  }

  private static Object streams() {
    return LongStream.range(0, 50_000).parallel().filter(x -> x % 3 == 1).map(x -> x * x).sum()
        + " " + IntStream.range(0, 3000).mapToObj(Integer::toBinaryString)
            .reduce("", (x, y) -> Integer.toHexString((x + y).hashCode()));
  }
}
