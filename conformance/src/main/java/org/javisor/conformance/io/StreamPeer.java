package org.javisor.conformance.io;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.javisor.accelerator.time.Entropy;

/**
 * The host's end of a transfer: who connects to one port is sent random bytes, and what comes to the
 * other is taken in. Of both there is a sum (SHA-256, as {@code sha256sum} prints it).
 */
final class StreamPeer implements AutoCloseable {
  private static final int CHUNK = 1 << 16;

  private final long size;
  private final ServerSocket giver;
  private final ServerSocket taker;
  private final CompletableFuture<String> given = new CompletableFuture<>();
  private final CompletableFuture<String> taken = new CompletableFuture<>();

  /** What a connection does until it returns the sum of its bytes. */
  private interface Service {
    String serve(Socket guest) throws IOException;
  }

  /** A peer for one transfer each way, of so many bytes to the guest. */
  StreamPeer(long size) throws IOException {
    this.size = size;
    giver = listen();
    taker = listen();
    start(giver, given, this::give);
    start(taker, taken, StreamPeer::take);
  }

  /** The host's loopback, which guests see as 10.0.2.2 if they may. */
  static ServerSocket listen() throws IOException {
    return new ServerSocket(0, 1, InetAddress.getByAddress(new byte[] {127, 0, 0, 1}));
  }

  private static void start(
      ServerSocket server, CompletableFuture<String> sum, Service service) {
    Thread.ofPlatform()
        .daemon()
        .name("javisor-stream")
        .start(
            () -> {
              try (Socket guest = server.accept()) {
                sum.complete(service.serve(guest));
              } catch (IOException e) {
                sum.completeExceptionally(e);
              }
            });
  }

  int giverPort() {
    return giver.getLocalPort();
  }

  int takerPort() {
    return taker.getLocalPort();
  }

  /** The sum of what was sent to the guest. */
  String given(long seconds) throws IoFailure, InterruptedException, TimeoutException {
    return sum("sent", given, seconds);
  }

  /** The sum of what came from it. */
  String taken(long seconds) throws IoFailure, InterruptedException, TimeoutException {
    return sum("received", taken, seconds);
  }

  private static String sum(String what, CompletableFuture<String> sum, long seconds)
      throws IoFailure, InterruptedException, TimeoutException {
    try {
      return sum.get(seconds, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw new IoFailure("a stream was not " + what + " to its end: " + e.getCause(), e);
    }
  }

  private String give(Socket guest) throws IOException {
    MessageDigest digest = sha256();
    byte[] chunk = new byte[CHUNK];
    Entropy entropy = Entropy.seeded(size);
    OutputStream out = guest.getOutputStream();
    for (long left = size; left > 0;) {
      entropy.nextBytes(chunk);
      int length = (int) Math.min(left, CHUNK);
      digest.update(chunk, 0, length);
      out.write(chunk, 0, length);
      left -= length;
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static String take(Socket guest) throws IOException {
    MessageDigest digest = sha256();
    byte[] chunk = new byte[CHUNK];
    InputStream in = guest.getInputStream();
    for (int got; (got = in.read(chunk)) > 0;) {
      digest.update(chunk, 0, got);
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has it", e);
    }
  }

  @Override
  public void close() throws IOException {
    giver.close();
    taker.close();
  }
}
