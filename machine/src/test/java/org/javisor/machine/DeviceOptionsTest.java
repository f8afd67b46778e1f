package org.javisor.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Optional;
import org.javisor.machine.DiskConfig.Interface;
import org.javisor.network.MacAddress;
import org.javisor.network.option.NetOption;
import org.javisor.storage.block.OnDiskError;
import org.javisor.storage.block.tool.ImageFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceOptionsTest {
  @Test
  void aDiskIsAFileAndWhatIsSaidOfIt() throws MachineException {
    assertEquals(DiskConfig.of(Path.of("d.qcow2")), DiskConfig.parse("d.qcow2"));
    assertEquals(
        new DiskConfig(
            Path.of("a,b"), Optional.of(ImageFormat.RAW), Interface.IDE, true, true,
            Optional.of("S-1"), 4, OnDiskError.STOP),
        DiskConfig.parse("a,,b,if=ide,format=raw,ro,snapshot,serial=S-1,queues=4")
            .withOnError(OnDiskError.STOP));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "", ",ro", "d,if=scsi", "d,format=vmdk", "d,serial=", "d,serial=123456789012345678901",
        "d,queues=0", "d,queues=65", "d,queues=x", "d,rw", "d,ro=1", "d,if"
      })
  void aDiskThatIsNoneIsRefusedInOneLine(String text) {
    assertBad("--disk " + text, () -> DiskConfig.parse(text));
  }

  @Test
  void aCardIsANetworkWithAModelAndAnAddress() throws MachineException {
    assertEquals(NetConfig.byDefault(), NetConfig.parse("user").orElseThrow());
    NetConfig card =
        NetConfig.parse("user,mac=52:54:00:00:00:01,restrict,model=e1000").orElseThrow();
    assertEquals(NetConfig.Model.E1000, card.model());
    assertEquals(Optional.of(MacAddress.parse("52:54:00:00:00:01")), card.mac());
    assertTrue(((NetOption.User) card.network()).config().restricted());
    assertEquals(Optional.empty(), NetConfig.parse("none"));
  }

  @Test
  void aCommaInACaptureFilesNameSurvives() throws MachineException {
    NetConfig card = NetConfig.parse("user,model=virtio,capture=a,,b").orElseThrow();
    assertEquals(Optional.of(Path.of("a,b")), ((NetOption.User) card.network()).capture());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "", "bridge", "user,model=rtl8139", "user,mac=1", "user,mac=01:00:5e:00:00:01",
        "user,mac=00:00:00:00:00:00", "none,model=virtio", "user,forward=tcp:1"
      })
  void aCardThatIsNoneIsRefusedInOneLine(String text) {
    assertBad("--net ", () -> NetConfig.parse(text));
  }

  @Test
  void aShareIsReadOnlyUnlessItIsSaid() throws MachineException {
    assertEquals(
        new ShareConfig(Path.of("/a:b"), "tag", false), ShareConfig.parse("/a:b:tag"));
    assertEquals(new ShareConfig(Path.of("/a"), "tag", true), ShareConfig.parse("/a:tag,rw"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "", "/a", ":tag", "/a:", "/a:b c", "/a:tag,x",
        "/a:0123456789012345678901234567890123456"
      })
  void aShareThatIsNoneIsRefusedInOneLine(String text) {
    assertBad("--share " + text, () -> ShareConfig.parse(text));
  }

  private static void assertBad(
      String start, org.junit.jupiter.api.function.Executable parse) {
    MachineException e = assertThrows(MachineException.class, parse);
    assertEquals(MachineException.Reason.BAD_OPTION, e.reason());
    assertTrue(e.getMessage().startsWith(start), e.getMessage());
    assertTrue(e.getMessage().indexOf('\n') < 0, e.getMessage());
  }
}
