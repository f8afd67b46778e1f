/**
 * Disks, as device models see them.
 *
 * <p>{@link org.javisor.storage.block.BlockDevice} is the interface that VirtIO and IDE use: a
 * {@link org.javisor.storage.block.BlockRequest} is submitted without blocking and completed later
 * on another thread. Below it, {@link org.javisor.storage.block.DiskImage} is the same disk as
 * plain blocking calls, which is what a format implements; {@link
 * org.javisor.storage.block.ImageDevice} runs those calls on {@link
 * org.javisor.storage.block.BlockWorkers}. {@link org.javisor.storage.block.HoldingDevice} keeps
 * requests that the host could not serve until someone has made room.
 *
 * <p>The formats live in sub-packages: {@code file} has raw images and everything that touches the
 * host's files, {@code qcow2} the format of that name, {@code tool} opens an image of any format and
 * makes, checks, converts and resizes images.
 *
 * <p>Whatever goes wrong is a {@link org.javisor.storage.block.BlockException} with a reason for
 * programs and a line for people.
 */
package org.javisor.storage.block;
