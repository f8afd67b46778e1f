package org.javisor.machine.console;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * A serial line whose far end several share: the one that was there when the machine was started, if
 * any, and whoever attaches later. All see the output, and input from all goes to the guest.
 *
 * <p>The first far end may hold the guest back, as it could alone. One who attached and does not read
 * loses output instead: a stopped terminal somewhere must not stop the machine.
 */
public final class ConsoleHub implements Console {
  private final Optional<Console> first;
  private final List<Attached> attached = new CopyOnWriteArrayList<>();
  private volatile ConsolePort port;
  private volatile boolean closed;

  public ConsoleHub(Optional<Console> first) {
    this.first = first;
  }

  /** Where the output goes for someone who attached; may block. */
  @FunctionalInterface
  public interface Output {
    void write(ByteBuffer batch) throws IOException;
  }

  /** Someone at the line, until {@link #close}. */
  public final class Attached implements AutoCloseable {
    private final InputFeeder feeder = new InputFeeder();
    private final OutputPump pump;

    private Attached(Output output) {
      pump = new OutputPump("javisor-console-attached", output::write, () -> {});
    }

    /**
     * Gives input to the guest as fast as it takes it.
     *
     * @return false if the console was closed meanwhile
     */
    public boolean feed(byte[] source, int offset, int length) throws InterruptedException {
      return feeder.feed(source, offset, length);
    }

    @Override
    public void close() {
      attached.remove(this);
      feeder.close();
      pump.close();
    }
  }

  /** Attaches someone. */
  public Attached attach(Output output) {
    Attached one = new Attached(output);
    attached.add(one);
    ConsolePort device = port;
    if (device != null) {
      one.feeder.attach(device);
    }
    if (closed) {
      one.close();
    }
    return one;
  }

  @Override
  public boolean write(int value) {
    if (first.isPresent() && !first.get().write(value)) {
      return false; // Offered again later: then everybody gets it.
    }
    for (Attached one : attached) {
      one.pump.offer(value);
    }
    return true;
  }

  @Override
  public void attach(ConsolePort device) {
    port = device;
    first.ifPresent(console -> console.attach(device));
    for (Attached one : attached) {
      one.feeder.attach(device);
    }
  }

  @Override
  public void inputReady() {
    first.ifPresent(Console::inputReady);
    for (Attached one : attached) {
      one.feeder.ready();
    }
  }

  @Override
  public void close() {
    closed = true;
    attached.forEach(Attached::close);
    first.ifPresent(Console::close);
  }
}
