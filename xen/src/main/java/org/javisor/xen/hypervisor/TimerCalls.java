package org.javisor.xen.hypervisor;

/** {@code set_timer_op}: the single-shot timer, by its old way in. */
final class TimerCalls implements HypercallFamily {
  @Override
  public long call(Call call) {
    long at = call.argument(0);
    call.vcpu.setTimer(at == 0 ? Long.MAX_VALUE : Math.max(at, 0));
    return 0;
  }
}
