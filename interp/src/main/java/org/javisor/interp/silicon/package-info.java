/**
 * Floating point and vectors on the host's own units.
 *
 * <p>An x87, MMX, SSE or AVX instruction of the guest is run by the same instruction of the host,
 * on the guest's registers in the vCPU block: {@link org.javisor.interp.silicon.SiliconUnit}
 * prepares an instruction once and then executes it as often as the guest does. What moves state
 * only ({@link org.javisor.interp.silicon.X87Control}, {@link
 * org.javisor.interp.silicon.FastPath}) or accesses memory by a mask ({@link
 * org.javisor.interp.silicon.MaskedMoves}) is Java.
 */
package org.javisor.interp.silicon;
