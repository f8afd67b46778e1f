package org.javisor.kvm;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
class KvmProbeTest {
  @Test
  void x(@TempDir Path d) throws Exception {
    KvmAccelerator a = KvmAccelerator.open();
    System.out.println("hz " + a.tscHertz());
    for (String s : KvmSelfTest.steps()) {
      long t = System.nanoTime();
      System.out
          .println(s + " " + KvmSelfTest.run(a, s) + " " + (System.nanoTime() - t) / 1000 + " us");
    }
    System.out.println(KvmProbe.remembered(d));
    long t = System.nanoTime();
    System.out.println(KvmProbe.remembered(d));
    System.out.println((System.nanoTime() - t) / 1000 + " us");
  }
}
