package org.javisor.cli;

/** The program's version, as the build wrote it into the jar. */
final class Version {
  private Version() {}

  static String[] lines() {
    String version = Version.class.getPackage().getImplementationVersion();
    return new String[] {
      "javisor " + (version == null ? "(not packaged)" : version),
      "Java " + Runtime.version() + ", " + System.getProperty("os.name") + " "
          + System.getProperty("os.arch")
    };
  }
}
