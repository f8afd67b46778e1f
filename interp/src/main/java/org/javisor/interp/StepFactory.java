package org.javisor.interp;

import org.javisor.isa.Instruction;

/** Chooses the step for an instruction: a specialised one where it has one, else its handler. */
final class StepFactory {
  private StepFactory() {}

  static Step make(Instruction in, long rip, long nextRip, boolean ends) {
    Instruction copy = in.copy();
    if (!ends) {
      return new GenericStep(copy);
    }
    return Handlers.setsRip(in.form)
        ? new GenericStep.Branch(copy)
        : new GenericStep.Last(copy, nextRip);
  }
}
