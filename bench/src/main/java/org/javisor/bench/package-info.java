/**
 * Figures side by side: the same kernel and the same programs on the host, in QEMU and in Javisor.
 *
 * <p>{@link org.javisor.bench.Bench} is where {@code javisor bench} arrives; the launcher hands over
 * to it, since the program may not need what measures it. The programs are the C sources in {@code
 * src/main/guest}: {@link org.javisor.bench.GuestPrograms} has the host's gcc compile them, {@link
 * org.javisor.bench.BenchImage} packs them into an initramfs whose first process takes orders over
 * the serial line. {@link org.javisor.bench.Subject} is one of the three that are compared, {@link
 * org.javisor.bench.SideBySide} lets them take turns, {@link org.javisor.bench.Figures} is what comes
 * out. {@link org.javisor.bench.DeviceBench} does the same for disks and networks, with {@link
 * org.javisor.bench.Peer} as the other end.
 *
 * <p>{@link org.javisor.bench.XenBench} is {@code javisor bench xen}: {@link
 * org.javisor.bench.KindUnderTest} says which machines there are, {@link
 * org.javisor.bench.BenchMachine} runs one, {@link org.javisor.bench.XenFigures} is what comes out.
 *
 * <p>A subject is a process of its own and its CPU time is read from outside, whole, so that a
 * collector's or a compiler's thread counts like a vCPU's.
 */
package org.javisor.bench;
