/**
 * Drivers that know no rules: a string of bytes becomes what a guest does to a device. Each target of
 * {@link org.javisor.virtio.fuzz.Targets} has the form that coverage-guided fuzzers look for; {@link
 * org.javisor.virtio.fuzz.FuzzTest} feeds them fixed-seed noise.
 */
package org.javisor.virtio.fuzz;
