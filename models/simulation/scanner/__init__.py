"""The scanner of the simulation: noise by kernel, blur, slice thickness, quantization, grids of any orientation."""
