package org.javisor.network.service;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.IpAddress;

/**
 * Linux's sockets for echo requests without privilege (icmp(7), {@code
 * net.ipv4.ping_group_range}): datagram sockets of protocol ICMP and ICMPv6. Java has none, so they
 * are made through the C library. Whether the host permits them is found out by asking for one.
 *
 * <p>The kernel sets the identifier and lets through only answers that carry it.
 */
final class PingSockets implements AutoCloseable {
  /** Gets what arrives, on the reading thread: the message from its ICMP header on. */
  interface Receiver {
    void received(boolean v6, ByteBuffer message);
  }

  private static final int AF_INET = 2;
  private static final int AF_INET6 = 10;
  private static final int SOCK_DGRAM = 2;
  private static final int SOCK_CLOEXEC = 0x80000;
  private static final int MSG_DONTWAIT = 0x40;
  private static final int POLLIN = 1;
  private static final int SOCKADDR_IN = 16;
  private static final int SOCKADDR_IN6 = 28;
  private static final int MAX_MESSAGE = 65_536;

  /** The functions of the C library; null where there are none of this kind. */
  private record Library(
      MethodHandle socket,
      MethodHandle sendto,
      MethodHandle recv,
      MethodHandle poll,
      MethodHandle close) {

    static Library find() {
      // The numbers above and the layouts below are Linux's.
      if (!System.getProperty("os.name").toLowerCase(Locale.ROOT).equals("linux")) {
        return null;
      }
      var i = ValueLayout.JAVA_INT;
      var l = ValueLayout.JAVA_LONG;
      var p = ValueLayout.ADDRESS;
      return new Library(
          bind("socket", FunctionDescriptor.of(i, i, i, i)),
          bind("sendto", FunctionDescriptor.of(l, i, p, l, i, p, i)),
          bind("recv", FunctionDescriptor.of(l, i, p, l, i)),
          bind("poll", FunctionDescriptor.of(i, p, l, i)),
          bind("close", FunctionDescriptor.of(i, i)));
    }

    private static MethodHandle bind(String name, FunctionDescriptor type) {
      Linker linker = Linker.nativeLinker();
      return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), type);
    }
  }

  private final Library library = Library.find();
  private final Receiver receiver;
  private final int socket4;
  private final int socket6;
  private volatile boolean closed;

  PingSockets(Receiver receiver) {
    this.receiver = receiver;
    socket4 = open(AF_INET, 1);
    socket6 = open(AF_INET6, 58);
    if (socket4 >= 0) {
      Thread.ofPlatform().daemon().name("javisor-ping4").start(() -> read(socket4, false));
    }
    if (socket6 >= 0) {
      Thread.ofPlatform().daemon().name("javisor-ping6").start(() -> read(socket6, true));
    }
  }

  private int open(int family, int protocol) {
    if (library == null) {
      return -1;
    }
    try {
      return (int) library.socket.invokeExact(family, SOCK_DGRAM | SOCK_CLOEXEC, protocol);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Whether the host permits them. */
  boolean available(boolean v6) {
    return (v6 ? socket6 : socket4) >= 0;
  }

  /**
   * Sends a request.
   *
   * @param message a direct buffer, from the ICMP header on
   * @return false if there is no way to that address
   */
  boolean send(IpAddress to, ByteBuffer message) {
    boolean v6 = !to.isV4();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment address = arena.allocate(v6 ? SOCKADDR_IN6 : SOCKADDR_IN, 4);
      ByteBuffer bytes = address.asByteBuffer();
      bytes.order(ByteOrder.nativeOrder()).putShort(0, (short) (v6 ? AF_INET6 : AF_INET));
      if (v6) {
        Bytes.put64(bytes, 8, to.high());
        Bytes.put64(bytes, 16, to.low());
      } else {
        Bytes.put32(bytes, 4, to.v4());
      }
      long sent =
          (long) library.sendto.invokeExact(
              v6 ? socket6 : socket4,
              MemorySegment.ofBuffer(message),
              (long) message.limit(),
              MSG_DONTWAIT,
              address,
              (int) address.byteSize());
      return sent >= 0;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Reads until closed. Waits in short turns, because closing does not wake who waits. */
  private void read(int socket, boolean v6) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pollfd = arena.allocate(8, 4);
      MemorySegment buffer = arena.allocate(MAX_MESSAGE);
      int turn = (int) TimeUnit.SECONDS.toMillis(1);
      while (!closed) {
        pollfd.set(ValueLayout.JAVA_INT, 0, socket);
        pollfd.set(ValueLayout.JAVA_INT, 4, POLLIN);
        if ((int) library.poll.invokeExact(pollfd, 1L, turn) <= 0) {
          continue;
        }
        long length =
            (long) library.recv.invokeExact(socket, buffer, (long) MAX_MESSAGE, MSG_DONTWAIT);
        if (length > 0) {
          ByteBuffer copy = ByteBuffer.allocate((int) length);
          copy.put(0, buffer.asByteBuffer(), 0, (int) length);
          receiver.received(v6, copy);
        }
      }
      int ignored = (int) library.close.invokeExact(socket);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  @Override
  public void close() {
    closed = true;
  }
}
