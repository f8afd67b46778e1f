package org.javisor.network.service;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.time.Clock;
import org.javisor.network.FrameReceiver;
import org.javisor.network.Offload;
import org.javisor.network.fake.Frames;
import org.javisor.network.fake.Received;
import org.javisor.network.ip.IcmpErrors;
import org.javisor.network.ip.IpSender;
import org.javisor.network.ip.Neighbours;
import org.javisor.network.ip.Packet;
import org.javisor.network.ip.Subnet;
import org.javisor.network.loop.GuestLink;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.IpAddress;
import org.junit.jupiter.api.Test;

/** Echo requests to the outside. */
class EchoServiceTest {
  private static final byte[] GUEST = Frames.address("10.0.2.15");
  private static final byte[] OUTSIDE = Frames.address("127.0.0.1");

  /**
   * Breaks if the answer does not come back as the guest's own; or, on a host without ping sockets,
   * if the guest is left waiting.
   */
  @Test
  void outwards() throws IOException {
    try (NetworkLoop loop = new NetworkLoop(Clock.host())) {
      GuestLink link = new GuestLink(loop);
      List<Received> answers = new ArrayList<>();
      FrameReceiver receiver =
          (frame, offload) -> {
            byte[] copy = new byte[frame.remaining()];
            frame.get(frame.position(), copy);
            answers.add(new Received(copy, offload));
            return true;
          };
      link.connect(receiver);
      Neighbours neighbours = new Neighbours();
      IpAddress guest = IpAddress.parse("10.0.2.15");
      neighbours.learn(guest.high(), guest.low(), Frames.GUEST_MAC);
      IpSender sender = new IpSender(link, neighbours, Frames.ROUTER_MAC);
      Subnet subnet = Subnet.CONVENTIONAL;
      IcmpErrors errors = new IcmpErrors(sender, subnet.gateway4(), subnet.gateway6());
      // For this test alone the outside may be the loopback.
      try (EchoService echo =
          new EchoService(
              loop,
              subnet,
              sender,
              (protocol, to, port) -> new InetSocketAddress(to.toInetAddress(), port),
              errors)) {
        byte[] data = {1, 2, 3, 4};
        Packet packet = new Packet();
        byte[] frame = Frames.echo(GUEST, OUTSIDE, 1234, 9, data);
        assertTrue(packet.parse(ByteBuffer.wrap(frame), Offload.NONE));
        assertTrue(echo.receive(packet));
        for (int i = 0; i < 20_000 && answers.isEmpty(); i++) {
          loop.poll(1_000_000);
        }
        assertFalse(answers.isEmpty());
        Received answer = answers.getFirst();
        if (answer.transport[0] == 3) {
          assertEquals(13, answer.transport[1], "the host permits no ping sockets, and we say so");
          return;
        }
        assertEquals(0, answer.transport[0]);
        assertArrayEquals(OUTSIDE, answer.source);
        assertEquals(1234, answer.data().getShort(4));
        assertEquals(9, answer.data().getShort(6));
        assertArrayEquals(data, Frames.slice(answer.transport, 8, 12));
      }
    }
  }
}
