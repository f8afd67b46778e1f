package org.javisor.interp;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.javisor.memory.RawMemory;

/**
 * What makes an access of one vCPU atomic for all others: compare-and-set where Java has one, and
 * stopping the others where it has none (an operand across two words or pages, device memory, 16
 * bytes).
 *
 * <p>A vCPU is <i>inside</i> while it may execute instructions. Between two blocks it looks whether
 * another one wants to be alone, and stands until that one has finished.
 */
final class Exclusion {
  private final List<InterpVcpu> vcpus = new ArrayList<>();
  private final List<InterpVcpu> inside = new ArrayList<>();

  /** Who is alone, or wants to be. */
  private InterpVcpu owner;

  synchronized void add(InterpVcpu vcpu) {
    vcpus.add(vcpu);
  }

  /** The vCPU is about to execute instructions; waits while another one is alone. */
  synchronized void enter(InterpVcpu vcpu) {
    awaitUntil(() -> owner == null);
    inside.add(vcpu);
  }

  /** The vCPU executes nothing until it enters again. */
  synchronized void leave(InterpVcpu vcpu) {
    inside.remove(vcpu);
    notifyAll();
  }

  /**
   * Has {@code last} run once every other vCPU has been between two blocks, by the last of them; not
   * at all if no other one is inside.
   */
  synchronized void whenOthersWereBetweenBlocks(InterpVcpu vcpu, Runnable last) {
    List<InterpVcpu> others = new ArrayList<>(inside);
    others.remove(vcpu);
    AtomicInteger remaining = new AtomicInteger(others.size());
    for (InterpVcpu other : others) {
      other.betweenBlocks(
          () -> {
            if (remaining.decrementAndGet() == 0) {
              last.run();
            }
          });
    }
  }

  /** The vCPU is between two blocks: others may go first. */
  void yield(InterpVcpu vcpu) {
    synchronized (this) {
      if (owner != null && owner != vcpu) {
        leave(vcpu);
        enter(vcpu);
      }
    }
  }

  /** Waits, interrupted or not, with the monitor given up. */
  private synchronized void awaitUntil(BooleanSupplier condition) {
    boolean interrupted = false;
    while (!condition.getAsBoolean()) {
      try {
        wait();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Runs an action of a vCPU that is inside while no other one is. */
  void alone(InterpVcpu vcpu, Runnable action) {
    aloneFor(
        vcpu,
        () -> {
          action.run();
          return true;
        });
  }

  private synchronized boolean aloneFor(InterpVcpu vcpu, BooleanSupplier action) {
    if (vcpus.size() > 1) {
      leave(vcpu);
      becomeOwner(vcpu);
    }
    try {
      return action.getAsBoolean();
    } finally {
      resign(vcpu);
    }
  }

  private void becomeOwner(InterpVcpu vcpu) {
    awaitUntil(() -> owner == null);
    owner = vcpu;
    inside.forEach(InterpVcpu::standAside);
    awaitUntil(inside::isEmpty);
    inside.add(vcpu);
  }

  private void resign(InterpVcpu vcpu) {
    if (owner == vcpu) {
      owner = null;
      notifyAll();
    }
  }

  /**
   * Has a vCPU wait in the middle of an instruction, for a device, without keeping any other one
   * from anything. Who is alone is not meanwhile: what a device does is no vCPU's access.
   */
  void outside(InterpVcpu vcpu, Runnable wait) {
    boolean alone;
    synchronized (this) {
      alone = owner == vcpu;
      resign(vcpu);
      leave(vcpu);
    }
    try {
      wait.run();
    } finally {
      synchronized (this) {
        if (alone) {
          becomeOwner(vcpu);
        } else {
          enter(vcpu);
        }
      }
    }
  }

  /**
   * Compare-and-set of 1, 2, 4 or 8 bytes of memory within one page.
   *
   * @param host where {@code va} is on the host
   */
  boolean replace(Cpu c, long va, long host, int size, long expected, long value) {
    int at = (int) host & 7;
    if (at + size > 8) {
      return replaceAlone(c, va, size, expected, value);
    }
    if (size == 8) {
      return RawMemory.compareAndSet64(host, expected, value);
    }
    if (size == 4 && (at & 3) == 0) {
      return RawMemory.compareAndSet32(host, (int) expected, (int) value);
    }
    // The word around it; what changes beside the operand only makes the caller try again.
    long mask = (1L << 8 * size) - 1;
    int shift = 8 * at;
    long word = RawMemory.get64(host - at);
    return ((word >>> shift ^ expected) & mask) == 0
        && RawMemory.compareAndSet64(
            host - at, word, word & ~(mask << shift) | (value & mask) << shift);
  }

  /** The same wherever the operand is. */
  boolean replaceAlone(Cpu c, long va, int size, long expected, long value) {
    return aloneFor(
        c.vcpu,
        () -> {
          if (!c.mmu.isDevice(va) && c.load(va, size) != expected) {
            return false;
          }
          c.store(va, size, value);
          return true;
        });
  }
}
