package org.javisor.conformance.io;

import java.io.IOException;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * PostgreSQL under {@code pgbench}: its machine is destroyed in the middle and started again, then
 * saved in the middle and restored. Nothing that it has told as done may be missing, sums that belong
 * together must agree, and its indexes must say what is in its tables.
 *
 * @param scale of pgbench: 100,000 accounts each
 * @param loadSeconds for how long pgbench works while the machine is saved
 */
record DatabaseCase(long scale, long loadSeconds) {
  private static final int CLIENTS = 4;

  /** A row that was told as done: behind its COMMIT its number went to the console. */
  private static final Pattern TOLD = Pattern.compile("@row (\\d+)\n");

  /** How many of these there must be before the plug is pulled. */
  private static final int ROWS = 10;

  private static final Pattern DONE =
      Pattern.compile("number of transactions actually processed: (\\d+)");

  private static final Pattern FAILED =
      Pattern.compile("number of failed transactions: (\\d+)");

  String run(IoGuest guest)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    guest.until("pg_isready");
    asPostgres(guest, "createdb bench && pgbench -q -i -s " + scale + " bench > /dev/null 2>&1");
    sql(guest, "create table told (id serial primary key)");
    long last = destroyUnderLoad(guest);
    guest.start();
    guest.until("pg_isready");
    String there = sql(guest, "select max(id) from told");
    TransferCases.expect(
        there.matches("\\d+") && Long.parseLong(there) >= last,
        "row " + last + ", which was told as done, or a later one", there);
    expectConsistent(guest);
    long processed = saveUnderLoad(guest);
    expectConsistent(guest);
    return "intact after destroy (row " + last + " was the last told as done, " + there
        + " the last there) and after save and restore (" + processed
        + " transactions, none failed)";
  }

  /** Pulls the plug of a database at work; returns the last row that it told as done. */
  private long destroyUnderLoad(IoGuest guest)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    guest.run(
        "(su postgres -c 'pgbench -n -c " + CLIENTS + " -T 3600 bench' > /dev/null 2>&1 &)");
    guest.run(
        "(while :; do echo \"insert into told default values returning id;\"; sleep 0.2; done"
            + " | su postgres -c 'stdbuf -oL psql -qAt bench' | sed -u 's/^/@row /' > /dev/ttyS0 &)");
    int rows = 0;
    for (long waited = 0; rows < ROWS; waited++) {
      TransferCases.expect(
          waited < guest.seconds(), ROWS + " rows in " + guest.seconds() + " s",
          String.valueOf(rows));
      Thread.sleep(1000);
      rows = (int) TOLD.matcher(guest.shown()).results().count();
    }
    // What is told from here on may be missed, which only makes the claim smaller.
    String shown = guest.shown();
    guest.destroy();
    long last = 0;
    Matcher told = TOLD.matcher(shown);
    while (told.find()) {
      last = Math.max(last, Long.parseLong(told.group(1)));
    }
    return last;
  }

  /** Saves and restores the machine while pgbench works; returns how much it got done. */
  private long saveUnderLoad(IoGuest guest)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    String before = sql(guest, "select count(*) from pgbench_history");
    guest.run(
        "rm -f /tmp/done; ((su postgres -c 'pgbench -n -c " + CLIENTS + " -T " + loadSeconds
            + " bench' > /tmp/pgbench.log 2>&1; echo $? > /tmp/done) > /dev/null 2>&1 &)");
    Thread.sleep(loadSeconds * 1000 / 3);
    guest.saveAndRestore();
    guest.until("[ -e /tmp/done ]");
    String report = guest.run("cat /tmp/pgbench.log /tmp/done");
    Matcher done = DONE.matcher(report);
    Matcher failed = FAILED.matcher(report);
    TransferCases.expect(
        report.endsWith("\n0") && done.find() && failed.find() && failed.group(1).equals("0"),
        "pgbench's good end", report);
    String after = sql(guest, "select count(*) from pgbench_history");
    long processed = Long.parseLong(done.group(1));
    TransferCases.expect(
        Long.parseLong(before) + processed == Long.parseLong(after),
        before + " and " + processed + " rows of history", after);
    return processed;
  }

  private static void expectConsistent(IoGuest guest)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    String sums =
        sql(
            guest,
            "select (select sum(abalance) from pgbench_accounts),"
                + " (select sum(tbalance) from pgbench_tellers),"
                + " (select sum(bbalance) from pgbench_branches),"
                + " (select coalesce(sum(delta), 0) from pgbench_history)");
    String[] each = sums.split("\\|");
    TransferCases.expect(
        each.length == 4 && each[0].equals(each[1]) && each[0].equals(each[2])
            && each[0].equals(each[3]),
        "four equal sums", sums);
    // Not in the path, where only what serves every version is.
    asPostgres(
        guest, "/usr/lib/postgresql/*/bin/pg_amcheck --install-missing --heapallindexed bench");
  }

  private static String sql(IoGuest guest, String statement)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    return asPostgres(guest, "psql -qAt -c \"" + statement + "\" bench");
  }

  private static String asPostgres(IoGuest guest, String command)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    // Root's folder is not postgres's to be in.
    return guest.run("(cd /; su postgres -c '" + command + "')");
  }
}
