/**
 * Distribution packages: fetching them with the host's own apt, without root, and reading them in
 * Java.
 *
 * <p>{@link org.javisor.storage.packages.AptFetcher} keeps package lists and downloads in a folder
 * of the user's own; apt itself checks every signature. {@link
 * org.javisor.storage.packages.PackageArchive} reads {@code .deb} and {@code .rpm} files, whose
 * contents are hostile until checked: names are normalised and refused when they leave the tree,
 * sizes are bounded. {@link org.javisor.storage.packages.Compression} knows the formats found in
 * packages and in kernel images.
 *
 * <p>Long work reports to a {@link org.javisor.storage.packages.Progress}.
 */
package org.javisor.storage.packages;
