"""The program: the command line, the terminal as a listener, folders of sounds, the doctor."""
