/**
 * Saved machines as files: a header, the memory in compressed runs of pages, an index of these, and
 * the state of everything else as {@link org.javisor.accelerator.state.StateWriter} writes it.
 *
 * <p>{@link org.javisor.accelerator.state.file.SaveFileWriter} writes such a file beside its final name and
 * moves it there when it is complete; {@link org.javisor.accelerator.state.file.SaveFile} reads one, which
 * may be damaged or hostile. Neither knows what a machine is.
 */
package org.javisor.accelerator.state.file;
