package org.javisor.xen.hypervisor;

import java.util.BitSet;
import org.javisor.memory.FrameArena;

/**
 * Which pages of a domain were written since somebody last asked: what the copying of a domain that
 * runs goes by. Frames that have not been written since are marked ({@link FrameArena#LOG}), and a
 * vCPU that writes to one takes the mark away and has to look no further until the next question.
 *
 * <p>What others may write at any time without looking counts as written: pages that are granted to
 * them, and those in which the hypervisor tells vCPUs of events.
 */
public final class DirtyLog {
  private static final long PAGE = FrameArena.FRAME_SIZE;

  private final Domain domain;
  private boolean on;

  DirtyLog(Domain domain) {
    this.domain = domain;
  }

  public synchronized boolean isOn() {
    return on;
  }

  /** Begins; nothing counts as written. */
  public synchronized void start() {
    on = true;
    each(
        (number, frame) -> {
          domain.host().arena().setFlags(frame, FrameArena.LOG);
        });
  }

  public synchronized void stop() {
    if (on) {
      on = false;
      each((number, frame) -> domain.host().arena().clearFlags(frame, FrameArena.LOG));
    }
  }

  /**
   * The pages that were written: by guest frame number, for PV domains by what they call their
   * frames.
   *
   * @param again whether they count as not written from now on
   */
  public synchronized BitSet written(boolean again) {
    FrameArena arena = domain.host().arena();
    BitSet held = new BitSet();
    domain.grants().heldForWriting(held);
    domain.vcpus().forEach(vcpu -> vcpu.addInfoFrame(held));
    BitSet written = new BitSet();
    each(
        (number, frame) -> {
          if ((arena.flags(frame) & FrameArena.LOG) == 0) {
            written.set(number);
            if (again) {
              arena.setFlags(frame, FrameArena.LOG);
            }
          } else if (held.get(frame)) {
            written.set(number);
          }
        });
    return written;
  }

  @FunctionalInterface
  private interface Visitor {
    void visit(int number, int frame);
  }

  /** Visits all of the domain's own pages while no vCPU runs, and has them look anew afterwards. */
  private void each(Visitor visitor) {
    domain.pause();
    try {
      PvMemory pv = domain.pv();
      long end = domain.memory().end();
      for (long gpa = 0; gpa < end; gpa += PAGE) {
        int frame = domain.memory().frame(gpa);
        if (frame >= 0 && domain.owns(gpa)) {
          long number = pv == null ? gpa / PAGE : pv.pfn(frame);
          if (number >= 0 && number <= Integer.MAX_VALUE) {
            visitor.visit((int) number, frame);
          }
        }
      }
      domain.memory().forgetTranslations();
    } finally {
      domain.unpause();
    }
  }
}
