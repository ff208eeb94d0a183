"""The machine that a job runs on: its device, GPU lease, threads, memory, compilers and graphs."""
