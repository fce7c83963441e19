"""The experiments that come with the package, a folder each; the engine knows none of them."""
