/**
 * Saved state: what a machine is made of, apart from its memory, written down and read back.
 *
 * <p>Each part of a machine that has state is a {@link
 * org.javisor.accelerator.state.Snapshottable}: it gives its state as a record and takes one back.
 * The record is the format. {@link org.javisor.accelerator.state.StateFormat} writes its components
 * in order, little endian; a section carries a name, which the machine gives, and the kind and
 * version of the record. {@link org.javisor.accelerator.state.StateWriter} and {@link
 * org.javisor.accelerator.state.StateReader} put sections one after the other, each with a checksum.
 *
 * <p>A saved state may be damaged or hostile. What is read is bounded by what is there; records check
 * their components in their constructors; and a section that is missing, of another version or that
 * nobody asked for is refused by its name, in one line, as a {@link
 * org.javisor.accelerator.state.StateException}.
 */
package org.javisor.accelerator.state;
