/**
 * ATA disks and ATAPI CD-ROM drives on the IDE function of the PIIX (AT Attachment with Packet
 * Interface 6, T13/1410D; Intel 82371SB data sheet; Bus Master IDE programming interface 1.0).
 *
 * <p>A {@code AtaChannel} is one cable: registers, data port and DMA engine, and up to two {@code
 * AtaDevice}s that carry out commands. Disks are {@code storage.block} devices: a command is
 * submitted and its end comes back on another thread, so that no vCPU waits for the host. Leans on
 * {@code pci} and {@code bus}.
 */
package org.javisor.pc.ata;
