package org.javisor.conformance.hostile;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.OptionalLong;
import org.javisor.conformance.cpu.Dice;
import org.javisor.memory.GuestMemory;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.store.Store;
import org.javisor.xen.store.StoreClient;
import org.javisor.xen.store.StoreException;

/** What one hostile domain does in its life, as the dice fall. */
final class Attack {
  // Public/xen.h.
  private static final int MMU_UPDATE = 1;
  private static final int MEMORY_OP = 12;
  private static final int MULTICALL = 13;
  private static final int UPDATE_VA_MAPPING = 14;
  private static final int GRANT_TABLE_OP = 20;
  private static final int VCPU_OP = 24;
  private static final int MMUEXT_OP = 26;
  private static final int SCHED_OP = 29;
  private static final int EVENT_CHANNEL_OP = 32;
  private static final int NUMBERS = 48;

  private static final int ADD_TO_PHYSMAP = 7;
  private static final int DECREASE_RESERVATION = 1;
  private static final int SEND = 4;
  private static final int MOST_PORT = 40;

  // Linear addresses of a puppet: arguments, what it grants, the translated grant table.
  private static final long ARGUMENTS = 0x12_0000;
  private static final long LIST = 0x13_0000;
  private static final int FIRST_GRANTED = 0x140;
  private static final long GRANT_TABLE = 0x20_0000;
  private static final int GRANTS = 64;
  private static final int RESERVED_GRANTS = 8;

  /** Where a translated domain has its page for xenstore, as this toolstack places it. */
  private static final long STORE_PAGE = 0xfeff_c000L;

  private static final long CONSOLE_PAGE = 0xfeff_f000L;

  private final Puppet me;
  private final Dice dice;
  private final Store store;
  private final StoreClient client;
  private final List<Puppet> others;
  private final long mark;

  /** Machine address of the grant table's first page in the domain's map; -1 before it is known. */
  private long grantTable = -1;

  /** The pages that it shares with back ends, in its map. */
  private final long storePage;

  private final long consolePage;
  private long readings;

  /**
   * Prepares a life.
   *
   * @param others that it knows of: numbers and frames
   * @param mark what the others' memory is filled with
   */
  Attack(Puppet me, Dice dice, Store store, List<Puppet> others, long mark) {
    this.me = me;
    this.dice = dice;
    this.store = store;
    this.others = others;
    this.mark = mark;
    client = store.connect(me.id(), (path, token) -> {});
    long info = startInfo();
    storePage = me.isPv() ? me.domain().memory().read64(info + 56) * Puppet.PAGE : STORE_PAGE;
    consolePage = me.isPv() ? me.domain().memory().read64(info + 72) * Puppet.PAGE : CONSOLE_PAGE;
  }

  /** A PV guest's {@code start_info}, found by what it begins with; 0 in other domains. */
  private long startInfo() {
    for (int page = 0; me.isPv() && page < Puppet.PAGES; page++) {
      if (me.frame(page) >= 0) {
        long address = (long) me.frame(page) * Puppet.PAGE;
        if (me.domain().memory().read64(address) == word("xen-3.0-")) {
          return address;
        }
      }
    }
    return 0;
  }

  private static long word(String text) {
    long word = 0;
    for (int i = 7; i >= 0; i--) {
      word = word << 8 | text.charAt(i);
    }
    return word;
  }

  /** How often it has read what is another's. */
  long readings() {
    return readings;
  }

  /** Lives until it has made so many attempts or has put an end to itself; returns the attempts. */
  int live(int attempts) {
    int done = 0;
    for (; done < attempts && me.isAlive(); done++) {
      switch (dice.below(16)) {
        case 0, 1, 2, 3, 4, 5 -> randomCall();
        case 6, 7, 8 -> grants();
        case 9 -> events();
        case 10, 11 -> rings();
        case 12 -> frontEnds();
        case 13 -> giveAndTake();
        case 14 -> forge();
        default -> touch();
      }
    }
    store.disconnect(client);
    return done;
  }

  // ---- Numbers --------------------------------------------------------------------------------

  private Puppet other() {
    return others.get(dice.below(others.size()));
  }

  private int page() {
    // Not those of the kernel itself, mostly.
    return dice.chance(2) ? dice.below(Puppet.PAGES) : 0x120 + dice.below(Puppet.PAGES - 0x120);
  }

  private long domid() {
    return switch (dice.below(6)) {
      case 0 -> 0;
      case 1 -> me.id();
      case 2 -> 0x7ff1 + dice.below(4);
      case 3 -> dice.below(1 << 16);
      case 4 -> other().id();
      default -> Domain.SELF;
    };
  }

  /** A number that may mean something: an address, a frame, a domain, a port. */
  private long number() {
    return switch (dice.below(14)) {
      case 0 -> 0;
      case 1 -> dice.integer();
      case 2 -> dice.below(64);
      case 3 -> other().frame(dice.below(Puppet.PAGES));
      case 4 -> (long) other().frame(dice.below(Puppet.PAGES)) * Puppet.PAGE | dice.below(256);
      case 5 -> domid();
      case 6 -> dice.bits();
      case 7 -> me.frame(page());
      case 8 -> 0xffff_8000_0000_0000L + dice.below(1 << 20);
      case 9 -> domid() | domid() << 16 | (long) dice.below(MOST_PORT) << 32;
      case 10 -> dice.below(MOST_PORT) | (long) dice.below(MOST_PORT) << 32;
      case 11 -> (long) me.frame(page()) * Puppet.PAGE | (dice.coin() ? 0x67 : dice.below(4096));
      case 12 -> ARGUMENTS + dice.below(2 * Puppet.PAGE);
      default -> (long) page() * Puppet.PAGE | (dice.coin() ? 0 : dice.below(4096));
    };
  }

  private void fillArguments() {
    for (int i = 0; i < 16; i++) {
      me.write(ARGUMENTS + 8 * i, number());
    }
  }

  private OptionalLong call(int number, long... arguments) {
    OptionalLong result = me.call(number, arguments);
    if (result.isPresent() && result.getAsLong() == mark) {
      readings++;
    }
    return result;
  }

  // ---- Attempts -------------------------------------------------------------------------------

  /** Any hypercall with any arguments; those by which a domain ends itself are rarer. */
  private void randomCall() {
    int number = dice.below(NUMBERS);
    long[] arguments = new long[6];
    for (int i = 0; i < arguments.length; i++) {
      arguments[i] = number();
    }
    fillArguments();
    switch (number) {
      case 0, 2, MMU_UPDATE, MMUEXT_OP, MULTICALL -> {
        arguments[0] = ARGUMENTS;
        arguments[1] = dice.below(6);
        arguments[2] = dice.coin() ? 0 : LIST;
        arguments[3] = dice.chance(80) ? Domain.SELF : domid();
        me.write(ARGUMENTS, dice.below(number == MULTICALL ? NUMBERS : 20));
      }
      case UPDATE_VA_MAPPING -> {}
      case SCHED_OP, VCPU_OP -> {
        if (dice.chance(95)) {
          return;
        }
        arguments[0] = dice.below(16);
        arguments[1] = dice.coin() ? ARGUMENTS : dice.below(3);
      }
      default -> {
        arguments[0] = dice.below(32);
        arguments[1] = dice.chance(75) ? ARGUMENTS : arguments[1];
        arguments[2] = number == GRANT_TABLE_OP ? dice.below(4) : arguments[2];
      }
    }
    call(number, arguments);
  }

  /** Makes the first page of the grant table known. */
  private boolean findGrantTable() {
    if (grantTable < 0) {
      if (me.isPv()) {
        me.write(ARGUMENTS, Domain.SELF | 1L << 32, 0, LIST);
        if (call(GRANT_TABLE_OP, 2, ARGUMENTS, 1).orElse(-1) == 0) {
          grantTable = me.read(LIST) * Puppet.PAGE;
        }
      } else {
        me.write(ARGUMENTS, Domain.SELF | 1L << 32, 0, GRANT_TABLE / Puppet.PAGE);
        if (call(MEMORY_OP, ADD_TO_PHYSMAP, ARGUMENTS).orElse(-1) == 0) {
          grantTable = GRANT_TABLE;
        }
      }
    }
    return grantTable >= 0;
  }

  /** Grants, revokes in mid-use, maps what others grant, unmaps, copies. */
  private void grants() {
    if (!findGrantTable()) {
      return;
    }
    switch (dice.below(5)) {
      case 0 -> {
        long entry = grantTable + 8L * (RESERVED_GRANTS + dice.below(GRANTS));
        long gfn = me.isPv() ? me.frame(page()) : FIRST_GRANTED + dice.below(64);
        long head = dice.chance(80) ? 1 | (dice.coin() ? 4 : 0) : dice.below(1 << 16);
        me.writeMachine(entry, head & 0xffff | (domid() & 0xffff) << 16 | gfn << 32);
      }
      case 1 -> me.writeMachine(grantTable + 8L * dice.below(RESERVED_GRANTS + GRANTS), 0);
      case 2 -> {
        long address = (long) page() * Puppet.PAGE;
        long flags = dice.chance(80) ? 2 | (dice.coin() ? 4 : 0) : dice.below(64);
        long target =
            !me.isPv() ? (1L << 32) + dice.below(64) * (long) Puppet.PAGE
                : (flags & 16) == 0 ? address : number();
        me.write(
            ARGUMENTS, target, flags | (long) (RESERVED_GRANTS + dice.below(GRANTS)) << 32,
            other().id(), 0);
        call(GRANT_TABLE_OP, 0, ARGUMENTS, 1);
        if (me.read(ARGUMENTS + 16) << 32 >>> 48 == 0) {
          me.write(LIST + 0x800, target, 0, me.read(ARGUMENTS + 16) >>> 32);
        }
      }
      case 3 -> {
        // What was mapped last, or anything.
        long[] words = {
          me.read(LIST + 0x800), dice.chance(20) ? number() : 0, me.read(LIST + 0x810)
        };
        if (dice.chance(30)) {
          words[2] = dice.below(64);
        }
        me.write(ARGUMENTS, words);
        call(GRANT_TABLE_OP, dice.chance(80) ? 1 : 7, ARGUMENTS, 1);
      }
      default -> {
        long grant = (long) RESERVED_GRANTS + dice.below(GRANTS);
        long own = me.isPv() ? me.frame(page()) : page();
        boolean from = dice.coin();
        me.write(
            ARGUMENTS, from ? grant : own, from ? other().id() : domid(), from ? own : grant,
            from ? Domain.SELF : other().id(),
            dice.below(4200) | (dice.chance(80) ? from ? 1L : 2L : dice.below(8)) << 16);
        call(GRANT_TABLE_OP, 5, ARGUMENTS, 1);
      }
    }
  }

  /** Makes, binds and closes channels, and floods them. */
  private void events() {
    int operation = dice.below(15);
    if (dice.chance(30)) {
      long port = dice.below(MOST_PORT);
      for (int i = 0; i < 100; i++) {
        me.write(ARGUMENTS, port);
        call(EVENT_CHANNEL_OP, SEND, ARGUMENTS);
      }
      return;
    }
    me.write(
        ARGUMENTS, dice.coin() ? domid() | domid() << 16 : number(), number(), number(), number());
    call(EVENT_CHANNEL_OP, operation, ARGUMENTS);
  }

  private void send(String portKey) {
    long port = number(portKey);
    if (port >= 0) {
      me.write(ARGUMENTS, port);
      call(EVENT_CHANNEL_OP, SEND, ARGUMENTS);
    }
  }

  private long number(String key) {
    try {
      return Long.parseLong(store.get(client, "/local/domain/" + me.id() + "/" + key).orElse("-1"));
    } catch (NumberFormatException e) {
      return -1;
    }
  }

  /** Writes whatever into the rings of xenstore and console, and messages into xenstore's. */
  private void rings() {
    boolean console = dice.chance(30);
    long ring = console ? consolePage : storePage;
    if (dice.chance(60) && !console) {
      message(ring);
    } else {
      for (int i = 0; i < 8; i++) {
        long offset = dice.chance(30) ? 0x800 + 8 * dice.below(4) : 8 * dice.below(512);
        me.writeMachine(ring + offset, dice.coin() ? dice.integer() : dice.bits());
      }
    }
    send(console ? "console/port" : "store/port");
  }

  private static final List<String> PATHS =
      List.of(
          "device/vbd/51712/state", "/local/domain/0", "/", "data", "data/a/b/c/d", "/vm", "..",
          "//", "control/shutdown", "@introduceDomain", "/local/domain/0/backend/vbd", "\0", "");

  private void message(long ring) {
    String path = PATHS.get(dice.below(PATHS.size()));
    if (dice.chance(20)) {
      path = "/local/domain/" + other().id() + "/" + path;
    }
    byte[] payload = (path + "\0" + dice.below(7)).getBytes(StandardCharsets.ISO_8859_1);
    byte[] whole = new byte[16 + payload.length + 7 & -8];
    System.arraycopy(payload, 0, whole, 16, payload.length);
    put32(whole, 0, dice.chance(90) ? dice.below(24) : (int) dice.integer());
    put32(whole, 4, dice.below(100));
    put32(whole, 8, dice.chance(70) ? 0 : dice.below(8));
    put32(whole, 12, dice.chance(80) ? whole.length - 16 : (int) dice.integer());
    long indices = domainRead(ring + 0x800);
    int produced = (int) (indices >>> 32) & -8;
    for (int i = 0; i < whole.length; i += 8) {
      long word = 0;
      for (int b = 7; b >= 0; b--) {
        word = word << 8 | whole[i + b] & 0xff;
      }
      me.writeMachine(ring + (produced + i & 1023), word);
    }
    me.writeMachine(
        ring + 0x800, indices & 0xffff_ffffL | (long) (produced + whole.length) << 32);
  }

  private long domainRead(long address) {
    try {
      return me.domain().memory().read64(address);
    } catch (GuestMemory.BadAddress e) {
      return 0;
    }
  }

  private static void put32(byte[] to, int at, int value) {
    for (int i = 0; i < 4; i++) {
      to[at + i] = (byte) (value >> 8 * i);
    }
  }

  /** Connects and disconnects front ends of its devices, and fills their rings with requests. */
  private void frontEnds() {
    if (!findGrantTable()) {
      return;
    }
    String device = dice.coin() ? "device/vbd/51712" : "device/vif/0";
    int reference = RESERVED_GRANTS + GRANTS + dice.below(4);
    int ring = FIRST_GRANTED + 0x80 + reference % 4;
    me.writeMachine(
        grantTable + 8L * reference, 1 | (long) (me.isPv() ? me.frame(ring) : ring) << 32);
    for (int i = 0; i < 24; i++) {
      long at = (long) ring * Puppet.PAGE + 8L * dice.below(128);
      me.write(at, dice.chance(60) ? dice.below(10) | (long) reference << 32 : number());
    }
    me.write((long) ring * Puppet.PAGE, dice.chance(80) ? dice.below(40) : dice.integer());
    me.write(ARGUMENTS, Domain.SELF, 0);
    long port =
        call(EVENT_CHANNEL_OP, 6, ARGUMENTS).orElse(-1) == 0
            ? me.read(ARGUMENTS) >>> 32
            : dice.below(MOST_PORT);
    for (String key : List.of(
        "ring-ref", "tx-ring-ref", "rx-ring-ref", "event-channel", "event-channel-tx",
        "event-channel-rx", "feature-persistent", "request-rx-copy", "state")) {
      long value =
          switch (key) {
            case "state" -> dice.below(9);
            case "feature-persistent", "request-rx-copy" -> 1;
            default -> key.contains("event") ? port : reference;
          };
      try {
        store.write(
            client, 0, "/local/domain/" + me.id() + "/" + device + "/" + key,
            (dice.chance(95) ? Long.toString(value) : Long.toString(number()))
                .getBytes(StandardCharsets.US_ASCII));
      } catch (StoreException e) {
        continue; // It may not write there, or too much.
      }
    }
    me.write(ARGUMENTS, port);
    call(EVENT_CHANNEL_OP, SEND, ARGUMENTS);
  }

  /** Gives pages back, and asks for some; its own kernel's only rarely. */
  private void giveAndTake() {
    int page = dice.chance(98) ? 0x400 + dice.below(Puppet.PAGES - 0x400) : page();
    me.write(LIST, me.isPv() && dice.chance(90) ? me.frame(page) : dice.coin() ? page : number());
    me.write(ARGUMENTS, LIST, dice.chance(95) ? 1 : number(), dice.below(2), domid());
    call(MEMORY_OP, dice.coin() ? DECREASE_RESERVATION : dice.coin() ? 6 : dice.below(28),
        ARGUMENTS);
  }

  /** Writes entries of page tables, by hypercall and behind the hypervisor's back, and uses them. */
  private void forge() {
    int victim = dice.coin() ? other().frame(dice.below(Puppet.PAGES)) : me.frame(page());
    long value = (long) victim * Puppet.PAGE | (dice.chance(80) ? 0x67 : dice.below(4096));
    // Pages 0x200 to 0x3ff are mapped in every puppet, and nothing of the kernel's is there.
    long linear = 0x20_0000L + dice.below(0x200) * (long) Puppet.PAGE;
    if (me.isPv()) {
      switch (dice.below(3)) {
        case 0 -> call(UPDATE_VA_MAPPING, linear, value, dice.below(3));
        case 1 -> {
          me.write(ARGUMENTS, (long) me.frame(page()) * Puppet.PAGE + 8L * dice.below(512), value);
          call(MMU_UPDATE, ARGUMENTS, 1, 0, Domain.SELF);
        }
        default -> {
          // As if it had the table mapped for writing.
          int table = me.frame(dice.below(0x120));
          if (table >= 0 && dice.chance(20)) {
            me.writeMachine((long) table * Puppet.PAGE + 8L * dice.below(512), value);
          }
        }
      }
    }
    if (dice.chance(50)) {
      look(linear);
    } else if (dice.chance(50)) {
      me.store(linear, ~mark);
    }
  }

  private void look(long linear) {
    OptionalLong seen = me.load(linear);
    if (seen.isPresent() && seen.getAsLong() == mark) {
      readings++;
    }
  }

  /** Loads and stores anywhere; mostly the end of it. */
  private void touch() {
    if (!dice.chance(3)) {
      return;
    }
    long linear =
        switch (dice.below(4)) {
          case 0 -> dice.below(1 << 30) * 4L;
          case 1 -> 0xfee0_0000L + dice.below(0x1000);
          case 2 -> dice.bits();
          default -> number();
        };
    if (dice.coin()) {
      look(linear);
    } else {
      me.store(linear, ~mark);
    }
  }
}
