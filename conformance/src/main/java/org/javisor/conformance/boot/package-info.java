/**
 * Real guests: {@link org.javisor.conformance.boot.BootedGuest} boots one on a whole machine and has
 * a hand at its keyboard, {@link org.javisor.conformance.boot.BootConformance} does so many times and
 * with any kernel of the host's package sources.
 */
package org.javisor.conformance.boot;
