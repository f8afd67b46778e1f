package org.javisor.bench;

/** One of those that are compared: it runs rows. */
interface Subject extends AutoCloseable {
  /** As in the table: the name of a column. */
  String name();

  /** Runs a row to its end. */
  Sample run(String row) throws SubjectFailure, InterruptedException;

  @Override
  void close();
}
