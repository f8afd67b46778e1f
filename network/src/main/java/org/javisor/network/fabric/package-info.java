/**
 * Switches. {@link org.javisor.network.fabric.Switch} connects ports of one process; {@link
 * org.javisor.network.fabric.NamedSwitch} connects processes of one host under a name, each with a
 * switch of its own, in a star around the first one ({@link
 * org.javisor.network.fabric.SwitchTrunk}).
 */
package org.javisor.network.fabric;
