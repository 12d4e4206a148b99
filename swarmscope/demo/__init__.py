"""The whole pipeline on one machine: every part is a real process that is started, watched and ended here."""
