package org.javisor.pc.timer;

/** Counter 2 of the 8254, as port 0x61 sees it, and the refresh that counter 1 used to time. */
public interface SpeakerTimer {
  /** For a board whose port 0x61 is answered elsewhere. */
  SpeakerTimer NONE =
      new SpeakerTimer() {
        @Override
        public void setGate2(boolean level) {}

        @Override
        public boolean output2() {
          return false;
        }

        @Override
        public boolean refreshToggle() {
          return false;
        }
      };

  /** Drives the gate of counter 2: bit 0 of port 0x61. */
  void setGate2(boolean level);

  /** The output of counter 2: bit 5 of port 0x61. */
  boolean output2();

  /** The output of counter 1, which refreshed memory once; bit 4 of port 0x61 toggles with it. */
  boolean refreshToggle();
}
