/**
 * The user-mode router: what {@code --net user} is. {@link org.javisor.network.user.UserNetwork} puts
 * it together and hands each frame to whom it concerns; {@link org.javisor.network.user.EgressPolicy}
 * says where the guest may go.
 */
package org.javisor.network.user;
