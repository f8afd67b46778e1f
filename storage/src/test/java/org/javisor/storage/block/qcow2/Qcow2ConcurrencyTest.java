package org.javisor.storage.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockRequest;
import org.javisor.storage.block.BlockWorkers;
import org.javisor.storage.block.ImageDevice;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.tool.ImageFormat;
import org.javisor.storage.block.tool.Images;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Many requests in flight. Each of several users owns every so-maniest page of the disk, so that all
 * meet in every cluster, and one at a time changes or checks one of its pages.
 */
class Qcow2ConcurrencyTest {
  private static final int PAGE = 4096;
  private static final int PAGES = 6000;
  private static final int USERS = 12;
  private static final int STEPS = 2500;

  @TempDir Path folder;

  private BlockDevice disk;
  private final AtomicReference<Throwable> failure = new AtomicReference<>();
  private final CountDownLatch done = new CountDownLatch(USERS);

  /** Submits the next request from the completion of the one before. */
  private final class User {
    private final int index;
    private final Random random;
    private final int[] model = new int[PAGES / USERS];
    private final MemorySegment page;
    private int steps;
    private int checked = -1;

    User(int index, Arena arena) {
      this.index = index;
      random = new Random(index);
      page = arena.allocate(PAGE, 4096);
    }

    private long offset(int own) {
      return ((long) own * USERS + index) * PAGE;
    }

    void next(BlockException failed) {
      try {
        if (failed != null) {
          throw failed;
        }
        if (checked >= 0) {
          for (int i = 0; i < PAGE / 4; i += 64) {
            assertEquals(model[checked], page.getAtIndex(ValueLayout.JAVA_INT, i),
                "page " + checked + " of user " + index);
          }
          checked = -1;
        }
        if (++steps > STEPS || failure.get() != null) {
          done.countDown();
          return;
        }
        submit();
      } catch (BlockException | RuntimeException | Error e) {
        failure.compareAndSet(null, e);
        done.countDown();
      }
    }

    private void submit() {
      // First all go through the disk together, so that they meet in clusters that are not there
      // yet; then each where it likes.
      boolean together = steps <= model.length;
      int own = together ? steps - 1 : random.nextInt(model.length);
      switch (together ? 9 : random.nextInt(10)) {
        case 0 -> disk.submit(new BlockRequest.Flush(this::next));
        case 1, 2 -> {
          model[own] = 0;
          disk.submit(
              new BlockRequest.WriteZeroes(offset(own), PAGE, random.nextBoolean(), this::next));
        }
        case 3, 4, 5 -> {
          checked = own;
          disk.submit(new BlockRequest.Read(offset(own), page, this::next));
        }
        default -> {
          model[own] = steps << 8 | index;
          for (int i = 0; i < PAGE / 4; i++) {
            page.setAtIndex(ValueLayout.JAVA_INT, i, model[own]);
          }
          disk.submit(new BlockRequest.Write(offset(own), page, this::next));
        }
      }
    }

    void checkAll() throws BlockException, InterruptedException {
      for (int own = 0; own < model.length; own++) {
        CountDownLatch read = new CountDownLatch(1);
        disk.submit(new BlockRequest.Read(offset(own), page, failed -> read.countDown()));
        read.await();
        assertEquals(model[own], page.get(ValueLayout.JAVA_INT, PAGE - 4));
      }
    }
  }

  /** Breaks if two requests for one cluster lose each other's data, or wait for ever. */
  @ParameterizedTest
  @ValueSource(ints = {512, 4096, 65536})
  void neighboursDoNotHarmEachOther(int clusterSize) throws Exception {
    Path path = folder.resolve("disk.qcow2");
    Images.createQcow2(
        path,
        (long) PAGES * PAGE,
        Qcow2Options.parse(Map.of("cluster_size", Integer.toString(clusterSize))));
    try (BlockWorkers workers = new BlockWorkers(8); Arena arena = Arena.ofShared()) {
      disk = new ImageDevice(Images.open(path, ImageFormat.QCOW2, Access.WRITE), workers);
      User[] users = new User[USERS];
      for (int i = 0; i < USERS; i++) {
        users[i] = new User(i, arena);
      }
      for (User user : users) {
        user.next(null);
      }
      done.await();
      if (failure.get() != null) {
        throw new AssertionError(failure.get());
      }
      for (User user : users) {
        user.checkAll();
      }
      disk.close();
    }
    try (HostFile file = HostFile.open(path, Access.READ)) {
      CheckReport report = new Qcow2Checker(file, Header.read(file)).check();
      assertFalse(report.hasErrors() || report.hasLeaks(), report.problems().toString());
    }
  }
}
