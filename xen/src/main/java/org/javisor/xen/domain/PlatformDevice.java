package org.javisor.xen.domain;

import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.MmioDevice;
import org.javisor.pc.bus.PortDevice;
import org.javisor.pc.pci.PciDevice;

/**
 * Xen's platform device, by which a guest's PV drivers know that they are wanted (Xen
 * docs/man/xen-pci-device-reservations.7, 5853:0001). Its memory is room in the address space,
 * where guests put the grant table's frames; there is nothing behind it.
 */
final class PlatformDevice extends PciDevice implements Snapshottable<PciDevice.State> {
  private static final StateFormat<State> FORMAT =
      StateFormat.of("xen-platform", 1, State.class);

  private static final int PORTS = 256;
  private static final long MEMORY = 16 << 20;

  PlatformDevice() {
    super(new Identity(0x5853, 0x0001, 1, 0xff8000, 0x5853, 0x0001));
    addPortBar(
        0,
        PORTS,
        new PortDevice() {
          @Override
          public int read(int offset, int size) {
            return -1;
          }

          @Override
          public void write(int offset, int size, int value) {}
        });
    addMemoryBar(
        1,
        MEMORY,
        false,
        true,
        new MmioDevice() {
          @Override
          public long read(long offset, int size) {
            return -1;
          }

          @Override
          public void write(long offset, int size, long value) {}
        });
    useInterruptPin(1);
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public State saveState() {
    return savePci();
  }

  @Override
  public void restoreState(State state) throws StateException {
    restorePci(state);
  }
}
