package org.javisor.xen.hypervisor;

import org.javisor.accelerator.HypercallRegisters;
import org.javisor.memory.GuestMemory;

/** All hypercalls by number (public/xen.h, __HYPERVISOR_*), and how they are entered. */
public final class HypercallTable {
  static final int NUMBERS = 64;

  /** Where a PV guest's kernel goes back; no call that returns. */
  public static final int IRET = 23;

  private static final String[] NAMES = new String[NUMBERS];
  private static final int[] ARGUMENT_REGISTERS = {
    HypercallRegisters.RDI,
    HypercallRegisters.RSI,
    HypercallRegisters.RDX,
    HypercallRegisters.R10,
    HypercallRegisters.R8,
    HypercallRegisters.R9
  };

  private static final int[] ARGUMENT_REGISTERS_32 = {
    HypercallRegisters.RBX,
    HypercallRegisters.RCX,
    HypercallRegisters.RDX,
    HypercallRegisters.RSI,
    HypercallRegisters.RDI,
    HypercallRegisters.RBP
  };

  private final HypercallFamily[] families = new HypercallFamily[NUMBERS];
  private final CompatCalls compat = new CompatCalls(this);

  HypercallTable() {
    add(0, "set_trap_table", PvCalls.setTrapTable());
    add(1, "mmu_update", PagingCalls::update);
    add(2, "set_gdt", PvCalls.setGdt());
    add(3, "stack_switch", PvCalls.stackSwitch());
    add(4, "set_callbacks", PvCalls.setCallbacks());
    add(5, "fpu_taskswitch", PvCalls.taskSwitch());
    add(8, "set_debugreg", PvCalls.setDebugRegister());
    add(9, "get_debugreg", PvCalls.getDebugRegister());
    add(10, "update_descriptor", PvCalls.updateDescriptor());
    add(12, "memory_op", new MemoryCalls());
    add(13, "multicall", new MulticallCalls(this));
    add(14, "update_va_mapping", PagingCalls::updateMapping);
    add(15, "set_timer_op", new TimerCalls());
    add(17, "xen_version", new VersionCalls());
    add(18, "console_io", new ConsoleCalls());
    add(20, "grant_table_op", new GrantTableCalls());
    add(24, "vcpu_op", new VcpuCalls());
    add(25, "set_segment_base", PvCalls.setSegmentBase());
    add(26, "mmuext_op", PagingCalls::extended);
    add(29, "sched_op", new SchedCalls());
    add(30, "callback_op", PvCalls.callback());
    add(32, "event_channel_op", new EventChannelCalls());
    add(33, "physdev_op", new PhysdevCalls());
    add(34, "hvm_op", new HvmCalls());
    NAMES[IRET] = "iret";
    NAMES[21] = "vm_assist";
    NAMES[27] = "xsm_op";
    NAMES[40] = "xenpmu_op";
  }

  /** Has calls of a number served; before any domain runs. */
  public void add(int number, String name, HypercallFamily family) {
    families[number] = family;
    NAMES[number] = name;
  }

  /** The name of a hypercall, or its number where it has none here. */
  public static String name(int number) {
    return number < NUMBERS && NAMES[number] != null ? NAMES[number] : "hypercall " + number;
  }

  /** Numbers are below this. */
  public static int numbers() {
    return NUMBERS;
  }

  /**
   * Makes a hypercall by the convention of 64-bit guests: number in RAX, arguments in RDI, RSI, RDX,
   * R10, R8, R9, the result in RAX. In 32-bit code the arguments are in EBX, ECX, EDX, ESI, EDI, EBP.
   *
   * @return whether it is complete; if not, the instruction is to be executed again
   */
  public boolean enter(VirtualCpu vcpu, HypercallRegisters registers) {
    boolean wide = registers.is64Bit();
    if (!wide && !vcpu.domain().kind().isTranslated()) {
      registers.set(HypercallRegisters.RAX, Errno.ENOSYS);
      return true;
    }
    int[] places = wide ? ARGUMENT_REGISTERS : ARGUMENT_REGISTERS_32;
    Call call = vcpu.call;
    for (int i = 0; i < 6; i++) {
      call.arguments[i] = registers.get(places[i]);
    }
    long number = registers.get(HypercallRegisters.RAX);
    try {
      registers.set(
          HypercallRegisters.RAX, wide ? dispatch(number, call) : compat.call(number, call));
      return true;
    } catch (Call.Continued e) {
      for (int i = 0; i < 6; i++) {
        registers.set(places[i], call.arguments[i]);
      }
      // Whoever waits for this physical CPU, or for this vCPU to have been outside, gets his turn.
      vcpu.kick();
      return false;
    }
  }

  /** Counts a call that the domain's kind carries out itself. */
  public void count(VirtualCpu vcpu, int number) {
    vcpu.exits().hypercall(number);
  }

  /** Makes a call that is not a multicall's own entry again. */
  long dispatch(long number, Call call) throws Call.Continued {
    call.vcpu.exits().hypercall(number);
    if (number < 0 || number >= NUMBERS || families[(int) number] == null) {
      return Errno.ENOSYS;
    }
    try {
      return families[(int) number].call(call);
    } catch (GuestArguments.BadPointer | GuestMemory.BadAddress e) {
      return Errno.EFAULT; // The latter if another vCPU took the page away meanwhile.
    } catch (Call.Refused e) {
      return e.errno();
    }
  }
}
