"""The harness: grids of runs, each in its own process, recorded one by one."""
