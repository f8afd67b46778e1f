package org.javisor.xen.domain;

import java.util.function.IntFunction;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.Trace;
import org.javisor.xen.hypervisor.Hypervisor;

/**
 * What domains are built on.
 *
 * @param cpuModels the CPU that guests see, by the number of vCPUs
 */
public record Machinery(
    Hypervisor hypervisor,
    Accelerator accelerator,
    IntFunction<CpuModel> cpuModels,
    Trace trace) {}
