/**
 * Work on whole images, of any format: what {@code javisor image} and machines that open disks use.
 *
 * <p>{@link org.javisor.storage.block.tool.Images} opens an image with all its backing files, finds
 * out formats, and makes new images. {@link org.javisor.storage.block.tool.ImageInfo} describes,
 * {@link org.javisor.storage.block.tool.ImageConverter} copies, and {@link
 * org.javisor.storage.block.tool.ImageCommitter} moves what an overlay holds into its backing file.
 */
package org.javisor.storage.block.tool;
