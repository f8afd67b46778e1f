/**
 * Time as devices use it: timers that a test can drive, tick conversions, and the guest's
 * time-stamp counter. Leans on the accelerator's Clock and Timers; no class here reads a host
 * clock.
 */
package org.javisor.pc.time;
