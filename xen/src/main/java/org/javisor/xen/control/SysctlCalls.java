package org.javisor.xen.control;

import java.nio.charset.StandardCharsets;
import org.javisor.accelerator.CpuModel;
import org.javisor.xen.hypervisor.Call;
import org.javisor.xen.hypervisor.ConsoleLog;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.Errno;
import org.javisor.xen.hypervisor.GuestArguments;
import org.javisor.xen.hypervisor.HypercallFamily;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.Structure;

/** {@code sysctl} (public/sysctl.h): what the privileged domain's tools ask about the host. */
final class SysctlCalls implements HypercallFamily {
  private static final int INTERFACE_VERSION = 0x15;
  private static final int SIZE = 136;

  /** Where an operation's own fields begin. */
  private static final int U = 8;

  /** {@code XEN_SCHEDULER_CREDIT2}. */
  static final int CREDIT2 = 6;

  private static final int CAPABLE_OF_HVM = 1;
  private static final int CAPABLE_OF_HAP = 1 << 3;
  private static final int GRANTS_VERSION_1 = 1 << 8;

  private static final int POOL_INFO = 3;
  private static final int POOL_FREE = 7;

  private static final int FIRST_RESERVED_QUERY = 0x7ff0;
  private static final int MOST_DOMAINS = 1024;

  private final CpuModel model;

  /** Describes a host whose domains see this CPU. */
  SysctlCalls(CpuModel model) {
    this.model = model;
  }

  @Override
  public long call(Call call) throws GuestArguments.BadPointer {
    Structure s = call.structure(0, SIZE);
    if (s.u32(4) != INTERFACE_VERSION) {
      return Errno.EACCES;
    }
    long result =
        switch (s.i32(0)) {
          case 1 -> readConsole(call, s);
          case 3 -> physicalInfo(call, s);
          case 4 -> schedulerId(s);
          case 6 -> domains(call, s);
          case 7 -> debugKeys(call, s);
          case 8 -> cpuTimes(call, s);
          case 9 -> availableMemory(call, s);
          case 16 -> topology(call, s);
          case 17 -> numa(call, s);
          case 18 -> pool(call, s);
          case 19 -> scheduler(s);
          case 22 -> pciTopology(call, s);
          case 25 -> levelling(s);
          case 26 -> featureSet(call, s);
          case 29 -> cpuPolicy(call, s);
          default -> Errno.EOPNOTSUPP;
        };
    if (result >= 0) {
      call.memory().write(call.argument(0), s);
    }
    return result;
  }

  /** {@code struct xen_sysctl_readconsole}: clear, incremental, index, buffer, count. */
  private static long readConsole(Call call, Structure s) throws GuestArguments.BadPointer {
    ConsoleLog log = call.host().console();
    byte[] text = log.text().getBytes(StandardCharsets.ISO_8859_1);
    long seen = log.dropped();
    long from = s.u8(U + 1) == 0 ? 0 : Math.max(0, s.u32(U + 4) - (seen & 0xffff_ffffL));
    int start = (int) Math.min(from, text.length);
    int length = (int) Math.min(s.u32(U + 16), text.length - start);
    call.memory().write(s.u64(U + 8), text, start, length);
    s.put32(U + 4, (int) (seen + start + length));
    s.put32(U + 16, length);
    if (s.u8(U) != 0) {
      log.clear();
    }
    return 0;
  }

  private long physicalInfo(Call call, Structure s) {
    Hypervisor host = call.host();
    s.put32(U, 1);
    s.put32(U + 4, host.pcpus());
    s.put32(U + 8, host.pcpus());
    s.put32(U + 12, host.pcpus() - 1);
    s.put32(U + 16, 1);
    s.put32(U + 20, 0);
    s.put32(U + 24, (int) (host.tscHertz() / 1000));
    s.put32(U + 28, CAPABLE_OF_HVM | CAPABLE_OF_HAP | GRANTS_VERSION_1);
    s.put32(U + 32, 0);
    s.put32(U + 36, 0);
    s.put64(U + 40, host.totalPages());
    s.put64(U + 48, host.freePages());
    s.put64(U + 56, 0);
    s.put64(U + 64, 0);
    s.put64(U + 72, host.totalPages() - 1);
    int[] features = CpuPolicy.featureSet(model);
    for (int i = 0; i < 8; i++) {
      s.put32(U + 80 + 4 * i, features[i]);
    }
    return 0;
  }

  private static long schedulerId(Structure s) {
    s.put32(U, CREDIT2);
    return 0;
  }

  /** {@code struct xen_sysctl_getdomaininfolist}: from which number, how many, where. */
  private static long domains(Call call, Structure s) throws GuestArguments.BadPointer {
    long most = Math.min(MOST_DOMAINS, s.u32(U + 4));
    int given = 0;
    for (Domain domain : call.host().domains()) {
      if (domain.id() >= s.u16(U) && given < most && s.u16(U) < FIRST_RESERVED_QUERY) {
        Structure info = new Structure(DomctlCalls.INFO_SIZE);
        DomctlCalls.describe(domain, info, 0);
        call.memory().write(s.u64(U + 8) + (long) given * DomctlCalls.INFO_SIZE, info);
        given++;
      }
    }
    s.put32(U + 16, given);
    return 0;
  }

  /** Keys that have the hypervisor say something on its console. */
  private static long debugKeys(Call call, Structure s) throws GuestArguments.BadPointer {
    int count = (int) Math.min(64, s.u32(U + 8));
    byte[] keys = new byte[count];
    call.memory().read(s.u64(U), keys, count);
    ConsoleLog log = call.host().console();
    for (byte key : keys) {
      switch (key) {
        case 'h' -> log.log(
            "(XEN) key 'h': this; 'e': event channels; 'g': grants; 'm': memory; 'q': domains; 'r':"
                + " who runs");
        case 'e' -> call.host().domains().forEach(d -> log.log(
            "(XEN) %s: %d event channels, %d events sent".formatted(
                d, d.events().open(), d.events().sent())));
        case 'g' -> call.host().domains().forEach(d -> log.log(
            "(XEN) %s: %d grants in use, %d pages of others mapped".formatted(
                d, d.grants().inUse(), d.mappedPages())));
        case 'm' -> log.log(
            "(XEN) %d pages of %d are free".formatted(
                call.host().freePages(), call.host().totalPages()));
        case 'q' -> call.host().domains().forEach(d -> log.log(
            "(XEN) %s: %s, %d pages of %d, %d vCPUs, %d events sent".formatted(
                d, d.kind().label(), d.pages(), d.maxPages(), d.vcpus().size(),
                d.events().sent())));
        case 'r' -> call.host().domains().forEach(d -> d.vcpus().forEach(v -> log.log(
            "(XEN) %s: on %d, %d ms used".formatted(
                v, v.runningOn(), v.usedNanos() / 1_000_000))));
        default -> log.log("(XEN) key '" + (char) (key & 0x7f) + "' means nothing; 'h' helps");
      }
    }
    return 0;
  }

  /** {@code struct xen_sysctl_getcpuinfo}: how many, where; nanoseconds that each was idle. */
  private static long cpuTimes(Call call, Structure s) throws GuestArguments.BadPointer {
    int count = (int) Math.min(s.u32(U), call.host().pcpus());
    Structure idle = new Structure(8 * count);
    for (int i = 0; i < count; i++) {
      idle.put64(8 * i, call.host().idleNanos(i));
    }
    call.memory().write(s.u64(U + 8), idle);
    s.put32(U + 16, count);
    return 0;
  }

  private static long availableMemory(Call call, Structure s) {
    if (s.i32(U + 8) > 0) {
      return Errno.EINVAL;
    }
    s.put64(U + 16, call.host().freePages() << 12);
    return 0;
  }

  /** Core, socket and node of each CPU; the number of CPUs alone without a place for that. */
  private static long topology(Call call, Structure s) throws GuestArguments.BadPointer {
    int cpus = call.host().pcpus();
    if (s.u64(U + 8) != 0) {
      int count = (int) Math.min(s.u32(U), cpus);
      Structure all = new Structure(12 * count);
      for (int i = 0; i < count; i++) {
        all.put32(12 * i, i);
      }
      call.memory().write(s.u64(U + 8), all);
    }
    s.put32(U, cpus);
    return 0;
  }

  /** One node with all the memory. */
  private static long numa(Call call, Structure s) throws GuestArguments.BadPointer {
    if (s.u32(U) > 0 && s.u64(U + 8) != 0) {
      Structure memory = new Structure(16);
      memory.put64(0, call.host().totalPages() << 12);
      memory.put64(8, call.host().freePages() << 12);
      call.memory().write(s.u64(U + 8), memory);
    }
    if (s.u32(U) > 0 && s.u64(U + 16) != 0) {
      Structure distance = new Structure(4);
      distance.put32(0, 10); // ACPI's measure of what is local
      call.memory().write(s.u64(U + 16), distance);
    }
    s.put32(U, 1);
    return 0;
  }

  /** {@code struct xen_sysctl_pcitopoinfo}: how many functions, which, their nodes: the one. */
  private static long pciTopology(Call call, Structure s) throws GuestArguments.BadPointer {
    int count = (int) Math.min(64, s.u32(U));
    call.memory().write(s.u64(U + 16), new Structure(4 * count));
    s.put32(U, count);
    return 0;
  }

  /** There is one pool, number 0, with all CPUs and all domains; and no CPU in none. */
  private static long pool(Call call, Structure s) throws GuestArguments.BadPointer {
    int operation = s.i32(U);
    if (operation != POOL_INFO && operation != POOL_FREE) {
      return Errno.EOPNOTSUPP;
    }
    boolean info = operation == POOL_INFO;
    if (info) {
      // The first pool from the number on that is asked for.
      if (s.i32(U + 4) > 0) {
        return Errno.ENOENT;
      }
      s.put32(U + 4, 0);
      s.put32(U + 8, CREDIT2);
      s.put32(U + 20, call.host().domains().size());
    }
    putBitmap(call, s, U + 24, info ? allCpus(call.host()) : 0);
    return 0;
  }

  private static long allCpus(Hypervisor host) {
    return -1L >>> 64 - host.pcpus();
  }

  /** Fills a {@code struct xenctl_bitmap}: a pointer, and how many bits it has room for. */
  static void putBitmap(Call call, Structure s, int at, long bits)
      throws GuestArguments.BadPointer {
    int bytes = (int) Math.min(8, s.u32(at + 8) + 7 >>> 3);
    Structure map = new Structure(8);
    map.put64(0, bits & allCpus(call.host()));
    call.memory().write(s.u64(at), map.bytes(), 0, bytes);
  }

  /** Reads such a bitmap; CPUs that there are not do not count. */
  static long bitmap(Call call, Structure s, int at) throws GuestArguments.BadPointer {
    int bytes = (int) Math.min(8, s.u32(at + 8) + 7 >>> 3);
    Structure map = new Structure(8);
    call.memory().read(s.u64(at), map.bytes(), bytes);
    return map.u64(0) & allCpus(call.host());
  }

  /** Credit2 here has no rate limit that could be set. */
  private static long scheduler(Structure s) {
    boolean query = s.u32(U + 8) == 1;
    if (s.u32(U) != 0 || s.u32(U + 4) != CREDIT2) {
      return Errno.EINVAL;
    }
    s.put32(U + 16, 0);
    return query ? 0 : Errno.EOPNOTSUPP;
  }

  /** CPUID of PV domains is always what their policy says. */
  private static long levelling(Structure s) {
    s.put32(U, 1);
    return 0;
  }

  private long featureSet(Call call, Structure s) throws GuestArguments.BadPointer {
    int[] words = CpuPolicy.featureSet(model);
    long room = s.u32(U + 4);
    if (s.u64(U + 8) != 0) {
      Structure all = new Structure(4 * words.length);
      for (int i = 0; i < words.length; i++) {
        all.put32(4 * i, words[i]);
      }
      call.memory().write(
          s.u64(U + 8), all.bytes(), 0, 4 * (int) Math.min(room, words.length));
    }
    s.put32(U + 4, words.length);
    if (s.u64(U + 8) != 0 && room < words.length) {
      call.memory().write(call.argument(0), s);
      return Errno.ENOBUFS;
    }
    return 0;
  }

  /** {@code struct xen_sysctl_cpu_policy}: which, leaves, MSRs, and where both go. */
  private long cpuPolicy(Call call, Structure s) throws GuestArguments.BadPointer {
    if (s.u32(U) > 5) {
      return Errno.EINVAL;
    }
    s.put32(U + 8, s.u64(U + 24) == 0 ? 2 : 0); // No MSR is part of a policy here.
    return CpuPolicy.give(
        call, s, U + 4, U + 16, CpuPolicy.leaves(model));
  }
}
