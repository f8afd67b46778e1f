/**
 * The {@code --net} option: {@link org.javisor.network.option.NetOption} is what it says, checked, and
 * opens the network it describes.
 */
package org.javisor.network.option;
