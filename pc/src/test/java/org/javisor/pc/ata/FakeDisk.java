package org.javisor.pc.ata;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockRequest;

/** A disk in an array, whose requests end when the test says so, or at once. */
final class FakeDisk implements BlockDevice {
  final byte[] content;
  final List<String> log = new ArrayList<>();
  final ArrayDeque<BlockRequest> waiting = new ArrayDeque<>();
  boolean atOnce = true;
  boolean readOnly;
  BlockException failure;

  FakeDisk(int sectors) {
    content = new byte[sectors * 512];
    for (int i = 0; i < content.length; i++) {
      content[i] = (byte) (i / 512 + i);
    }
  }

  @Override
  public long sizeBytes() {
    return content.length;
  }

  @Override
  public boolean isReadOnly() {
    return readOnly;
  }

  @Override
  public void submit(BlockRequest request) {
    waiting.add(request);
    if (atOnce) {
      finish();
    }
  }

  /** Ends the oldest request. */
  void finish() {
    BlockRequest request = waiting.remove();
    if (failure == null) {
      switch (request) {
        case BlockRequest.Read(long at, MemorySegment into, var _) -> {
          log.add("read %d+%d".formatted(at / 512, into.byteSize() / 512));
          MemorySegment.copy(
              content, (int) at, into, ValueLayout.JAVA_BYTE, 0, (int) into.byteSize());
        }
        case BlockRequest.Write(long at, MemorySegment from, var _) -> {
          log.add("write %d+%d".formatted(at / 512, from.byteSize() / 512));
          MemorySegment.copy(
              from, ValueLayout.JAVA_BYTE, 0, content, (int) at, (int) from.byteSize());
        }
        case BlockRequest.Flush _ -> log.add("flush");
        case BlockRequest.Discard(long at, long length, var _) ->
            log.add("discard %d+%d".formatted(at / 512, length / 512));
        case BlockRequest.WriteZeroes _ -> log.add("zeroes");
      }
    }
    request.completion().complete(failure);
  }

  @Override
  public void close() {}
}
