package org.javisor.conformance.architecture;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.AccessTarget;
import com.tngtech.archunit.core.domain.JavaAccess;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.IOException;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The module rules of the design, checked on the compiled classes of every module. A rule that is
 * broken names the class and the line.
 */
class ModuleRulesTest {
  private static final String ROOT = "org.javisor.";

  /**
   * What each module may lean on besides itself and the JDK: the table of modules, closed under
   * "leans on".
   */
  private static final Map<String, Set<String>> LEANS_ON =
      Map.ofEntries(
          Map.entry("memory", Set.of()),
          Map.entry("isa", Set.of()),
          // For the clock, and randomness, only.
          Map.entry("storage", Set.of("accelerator")),
          Map.entry("network", Set.of("accelerator")),
          Map.entry("accelerator", Set.of("memory")),
          Map.entry("interp", Set.of("accelerator", "isa", "memory")),
          Map.entry("jit", Set.of("interp", "accelerator", "isa", "memory")),
          // The instruction set only for the disassembly in reports.
          Map.entry("kvm", Set.of("accelerator", "isa", "memory")),
          Map.entry("pc", Set.of("accelerator", "memory", "storage", "network")),
          Map.entry("virtio", Set.of("pc", "accelerator", "memory", "storage", "network")),
          Map.entry("xen", Set.of("accelerator", "memory", "pc", "storage", "network")),
          Map.entry(
              "machine",
              Set.of(
                  "xen", "virtio", "pc", "kvm", "jit", "interp", "isa", "accelerator", "memory",
                  "storage", "network")),
          Map.entry("cli", Set.of("machine", "xen", "storage", "pc", "accelerator")));

  /**
   * Classes that bind functions of the host, and so make segments of the addresses it returns.
   * A new one is added here, with its reason.
   */
  private static final Set<String> NATIVE_BINDINGS =
      Set.of(
          "org.javisor.memory.RawMemory",
          "org.javisor.memory.HostMemory",
          "org.javisor.machine.console.HostTerminal");

  /**
   * Classes outside of the time package that read the host's clock for the host's own sake: what
   * they read never reaches a guest. A new one is added here, with its reason.
   */
  private static final Set<String> HOST_CLOCK_READERS =
      Set.of(
          // Ages and names of files in the user's cache folder.
          "org.javisor.storage.image.DefaultGuest");

  /** Main programs beside the command line, whose exit code is their answer. */
  private static final Set<String> MAIN_PROGRAMS =
      Set.of("org.javisor.conformance.Conformance", "org.javisor.bench.Bench");

  private static JavaClasses program;

  @BeforeAll
  static void importProgram() throws IOException {
    program =
        new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPaths(classFolders());
  }

  /** The compiled main classes of every module, those included that nothing here depends on. */
  private static List<Path> classFolders() throws IOException {
    Path root = Path.of("").toAbsolutePath().getParent();
    try (Stream<Path> modules = Files.list(root)) {
      return modules
          .map(module -> module.resolve("target/classes"))
          .filter(Files::isDirectory)
          .sorted()
          .toList();
    }
  }

  private static String module(JavaClass type) {
    String rest = type.getPackageName().substring(ROOT.length());
    int dot = rest.indexOf('.');
    return dot < 0 ? rest : rest.substring(0, dot);
  }

  /** Breaks if the importer finds nothing, which would let every other rule pass. */
  @Test
  void theProgramIsThere() {
    for (String type : List.of(
        "org.javisor.memory.RawMemory",
        "org.javisor.accelerator.Vcpu",
        "org.javisor.machine.MachineConfig",
        "org.javisor.xen.hypervisor.Hypervisor",
        "org.javisor.cli.Javisor")) {
      assertTrue(program.contain(type), type);
    }
  }

  /** Breaks if a module leans on one that the design does not let it lean on. */
  @Test
  void modulesLeanOnlyOnWhatTheDesignAllows() {
    Set<String> unknown =
        program.stream()
            .filter(type -> type.getPackageName().startsWith(ROOT))
            .map(ModuleRulesTest::module)
            .filter(name -> !LEANS_ON.containsKey(name) && !isProof(name))
            .collect(Collectors.toCollection(TreeSet::new));
    assertEquals(Set.of(), unknown, "modules the table above does not know");

    assertAll(
        new TreeMap<>(LEANS_ON)
            .entrySet().stream()
            .map(
                entry -> () -> {
                  String[] forbidden =
                      LEANS_ON.keySet().stream()
                          .filter(other -> !other.equals(entry.getKey()))
                          .filter(other -> !entry.getValue().contains(other))
                          .map(other -> ROOT + other + "..")
                          .toArray(String[]::new);
                  noClasses()
                      .that()
                      .resideInAPackage(ROOT + entry.getKey() + "..")
                      .should()
                      .dependOnClassesThat()
                      .resideInAnyPackage(forbidden)
                      .allowEmptyShould(true)
                      .check(program);
                }));
  }

  private static boolean isProof(String module) {
    return module.equals("conformance") || module.equals("bench");
  }

  /** Breaks if the program comes to need its own tests and measurements. */
  @Test
  void nobodyImportsConformanceOrBench() {
    noClasses()
        .that(DescribedPredicate.not(resideInAnyPackage(ROOT + "conformance..", ROOT + "bench..")))
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(ROOT + "conformance..", ROOT + "bench..")
        .check(program);
  }

  /** Breaks if two packages of one module need each other: then they are one package. */
  @Test
  void packagesHaveNoCycles() {
    slices().matching(ROOT + "(**)").should().beFreeOfCycles().check(program);
  }

  /** Breaks if the hypervisor comes to know devices, storage, network or the toolstack. */
  @Test
  void theHypervisorIsSmall() {
    noClasses()
        .that()
        .resideInAPackage(ROOT + "xen.hypervisor..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(ROOT + "xen.control..")
        .check(program);
    noClasses()
        .that()
        .resideInAnyPackage(ROOT + "xen.hypervisor..", ROOT + "xen.control..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(
            ROOT + "pc..",
            ROOT + "virtio..",
            ROOT + "storage..",
            ROOT + "network..",
            ROOT + "xen.domain..",
            ROOT + "xen.backend..",
            ROOT + "xen.store..",
            ROOT + "xen.toolstack..")
        .check(program);
  }

  /** What one person can still read in a day: lines of code, without blank ones and comments. */
  private static final int HYPERVISOR_LINES = 6_000;

  /** Breaks if the hypervisor grows beyond what it promises to be. */
  @Test
  void theHypervisorStaysSmall() throws IOException {
    Path sources =
        Path.of("")
            .toAbsolutePath()
            .getParent()
            .resolve("xen/src/main/java/org/javisor/xen/hypervisor");
    long lines = 0;
    try (Stream<Path> files = Files.walk(sources)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".java")).toList()) {
        lines += Files.readAllLines(file).stream().filter(ModuleRulesTest::isCode).count();
      }
    }
    assertTrue(lines > 1_000, "the hypervisor is not where it was: " + lines + " lines found");
    assertTrue(lines <= HYPERVISOR_LINES, "the hypervisor has " + lines + " lines");
  }

  private static boolean isCode(String line) {
    String text = line.strip();
    return !text.isEmpty()
        && !text.startsWith("//")
        && !text.startsWith("/*")
        && !text.startsWith("*");
  }

  /** Breaks if a class other than the declared ones makes memory of a raw address. */
  @Test
  void onlyDeclaredClassesTouchRawAddresses() {
    noClasses()
        .that(DescribedPredicate.not(named(NATIVE_BINDINGS)))
        .should()
        .accessTargetWhere(
            call("make memory of a raw address", MemorySegment.class, "reinterpret", "ofAddress")
                .or(call("", AddressLayout.class, "withTargetLayout")))
        .orShould()
        .dependOnClassesThat()
        .haveFullyQualifiedName("sun.misc.Unsafe")
        .check(program);
  }

  /** Breaks if something beside the time package reads the clock, or rolls dice. */
  @Test
  void timeAndRandomnessEnterThroughOnePackage() {
    noClasses()
        .that(DescribedPredicate.not(resideInAPackage(ROOT + "accelerator.time..")))
        .and(DescribedPredicate.not(named(HOST_CLOCK_READERS)))
        .should()
        .accessTargetWhere(
            call("read the host's clock", System.class, "nanoTime", "currentTimeMillis")
                .or(call("", Math.class, "random"))
                .or(
                    new DescribedPredicate<>("or the current date") {
                      @Override
                      public boolean test(JavaAccess<?> access) {
                        return access.getTargetOwner().getPackageName().equals("java.time")
                            && access.getTarget().getName().equals("now");
                      }
                    }))
        .orShould()
        .dependOnClassesThat()
        .belongToAnyOf(
            java.util.Random.class,
            java.util.random.RandomGenerator.class,
            java.util.SplittableRandom.class,
            java.util.concurrent.ThreadLocalRandom.class,
            java.security.SecureRandom.class,
            java.time.Clock.class)
        .check(program);
  }

  /** Breaks if state of a vCPU is hidden in a thread: a vCPU must be able to change threads. */
  @Test
  void nothingIsThreadLocal() {
    noClasses()
        .should()
        .dependOnClassesThat()
        .belongToAnyOf(ThreadLocal.class, ScopedValue.class)
        .check(program);
  }

  /** Breaks if a newcomer opens a package that does not say what it is for. */
  @Test
  void everyPackageSaysWhatItIs() throws IOException {
    Path root = Path.of("").toAbsolutePath().getParent();
    Set<String> silent = new TreeSet<>();
    for (JavaClass type : program) {
      String path = type.getPackageName().replace('.', '/') + "/package-info.java";
      boolean found =
          Files.isRegularFile(
              root.resolve(module(type)).resolve("src/main/java").resolve(path));
      if (!found) {
        silent.add(type.getPackageName());
      }
    }
    assertEquals(Set.of(), silent, "packages without package-info.java");
  }

  /** Breaks if something below the command line ends the JVM under its callers. */
  @Test
  void onlyTheCommandLineEndsTheProgram() {
    noClasses()
        .that(DescribedPredicate.not(resideInAPackage(ROOT + "cli..")))
        .and(DescribedPredicate.not(named(MAIN_PROGRAMS)))
        .should()
        .accessTargetWhere(
            call("end the JVM", System.class, "exit").or(call("", Runtime.class, "halt", "exit")))
        .check(program);
  }

  /** Breaks if the rules have lost their teeth: each is given something to bite. */
  @Test
  void theRulesBite() {
    JavaClasses sinner = new ClassFileImporter().importClasses(Sinner.class);
    assertThrows(
        AssertionError.class,
        () -> noClasses()
            .should()
            .accessTargetWhere(call("", System.class, "nanoTime"))
            .check(sinner));
    assertThrows(
        AssertionError.class,
        () -> noClasses()
            .should()
            .accessTargetWhere(call("", MemorySegment.class, "reinterpret"))
            .check(sinner));
  }

  /** Does what is forbidden. */
  static final class Sinner {
    static MemorySegment sin() {
      return MemorySegment.NULL.reinterpret(System.nanoTime());
    }
  }

  private static DescribedPredicate<JavaClass> named(Set<String> names) {
    return new DescribedPredicate<>("are declared") {
      @Override
      public boolean test(JavaClass type) {
        String name = type.getName();
        int inner = name.indexOf('$');
        return names.contains(inner < 0 ? name : name.substring(0, inner));
      }
    };
  }

  private static DescribedPredicate<JavaAccess<?>> call(
      String description, Class<?> owner, String... names) {
    Set<String> methods = Set.copyOf(Arrays.asList(names));
    return new DescribedPredicate<>(description) {
      @Override
      public boolean test(JavaAccess<?> access) {
        AccessTarget target = access.getTarget();
        return target.getOwner().isEquivalentTo(owner) && methods.contains(target.getName());
      }
    };
  }
}
