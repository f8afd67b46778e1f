package org.javisor.cli;

import picocli.CommandLine.IVersionProvider;

/** The program's version, as the build wrote it into the jar. */
final class Version implements IVersionProvider {
  static String number() {
    String version = Version.class.getPackage().getImplementationVersion();
    return version == null ? "(not packaged)" : version;
  }

  @Override
  public String[] getVersion() {
    return new String[] {
      "javisor " + number(),
      "Java " + Runtime.version() + " on " + System.getProperty("os.name") + " "
          + System.getProperty("os.arch")
    };
  }
}
