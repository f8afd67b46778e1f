package org.javisor.virtio.fuzz;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.javisor.network.FrameReceiver;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.PortStatistics;
import org.javisor.pc.serial.CharacterBackend;
import org.javisor.pc.serial.CharacterPort;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockRequest;
import org.javisor.virtio.balloon.VirtioBalloon;
import org.javisor.virtio.block.VirtioBlock;
import org.javisor.virtio.console.ConsolePortConfig;
import org.javisor.virtio.console.VirtioConsole;
import org.javisor.virtio.device.DeviceType;
import org.javisor.virtio.device.Session;
import org.javisor.virtio.device.VirtioDevice;
import org.javisor.virtio.entropy.VirtioEntropy;
import org.javisor.virtio.fs.FuseServer;
import org.javisor.virtio.fs.VirtioFs;
import org.javisor.virtio.net.VirtioNet;

/** One target for each kind of device. */
public final class Targets {
  private Targets() {}

  public static void block(byte[] program) {
    List<BlockRequest> held = new ArrayList<>();
    BlockDevice disk =
        new BlockDevice() {
          @Override
          public long sizeBytes() {
            return 1 << 20;
          }

          @Override
          public boolean isReadOnly() {
            return false;
          }

          @Override
          public void submit(BlockRequest request) {
            // Some are done at once, some only when something else happens.
            if (request instanceof BlockRequest.Read) {
              held.add(request);
            } else {
              request.completion().complete(null);
            }
          }

          @Override
          public void close() {}
        };
    new HostileDriver(
        memory -> new WithFarEnd(
            new VirtioBlock(new VirtioBlock.Config(2, "x"), disk, memory),
            what -> {
              while (!held.isEmpty()) {
                held.removeLast().completion().complete(null);
              }
            }),
        program).run();
    while (!held.isEmpty()) {
      held.removeLast().completion().complete(null);
    }
  }

  public static void net(byte[] program) {
    FrameReceiver[] card = new FrameReceiver[1];
    NetworkPort port =
        new NetworkPort() {
          @Override
          public void send(ByteBuffer frame, Offload offload) {
            if (frame.remaining() < 14 || frame.remaining() > MAX_FRAME) {
              throw new AssertionError("a frame of " + frame.remaining() + " bytes");
            }
          }

          @Override
          public void connect(FrameReceiver receiver) {
            card[0] = receiver;
          }

          @Override
          public void receiverReady() {}

          @Override
          public Doorbell doorbell(Runnable action) {
            return action::run;
          }

          @Override
          public PortStatistics statistics() {
            throw new UnsupportedOperationException();
          }

          @Override
          public void close() {}
        };
    new HostileDriver(
        memory -> new WithFarEnd(
            new VirtioNet(port, new MacAddress(0x525400000001L), memory),
            what -> {
              card[0].receive(
                  ByteBuffer.allocate(14 + 40 * what),
                  what < 128
                      ? Offload.NONE
                      : new Offload(true, 300 * what, 16, Offload.Segmentation.TCP_V4, 1448));
              card[0].endOfBurst();
            }),
        program).run();
  }

  public static void console(byte[] program) {
    CharacterPort[] ends = new CharacterPort[2];
    int[] room = {100, 100};
    List<ConsolePortConfig> ports = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      int index = i;
      ports.add(
          new ConsolePortConfig(
              i == 0 ? "" : "name",
              i == 0,
              new CharacterBackend() {
                @Override
                public boolean write(int value) {
                  return room[index]-- > 0;
                }

                @Override
                public void attach(CharacterPort port) {
                  ends[index] = port;
                }
              }));
    }
    VirtioConsole[] console = new VirtioConsole[1];
    new HostileDriver(
        memory -> {
          console[0] = new VirtioConsole(ports, memory);
          return new WithFarEnd(
              console[0],
              what -> {
                room[what & 1] = what;
                ends[what & 1].outputReady();
                ends[what & 1].receive(new byte[what], 0, what);
                console[0].resize(what, what);
              });
        },
        program).run();
  }

  public static void balloon(byte[] program) {
    VirtioBalloon[] balloon = new VirtioBalloon[1];
    new HostileDriver(
        memory -> {
          balloon[0] = new VirtioBalloon(Runnable::run, memory);
          return new WithFarEnd(
              balloon[0],
              what -> {
                balloon[0].setTarget((long) what << 12);
                balloon[0].statistics();
              });
        },
        program).run();
  }

  public static void entropy(byte[] program) {
    new HostileDriver(
        memory -> new VirtioEntropy(bytes -> {}, Runnable::run, memory), program)
        .run();
  }

  /** The folder of {@link #fs}: empty, and the guest may only read. */
  private static final class Share {
    static final FuseServer SERVER = open();

    private static FuseServer open() {
      try {
        Path folder = Files.createTempDirectory("javisor-fuzz-");
        folder.toFile().deleteOnExit();
        return new FuseServer(folder, false);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  public static void fs(byte[] program) {
    new HostileDriver(
        memory -> new VirtioFs("tag", 1, Share.SERVER, Runnable::run, memory), program)
        .run();
  }

  /** Something that happens at a far end. */
  private interface Happening {
    void happen(int what);
  }

  /** A device and its far end. */
  private record WithFarEnd(VirtioDevice device, Happening far)
      implements
        VirtioDevice,
        HostileDriver.FarEnd {
    @Override
    public void happen(int what) {
      far.happen(what);
    }

    @Override
    public DeviceType type() {
      return device.type();
    }

    @Override
    public long features() {
      return device.features();
    }

    @Override
    public boolean accepts(long features) {
      return device.accepts(features);
    }

    @Override
    public int queues() {
      return device.queues();
    }

    @Override
    public int queueSize(int queue) {
      return device.queueSize(queue);
    }

    @Override
    public int configSize() {
      return device.configSize();
    }

    @Override
    public int readConfig(int offset) {
      return device.readConfig(offset);
    }

    @Override
    public void writeConfig(int offset, int size, int value) {
      device.writeConfig(offset, size, value);
    }

    @Override
    public void start(Session session) {
      device.start(session);
    }

    @Override
    public void stop(Session session) {
      device.stop(session);
    }

    @Override
    public void kick(Session session, int queue) {
      device.kick(session, queue);
    }

    @Override
    public void reset() {
      device.reset();
    }
  }
}
