"""The fused decode step: hand-written Triton kernels, three launches a layer (see kernels, step, weights)."""
