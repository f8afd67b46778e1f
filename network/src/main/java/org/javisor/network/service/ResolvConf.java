package org.javisor.network.service;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;

/**
 * The host's name servers, from its {@code resolv.conf} (resolv.conf(5)). The file is read again when
 * it has changed: a laptop moves between networks while its guests run.
 */
public final class ResolvConf {
  public static final Path HOST = Path.of("/etc/resolv.conf");
  private static final int DNS_PORT = 53;
  /** As many as the C library uses. */
  private static final int MAX_SERVERS = 3;

  private final Path file;
  private FileTime readAt;
  private List<InetSocketAddress> servers = List.of();
  private String domain = "";

  public ResolvConf(Path file) {
    this.file = file;
  }

  /** The servers in order; none if there is no such file or it names none. */
  public synchronized List<InetSocketAddress> servers() {
    refresh();
    return servers;
  }

  /** The first search domain, or empty. */
  public synchronized String domain() {
    refresh();
    return domain;
  }

  private void refresh() {
    try {
      FileTime changed = Files.getLastModifiedTime(file);
      if (!changed.equals(readAt)) {
        readAt = changed;
        parse(Files.readAllLines(file, StandardCharsets.ISO_8859_1));
      }
    } catch (IOException e) {
      servers = List.of();
      readAt = null;
    }
  }

  private void parse(List<String> lines) {
    List<InetSocketAddress> found = new ArrayList<>();
    String search = "";
    for (String line : lines) {
      String[] words = line.strip().split("\\s+");
      if (words.length < 2) {
        continue;
      }
      switch (words[0]) {
        case "nameserver" -> addServer(found, words[1]);
        case "search", "domain" -> search = words[1];
        default -> {
          // Options are for resolvers.
        }
      }
    }
    servers = List.copyOf(found);
    domain = search.matches("[A-Za-z0-9][A-Za-z0-9.-]{0,250}") ? search : "";
  }

  private static void addServer(List<InetSocketAddress> found, String text) {
    if (found.size() < MAX_SERVERS) {
      try {
        found.add(new InetSocketAddress(InetAddress.ofLiteral(text), DNS_PORT));
      } catch (IllegalArgumentException e) {
        // A line the C library would not understand either.
      }
    }
  }
}
