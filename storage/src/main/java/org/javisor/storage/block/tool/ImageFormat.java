package org.javisor.storage.block.tool;

import java.util.Arrays;
import java.util.Locale;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.qcow2.Header;

/** The formats of images. */
public enum ImageFormat {
  RAW,
  QCOW2;

  /** As people and QEMU write it. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Reads a name that a person gave. */
  public static ImageFormat parse(String text) throws BlockException {
    return Arrays.stream(values())
        .filter(format -> format.label().equals(text))
        .findFirst()
        .orElseThrow(
            () -> new BlockException(
                Reason.INVALID, "'" + text + "' is no format of images: raw or qcow2 expected"));
  }

  /** Guesses by the first bytes: what is nothing else is raw. */
  public static ImageFormat detect(HostFile file) throws BlockException {
    return Header.matches(file) ? QCOW2 : RAW;
  }
}
