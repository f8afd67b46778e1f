package org.javisor.machine;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.time.Entropy;
import org.javisor.machine.MachineException.Reason;
import org.javisor.memory.HostMemory;
import org.javisor.xen.domain.Machinery;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.store.StoreSocket;
import org.javisor.xen.toolstack.XenClient;
import org.javisor.xen.toolstack.XenHost;
import org.javisor.xen.toolstack.XenServer;

/**
 * One host of the Xen kind: hypervisor, xenstore, back ends and tools on an accelerator, and the
 * sockets by which they are reached. It ends with its last domain.
 */
public final class XenMachine implements AutoCloseable {
  /** A host that nobody gives a domain ends after this. */
  private static final long PATIENCE_NANOS = 60_000_000_000L;

  /**
   * What a host is made of.
   *
   * @param folder of its sockets
   * @param memoryBytes for all domains together
   * @param pcpus physical CPUs: threads that run vCPUs
   */
  public record Config(
      Path folder, String accelerator, String cpuModel, long memoryBytes, int pcpus) {}

  private final XenHost host;
  private final FileChannel lockFile;
  private final CountDownLatch empty = new CountDownLatch(1);
  private XenServer server;
  private StoreSocket store;

  private XenMachine(XenHost host, FileChannel lockFile) {
    this.host = host;
    this.lockFile = lockFile;
  }

  /**
   * Starts a host.
   *
   * @param bugs is told of errors of ours
   * @throws MachineException if it cannot be: another one of this folder runs, or the host of ours
   *     does not give what it needs
   */
  public static XenMachine start(Config config, Consumer<Throwable> bugs)
      throws MachineException {
    FileChannel lockFile = lock(config.folder());
    boolean started = false;
    XenMachine machine = null;
    try {
      Accelerator accelerator = AcceleratorChoice.forXen(config.accelerator()).accelerator();
      Machinery machinery =
          XenMachinery.start(
              accelerator, config.cpuModel(), config.memoryBytes(), config.pcpus(),
              (domain, error) -> bugs.accept(error));
      Hypervisor hypervisor = machinery.hypervisor();
      machine = new XenMachine(new XenHost(machinery, Entropy.host(), bugs), lockFile);
      machine.host.whenEmpty(machine.empty::countDown);
      machine.store =
          StoreSocket.listen(machine.host.store(), XenClient.storeSocket(config.folder()));
      machine.server = XenServer.listen(machine.host, XenClient.socket(config.folder()));
      hypervisor
          .timers()
          .create(machine.host::endIfEmpty)
          .set(hypervisor.clock().nanos() + PATIENCE_NANOS);
      started = true;
      return machine;
    } catch (HostMemory.HostMemoryException e) {
      throw XenMachinery.tooLittle(config.memoryBytes(), "--memory", e);
    } catch (IOException e) {
      throw new MachineException(
          Reason.HOST_REFUSED,
          "no socket can be made in " + config.folder() + " (" + e.getMessage()
              + "): name another folder with " + XenClient.FOLDER_VARIABLE,
          e);
    } finally {
      if (!started) {
        if (machine != null) {
          machine.close();
        } else {
          close(lockFile);
        }
      }
    }
  }

  /** One host a folder: who holds the lock owns the sockets in it. */
  private static FileChannel lock(Path folder) throws MachineException {
    try {
      if (!Files.isDirectory(folder)) {
        Files.createDirectories(
            folder,
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
      }
      FileChannel file =
          FileChannel.open(
              folder.resolve("host.lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      FileLock lock;
      try {
        lock = file.tryLock();
      } catch (OverlappingFileLockException e) {
        lock = null;
      }
      if (lock == null) {
        file.close();
        throw new MachineException(
            Reason.HOST_REFUSED, "another Xen host already uses " + folder);
      }
      return file;
    } catch (IOException | UnsupportedOperationException e) {
      throw new MachineException(
          Reason.HOST_REFUSED,
          "the folder " + folder + " cannot be used (" + e.getMessage()
              + "): name another with " + XenClient.FOLDER_VARIABLE,
          e);
    }
  }

  private static void close(FileChannel file) {
    try {
      file.close();
    } catch (IOException e) {
      // The process ends soon, and its locks with it.
      assert !file.isOpen();
    }
  }

  /** The tools' view of it. */
  public XenHost host() {
    return host;
  }

  /** Waits until the last domain has gone. */
  public void await() throws InterruptedException {
    empty.await();
  }

  @Override
  public void close() {
    try {
      if (server != null) {
        server.close();
      }
      host.close();
      if (store != null) {
        store.close();
      }
    } catch (IOException e) {
      // Nobody can connect any more; that was the purpose.
      server = null;
    }
    close(lockFile);
  }
}
