/**
 * The command line: {@code javisor} and its verbs.
 *
 * <p>{@link org.javisor.cli.Javisor} is where the program starts. Each verb is one class that reads
 * its options, makes the records the machine wants, and ends with an {@link
 * org.javisor.cli.ExitCode}. What a person did wrong is a {@link org.javisor.cli.UserError}: one
 * line, no stack trace. Everything for people goes to standard error; standard output belongs to
 * the guest's console or to the answer that was asked for.
 */
package org.javisor.cli;
