"""Hand-written Triton kernels: two launches a layer, all of a step in one CUDA graph (see layer_kernels)."""
