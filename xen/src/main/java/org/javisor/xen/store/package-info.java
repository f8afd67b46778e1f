/**
 * xenstore: a small tree of strings by which domains, back ends and tools find each other.
 *
 * <p>{@link org.javisor.xen.store.Store} is the tree with transactions, watches, permissions and
 * quotas. A {@link org.javisor.xen.store.StoreSession} speaks the wire protocol for one connection,
 * which is a domain's ring ({@link org.javisor.xen.store.StoreRing}) or a client of the UNIX socket
 * ({@link org.javisor.xen.store.StoreSocket}), as Debian's {@code xenstore-ls} is.
 *
 * <p>Source: Xen docs/misc/xenstore.txt, public/io/xs_wire.h. Leans on the hypervisor only for the
 * ring's page and event channel.
 */
package org.javisor.xen.store;
