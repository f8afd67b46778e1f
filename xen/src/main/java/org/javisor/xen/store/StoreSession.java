package org.javisor.xen.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.javisor.xen.store.StoreException.Error;

/**
 * One connection: requests in, answers and watch events out. Requests come from one thread at a
 * time; events from any.
 */
final class StoreSession implements AutoCloseable {
  private static final byte[] OK = {'O', 'K', 0};

  private final Store store;
  private final StoreClient client;
  private final Consumer<Message> out;

  /**
   * @param out takes what is to be sent, in order; must not block, and may be called with the
   *     store's lock held
   */
  StoreSession(Store store, int domid, Consumer<Message> out) {
    this.store = store;
    this.out = out;
    client = store.connect(domid, this::event);
  }

  private void event(String path, String token) {
    byte[] payload = (path + '\0' + token + '\0').getBytes(ISO_8859_1);
    if (payload.length <= Message.LONGEST) {
      out.accept(new Message(Message.WATCH_EVENT, 0, 0, payload));
    }
  }

  /** Carries out a request and sends the answer. */
  void handle(Message request) {
    Message answer;
    try {
      byte[] payload = serve(request);
      if (payload.length > Message.LONGEST) {
        throw new StoreException(Error.E2BIG);
      }
      answer = request.answer(payload);
    } catch (StoreException e) {
      answer =
          new Message(
              Message.ERROR,
              request.request(),
              request.transaction(),
              (e.error().name() + '\0').getBytes(ISO_8859_1));
    }
    // A watch's first event comes after the answer, so what was asked for is known by then.
    out.accept(answer);
    if (request.type() == Message.WATCH && answer.type() != Message.ERROR) {
      List<String> strings = strings(request.payload());
      event(strings.get(0), strings.get(1));
    }
  }

  private byte[] serve(Message m) throws StoreException {
    int t = m.transaction();
    List<String> s = m.type() == Message.WRITE ? List.of() : strings(m.payload());
    return switch (m.type()) {
      case Message.READ -> store.read(client, t, only(s));
      case Message.DIRECTORY -> joined(store.directory(client, t, only(s)));
      case Message.DIRECTORY_PART -> directoryPart(t, s);
      case Message.GET_PERMS -> joined(store.permissions(client, t, only(s)));
      case Message.WRITE -> write(t, m.payload());
      case Message.MKDIR -> {
        store.makeDirectory(client, t, only(s));
        yield OK;
      }
      case Message.RM -> {
        store.remove(client, t, only(s));
        yield OK;
      }
      case Message.SET_PERMS -> {
        need(s.size() >= 2);
        store.setPermissions(client, t, s.getFirst(), s.subList(1, s.size()));
        yield OK;
      }
      case Message.WATCH -> {
        need(s.size() >= 2);
        store.watchQuietly(client, s.get(0), s.get(1));
        yield OK;
      }
      case Message.UNWATCH -> {
        need(s.size() >= 2);
        store.unwatch(client, s.get(0), s.get(1));
        yield OK;
      }
      case Message.RESET_WATCHES -> {
        store.resetWatches(client);
        yield OK;
      }
      case Message.TRANSACTION_START -> {
        need(t == 0);
        yield joined(List.of(Integer.toString(store.begin(client))));
      }
      case Message.TRANSACTION_END -> {
        String how = only(s);
        need(how.equals("T") || how.equals("F"));
        store.end(client, t, how.equals("T"));
        yield OK;
      }
      case Message.GET_DOMAIN_PATH ->
          joined(List.of(StorePath.ofDomain(domid(only(s)))));
      case Message.IS_DOMAIN_INTRODUCED ->
          joined(List.of(store.isIntroduced(domid(only(s))) ? "T" : "F"));
      case Message.CONTROL, Message.INTRODUCE, Message.RELEASE ->
          // The toolstack of this process does that.
          throw new StoreException(client.privileged() ? Error.ENOSYS : Error.EACCES);
      default -> throw new StoreException(Error.ENOSYS);
    };
  }

  /** The path ends with a zero, the value with the message. */
  private byte[] write(int transaction, byte[] payload) throws StoreException {
    int end = 0;
    while (end < payload.length && payload[end] != 0) {
      end++;
    }
    need(end < payload.length);
    store.write(
        client,
        transaction,
        new String(payload, 0, end, ISO_8859_1),
        Arrays.copyOfRange(payload, end + 1, payload.length));
    return OK;
  }

  /** For directories too long for one message: a generation, then names from an offset on. */
  private byte[] directoryPart(int transaction, List<String> s) throws StoreException {
    need(s.size() >= 2);
    byte[] all = joined(store.directory(client, transaction, s.getFirst()));
    int offset = number(s.get(1), Integer.MAX_VALUE);
    need(offset <= all.length);
    byte[] generation =
        joined(List.of(Long.toString(store.generation(client, transaction, s.getFirst()))));
    int end = Math.min(all.length, offset + Message.LONGEST - generation.length - 1);
    while (end > offset && end < all.length && all[end - 1] != 0) {
      end--; // Only whole names.
    }
    ByteArrayOutputStream part = new ByteArrayOutputStream();
    part.writeBytes(generation);
    part.write(all, offset, end - offset);
    if (end == all.length) {
      part.write(0);
    }
    return part.toByteArray();
  }

  private static String only(List<String> strings) throws StoreException {
    need(!strings.isEmpty());
    return strings.getFirst();
  }

  private static void need(boolean valid) throws StoreException {
    if (!valid) {
      throw new StoreException(Error.EINVAL);
    }
  }

  private static int domid(String text) throws StoreException {
    return number(text, 0xffff);
  }

  private static int number(String text, int limit) throws StoreException {
    try {
      int value = Integer.parseInt(text);
      need(value >= 0 && value <= limit);
      return value;
    } catch (NumberFormatException e) {
      throw new StoreException(Error.EINVAL);
    }
  }

  /** The strings of a payload, each ended by a zero; the last may lack it. */
  private static List<String> strings(byte[] payload) {
    List<String> strings = new ArrayList<>();
    int start = 0;
    for (int i = 0; i < payload.length; i++) {
      if (payload[i] == 0) {
        strings.add(new String(payload, start, i - start, ISO_8859_1));
        start = i + 1;
      }
    }
    if (start < payload.length) {
      strings.add(new String(payload, start, payload.length - start, ISO_8859_1));
    }
    return strings;
  }

  private static byte[] joined(List<String> strings) {
    StringBuilder all = new StringBuilder();
    strings.forEach(s -> all.append(s).append('\0'));
    return all.toString().getBytes(ISO_8859_1);
  }

  @Override
  public void close() {
    store.disconnect(client);
  }
}
