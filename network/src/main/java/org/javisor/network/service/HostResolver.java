package org.javisor.network.service;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;

/**
 * Looks names up by the host's own means (hosts file, name service switch), on threads of its own,
 * because that blocks.
 */
final class HostResolver implements AutoCloseable {
  private static final int THREADS = 4;
  private static final int WAITING = 64;

  /** How a name is looked up. */
  @FunctionalInterface
  interface Lookup {
    InetAddress[] find(String name) throws UnknownHostException;
  }

  private final Lookup lookup;
  private final ThreadPoolExecutor threads;

  HostResolver(Lookup lookup) {
    this.lookup = lookup;
    threads =
        new ThreadPoolExecutor(
            THREADS,
            THREADS,
            10,
            TimeUnit.SECONDS,
            new ArrayBlockingQueue<>(WAITING),
            Thread.ofPlatform().daemon().name("javisor-resolver-", 0).factory());
    threads.allowCoreThreadTimeOut(true);
  }

  /**
   * Looks up a name.
   *
   * @param answer called on another thread with a DNS response code and the addresses
   */
  void find(String name, BiConsumer<Integer, List<InetAddress>> answer) {
    try {
      threads.execute(() -> answer(name, answer));
    } catch (RejectedExecutionException e) {
      answer.accept(DnsMessage.SERVER_FAILURE, List.of());
    }
  }

  private void answer(String name, BiConsumer<Integer, List<InetAddress>> answer) {
    try {
      answer.accept(DnsMessage.NO_ERROR, List.of(lookup.find(name)));
    } catch (UnknownHostException e) {
      boolean forNow = String.valueOf(e.getMessage()).contains("Temporary failure");
      answer.accept(
          forNow ? DnsMessage.SERVER_FAILURE : DnsMessage.NO_SUCH_NAME, List.of());
    }
  }

  @Override
  public void close() {
    threads.shutdownNow();
  }
}
