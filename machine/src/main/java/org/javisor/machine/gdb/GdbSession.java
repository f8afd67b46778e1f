package org.javisor.machine.gdb;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.javisor.accelerator.CpuState;
import org.javisor.machine.gdb.GdbTarget.Stop;

/**
 * One debugger's visit. Packets and what the machine does meet in one queue, and one thread answers:
 * the state of a session is nobody else's.
 */
final class GdbSession implements GdbTarget.Listener {
  private sealed interface Event {
    record Packet(String data) implements Event {}

    record Gone() implements Event {}

    record Stopped(int vcpu, Stop reason) implements Event {}

    record Ended(int exitCode) implements Event {}
  }

  private static final String OK = "OK";
  private static final String UNSUPPORTED = "";
  private static final String BAD_ARGUMENT = "E16";
  private static final String BAD_ADDRESS = "E0e";

  private static final int SIGINT = 2;
  private static final int SIGTRAP = 5;
  private static final int SIGSEGV = 11;

  private static final HexFormat HEX = HexFormat.of();

  private final GdbConnection connection;
  private final GdbTarget target;
  private final GdbRegisters registers;
  private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();

  /** Breakpoints of the debugger: the packet type that set each, 0 software or 1 hardware. */
  private final Map<Long, Integer> breakpoints = new HashMap<>();

  private boolean running;
  private boolean over;
  private boolean knowsBreakpointReasons;

  /** The vCPU that registers and memory are read of. */
  private int current;

  /** Answers "why does it stand". */
  private String stopReply;

  GdbSession(GdbConnection connection, GdbTarget target, GdbRegisters registers) {
    this.connection = connection;
    this.target = target;
    this.registers = registers;
  }

  @Override
  public void stopped(int vcpu, Stop reason) {
    events.add(new Event.Stopped(vcpu, reason));
  }

  @Override
  public void ended(int exitCode) {
    events.add(new Event.Ended(exitCode));
  }

  /** Serves until the debugger or the machine has gone. */
  void run() throws IOException, InterruptedException {
    target.setListener(this);
    target.pause();
    stopReply = stopReply(0, Stop.PAUSED);
    Thread.ofPlatform().daemon().name("javisor-gdb-read").start(this::read);
    try {
      while (!over) {
        switch (events.take()) {
          case Event.Packet(String data) -> packet(data);
          case Event.Gone() -> over = true;
          case Event.Stopped(int vcpu, Stop reason) -> {
            if (running) {
              stop(vcpu, reason);
            }
          }
          case Event.Ended(int exitCode) -> {
            over = true;
            if (running) {
              running = false;
              connection.send("W%02x".formatted(exitCode & 0xff));
            }
          }
        }
      }
    } finally {
      leave();
    }
  }

  private void read() {
    try {
      String data = connection.read();
      while (data != null) {
        events.add(new Event.Packet(data));
        data = connection.read();
      }
    } catch (IOException e) {
      // The same as an orderly end.
      events.add(new Event.Gone());
      return;
    }
    events.add(new Event.Gone());
  }

  /** The machine runs on as if nobody had been there. */
  private void leave() {
    if (running) {
      target.pause();
    }
    breakpoints.keySet().forEach(linear -> target.setBreakpoint(linear, false));
    breakpoints.clear();
    target.setListener(null);
    target.resume();
  }

  private void stop(int vcpu, Stop reason) throws IOException {
    running = false;
    current = vcpu;
    stopReply = stopReply(vcpu, reason);
    connection.send(stopReply);
  }

  private String stopReply(int vcpu, Stop reason) {
    int signal =
        switch (reason) {
          case BREAKPOINT -> SIGTRAP;
          case PAUSED -> SIGINT;
          case CRASHED -> SIGSEGV;
        };
    String why = "";
    if (reason == Stop.BREAKPOINT && knowsBreakpointReasons) {
      Integer kind = breakpoints.get(target.state(vcpu).rip);
      why = kind == null ? "" : kind == 0 ? "swbreak:;" : "hwbreak:;";
    }
    return "T%02xthread:%x;%s".formatted(signal, vcpu + 1, why);
  }

  private void packet(String data) throws IOException {
    if (data.equals(GdbConnection.INTERRUPT)) {
      if (running) {
        interrupt();
      }
      return;
    }
    if (running) {
      // In all-stop mode a debugger has nothing to say now. Late packets of it get no answer.
      return;
    }
    String answer;
    try {
      answer = answer(data);
    } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
      answer = BAD_ARGUMENT;
    }
    if (answer != null) {
      connection.send(answer);
    }
  }

  private void interrupt() throws IOException {
    target.pause();
    // A vCPU may have met a breakpoint meanwhile. Then that is why the machine stands; and what is
    // in the queue now must not be taken for a stop of the next run.
    Event.Stopped first = new Event.Stopped(current, Stop.PAUSED);
    for (Event event : events) {
      if (event instanceof Event.Stopped stopped) {
        first = stopped;
        break;
      }
    }
    events.removeIf(Event.Stopped.class::isInstance);
    stop(first.vcpu(), first.reason());
  }

  /** Carries out a command; null if the answer comes later or never. */
  private String answer(String data) throws IOException {
    String rest = data.isEmpty() ? "" : data.substring(1);
    return switch (data.isEmpty() ? 0 : data.charAt(0)) {
      case '?' -> stopReply;
      case 'g' -> readRegisters();
      case 'G' -> writeRegisters(HEX.parseHex(rest));
      case 'p' -> readRegister((int) hex(rest));
      case 'P' -> writeRegister(rest);
      case 'm' -> readMemory(rest);
      case 'M' -> writeMemory(rest, HEX.parseHex(rest.substring(rest.indexOf(':') + 1)));
      case 'X' ->
          writeMemory(
              rest,
              rest.substring(rest.indexOf(':') + 1).getBytes(StandardCharsets.ISO_8859_1));
      case 'Z' -> breakpoint(rest, true);
      case 'z' -> breakpoint(rest, false);
      case 'c', 'C' -> resume();
      case 's', 'S' -> step(current);
      case 'H' -> selectThread(rest);
      case 'T' -> thread(rest) >= 0 ? OK : BAD_ARGUMENT;
      case 'D' -> {
        over = true;
        yield OK;
      }
      case 'k' -> {
        over = true;
        target.quit();
        yield null;
      }
      case 'v' -> verbose(data);
      case 'q' -> query(data);
      case 'Q' -> {
        if (!data.equals("QStartNoAckMode")) {
          yield UNSUPPORTED;
        }
        connection.send(OK);
        connection.stopAcknowledging();
        yield null;
      }
      default -> UNSUPPORTED;
    };
  }

  private static long hex(String text) {
    return Long.parseUnsignedLong(text, 16);
  }

  // ---- Registers

  private String readRegisters() {
    CpuState state = target.state(current);
    StringBuilder all = new StringBuilder();
    for (int i = 0; i < registers.count(); i++) {
      all.append(HEX.formatHex(registers.read(state, i)));
    }
    return all.toString();
  }

  private String writeRegisters(byte[] all) {
    CpuState state = target.state(current);
    int at = 0;
    for (int i = 0; i < registers.count() && at < all.length; i++) {
      byte[] value = Arrays.copyOfRange(all, at, at + registers.bytes(i));
      registers.write(state, i, value);
      at += value.length;
    }
    target.setState(current, state);
    return OK;
  }

  private String readRegister(int number) {
    return HEX.formatHex(registers.read(target.state(current), number));
  }

  private String writeRegister(String rest) {
    int equals = rest.indexOf('=');
    int number = (int) hex(rest.substring(0, equals));
    byte[] value = HEX.parseHex(rest.substring(equals + 1));
    if (value.length != registers.bytes(number)) {
      return BAD_ARGUMENT;
    }
    CpuState state = target.state(current);
    registers.write(state, number, value);
    target.setState(current, state);
    return OK;
  }

  // ---- Memory

  private String readMemory(String rest) {
    int comma = rest.indexOf(',');
    long linear = hex(rest.substring(0, comma));
    long length = hex(rest.substring(comma + 1));
    byte[] bytes = new byte[(int) Math.min(length, GdbConnection.PACKET_SIZE / 2)];
    int got = target.read(current, linear, bytes);
    return got == 0 && length > 0 ? BAD_ADDRESS : HEX.formatHex(bytes, 0, got);
  }

  private String writeMemory(String rest, byte[] bytes) {
    int comma = rest.indexOf(',');
    long linear = hex(rest.substring(0, comma));
    long length = hex(rest.substring(comma + 1, rest.indexOf(':')));
    if (length != bytes.length) {
      return BAD_ARGUMENT;
    }
    return target.write(current, linear, bytes) ? OK : BAD_ADDRESS;
  }

  private String breakpoint(String rest, boolean on) {
    String[] parts = rest.split("[,;]");
    int type = Integer.parseInt(parts[0]);
    if (type > 1) {
      return UNSUPPORTED;
    }
    long linear = hex(parts[1]);
    // Setting one twice and clearing one that is not set is allowed, and does nothing.
    boolean changed =
        on ? breakpoints.put(linear, type) == null : breakpoints.remove(linear) != null;
    if (changed) {
      target.setBreakpoint(linear, on);
    }
    return OK;
  }

  // ---- Running

  private String resume() {
    running = true;
    target.resume();
    return null;
  }

  private String step(int vcpu) {
    Stop reason = target.step(vcpu);
    current = vcpu;
    stopReply = stopReply(vcpu, reason);
    return stopReply;
  }

  private String verbose(String data) {
    if (data.equals("vCont?")) {
      return "vCont;c;C;s;S";
    }
    if (data.startsWith("vCont;")) {
      // The first step asked for is done, the other vCPUs standing; else all run.
      for (String action : data.substring("vCont;".length()).split(";")) {
        if (action.startsWith("s") || action.startsWith("S")) {
          int colon = action.indexOf(':');
          return step(colon < 0 ? current : Math.max(thread(action.substring(colon + 1)), 0));
        }
      }
      return resume();
    }
    if (data.startsWith("vKill;")) {
      over = true;
      target.quit();
      return OK;
    }
    return UNSUPPORTED;
  }

  // ---- Threads

  /** The vCPU with a thread number; -1 if there is none. 0 and -1 stand for any. */
  private int thread(String text) {
    if (text.equals("-1") || text.equals("0")) {
      return current;
    }
    long number = hex(text);
    return number <= target.vcpus() ? (int) number - 1 : -1;
  }

  private String selectThread(String rest) {
    int vcpu = thread(rest.substring(1));
    if (vcpu < 0) {
      return BAD_ARGUMENT;
    }
    current = vcpu;
    return OK;
  }

  // ---- Questions

  private String query(String data) {
    int end = 0;
    while (end < data.length() && ":,;".indexOf(data.charAt(end)) < 0) {
      end++;
    }
    String rest = end < data.length() ? data.substring(end + 1) : "";
    return switch (data.substring(0, end)) {
      case "qSupported" -> supported(rest);
      case "qXfer" -> transfer(rest);
      case "qAttached" -> "1";
      case "qC" -> "QC%x".formatted(current + 1);
      case "qfThreadInfo" -> threads();
      case "qsThreadInfo" -> "l";
      case "qThreadExtraInfo" -> threadInfo(thread(rest));
      default -> UNSUPPORTED;
    };
  }

  private String supported(String features) {
    knowsBreakpointReasons = features.contains("swbreak+");
    return "PacketSize=%x;qXfer:features:read+;vContSupported+;QStartNoAckMode+;swbreak+;hwbreak+"
        .formatted(GdbConnection.PACKET_SIZE);
  }

  private String transfer(String rest) {
    String name = "features:read:target.xml:";
    if (!rest.startsWith(name)) {
      return rest.startsWith("features:read:") ? "E00" : UNSUPPORTED;
    }
    String[] range = rest.substring(name.length()).split(",");
    String all = registers.description();
    int from = (int) Math.min(hex(range[0]), all.length());
    int to = (int) Math.min(from + hex(range[1]), all.length());
    return (to == all.length() ? "l" : "m") + all.substring(from, to);
  }

  private String threads() {
    StringBuilder list = new StringBuilder("m1");
    for (int i = 2; i <= target.vcpus(); i++) {
      list.append(",%x".formatted(i));
    }
    return list.toString();
  }

  private String threadInfo(int vcpu) {
    if (vcpu < 0) {
      return BAD_ARGUMENT;
    }
    CpuState state = target.state(vcpu);
    int cs = state.cs.attributes;
    String mode = (cs & 1 << 13) != 0 ? "64-bit" : (cs & 1 << 14) != 0 ? "32-bit" : "16-bit";
    String info = "vCPU %d, %s, ring %d".formatted(vcpu, mode, state.ss.attributes >> 5 & 3);
    return HEX.formatHex(info.getBytes(StandardCharsets.US_ASCII));
  }
}
