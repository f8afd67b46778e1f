/**
 * What a guest is offered because it knows that it runs on a hypervisor of KVM's kind: today the
 * paravirtual clock. Leans on memory and {@code time}.
 */
package org.javisor.pc.paravirt;
