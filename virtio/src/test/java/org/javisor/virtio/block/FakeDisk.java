package org.javisor.virtio.block;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockRequest;

/** A disk in memory that does requests when a test says so, or at once. */
final class FakeDisk implements BlockDevice {
  final byte[] contents;
  final List<String> log = new ArrayList<>();
  final List<Runnable> waiting = new ArrayList<>();
  boolean readOnly;
  boolean holdsBack;
  BlockException failure;

  FakeDisk(int size) {
    contents = new byte[size];
  }

  @Override
  public long sizeBytes() {
    return contents.length;
  }

  @Override
  public boolean isReadOnly() {
    return readOnly;
  }

  @Override
  public void submit(BlockRequest request) {
    BlockException failed = failure;
    Runnable work =
        () -> {
          if (failed == null) {
            carryOut(request);
          }
          request.completion().complete(failed);
        };
    if (holdsBack) {
      waiting.add(work);
    } else {
      work.run();
    }
  }

  /** Does everything that was held back, the last first: order is not promised. */
  void release() {
    while (!waiting.isEmpty()) {
      waiting.removeLast().run();
    }
  }

  private void carryOut(BlockRequest request) {
    MemorySegment all = MemorySegment.ofArray(contents);
    switch (request) {
      case BlockRequest.Read r -> {
        log.add("read " + r.offsetBytes() + "+" + r.into().byteSize());
        MemorySegment.copy(all, r.offsetBytes(), r.into(), 0, r.into().byteSize());
      }
      case BlockRequest.Write w -> {
        log.add("write " + w.offsetBytes() + "+" + w.from().byteSize());
        MemorySegment.copy(w.from(), 0, all, w.offsetBytes(), w.from().byteSize());
      }
      case BlockRequest.Flush _ -> log.add("flush");
      case BlockRequest.Discard d -> log.add("discard " + d.offsetBytes() + "+" + d.lengthBytes());
      case BlockRequest.WriteZeroes z -> {
        log.add("zero " + z.offsetBytes() + "+" + z.lengthBytes() + (z.mayUnmap() ? " unmap" : ""));
        Arrays.fill(
            contents, (int) z.offsetBytes(), (int) (z.offsetBytes() + z.lengthBytes()), (byte) 0);
      }
    }
  }

  @Override
  public void close() {}
}
