package org.javisor.xen.toolstack;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.javisor.network.fabric.NamedSwitch;

/** A connection to the process that hosts domains, for one command. */
public final class XenClient implements AutoCloseable {
  /** Names the folder of a host's sockets; several hosts of one user need several. */
  public static final String FOLDER_VARIABLE = "JAVISOR_XEN_DIR";

  private static final String SOCKET = "xl.sock";
  private static final String STORE_SOCKET = "xenstored.sock";

  /** The person's end of the connection. */
  public interface Terminal {
    /** What the command, or a console, prints. */
    void out(byte[] bytes);

    void error(byte[] bytes);

    /**
     * A console begins: what is typed goes to {@link #type}, until the command has ended.
     *
     * @param client takes it
     */
    void console(XenClient client);
  }

  private final SocketChannel channel;
  private final DataInputStream in;
  private final DataOutputStream out;

  private XenClient(SocketChannel channel) {
    this.channel = channel;
    in = new DataInputStream(new BufferedInputStream(Channels.newInputStream(channel)));
    out = new DataOutputStream(new BufferedOutputStream(Channels.newOutputStream(channel)));
  }

  /** Where the sockets of this user's host are. */
  public static Path folder(Map<String, String> environment) {
    String chosen = environment.get(FOLDER_VARIABLE);
    return chosen != null && !chosen.isEmpty()
        ? Path.of(chosen)
        : NamedSwitch.defaultFolder(environment).resolve("xen");
  }

  public static Path socket(Path folder) {
    return folder.resolve(SOCKET);
  }

  /** What {@code XENSTORED_PATH} is to be set to for Xen's own xenstore tools. */
  public static Path storeSocket(Path folder) {
    return folder.resolve(STORE_SOCKET);
  }

  /** Connects, if a host listens. */
  public static Optional<XenClient> connect(Path folder) {
    Path socket = socket(folder);
    if (!Files.exists(socket)) {
      return Optional.empty();
    }
    try {
      return Optional.of(new XenClient(SocketChannel.open(UnixDomainSocketAddress.of(socket))));
    } catch (IOException e) {
      return Optional.empty(); // Of a host that is gone.
    }
  }

  /** Has the host carry out a command; returns its exit code. */
  public int run(List<String> words, Terminal terminal) throws IOException {
    Frames.writeCommand(out, words);
    while (true) {
      Frames.Frame frame;
      try {
        frame = Frames.read(in);
      } catch (EOFException e) {
        throw new IOException("the host has ended in the middle of the command", e);
      }
      switch (frame.type()) {
        case Frames.OUTPUT -> terminal.out(frame.bytes());
        case Frames.ERROR -> terminal.error(frame.bytes());
        case Frames.CONSOLE -> terminal.console(this);
        case Frames.EXIT -> {
          return Integer.parseInt(frame.text());
        }
        default -> throw new IOException("the host speaks another version of the protocol");
      }
    }
  }

  /** Sends what was typed at a console. */
  public synchronized void type(byte[] bytes) throws IOException {
    Frames.write(out, Frames.TYPED, bytes);
  }

  /** Leaves a console; the command then ends. */
  public synchronized void leave() throws IOException {
    Frames.write(out, Frames.EXIT, new byte[0]);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
