"""The paper's experiments and the benchmarks: train, score and write `results/`."""
