/**
 * Reading ELF files: kernels, kernel modules, programs. Source: System V ABI, chapters 4 and 5, and
 * its AMD64 supplement. Little endian, 32 and 64 bit. Every offset and size is checked against the
 * file before it is used.
 */
package org.javisor.storage.elf;
