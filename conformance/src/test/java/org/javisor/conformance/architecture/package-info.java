/** Rules of the module structure that the compiler does not check. */
package org.javisor.conformance.architecture;
