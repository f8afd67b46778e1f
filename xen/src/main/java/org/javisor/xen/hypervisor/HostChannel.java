package org.javisor.xen.hypervisor;

/** The end of an event channel that a back end of this process holds. */
public final class HostChannel implements AutoCloseable {
  private final EventChannels guest;
  private final int port;
  private final Runnable onNotify;
  private volatile boolean open = true;

  HostChannel(EventChannels guest, int port, Runnable onNotify) {
    this.guest = guest;
    this.port = port;
    this.onNotify = onNotify;
  }

  /** Sends the guest an event. From any thread; without effect once either end is closed. */
  public void notifyGuest() {
    if (open) {
      guest.notifyFromHost(this, port);
    }
  }

  void notified() {
    if (open) {
      onNotify.run();
    }
  }

  void closedByGuest() {
    open = false;
  }

  @Override
  public void close() {
    if (open) {
      open = false;
      guest.closeHost(this, port);
    }
  }
}
