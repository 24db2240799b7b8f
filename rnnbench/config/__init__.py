"""What a person writes: grids, cards of tasks and architectures, search spaces, sizes, executors; strictly checked."""
