package org.javisor.conformance.io;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Bytes on their way to a disk and through the network, each looked at when they have arrived.
 *
 * @param mebibytes of work
 */
record TransferCases(long mebibytes) {
  /** Seconds for each direction of iperf3. */
  private static final int IPERF_SECONDS = 10;

  private static final Pattern RATE =
      Pattern.compile("([0-9.]+ [KMG]?bits/sec)[^\n]*receiver");

  /** Much for TCP. */
  private static final String LOSS = "5%";

  private static final Pattern DROPPED = Pattern.compile("dropped (\\d+)");

  /** fio writes and reads in any order, 16 requests at once, and compares. */
  String fio(IoGuest guest)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    guest.run(
        "fio --name=verify --filename=" + IoGuest.SECOND_DISK + " --rw=randrw --bs=4k-64k"
            + " --iodepth=16 --ioengine=libaio --direct=1 --size=" + mebibytes + "M"
            + " --verify=crc32c --verify_fatal=1 --output=/tmp/fio.log"
            + " || { cat /tmp/fio.log; false; }");
    return mebibytes + " MiB read and written at random, what was written verified (crc32c)";
  }

  /** iperf3 as the client here of a server on the host, out and in. */
  String iperf3(IoGuest guest)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    String out = iperf3(guest, "");
    return out + " out, " + iperf3(guest, " -R") + " in";
  }

  private static String iperf3(IoGuest guest, String direction)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    int port;
    try (ServerSocket free = StreamPeer.listen()) {
      port = free.getLocalPort();
    }
    Process server;
    try {
      server =
          new ProcessBuilder(
              "iperf3", "--server", "--one-off", "--bind", "127.0.0.1", "--port",
              String.valueOf(port))
              .redirectErrorStream(true)
              .start();
    } catch (IOException e) {
      throw new IoFailure("iperf3 is needed on this host: apt-get install iperf3", e);
    }
    try {
      String printed =
          guest.run(
              "for n in 1 2 3 4 5; do iperf3 --client 10.0.2.2 --port " + port + " --time "
                  + IPERF_SECONDS + direction + " > /tmp/iperf.log 2>&1 && break; sleep 1; done;"
                  + " cat /tmp/iperf.log");
      Matcher rate = RATE.matcher(printed);
      if (!rate.find()) {
        throw new IoFailure("a rate of iperf3's receiver expected; it printed:\n" + printed);
      }
      if (!server.waitFor(guest.seconds(), TimeUnit.SECONDS) || server.exitValue() != 0) {
        throw new IoFailure(
            "iperf3's server: a good end expected; it printed:\n"
                + new String(server.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
      }
      return rate.group(1);
    } finally {
      server.destroyForcibly();
    }
  }

  /** A file comes from the host, lies on the disk, and goes back. */
  String hash(IoGuest guest)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    thereAndBack(guest, mebibytes << 20);
    return mebibytes + " MiB to the guest's disk and back, the same sum (SHA-256) on each end";
  }

  private static void thereAndBack(IoGuest guest, long bytes)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    try (StreamPeer peer = new StreamPeer(bytes)) {
      guest.run("cat < /dev/tcp/10.0.2.2/" + peer.giverPort() + " > /root/stream");
      String sum = peer.given(guest.seconds());
      String there =
          guest.run("sync; echo 3 > /proc/sys/vm/drop_caches; sha256sum < /root/stream");
      expect(there.startsWith(sum), "on the guest's disk " + sum, there);
      guest.run("cat /root/stream > /dev/tcp/10.0.2.2/" + peer.takerPort());
      String back = peer.taken(guest.seconds());
      expect(back.equals(sum), "back on the host " + sum, back);
      guest.run("rm /root/stream");
    }
  }

  /** The same while the guest's kernel loses packets of both directions. */
  String loss(IoGuest guest)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    // Loss slows TCP down; a part will do.
    long some = Math.max(1, mebibytes / 4);
    guest.run(
        "card=$(ip -o route get 10.0.2.2 | sed 's/.* dev \\([^ ]*\\) .*/\\1/')"
            + " && modprobe ifb numifbs=1 && ip link set ifb0 up"
            + " && tc qdisc add dev $card handle ffff: ingress"
            + " && tc filter add dev $card parent ffff: matchall action mirred egress redirect"
            + " dev ifb0"
            + " && tc qdisc add dev ifb0 root netem loss " + LOSS
            + " && tc qdisc add dev $card root netem loss " + LOSS);
    long lost = 0;
    try {
      thereAndBack(guest, some << 20);
      Matcher dropped =
          DROPPED.matcher(guest.run("tc -s qdisc show dev ifb0; tc -s qdisc show dev $card"));
      while (dropped.find()) {
        lost += Long.parseLong(dropped.group(1));
      }
    } finally {
      guest.run(
          "tc qdisc del dev $card root; tc qdisc del dev $card ingress;"
              + " tc qdisc del dev ifb0 root");
    }
    expect(lost > 0, "lost packets", "none");
    return String.format(
        Locale.ROOT, "%d MiB both ways, the same sums; %d packets were lost", some, lost);
  }

  /** Packages through the router, from where this host has its own. */
  static String apt(IoGuest guest)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    guest.run("apt-get -q update > /tmp/apt.log 2>&1 || { cat /tmp/apt.log; false; }");
    guest.run(
        "DEBIAN_FRONTEND=noninteractive apt-get -q install -y hello > /tmp/apt.log 2>&1"
            + " || { cat /tmp/apt.log; false; }");
    String greeting = guest.run("hello");
    expect(greeting.contains("Hello"), "a greeting of the installed program", greeting);
    return "lists fetched, a package installed, its program run";
  }

  static void expect(boolean fulfilled, String what, String instead) throws IoFailure {
    if (!fulfilled) {
      throw new IoFailure(what + " expected; there was:\n" + instead);
    }
  }
}
