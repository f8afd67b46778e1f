package org.javisor.xen.toolstack;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.javisor.network.option.NetOption;
import org.javisor.xen.hypervisor.DomainKind;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GuestConfigTest {
  private final List<String> warnings = new ArrayList<>();

  private GuestConfig parse(String text) throws ConfigException {
    return GuestConfig.parse("g.cfg", text, Path.of("/base"), warnings::add);
  }

  @Test
  void everythingThatIsKnown() throws ConfigException {
    GuestConfig c =
        parse(
            """
            # a guest
            name = "web"; type = 'pvh'
            memory = 256
            maxmem = 512
            vcpus=4
            maxvcpus = 6
            kernel = "/boot/vmlinuz"   # Debian's
            ramdisk = 'initrd'
            root = "/dev/xvda1 ro"
            extra = "console=hvc0"
            extra += " quiet"
            disk = [
              '/srv/web.img,raw,xvda,w',
              'format=qcow2, vdev=xvdb, access=ro, target=/srv/data, with comma.img',
            ]
            vif = [ 'mac=00:16:3e:01:02:03,bridge=lan', '' ]
            on_reboot = "destroy"
            on_crash = 'preserve'
            cpus = "0-1,^0"
            cpu_weight = 512
            cap = 0x32
            """);
    assertEquals("web", c.name());
    assertEquals(Optional.of(Path.of("/boot/vmlinuz")), c.kernel());
    assertEquals(Optional.of(Path.of("/base/initrd")), c.ramdisk());
    assertEquals(DomainKind.PVH, c.kind());
    assertEquals(256, c.memoryMib());
    assertEquals(512, c.maxMemoryMib());
    assertEquals(4, c.vcpus());
    assertEquals(6, c.maxVcpus());
    assertEquals("root=/dev/xvda1 ro console=hvc0 quiet", c.commandLine());
    assertEquals(2, c.disks().size());
    assertEquals(
        new DiskSpec(
            Optional.of(Path.of("/srv/data, with comma.img")), "qcow2", "xvdb", true, false, true),
        c.disks().get(1));
    assertEquals(2, c.vifs().size());
    assertEquals("00:16:3e:01:02:03", c.vifs().get(0).mac().orElseThrow().toString());
    assertTrue(c.vifs().get(0).network() instanceof NetOption.Shared(String name, var f)
        && name.equals("lan"));
    assertTrue(c.vifs().get(1).network() instanceof NetOption.User);
    assertEquals(GuestConfig.Action.DESTROY, c.onPoweroff());
    assertEquals(GuestConfig.Action.DESTROY, c.onReboot());
    assertEquals(GuestConfig.Action.PRESERVE, c.onCrash());
    assertEquals(512, c.weight().getAsInt());
    assertEquals(50, c.cap().getAsInt());
    assertEquals(List.of(), warnings);
  }

  @Test
  void anHvmDomainWithoutAKernelBootsThroughFirmware() throws ConfigException {
    GuestConfig c =
        parse(
            """
            name = "pc"
            type = "hvm"
            boot = "dc"
            bios_path_override = "bios.bin"
            vnc = 1
            disk = [ 'file:d.img,hda,w', '/iso,raw,hdc:cdrom,r', '/x,raw,xvdf,w' ]
            vif = [ 'type=vif', 'model=rtl8139' ]
            """);
    assertEquals(Optional.empty(), c.kernel());
    assertEquals(
        new GuestConfig.Hvm(true, true, true, Optional.of(Path.of("/base/bios.bin"))), c.hvm());
    assertEquals(List.of(0, 2, -1), c.disks().stream().map(DiskSpec::idePlace).toList());
    assertEquals(List.of(false, true), c.vifs().stream().map(VifSpec::emulated).toList());
    assertEquals(
        List.of("g.cfg:7: vif: model=rtl8139: the only emulated card is e1000"), warnings);
  }

  @ParameterizedTest
  @CsvSource({
    "serial='/dev/ttyS0', serial", "bios='ovmf', bios", "boot='x', boot",
    "xen_platform_pci=2, xen_platform_pci"
  })
  void wrongValuesOfAnHvmDomainAreNamed(String line, String key) {
    ConfigException e =
        assertThrows(ConfigException.class, () -> parse("name='a'\ntype='hvm'\n" + line + "\n"));
    assertTrue(e.getMessage().startsWith("g.cfg:3: " + key + ": "), e.getMessage());
  }

  @Test
  void unknownKeysAreWarnedOfByNameAndLine() throws ConfigException {
    parse("name='a'\ntype='pvh'\nkernel='k'\nbogus = 3\n");
    assertEquals(1, warnings.size());
    assertTrue(warnings.getFirst().startsWith("g.cfg:4: bogus: "), warnings.getFirst());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "name = \"a                                | g.cfg:1: name:",
        "name = a                                  | g.cfg:1: name:",
        "name = 'a' x                              | g.cfg:1: name:",
        "= 3                                       | g.cfg:1: a key",
        "name = 'a'~type = 'pvh'                   | g.cfg: kernel: missing",
        "type = 'pvh'~kernel = 'k'                 | g.cfg: name: missing",
        "name = '17'~kernel = 'k'                  | g.cfg:1: name:",
        "name = 'a'~kernel = 'k'~type = 'vm'       | g.cfg:3: type:",
        "name='a'~kernel='k'~type='pvh'~memory='x' | g.cfg:4: memory: a number",
        "name='a'~kernel='k'~type='pvh'~memory=0   | g.cfg:4: memory: 1 to",
        "name='a'~kernel='k'~type='pvh'~vcpus=900  | g.cfg:4: vcpus: 1 to 128",
        "name='a'~kernel='k'~type='pvh'~memory=2x  | g.cfg:4: memory: a number",
        "name='a'~kernel='k'~type='pvh'~disk='x'   | g.cfg:4: disk: a list",
        "name='a'~kernel='k'~type='pvh'~disk=['x'] | g.cfg:4: disk: no vdev",
        "name='a'~kernel='k'~type='pvh'~vif=['a=b']| g.cfg:4: vif: 'a' is no parameter",
        "name='a'~kernel='k'~type='pvh'~disk=['x'  | g.cfg:5: disk: a comma",
        "name='a'~kernel='k'~type='pvh'~on_crash='z'| g.cfg:4: on_crash:",
        "name='a'~kernel='k'~type='pvh'~uuid='z'   | g.cfg:4: uuid:",
        "name='a'~kernel='k'~type='pvh'~cpus='z'   | g.cfg:4: cpus:",
      })
  void anErrorNamesFileLineAndKey(String text, String message) {
    ConfigException e =
        assertThrows(ConfigException.class, () -> parse(text.replace('~', '\n') + "\n"));
    assertTrue(e.getMessage().startsWith(message), e.getMessage());
  }

  @Test
  void noTypeMeansPv() throws Exception {
    assertEquals(DomainKind.PV, parse("name = 'a'\nkernel = 'k'\n").kind());
  }

  @ParameterizedTest
  @CsvSource({
    "xvda, 51712", "xvda1, 51713", "xvdp, 51952", "xvdq, 268439552", "xvdaa, 268442112",
    "sda, 2048", "sdb3, 2067", "hda, 768", "hdb, 832", "hdc, 5632", "d5, 51792", "d0p1, 51713"
  })
  void devicesHaveXensNumbers(String vdev, int number) throws Exception {
    assertEquals(number, DiskSpec.parse("/x,raw," + vdev).number());
  }

  @Test
  void oldFormsOfDisks() throws Exception {
    assertEquals(
        new DiskSpec(Optional.of(Path.of("/x")), "raw", "xvda", false, false, true),
        DiskSpec.parse("phy:/x,,xvda,w"));
    assertEquals(DiskSpec.parse("phy:/x,,xvda,w"), DiskSpec.parse("phy:/x,xvda,w"));
    assertEquals(
        new DiskSpec(Optional.empty(), "raw", "hdc", true, true, true),
        DiskSpec.parse(",,hdc:cdrom,r"));
    assertThrows(DiskSpec.BadDisk.class, () -> DiskSpec.parse("/x,vhd,xvda"));
    assertThrows(DiskSpec.BadDisk.class, () -> DiskSpec.parse("/x,raw,vda"));
    assertThrows(DiskSpec.BadDisk.class, () -> DiskSpec.parse("/x,raw,xvda,maybe"));
  }

  @Test
  void setsOfCpus() {
    assertEquals(0b1101, CpuSet.parse("0,2-3", 4));
    assertEquals(0b1011, CpuSet.parse("all,^2", 4) & 15);
    assertEquals("0-1,3", CpuSet.print(0b1011, 4));
    assertEquals("all", CpuSet.print(-1, 4));
    assertThrows(IllegalArgumentException.class, () -> CpuSet.parse("7", 4));
    assertThrows(IllegalArgumentException.class, () -> CpuSet.parse("a", 4));
    assertThrows(IllegalArgumentException.class, () -> CpuSet.parse("3-1", 4));
  }

  @Test
  void amountsOfMemory() throws Exception {
    assertEquals(512, XlCommands.mebibytes("512"));
    assertEquals(2048, XlCommands.mebibytes("2g"));
    assertEquals(1, XlCommands.mebibytes("1048576b"));
    assertThrows(ToolException.class, () -> XlCommands.mebibytes("0"));
    assertThrows(ToolException.class, () -> XlCommands.mebibytes("x"));
  }
}
