import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.classfile.ClassFile.ClassHierarchyResolverOption;
import java.lang.classfile.ClassFile.StackMapsOption;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassHierarchyResolver;
import java.lang.classfile.ClassTransform;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Gives classes of jars the format of Java 8 where theirs is older than Java 6's: the JVM caches no
 * such classes, and to read and verify them anew takes a fifth of a short start. Their code stays; what
 * is added are the maps of its stacks that newer formats have.
 *
 * <p>The launcher runs it after a build, as {@code java Modernize.java FOLDER}.
 */
final class Modernize {
  private static final int AT_MAJOR = 6;

  private Modernize() {}

  public static void main(String[] arguments) throws IOException {
    try (Stream<Path> files = Files.list(Path.of(arguments[0]))) {
      for (Path jar : files.filter(file -> file.toString().endsWith(".jar")).toList()) {
        modernize(jar);
      }
    }
  }

  private static void modernize(Path jar) throws IOException {
    try (FileSystem contents = FileSystems.newFileSystem(jar);
        Stream<Path> files = Files.walk(contents.getPath("/"))) {
      List<Path> old = files.filter(Modernize::isOld).toList();
      if (old.isEmpty()) {
        return;
      }
      ClassFile format =
          ClassFile.of(
              StackMapsOption.GENERATE_STACK_MAPS,
              ClassHierarchyResolverOption.of(
                  ClassHierarchyResolver.ofResourceParsing(
                      type -> {
                        String name =
                            type.packageName().replace('.', '/') + "/" + type.displayName();
                        Path file = contents.getPath("/" + name + ".class");
                        try {
                          return Files.exists(file) ? Files.newInputStream(file) : null;
                        } catch (IOException e) {
                          throw new UncheckedIOException(e);
                        }
                      })
                      .orElse(ClassHierarchyResolver.defaultResolver())));
      // Code is taken apart and put together again; copied as it is it would get no maps.
      ClassTransform newer =
          ClassTransform.transformingMethodBodies((body, element) -> body.with(element))
              .andThen(
                  ClassTransform.endHandler(
                      made -> made.withVersion(ClassFile.JAVA_8_VERSION, 0)));
      for (Path file : old) {
        Files.write(file, format.transformClass(format.parse(Files.readAllBytes(file)), newer));
      }
    }
  }

  private static boolean isOld(Path file) {
    if (!file.toString().endsWith(".class")) {
      return false;
    }
    try {
      byte[] bytes = Files.readAllBytes(file);
      int major = (bytes[AT_MAJOR] & 0xff) << 8 | bytes[AT_MAJOR + 1] & 0xff;
      return major < ClassFile.JAVA_6_VERSION;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
