/**
 * A whole Debian at work on its disk and network: {@link org.javisor.conformance.io.IoGuest} starts one
 * with the program's own verbs, as a person does, and types at its console; each {@link
 * org.javisor.conformance.io.IoCase} has its programs do a piece of work whose result can be checked.
 */
package org.javisor.conformance.io;
