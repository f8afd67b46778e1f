/** The VirtIO entropy device (VirtIO 1.2, section 5.4): randomness for guests. */
package org.javisor.virtio.entropy;
