package org.javisor.conformance.dom0;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import org.javisor.machine.control.Json;

/**
 * What people have {@code xl} do with a domain in domain 0, each with what must have come of it as the
 * domain itself sees it.
 */
public final class XlScript {
  /** How often a thing is looked at that takes a while, once a second. */
  private static final int PATIENCE = 60;

  private static final String SAVED = "/root/saved";

  /** What an HVM domain would have beside what others have. */
  private static final String WITHOUT_DISPLAY = "vga = 'none'\nvnc = 0";

  private final Dom0Guest dom0;

  /** Of each domain: the sum of what it keeps in memory and on its disk, and how far its load was. */
  private final Map<String, String> sums = new HashMap<>();

  private final Map<String, Long> progress = new HashMap<>();

  public XlScript(Dom0Guest dom0) {
    this.dom0 = dom0;
  }

  // ---- One command ----------------------------------------------------------------------------

  /** Runs a command that must succeed; returns what it printed. */
  public String done(String command)
      throws XlFailure, InterruptedException, TimeoutException {
    String printed = dom0.run(command + "; echo status=$?");
    int at = printed.lastIndexOf("status=");
    if (at < 0 || !printed.substring(at).equals("status=0")) {
      throw new XlFailure(command + ": success expected; it printed:\n" + printed);
    }
    return printed.substring(0, at).strip();
  }

  private static void expect(boolean fulfilled, String what, String printed) throws XlFailure {
    if (!fulfilled) {
      throw new XlFailure(what + " expected; there was:\n" + printed);
    }
  }

  private String in(String domain, String command) throws InterruptedException, TimeoutException {
    return dom0.runIn(domain, command);
  }

  /** Runs a command until it prints what is expected. */
  private void until(String domain, String command, String expected)
      throws XlFailure, InterruptedException, TimeoutException {
    String loop =
        "n=0; until [ \"$(" + command + ")\" = \"" + expected + "\" ] || [ $n = " + PATIENCE
            + " ]; do sleep 1; n=$((n+1)); done; " + command;
    String printed = domain.isEmpty() ? dom0.run(loop) : in(domain, loop);
    expect(printed.equals(expected), command + ": '" + expected + "'", printed);
  }

  /** The number of a domain; empty if there is none of that name. */
  public String number(String domain) throws InterruptedException, TimeoutException {
    return dom0.run("xl domid " + domain + " 2> /dev/null");
  }

  // ---- Beginning and end ----------------------------------------------------------------------

  /**
   * Creates a domain of 128 MiB and two vCPUs with a card.
   *
   * @param type pv, pvh or hvm
   * @param disk a disk of domain 0's that it has as xvda
   */
  public void create(String domain, String type, String disk)
      throws XlFailure, InterruptedException, TimeoutException {
    String file = "/root/" + domain + ".cfg";
    dom0.write(
        file,
        """
        name = '%s'
        type = '%s'
        memory = 128
        vcpus = 2
        kernel = '/root/guest/vmlinuz'
        ramdisk = '/root/guest/initrd.img'
        extra = 'console=hvc0 quiet loglevel=0'
        disk = [ '%s,raw,xvda,w' ]
        vif = [ 'type=vif' ]
        on_crash = 'destroy'
        %s
        """
            .formatted(domain, type, disk, type.equals("hvm") ? WITHOUT_DISPLAY : ""));
    done("xl create -q " + file);
  }

  /**
   * Has firmware boot an HVM domain from a disk, by devices of Debian's QEMU in domain 0.
   *
   * @param disk its first sector says something at the debug port, and powers off
   * @param said what that is
   */
  public void bootByFirmware(String domain, String disk, String said)
      throws XlFailure, InterruptedException, TimeoutException {
    String file = "/root/" + domain + ".cfg";
    dom0.write(
        file,
        """
        name = '%s'
        type = 'hvm'
        memory = 64
        disk = [ '%s,raw,hda,w' ]
        on_reboot = 'destroy'
        on_crash = 'destroy'
        %s
        """
            .formatted(domain, disk, WITHOUT_DISPLAY));
    done("xl create -q " + file);
    until("", "xl dmesg | grep -c '" + said + "'", "1");
    expectGone(domain);
  }

  /** What a domain is, as its kernel says. */
  public void expectType(String domain, String type)
      throws XlFailure, InterruptedException, TimeoutException {
    String printed = in(domain, "cat /sys/hypervisor/guest_type");
    expect(printed.equalsIgnoreCase(type), type, printed);
  }

  public void destroy(String domain) throws XlFailure, InterruptedException, TimeoutException {
    done("xl destroy " + domain);
    expectGone(domain);
  }

  /** Has the domain's own kernel shut down. */
  public void shutDown(String domain) throws XlFailure, InterruptedException, TimeoutException {
    done("xl shutdown -w " + domain);
    expectGone(domain);
  }

  private void expectGone(String domain)
      throws XlFailure, InterruptedException, TimeoutException {
    until("", "xl list | grep -c '^" + domain + " '", "0");
    sums.remove(domain);
    progress.remove(domain);
  }

  /** The kernel of a domain panics; it is destroyed, as its configuration says, and nobody else. */
  public void crash(String domain) throws XlFailure, InterruptedException, TimeoutException {
    dom0.attach(domain);
    dom0.type("echo c > /proc/sysrq-trigger");
    dom0.leave(); // The console ends with the domain.
    expectGone(domain);
  }

  // ---- What a domain does -----------------------------------------------------------------------

  /** Has the domain keep 2 MiB in memory and on its disk. */
  public void keepData(String domain) throws XlFailure, InterruptedException, TimeoutException {
    String printed =
        in(
            domain,
            "dd if=/dev/urandom of=/tmp/keep bs=64k count=32 2> /dev/null;"
                + " dd if=/tmp/keep of=/dev/xvda bs=64k conv=fsync 2> /dev/null;"
                + " sha256sum < /tmp/keep");
    expect(printed.matches("[0-9a-f]{64}  -"), "a sum", printed);
    sums.put(domain, printed);
  }

  /** Keeps memory and disk of a domain busy from now on, and has it look whether all is right. */
  public void startLoad(String domain) throws XlFailure, InterruptedException, TimeoutException {
    in(
        domain,
        "(n=0; while :; do dd if=/dev/urandom of=/tmp/a bs=64k count=8 2> /dev/null; cp /tmp/a /tmp/b;"
            + " dd if=/tmp/a of=/dev/xvda bs=64k seek=64 conv=fsync 2> /dev/null;"
            + " [ \"$(sha256sum < /tmp/a)\" = \"$(sha256sum < /tmp/b)\" ] || echo $n >> /tmp/bad;"
            + " n=$((n+1)); echo $n > /tmp/n; done) > /dev/null 2>&1 & :");
    progress.put(domain, 0L);
  }

  /** What was kept is what is there, the load goes on, the router can be reached. */
  public void expectIntact(String domain)
      throws XlFailure, InterruptedException, TimeoutException {
    String sum = sums.get(domain);
    expect(in(domain, "sha256sum < /tmp/keep").equals(sum), domain + ": memory as it was", sum);
    String disk =
        in(
            domain,
            "echo 3 > /proc/sys/vm/drop_caches;"
                + " dd if=/dev/xvda bs=64k count=32 2> /dev/null | sha256sum");
    expect(disk.equals(sum), domain + ": on its disk " + sum, disk);
    if (progress.containsKey(domain)) {
      String bad = in(domain, "cat /tmp/bad 2> /dev/null");
      expect(bad.isEmpty(), domain + ": no copy that differs", bad);
      long before = progress.get(domain);
      String now = in(
          domain,
          "n=0; until [ $(cat /tmp/n) -gt " + (before + 1) + " ] || [ $n = " + PATIENCE
              + " ]; do sleep 1; n=$((n+1)); done; cat /tmp/n");
      expect(
          now.matches("\\d+") && Long.parseLong(now) > before + 1,
          domain + ": a load beyond " + (before + 1), now);
      progress.put(domain, Long.parseLong(now));
    }
    until(domain, "ping -c 1 -W 5 10.0.2.2 > /dev/null; echo $?", "0");
  }

  // ---- Moving -----------------------------------------------------------------------------------

  /** Into a file of domain 0, and back. */
  public void saveAndRestore(String domain)
      throws XlFailure, InterruptedException, TimeoutException {
    done("xl save " + domain + " " + SAVED + " > /root/log 2>&1 || ! cat /root/log");
    expect(number(domain).isEmpty(), "no domain " + domain, number(domain));
    done("xl restore " + SAVED + " > /root/log 2>&1 || ! cat /root/log");
    done("rm " + SAVED);
  }

  /** To the same host, while it runs; it has another number then. */
  public void migrate(String domain) throws XlFailure, InterruptedException, TimeoutException {
    String before = number(domain);
    done("xl migrate " + domain + " localhost > /root/log 2>&1 || ! cat /root/log");
    String after = number(domain);
    expect(!after.isEmpty() && !after.equals(before), "another number than " + before, after);
    String count = dom0.run("xl list | grep -c " + domain);
    expect(count.equals("1"), "one domain " + domain, count);
  }

  // ---- Changes ----------------------------------------------------------------------------------

  /** One vCPU less, and back; who comes back is switched on by a rule of the guest's udev. */
  public void changeVcpus(String domain)
      throws XlFailure, InterruptedException, TimeoutException {
    done("xl vcpu-set " + domain + " 1");
    until(domain, "cat /sys/devices/system/cpu/online", "0");
    until("", "xl vcpu-list " + domain + " | grep -c -- '--p'", "1");
    done("xl vcpu-set " + domain + " 2");
    until(
        domain,
        "echo 1 > /sys/devices/system/cpu/cpu1/online; cat /sys/devices/system/cpu/online", "0-1");
  }

  /** A second disk comes, is written and read, and goes. */
  public void changeDisks(String domain, String disk)
      throws XlFailure, InterruptedException, TimeoutException {
    done("xl block-attach " + domain + " " + disk + ",raw,xvdb,w");
    until(domain, "ls /dev/xvdb", "/dev/xvdb");
    String sums =
        in(
            domain,
            "dd if=/dev/urandom of=/tmp/x bs=4k count=16 2> /dev/null;"
                + " dd if=/tmp/x of=/dev/xvdb bs=4k conv=fsync 2> /dev/null; sha256sum < /tmp/x;"
                + " echo 3 > /proc/sys/vm/drop_caches;"
                + " dd if=/dev/xvdb bs=4k count=16 2> /dev/null | sha256sum; rm /tmp/x");
    String[] both = sums.split("\n");
    expect(both.length == 2 && both[0].equals(both[1]), "twice the same sum", sums);
    String list = done("xl block-list " + domain);
    expect(list.contains("51728 "), "xvdb, 51728, in the list", list);
    done("xl block-detach " + domain + " xvdb");
    until(domain, "ls /dev/xvdb 2> /dev/null", "");
    done("[ $(xl block-list " + domain + " | wc -l) = 2 ]");
  }

  /** A second card comes and goes. */
  public void changeCards(String domain)
      throws XlFailure, InterruptedException, TimeoutException {
    done("xl network-attach " + domain);
    until(domain, "ls -d /sys/class/net/eth1", "/sys/class/net/eth1");
    done("xl network-detach " + domain + " 1");
    until(domain, "ls -d /sys/class/net/eth1 2> /dev/null", "");
  }

  /** Everything of the toolstack that may be started anew is. */
  public void restartTools() throws XlFailure, InterruptedException, TimeoutException {
    dom0.run("killall xl 2> /dev/null; killall xenconsoled; sleep 1");
    done("/usr/lib/xen-4.17/bin/xenconsoled --pid-file /run/xenconsoled.pid");
  }

  // ---- What is told -----------------------------------------------------------------------------

  /** What tools print of a domain that runs can be read. */
  public void readListings(String domain)
      throws XlFailure, InterruptedException, TimeoutException {
    String json = done("xl list -l " + domain);
    try {
      Json.parse(json);
    } catch (Json.Invalid e) {
      throw new XlFailure("xl list -l: JSON expected, but " + e.getMessage() + ":\n" + json);
    }
    expect(json.contains("\"" + domain + "\""), "the name " + domain, json);
    String vcpus = done("xl vcpu-list " + domain);
    expect(vcpus.lines().count() == 3, "a line for each of two vCPUs", vcpus);
    String top = done("xentop -b -i 1 | grep '" + domain + "'");
    expect(top.split(" +").length > 10, "a row of figures", top);
    String store = done("xenstore-ls /local/domain/" + number(domain));
    expect(store.contains("name = \"" + domain + "\""), "its name in xenstore", store);
    String up = done("xl uptime " + domain);
    expect(up.matches("(?s).*" + domain + ".*\\d:\\d\\d.*"), "how long it is up", up);
    done("xl debug-keys emgq");
    String log = done("xl dmesg");
    expect(log.contains("event channels") && log.contains("are free"), "what the keys ask", log);
    String info = done("xl info");
    expect(info.contains("xen_caps               : xen-3.0-x86_64"), "capabilities", info);
  }
}
