/** What a PC is made of: sizes, addresses and choices that devices and tables agree on. */
package org.javisor.pc.config;
