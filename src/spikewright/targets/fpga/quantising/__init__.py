"""From real numbers to whole ones: ranges, scales, weights, and training on in them."""
