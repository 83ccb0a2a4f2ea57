"""The paper's experiments, as commands: thin scripts that learn, score and write `results/`."""
