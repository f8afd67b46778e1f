/** The only sources of time and randomness of the whole program. */
package org.javisor.accelerator.time;
