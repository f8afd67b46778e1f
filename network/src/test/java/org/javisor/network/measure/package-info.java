/** Measures the router with a fake guest that is faster than any real one. Not a test. */
package org.javisor.network.measure;
