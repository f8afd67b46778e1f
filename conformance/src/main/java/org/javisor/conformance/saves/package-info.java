/** Domains of Xen that are saved and restored in the middle of their work, again and again. */
package org.javisor.conformance.saves;
