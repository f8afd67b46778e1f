/**
 * Machine memory: frames, guest-physical maps, frame flags and native mappings.
 *
 * <p>{@link org.javisor.memory.RawMemory} is the only class of the whole program that touches raw
 * addresses. {@link org.javisor.memory.FrameArena} hands out 4 KiB machine frames of one lazily
 * backed mapping; {@link org.javisor.memory.GuestMemory} maps a guest's physical addresses
 * onto them and is what device models use for DMA. This package leans on nothing else of Javisor.
 */
package org.javisor.memory;
