package org.javisor.xen.store;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Who uses the store: a domain, or a tool or back end with the rights of domain 0. Its watches and
 * transactions end with it.
 */
public final class StoreClient {
  /** Is told that something at or below a watched path changed. Must not block. */
  @FunctionalInterface
  public interface EventSink {
    void changed(String path, String token);
  }

  /** A watch: what it was asked for as, and what it means. */
  record Watch(String asked, String absolute, String token) {
    /** The path of an event as the watcher wrote his. */
    String eventPath(String changed, int domid) {
      String home = StorePath.ofDomain(domid) + "/";
      boolean relative = !asked.startsWith("/") && !asked.startsWith("@");
      return relative && changed.startsWith(home) ? changed.substring(home.length()) : changed;
    }
  }

  final int domid;
  final EventSink events;
  final Map<String, Watch> watches = new LinkedHashMap<>();
  final Map<Integer, Transaction> transactions = new HashMap<>();
  int nextTransaction = 1;

  StoreClient(int domid, EventSink events) {
    this.domid = domid;
    this.events = events;
  }

  boolean privileged() {
    return domid == 0;
  }
}
