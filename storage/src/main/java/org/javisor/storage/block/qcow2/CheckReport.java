package org.javisor.storage.block.qcow2;

import java.util.ArrayList;
import java.util.List;

/** What checking an image found. */
public final class CheckReport {
  /** Problems that are kept as text; all are counted. */
  private static final int KEPT_PROBLEMS = 100;

  private final List<String> problems = new ArrayList<>();
  private long corruptions;
  private long leaks;
  private long corruptionsFixed;
  private long leaksFixed;
  private long imageEnd;
  private long totalClusters;
  private long allocatedClusters;
  private long compressedClusters;
  private long fragmentedClusters;

  private void add(String problem) {
    if (problems.size() < KEPT_PROBLEMS) {
      problems.add(problem);
    }
  }

  void corruption(String problem) {
    corruptions++;
    add("ERROR " + problem);
  }

  void leak(String problem) {
    leaks++;
    add("Leaked " + problem);
  }

  void fixed(long fixedCorruptions, long fixedLeaks) {
    corruptions -= fixedCorruptions;
    leaks -= fixedLeaks;
    corruptionsFixed += fixedCorruptions;
    leaksFixed += fixedLeaks;
  }

  void end(long offset) {
    imageEnd = offset;
  }

  void total(long clusters) {
    totalClusters = clusters;
  }

  void allocated(boolean compressed, boolean fragmented) {
    allocatedClusters++;
    compressedClusters += compressed ? 1 : 0;
    fragmentedClusters += fragmented ? 1 : 0;
  }

  /** Whether tables contradict each other in a way that loses data sooner or later. */
  public boolean hasErrors() {
    return corruptions > 0;
  }

  public boolean hasLeaks() {
    return leaks > 0;
  }

  /** The first problems, each a line. */
  public List<String> problems() {
    return List.copyOf(problems);
  }

  String firstProblem() {
    return problems.stream().filter(line -> line.startsWith("ERROR")).findFirst().orElse("");
  }

  public long corruptions() {
    return corruptions;
  }

  public long leaks() {
    return leaks;
  }

  public long corruptionsFixed() {
    return corruptionsFixed;
  }

  public long leaksFixed() {
    return leaksFixed;
  }

  /** The end in the file of the last cluster that is in use. */
  public long imageEnd() {
    return imageEnd;
  }

  /** Clusters that the disk has. */
  public long totalClusters() {
    return totalClusters;
  }

  /** Those of them that are stored in the file. */
  public long allocatedClusters() {
    return allocatedClusters;
  }

  public long compressedClusters() {
    return compressedClusters;
  }

  /** Stored clusters that do not follow their neighbour. */
  public long fragmentedClusters() {
    return fragmentedClusters;
  }
}
