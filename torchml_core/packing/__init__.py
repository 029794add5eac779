"""Each descriptor's parameters, packed for its kernel: what `_descriptors` runs over all rows."""
