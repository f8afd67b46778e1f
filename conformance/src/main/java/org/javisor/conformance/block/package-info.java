/**
 * Random blocks of instructions, with everything that may come in between, on two accelerators: what
 * one leaves of registers and memory, the other must.
 */
package org.javisor.conformance.block;
