package org.javisor.conformance.litmus;

/** One instruction of a {@link LitmusTest}, on one of its variables. */
sealed interface Op {
  /** Whether it reads into a register of its own, which is part of the outcome. */
  default boolean reads() {
    return !(this instanceof Store || this instanceof Fence);
  }

  /** MOV to memory. */
  record Store(int variable, int value) implements Op {}

  /** MOV from memory. */
  record Load(int variable) implements Op {}

  /** MFENCE. */
  record Fence() implements Op {}

  /** XCHG: stores, and reads what was there. */
  record Exchange(int variable, int value) implements Op {}

  /** LOCK XADD: adds, and reads what was there. */
  record Add(int variable, int value) implements Op {}

  /** LOCK CMPXCHG: stores if memory holds what is expected, and reads what was there. */
  record CompareExchange(int variable, int expected, int value) implements Op {}
}
