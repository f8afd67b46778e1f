/**
 * The qcow2 image format, versions 2 and 3.
 *
 * <p>{@link org.javisor.storage.block.qcow2.Qcow2Image} is an open image. Its parts, from the
 * outside in:
 *
 * <ul>
 *   <li>{@code ClusterReader}, {@code ClusterWriter} and {@code ClusterEraser} split a request into
 *       runs of clusters and move the data;
 *   <li>{@code L2Tables} finds where a cluster of the guest lies in the file, through a {@code
 *       SliceCache} of bounded size;
 *   <li>{@code Refcounts} counts the references to each cluster of the file and hands out free ones;
 *   <li>{@code Committer} writes what changed in the tables in the one order that leaves the file
 *       sound whenever we die: counts before the tables that refer, tables before the tables above
 *       them, and clusters that lost a reference are used again only when no table on disk has it
 *       ({@code Reclaimer}).
 * </ul>
 *
 * <p>So after a crash a count may be too high, which wastes a cluster, and never too low. With lazy
 * refcounts the counts are not written at all; a bit in the header says so, and the next who opens
 * the image counts again ({@code RefcountRebuilder}).
 *
 * <p>{@link org.javisor.storage.block.qcow2.Qcow2Creator}, {@link
 * org.javisor.storage.block.qcow2.Qcow2Checker} and {@link
 * org.javisor.storage.block.qcow2.Qcow2Resizer} work on images that no disk uses.
 *
 * <p>Everything read from a file is hostile. Offsets are checked where they are used, tables are
 * bounded by the limits in {@link org.javisor.storage.block.qcow2.Header}, and a write that an
 * image directs onto its own tables is refused. Source of the format: "Qcow2 Image File Format" in
 * QEMU's interoperability documents.
 */
package org.javisor.storage.block.qcow2;
