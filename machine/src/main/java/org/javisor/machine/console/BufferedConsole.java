package org.javisor.machine.console;

/** What all consoles share: output through a pump, input through a feeder. */
abstract sealed class BufferedConsole implements Console
    permits FileConsole, SocketConsole, TerminalConsole {
  final InputFeeder feeder = new InputFeeder();
  private final OutputPump pump;

  BufferedConsole(String name, OutputPump.Sink sink) {
    pump = new OutputPump("javisor-console-" + name, sink, this::outputReady);
  }

  private void outputReady() {
    ConsolePort port = feeder.port();
    if (port != null) {
      port.outputReady();
    }
  }

  @Override
  public final boolean write(int value) {
    return pump.offer(value);
  }

  @Override
  public final void attach(ConsolePort port) {
    feeder.attach(port);
  }

  @Override
  public final void inputReady() {
    feeder.ready();
  }

  @Override
  public void close() {
    feeder.close();
    pump.close();
  }
}
