package org.javisor.xen.store;

import java.util.List;
import org.javisor.xen.store.StoreException.Error;

/** Paths of the store. */
final class StorePath {
  private static final int LONGEST = 3072;
  private static final int LONGEST_RELATIVE = 2048;

  private StorePath() {}

  /**
   * The absolute form of a path that a domain gives.
   *
   * @throws StoreException if it is none
   */
  static String absolute(String path, int domid) throws StoreException {
    if (path.startsWith("@")) {
      throw new StoreException(Error.EINVAL);
    }
    boolean absolute = path.startsWith("/");
    if (path.isEmpty()
        || path.length() > (absolute ? LONGEST : LONGEST_RELATIVE)
        || path.contains("//")
        || path.length() > 1 && path.endsWith("/")) {
      throw new StoreException(Error.EINVAL);
    }
    for (int i = 0; i < path.length(); i++) {
      char c = path.charAt(i);
      boolean letter = c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z';
      if (!letter && "-/_@".indexOf(c) < 0) {
        throw new StoreException(Error.EINVAL);
      }
    }
    return absolute ? path : ofDomain(domid) + "/" + path;
  }

  static String ofDomain(int domid) {
    return "/local/domain/" + domid;
  }

  static List<String> parts(String path) {
    return path.equals("/") ? List.of() : List.of(path.substring(1).split("/"));
  }

  static String parent(String path) {
    int slash = path.lastIndexOf('/');
    return slash <= 0 ? "/" : path.substring(0, slash);
  }

  static boolean isWithin(String path, String ancestor) {
    return path.equals(ancestor)
        || ancestor.equals("/")
        || path.startsWith(ancestor) && path.charAt(ancestor.length()) == '/';
  }
}
