/**
 * PCI: configuration mechanism 1 and bus 0, the base class of devices with their base addresses and
 * interrupts (INTx, MSI, MSI-X), and the 440FX/PIIX chips that firmware knows.
 *
 * <p>Leans on {@code bus}; interrupts leave through lines and a message target given by the
 * assembly.
 */
package org.javisor.pc.pci;
