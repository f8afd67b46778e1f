/**
 * ACPI: the fixed power-management hardware, and the tables that describe the machine to the
 * guest, their AML written by a small builder. Leans on {@code bus} and {@code time}.
 */
package org.javisor.pc.acpi;
