package org.javisor.xen.toolstack;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/** Takes command lines on a UNIX socket and has {@link XlCommands} carry them out. */
public final class XenServer implements AutoCloseable {
  /** Frames that wait for a client; one that does not read is cut off. */
  private static final int MOST_WAITING = 4096;

  /** Answers under way, a saved domain's for example, take as long as a busy host makes them. */
  private static final int CLOSING_TURNS = 100;

  private static final long CLOSING_TURN_NANOS = 50_000_000;

  private final XenHost host;
  private final XlCommands commands;
  private final Path path;
  private final ServerSocketChannel server;
  private final AtomicInteger serving = new AtomicInteger();

  private XenServer(XenHost host, Path path, ServerSocketChannel server) {
    this.host = host;
    this.commands = new XlCommands(host);
    this.path = path;
    this.server = server;
  }

  /**
   * Listens. A file there is replaced, so the caller makes sure that no other host listens on it.
   */
  public static XenServer listen(XenHost host, Path path) throws IOException {
    Files.deleteIfExists(path);
    ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      server.bind(UnixDomainSocketAddress.of(path));
    } catch (IOException e) {
      server.close();
      throw e;
    }
    XenServer listening = new XenServer(host, path, server);
    Thread.ofPlatform().daemon().name("javisor-xl").start(listening::accept);
    return listening;
  }

  private void accept() {
    while (server.isOpen()) {
      try {
        SocketChannel client = server.accept();
        Thread.ofPlatform().daemon().name("javisor-xl-client").start(() -> serve(client));
      } catch (IOException e) {
        return; // It was closed.
      }
    }
  }

  private void serve(SocketChannel channel) {
    serving.incrementAndGet();
    try (channel) {
      new Client(channel).serve();
    } catch (IOException e) {
      // The client is gone; it does not wait for an answer any more.
      assert !channel.isConnected() || e != null;
    } finally {
      serving.decrementAndGet();
    }
  }

  /** One client and its command. */
  private final class Client implements Session {
    private final DataInputStream in;
    private final DataOutputStream out;
    private final LinkedBlockingQueue<Frames.Frame> waiting =
        new LinkedBlockingQueue<>(MOST_WAITING);
    private final CountDownLatch left = new CountDownLatch(1);

    Client(SocketChannel channel) {
      in = new DataInputStream(new BufferedInputStream(Channels.newInputStream(channel)));
      out = new DataOutputStream(new BufferedOutputStream(Channels.newOutputStream(channel)));
    }

    void serve() throws IOException {
      List<String> command = Frames.readCommand(in);
      Thread writer = Thread.ofPlatform().daemon().name("javisor-xl-output").start(this::write);
      int code;
      try {
        code = commands.run(command, this);
      } catch (RuntimeException | Error e) {
        host.report(e);
        error("a bug of Javisor, " + e);
        code = 1;
      }
      queue(Frames.EXIT, Integer.toString(code).getBytes(StandardCharsets.US_ASCII));
      try {
        writer.join();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }

    private void queue(int type, byte[] bytes) {
      if (!waiting.offer(new Frames.Frame(type, bytes))) {
        left.countDown();
      }
    }

    private void write() {
      try {
        while (true) {
          Frames.Frame frame = waiting.take();
          Frames.write(out, frame.type(), frame.bytes());
          if (frame.type() == Frames.EXIT) {
            return;
          }
        }
      } catch (IOException | InterruptedException e) {
        left.countDown();
      }
    }

    @Override
    public void out(String text) {
      queue(Frames.OUTPUT, text.getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public void error(String text) {
      queue(Frames.ERROR, (text + "\n").getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public boolean stays(long millis) {
      try {
        return !left.await(millis, TimeUnit.MILLISECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return false;
      }
    }

    @Override
    public Optional<GuestDomain> console(DomainConsole console, Runnable whenAttached) {
      queue(Frames.CONSOLE, new byte[0]);
      Consumer<byte[]> viewer = bytes -> queue(Frames.OUTPUT, bytes);
      console.attach(viewer);
      AtomicReference<GuestDomain> last = new AtomicReference<>();
      Consumer<GuestDomain> onEnd =
          ended -> {
            if (ended.has(console)) {
              last.set(ended);
              left.countDown();
            }
          };
      host.onEnd(onEnd);
      // It ends with the connection; to interrupt it would close that before the last answer.
      Thread.ofPlatform().daemon().name("javisor-xl-input").start(() -> type(console));
      whenAttached.run();
      try {
        left.await();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
      console.detach(viewer);
      host.forgetOnEnd(onEnd);
      return Optional.ofNullable(last.get());
    }

    /** Passes on what is typed, to whichever domain has the console now. */
    private void type(DomainConsole console) {
      try {
        while (left.getCount() > 0) {
          Frames.Frame frame = Frames.read(in);
          if (frame.type() == Frames.EXIT) {
            break;
          }
          console.type(frame.bytes());
        }
      } catch (IOException e) {
        // The client has hung up, which is a way of leaving.
        left.countDown();
      }
      left.countDown();
    }
  }

  /** Ends, when the answers under way have been given or a while has passed. */
  @Override
  public void close() throws IOException {
    server.close();
    for (int i = 0; i < CLOSING_TURNS && serving.get() > 0; i++) {
      LockSupport.parkNanos(this, CLOSING_TURN_NANOS);
    }
    Files.deleteIfExists(path);
  }
}
