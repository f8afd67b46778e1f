package org.javisor.kvm;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.javisor.kvm.KvmInterrupts.Route;
import org.javisor.kvm.host.EventFd;

/**
 * Interrupt messages of devices by event file descriptor (irqfd): the first time a message is sent
 * it gets a route of its own, and from then on to send it is to signal an event. The guest chooses
 * what messages there are, so there is a limit; beyond it a message is sent by itself. Any thread.
 */
public final class MessageRoutes implements AutoCloseable {
  /** Some for each queue of each device, with room for a guest that moves them from CPU to CPU. */
  private static final int LIMIT = 256;

  /** Where local APICs listen to messages: 1 MiB from here on (Intel SDM volume 3, 11.11.1). */
  private static final long APICS = 0xfee0_0000L;

  private record Message(long address, int data) {}

  private final KvmInterrupts interrupts;
  private final List<Route> routes;
  private final Map<Message, EventFd> events = new ConcurrentHashMap<>();
  private final int firstGsi;

  /**
   * Takes over the table of routes.
   *
   * @param fixed routes that stay in it
   * @param firstGsi from here on they are free
   */
  public MessageRoutes(KvmInterrupts interrupts, List<Route> fixed, int firstGsi) {
    this.interrupts = interrupts;
    this.firstGsi = firstGsi;
    routes = new ArrayList<>(fixed);
    interrupts.setRoutes(routes);
  }

  /** Sends a message. One to an address where no local APIC listens is lost. */
  public void send(long address, int data) {
    if ((address & ~0xf_ffffL) != APICS) {
      return;
    }
    Message message = new Message(address, data);
    EventFd event = events.get(message);
    if (event == null) {
      event = route(message);
    }
    if (event == null) {
      interrupts.signal(address, data);
    } else {
      event.signal();
    }
  }

  /** The event of a message, or null if there are too many. */
  private synchronized EventFd route(Message message) {
    EventFd known = events.get(message);
    if (known != null || events.size() >= LIMIT) {
      return known;
    }
    int gsi = firstGsi + events.size();
    routes.add(new Route.Message(gsi, message.address, message.data));
    interrupts.setRoutes(routes);
    EventFd event = EventFd.create();
    interrupts.attach(event, gsi);
    events.put(message, event);
    return event;
  }

  /** How many messages have a route. */
  public int count() {
    return events.size();
  }

  /** Closes the events; no message may be under way. */
  @Override
  public void close() {
    events.values().forEach(EventFd::close);
  }
}
