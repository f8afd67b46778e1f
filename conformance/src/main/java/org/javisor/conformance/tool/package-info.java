/**
 * What the verbs of {@code javisor-conformance} share: their options, their exit codes and the
 * accelerators that they put to the test.
 */
package org.javisor.conformance.tool;
