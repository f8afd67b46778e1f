package org.javisor.kvm.host;

/**
 * Numbers of the KVM interface: requests, extensions, exit reasons, and where members of its
 * structures lie. Only what is used.
 *
 * <p>Source: the Linux kernel's Documentation/virt/kvm/api.rst, include/uapi/linux/kvm.h and
 * arch/x86/include/uapi/asm/kvm.h. They are stable: the kernel's interface does not change.
 */
public final class KvmAbi {
  public static final int API_VERSION = 12;

  // ---- Requests to the system descriptor ----------------------------------------------------

  public static final long GET_API_VERSION = 0xae00;
  public static final long CREATE_VM = 0xae01;
  public static final long GET_MSR_INDEX_LIST = 0xc004_ae02L;
  public static final long CHECK_EXTENSION = 0xae03;
  public static final long GET_VCPU_MMAP_SIZE = 0xae04;
  public static final long GET_SUPPORTED_CPUID = 0xc008_ae05L;

  // ---- Requests to a virtual machine --------------------------------------------------------

  public static final long CREATE_VCPU = 0xae41;
  public static final long GET_DIRTY_LOG = 0x4010_ae42L;
  public static final long SET_USER_MEMORY_REGION = 0x4020_ae46L;
  public static final long SET_TSS_ADDR = 0xae47;
  public static final long SET_IDENTITY_MAP_ADDR = 0x4008_ae48L;
  public static final long CREATE_IRQCHIP = 0xae60;
  public static final long IRQ_LINE = 0x4008_ae61L;
  public static final long GET_IRQCHIP = 0xc208_ae62L;
  public static final long SET_IRQCHIP = 0x8208_ae63L;
  public static final long SET_GSI_ROUTING = 0x4008_ae6aL;
  public static final long IRQFD = 0x4020_ae76L;
  public static final long CREATE_PIT2 = 0x4040_ae77L;
  public static final long IOEVENTFD = 0x4040_ae79L;
  public static final long SET_CLOCK = 0x4030_ae7bL;
  public static final long GET_CLOCK = 0x8030_ae7cL;
  public static final long GET_PIT2 = 0x8070_ae9fL;
  public static final long SET_PIT2 = 0x4070_aea0L;
  public static final long ENABLE_CAP = 0x4068_aea3L;
  public static final long SIGNAL_MSI = 0x4020_aea5L;
  public static final long X86_SET_MSR_FILTER = 0x4188_aec6L;

  // ---- Requests to a vCPU -------------------------------------------------------------------

  public static final long RUN = 0xae80;
  public static final long GET_REGS = 0x8090_ae81L;
  public static final long SET_REGS = 0x4090_ae82L;
  public static final long GET_SREGS = 0x8138_ae83L;
  public static final long SET_SREGS = 0x4138_ae84L;
  public static final long INTERRUPT = 0x4004_ae86L;
  public static final long GET_MSRS = 0xc008_ae88L;
  public static final long SET_MSRS = 0x4008_ae89L;
  public static final long GET_LAPIC = 0x8400_ae8eL;
  public static final long SET_LAPIC = 0x4400_ae8fL;
  public static final long SET_CPUID2 = 0x4008_ae90L;
  public static final long GET_MP_STATE = 0x8004_ae98L;
  public static final long SET_MP_STATE = 0x4004_ae99L;
  public static final long NMI = 0xae9a;
  public static final long SET_GUEST_DEBUG = 0x4048_ae9bL;
  public static final long GET_VCPU_EVENTS = 0x8040_ae9fL;
  public static final long SET_VCPU_EVENTS = 0x4040_aea0L;
  public static final long GET_DEBUGREGS = 0x8080_aea1L;
  public static final long SET_DEBUGREGS = 0x4080_aea2L;
  public static final long GET_TSC_KHZ = 0xaea3;
  public static final long GET_XSAVE = 0x9000_aea4L;
  public static final long SET_XSAVE = 0x5000_aea5L;

  public static final long SET_DEVICE_ATTR = 0x4018_aee1L;
  public static final long GET_DEVICE_ATTR = 0x4018_aee2L;
  public static final long GET_XCRS = 0x8188_aea6L;
  public static final long SET_XCRS = 0x4188_aea7L;

  // ---- Extensions ---------------------------------------------------------------------------

  public static final int CAP_IRQCHIP = 0;
  public static final int CAP_USER_MEMORY = 3;
  public static final int CAP_SET_TSS_ADDR = 4;
  public static final int CAP_EXT_CPUID = 7;
  public static final int CAP_NR_MEMSLOTS = 10;
  public static final int CAP_MP_STATE = 14;
  public static final int CAP_DESTROY_MEMORY_REGION_WORKS = 21;
  public static final int CAP_USER_NMI = 22;
  public static final int CAP_SET_GUEST_DEBUG = 23;
  public static final int CAP_IRQ_ROUTING = 25;
  public static final int CAP_IRQFD = 32;
  public static final int CAP_PIT2 = 33;
  public static final int CAP_PIT_STATE2 = 35;
  public static final int CAP_IOEVENTFD = 36;
  public static final int CAP_VCPU_EVENTS = 41;
  public static final int CAP_HYPERV = 44;
  public static final int CAP_DEBUGREGS = 50;
  public static final int CAP_XSAVE = 55;
  public static final int CAP_XCRS = 56;
  public static final int CAP_GET_TSC_KHZ = 61;
  public static final int CAP_TSC_DEADLINE_TIMER = 72;
  public static final int CAP_SIGNAL_MSI = 77;
  public static final int CAP_READONLY_MEM = 81;
  public static final int CAP_IOEVENTFD_ANY_LENGTH = 122;
  public static final int CAP_IMMEDIATE_EXIT = 136;
  public static final int CAP_X86_USER_SPACE_MSR = 188;
  public static final int CAP_X86_MSR_FILTER = 189;

  // ---- Exit reasons -------------------------------------------------------------------------

  public static final int EXIT_IO = 2;
  public static final int EXIT_DEBUG = 4;
  public static final int EXIT_HLT = 5;
  public static final int EXIT_MMIO = 6;
  public static final int EXIT_IRQ_WINDOW_OPEN = 7;
  public static final int EXIT_SHUTDOWN = 8;
  public static final int EXIT_FAIL_ENTRY = 9;
  public static final int EXIT_INTR = 10;
  public static final int EXIT_SET_TPR = 11;
  public static final int EXIT_INTERNAL_ERROR = 17;
  public static final int EXIT_SYSTEM_EVENT = 24;
  public static final int EXIT_X86_RDMSR = 29;
  public static final int EXIT_X86_WRMSR = 30;

  public static final int INTERNAL_ERROR_EMULATION = 1;

  public static final int SYSTEM_EVENT_SHUTDOWN = 1;
  public static final int SYSTEM_EVENT_RESET = 2;
  public static final int SYSTEM_EVENT_CRASH = 3;

  // ---- struct kvm_regs: rax rbx rcx rdx rsi rdi rsp rbp r8-r15 rip rflags --------------------

  public static final int REGS_SIZE = 144;
  public static final int REGS_R8 = 64;
  public static final int REGS_RIP = 128;
  public static final int REGS_RFLAGS = 136;

  // ---- struct kvm_sregs: cs ds es fs gs ss tr ldt, gdt idt, control registers -----------------

  public static final int SREGS_SIZE = 312;
  public static final int SREGS_CS = 0;
  public static final int SREGS_DS = 24;
  public static final int SREGS_ES = 48;
  public static final int SREGS_FS = 72;
  public static final int SREGS_GS = 96;
  public static final int SREGS_SS = 120;
  public static final int SREGS_TR = 144;
  public static final int SREGS_LDT = 168;
  public static final int SREGS_GDT = 192;
  public static final int SREGS_IDT = 208;
  public static final int SREGS_CR0 = 224;
  public static final int SREGS_CR2 = 232;
  public static final int SREGS_CR3 = 240;
  public static final int SREGS_CR4 = 248;
  public static final int SREGS_CR8 = 256;
  public static final int SREGS_EFER = 264;
  public static final int SREGS_APIC_BASE = 272;
  public static final int SREGS_INTERRUPTS = 280;

  /** struct kvm_segment. */
  public static final int SEGMENT_LIMIT = 8;

  public static final int SEGMENT_SELECTOR = 12;
  public static final int SEGMENT_TYPE = 14;
  public static final int SEGMENT_PRESENT = 15;
  public static final int SEGMENT_DPL = 16;
  public static final int SEGMENT_DB = 17;
  public static final int SEGMENT_S = 18;
  public static final int SEGMENT_L = 19;
  public static final int SEGMENT_G = 20;
  public static final int SEGMENT_AVL = 21;
  public static final int SEGMENT_UNUSABLE = 22;

  // ---- Other structures ---------------------------------------------------------------------

  public static final int EVENTS_SIZE = 64;
  public static final int EVENTS_INTERRUPT_INJECTED = 8;
  public static final int EVENTS_INTERRUPT_NUMBER = 9;
  public static final int EVENTS_INTERRUPT_SHADOW = 11;
  public static final int EVENTS_NMI_INJECTED = 12;
  public static final int EVENTS_NMI_PENDING = 13;
  public static final int EVENTS_NMI_MASKED = 14;
  public static final int EVENTS_FLAGS = 20;

  /** KVM_X86_SHADOW_INT_STI. */
  public static final int SHADOW_STI = 2;

  /** The members guarded by flags are valid: pending NMI and interrupt shadow. */
  public static final int EVENTS_VALID_NMI_AND_SHADOW = 1 | 4;

  public static final int DEBUGREGS_SIZE = 128;
  public static final int DEBUGREGS_DR6 = 32;
  public static final int DEBUGREGS_DR7 = 40;

  public static final int XSAVE_SIZE = 4096;
  public static final int XSAVE_BITMAP = 512;
  public static final int XSAVE_AVX = 576;

  public static final int XCRS_SIZE = 392;
  public static final int XCRS_FIRST_VALUE = 16;

  public static final int GUEST_DEBUG_SIZE = 72;
  public static final int GUEST_DEBUG_DR = 8;
  public static final int GUEST_DEBUG_DR7 = 64;
  public static final int GUEST_DEBUG_ENABLE = 1;
  public static final int GUEST_DEBUG_SINGLE_STEP = 2;
  public static final int GUEST_DEBUG_USE_HARDWARE = 0x2_0000;

  public static final int CPUID_HEADER = 8;
  public static final int CPUID_ENTRY = 40;
  public static final int CPUID_SIGNIFICANT_INDEX = 1;

  public static final int MSRS_HEADER = 8;
  public static final int MSR_ENTRY = 16;

  public static final int LAPIC_SIZE = 1024;

  /** struct kvm_device_attr: flags, group, attribute, address of the value. */
  public static final int DEVICE_ATTR_SIZE = 24;

  /** Group and attribute of a vCPU's time-stamp counter, relative to the host's. */
  public static final int VCPU_TSC_CTRL = 0;

  public static final int VCPU_TSC_OFFSET = 0;

  /** struct kvm_irqchip: chip, padding, and the chip's registers. */
  public static final int IRQCHIP_SIZE = 520;

  public static final int IRQCHIP_REGISTERS = 8;

  /** struct kvm_pit_state2: three channels, flags. */
  public static final int PIT_SIZE = 112;

  public static final int PIT_FLAGS = 72;
  public static final int PIT_HPET_LEGACY = 1;

  public static final int MEMORY_LOG_DIRTY = 1;
  public static final int MEMORY_READONLY = 2;

  public static final int MP_RUNNABLE = 0;
  public static final int MP_UNINITIALIZED = 1;
  public static final int MP_HALTED = 3;
  public static final int MP_SIPI_RECEIVED = 4;

  private KvmAbi() {}
}
