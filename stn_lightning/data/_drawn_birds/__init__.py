"""Birds that are drawn, in the layout of CUB-200-2011."""
