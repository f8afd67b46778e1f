package org.javisor.conformance.io;

import java.io.IOException;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.javisor.accelerator.time.Clock;

/** A hand at a console that is on a UNIX socket, and an eye on all that it has shown. */
final class GuestTerminal implements AutoCloseable {
  /** As much of the console as a failure's report shows. */
  private static final int TAIL = 1500;

  private static final long CONNECT_SECONDS = 60;
  private static final Clock CLOCK = Clock.host();

  private final SocketChannel channel;
  private final OutputStream log;
  private final StringBuilder shown = new StringBuilder();
  private boolean ended;

  private GuestTerminal(SocketChannel channel, OutputStream log) {
    this.channel = channel;
    this.log = log;
    Thread.ofPlatform().daemon().name("javisor-terminal").start(this::read);
  }

  /** Connects, as soon as somebody listens. */
  static GuestTerminal connect(Path socket, OutputStream log)
      throws IOException, InterruptedException {
    long end = CLOCK.nanos() + TimeUnit.SECONDS.toNanos(CONNECT_SECONDS);
    while (true) {
      SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
      try {
        channel.connect(UnixDomainSocketAddress.of(socket));
        return new GuestTerminal(channel, log);
      } catch (IOException e) {
        channel.close();
        if (CLOCK.nanos() > end) {
          throw e;
        }
        Thread.sleep(100);
      }
    }
  }

  private void read() {
    ByteBuffer bytes = ByteBuffer.allocate(4096);
    try {
      while (channel.read(bytes.clear()) >= 0) {
        log.write(bytes.array(), 0, bytes.position());
        String text =
            new String(bytes.array(), 0, bytes.position(), StandardCharsets.ISO_8859_1);
        synchronized (shown) {
          shown.append(text.replace("\r", ""));
          shown.notifyAll();
        }
      }
    } catch (IOException e) {
      // The machine has ended, or we have.
    }
    synchronized (shown) {
      ended = true;
      shown.notifyAll();
    }
  }

  /** How much has been shown so far. */
  int position() {
    synchronized (shown) {
      return shown.length();
    }
  }

  /** What has been shown from a position on. */
  String since(int position) {
    synchronized (shown) {
      return shown.substring(position);
    }
  }

  /** Waits for a text behind a position; returns where it begins. */
  int await(String text, int from, long seconds) throws InterruptedException, TimeoutException {
    long end = CLOCK.nanos() + TimeUnit.SECONDS.toNanos(seconds);
    synchronized (shown) {
      while (true) {
        int at = shown.indexOf(text, from);
        if (at >= 0) {
          return at;
        }
        long left = TimeUnit.NANOSECONDS.toMillis(end - CLOCK.nanos());
        if (left <= 0 || ended) {
          throw new TimeoutException(
              (ended ? "the console ended without '" : "no '") + text + "'"
                  + (ended ? "" : " in " + seconds + " s") + "; the console's end:\n"
                  + shown.substring(Math.max(0, shown.length() - TAIL)));
        }
        shown.wait(left);
      }
    }
  }

  void type(String line) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap((line + "\r").getBytes(StandardCharsets.US_ASCII));
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
