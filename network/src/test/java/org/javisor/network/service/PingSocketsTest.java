package org.javisor.network.service;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.ByteBuffer;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import org.javisor.network.packet.IpAddress;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The host's sockets for echo requests, where it permits them. */
class PingSocketsTest {
  /** Breaks if a request does not go out, or its answer is not taken. */
  @ParameterizedTest
  @CsvSource({"127.0.0.1,8,0", "::1,-128,-127"})
  void loopback(String address, byte request, byte reply) throws InterruptedException {
    BlockingQueue<ByteBuffer> answers = new ArrayBlockingQueue<>(4);
    IpAddress to = IpAddress.parse(address);
    try (PingSockets sockets = new PingSockets((v6, message) -> answers.add(message))) {
      assumeTrue(
          sockets.available(!to.isV4()),
          "needs ping sockets: net.ipv4.ping_group_range must include this group");
      ByteBuffer message = ByteBuffer.allocateDirect(20);
      message.put(0, request).putShort(6, (short) 4711).put(8, (byte) 99);
      assumeTrue(sockets.send(to, message), "needs a way to " + address);
      ByteBuffer answer = answers.poll(20, TimeUnit.SECONDS);
      assertNotNull(answer);
      assertEquals(reply, answer.get(0));
      assertEquals(4711, answer.getShort(6));
      byte[] data = new byte[12];
      answer.get(8, data);
      assertArrayEquals(new byte[] {99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, data);
    }
  }
}
