package org.javisor.network.tcp;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import org.javisor.network.ip.Unreachable;
import org.javisor.network.loop.LoopTimer;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/**
 * One connection of the guest and the host socket it is joined to. Ends on either side are passed on:
 * an end of data as FIN and as shutdown of output, a reset as RST and as an abortive close.
 *
 * <p>{@code OPEN} stands for all of RFC 9293's states from ESTABLISHED to LAST-ACK. Which one it is
 * follows from what has ended: {@link TcpReceiver#finReceived}, {@link TcpSender#finSent}, {@link
 * TcpSender#finAcknowledged}.
 */
final class TcpConnection implements HostSocket.Owner, TcpSender.Output {
  private enum State {
    /** The guest has sent a SYN, and the host socket is connecting. */
    CONNECTING,
    /** The host socket is connected; our SYN with ACK is on its way. */
    SYN_RECEIVED,
    /** Somebody has connected to a forwarded port; our SYN is on its way. */
    SYN_SENT,
    OPEN,
    /** Both ends are closed; a last FIN of the guest may come again. */
    TIME_WAIT,
    CLOSED
  }

  private enum Acknowledge {
    NOTHING,
    LATER,
    NOW
  }

  /** Short, so that a sender that waits for it loses no time; long enough for an answer to carry it. */
  private static final long DELAYED_ACK_NANOS = 5_000_000L;
  /** Nothing wanders about between router and guest, so this need not be minutes. */
  private static final long TIME_WAIT_NANOS = 2_000_000_000L;
  private static final int MAX_SYN_RETRIES = 5;
  private static final int MAX_RETRIES = 10;
  private static final int SMALLEST_SEGMENT = 64;
  private static final int DEFAULT_SEGMENT4 = 536;
  private static final int DEFAULT_SEGMENT6 = 1220;

  private final TcpNat nat;
  private final TcpOutput output;
  private final FlowKey key;
  private final IpAddress guest;
  private final int guestPort;
  private final IpAddress remote;
  private final int remotePort;
  private final HostSocket host;
  private final TcpReceiver receiver;
  private final TcpSender sender;
  private final LoopTimer timer;
  private final LoopTimer ackTimer;

  private State state;
  private Acknowledge acknowledge = Acknowledge.NOTHING;
  private int retries;
  private boolean scaled;
  private boolean sackPermitted;
  private boolean closedFirst;
  private long lastActivity;

  /** On the list of connections with something to send, or of those the guest had no room for. */
  boolean dirty;
  boolean blocked;

  TcpConnection(
      TcpNat nat,
      IpAddress guest,
      int guestPort,
      IpAddress remote,
      int remotePort,
      SocketChannel channel) {
    this.nat = nat;
    this.output = nat.output();
    this.guest = guest;
    this.guestPort = guestPort;
    this.remote = remote;
    this.remotePort = remotePort;
    this.host = new HostSocket(nat.loop(), channel, this);
    this.key = FlowKey.of(guest, guestPort, remote, remotePort);
    this.receiver = new TcpReceiver(nat.pool());
    this.sender = new TcpSender(nat.pool(), this, nat.newSequence());
    this.timer = nat.loop().timer(this::timeout);
    this.ackTimer = nat.loop().timer(this::ackDue);
    this.lastActivity = now();
  }

  // ---- Opening

  /** The guest opens: connects the host socket. The guest is answered when that is done. */
  void openFromGuest(TcpSegment syn, InetSocketAddress target) {
    state = State.CONNECTING;
    takeSyn(syn);
    try {
      host.connect(target);
    } catch (IOException e) {
      connectFailed(e);
    }
  }

  /** Somebody has connected to a forwarded port: opens towards the guest. */
  void openToGuest() throws IOException {
    state = State.SYN_SENT;
    host.register();
    sendSyn();
  }

  private void takeSyn(TcpSegment syn) {
    boolean v4 = guest.isV4();
    int largest = nat.linkSegmentSize(v4);
    int size = syn.maxSegmentSize();
    if (size == 0) {
      size = v4 ? DEFAULT_SEGMENT4 : DEFAULT_SEGMENT6;
    }
    scaled = syn.windowScale() >= 0;
    sackPermitted = syn.sackPermitted();
    sender.start(
        Math.clamp(size, SMALLEST_SEGMENT, largest), scaled ? syn.windowScale() : 0, syn);
    receiver.start(host.channel(), syn.sequence(), scaled);
  }

  @Override
  public void connected() {
    state = State.SYN_RECEIVED;
    sendSyn();
  }

  private void sendSyn() {
    boolean answer = state == State.SYN_RECEIVED;
    output.syn(
        this,
        sender.initial(),
        answer ? Headers.SYN | Headers.ACK : Headers.SYN,
        !answer || scaled ? TcpReceiver.SCALE : -1,
        !answer || sackPermitted);
    sender.synSent();
    timer.set(now() + sender.timeoutNanos());
  }

  private void open() {
    state = State.OPEN;
    retries = 0;
    timer.cancel();
    host.want(SelectionKey.OP_READ, true);
  }

  // ---- Segments of the guest

  void segment(TcpSegment segment) {
    lastActivity = now();
    switch (state) {
      case CONNECTING -> {
        if (segment.isRst() && segment.sequence() == receiver.next()) {
          abort();
        }
      }
      case SYN_SENT -> answerToSyn(segment);
      case SYN_RECEIVED, OPEN, TIME_WAIT -> synchronizedSegment(segment);
      case CLOSED -> {
        // It has just been taken from the table.
      }
    }
  }

  private void answerToSyn(TcpSegment segment) {
    if (segment.isAck() && !sender.acknowledgesSyn(segment)) {
      if (!segment.isRst()) {
        output.reset(guest, remote, segment);
      }
    } else if (segment.isRst()) {
      if (segment.isAck()) {
        abort(); // the guest does not listen: whoever connected is reset
      }
    } else if (segment.isSyn() && segment.isAck()) {
      takeSyn(segment);
      sender.acknowledge(segment);
      open();
      acknowledge = Acknowledge.NOW;
      nat.markDirty(this);
    }
  }

  /** The order of checks is that of RFC 9293, section 3.10.7.4, with RFC 5961's challenges. */
  private void synchronizedSegment(TcpSegment segment) {
    if (state == State.SYN_RECEIVED
        && segment.isSyn()
        && segment.sequence() == receiver.next() - 1) {
      sendSyn();
      return;
    }
    if (!receiver.isAcceptable(segment.sequence(), segment.length())) {
      unacceptable(segment);
      return;
    }
    if (segment.isRst()) {
      if (segment.sequence() == receiver.next()) {
        abort();
      } else {
        sendAck();
      }
      return;
    }
    if (segment.isSyn()) {
      sendAck();
      return;
    }
    if (!segment.isAck()) {
      return;
    }
    if (state == State.SYN_RECEIVED) {
      if (!sender.acknowledgesSyn(segment)) {
        output.reset(guest, remote, segment);
        return;
      }
      open();
    }
    acknowledgedAndData(segment);
  }

  private void unacceptable(TcpSegment segment) {
    if (segment.isRst()) {
      return;
    }
    // With our window closed, the guest's acknowledgements are good all the same.
    if (segment.isAck() && state == State.OPEN && segment.sequence() == receiver.next()) {
      acknowledge(segment);
    }
    if (state == State.TIME_WAIT) {
      timer.set(now() + TIME_WAIT_NANOS);
    }
    sendAck();
  }

  private void acknowledge(TcpSegment segment) {
    int before = sender.unacknowledged();
    if (!sender.acknowledge(segment)) {
      sendAck();
      return;
    }
    if (sender.unacknowledged() != before) {
      retries = 0;
      if (sender.inFlight()) {
        timer.set(now() + sender.timeoutNanos());
      } else {
        timer.cancel();
      }
      if (sender.hasRoom()) {
        host.want(SelectionKey.OP_READ, true);
      }
    }
    nat.markDirty(this);
  }

  private void acknowledgedAndData(TcpSegment segment) {
    acknowledge(segment);
    if (state != State.OPEN) {
      return;
    }
    if (segment.length() > 0 && !receiver.finReceived()) {
      takeData(segment);
    }
    finishIfDone();
  }

  private void takeData(TcpSegment segment) {
    boolean answer;
    try {
      answer = receiver.accept(segment);
    } catch (IOException e) {
      resetBoth();
      return;
    }
    if (answer) {
      sendAck(); // at once: duplicates must be countable
    } else if (receiver.unacknowledged() >= 2 * sender.segmentSize()) {
      wantAck(Acknowledge.NOW);
    } else {
      wantAck(Acknowledge.LATER);
    }
    if (receiver.waiting() > 0) {
      host.want(SelectionKey.OP_WRITE, true);
    }
    if (receiver.finReceived()) {
      closedFirst = sender.finSent();
      shutOutputIfDrained();
    }
  }

  private void wantAck(Acknowledge when) {
    if (when.compareTo(acknowledge) > 0) {
      acknowledge = when;
    }
    nat.markDirty(this);
  }

  // ---- Events of the host socket

  /** The far host cannot be had: a RST if it said so itself, otherwise an ICMP message. */
  @Override
  public void connectFailed(IOException cause) {
    String message = String.valueOf(cause.getMessage());
    if (message.contains("refused")) {
      output.empty(this, 0, Headers.RST | Headers.ACK);
    } else {
      nat.errors()
          .unreachable(
              message.contains("etwork") ? Unreachable.NETWORK : Unreachable.HOST,
              Headers.PROTOCOL_TCP,
              guest,
              guestPort,
              remote,
              remotePort,
              receiver.next() - 1);
    }
    abort();
  }

  @Override
  public void writable() {
    try {
      receiver.flush();
    } catch (IOException e) {
      resetBoth();
      return;
    }
    if (receiver.waiting() == 0) {
      host.want(SelectionKey.OP_WRITE, false);
      if (receiver.finReceived()) {
        shutOutputIfDrained();
        finishIfDone();
        return;
      }
    }
    if (receiver.windowWorthTelling()) {
      wantAck(Acknowledge.NOW);
    }
  }

  @Override
  public void readable() {
    if (state != State.OPEN) {
      return;
    }
    boolean more;
    try {
      more = sender.readFrom(host.channel());
    } catch (IOException e) {
      resetBoth();
      return;
    }
    if (!more) {
      host.want(SelectionKey.OP_READ, false);
      if (!sender.endOfInput() && !sender.inFlight()) {
        // There is no memory, and no acknowledgement will come that frees some: look again.
        timer.set(now() + sender.timeoutNanos());
      }
    }
    nat.markDirty(this);
  }

  private void shutOutputIfDrained() {
    if (receiver.waiting() == 0) {
      host.shutOutput();
    }
  }

  // ---- Sending

  /** Sends what there is to send; called once after a batch of events. */
  void flush() {
    if (state != State.OPEN && state != State.TIME_WAIT) {
      return;
    }
    boolean sent = state != State.OPEN || sender.send();
    if (state == State.OPEN) {
      armTimer(sent);
    }
    if (!sent) {
      nat.markBlocked(this);
      return;
    }
    if (acknowledge == Acknowledge.NOW) {
      sendAck();
    } else if (acknowledge == Acknowledge.LATER && !ackTimer.isSet()) {
      ackTimer.set(now() + DELAYED_ACK_NANOS);
    }
    finishIfDone();
  }

  private void armTimer(boolean sent) {
    if (!timer.isSet() && (sender.inFlight() || sender.needsProbe() || !sent)) {
      timer.set(now() + sender.timeoutNanos());
    }
  }

  private void ackDue() {
    if (acknowledge == Acknowledge.LATER) {
      wantAck(Acknowledge.NOW);
    }
  }

  private void sendAck() {
    if (output.empty(this, sender.next(), Headers.ACK)) {
      acknowledged();
    } else {
      acknowledge = Acknowledge.NOW;
      nat.markBlocked(this);
    }
  }

  private void acknowledged() {
    acknowledge = Acknowledge.NOTHING;
    ackTimer.cancel();
  }

  @Override
  public boolean data(ByteRing ring, int offset, int length, int sequence, int flags) {
    if (!output.data(this, ring, offset, length, sequence, flags)) {
      return false;
    }
    acknowledged();
    return true;
  }

  @Override
  public int largestPayload() {
    return output.sender().largestTcpPayload(!guest.isV4(), sender.segmentSize(), Headers.TCP);
  }

  @Override
  public long now() {
    return nat.loop().now();
  }

  private void timeout() {
    switch (state) {
      case TIME_WAIT -> remove();
      case SYN_RECEIVED, SYN_SENT -> {
        if (++retries > MAX_SYN_RETRIES) {
          abort();
        } else {
          sender.backOff();
          sendSyn();
        }
      }
      case OPEN -> openTimeout();
      case CONNECTING, CLOSED -> {
        // Nothing was sent.
      }
    }
  }

  private void openTimeout() {
    if (sender.inFlight()) {
      if (++retries > MAX_RETRIES) {
        resetBoth();
        return;
      }
      sender.timedOut();
    } else if (sender.needsProbe()) {
      sender.backOff();
      // A segment just outside of its window makes the guest repeat its window (as Linux probes).
      output.empty(this, sender.unacknowledged() - 1, Headers.ACK);
      timer.set(now() + sender.timeoutNanos());
    } else if (sender.hasRoom()) {
      host.want(SelectionKey.OP_READ, true);
    }
    nat.markDirty(this);
  }

  // ---- Ending

  private void finishIfDone() {
    if (state != State.OPEN
        || !receiver.finReceived()
        || !sender.finAcknowledged()
        || receiver.waiting() > 0) {
      return;
    }
    host.close();
    if (closedFirst) {
      state = State.TIME_WAIT;
      timer.set(now() + TIME_WAIT_NANOS);
    } else {
      remove();
    }
  }

  /** The host socket is broken, or the guest does not answer: both sides hear it. */
  private void resetBoth() {
    output.empty(this, sender.next(), Headers.RST | Headers.ACK);
    abort();
  }

  /** Ends at once; the far host gets a RST, the guest nothing. */
  void abort() {
    host.abort();
    remove();
  }

  private void remove() {
    state = State.CLOSED;
    timer.discard();
    ackTimer.discard();
    sender.release();
    receiver.release();
    nat.remove(this);
  }

  // ---- What others ask

  FlowKey key() {
    return key;
  }

  IpAddress guest() {
    return guest;
  }

  int guestPort() {
    return guestPort;
  }

  IpAddress remote() {
    return remote;
  }

  int remotePort() {
    return remotePort;
  }

  int segmentSize() {
    return sender.segmentSize();
  }

  boolean sackPermitted() {
    return sackPermitted;
  }

  TcpReceiver receiver() {
    return receiver;
  }

  long lastActivity() {
    return lastActivity;
  }

  /** Whether a new connection with the same addresses and ports may take this one's place. */
  boolean givesWayTo(TcpSegment syn) {
    return state == State.TIME_WAIT && Sequence.after(syn.sequence(), receiver.next());
  }

  boolean isWaitingForOpen() {
    return state == State.CONNECTING || state == State.SYN_RECEIVED || state == State.SYN_SENT;
  }

  @Override
  public String toString() {
    return guest + ":" + guestPort + " - " + remote + ":" + remotePort + " " + state
        + ", to guest: "
        + sender + ", to host: " + receiver.waiting() + " waiting, timer " + timer.isSet();
  }
}
