package org.javisor.xen.store;

import java.util.ArrayList;
import java.util.List;
import org.javisor.xen.store.StoreException.Error;

/**
 * Who may do what with a node: its owner everything, the domains named what is said, all others what
 * the first entry says.
 */
record Permissions(List<Entry> entries) {
  static final int READ = 1;
  static final int WRITE = 2;

  /** For a node nobody said anything about: domain 0's, closed to others. */
  static final Permissions PRIVILEGED = new Permissions(List.of(new Entry(0, 0)));

  private static final int MOST = 5;

  record Entry(int domid, int access) {
    private static final char[] LETTERS = {'n', 'r', 'w', 'b'};

    @Override
    public String toString() {
      return LETTERS[access] + Integer.toString(domid);
    }

    static Entry parse(String text) throws StoreException {
      int access = text.isEmpty() ? -1 : "nrwb".indexOf(text.charAt(0));
      if (access < 0 || text.length() > 6) {
        throw new StoreException(Error.EINVAL);
      }
      try {
        int domid = Integer.parseInt(text, 1, text.length(), 10);
        if (domid < 0 || domid > 0xffff) {
          throw new StoreException(Error.EINVAL);
        }
        return new Entry(domid, access);
      } catch (NumberFormatException e) {
        throw new StoreException(Error.EINVAL);
      }
    }
  }

  Permissions {
    entries = List.copyOf(entries);
  }

  static Permissions parse(List<String> texts) throws StoreException {
    if (texts.isEmpty()) {
      throw new StoreException(Error.EINVAL);
    }
    if (texts.size() > MOST) {
      throw new StoreException(Error.ENOSPC);
    }
    List<Entry> entries = new ArrayList<>();
    for (String text : texts) {
      entries.add(Entry.parse(text));
    }
    return new Permissions(entries);
  }

  int owner() {
    return entries.getFirst().domid;
  }

  boolean allows(int domid, int access) {
    if (domid == 0 || domid == owner()) {
      return true;
    }
    for (int i = 1; i < entries.size(); i++) {
      if (entries.get(i).domid == domid) {
        return (entries.get(i).access & access) == access;
      }
    }
    return (entries.getFirst().access & access) == access;
  }

  /** The same for a child, which an unprivileged creator owns. */
  Permissions inheritedBy(int domid) {
    if (domid == 0) {
      return this;
    }
    List<Entry> child = new ArrayList<>(entries);
    child.set(0, new Entry(domid, entries.getFirst().access));
    return new Permissions(child);
  }
}
