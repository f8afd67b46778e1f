package org.javisor.xen.hypervisor;

import java.util.Optional;

/** {@code event_channel_op} (public/event_channel.h). FIFO channels answer ENOSYS. */
final class EventChannelCalls implements HypercallFamily {
  @Override
  public long call(Call call) throws GuestArguments.BadPointer, Call.Refused {
    EventChannels events = call.domain.events();
    return switch (call.int32(0)) {
      case 0 -> bindInterdomain(call, events);
      case 1 -> bindVirq(call, events);
      case 2 -> bindPirq(call, events);
      case 3 -> events.close(call.structure(1, 4).u32(0));
      case 4 -> events.send(call.structure(1, 4).u32(0));
      case 5 -> status(call);
      case 6 -> allocateUnbound(call);
      case 7 -> bindIpi(call, events);
      case 8 -> bindVcpu(call, events);
      case 9 -> events.unmask(call.structure(1, 4).u32(0));
      case 10 -> reset(call);
      default -> Errno.ENOSYS;
    };
  }

  /** Stores a port, or passes an error on. */
  private static long answer(Call call, Structure s, int offset, long port)
      throws GuestArguments.BadPointer {
    if (port < 0) {
      return port;
    }
    s.put32(offset, (int) port);
    call.memory().writeField(call.argument(1), s, offset, 4);
    return 0;
  }

  private static long allocateUnbound(Call call)
      throws GuestArguments.BadPointer, Call.Refused {
    Structure s = call.structure(1, 8);
    int remote = s.u16(2) == Domain.SELF ? call.domain.id() : s.u16(2);
    return answer(
        call, s, 4, Privilege.target(call, s.u16(0)).events().allocateUnbound(remote));
  }

  private static long bindInterdomain(Call call, EventChannels events)
      throws GuestArguments.BadPointer {
    Structure s = call.structure(1, 12);
    Optional<Domain> remote =
        call.isSelf(s.u16(0)) ? Optional.of(call.domain) : call.host().domain(s.u16(0));
    if (remote.isEmpty()) {
      return Errno.ESRCH;
    }
    return answer(call, s, 8, events.bindInterdomain(remote.get(), s.u32(4)));
  }

  private static long bindVirq(Call call, EventChannels events)
      throws GuestArguments.BadPointer {
    Structure s = call.structure(1, 12);
    return answer(call, s, 8, events.bindVirq(s.u32(0), s.u32(4)));
  }

  private static long bindPirq(Call call, EventChannels events)
      throws GuestArguments.BadPointer {
    Structure s = call.structure(1, 12);
    return answer(call, s, 8, events.bindPirq());
  }

  private static long bindIpi(Call call, EventChannels events)
      throws GuestArguments.BadPointer {
    Structure s = call.structure(1, 8);
    return answer(call, s, 4, events.bindIpi(s.u32(0)));
  }

  private static long status(Call call)
      throws GuestArguments.BadPointer, Call.Refused {
    Structure s = call.structure(1, 24);
    long result = Privilege.target(call, s.u16(0)).events().status(s.u32(4), s);
    if (result == 0) {
      call.memory().writeField(call.argument(1), s, 8, 16);
    }
    return result;
  }

  private static long bindVcpu(Call call, EventChannels events)
      throws GuestArguments.BadPointer {
    Structure s = call.structure(1, 8);
    return events.bindVcpu(s.u32(0), s.u32(4));
  }

  private static long reset(Call call)
      throws GuestArguments.BadPointer, Call.Refused {
    Privilege.target(call, call.structure(1, 2).u16(0)).events().closeAll();
    return 0;
  }
}
