package org.javisor.machine;

import java.io.IOException;
import org.javisor.accelerator.state.StateException;
import org.javisor.memory.FrameArena;

/**
 * The memory of a saved machine on its way from the file, while the rest of the machine is put
 * together. Nobody else may write to the memory meanwhile. Given up, it ends when the file is closed.
 */
final class MemoryLoad {
  private final Thread thread;
  private volatile Throwable failure;

  private MemoryLoad(SavedMachine saved, FrameArena memory) {
    thread =
        Thread.ofPlatform()
            .daemon()
            .name("javisor-restore")
            .unstarted(
                () -> {
                  try {
                    saved.loadMemory(memory);
                  } catch (IOException | StateException | RuntimeException | Error e) {
                    failure = e;
                  }
                });
  }

  static MemoryLoad start(SavedMachine saved, FrameArena memory) {
    MemoryLoad load = new MemoryLoad(saved, memory);
    load.thread.start();
    return load;
  }

  /**
   * Waits until all of it is there.
   *
   * @throws StateException if the file is damaged, or has another memory
   */
  void await() throws IOException, StateException {
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    switch (failure) {
      case null -> {}
      case IOException e -> throw e;
      case StateException e -> throw e;
      case Throwable e -> throw new AssertionError(e);
    }
  }
}
