package org.javisor.pc;

import java.util.Map;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.interrupt.InterruptLines;
import org.javisor.pc.paravirt.StealTime;
import org.javisor.pc.timer.SpeakerTimer;

/**
 * What lies between the devices of a PC and its CPUs: the interrupt controllers, what else surrounds
 * each CPU, and the 8254, which is bound to them more closely than other devices.
 */
sealed interface Chips permits BoardChips, HostChips {
  /** The inputs. */
  InterruptLines lines();

  /** Sends an interrupt message: what a device writes to a local APIC. */
  void message(long address, int data);

  /** Interrupts every CPU that takes NMIs. */
  void nmi();

  /** Whether the HPET drives interrupt 0 instead of the 8254. */
  void replaceTimer(boolean on);

  /** The HPET's end of interrupt 0. */
  IrqLine replacedTimer();

  /** What port 0x61 shows and controls of the 8254. */
  SpeakerTimer speakerTimer();

  VcpuPlatform platform(int vcpu);

  StealTime stealTime(int vcpu);

  /** The calling thread runs this vCPU from now on. */
  void enter(int vcpu);

  void reset();

  /** Sets them up as a BIOS leaves them: vectors 0x08 and 0x70, only the tick passes, 18.2 a second. */
  void presetByBios();

  /** Adds every part of the board that has state, in the order in which they are restored. */
  void addParts(Map<String, Snapshottable<?>> parts);

  /** The state of the controllers, for a person who looks why a guest hangs. */
  String report();
}
