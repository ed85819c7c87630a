"""Training of the backbone itself: self-supervised on images alone, or supervised with labels of whole images.

Either writes `backbone.safetensors`, on which `readfirst models train --weights` then fits a package. Whatever is drawn
by chance is a function of (seed, epoch, image), so a run that was killed ends with the result of one that was not.
"""
