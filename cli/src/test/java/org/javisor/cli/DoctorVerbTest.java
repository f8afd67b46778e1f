package org.javisor.cli;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.javisor.machine.HostReport;
import org.junit.jupiter.api.Test;

/** What the doctor says of hosts other than this one. */
class DoctorVerbTest {
  private static String said(HostReport.Kvm kvm, boolean json) {
    StringWriter text = new StringWriter();
    DoctorVerb.print(
        new HostReport(
            kvm,
            new HostReport.Cpu("a CPU", 4, "x86-64-v3", Optional.of("vmx"), Set.of("lm")),
            new HostReport.Memory(1L << 30, 1L << 29, true),
            false,
            "jit",
            "because",
            List.of("do this", "do that")),
        json,
        new PrintWriter(text));
    return text.toString();
  }

  /** Breaks if a person does not see who has the interrupt controllers, and why. */
  @Test
  void whoHasTheInterruptControllers() {
    assertTrue(
        said(new HostReport.Kvm(true, "", "", "kernel", ""), false)
            .contains("irqchip  the kernel's"));
    assertTrue(
        said(new HostReport.Kvm(true, "", "", "user", "it fails"), false)
            .contains("irqchip  this process's: it fails"));
    String none =
        said(new HostReport.Kvm(false, "device", "no device", "user", "no device"), false);
    assertFalse(none.contains("irqchip"), none);
    assertTrue(none.contains("kvm      not usable: no device"), none);
    assertTrue(none.contains("to do    do this\nto do    do that"), none);
  }

  /** Breaks if a program finds other keys, or a reason where there is none. */
  @Test
  void theSameForPrograms() {
    assertTrue(
        said(new HostReport.Kvm(true, "", "", "kernel", ""), true)
            .startsWith(
                "{\"kvm\":{\"usable\":true,\"failed_probe\":null,\"reason\":null,"
                    + "\"irqchip\":\"kernel\",\"irqchip_reason\":null}"));
    assertTrue(
        said(new HostReport.Kvm(false, "sse", "it fails sse", "user", "lacks it"), true)
            .startsWith(
                "{\"kvm\":{\"usable\":false,\"failed_probe\":\"sse\",\"reason\":\"it fails sse\","
                    + "\"irqchip\":\"user\",\"irqchip_reason\":\"lacks it\"}"));
  }
}
