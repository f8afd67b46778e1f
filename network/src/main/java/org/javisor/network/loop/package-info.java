/**
 * The one thread of a network: {@link org.javisor.network.loop.NetworkLoop} waits for sockets,
 * doorbells and timers and runs what each asks for. Whatever a network consists of lives on this
 * thread and needs no locks; {@link org.javisor.network.loop.FrameQueue} is how frames of other
 * threads get there, {@link org.javisor.network.loop.GuestLink} how frames leave it for a card.
 */
package org.javisor.network.loop;
