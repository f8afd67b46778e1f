package org.javisor.conformance.litmus;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Every outcome that a memory model permits a {@link LitmusTest}, by trying all orders.
 *
 * <p>x86-TSO: each processor has a queue of stores that have not reached memory. A load takes the
 * youngest store of its own queue to the same place, and memory if there is none. A fence waits until
 * the queue is empty; a locked instruction, too, and then reads and writes memory at once. Without
 * the queues it is sequential consistency.
 */
final class TsoModel {
  private final LitmusTest test;
  private final boolean buffered;
  private final Set<Long> outcomes = new HashSet<>();

  private TsoModel(LitmusTest test, boolean buffered) {
    this.test = test;
    this.buffered = buffered;
  }

  /** What x86-TSO permits. */
  static Set<Long> permitted(LitmusTest test) {
    return new TsoModel(test, true).explore();
  }

  /** What could be seen if memory had no store buffers in front of it. */
  static Set<Long> sequential(LitmusTest test) {
    return new TsoModel(test, false).explore();
  }

  /** Where all processors are: a value, so that no place is looked at twice. */
  private record State(int[] next, int[][] queues, int[] memory, int[][] reads) {
    State copy() {
      return new State(
          next.clone(), deep(queues), memory.clone(), deep(reads));
    }

    private static int[][] deep(int[][] a) {
      int[][] b = new int[a.length][];
      for (int i = 0; i < a.length; i++) {
        b[i] = a[i].clone();
      }
      return b;
    }

    @Override
    public boolean equals(Object o) {
      return o instanceof State s
          && Arrays.equals(next, s.next)
          && Arrays.deepEquals(queues, s.queues)
          && Arrays.equals(memory, s.memory)
          && Arrays.deepEquals(reads, s.reads);
    }

    @Override
    public int hashCode() {
      return ((Arrays.hashCode(next) * 31 + Arrays.deepHashCode(queues)) * 31
          + Arrays.hashCode(memory)) * 31 + Arrays.deepHashCode(reads);
    }
  }

  private Set<Long> explore() {
    int n = test.threads().size();
    Set<State> seen = new HashSet<>();
    Deque<State> open = new ArrayDeque<>();
    open.add(new State(new int[n], new int[n][0], new int[test.variables()], new int[n][0]));
    while (!open.isEmpty()) {
      State s = open.pop();
      if (!seen.add(s)) {
        continue;
      }
      boolean ended = true;
      for (int t = 0; t < n; t++) {
        if (s.queues[t].length > 0) {
          ended = false;
          open.push(drain(s, t));
        }
        if (s.next[t] < test.threads().get(t).size()) {
          ended = false;
          State after = step(s, t, test.threads().get(t).get(s.next[t]));
          if (after != null) {
            open.push(after);
          }
        }
      }
      if (ended) {
        outcomes.add(outcome(s));
      }
    }
    return outcomes;
  }

  /** The oldest store of a queue reaches memory. */
  private static State drain(State s, int t) {
    State after = s.copy();
    int store = s.queues[t][0];
    after.memory[store >> 8] = store & 0xff;
    after.queues[t] = Arrays.copyOfRange(s.queues[t], 1, s.queues[t].length);
    return after;
  }

  /** The next instruction of a processor, or null if it has to wait. */
  private State step(State s, int t, Op op) {
    boolean drained = s.queues[t].length == 0;
    if (!drained && !(op instanceof Op.Store || op instanceof Op.Load)) {
      return null;
    }
    State after = s.copy();
    after.next[t]++;
    switch (op) {
      case Op.Store(int v, int value) -> {
        if (buffered) {
          after.queues[t] = append(s.queues[t], v << 8 | value);
        } else {
          after.memory[v] = value;
        }
      }
      case Op.Load(int v) -> read(after, t, newest(s, t, v));
      case Op.Fence() -> {}
      case Op.Exchange(int v, int value) -> {
        read(after, t, s.memory[v]);
        after.memory[v] = value;
      }
      case Op.Add(int v, int value) -> {
        read(after, t, s.memory[v]);
        after.memory[v] = s.memory[v] + value;
      }
      case Op.CompareExchange(int v, int expected, int value) -> {
        read(after, t, s.memory[v]);
        if (s.memory[v] == expected) {
          after.memory[v] = value;
        }
      }
    }
    return after;
  }

  private static int newest(State s, int t, int variable) {
    for (int i = s.queues[t].length - 1; i >= 0; i--) {
      if (s.queues[t][i] >> 8 == variable) {
        return s.queues[t][i] & 0xff;
      }
    }
    return s.memory[variable];
  }

  private static void read(State s, int t, int value) {
    s.reads[t] = append(s.reads[t], value);
  }

  private static int[] append(int[] a, int value) {
    int[] b = Arrays.copyOf(a, a.length + 1);
    b[a.length] = value;
    return b;
  }

  private static long outcome(State s) {
    List<int[]> parts = new java.util.ArrayList<>(Arrays.asList(s.reads));
    parts.add(s.memory);
    return LitmusTest.outcome(parts.stream().flatMapToInt(Arrays::stream).toArray());
  }
}
