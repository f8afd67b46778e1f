package org.javisor.xen.backend;

/** States of either half of a split driver (public/io/xenbus.h). The order gives the numbers. */
enum XenbusState {
  UNKNOWN,
  INITIALISING,
  INIT_WAIT,
  INITIALISED,
  CONNECTED,
  CLOSING,
  CLOSED,
  RECONFIGURING,
  RECONFIGURED;

  static XenbusState parse(String text) {
    try {
      int number = Integer.parseInt(text);
      return number >= 0 && number < values().length ? values()[number] : UNKNOWN;
    } catch (NumberFormatException e) {
      return UNKNOWN;
    }
  }

  String number() {
    return Integer.toString(ordinal());
  }
}
