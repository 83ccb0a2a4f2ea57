"""The application: command line, progress on the terminal, folders of sounds, self-test."""
