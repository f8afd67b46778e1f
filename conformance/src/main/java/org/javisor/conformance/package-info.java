/**
 * Javisor's CPU against the silicon: {@link org.javisor.conformance.HostCpu} runs instruction bytes
 * on the host's CPU in a process of their own and reports the complete state after them.
 */
package org.javisor.conformance;
